# The two commands of the README are `make demo` and `make test`; both set up .venv on their own.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
export MPLBACKEND ?= Agg

.PHONY: demo test test-all export notebooks readme docs clean help

help:
	@echo "make demo       distil digits, show what came out, compare with random images"
	@echo "make test       run every notebook and every test"
	@echo "make test-all   the same and what takes longer: run it once before a release"
	@echo "make export     write dd_lit/ from the notebooks"
	@echo "make notebooks  run all notebooks in place and clean them (to commit their outputs); NB=nbs/x.ipynb for one"
	@echo "make readme     write README.md from nbs/index.ipynb"
	@echo "make docs       render the notebooks to _docs/ (a preview if Quarto is not installed)"

$(VENV)/.base: settings.ini setup.py
	@$(PYTHON) -c 'import sys; v=sys.version_info[:2]; sys.exit(0 if (3,10)<=v<=(3,13) else "dd_lit needs Python 3.10 to 3.13, this is %d.%d; say make PYTHON=..." % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(VENV)/.base
	$(BIN)/dd_lit demo --out demo

test: $(VENV)/.dev
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tools/test_notebooks.py
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -q tests/test_ledger.py   # it measures time, so alone; the rest one per core
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -q -n logical --dist loadfile tests --ignore tests/test_ledger.py

test-all: test
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -q -m slow tests

export: $(VENV)/.dev
	$(BIN)/nbdev_export

NB ?= $(shell find nbs -name '*.ipynb' -not -path '*/.*' | sort)
notebooks: export
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tools/run_notebooks.py $(NB)
	$(BIN)/python tools/openings.py
	$(BIN)/nbdev_clean

readme: $(VENV)/.dev
	$(BIN)/python tools/make_readme.py

docs: $(VENV)/.dev
	@if command -v quarto >/dev/null; then rm -rf _proc && cp _quarto.yml nbs/_quarto.yml && PATH="$(abspath $(BIN)):$$PATH" $(BIN)/nbdev_proc_nbs && $(BIN)/python tools/api_pages.py && $(BIN)/python tools/links.py && cp references.bib nbs/favicon.svg _proc/ && quarto render _proc --output-dir ../_docs; \
	else $(BIN)/python tools/preview_docs.py; fi

clean:
	rm -rf _proc _docs build dist *.egg-info demo runs
