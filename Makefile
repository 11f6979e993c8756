# Two commands for everybody: `make run` (the demo) and `make test` (everything CI runs). Paths are relative throughout, so that
# the folder may have any name.
SHELL := /bin/bash
PYTHON ?= python3
PY := .venv/bin/python
export PYTHONSAFEPATH := 1
export CONTRAIL_EMULATOR_BACKENDS ?= 1

.PHONY: run test lint types unit coverage peers backends nightly fast clean

run: .venv/installed
	@$(PY) -m contrail_emulator demo

.venv/installed: pyproject.toml setup.py
	@tools/make_venv.sh "$(PYTHON)" '.'
	@touch $@

.venv/installed-tests: .venv/installed pyproject.toml
	@tools/make_venv.sh "$(PYTHON)" '.[test]'
	@touch $@

peers:
	@tools/peers.sh

test: .venv/installed-tests peers backends lint types unit

lint: .venv/installed-tests
	@.venv/bin/ruff check .
	@.venv/bin/lint-imports --no-cache

# mypy runs from src/: at the root our folder dns/ would hide dnspython.
types: .venv/installed-tests
	@cd src && ../.venv/bin/mypy --config-file ../pyproject.toml --cache-dir ../.mypy_cache contrail_emulator ../tests ../benchmarks ../examples

# A real Cassandra from Maven Central (66 MB, once; CONTRAIL_EMULATOR_BACKENDS=0 leaves out the tests with real back ends).
backends: .venv/installed-tests peers
	@[ "$(CONTRAIL_EMULATOR_BACKENDS)" != 1 ] || $(PY) -m contrail_emulator.config.testing.cassandra fetch || \
	    echo "make: no Cassandra; this skips: configuration over Cassandra" >&2

# Four workers on two cores: a good part of the suite waits for real routers.
unit: .venv/installed-tests
	@$(PY) -m pytest -n 4 --dist loadgroup

coverage: .venv/installed-tests
	@$(PY) -m coverage run -m pytest
	@.venv/bin/coverage report --skip-covered --sort=cover

# A million hostile BGP messages, random walks through BGP sessions, and the other parsers' fuzzing with a seed of its own.
NIGHTLY_SEED ?= $(shell date +%Y%m%d)
nightly: .venv/installed-tests
	@$(PY) tests/control/bgp/wire/fuzzing.py --cases 1000000 --seed $(NIGHTLY_SEED)
	@$(PY) tests/control/bgp/session/walks.py --walks 20000 --seed $(NIGHTLY_SEED)
	@$(PY) -m pytest -q -n 4 --timeout=600 --hypothesis-profile=nightly --hypothesis-seed=$(NIGHTLY_SEED) \
	    tests/control tests/dns tests/vrouter_model tests/config

# The hot modules compiled by mypyc, in an environment of their own, and their rooms' tests against them.
fast:
	@tools/make_fast.sh "$(PYTHON)"
	@.venv-fast/bin/python -m pytest -q -p no:cacheprovider -n 2 tests/control

clean:
	rm -rf .venv .venv-fast build dist .mypy_cache .pytest_cache .ruff_cache .coverage src/*.egg-info
