"""What `compare` holds apart: losses, optimisers and networks by what they are, not by what they are called; and what
it refuses because nobody would look at it."""
import contextlib
import io
from functools import partial

import matplotlib.pyplot as plt
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

import dd_lit.compare
import dd_lit.report
from dd_lit.compare import Grid, cells, compare
from dd_lit.data import load_data
from dd_lit.distill import distill
from dd_lit.evaluate import Scores, evaluate, full_accuracy, named, protocol_settings, recipe
from dd_lit.report import report, table
from dd_lit.study.continual import gdumb
from dd_lit.train import RATES, SCHEDULES, check_rates, fit, lr_factor

DATA = load_data('digits')
SHORT: dict = dict(repeats=1, epochs=1, model='mlp', device='cpu')


def hard(student, teacher, hard, T=1.):
    return F.cross_entropy(student/T, hard)


class Callable:
    "A loss and an optimiser without a name."
    def __init__(self, lr):
        self.lr = lr
    def __call__(self, *a):
        return hard(*a) if len(a) > 1 else torch.optim.SGD(*a, lr=self.lr)


def flat():
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 10))


def closure(lr):
    return lambda p: torch.optim.SGD(p, lr=lr)


# what differs and may be called alike
OPTS = [partial(torch.optim.SGD, lr=1e-9), partial(torch.optim.SGD, lr=1.), partial(torch.optim.SGD, lr=1. + 1e-9),
        closure(1e-9), closure(1.), closure(1.), Callable(1e-9), Callable(1.), 'sgd', 'adam', ('sgd', dict(lr=.1)),
        ('sgd', dict(lr=.1 + 1e-9)), torch.optim.SGD]
LOSSES = [hard, (hard, dict(T=2.)), (hard, dict(T=2. + 1e-9)), partial(hard, T=2.), partial(hard, T=2. + 1e-9),
          lambda s, t, y: hard(s, t, y), lambda s, t, y: hard(s, t, y, 2.), Callable(1.), Callable(2.), 'ce', 'kl',
          ('kl', dict(T=2.)), ('kl', dict(T=2. + 1e-9))]
NETS = [flat(), flat(), flat, 'mlp', ('mlp', dict(width=8)), ('mlp', dict(width=9))]
AXES = dict(opt=OPTS, loss=LOSSES, model=NETS)
grids = st.fixed_dictionaries({k: st.lists(st.sampled_from(range(len(v))), min_size=1, max_size=3).map(
    lambda i, v=v: [v[k] for k in i]) for k, v in AXES.items()})


@given(grid=grids)
def test_every_thing_has_a_text_of_its_own(grid):
    "And one thing, given twice, one text; the first of those that are called alike keeps its name."
    places = cells(Grid(**grid))
    for axis, given_ in grid.items():
        texts = {}
        for o, c in zip(given_, some_of(places, axis, grid), strict=True):
            assert texts.setdefault(number(o), getattr(c, axis)[2]) == getattr(c, axis)[2]
            assert getattr(c, axis)[2].startswith(named(o)[2])
        assert len(set(texts.values())) == len(texts)
        assert getattr(places[0], axis)[2] == named(given_[0])[2]
    assert len({c.what for c in places}) == len({tuple(map(number, o)) for o in crossed(grid)})


def number(o):
    "Which of all things it is."
    every = [v for vs in AXES.values() for v in vs]
    return next(i for i, v in enumerate(every) if v is o)


def crossed(grid):
    return [(m, o, l) for m in grid['model'] for o in grid['opt'] for l in grid['loss']]


def some_of(places, axis, grid):
    "One cell for each thing along an axis."
    losses, opts = len(grid['loss']), len(grid['opt'])
    step = dict(loss=1, opt=losses, model=losses*opts)[axis]
    return places[:step*len(grid[axis]):step]


def identity(o):
    return o if isinstance(o, str) else (id(o.func), repr(o.keywords)) if isinstance(o, partial) else id(o)


class Untrained:
    "Instead of `evaluate`: a number for every combination of things that is given, and 50 points more for a set."
    def __init__(self, ds):
        self.ds, self.known = ds, {}
    def get_loss(self, name, **settings):
        def loss(*a):
            pass
        return self.kept.setdefault((name, repr(settings)), loss)
    kept: dict = {}
    def __call__(self, s, data, model, soft, **how):
        own = identity(how.get('opt')), repr(how.get('lr')), repr(how['model_kw'])
        what = identity(model), identity(how['loss']), own
        top1 = self.known.setdefault(what, len(self.known))/1e3 + (50 if s is self.ds else 0)
        return Scores([top1], [99.], config={})


class NoLabels:
    def nbytes(self):
        return dict(total=0)


@pytest.fixture(scope='module')
def herded():
    return distill('herding', DATA, 1, width=8, device='cpu')


@example(grid=dict(opt=OPTS[3:5], loss=LOSSES[7:9], model=NETS[:2]), fair=False)
@given(grid=grids, fair=st.booleans())
def test_rows_have_their_own_scores(grid, fair, herded):
    """The score of a row is that of its own network, loss and optimiser, however these are called, and so are the
    random images that it is measured by: in a set's row and in their own."""
    with pytest.MonkeyPatch.context() as m:
        trained = Untrained(herded)
        m.setattr(dd_lit.compare, 'evaluate', trained)
        m.setattr(dd_lit.compare, 'get_loss', trained.get_loss)
        m.setattr(dd_lit.compare.Scorer, 'labels', lambda self, *a: NoLabels())
        soft = any(c.is_soft for c in cells(Grid(**grid)))
        rows = compare(['random', herded], DATA, **grid, fair=fair, repeats=1, epochs=1, device='cpu',
                       teacher=flat().eval() if soft else None)
    chance, own = rows[:len(rows)//2], rows[len(rows)//2:]
    for r, q in zip(chance, own, strict=True):
        assert (r.model, r.loss, r.opt) == (q.model, q.loss, q.opt)
        assert q.scores.mean - r.scores.mean == pytest.approx(50) and q.scores.ior == pytest.approx(50)
        assert r.scores.ior == 0
    pairs = {(r.scores.mean, tuple(map(number, things))) for r, things in zip(own, crossed(grid), strict=True)}
    assert len(pairs) == len({score for score, _ in pairs}) == len({things for _, things in pairs})
    assert len(pairs) == len({(r.model, r.loss, r.opt) for r in own})
    assert len(table(rows).splitlines()) == len(rows) + 2


def test_slow_and_fast():
    "Trained in earnest: one of two optimisers that are called alike learns nothing, and its row says so."
    slow, fast = (lambda p, lr=lr: torch.optim.SGD(p, lr=lr) for lr in (1e-9, .1))
    rows = compare(['random'], DATA, opt=[slow, fast], loss='ce', **SHORT | dict(epochs=20))
    assert [r.opt for r in rows] == ['<lambda>', '<lambda> 2'] and rows[0].scores.mean + 20 < rows[1].scores.mean
    losses = [(hard, dict(T=1e9)), (hard, dict(T=1.))]
    plain = dict(crop=1., flip=False, mix=False)
    rows = compare(['random'], DATA, loss=losses, teacher='mlp', label_kw=plain, opt=fast, **SHORT | dict(epochs=20))
    assert rows[0].scores.mean + 20 < rows[1].scores.mean
    assert [r.loss for r in rows] == ['hard T=1e+09', 'hard T=1'] == [r.scores.config['loss'] for r in rows]


@pytest.mark.parametrize('full, given_', [
    ({'Sequential': 90., 'Sequential 2': 80.}, [90., 80.]), ({'Sequential': 90.}, None),
    ({'Sequential 2': 80.}, [None, 80.]), (70., [70., 70.])])
def test_full_accuracies_of_their_networks(full, given_):
    how = dict(model=[flat(), flat()], full=full, repeats=1, epochs=1, device='cpu')
    if given_ is None:
        with pytest.raises(ValueError, match="^full: expected an accuracy for each network, 'Sequential' may be"):
            compare(['random'], DATA, **how)
    else:
        assert [r.scores.full for r in compare(['random'], DATA, **how)] == given_


# settings that nothing would look at, or that have no meaning; each is refused by its name, before anything is made
REFUSED = [
    ("temp: loss 'hard temp=3' has no such setting", dict(loss=(hard, dict(temp=3)))),
    ("student: loss 'hard student=3' has no such", dict(loss=(hard, dict(student=3)))),
    ('loss: expected a name, or .name, settings., got 3', dict(loss=[3])),
    ('model: expected a name, or .name, settings., got 3', dict(model=[3])),
    ("model: unknown network 'foo'", dict(model='foo')),
    ("teacher: unknown network 'foo'", dict(loss='kl', teacher='foo')),
    ('teacher: expected at least one', dict(loss='kl', teacher=[])),
    ('teacher: expected different networks', dict(loss='kl', teacher=['mlp', 'mlp'])),
    ('teacher: expected', dict(loss='kl', teacher=3)),
    ("teacher: expected a soft loss .*, 'ce' asks nobody", dict(teacher='mlp')),
    ("teacher: expected None with hard='only'", dict(teacher='mlp', hard='only')),
    ('label_kw: expected a teacher as well', dict(label_kw=dict(crop=.5))),
    ('methods_kw: expected settings by name for random, got 3', dict(methods_kw=dict(random=3))),
    ("momentum: expected nothing with opt 'adamw'", dict(opt='adamw', momentum=.5)),
    ("momentum: expected nothing with opt 'muon'", dict(opt=[('muon', dict(momentum=.5))])),
    *[(f'{k}: expected nothing beside opt', {'opt': o, k: .5}) for k in RATES for o in (OPTS[0], [OPTS[3], 'sgd'])],
    *[(f'{k}: expected nothing beside opt', dict(opt=[(OPTS[0], {k: .5})])) for k in RATES]]


@pytest.mark.parametrize('words, how', REFUSED)
def test_refused_at_once(words, how, monkeypatch):
    for name in ('distill', 'evaluate', 'teach'):
        monkeypatch.setattr(dd_lit.compare, name, lambda *a, **kw: pytest.fail('begun'))
    with pytest.raises(ValueError, match=f'^{words}') as e:
        compare(['random'], DATA, **SHORT | how)
    assert '\n' not in str(e.value)


@pytest.mark.parametrize('f', [hard, lambda s, t, y, *, T=1.: hard(s, t, y, T), lambda *a, T=1.: hard(*a, T),
                               lambda s, t, y, **kw: hard(s, t, y, **kw), lambda s, t, y, *, T: hard(s, t, y, T)])
def test_settings_reach_a_function(f):
    s, y = torch.randn(3, 4), torch.tensor([0, 1, 2])
    c, = cells(Grid(loss=(f, dict(T=3.))))
    assert torch.equal(dd_lit.compare._function(c.loss)(s, None, y), hard(s, None, y, 3.))


@given(rate=st.sampled_from(RATES), opt=st.sampled_from([o for o in OPTS if callable(o)]),
       protocol=st.sampled_from(['dc', 'dsa', 'gift', 'mtt']))
def test_rates_that_nobody_looks_at(rate, opt, protocol):
    "Neither taken beside a function that makes an optimiser, nor written down as if they had been used."
    assert not set(RATES) & set(protocol_settings(protocol, 10, DATA, opt=opt))
    ds = distill('random', DATA, device='cpu')
    ds.meta['learned_lr'] = .03
    assert not set(RATES) & set(recipe(ds, DATA, protocol, opt=opt))
    own = {'opt': opt, rate: .1}
    assert check_rates(own | dict(opt='sgd')) is None
    doors = (lambda: check_rates(own), lambda: protocol_settings(protocol, 10, **own),
             lambda: evaluate(ds, DATA, 'mlp', **own), lambda: full_accuracy(DATA, 'mlp', **own),
             lambda: gdumb(ds, DATA, **own))
    for door in doors:
        with pytest.raises(ValueError, match=f'^{rate}: expected nothing beside opt'):
            door()


def test_a_record_says_what_ran():
    ds = distill('random', DATA, device='cpu')
    s = evaluate(ds, DATA, opt=OPTS[1], **SHORT)
    assert not set(RATES) & set(s.config) and 'lr=1.0' in s.config['opt']
    s = evaluate(ds, DATA, **SHORT)
    assert set(RATES) <= set(s.config)


@pytest.mark.parametrize('schedule', SCHEDULES)
def test_a_schedule_works_on_an_optimisers_own_rates(schedule):
    seen, x, y = [], torch.randn(2, 4), torch.tensor([0, 1])
    made: list = []
    def opt(p):
        made.append(torch.optim.SGD(p, lr=.5))
        return made[0]
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    fit(net, x.view(2, 1, 2, 2), y, opt=opt, epochs=4, schedule=schedule,
        on_epoch=lambda e, m: seen.append(made[0].param_groups[0]['lr']))
    assert seen == [.5*lr_factor(schedule, e, 4) for e in range(4)]


@pytest.mark.parametrize('breaks', [False, True])
def test_no_figure_stays_open(breaks, tmp_path, monkeypatch):
    "Twenty reports leave as many figures open as there were: none, also where one cannot be written."
    rows = compare(['random'], DATA, **SHORT)
    if breaks:
        monkeypatch.setattr(dd_lit.report, 'save_figure', lambda *a: 1/0)
    before = plt.get_fignums()
    with contextlib.redirect_stdout(io.StringIO()):
        for _ in range(3):
            with pytest.raises(ZeroDivisionError) if breaks else contextlib.nullcontext():
                report(rows, tmp_path, 'r')
    assert plt.get_fignums() == before


def test_sets_of_one_name_are_told_apart(tmp_path):
    "By the folders that were given, else by number; one of a name keeps it."
    a, b = (distill('random', DATA, 1, seed=s, device='cpu') for s in (0, 1))
    for k, ds in dict(a=a, b=b).items():
        ds.save(tmp_path/k)
    how = dict(model='mlp', repeats=1, epochs=1, device='cpu')
    names = lambda *items: [r.name for r in compare(items, DATA, **how)]
    assert names(a, b) == ['random (#1)', 'random (#2)']
    assert names(tmp_path/'a', tmp_path/'b') == ['random (a)', 'random (b)']
    assert names(tmp_path/'a', 'random') == ['random (a)', 'random']
    b.save(tmp_path/'other'/'a')
    assert names(tmp_path/'a', tmp_path/'other'/'a') == [f'random ({tmp_path/k})' for k in ('a', 'other/a')]
    assert names(tmp_path/'a', tmp_path/'a') == ['random (#1)', 'random (#2)']
    assert names(a) == ['random']
