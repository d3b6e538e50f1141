# Our own fixtures: networks of unit scale whose numbers can fail, under build/bedrocks-own/.
#   make bedrocks-own             all kinds on all planets, node by node, with planted faults: tables, labels
#   make bedrocks-own-drawn       fixtures/bedrocks/own/drawn.json anew, after a fixture was changed
# Each planet makes what it has in one process and judges it in another that needs NumPy alone; both do
# only what is missing or out of date, so a run that was stopped goes on.  KINDS='lstm rnn' are these alone.

own_planets     := pytorch tensorflow jax nnx sklearn
own             := build/bedrocks-own
own_fixtures    := fixtures/bedrocks/own
own_kinds       = $(if $(KINDS),--kinds $(KINDS))
own_run         = PYTHONPATH='$(CURDIR)/contrib/python' PYTHONDONTWRITEBYTECODE=1 \
                  PLANETBRIDGING_BIN='$(CURDIR)/$(out)/bin' $1 -m planetbridging.bedrock.own
own_python      = $(or $(PYTHON),build/planets/bin/python)

bedrocks-own:
	@contrib/install-deps planets
	$(make_again) programs
	$(make_again) $(addprefix bedrocks-own-,$(own_planets))
	@$(call own_run,$(own_python)) table --dir $(own) $(own_fixtures)/labels $(own_kinds)

$(addprefix bedrocks-own-,$(own_planets)): bedrocks-own-%: programs
	@$(call own_run,$(own_python)) speak --dir $(own) $* $(own_kinds)
	@$(call own_run,$(own_python)) judge --dir $(own) $* $(own_kinds)

bedrocks-own-drawn:
	@$(call own_run,$(own_python)) draw >$(own_fixtures)/drawn.json.new
	@mv $(own_fixtures)/drawn.json.new $(own_fixtures)/drawn.json

.PHONY: bedrocks-own bedrocks-own-drawn $(addprefix bedrocks-own-,$(own_planets))
