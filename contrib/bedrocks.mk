# Bedrocks: networks of thirteen kinds on each planet, the whole path, a file per step under build/bedrocks/.
#   make bedrocks                 all kinds on all planets: verdicts, planted faults, tables, labels
#                                 (KINDS='lstm rnn' are these alone)
#   make bedrock-KIND             one kind: dense cnn1 cnn2 cnn3 mha lstm rnn layernorm embedding rmsnorm
#                                 swiglu residual mixer
#   make bedrock-KIND-PLANET      one kind on one planet: pytorch, tensorflow, jax, and for dense sklearn
#   make bedrock-dense-faults     the planted faults of dense networks alone
#   make scoreboard               SCOREBOARD.md from the reports
#   make bedrock-store            fixtures/bedrocks/stored from trainings of full length
# TRAIN=full (the reference's epochs), short or stored says how dense and cnn networks get their weights.
# A DIFF or a failure is recorded and stops nothing; the table at the end fails.  PYTHON=/path uses that
# Python for all.

TRAIN           ?= full
bedrocks        := build/bedrocks
bedrock_kinds   := dense cnn1 cnn2 cnn3 mha lstm rnn layernorm embedding rmsnorm swiglu residual mixer
bedrock_planets := pytorch tensorflow jax sklearn
bedrock_labels  := fixtures/bedrocks/labels
bedrock_faulty  := dense

# How loom-compare judges: against float64 relative to the greatest value, the verdict of record; against
# float32 absolutely, the reference's rule.  Of the rows that prove nothing the table tells.
bedrock_record  := 1e-6
record          := --allow-vacuous --atol $(bedrock_record)
usual           := --allow-vacuous --atol 1e-5 --scale none

# Not every planet has every kind.
planets_of      = $(if $(filter dense,$1),$(bedrock_planets),$(filter-out sklearn,$(bedrock_planets)))
kinds_on        = $(foreach k,$2,$(if $(filter $1,$(call planets_of,$k)),$k))

# scikit-learn and NumPy are in the light environment and in the other; whichever is there will do.
bedrock_python  = $(or $(PYTHON),$(if $(filter sklearn,$1),$(bedrock_any),build/planets/bin/python))
bedrock_any     = $(or $(PYTHON),$(firstword $(wildcard $(addsuffix /bin/python,build/venv build/planets))))
bedrock         = PYTHONPATH='$(CURDIR)/contrib/python' PYTHONDONTWRITEBYTECODE=1 \
                  PLANETBRIDGING_BIN='$(CURDIR)/$(out)/bin' $1 -m planetbridging.bedrock
path_programs  := $(addprefix $(out)/bin/,loom-stream loom-infer loom-compare)
package        := contrib/python/planetbridging

# Three stages: the frameworks speak, each in one process that knows what is up to date; the programs
# answer, a file per step; the table judges.  $1 kinds, $2 planets.
define bedrock_run
	@contrib/install-deps $(if $(filter-out sklearn,$2),planets,demo)
	$(make_again) $(addprefix bedrock-on-,$2) KINDS='$1'
	$(make_again) bedrock-verdicts KINDS='$1' PLANETS='$2'
endef

bedrocks:
	$(if $(filter-out $(bedrock_kinds),$(KINDS)),$(error KINDS: $(filter-out $(bedrock_kinds),$(KINDS)): not one of $(bedrock_kinds)))
	$(call bedrock_run,$(or $(KINDS),$(bedrock_kinds)),$(bedrock_planets))

$(addprefix bedrock-,$(bedrock_kinds)): bedrock-%:
	$(call bedrock_run,$*,$(call planets_of,$*))

define bedrock_pair
bedrock-$1-$2:
	$$(call bedrock_run,$1,$2)
.PHONY: bedrock-$1-$2

endef
$(eval $(foreach k,$(bedrock_kinds),$(foreach p,$(call planets_of,$k),$(call bedrock_pair,$k,$p))))

bedrock-dense-faults:
	@contrib/install-deps planets
	$(make_again) $(addprefix bedrock-on-,$(bedrock_planets)) KINDS=dense
	$(make_again) bedrock-verdicts KINDS=dense PLANETS='$(bedrock_planets)' FAULTS_ONLY=1

$(addprefix bedrock-on-,$(bedrock_planets)): bedrock-on-%: programs
	@$(if $(call kinds_on,$*,$(KINDS)),$(call bedrock,$(call bedrock_python,$*)) run --train $(TRAIN) \
	    --dir $(bedrocks) $* $(call kinds_on,$*,$(KINDS)))

# What was streamed: a model that its planet could not make has no file, and the table says why.
streamed        = $(foreach k,$(KINDS),$(foreach p,$(PLANETS),$(wildcard $(bedrocks)/$k/$p/*/model.stream)))
planted         = $(foreach k,$(bedrock_faulty),$(filter $(bedrocks)/$k/%,$(streamed)))

bedrock-steps: $(if $(FAULTS_ONLY),,$(patsubst %/model.stream,%/report.ndjson,$(streamed))) \
    $(patsubst %/model.stream,%/faults.ndjson,$(planted))

bedrock-verdicts:
	-$(make_again) -k bedrock-steps
	@$(call bedrock,$(bedrock_any)) table --dir $(bedrocks) $(if $(FAULTS_ONLY),--faults-only) \
	    $(bedrock_labels) $(KINDS) --planets $(PLANETS)

# A step that fails leaves its message, and nothing of what an earlier run made from it.
$(bedrocks)/%/model.entity: $(bedrocks)/%/model.stream $(out)/bin/loom-stream
	@rm -f $(@D)/loom.npy $(@D)/report.ndjson
	@$(out)/bin/loom-stream -o $@ <$< 2>$(@D)/stream.log

$(bedrocks)/%/loom.npy: $(bedrocks)/%/model.entity $(bedrocks)/%/native64.npy $(out)/bin/loom-infer
	@rm -f $(@D)/report.ndjson
	@$(out)/bin/loom-infer -o $@ -m $< $(@D)/input.np* 2>$(@D)/infer.log

compare = $(out)/bin/loom-compare -q $2 --report ndjson=$(@D)/$1.ndjson $(@D)/$3.npy $(@D)/$4.npy \
    2>$(@D)/compare.log || [ $$? = 1 ]

$(bedrocks)/%/report.ndjson: $(bedrocks)/%/loom.npy $(bedrocks)/%/native.npy $(bedrocks)/%/native64.npy \
    $(bedrocks)/%/numpy.npy $(out)/bin/loom-compare
	@$(call compare,float32,$(usual),loom,native)
	@$(call compare,own,$(usual),native,native64)
	@$(call compare,numpy,$(record),loom,numpy)
	@$(call compare,oracle,$(record),native64,numpy)
	@$(call compare,report,$(record),loom,native64)

$(bedrocks)/%/faults.ndjson: $(bedrocks)/%/model.stream $(bedrocks)/%/native64.npy \
    $(addprefix $(package)/,bedrock/faults.py bedrock/chain.py checking.py stream.py) $(path_programs)
	@$(call bedrock,$(bedrock_any)) faults --atol $(bedrock_record) $(firstword $(subst /, ,$*)) $(@D)

bedrock-store:
	@contrib/install-deps planets
	@for p in $(bedrock_planets); do \
	    for k in $(filter dense cnn%,$(bedrock_kinds)); do \
	        case $$p-$$k in sklearn-cnn*) continue ;; esac; \
	        $(call bedrock,$(call bedrock_python,pytorch)) store --dir $(bedrocks) $$p $$k || exit; \
	    done; \
	done

scoreboard:
	@$(call bedrock,$(bedrock_any)) scoreboard --dir $(bedrocks) SCOREBOARD.md

.PHONY: bedrocks bedrock-dense-faults bedrock-steps bedrock-verdicts bedrock-store scoreboard \
    $(addprefix bedrock-,$(bedrock_kinds)) $(addprefix bedrock-on-,$(bedrock_planets))

# Witnesses: what an independent Loom (PyPI welvet) and the reference's own package make of ours.
#   make ladder              native, loom-infer and real Loom on plain and lowered files, PyTorch's networks
#   make reference-package   openfluke/planetbridging 0.7.3 with our loom-stream: its 13 PyTorch streams
# KINDS='lstm rnn' are these alone.  Both say SKIPPED, and why, where there is no such package.

ladder_kinds    = $(or $(KINDS),$(bedrock_kinds))
ladder_run      = PYTHONPATH='$(CURDIR)/contrib/python' PYTHONDONTWRITEBYTECODE=1 \
                  PLANETBRIDGING_BIN='$(CURDIR)/$(out)/bin' $(bedrock_python) -m planetbridging.ladder
or_skipped      = || [ $$? = 77 ]

ladder:
	@contrib/install-deps planets
	$(make_again) bedrock-on-pytorch KINDS='$(ladder_kinds)'
	@$(if $(filter mixer,$(ladder_kinds)),$(call own_run,$(own_python)) speak --dir $(own) pytorch --kinds mixer)
	@$(ladder_run) --dir $(bedrocks) --own $(own) fixtures/bedrocks/ladder.labels $(ladder_kinds) $(or_skipped)

reference-package: programs
	@contrib/install-deps planets
	@$(bedrock_python) test/interop/reference_package.py $(out)/bin/loom-stream build/reference $(or_skipped)

.PHONY: ladder reference-package
