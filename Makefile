# make study: set up, run the default study, print the path of the report.   make test: set up, run the tests.
PYTHON ?= python3
WORKERS ?= 3
VENV := .venv
BIN := $(VENV)/bin
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
STUBS := grpclab/generated
PURE := analysis load.core http2 link.model
PURE_TESTS := $(addprefix tests/unit/,analysis load http2 link study/test_replication.py)
PROTOC = $(BIN)/python -m grpc_tools.protoc -I$(STUBS)=proto --python_out=$(1) --pyi_out=$(1) --grpc_python_out=$(1) proto/greet.proto

.PHONY: study test long coverage check format stubs guides docs publish clean help

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

study: $(VENV)/.lab  ## compare basic with optimized and write the report
	@$(BIN)/grpclab doctor
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/papermill notebooks/sweep.ipynb out.ipynb -p requests 2500
	@echo "report: $$(ls -t "$(CURDIR)"/reports/*.html | grep -v '/index.html$$' | head -n 1)"

# Where this is set, every process would compile the modules anew.
test long coverage: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/.dev  ## run the tests, three at a time (WORKERS=4: four)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -n $(WORKERS)

long: $(VENV)/.dev  ## run the long tests, which make test leaves out
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -m long $(ARGS)

coverage: $(VENV)/.dev  ## measure test coverage of the pure packages; fail below 90%
	$(BIN)/pytest -q -n 2 $(PURE_TESTS) $(PURE:%=--cov=grpclab.%) --cov-report=term:skip-covered --cov-fail-under=90

check: $(VENV)/.dev  ## run ruff and mypy; check notebooks, wording and generated stubs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/nbstripout --verify $(NOTEBOOKS)
	$(BIN)/python -m tools.words
	@fresh=$$(mktemp -d) && $(call PROTOC,"$$fresh") && diff -r "$$fresh/$(STUBS)" $(STUBS) -x __init__.py -x __pycache__ \
	  && rm -r "$$fresh" && echo "stubs match proto/"

format: $(VENV)/.dev  ## format the code and strip the notebooks
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout $(NOTEBOOKS)

stubs: $(VENV)/.dev  ## generate the stubs from proto/
	$(call PROTOC,.)

guides: $(VENV)/.lab  ## update generated numbers, tables and schemas
	$(BIN)/python -m tools.guides
	$(BIN)/python -m tools.metrics_page
	$(BIN)/python -m tools.schemas

docs: $(VENV)/.docs  ## build the documentation site in site/, offline
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict --site-dir site
	@echo "site: python -m http.server -d site"

publish: docs  ## build site/ for the pages workflow

clean:  ## remove the virtual environment and caches (never results or reports)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis out.ipynb site

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
	  f"Python {sys.version.split()[0]} is too old: 3.11 or newer is needed (make PYTHON=python3.12 ...)")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.lab: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all]'
	@touch $@

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all,docs]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@
