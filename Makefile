# make demo and make test do everything on a fresh machine, set-up included. `make help` lists the targets.

VENV := .venv
BIN := $(VENV)/bin
CUBE_VENV := .venv-cube
CUBE_PYTHON ?= $(firstword $(foreach p,python3.12 python3.13 python3,$(if $(shell $(p) -c 'import sys; sys.exit(not (3, 12) <= sys.version_info < (3, 14))' 2>/dev/null && echo yes),$(p))))
PYTHON ?= $(firstword $(foreach p,python3.12 python3.11 python3,$(if $(shell $(p) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo yes),$(p))))
SHELL := bash
.SHELLFLAGS := -o pipefail -c
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-color
# Progress: a line for each 40 packages that pip collects, and one when it installs them.
COUNT := while read -r word object _; do \
  case "$$word" in \
    Collecting|Processing) n=$$((n + 1)); if ((n % 40 == 0)); then echo "  $$n packages collected"; fi ;; \
    Installing) if [ "$$object" = collected ]; then echo "  installing"; fi ;; \
  esac; \
done
# Idle OpenMP threads would spin on the cores that the browser and the server need.
export OMP_WAIT_POLICY := passive
export GOMP_SPINCOUNT := 0

.PHONY: help setup setup-cube lock lock-cube demo test lint docs clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

setup: $(VENV)/.ready ## make .venv with the complete locked environment, and find a Chromium

$(VENV)/.ready: requirements.lock requirements-hashes.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed and was not found: install it, or run make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "python -m venv failed: install it (on Debian: apt-get install python3-venv)" >&2; exit 1; }
	@echo "setting up $(VENV): about 2 minutes and 3 GB"
	@# Every package as locked, by its hash; a mirror of the index may lag behind for a moment: asked again after half a minute.
	@echo "1/4 the locked packages"
	@$(PIP) install --no-deps --require-hashes -r requirements-hashes.txt | $(COUNT) || \
	  { echo "  again in half a minute"; sleep 30; $(PIP) install --no-deps --require-hashes -r requirements-hashes.txt | $(COUNT); }
	@# torch has a build for each kind of machine, so no hash; with what its build needs. pip would list as conflicts what the lock
	@# leaves out: packages that agentlab and browsergym declare and nothing here uses.
	@echo "2/4 torch: 0.2 GB for a CPU; a CUDA build takes 3 GB and some minutes more"
	@$(PIP) install --no-warn-conflicts -c requirements.lock "$$(grep '^torch==' requirements.lock)" | $(COUNT)
	@# every-eval-ever declares Python 3.12, and its checks, which the tests run, work on 3.11.
	@echo "3/4 this package"
	@echo "every-eval-ever==0.3.0 --hash=sha256:564b8bc624c1f822f749a769dc69dc058a736e83d920cbeb147c3a30d3152317" > $(VENV)/every-eval-ever.txt
	@$(PIP) --quiet install --no-deps --require-hashes --ignore-requires-python -r $(VENV)/every-eval-ever.txt
	@$(PIP) --quiet install --no-deps --no-build-isolation --editable .
	@echo "4/4 a browser"
	@$(BIN)/python -m agentmerge_hub.agents.browser.chromium
	@touch $@

setup-cube: $(CUBE_VENV)/.ready ## make .venv-cube with CUBE's packages, for recipes with backend: cube; needs Python 3.12 or 3.13

$(CUBE_VENV)/.ready: requirements-cube.lock | setup
	@test -n "$(CUBE_PYTHON)" || { echo "CUBE needs Python 3.12 or 3.13, which was not found: install it, or run make setup-cube CUBE_PYTHON=/path/to/python3.12" >&2; exit 1; }
	@test -x $(CUBE_VENV)/bin/python || $(CUBE_PYTHON) -m venv --without-pip $(CUBE_VENV)
	@echo "setting up $(CUBE_VENV): about 1 minute and 1 GB"
	@$(PIP) --quiet --python $(CUBE_VENV)/bin/python install --no-deps --require-hashes -r requirements-cube.lock
	@touch $@

lock: ## after a change of requirements.lock: write the hashes of its packages
	@test -x $(BIN)/uv || { echo "run make setup before requirements.lock is changed: it installs uv" >&2; exit 1; }
	@grep -v '^torch==' requirements.lock | $(BIN)/uv pip compile --quiet --no-deps --generate-hashes --universal --python-version 3.11 --no-header --no-annotate - --output-file requirements-hashes.txt

lock-cube: ## after a change of requirements-cube.in: resolve CUBE's packages and write their hashes
	@# Playwright 1.44 pins a greenlet that Python 3.13 cannot build; it works with later ones.
	@overrides=$$(mktemp) && echo 'greenlet>=3.1.1' > $$overrides && \
	$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.12 --no-header --no-annotate --override $$overrides requirements-cube.in --output-file requirements-cube.lock && rm $$overrides

demo: setup ## run the whole pipeline on this machine's CPU, in demo-out/ (about 15 minutes); ARGS=--preferences adds DPO
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash recipes/demo.sh $(ARGS)

test: setup ## run every test; make test ARGS="-k fit" runs some, ARGS=-n0 in one process
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

lint: setup ## check style, formatting, import rules, types and generated pages
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-cache && $(BIN)/mypy && $(BIN)/python docs/generate.py --check

docs: setup ## build the documentation in site/; a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

clean: ## remove the environment and the demo's output
	rm -rf $(VENV) demo-out
