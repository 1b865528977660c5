# Everything here works from a fresh checkout with Python 3.11 or newer, make and git: the first target that needs it makes .venv from the lock.
# `make` alone lists what there is.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
# The stamps say what was installed, and when; a newer lock or pyproject.toml installs anew.
RUNTIME     := $(VENV)/.installed-runtime
DEVELOPMENT := $(VENV)/.installed-development

# Where the tests and the bench may put their parameters: make test-long PYTEST_ARGS="-k kill"
PYTEST_ARGS ?=
# As many processes as there are cores; WORKERS=0 keeps all tests in one.
WORKERS     ?= logical
BENCH_ARGS  ?=
# Compiled modules are kept (`clean` takes them away): the processes that tests start would spend half their time on compiling.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test test-long lint types bench bench-pull wheel lock clean

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

install: $(RUNTIME) ## .venv with the connector in it, from the runtime lock

demo: $(RUNTIME) ## a HubSpot and a Salesforce with made-up people, the example's rules, live; no account needed
	@$(BIN)/connector demo

test: lint types ## linters, types, and all tests but the long ones
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal $(PYTEST_ARGS)

test-long: lint types ## the same, with the tests that take minutes
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal -m "long or not long" $(PYTEST_ARGS)

lint: $(DEVELOPMENT) ## ruff
	$(BIN)/ruff check .

types: $(DEVELOPMENT) ## mypy, strict
	$(BIN)/mypy

bench: $(DEVELOPMENT) ## what a pass costs, beside the least that it could cost; hours for all of it: BENCH_ARGS="--sizes 10000 --databases sqlite"
	$(BIN)/python bench/bench_pass.py $(BENCH_ARGS)

bench-pull: $(DEVELOPMENT) ## first pulls with the CRMs' limits in force: pace, calls, cost; beside dlt and tap-hubspot; BENCH_ARGS="big --scale 0.1"
	$(BIN)/python bench/bench_pull.py $(BENCH_ARGS)

wheel: $(RUNTIME) ## dist/*.whl
	$(BIN)/python -m hatchling build -t wheel

# For those who change dependencies: needs `uv` on the path. The only target that asks a package index for anything but the files in the lock.
UV_LOCK := uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock"

lock: ## the locks anew, from pyproject.toml (UV_ARGS=--upgrade takes the newest)
	$(UV_LOCK) $(UV_ARGS) --group build --output-file requirements.txt
	$(UV_LOCK) $(UV_ARGS) --group dev --constraints requirements.txt --output-file requirements-dev.txt

clean: ## all that was made here, .venv too
	rm -rf $(VENV) bench/.others dist build demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find connector migrations tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp, not the interpreter: a venv that failed half-way has one all the same.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(RUNTIME): requirements.txt pyproject.toml | $(VENV)/.made
	$(PIP) install --require-hashes -r requirements.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# It holds all that the other has, at the same versions.
$(DEVELOPMENT): requirements-dev.txt pyproject.toml | $(VENV)/.made
	$(PIP) install --require-hashes -r requirements-dev.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $(RUNTIME) $@
