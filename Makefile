PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
export OMP_WAIT_POLICY = passive

.PHONY: env demo test test-all quick-tests all-tests test-lowest lint docs wheel clean

env: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[app,demo,face,efficientnet,ray,heif,jxl,seal,figures,test]'
	$(BIN)/python -m compileall -q src
	touch $@

demo: env
	$(BIN)/trainedon demo

# One thread a worker: two workers share two cores, and small networks are slower on more. Modules are compiled once, not
# by every process that a test starts.
quick-tests all-tests test-lowest: export OMP_NUM_THREADS = 1
unexport PYTHONDONTWRITEBYTECODE

# Lint keeps one core busy for a while, so it runs beside the tests.
test: env
	$(MAKE) --no-print-directory -j 2 lint quick-tests

# With what takes long: Ray's workers, trainings, coverage by repetition, a browser.
test-all: env
	$(MAKE) --no-print-directory -j 2 lint all-tests

quick-tests: env
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

all-tests: env
	$(BIN)/python -m pytest -n 2 --dist worksteal

# The oldest versions that pyproject.toml allows; libraries of then warn of much.
test-lowest: .venv-lowest/ready
	.venv-lowest/bin/python -m pytest -n 2 -o filterwarnings=ignore tests/pictures tests/targets tests/evidence tests/hostile tests/test_cli.py

.venv-lowest/ready: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-lowest.txt -e '.[demo,heif,jxl,test]'
	touch $@

lint: env
	$(BIN)/ruff check src tests benchmarks examples .github
	$(BIN)/ruff format --check src tests benchmarks examples .github
	$(BIN)/mypy

# The site, in build/site: index.html can be opened as it is. (With --quiet mkdocs would not count its warnings.)
docs: .venv-docs/ready
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

.venv-docs/ready: constraints-docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-docs.txt mkdocs-material 'mkdocstrings[python]' ruff
	touch $@

# One file that can be installed elsewhere, in dist. What an earlier build left would get into it.
wheel: env
	rm -rf build/lib
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

clean:
	rm -rf .venv .venv-lowest .venv-docs build dist src/*.egg-info trainedon-demo
