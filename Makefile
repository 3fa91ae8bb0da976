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

ifeq ($(strip $(CRIME_DATA_DIR)),)
LAKE := $(SAMPLE)
SETTINGS := CRIME_DATA_DIR=$(SAMPLE) CRIME_ARCHIVE_URL=$(SAMPLE)/archive \
	CRIME_LSOA_BOUNDARIES=$(SAMPLE)/boundaries/lsoas.parquet \
	CRIME_FORCE_BOUNDARIES=$(SAMPLE)/boundaries/force_areas.parquet \
	CRIME_FORCES=sample-dogger,sample-silverpit,sample-wellbank
else
LAKE := $(abspath $(CRIME_DATA_DIR))
SETTINGS :=
endif

.PHONY: help setup demo dev test test-fast check bench docs leaderboards lock format clean

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

demo: setup ## Run the main job on the (synthetic) sample and show the hottest cells
	@$(BIN)/python -m crime_assets.demo $(SAMPLE)

dev: setup ## Open the Dagster UI on http://127.0.0.1:3000
	@mkdir -p $(LAKE)/dagster && cp dagster.yaml $(LAKE)/dagster/
	@echo "Dagster UI on http://127.0.0.1:$(PORT), on the lake $(LAKE)"
	@$(SETTINGS) DAGSTER_HOME=$(LAKE)/dagster PATH="$(CURDIR)/$(BIN):$$PATH" \
		dagster dev --workspace workspace.yaml --host 127.0.0.1 --port $(PORT)

test: setup ## Run the whole test suite
	@$(BIN)/python -m pytest -n 2 --dist worksteal

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

docs: setup ## Build the documentation, strictly, into site/
	@DISABLE_MKDOCS_2_WARNING=true NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

leaderboards: setup ## Measure the baselines on the real data in DATA, and write the docs' page of it
	@$(BIN)/python docs/make_leaderboards.py --data $(DATA) $(if $(WORK),--work $(WORK))

lock: setup ## Lock the dependencies anew
	@PATH="$$PATH:$(CURDIR)/$(BIN)" uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --upgrade \
		--extra dev --extra docs --extra postgres --custom-compile-command "make lock" \
		--output-file requirements.lock pyproject.toml

format: setup ## Put the code into the project's style
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

clean: ## Remove the sample's lake
	rm -rf $(SAMPLE)
