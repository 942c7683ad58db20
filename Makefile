# Two commands for a new machine: make quickstart, make test. Everything lives in .venv; nothing is installed elsewhere.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/pytest -n 2 --dist worksteal
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# EXAMPLES: changes of each kind of file that make fuzz tries.
# The stamps are remade when what they install from changes.
RUNTIME := $(VENV)/.runtime
DEVELOPMENT := $(VENV)/.development
E2E := $(VENV)/.e2e
MUTATION := $(VENV)/.mutation
SERVERS := .servers/.installed

EXAMPLES := 8000

.PHONY: quickstart up down test test-all test-unit test-flows test-e2e lint format types bench-updates bench-signal bench-gain study faults fuzz properties coverage mutants clean

quickstart: $(RUNTIME)  ## Set up, extract real text from what is installed, and find a mixture for it
	$(BIN)/python examples/quickstart/make_corpus.py
	$(BIN)/olmix run examples/quickstart/mix.yaml

up: $(RUNTIME) examples/quickstart/data  ## Start a Prefect server and a worker here, with everything deployed
	$(BIN)/python deployments/local.py up

down: $(RUNTIME)  ## End what make up started
	$(BIN)/python deployments/local.py down

test: $(DEVELOPMENT)  ## Set up, lint, check types and run the tests
	+$(MAKE) --no-print-directory -j 3 lint types test-all

test-all: $(DEVELOPMENT)  ## All tests but those of test-e2e, properties and fuzz
	$(PYTEST) -m "not e2e and not fuzz and not long" --ignore tests/e2e

test-unit: $(DEVELOPMENT)  ## The tests of olmix_core, tasks, benchmarks and pages
	$(PYTEST) -m "not e2e and not fuzz and not long" --ignore tests/e2e --ignore tests/flows

test-flows: $(DEVELOPMENT)  ## The tests of flows and the command line
	$(PYTEST) -m "not long" tests/flows

test-e2e: $(E2E) $(SERVERS)  ## Tests that need more than Python: a browser, servers
	$(BIN)/pytest -m e2e --durations 20

lint: $(DEVELOPMENT)  ## Check style and the layers of packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(DEVELOPMENT)  ## Put style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(DEVELOPMENT)  ## Check types
	$(BIN)/mypy

bench-updates: $(DEVELOPMENT) examples/quickstart/data  ## Five updates with real training (about an hour)
	$(BIN)/python -m benchmarks.bench_updates

bench-signal: $(DEVELOPMENT) examples/quickstart/data  ## Do proxies see mixtures or noise? (minutes)
	$(BIN)/python -m benchmarks.bench_signal

bench-gain: $(DEVELOPMENT) examples/quickstart/data  ## Do proposals gain what was predicted? (minutes)
	$(BIN)/python -m benchmarks.bench_gain

study: $(DEVELOPMENT)  ## What the proposal is worth to a larger model, on fourteen domains of Debian's text (hours)
	$(BIN)/python -m benchmarks.study

examples/quickstart/data: $(RUNTIME)
	$(BIN)/python examples/quickstart/make_corpus.py

bench-listing: $(SERVERS)

faults: $(DEVELOPMENT) $(SERVERS)  ## Kill, starve and confuse runs; nothing may be lost, repeated or wrong (an hour)
	$(BIN)/python -m benchmarks.bench_faults

fuzz: $(DEVELOPMENT)  ## Change files of every kind at random; each is read or refused in words (ten minutes)
	OLMIX_FUZZ_EXAMPLES=$(EXAMPLES) $(PYTEST) tests/olmix_core/test_fuzz.py --timeout 3600

properties: $(DEVELOPMENT)  ## Every property with many examples, and tests that take long (minutes)
	$(PYTEST) -m "(hypothesis or scaled or long) and not fuzz" --hypothesis-profile ci --ignore tests/e2e

coverage: $(E2E) $(SERVERS)  ## Which lines of olmix_core all tests together run (three quarters of an hour)
	$(PYTEST) -m "not e2e" --ignore tests/e2e --cov --cov-report=
	$(BIN)/pytest -m e2e --cov --cov-append --cov-report=term-missing:skip-covered

mutants: $(MUTATION)  ## Change the code that decides in a thousand ways: which changes do tests not see? (half an hour)
	$(BIN)/mutmut run
	$(BIN)/mutmut results

bench-%: $(DEVELOPMENT)  ## Run benchmarks/bench_%.py: prints tables, writes benchmarks/results
	$(BIN)/python -m benchmarks.bench_$(subst -,_,$*)

clean:  ## Remove what make, make up, the quickstart and the study left
	[ ! -x $(BIN)/python ] || $(BIN)/python deployments/local.py down
	rm -rf .server .servers mutants $(VENV) examples/*/data examples/*/.olmix

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "found Python %d.%d; expected 3.11 or later: make PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV) (some minutes the first time) ..."
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(E2E): pyproject.toml constraints.txt $(DEVELOPMENT)
	@command -v chromium >/dev/null || (apt-get update -qq && apt-get install -y -qq chromium >/dev/null) \
	  || (echo "found no chromium and could not install it: install Debian's package chromium" && exit 1)
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
	  || (apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql >/dev/null) \
	  || (echo "found no PostgreSQL and could not install it: install Debian's package postgresql" && exit 1)
	$(PIP) install --constraint constraints.txt --editable '.[dev,e2e]'
	@touch $@

$(MUTATION): pyproject.toml constraints.txt $(DEVELOPMENT)
	$(PIP) install --constraint constraints.txt --editable '.[dev,mutation]'
	@touch $@

$(SERVERS): tests/e2e/servers.txt  # apart: what they need is not what the project needs
	$(PYTHON) -m venv .servers
	.servers/bin/python -m pip --disable-pip-version-check --quiet install --requirement $<
	@touch $@

$(DEVELOPMENT): pyproject.toml constraints.txt $(RUNTIME)
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@
