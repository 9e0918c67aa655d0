# Two commands for people: `make demo` and `make test`. Everything they need is set up on the way.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(CURDIR)/$(VENV)/bin
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/baremetal-vllm
FAILED := .failed-tests
READY := $(VENV)/ready-$(shell sha256sum pyproject.toml | cut -c1-12)
# What judges releases and makes the site is large and has other needs than tests: an environment of its own.
GATES := .venv-gates
GATES_BIN := $(CURDIR)/$(GATES)/bin
GATES_READY := $(GATES)/ready-$(shell sha256sum pyproject.toml | cut -c1-12)
LAB_TOOLS := systemd-nspawn mmdebstrap nft ip ssh ssh-keygen
LAB_PACKAGES := systemd-container mmdebstrap nftables iproute2 openssh-client
# Scenarios at a time, for a computer with more than two cores.
SIDE_BY_SIDE ?= 1
SCENARIOS := $(filter-out default,$(sort $(patsubst molecule/%/molecule.yml,%,$(wildcard molecule/*/molecule.yml))))
PLAYBOOK := $(BIN)/ansible-playbook -i inventories/lab
DEMO_MODELS := '{"lab_models_names": ["smollm2-135m-instruct", "all-minilm-l6-v2"]}'
export PATH := $(BIN):$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
# Nothing of a developer's home directory may stand in for the checkout.
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.ansible/collections
export MOLECULE_GLOB := molecule/*/molecule.yml
# Images of containers like to set it. Each process of the tests would compile all of them, and Ansible all of the collection, anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv system lab demo demo-lab demo-engine demo-models test check lint unit exhaustive molecule bench bench-growth bench-fanout \
  catalogue docs clean lab-absent dist \
  gates changelog packages site site-look sanity

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | column -t -s '|'

$(READY): pyproject.toml
	@echo "Setting up $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: set PYTHON=/path/to/python3.11") if sys.version_info < (3, 11) else 0'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*p["dependencies"], *p["optional-dependencies"]["dev"], sep="\n")' > $(VENV)/requirements.txt
	@$(BIN)/python -m pip install -qq --requirement $(VENV)/requirements.txt
	@# The checkout itself is the collection: what is edited is what runs.
	@mkdir -p $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ansible_collections/baremetal
	@ln -sfn $(CURDIR) $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ansible_collections/baremetal/vllm
	@rm -f $(VENV)/ready-* && touch $@

venv: $(READY)

system:
	@missing=; for tool in $(LAB_TOOLS); do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing$$missing with apt-get"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(LAB_PACKAGES) >/dev/null; \
	fi

lab: venv system ## Boot the lab: real systemd machines on this computer
	@$(PLAYBOOK) tools/lab/lab.yml

demo: venv system ## A lab with a real chat and a real embedding model, deployed and proven
	@# None of these waits for another: machines, the engine's files, the models.
	@$(MAKE) --no-print-directory --jobs demo-lab demo-engine demo-models || { echo 'What failed says FAILED above.'; exit 1; }
	@$(PLAYBOOK) site.yml
	@$(PLAYBOOK) playbooks/ask.yml
	@echo 'The key of the lab: export VLLM_API_KEY=lab-key-no-secret'

# $(call step,NAME,COMMANDS): one of several that run side by side. Its lines begin with its name, and the last one says how long it took.
# Whoever presses Ctrl-C still reads what Ansible says then.
step = @{ $(2); } 2>&1 | { trap '' INT; exec sed -u 's/^/$(1) | /'; } && echo "$(1) | done after $$SECONDS s" \
  || { echo "$(1) | FAILED after $$SECONDS s"; exit 1; }

demo-lab:
	$(call step,lab   ,$(PLAYBOOK) tools/lab/lab.yml)

demo-engine:
	$(call step,engine,$(PLAYBOOK) tools/lab/wheels.yml && $(PLAYBOOK) playbooks/wheelhouse.yml)

demo-models:
	$(call step,models,$(PLAYBOOK) tools/lab/models.yml -e $(DEMO_MODELS))

test: check molecule ## Everything: lint, unit tests and all molecule scenarios in the lab

check: venv ## Lint and unit tests alone, beside each other; the quick ones of ansible-test's checks
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target unit lint

lint: venv
	@ruff format --check . && ruff check .
	@mypy plugins tools
	@yamllint --strict .
	@python tools/lint.py
	@python tools/sanity.py --quick

sanity: venv ## All of ansible-test's checks with both ends of ansible-core: make sanity SANITY='--skip-test pylint'
	@python tools/sanity.py $(SANITY)

unit: venv
	@# One more than the cores that are asked for: some tests wait.
	@pytest --numprocesses 3 --dist loadgroup

exhaustive: venv ## Every property with all its examples, thousands of drawn hosts through the driver's role (HISTORIES=5000), all of the scenarios
	@EXHAUSTIVE=1 pytest --numprocesses 3 --dist loadgroup
	@HISTORIES=$${HISTORIES:-5000} pytest tests/unit/plugins/plugin_utils/drivers/nvidia/test_driver_converge.py -k 'ends_well or absent' --numprocesses 2
	@EXHAUSTIVE=1 $(MAKE) --no-print-directory molecule

molecule: venv system
	@# A run that was cut off may have left word of a lab that is no more.
	@molecule reset --all >/dev/null 2>&1 || true
	@rm -f $(FAILED)
	@# The lab is one, and each scenario has its machines there to itself. On two cores one at a time is as quick as two: they wait for the
	@# processor, and engines beside each other for each other.
	@molecule converge --scenario-name default || touch $(FAILED)
	@# In a line of its own: make runs this one even where it is only asked what it would do (-n).
	@test -e $(FAILED) || $(MAKE) --no-print-directory --jobs $(SIDE_BY_SIDE) --output-sync=$(if $(filter 1,$(SIDE_BY_SIDE)),none,target) $(SCENARIOS:%=scenario-%) 3>&1 || touch $(FAILED)
	@molecule destroy --scenario-name default || touch $(FAILED)
	@# What failed comes last, where it is looked for.
	@test ! -e $(FAILED) || { grep -A2 -E '^(FAILED|ERROR|\[ERROR\])' $(FAILED) | cut -c1-250 | tail -n 20; exit 1; }

# In a folder of its own: under `molecule test --all --workers 2` they would share one, and overwrite each other's files
# (https://github.com/ansible/molecule/issues/4666).
scenario-%:
	@{ echo "$$(date +%T) $* begins" >&3; } 2>/dev/null || true
	@rm -rf .ansible/molecule/$*
	@MOLECULE_EPHEMERAL_DIRECTORY=$(CURDIR)/.ansible/molecule/$* molecule test --scenario-name $* --no-shared-state --destroy never

bench: demo ## Ratios: nothing to do against the floor, 1 and 8 models, deployment against bare commands
	@$(BIN)/python tools/bench.py

bench-growth: venv ## What a run costs the control node as a fleet grows to 1,000 hosts: make bench-growth GROWTH='--hosts 3,30'
	@$(BIN)/python -m ansible_collections.baremetal.vllm.tools.growth $(GROWTH)

bench-fanout: venv ## How near content from host to host comes to the ideal, in network namespaces; needs root
	@$(BIN)/python tools/bench_fanout.py

catalogue: venv ## Add a vLLM release to the catalogue: make catalogue RELEASE=0.34.0
	@test -n "$(RELEASE)" || { echo "Name the release: make catalogue RELEASE=0.34.0"; exit 1; }
	@$(BIN)/python -m ansible_collections.baremetal.vllm.tools.catalogue add $(RELEASE)
	@$(BIN)/python tools/gpu_support.py $(RELEASE)
	@$(BIN)/python tools/recipes.py $(RELEASE)
	@$(MAKE) --no-print-directory docs

docs: venv ## Generate docs/models.md, docs/options.md, the roles' READMEs, the list of our variables
	@$(BIN)/python tools/variables.py
	@$(BIN)/python tools/role_readmes.py
	@$(BIN)/ansible-playbook -i inventories/example playbooks/plan.yml -e vllm_plan_document=docs/models.md
	@$(BIN)/python tools/options_page.py

dist: venv ## The collection as one artifact in dist/
	@$(BIN)/ansible-galaxy collection build --force --output-path dist

$(GATES_READY): pyproject.toml
	@echo "Setting up $(GATES)"
	@test -x $(GATES_BIN)/python || $(PYTHON) -m venv $(GATES)
	@$(GATES_BIN)/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*p["dependencies"], *p["optional-dependencies"]["gates"], sep="\n")' > $(GATES)/requirements.txt
	@$(GATES_BIN)/python -m pip install -qq --requirement $(GATES)/requirements.txt
	@rm -f $(GATES)/ready-* && touch $@

gates: export PATH := $(GATES_BIN):$(PATH)
gates: packages ## What Galaxy, PyPI, ansible-builder and the changelog ask of a release
	@antsibull-changelog lint && python tools/changelog.py --check
	@check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@zizmor --offline --quiet --no-progress .github
	@pre-commit validate-config .pre-commit-config.yaml
	@twine check --strict dist/baremetal_vllm-* && pyroma --min 8 --directory .
	@python tools/gates.py dist/baremetal-vllm-*.tar.gz

changelog: $(GATES_READY) ## Write CHANGELOG.md from changelogs/
	@PATH=$(GATES_BIN):$$PATH $(GATES_BIN)/python tools/changelog.py

packages: $(GATES_READY) ## The collection and the Python distribution in dist/
	@rm -rf dist
	@$(GATES_BIN)/ansible-galaxy collection build --force --output-path dist
	@$(GATES_BIN)/python -m build --no-isolation --outdir dist .

site: $(GATES_READY) ## The documentation site in build/site/html; a warning is an error
	@PATH=$(GATES_BIN):$$PATH $(GATES_BIN)/python tools/site/make.py build/site

site-look: $(GATES_READY) ## Look at the site in Chromium at two widths; pictures in build/screenshots
	@test -d build/site/html || { echo "Run make site first."; exit 1; }
	@$(GATES_BIN)/python -m pytest -q -p no:cacheprovider tests/site

lab-absent: venv ## Remove the lab without a trace
	@$(PLAYBOOK) tools/lab/lab.yml -e lab_state=absent

clean: lab-absent ## Remove the lab, the environment and the caches of the project
	@rm -rf $(VENV) $(GATES) .ansible build dist $(CACHE)
