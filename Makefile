# make demo        install, then the main job on the embedded data set
# make test        install, then what `make lint` checks, then the whole test suite, shared by two processes (WORKERS=0: one)
# make thorough    the same with whole runs of every family and more random examples, half an hour
# make lint        style, the law of imports, types
# make types       the type checker
# make docs        the documentation as a site in site/, to be read without a network
# make mutation    plant small faults one at a time in a copy, and see which tests notice (FAULTS: options of its runner)
# make benchmark   every benchmark at a small size (SIZE=full: the sizes of the documentation)
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin
SIZE ?= small
WORKERS ?= 2
BENCHMARKS := growth products scan spikingssm quantized_scan adlif training_step qat_step fine_tuning simulator streaming onnx_models c lava
CHECKS := style imports types

.PHONY: demo test thorough lint ready style imports types docs mutation benchmark clean install

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Pumice needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,docs,dev,synthesis]'
	mkdir -p $(VENV)/src && ln -sfn ../.. $(VENV)/src/pumice  # where mypy finds the package, whatever this folder is called
	touch $@

demo: install
	$(RUN)/pumice run

test: install
	$(MAKE) --jobs 2 lint ready
	$(RUN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

thorough: install
	$(MAKE) --jobs 2 lint ready
	$(RUN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m 'not slow'

lint: $(CHECKS)

# While types are checked on one core: what every process of the tests would do anew, reading them and compiling kernels.
# Failures are the suite's to tell.
ready: install
	-$(RUN)/python -m pytest --collect-only -q -m '' >/dev/null 2>&1
	-$(RUN)/python -m pytest -q tests/quantize/test_simulated.py >/dev/null 2>&1

style: install
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .

imports: install
	PYTHONPATH=$(VENV)/src $(RUN)/lint-imports

types: install
	$(RUN)/mypy

docs: install
	NO_MKDOCS_2_WARNING=1 $(RUN)/mkdocs build --strict

mutation: install
	$(RUN)/python tests/mutation/run.py $(FAULTS)

benchmark: install
	for name in $(BENCHMARKS); do $(RUN)/python benchmarks/$$name.py --size $(SIZE) || exit 1; done

clean:
	rm -rf $(VENV) build dist site *.egg-info
