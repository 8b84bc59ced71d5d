"""The house: floors and arrows, short functions and lines, one meaning for a name, a test for every name.

`python tools/house.py` prints what breaks a rule. While something is being rebuilt, tests/house_left.yml may list what
is known to be left; the list only shrinks (`python tools/house.py --keep` strikes what has been mended).
"""
import ast
import re

import house
import pytest
from conftest import ROOT

@pytest.mark.parametrize('rule', house.RULES)
def test_rule(rule):
    known, bad = set(house.left().get(rule, [])), set(house.RULES[rule]())
    assert not (new := bad - known), f'{rule}: ' + '\n'.join(sorted(new))
    assert not (mended := known - bad), f'mended, so run python tools/house.py --keep: {sorted(mended)}'


def test_the_list_names_rules():
    assert set(house.left()) <= set(house.RULES) and all(house.left().values())


def test_exceptions_are_in_use():
    "Whoever is excused exists: a table of exceptions that outlives them hides the next one."
    names = [f'{house.name_of(p)}.{n}' for p, t in house.sources().items() for n, _ in house.functions(t)]
    assert not [k for k in house.MANY if not any(re.fullmatch(k, n) for n in names)]


# --- What the checks find, on modules that are not there ---

FILES = {
    'core': 'def show():\n    import timm\n    import io',
    'train': 'from .core import show\nimport importlib\ndef fit():\n    importlib.import_module("dd_lit.compare")',
    'compare': 'from dd_lit.train import fit\n__all__ = ["fit"]\ndef fit(a, b, c, d, e, f, g, h, i): pass',
    'orthogonal.polar': 'from ..core import show\n__all__ = ["fit"]\ndef _f64(): pass',
    'orthogonal.muon': 'from .polar import _f64',
    'flow.sfm': 'from ..orthogonal.polar import _f64',
    'labels.soft': 'from ..orthogonal import polar\nfrom ..flow import sfm',
    'attic': 'def f(x):\n    raise ValueError(f"x: expected y, got {x!r}")',
    'cli': 'def cmd_show():\n    import dd_lit.core',
    'method': f'def get_method():\n    __import__("x")\ndef long():\n{"    pass" + chr(10)}{("    pass" + chr(10))*39}',
}


@pytest.fixture
def made(monkeypatch):
    "The checks, looking at FILES."
    trees = {f'dd_lit/{m.replace(".", "/")}.py': ast.parse(s) for m, s in FILES.items()}
    monkeypatch.setattr(house, 'sources', lambda folder='dd_lit': trees if folder == 'dd_lit' else {})
    cached = [f for f in vars(house).values() if hasattr(f, 'cache_clear')]
    for f in cached:
        f.cache_clear()
    yield house
    for f in cached:
        f.cache_clear()


def test_circles_and_arrows_are_found(made):
    assert made.graph()['labels.soft'] == {'orthogonal.polar', 'flow.sfm'}
    assert made.circles() == ['compare <-> train']
    # what needs the ground floor only may be read from everywhere: orthogonal.polar and, by it, flow.sfm
    assert made.light('orthogonal.muon') and made.arrows_up() == ['train -> compare']
    assert made.strangers() == ['attic']
    assert made.insides() == ['flow.sfm takes orthogonal.polar._f64']


def test_imports_in_functions_are_found(made):
    assert made.late_imports() == ['core.show: import io', "train.fit: importlib.import_module('dd_lit.compare')"]


def test_size_and_names_are_found(made):
    assert made.long_functions() == ['dd_lit/method.py: long']
    assert made.many_parameters() == ['compare.fit']
    assert made.two_meanings() == ['fit: compare, orthogonal.polar']
    assert made.whole_values() == ['dd_lit/attic.py']


@pytest.mark.parametrize('code, yes', [
    ('assert x', True), ('test_eq(f(), 1)', True), ('with pytest.raises(ValueError): f()', True), ('f()', False),
    ('torch.testing.assert_close(a, b)', True), ('print(f())', False)])
def test_what_a_test_is(code, yes):
    assert house.is_test(ast.parse(code)) is yes


def test_names_are_found_under_other_names():
    assert 'features' in house.names_in(ast.parse('from dd_lit.flow.features import features as F_'))


def test_map_is_drawn():
    "CONTRIBUTING.md names every floor's folders and modules, from the top down."
    text = (ROOT/'CONTRIBUTING.md').read_text()
    drawn = re.search(r'```\n(.*?)```', text[text.index('The map of the house'):], re.S)[1]
    floors = [re.split(' {4,}', line)[0].split() for line in drawn.splitlines()]
    assert all(set(names) <= set(floor) for names, floor in zip(floors, reversed(house.FLOORS), strict=True))
    assert not {house.top(m) for m in house.modules()} - {n for names in floors for n in names}
