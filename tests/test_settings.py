"""Settings under random values: a value passes as it is, or one ValueError names the setting."""
import copy
import math
import pickle
from typing import Literal

from hypothesis import example, given
from hypothesis import strategies as st

from dd_lit.settings import (
    Settings,
    explain,
    fits,
    merge,
    names_of,
    parse,
    read_pairs,
    setting,
    with_defaults,
)

KINDS = dict(none=1, mean=2)

class Everything(Settings):
    "A setting of every kind."
    whole: int = setting(1, 'a whole number', low=0, high=10**6)
    share: float | None = setting(.5, 'a number', above=0, below=1)
    name: str = setting('mean', 'a name', among=KINDS)
    side: int = setting(2, 'listed numbers', among=(1, 2, 4))
    mixed: int | str | None = setting(None, 'a number or a name', among=(3, 'all'))
    flag: bool = setting(False, 'yes or no')
    sizes: tuple[int | None, ...] = setting((), 'numbers or nothing')
    by_name: dict[str, list[float]] = setting(dict(a=[1.]), 'lists by name')
    word: Literal['a', 'b'] = setting('a', 'one of two')

leaf = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.just(10**400),
                 st.sampled_from(['mean', 'all', 'a', 1, 2, 3, 4, .5]))
values = st.recursive(leaf, lambda v: st.one_of(st.lists(v, max_size=3), st.tuples(v, v),
                                                st.dictionaries(st.text(max_size=2), v, max_size=2)), max_leaves=6)
names = st.sampled_from(names_of(Everything))
fitting = dict(
    whole=st.integers(0, 10**6), share=st.none() | st.floats(0, 1, exclude_min=True, exclude_max=True),
    name=st.sampled_from(list(KINDS)), side=st.sampled_from([1, 2, 4]), mixed=st.sampled_from([None, 3, 'all']),
    flag=st.booleans(), sizes=st.lists(st.none() | st.integers(), max_size=3).map(tuple),
    by_name=st.dictionaries(st.text(max_size=2), st.lists(st.floats(-9, 9), max_size=2), max_size=2),
    word=st.sampled_from(['a', 'b']))
good_settings = st.fixed_dictionaries({}, optional=fitting)
given_settings = st.one_of(good_settings, st.dictionaries(names, values, max_size=3))

def same(a, b) -> bool: # Equal, with a list for a tuple and NaN for NaN
    return repr(a) == repr(b)

def tried(given):
    "The settings, or None after a ValueError of one line that begins with the name of one of them."
    try:
        return parse(Everything, given)
    except ValueError as e:
        assert str(e).split(':')[0] in given, e
        return None

@given(given_settings)
@example(dict(share=10**400))
@example(dict(whole=10**400))
def test_taken_as_it_is_or_refused_by_name(given):
    s = tried(given)
    if s is not None:
        assert all(same(s.to_dict()[k], v) for k, v in given.items())
        assert 0 <= s.whole <= 10**6 and s.name in KINDS and s.side in (1, 2, 4) and s.mixed in (3, 'all', None)
        assert s.share is None or 0 < s.share < 1
        assert all(v is None or type(v) is int for v in s.sizes)

@given(good_settings)
def test_copies_are_equal_and_separate(given):
    s = parse(Everything, given)
    again = merge(s, {}), parse(Everything, s.to_dict())
    for there in (copy.copy(s), copy.deepcopy(s), pickle.loads(pickle.dumps(s)), *again):
        assert there == s and same(there.to_dict(), s.to_dict())
        assert there.by_name is not s.by_name

@given(given_settings, given_settings, given_settings)
def test_wrong_defaults_are_refused_by_name(one, two, own):
    try:
        with_defaults(with_defaults(Everything, **one), **two)(**own)
    except ValueError as e:
        assert str(e).split(':')[0] in one | two | own, e

@given(good_settings, good_settings, good_settings)
def test_defaults_of_defaults(one, two, own):
    first = with_defaults(Everything, **one)
    second = with_defaults(first, **two)
    s = second(**own)
    assert s == parse(Everything, one | two | own)
    assert [n for n, _, _ in explain(second)] == names_of(Everything)
    assert Everything().to_dict() == Everything().to_dict() and issubclass(second, first)
    back = pickle.loads(pickle.dumps(s))
    assert back == s and same(type(back)().to_dict(), second().to_dict())

@given(values)
def test_a_default_is_not_the_callers(value):
    kept = copy.deepcopy(value)
    class Own(Settings):
        x: object = setting(value, 'anything')
    s = Own()
    for v in (value, s.x, s.to_dict()['x']):
        if isinstance(v, dict):
            v['new'] = 1
        elif isinstance(v, list):
            v.append(1)
    assert same(Own().x, kept)

@given(st.text(max_size=12), st.text(max_size=20))
def test_any_text_becomes_a_value(name, text):
    if '=' in name or not name:
        return
    (k, v), = read_pairs([f'{name}={text}']).items()
    assert k == name
    assert v == text or not isinstance(v, str) or text.strip().strip('rRbBuUfF')[0] in '\'"'

@given(values)
def test_fits_never_breaks(v):
    for hint in (int, float, str | None, tuple[int, ...], tuple[int, str], list[int | None], dict[str, float],
                 set[int], Literal['a', 1], object, type):
        assert fits(v, hint) in (True, False)
    assert not fits(math.inf, float) and not fits(math.nan, float | None)
