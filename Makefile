# make demo   install, then the main job on the embedded data set
# make test   install, then the whole test suite
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin

.PHONY: demo test lint benchmark clean install

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Pumice needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,docs,synthesis]'
	mkdir -p $(VENV)/src && ln -sfn ../.. $(VENV)/src/pumice  # where mypy finds the package, whatever this folder is called
	touch $@

demo: install
	$(RUN)/pumice run

test: install
	$(RUN)/ruff check .
	$(RUN)/python -m pytest

lint: install
	$(RUN)/ruff check . && $(RUN)/ruff format --check .

clean:
	rm -rf $(VENV) build dist *.egg-info
