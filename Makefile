# Two commands do everything on a fresh machine: `make demo` and `make test`.
# They need make, git and Python 3.11 or newer with its venv module; nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Only wheels: no compiler is needed, and no code of a package runs while it is installed.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all:
MODEL ?= small

.PHONY: help demo setup setup-tests test check format lock clean

help:  ## Show the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: setup  ## The assistant in a local workspace, in your browser
	@if [ -z "$$OPENAI_API_KEY$$OPENAI_BASE_URL" ]; then $(BIN)/python virtuous6.py model pull $(MODEL); fi
	@exec $(BIN)/python virtuous6.py demo --model $(MODEL) $(DEMO_OPTIONS)

setup: $(VENV)/runtime.stamp $(BIN)/virtuous6  ## Install what the assistant needs, without running anything

setup-tests: $(VENV)/tests.stamp  ## Install what the tests need

test: check  ## Lint, types, import contracts and all tests
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)
# Tests mostly wait: three processes keep two cores busy. What is slow in one file is shared out.
PYTEST_OPTIONS ?= -n 3 --dist worksteal --durations 15

check: setup-tests  ## Lint, format, types and import contracts, without the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup-tests  ## Format the code and mend what can be mended by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup-tests  ## Compile the two lock files anew from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml $(LOCK_OPTIONS) --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml $(LOCK_OPTIONS) --group dev --output-file requirements-dev.lock
LOCK_OPTIONS := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

clean:  ## Remove what set-up made (your data stays)
	rm -rf $(VENV) tests/model_server/node_modules tests/supabase_server/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Virtuous6 needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	    { echo "The venv module is missing: install it first (Debian, Ubuntu: apt-get install python3-venv)"; exit 1; }

# The command of this checkout, for any folder once .venv is activated.
$(BIN)/virtuous6: Makefile | $(VENV)/bin/python
	@printf '#!/bin/sh\nexec "%s/python" "%s/virtuous6.py" "$$@"\n' '$(abspath $(BIN))' '$(CURDIR)' > $@
	@chmod +x $@

$(VENV)/runtime.stamp: requirements.lock | $(VENV)/bin/python
	@echo "Installing the assistant (about 470 MB, once) ..."
	@$(PIP) -r requirements.lock
	@touch $@

$(VENV)/tests.stamp: requirements-dev.lock tests/model_server/package-lock.json tests/supabase_server/package-lock.json $(VENV)/runtime.stamp
	@echo "Installing what the tests need (about 700 MB, once) ..."
	@$(PIP) -r requirements-dev.lock
	@$(BIN)/python -m tests.model_server.install
	@$(BIN)/python -m tests.supabase_server.install
	@$(BIN)/python virtuous6.py model pull tiny
	@touch $@
