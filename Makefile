# Every target needs python3 (3.11 or newer) and make, nothing else; `demo` and `test` also need Toxiproxy, which
# comes by itself where Go or a Docker engine is there; `bench` and `concurrency` need wrk.
# Packages come from wherever the user's pip is told to look.

PYTHON       ?= python3
VENV         := .venv
PY           := $(VENV)/bin/python
STAMP        := $(VENV)/.setup-done
PIP_INSTALL  := $(PY) -m pip install --quiet --disable-pip-version-check

DEMO_ARGS    ?= matrix --quick --out out/demo
MATRIX_ARGS  ?= matrix --out out/matrix
# For example: make matrix-bank MATRIX_BANK_ARGS='matrix --service bank --database postgresql'
MATRIX_BANK_ARGS ?= matrix --service bank --out out/matrix-bank
BUGS_ARGS    ?=
SOAK_MINUTES ?= 60
FUZZ_SECONDS ?= 600
# For example: make fuzz FUZZ_ARGS='--target front --keep'
FUZZ_ARGS    ?=
# For example: make soak SOAK_MINUTES=5 SOAK_ARGS='--store sqlite --seed 7'
SOAK_ARGS    ?=
# For example: make contrast CONTRAST_ARGS='--database sqlite', where there is no PostgreSQL
CONTRAST_ARGS ?=
# For example: make live LIVE_ARGS='--port 0 --store postgres'
LIVE_ARGS    ?=
TEST_PATHS   ?= tests/unit tests/contract tests/stores tests/library tests/integration tests/io tests/hard tests/fuzz tests/browser tests/bugs \
                tests/docs
TEST_ARGS    ?=
# Which long repetitions run with the tests: none of them; or of each test one in twelve, as .ci/run has it, another one for
# each seed: make test TEST_LONG='--long-one-in 12'
TEST_LONG    ?= -m 'not long'
# Most tests wait most of the time, so more processes than cores pay. What must stay together, and what begins first,
# stands in tests/support/side_by_side.py. TEST_SIDE_BY_SIDE= runs one test after the other.
TEST_SIDE_BY_SIDE ?= -n 6 --dist loadgroup --no-loadscope-reorder
# For example: make bench BENCH_ARGS='--only writes identity'
BENCH_ARGS   ?=
# For example: make docs-check DOCS_ARGS=docs/tour/5-crash.md; make docs-check UPDATE=1 writes what came out into the pages
DOCS_ARGS    ?=
UPDATE       ?=
# For example: make requirements PIN_ARGS=--upgrade
PIN_ARGS     ?=

# Bytecode is kept, whatever the environment says: a few thousand Python processes are started here, and each would
# compile all of it anew. `make clean` removes it.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup toxiproxy docs docs-check demo live matrix matrix-bank bugs soak fuzz sbom audit contrast bench bench-quick concurrency test test-long test-all test-unit lint format images \
  images-offline up up-bank up-postgres up-etcd down logs requirements clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## Make .venv with the hash-pinned requirements and this package

# pyproject.toml and requirements/dev.txt decide what is installed; while neither changes, nothing is done.
$(STAMP): requirements/dev.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo 'setup: there is no $(PYTHON); Python 3.11 or newer is needed' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and \
	  f"setup: Python 3.11 or newer is needed, $(PYTHON) is {v[0]}.{v[1]}; try: make setup PYTHON=python3.13")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo 'setup: $(PYTHON) has no venv module; on Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@test -x $(PY) || { echo 'setup: making $(VENV)'; $(PYTHON) -m venv $(VENV); }
	@echo 'setup: installing the pinned requirements (10 to 60 seconds)'
	@$(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
	@echo 'setup: done'

toxiproxy: setup ## Find or build the Toxiproxy server (about 40 seconds the first time)
	@$(PY) -m chaos.runtime.toxiproxy >/dev/null

demo: setup toxiproxy ## Break OnceKV on purpose and print what each semantics kept (a selection, a minute)
	@$(PY) -m chaos $(DEMO_ARGS)

live: setup toxiproxy ## Watch calls, break them, step through them: a page at an address of its own, until Ctrl-C
	@$(PY) -m chaos live $(LIVE_ARGS)

bench: setup ## Measure against etcd, Flask and SQLite alone, below ten minutes (needs wrk)
	@$(PY) -m bench $(BENCH_ARGS)

bench-quick: setup ## The same with fewer rounds and smaller stores, below two minutes
	@$(PY) -m bench --effort quick $(BENCH_ARGS)

concurrency: setup ## Threads and events side by side: what the lecture claims, measured (needs wrk)
	@$(PY) -m bench concurrency $(BENCH_ARGS)

matrix: setup toxiproxy ## Every scenario against every semantics (three minutes)
	@$(PY) -m chaos $(MATRIX_ARGS)

matrix-bank: setup toxiproxy ## The same against the bank, the library's example, on SQLite (four minutes)
	@$(PY) -m chaos $(MATRIX_BANK_ARGS)

bugs: setup toxiproxy ## Plant 36 bugs, one at a time: each must be caught (five minutes)
	@$(PY) -m tests.bugs $(BUGS_ARGS)

soak: setup toxiproxy ## A mixed load and faults at random for SOAK_MINUTES, an hour by default: is anything lost, does anything grow
	@$(PY) -m chaos soak --minutes $(SOAK_MINUTES) $(SOAK_ARGS)

fuzz: setup ## Bytes and bodies by coverage for FUZZ_SECONDS each, ten minutes by default (needs atheris: Linux on x86-64)
	@$(PY) -m tests.fuzz --seconds $(FUZZ_SECONDS) $(FUZZ_ARGS)

sbom: ## Write what the images install, in CycloneDX, to out/sbom
	@$(PYTHON) scripts/sbom.py out/sbom

audit: ## Ask for known advisories against every pinned version (exit code 3: none could be asked for)
	@scripts/audit

contrast: setup toxiproxy ## Five usual ways to make a view retry-safe beside ours, under the same faults (three minutes)
	@$(PY) -m tests.bugs contrast $(CONTRAST_ARGS)

docs-check: setup toxiproxy ## Run every command of the tour, and compare with what it shows (a minute)
	@$(PY) -m tests.docs $(if $(UPDATE),--update) $(DOCS_ARGS)

# An environment of its own: three dozen packages that nothing else here needs. Once it is there, no network is needed.
DOCS_STAMP := .tools/docs/.setup-done

$(DOCS_STAMP): requirements/docs.txt
	@echo 'docs: getting Sphinx into .tools/docs'
	@$(PYTHON) -m venv .tools/docs
	@.tools/docs/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	@touch $@

docs: $(DOCS_STAMP) ## Build the pages as a site, in out/site
	@scripts/site out/site

images: setup ## Build the container images (local stand-ins for the bases where no registry can be reached)
	@scripts/images

images-offline: setup ## Build the local stand-ins of the public base images, and write their names to .env
	@scripts/images-offline

up: images ## Start three servers, Toxiproxy and two clients in containers (docker compose up)
	@scripts/compose-up

up-bank: ## The same with the profile `bank`: PostgreSQL, the bank with two processes, a client of its own
	@scripts/images bank
	@scripts/compose-up bank

up-postgres: ## The same with the profile `postgres`: three servers on a PostgreSQL with a synchronous standby
	@scripts/images postgres
	@scripts/compose-up postgres

up-etcd: ## The same with the profile `etcd`: three servers on a cluster of three members
	@scripts/images etcd
	@scripts/compose-up etcd

down: ## Remove the containers and networks of `make up` and its profiles; the data stay
	@docker compose --profile '*' down --timeout 10

logs: ## Follow what the clients in the containers do and are told
	@docker compose logs --follow --no-log-prefix c1 c2

test: setup toxiproxy ## Run the tests: unit, contract, integration, browser, some of the planted bugs (ten minutes on two cores)
	@$(PY) -m pytest $(TEST_SIDE_BY_SIDE) $(TEST_LONG) $(TEST_PATHS) $(TEST_ARGS)

test-long: setup toxiproxy ## Run what `test` leaves out with the same ONCEKV_SEED: more cells, bugs and storms, the other model
	@$(PY) -m pytest $(TEST_SIDE_BY_SIDE) -m long $(TEST_PATHS) $(TEST_ARGS)

test-all: setup toxiproxy ## Run both in one run
	@$(PY) -m pytest $(TEST_SIDE_BY_SIDE) $(TEST_PATHS) $(TEST_ARGS)

test-unit: setup ## Run the unit tests alone (no Toxiproxy)
	@$(PY) -m pytest tests/unit $(TEST_ARGS)

lint: setup ## Check style, format, types and layers
	@echo 'lint: ruff check';  $(PY) -m ruff check --quiet .
	@echo 'lint: ruff format'; $(PY) -m ruff format --check --quiet .
	@echo 'lint: mypy';        $(PY) -m mypy
	@echo 'lint: layers';      $(VENV)/bin/lint-imports --no-logo 2>&1

format: setup ## Format the code and mend what can be mended
	@$(PY) -m ruff check --fix --quiet . ; $(PY) -m ruff format .

# uv, because its pins hold for every Python and platform at once (pip-compile pins for the one it runs on). It is
# needed here only, so it gets an environment of its own; it looks for packages where UV_DEFAULT_INDEX says.
PIN := .tools/pin/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --strip-extras --quiet --custom-compile-command 'make requirements' $(PIN_ARGS)

# What an image gets by two of these files it gets in one version: that of runtime.txt.
requirements: ## Pin requirements/*.in again (PIN_ARGS=--upgrade takes newer versions)
	@test -x .tools/pin/bin/uv || { echo 'requirements: getting uv'; $(PYTHON) -m venv .tools/pin && \
	  .tools/pin/bin/python -m pip install --quiet --disable-pip-version-check uv; }
	@for name in runtime postgresql bank otel dev docs audit; do echo "requirements: pinning requirements/$$name.txt"; \
	  same=; [ $$name = runtime ] || same='--constraint requirements/runtime.txt'; \
	  $(PIN) $$same --output-file requirements/$$name.txt requirements/$$name.in || exit 1; done

clean: ## Remove what these targets made: the containers' data, .venv, .tools, out, caches
	@scripts/clean-containers
	@rm -rf $(VENV) .tools out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build
	@find . -name '*.egg-info' -prune -exec rm -rf {} + ; find . -name __pycache__ -prune -exec rm -rf {} +
