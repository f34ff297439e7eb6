# Everything runs in .venv, made here from nothing; only Python 3.11 or newer is needed.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo test quality docs audit fuzz kills clean

# Generated clips -> a trained, evaluated model, in minutes, without any download but the packages.
demo: $(INSTALLED)
	$(BIN)/python scripts/demo.py --output demo_output

test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

quality: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation as a site, in site/; a broken link or a name that is not there stops it.
docs: $(INSTALLED)
	$(BIN)/mkdocs build --clean --strict --quiet

# Known holes in what is installed; needs the internet.
audit: $(INSTALLED)
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/python -m pip_audit --skip-editable

# Mutated clips through decoder and processor: make fuzz MINUTES=10
MINUTES ?= 60
fuzz: $(INSTALLED)
	$(BIN)/python tests/fuzz.py --minutes $(MINUTES) --keep fuzz_findings

# Jobs killed at random moments, then run to their end: make kills KILLS=10
KILLS ?= 50
kills: $(INSTALLED)
	$(BIN)/python tests/kills.py --kills $(KILLS)

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv demo_output fuzz_findings build dist site
