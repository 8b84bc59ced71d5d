"""DD-Ranking's two scores: against its own package, and what must hold for all accuracies."""
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dd_lit.evaluate import Scores, augmentation_robust, label_robust

THEIRS = json.loads(Path(__file__).with_name('ddranking_values.json').read_text())
NEUTRAL = 26.894142136999513                    # 100 (1 - 1/e)/(e - 1/e)
BETTER = dict(full=-1, hard=1, top1=1, random=-1), dict(top1=1, random=-1, bare=1, random_bare=-1)
SCORES = list(zip((label_robust, augmentation_robust), BETTER, strict=True))

percent = st.floats(0, 100)
weights = st.floats(.05, .95)
four = st.lists(percent, min_size=4, max_size=4)


def in_percent(lists):
    return [[100*v for v in row] for row in lists]


def test_as_the_package_computes_them():
    "Version and command stand beside the values; 1e-9 in shares."
    assert THEIRS['versions']['ddranking'] == '0.2.0' and THEIRS['unit'].startswith('shares')
    ours = {'label_soft': label_robust, 'label_hard': lambda f, h, r, w: label_robust(f, h, h, r, w),
            'augmentation': augmentation_robust}
    for kind, f in ours.items():
        assert len(THEIRS[kind]) > 100 and len({v for _, v in THEIRS[kind]}) > 50
        for (*lists, w), value in THEIRS[kind]:
            assert abs(f(*in_percent(lists), w)/100 - value) < 1e-9, (kind, lists, w)


@pytest.mark.parametrize(('score', 'better'), SCORES)
@given(a=four, w=st.floats(0, 1))
def test_range(score, better, a, w):
    assert -1e-9 <= score(*a, w) <= 100 + 1e-9


@pytest.mark.parametrize(('score', 'better'), SCORES)
@given(a=four, w=weights, more=st.floats(.5, 100), which=st.integers(0, 3))
def test_each_argument_moves_it_the_right_way(score, better, a, w, more, which):
    "Half a point more of what is better is a higher score; of what is worse, a lower one."
    a = dict(zip(better, a, strict=True))
    k = list(better)[which]
    b = a | {k: min(a[k] + more, 100.)}
    if b[k] - a[k] > 1e-3:
        assert better[k]*(score(**b, weight=w) - score(**a, weight=w)) > 0


@pytest.mark.parametrize(('score', 'better'), SCORES)
@given(a=st.lists(four, min_size=1, max_size=5), w=st.floats(0, 1))
def test_several_networks(score, better, a, w):
    "The mean over networks; equal networks score as one; a number counts for each of them."
    columns = [list(c) for c in zip(*a, strict=True)]
    assert score(*columns, w) == pytest.approx(sum(score(*row, w) for row in a)/len(a), abs=1e-9)
    assert score(*([v]*3 for v in a[0]), w) == pytest.approx(score(*a[0], w), abs=1e-9)
    assert score(a[0][0], *columns[1:], w) == pytest.approx(score([a[0][0]]*len(a), *columns[1:], w), abs=1e-9)


@given(x=percent, y=percent, w=st.floats(0, 1))
def test_equal_sets(x, y, w):
    "Nothing gained and nothing lost has one value; the random images' ARS is it, their LRS is what HLR leaves of it."
    assert label_robust(x, x, y, y, w) == pytest.approx(NEUTRAL, abs=1e-9)
    assert augmentation_robust(x, x, y, y, w) == pytest.approx(NEUTRAL, abs=1e-9)
    low, high = sorted((x, y))
    assert label_robust(high, low, low, low, w) <= NEUTRAL + 1e-9
    assert augmentation_robust(low, high, low, high, w) <= NEUTRAL + 1e-9


wrong = st.one_of(st.floats(max_value=-1e-6), st.floats(min_value=100.0001), st.just(float('nan')), st.none(),
                  st.just('9'))


@pytest.mark.parametrize(('score', 'better'), SCORES)
@given(a=four, which=st.integers(0, 3), bad=wrong, listed=st.booleans())
def test_what_is_no_percentage_is_named(score, better, a, which, bad, listed):
    k = list(better)[which]
    value = [50., bad] if listed or not isinstance(bad, float) else bad
    with pytest.raises(ValueError, match=f'^{k}: expected percent correct, 0 to 100, got ') as e:
        score(**dict(zip(better, a, strict=True)) | {k: value})
    assert '\n' not in str(e.value)


@pytest.mark.parametrize(('score', 'better'), SCORES)
@given(w=st.one_of(st.floats(max_value=-1e-9), st.floats(min_value=1.0001), st.just(float('nan'))))
def test_weights(score, better, w):
    with pytest.raises(ValueError, match='^weight: expected a number, at least 0 and at most 1'):
        score(1, 1, 1, 1, w)


known = st.one_of(st.none(), percent)
several = st.one_of(st.none(), st.lists(percent, max_size=4))


@given(top1=st.lists(percent, min_size=1, max_size=4), hard=several, full=known, random=known, each=several,
       bare=several, random_bare=several)
def test_scores_say_nothing_that_was_not_measured(top1, hard, full, random, each, bare, random_bare):
    s = Scores(top1, top1, hard, full, random, random_top1=each, bare=bare, random_bare=random_bare)
    assert (s.lrs is None) == (full is None or not hard or random is None)
    assert (s.ars is None) == (not bare or not random_bare or random is None)
    assert ('LRS' in str(s), 'ARS' in str(s)) == (s.lrs is not None, s.ars is not None)
    assert s.to_dict()['lrs'] == s.lrs and s.to_dict()['ars'] == s.ars
    for v in (s.lrs, s.ars):
        assert v is None or -1e-9 <= v <= 100 + 1e-9
