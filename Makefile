# Two commands for a fresh machine: `make demo` and `make test`. Everything they need they install themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2

.PHONY: demo install test soak format artifacts clean

demo: $(VENV)/.runtime
	$(BIN)/chainsec demo $(DEMO)

install: $(VENV)/.runtime

test: $(VENV)/.development node_modules/.package-lock.json
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n $(JOBS) --dist worksteal $(TESTS)

# Random networks with random faults, as many as asked: make soak SOAK="--count 1000 --first 200"
soak: $(VENV)/.runtime
	$(BIN)/chainsec network soak $(SOAK)

artifacts: $(VENV)/.development node_modules/.package-lock.json
	$(BIN)/chainsec compile

format: $(VENV)/.development
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml requirements.lock | $(VENV)/bin/python
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check --constraint requirements.lock --editable .
	touch $@

$(VENV)/.development: pyproject.toml requirements.lock | $(VENV)/bin/python
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check --constraint requirements.lock --editable '.[dev]'
	touch $@ $(VENV)/.runtime

# Without npm the tests that need the compiler are skipped, and say so; under CI=true they fail.
node_modules/.package-lock.json: package.json package-lock.json
	@if command -v npm >/dev/null; then npm ci --no-audit --no-fund --loglevel=error; \
	else echo "npm is not installed: tests that need the Solidity compiler will be skipped"; fi

clean:
	rm -rf $(VENV) node_modules
