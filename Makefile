# The two commands of the README are `make demo` and `make test`; both set up .venv on their own.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
RUN    := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python
PIP    := $(BIN)/python -m pip install -q --disable-pip-version-check
export MPLBACKEND ?= Agg
# test files that need no training: `make test-fast` runs them besides the notebooks that a change touches
QUICK  := $(addprefix tests/test_,house changed lint repo packaging labels)

.PHONY: demo lab lint test test-fast test-all export notebooks readme docs clean help

help:
	@echo "make demo       distil digits, show what came out, compare with random images"
	@echo "make lab        JupyterLab on the notebooks"
	@echo "make lint       ruff and pyright"
	@echo "make test-fast  the notebooks that a change touches and the quick tests: under three minutes"
	@echo "make test       ruff and pyright, every notebook, every test"
	@echo "make test-all   the same and what takes longer: run it once before a release"
	@echo "make export     write dd_lit/ from the notebooks"
	@echo "make notebooks  run all notebooks in place and clean them (to commit their outputs); NB=nbs/x.ipynb for one"
	@echo "make readme     write README.md from nbs/index.ipynb"
	@echo "make docs       render the notebooks to _docs/ (a preview if Quarto is not installed)"

define CHECK
import configparser, sys
said = configparser.ConfigParser(delimiters=["="])
said.read("settings.ini")
low, high = (said["DEFAULT"][k + "_python"] for k in ("min", "max"))
have = sys.version_info[:2]
number = lambda v: tuple(map(int, v.split(".")))
words = "dd_lit needs Python %s to %s, this is %d.%d; say make PYTHON=..."
sys.exit(0 if number(low) <= have <= number(high) else words % (low, high, *have))
endef
export CHECK

$(VENV)/.base: settings.ini setup.py
	@$(PYTHON) -c "$$CHECK"
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: settings.ini setup.py
	@$(PYTHON) -c "$$CHECK"
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[dev]'
	@touch $(VENV)/.base $@

demo: $(VENV)/.base
	$(BIN)/dd_lit demo --out demo

# in a container: make lab LAB="--allow-root --ip 0.0.0.0 --no-browser"
lab: $(VENV)/.dev
	MATPLOTLIBRC=$(CURDIR)/nbs/matplotlibrc $(BIN)/jupyter lab nbs $(LAB)

lint: $(VENV)/.dev
	$(RUN) -m ruff check dd_lit bench tests tools setup.py
	$(RUN) -m pyright --pythonpath $(BIN)/python --project pyproject.toml dd_lit

test-fast: $(VENV)/.dev
	$(RUN) tools/test_notebooks.py --changed 60
	$(RUN) -m pytest -q -n logical --dist loadfile $(addsuffix .py,$(QUICK))

test: lint
	$(RUN) tools/test_notebooks.py
	$(RUN) -m pytest -q tests/test_ledger.py   # it measures time, so alone; the rest one per core
	$(RUN) -m pytest -q -n logical --dist loadfile tests --ignore tests/test_ledger.py

# each notebook on its own, with an empty cache; then what is marked slow, and many examples of every property
test-all: test
	$(RUN) tools/test_notebooks.py --alone
	$(RUN) -m pytest -q -n logical --dist loadfile -m 'slow or hypothesis' tests

export: $(VENV)/.dev
	$(BIN)/python tools/export.py

NB ?= $(shell find nbs -name '*.ipynb' -not -path '*/.*' | sort)
notebooks: export
	$(RUN) tools/run_notebooks.py $(NB)
	$(BIN)/python tools/openings.py
	$(BIN)/nbdev_clean

readme: $(VENV)/.dev
	$(BIN)/python tools/make_readme.py

docs: $(VENV)/.dev
	@if command -v quarto >/dev/null; then \
		rm -rf _proc && cp _quarto.yml nbs/_quarto.yml && PATH="$(abspath $(BIN)):$$PATH" $(BIN)/nbdev_proc_nbs && \
		$(BIN)/python tools/api_pages.py && $(BIN)/python tools/links.py && $(BIN)/python tools/website.py && \
		quarto render _proc --output-dir ../_docs; \
	else $(BIN)/python tools/preview_docs.py; fi

clean:
	rm -rf _proc _docs build dist *.egg-info demo runs
