# `make demo` and `make test` do all the set-up, from a fresh clone with Python >= 3.11 and make.
#   make PYTHON=/path/to/python3.12 demo    chooses the interpreter
#   make WORKERS=2 test                     chooses the number of test processes
#   make BENCHMARKS=moses MODEL=moses bench chooses the comparison and the model

VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= auto
MODEL ?= moses
# Those that measure a model and need nothing else; the others train, search for hours or want a data set: python -m benchmarks.NAME --help
BENCHMARKS ?= moses reconstruction conditioning heads speed

# The first interpreter that starts, is new enough and can make virtual environments.
USABLE := import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c '$(USABLE)' >/dev/null 2>&1 && { echo $$p; break; }; done)

PIP := $(BIN)/python -m pip --disable-pip-version-check
# One thread a process: several processes with a thread pool each slow one another down many times.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help venv install dev demo test test-slow lint format type cov bench clean distclean

help:
	@echo 'make demo       generate molecules with the shipped model: demo/candidates.csv, .sdf, report.html'
	@echo 'make test       format, lint, types, import layers, tests with coverage'
	@echo 'make test-slow  the tests marked slow'
	@echo 'make lint | format | type | cov | bench | venv | install | dev | clean | distclean'

$(BIN)/python:
	@python='$(PYTHON)'; \
	if [ -z "$$python" ] || ! "$$python" -c '$(USABLE)' >/dev/null 2>&1; then \
		echo "error: molvae needs Python 3.11 or newer with the venv module; found: $${python:-none}." >&2; \
		echo "Install it (Debian and Ubuntu: python3 and python3-venv), or name one: make PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi; \
	echo "creating $(VENV) with $$python"; \
	"$$python" -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "installing molvae and its requirements into $(VENV) (about a minute and 2 GB the first time)"
	$(PIP) install --quiet -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo "installing molvae and its requirements into $(VENV) (about a minute and 2 GB the first time)"
	$(PIP) install --quiet -e '.[dev]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-bench: pyproject.toml | $(BIN)/python
	@echo "installing molvae and its requirements into $(VENV) (about a minute and 2 GB the first time)"
	$(PIP) install --quiet -e '.[bench]'
	@touch $@

venv: $(BIN)/python
install: $(VENV)/.installed
dev: $(VENV)/.installed-dev

demo: install
	@mkdir -p demo
	$(BIN)/molvae generate --model moses -n 200 --target logp=2.5 --target qed=0.85 --seed 0 --unique --novel \
		-o demo/candidates.csv -o demo/candidates.sdf --report demo/report.html

test: lint type
	$(PYTEST) --cov --cov-report=term

test-slow: dev
	$(PYTEST) -m slow --timeout 600

lint: dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

format: dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

type: dev
	$(BIN)/mypy

cov: dev
	$(PYTEST) -m 'slow or not slow' --timeout 600 --cov --cov-report=term-missing

bench: $(VENV)/.installed-bench
	@set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name --model $(MODEL); done
	$(BIN)/python -m benchmarks.table

clean:
	rm -rf build dist demo .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find molvae tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
