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

# Random module trees out of the vocabulary, each at two batches and lengths.
#   make random-trees             50 of each planet; RANDOM_SEED= is the first one's seed, COUNT= how many

random_planets := pytorch keras jax sklearn
random_run      = PYTHONPATH='$(CURDIR)/contrib/python' PYTHONDONTWRITEBYTECODE=1 \
                  PLANETBRIDGING_BIN='$(CURDIR)/$(out)/bin' $(own_python) -m planetbridging.random_trees

random-trees:
	@contrib/install-deps planets
	$(make_again) programs
	$(make_again) $(addprefix random-trees-,$(random_planets))

$(addprefix random-trees-,$(random_planets)): random-trees-%: programs
	@$(random_run) $* $(if $(RANDOM_SEED),--seed $(RANDOM_SEED)) $(if $(COUNT),--count $(COUNT))

.PHONY: random-trees $(addprefix random-trees-,$(random_planets))
