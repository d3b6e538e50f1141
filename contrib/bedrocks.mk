# Bedrocks: networks trained on each planet, taken the whole path, a file per step under build/bedrocks/.
#   make bedrock-dense            all planets: verdicts, planted faults, tables, labels
#   make bedrock-dense-PLANET     one planet: pytorch, tensorflow, jax or sklearn
#   make bedrock-dense-faults     the planted faults of all planets alone
# A DIFF is recorded and stops nothing; the table at the end fails.  PYTHON=/path uses that Python for all.

dense         := build/bedrocks/dense
dense_facts   := fixtures/bedrocks/dense.json
dense_labels  := fixtures/bedrocks/dense.labels
dense_planets := pytorch tensorflow jax sklearn
dense_models  := $(shell sed -n 's/.*{"id": "\([a-z0-9_]*\)".*/\1/p' $(dense_facts))
dense_trained := model.stream input.npy native.npy settings.json
dense_files    = $(foreach m,$(dense_models),$(addprefix $(dense)/$1/$m/,$2))

# scikit-learn has the light environment; NumPy alone is in whichever is there.
bedrock_python = $(or $(PYTHON),$(if $(filter sklearn,$1),build/venv,build/planets)/bin/python)
bedrock_any    = $(or $(PYTHON),$(firstword $(wildcard $(addsuffix /bin/python,build/venv build/planets))))
bedrock        = PYTHONPATH='$(CURDIR)/contrib/python' PYTHONDONTWRITEBYTECODE=1 \
                 PLANETBRIDGING_BIN='$(CURDIR)/$(out)/bin' $1 -m planetbridging.bedrock

package       := contrib/python/planetbridging
bedrock_src   := $(addprefix $(package)/,graph.py stream.py arrays.py bedrock/dense.py bedrock/training.py) \
                 $(wildcard $(package)/planets/*.py)
path_programs := $(addprefix $(out)/bin/,loom-stream loom-infer loom-compare)

bedrock-dense:
	@contrib/install-deps demo
	@contrib/install-deps planets
	$(make_again) bedrock-dense-verdicts PLANETS='$(dense_planets)'

$(addprefix bedrock-dense-,$(dense_planets)): bedrock-dense-%:
	@contrib/install-deps $(if $(filter sklearn,$*),demo,planets)
	$(make_again) bedrock-dense-verdicts PLANETS=$*

bedrock-dense-faults:
	@contrib/install-deps demo
	@contrib/install-deps planets
	$(make_again) bedrock-dense-verdicts PLANETS='$(dense_planets)' FAULTS_ONLY=1

dense_judged = $(if $(FAULTS_ONLY),,model.entity loom.npy report.ndjson) faults.ndjson
bedrock-dense-verdicts: $(foreach p,$(PLANETS),$(call dense_files,$p,$(dense_judged)))
	@$(call bedrock,$(bedrock_any)) table $(if $(FAULTS_ONLY),--faults-only) \
	    $(dense_facts) $(dense_labels) $(dense) $(PLANETS)

$(dense)/fixture.npz: $(dense_facts) $(package)/bedrock/dense.py
	@mkdir -p $(@D)
	@$(call bedrock,$(bedrock_any)) fixture $< $@

# One Python process for each planet writes all that its framework says.
define dense_train
$(call dense_files,$1,$(dense_trained)) &: $(dense)/fixture.npz $(bedrock_src)
	@$$(call bedrock,$$(call bedrock_python,$1)) train $(dense_facts) $$< $1 $(dense)/$1

endef
$(eval $(foreach p,$(dense_planets),$(call dense_train,$p)))

$(dense)/%/model.entity: $(dense)/%/model.stream $(out)/bin/loom-stream
	@$(out)/bin/loom-stream <$< >$@ 2>$(@D)/stream.log || { s=$$?; cat $(@D)/stream.log >&2; exit $$s; }

$(dense)/%/loom.npy: $(dense)/%/model.entity $(dense)/%/input.npy $(out)/bin/loom-infer
	@$(out)/bin/loom-infer -m $< $(@D)/input.npy >$@

$(dense)/%/report.ndjson: $(dense)/%/loom.npy $(dense)/%/native.npy $(out)/bin/loom-compare
	@$(out)/bin/loom-compare -q --atol 1e-5 --scale none --report text=$(@D)/report.txt \
	    --report ndjson=$@ $< $(@D)/native.npy || [ $$? = 1 ]

$(dense)/%/faults.ndjson: $(dense)/%/model.stream $(dense)/%/input.npy $(dense)/%/native.npy \
    $(addprefix $(package)/,bedrock/faults.py checking.py stream.py) $(path_programs)
	@$(call bedrock,$(bedrock_any)) faults $(dense_facts) $(@D)

.PHONY: bedrock-dense bedrock-dense-faults bedrock-dense-verdicts \
    $(addprefix bedrock-dense-,$(dense_planets))
