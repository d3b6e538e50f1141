# Ordinary networks, as frameworks and packages ship them, under build/networks/.
#   make networks                 all planets: table, labels; each network with planted mistakes
#   make networks-pytorch         one planet's files and verdicts (tensorflow, jax)
# Only what is missing or out of date is made, so a run that was stopped goes on.  ONLY='resnet18' is these alone.

networks_planets := pytorch tensorflow jax
networks         := build/networks
networks_run      = PYTHONPATH='$(CURDIR)/contrib/python' PYTHONDONTWRITEBYTECODE=1 \
                    PLANETBRIDGING_BIN='$(CURDIR)/$(out)/bin' $(own_python) -m planetbridging.ordinary
networks_only     = $(if $(ONLY),--only $(ONLY))

networks:
	@contrib/install-deps planets
	$(make_again) programs
	$(make_again) $(addprefix networks-,$(networks_planets))
	@$(networks_run) table --dir $(networks) fixtures/networks/labels $(networks_only)

$(addprefix networks-,$(networks_planets)): networks-%: programs
	@$(networks_run) speak --dir $(networks) $* $(networks_only)
	@$(networks_run) judge --dir $(networks) $* $(networks_only)

.PHONY: networks $(addprefix networks-,$(networks_planets))
