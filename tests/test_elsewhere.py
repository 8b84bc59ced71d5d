"""A page that is opened alone, on Colab or downloaded: each brings what it needs, and works in an empty folder."""
import importlib.util
import json
from configparser import ConfigParser

import elsewhere
import openings
import pytest
import website
from conftest import ROOT, notebooks
from packaging.requirements import Requirement

BOOKS = [str(b) for b in notebooks()]
# ten short ones, two of them with stored runs; `make test-all` runs all
SAMPLE = [f'nbs/{b}.ipynb' for b in (
    '01_settings', 'glossary', 'gradient/distance', 'statistics/densify', 'orthogonal/bn_gradient', 'labels/losses',
    'labels/theorem', 'flow/pyramid', 'study/orthogonal', 'study/gradient_matching')]


def bringing(book) -> str: # Source of the cell that brings what is missing
    cells = json.loads((ROOT/book).read_text())['cells']
    at = [i for i, c in enumerate(cells) if c.get('id') == openings.BRING]
    first = next(i for i, c in enumerate(cells) if c['cell_type'] == 'code')
    assert at == [first], f'{book}: its first code is to bring what is missing; python tools/openings.py writes it'
    return ''.join(cells[first]['source'])


@pytest.mark.parametrize('book', BOOKS)
def test_every_page_brings_what_it_needs(book):
    "Before anything else; not in tests, and not shown on the site."
    page = book.removeprefix('nbs/').removesuffix('.ipynb')
    code = bringing(book)
    assert code == openings.bringing(page, json.loads((ROOT/book).read_text()))
    assert code.splitlines()[:2] == ['#| hide', '#| eval: false'] and max(map(len, code.splitlines())) <= 100


class Notes:
    "Instead of IPython: what it is asked to do."
    def __init__(self):
        self.asked = []
    def run_line_magic(self, *words):
        self.asked.append(words)
    def system(self, words):
        self.asked.append((words,))


NEEDS = 'dd_lit', 'fastcore', 'timm', 'pyarrow'


def brought(code, monkeypatch, there=()) -> list:
    "What a cell does, in a place where these packages are there and no others."
    notes, spec = Notes(), importlib.util.find_spec
    with monkeypatch.context() as m:
        m.setattr(importlib.util, 'find_spec', lambda name: spec(name) if name in there else None)
        exec(code, dict(get_ipython=lambda: notes))
    return notes.asked


def test_nothing_is_brought_where_all_is_there(monkeypatch, tmp_path):
    for book in ('nbs/05_augment.ipynb', 'nbs/study/orthogonal.ipynb', 'nbs/index.ipynb'):
        monkeypatch.chdir((ROOT/book).parent)
        assert brought(bringing(book), monkeypatch, NEEDS) == []


def test_what_is_missing_is_brought(monkeypatch, tmp_path):
    "A package that pip understands, with an extra that there is; a repository, and the way into it."
    monkeypatch.chdir(tmp_path)
    (pip, line), = brought(bringing('nbs/05_augment.ipynb'), monkeypatch)
    wanted = Requirement(line.removeprefix('install -q ').strip('"'))
    said = website.settings()
    assert pip == 'pip' and wanted.name == said['lib_name'] and wanted.url == f"git+{said['git_url']}"
    assert all(f'{e}_requirements' in said for e in wanted.extras)
    clone, (_, line), (cd, to) = brought(bringing('nbs/study/orthogonal.ipynb'), monkeypatch)
    assert clone == (f"git clone -q --depth 1 {said['git_url']}",) and line == 'install -q "./dd_lit[notebooks]"'
    assert (cd, to) == ('cd', '-q dd_lit/nbs/study')


@pytest.mark.parametrize('missing', NEEDS)
def test_one_thing_that_is_missing_is_enough(monkeypatch, missing):
    "The package without what its pages import is not enough."
    there = [n for n in NEEDS if n != missing]
    assert len(brought(bringing('nbs/05_augment.ipynb'), monkeypatch, there)) == 1


def test_pages_follow_the_settings(monkeypatch):
    "Another `user` or `repo` in settings.ini, and every page brings it from there."
    c = ConfigParser()
    c.read(ROOT/'settings.ini')
    c.read_dict(dict(DEFAULT=dict(user='somebody', repo='other')))
    monkeypatch.setattr(website, 'settings', lambda: dict(c['DEFAULT']))
    for book in BOOKS:
        page = book.removeprefix('nbs/').removesuffix('.ipynb')
        code = openings.bringing(page, json.loads((ROOT/book).read_text()))
        assert 'github.com/somebody/other' in code and 'dd-lit' not in code


@pytest.mark.parametrize('book', [pytest.param(b, marks=[] if b in SAMPLE else pytest.mark.slow) for b in BOOKS])
def test_alone(book):
    "In an empty folder, with the package installed; its stored runs come from this repository."
    wrong, _ = elsewhere.alone(book)
    assert not wrong, wrong


def test_a_page_that_needs_its_folder_fails(tmp_path):
    "The check finds a page that reads a file beside it."
    page = tmp_path/'beside.ipynb'
    cell = dict(cell_type='code', source=['open("images/a.png")'])
    page.write_text(json.dumps(dict(cells=[cell])))
    wrong, _ = elsewhere.alone(page)
    assert 'FileNotFoundError' in wrong


def test_the_sample_is_there():
    assert set(SAMPLE) <= set(BOOKS) and len(SAMPLE) == 10
