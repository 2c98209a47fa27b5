# Two commands: `make up` runs the system, `make test` proves it. Both set up what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SYNCED := $(VENV)/.synced
STUBS := gen/descriptors.binpb
UV := $(BIN)/uv
WORKERS ?= 2

.PHONY: up test lint types imports contract tests setup format lock clean
.DELETE_ON_ERROR:

up: setup
	@exec $(BIN)/sfa up

test: lint types imports contract tests

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

# A contract that was released is never broken: the last tag is what others have built upon.
contract: setup
	$(BIN)/buf lint $(STUBS)
	$(BIN)/python protos/check_released.py

tests: setup
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

setup: $(SYNCED) $(STUBS)

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The environment: pip installs uv, uv installs the rest, everything by hash.
$(SYNCED): pyproject.toml requirements.lock requirements-uv.lock protos/build_hook.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or later is needed and $(PYTHON) is not: say which one is with make PYTHON=python3.12"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "Making $(VENV) ..."; $(PYTHON) -m venv $(VENV); } || \
	  { echo "$(PYTHON) cannot make a virtual environment: install its venv module (Debian: python3-venv)."; exit 1; }
	@echo "Installing dependencies ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# The installation generates the stubs too; this is for a proto that changed since. Folders are
# among the prerequisites so that a proto that was removed is noticed.
$(STUBS): $(shell find protos -name '*.proto' -o -type d ! -name __pycache__) | $(SYNCED)
	@echo "Generating stubs ..."
	@$(BIN)/python protos/build_hook.py
	@touch $@

# Resolves the dependencies of pyproject.toml anew. No address of a package index is written.
LOCK := pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	--no-emit-index-url --no-header --no-annotate
lock: setup
	$(UV) $(LOCK) --extra dev pyproject.toml --output-file requirements.lock
	echo uv | $(UV) $(LOCK) - --output-file requirements-uv.lock

clean:
	rm -rf $(VENV) gen .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
