"""DD-Ranking's two scores: against its own package, and what must hold for all accuracies."""
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dd_lit.compare import Cell, Grid, Scorer, cells, compare, random_like, teach
from dd_lit.core import chosen_precision
from dd_lit.data import load_data
from dd_lit.evaluate import (
    Scores,
    augmentation_robust,
    evaluate,
    full_accuracy,
    full_recipe,
    label_robust,
    named,
)
from dd_lit.models import create_model
from dd_lit.sets import DistilledSet

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


SMALL = ['--repeats', 2, '--set', 'epochs=6', 'width=8']


def score(tmp_path):
    f, = (tmp_path/'a').glob('scores_*.json')
    s = json.loads(f.read_text())
    f.unlink()
    return s


def test_all_that_ddranking_asks_in_one_command(call, tmp_path, monkeypatch):
    "Each of the eight accuracies is there, the scores follow from them, and nothing is trained twice."
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))
    call('distill', 'herding', '--ipc', 2, '--set', 'width=8', '--out', 'a', check=0)
    soft = ['--loss', 'kl', '--teacher', 'convnet3:width=8', '--teacher-epochs', 1]
    kept = None
    for _ in range(2):
        p = call('evaluate', 'a', '--ddranking', '--protocol', 'dsa', *soft, *SMALL, check=0)
        s = score(tmp_path)
        files = {f: f.stat().st_mtime_ns for f in (tmp_path/'cache'/'scores').iterdir()}
        assert kept in (None, files)
        kept = files
    assert all(len(s[k]) == 2 for k in ('top1', 'hard', 'random_top1', 'bare', 'random_bare')) and s['full'] > 0
    assert s['lrs'] == label_robust(s['full'], s['hard'], s['top1'], s['random_top1'])
    assert s['ars'] == augmentation_robust(s['top1'], s['random_top1'], s['bare'], s['random_bare'])
    assert f"LRS {s['lrs']:.1f} %, ARS {s['ars']:.1f} %" in p.stdout and 'same recipe, 6 epochs' in p.stdout
    # soft, hard, random, the set and random images without augmentation, full data
    assert len(files) == 6
    p = call('compare', 'a', 'random', '--ipc', 2, '--ddranking', '--protocol', 'dsa', *soft, *SMALL, check=0)
    assert 'LRS (%)' in p.stdout and 'ARS (%)' in p.stdout and 'Full data, convnet3' in p.stdout
    ours, chance = (r['scores'] for r in json.loads((tmp_path/'runs/compare/compare.json').read_text())['rows'])
    assert [ours[k] for k in ('lrs', 'ars', 'full')] == [s[k] for k in ('lrs', 'ars', 'full')]
    assert chance['ars'] == pytest.approx(NEUTRAL, abs=1e-9) and chance['ior'] == 0
    # without augmentation in the recipe no ARS and a reason; without the flag nobody is told of either
    p = call('evaluate', 'a', '--ddranking', *SMALL, check=0)
    s = score(tmp_path)
    assert s['ars'] is None and s['lrs'] is not None and 'no ARS: the recipe has no augmentation' in p.stdout
    p = call('evaluate', 'a', *SMALL, check=0)
    assert 'RS' not in p.stdout and score(tmp_path)['lrs'] is None


def test_hard_labels_for_everything(call, tmp_path):
    "A set with soft labels: its class labels only, and whoever asks for more is told."
    call('distill', 'random', '--ipc', 1, '--out', 'b', check=0)
    b = DistilledSet.load(tmp_path/'b')
    both = DistilledSet(b.images, b.labels, b.norm, b.classes, soft=torch.eye(10)*5, soft_kind='logits', meta=b.meta)
    both.save(tmp_path/'a')
    p = call('evaluate', 'a', '--hard', *SMALL, check=0)
    s = score(tmp_path)
    assert s['top1'] == s['hard'] == evaluate(b, hard='only', epochs=6, repeats=2, model_kw=dict(width=8)).top1
    assert "the set's soft ones are not looked at" in p.stdout
    p = call('compare', 'a', 'random', '--hard', *SMALL, check=0)
    rows = json.loads((tmp_path/'runs/compare/compare.json').read_text())['rows']
    assert rows[0]['scores']['top1'] == s['top1']
    for words, said in (('evaluate a --hard --loss kl', 'loss: expected ce with --hard'),
                        ('compare a --hard --loss ce gift', 'loss: expected ce with --hard'),
                        ('compare a --hard --loss kl --teacher convnet3', 'teacher: expected none with --hard')):
        p = call(*words.split(), check=2)
        assert said in p.stderr and len(p.stderr.strip().splitlines()) == 1
    for more, said in ((dict(loss='kl'), '^loss: expected ce'), (dict(soft=torch.eye(10)), '^soft: expected None')):
        with pytest.raises(ValueError, match=said):
            evaluate(both, hard='only', **more)


def test_a_damaged_full_accuracy_is_named(tmp_path):
    "As any other stored score."
    d = load_data('digits')
    scorer = Scorer(d, [], dict(model_kw=dict(width=8)), dict(epochs=1), out=tmp_path)
    place, = cells(Grid())
    top1, how = scorer.full(place)
    f, = (tmp_path/'scores').iterdir()
    assert json.loads(f.read_text())['full'] == top1 and how.startswith('same recipe, 1 epoch, ')
    for text in ('', '{}', '[]', '{"full": 101}', '{"full": NaN}', '{"full": "9"}', '{"full": null}'):
        f.write_text(text)
        with pytest.raises(ValueError, match='is damaged; delete it') as e:
            Scorer(d, [], dict(model_kw=dict(width=8)), dict(epochs=1), out=tmp_path).full(place)
        assert f.name in str(e.value)


def test_without_augmentation_is_the_same_recipe_otherwise(monkeypatch):
    "Set and random images are trained, and labelled, on the images as they are, for as many epochs."
    d = load_data('digits')
    eleven = DistilledSet(torch.zeros(11, 1, 16, 16), torch.arange(11) % 10, d.norm, d.classes)
    ds, how = random_like(eleven, d, 7), dict(protocol='dsa', epochs=4, model_kw=dict(width=8))
    s = compare([ds], d, ddranking=True, repeats=2, **how)[0].scores
    assert s.bare == evaluate(ds, d, repeats=2, augment=None, **how).top1
    draws = [random_like(ds, d, r) for r in range(2)]
    for other, kw in ((s.random_bare, dict(augment=None)), (s.random_top1, {})):
        assert other == [evaluate(x, d, repeats=1, seed=r, **how, **kw).top1[0] for r, x in enumerate(draws)]
    assert s.full == full_accuracy(d, model_kw=dict(width=8), **full_recipe(d, 'dsa', epochs=4))
    seen = []
    def noted(ds, teachers, cfg, seed=0, **views):
        seen.append(teach(ds, teachers, cfg, seed, **views))
        return seen[-1]
    monkeypatch.setattr('dd_lit.compare.teach', noted)
    teacher = create_model('convnet3', 10, 1, 16, seed=0, width=8).eval()
    compare([ds], d, ddranking=True, repeats=1, loss='kl', teacher=teacher, full=95., **how)
    shown = [(bool(k.get('augment')), k['crop'], k['flip'], k['cutmix']) for k in (l.settings for l in seen)]
    assert sorted(shown) == [(False, 1., False, False)]*2 + [(True, 1., False, False)]*2
    seen.clear()
    compare([ds], d, ddranking=True, repeats=1, loss='kl', teacher=teacher, full=95., epochs=4, model_kw=dict(width=8))
    assert sorted(l.settings['crop'] for l in seen) == [.08, .08, 1., 1.]
    assert {(l.settings['flip'], l.settings['cutmix']) for l in seen if l.settings['crop'] == 1.} == {(False, False)}


def set_of(d, patches=1):
    x = torch.zeros(20, 1, 16, 16)
    return DistilledSet(x, torch.arange(20) % 10, d.norm, d.classes, patches=patches)


@pytest.mark.parametrize(('name', 'patches', 'same'), [
    ('digits', 1, None), ('digits', 2, dict(augment=None, epochs=300)), ('mnist', 1, dict(augment=None, epochs=1000))])
def test_without_augmentation_as_many_epochs(name, patches, same):
    "MNIST's recipe has augmentation and a thousand epochs, a mosaic its crops: both are left out, the epochs are not."
    d = replace(load_data('digits'), name=name)
    ds = set_of(d, patches)
    place, = cells(Grid())
    bare = Scorer(d, [], {}, {}).without(ds, place)
    assert (bare and bare.opt[1]) == same and (bare is None or bare.bare)


def test_as_they_are_is_another_score(tmp_path):
    "A teacher that sees the images as they are gives other labels, and the score has a file of its own."
    d = load_data('digits')
    ds, place = set_of(d, 2), cells(Grid(loss='kl'))[0]
    teacher = create_model('convnet3', 10, 1, 16, seed=0, width=4).eval()
    scorer = Scorer(d, [teacher], dict(model_kw=dict(width=4)), dict(epochs=1), dict(augment='color'), out=tmp_path)
    bare = replace(place, bare=True)
    assert scorer.file('x', [ds], place) != scorer.file('x', [ds], bare)
    cfg = scorer.settings(ds, place)[2]
    shown = [scorer.labels(ds, 0, cfg, scorer.views(c)).settings for c in (place, bare)]
    assert [(bool(v.get('augment')), v.get('factor', 1), v['crop']) for v in shown] == [(True, 2, .08), (False, 1, 1.)]


@given(epochs=st.integers(1, 3000), batch_size=st.integers(1, 2000))
def test_the_full_data_is_never_trained_longer_than_the_recipe(epochs, batch_size):
    d = load_data('digits')
    n = -(-len(d.train_y)//batch_size)                           # steps of an epoch
    got = full_recipe(d, epochs=epochs, batch_size=batch_size)['epochs']
    assert got <= epochs and (got == epochs or (got >= 20 and got*n >= epochs))
    assert got == epochs or got == 20 or (got - 1)*n < epochs     # and no longer than it must be


@pytest.mark.parametrize('how', [dict(precision='auto'), dict(opt=('sgd', dict(precision='auto')))])
def test_auto_is_stored_as_what_it_chose(how):
    "Another machine may choose otherwise: neither a score nor its key says 'auto'."
    chosen = chosen_precision('auto', 'cpu')
    row, = compare(['random'], 'digits', model='mlp', repeats=1, epochs=1, device='cpu', **how)
    assert row.scores.config['precision'] == chosen
    d = load_data('digits')
    scorer = Scorer(d, [], dict(repeats=1), dict(precision='auto'), device='cpu')
    assert scorer.chosen(Cell(*map(named, ('mlp', 'ce', 'sgd'))))[1]['precision'] == chosen
