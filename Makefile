# Everything a developer or a user runs; needs make, Python 3.11 or later, and pip.
SHELL := /bin/sh
BIN := .venv/bin
STAMP := .venv/.installed
# Libraries whose checkpoints the tests make; in a folder of their own, which only those tests see.
PRODUCERS := .venv/producers
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
# Three test processes for two cores: a third of a test's time is waiting, for servers and for children.
JOBS ?= 3
# Each test process gets one thread for PyTorch and polars: more would fight over the cores.
THREADS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 POLARS_MAX_THREADS=1
# Its line about a successor would stand above every build.
export NO_MKDOCS_2_WARNING := 1

.PHONY: help install demo serve browser test test-slow check docs format image-check clean
help:  ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' $(MAKEFILE_LIST)

install: $(STAMP) $(PRODUCERS)/.installed  ## Set up .venv with everything at its locked version

$(STAMP): pyproject.toml requirements.lock
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or later is needed; name it with make PYTHON=/path/to/python3'; exit 1; }
	@test -x $(BIN)/python || { echo "making .venv with $(PYTHON)"; $(PYTHON) -m venv .venv 2>/dev/null \
		|| { rm -rf .venv; $(PYTHON) -m venv --without-pip .venv && $(PYTHON) -m pip --python $(BIN)/python install -q pip; }; }
	$(BIN)/python -m pip install -q -c requirements.lock -e '.[worker,local,dev]'
	@touch $(STAMP)

$(PRODUCERS)/.installed: requirements-producers.txt | $(STAMP)
	rm -rf $(PRODUCERS)
	$(BIN)/python -m pip install -q --no-deps --target $(PRODUCERS) -r requirements-producers.txt
	@touch $@

demo: $(STAMP)  ## Start everything, train on real data, inspect, compare
	$(BIN)/caliper demo

serve: $(STAMP)  ## Start API, worker, database and queue on this machine
	$(BIN)/caliper serve

browser:  ## Install the Chromium that the pages are tested in, where there is none
	@command -v "$${CALIPER_CHROMIUM:-chromium}" || { test "$$(id -u)" = 0 || sudo=sudo; \
		$$sudo apt-get update -q && $$sudo apt-get install -q -y --no-install-recommends chromium; }

test: $(STAMP) $(PRODUCERS)/.installed  ## Run the suite but for what takes long
	$(THREADS) $(BIN)/python -m pytest -n $(JOBS) -m 'not slow'

test-slow: $(STAMP) $(PRODUCERS)/.installed  ## Run the long rest: real processes killed, policies trained to the end
	$(THREADS) $(BIN)/python -m pytest -n 2 -m slow

check: $(STAMP)  ## Format, lint, types, architecture, the documentation's links, known vulnerabilities
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict --quiet
	$(BIN)/python .ci/audit

docs: $(STAMP)  ## Build the documentation, serve it at http://127.0.0.1:8401, build again what changes
	$(BIN)/mkdocs serve --strict --dev-addr 127.0.0.1:8401

format: $(STAMP)  ## Format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

image-check: $(STAMP)  ## Repeat the API image's steps in a fresh environment, without a container engine
	$(BIN)/python .ci/image-steps

clean:  ## Remove .venv and every cache; keeps .caliper, which holds your data
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
