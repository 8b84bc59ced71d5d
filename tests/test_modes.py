"""What a caller has switched on or off in torch changes no number, stops nothing, and is as it was afterwards: no
gradients, inference, another default type or device, autocast."""
import copy
import warnings
from contextlib import ExitStack, contextmanager

import pytest
import torch
from torch import nn

from dd_lit.compare import Grid, Scorer, cells, compare, random_like, teach
from dd_lit.core import digest, own_modes, rng
from dd_lit.coreset.rded import select_crops
from dd_lit.data import ImageData, load_data
from dd_lit.distill import distill, validate
from dd_lit.distribution.dm import real_mean
from dd_lit.evaluate import evaluate, full_accuracy
from dd_lit.flow.features import features, head_accuracy, linear_probe, pretrain
from dd_lit.flow.inherit import evaluate_inherit, train_golden, train_projector
from dd_lit.flow.sfm import class_centers, real_centers
from dd_lit.gradient.hypothesis import travel
from dd_lit.labels.soft import LiveLabels, relabel
from dd_lit.method import get_method, list_methods
from dd_lit.models import create_model, embed, predict
from dd_lit.orthogonal.pseudo_gradient import real_directions
from dd_lit.reproduce import Recipe, reproduce
from dd_lit.sets import DistilledSet, read_sets
from dd_lit.settings import names_of
from dd_lit.statistics.conv_stats import conv_statistics
from dd_lit.statistics.lpld import class_statistics, prune_labels
from dd_lit.study.continual import class_groups, gdumb
from dd_lit.study.cross_architecture import cross_architecture
from dd_lit.teachers import (
    as_teacher,
    as_teachers,
    committee,
    measure_teacher,
    squeeze,
    squeeze_all,
    teacher_accuracy,
    untrained,
)
from dd_lit.train import accuracy, fit
from dd_lit.trajectory.datm import agreed_start
from dd_lit.trajectory.experts import train_expert, train_experts
from dd_lit.whiten import whitened

@contextmanager
def default_type(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


MODES = dict(no_grad=torch.no_grad, inference=torch.inference_mode, float64=lambda: default_type(torch.float64),
             bfloat16=lambda: default_type(torch.bfloat16), meta=lambda: torch.device('meta'),
             autocast=lambda: torch.autocast('cpu', torch.bfloat16))


def seen():
    "What somebody finds afterwards."
    made = torch.zeros(1)
    return (made.dtype, made.device.type, torch.is_grad_enabled(), torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled('cpu'))


PIXELS = torch.randint(0, 256, (12, 1, 16, 16), generator=rng(0, 'modes'), dtype=torch.uint8)


@pytest.fixture(scope='module')
def data():
    y = torch.arange(12) % 2
    return ImageData(PIXELS, y, PIXELS, y, ((.5,), (.25,)))


@pytest.fixture(scope='module')
def ds(data):
    return distill('random', data, 2, device='cpu')


@pytest.fixture(scope='module')
def net():
    return create_model('convnet1', 2, 1, 16, seed=0, width=4)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))


TINY: dict = dict(epochs=1, batch_real=4, squeeze_epochs=1, width=4, backbones='resnet18', factor=1, pool=9, tries=1,
                  experts=1, steps=2, span=1, starts=1, expert_epochs=1, augs=1, pretrain=dict(epochs=1), iters=2)
CHOOSE = ('random', 'herding', 'k_center', 'forgetting', 'rded')
TINIER: dict = {m: dict(iters=1) for m in CHOOSE} | dict(rded=dict(iters=1, backbone='convnet1'))


def made(method, data):
    known = names_of(get_method(method).settings)
    how = {k: v for k, v in (TINY | TINIER.get(method, {})).items() if k in known}
    s = distill(method, data, 1, device='cpu', **how)
    return dict(images=s.images, labels=s.labels) | ({} if s.soft is None else dict(soft=s.soft))


def copied(ds, tmp_path):
    "Written, packed, read again."
    ds.save(tmp_path/'set')
    ds.export(tmp_path/'one.npz')
    ds.to_folder(tmp_path/'pictures')
    other, = read_sets(tmp_path/'one.npz')
    return [DistilledSet.load(tmp_path/'set').images, other.images, ds.pixels()]


def own_copy(net):
    with own_modes():                       # what he makes himself is of his mode
        return copy.deepcopy(net)


def trained(ds, net):
    own = own_copy(net)
    fit(own, ds.images, ds.labels, epochs=1)
    return list(own.parameters())


def labelled(ds, net):
    labels = relabel(ds, net, epochs=1)
    return [z for _, z, _ in labels.epoch(0, ds.images, ds.labels)]


HERE: dict = dict(device='cpu')
WIDTH: dict = dict(model_kw=dict(width=4))
ONE: dict = dict(repeats=1, epochs=1, **WIDTH) | HERE
DOORS: dict = dict(
    evaluate=lambda d, s, n, p: evaluate(s, d, 'convnet1', **ONE).top1,
    soft=lambda d, s, n, p: evaluate(s, d, 'convnet1', soft=LiveLabels(s, n, epochs=1), loss='kl', **ONE).top1,
    compare=lambda d, s, n, p: [r.scores.top1 for r in compare([s, 'random'], d, model='convnet1', **ONE)],
    full_accuracy=lambda d, s, n, p: full_accuracy(d, 'convnet1', epochs=1, **HERE),
    load_data=lambda d, s, n, p: load_data('digits').sample(3)[0],
    rows=lambda d, s, n, p: load_data([(x, k % 2) for k, x in enumerate(PIXELS)]).train_x,
    data=lambda d, s, n, p: [ImageData(PIXELS, [0, 1]*6, PIXELS, [0, 1]*6).norm, d.sample(3, 1)[0], d.counts()],
    sets=lambda d, s, n, p: copied(s, p),
    fit=lambda d, s, n, p: trained(s, n),
    predict=lambda d, s, n, p: [predict(n, s.images), *embed(n, s.images)],
    accuracy=lambda d, s, n, p: accuracy(n, s.images, s.labels),
    relabel=lambda d, s, n, p: labelled(s, n),
    squeeze=lambda d, s, n, p: list(squeeze('convnet1', d, epochs=1, width=4, **HERE).parameters()),
    pretrain=lambda d, s, n, p: list(pretrain('convnet1', d, epochs=1, width=4, **HERE).parameters()),
    probe=lambda d, s, n, p: linear_probe(n, d, 3),
    teach=lambda d, s, n, p: [z for _, z, _ in teach(s, n, dict(epochs=1, batch_size=4, augment=None)).epoch(
        0, s.images, s.labels)],
    random_like=lambda d, s, n, p: random_like(s, d).images,
    scorer=lambda d, s, n, p: scored(d, s),
    class_groups=lambda d, s, n, p: class_groups(2, 2),
    gdumb=lambda d, s, n, p: [o['accuracy'] for o in gdumb(s, d, 2, model='convnet1', epochs=1, **WIDTH, **HERE)],
    rehearsed=lambda d, s, n, p: [o['accuracy'] for o in gdumb(s, d, [[0, 1]], 'kl', [n], model='convnet1', epochs=1,
                                                               **WIDTH, **HERE)],
    squeeze_all=lambda d, s, n, p: [q for m in squeeze_all('convnet1', d, width=4, epochs=1, **HERE)
                                    for q in m.parameters()],
    as_teacher=lambda d, s, n, p: as_teacher('convnet1', d, epochs=1, width=4, **HERE).test_accuracy,
    as_teachers=lambda d, s, n, p: [m.test_accuracy for m in as_teachers([('convnet1', dict(epochs=1, width=4))], d,
                                                                         **HERE)],
    committee=lambda d, s, n, p: [q for m in committee(n, d) for q in m.parameters()],
    measure_teacher=lambda d, s, n, p: [measure_teacher(n, 'n', d), teacher_accuracy(n, 'n', d)],
    untrained=lambda d, s, n, p: list(untrained('convnet1', d, 0, 4).parameters()),
    whitened=lambda d, s, n, p: whitened(d).sample(3)[0],
    validate=lambda d, s, n, p: validate(s, d),
    features=lambda d, s, n, p: features(n, s.images),
    head_accuracy=lambda d, s, n, p: head_accuracy(*[s.images.flatten(1), s.labels]*2, steps=3),
    golden=lambda d, s, n, p: list(train_golden(s.images.flatten(1), s.labels, 2, epochs=2).parameters()),
    projector=lambda d, s, n, p: list(train_projector(lambda e: (s.images.flatten(1),)*2, 2).parameters()),
    inherit=lambda d, s, n, p: evaluate_inherit(s, d, nn.Flatten(), nn.Flatten(), mode='normal', repeats=1,
                                                epochs=2).top1,
    class_centers=lambda d, s, n, p: class_centers(s.images.flatten(1), s.labels, 2),
    real_centers=lambda d, s, n, p: real_centers(n, d, cache=p),
    real_directions=lambda d, s, n, p: real_directions(n, d, cache=p),
    real_mean=lambda d, s, n, p: real_mean(n, s.images),
    conv_statistics=lambda d, s, n, p: [list(v) for v in conv_statistics(n, d, cache=p).values()],
    class_statistics=lambda d, s, n, p: [list(v) for o in class_statistics(batched(), d, cache=p) for v in o.values()],
    prune_labels=lambda d, s, n, p: pruned(s, n),
    travel=lambda d, s, n, p: travel(own_copy(n), s.images, s.labels, max_steps=2)['norms'],
    agreed=lambda d, s, n, p: agreed_start(d, 1, [n], rng(0, 'agreed')),
    crops=lambda d, s, n, p: select_crops(s.images, 0, n, 1, tries=2, generator=rng(0, 'crops')),
    train_expert=lambda d, s, n, p: train_expert(('convnet1', WIDTH['model_kw']), d, epochs=1, cache=p, **HERE)[1],
    train_experts=lambda d, s, n, p: train_experts(('convnet1', WIDTH['model_kw']), d, 1, epochs=1, cache=p, rho=.01,
                                                   **HERE).weights(0, 1),
    matrix=lambda d, s, n, p: cross_architecture(d, sources=('mlp',), targets=('mlp',), method='dc', repeats=1, iters=1,
                                                 batch_real=4, evaluate_kw=dict(epochs=1), **HERE)['mean'],
    reproduce=lambda d, s, n, p: again(p),
)
DOORS |= {m: lambda d, s, n, p, m=m: made(m, d) for m in list_methods()}


def scored(d, s):
    "All that a `Scorer` trains: the set, random images beside it, the full data."
    scorer, place = Scorer(d, [], dict(repeats=1, **WIDTH), dict(epochs=1), **HERE), cells(Grid(model='convnet1'))[0]
    return [scorer.score('s', [s], place).top1, scorer.random(s)[0].images, scorer.full(place)[0]]


def pruned(ds, net):
    labels = prune_labels(ds, LiveLabels(ds, net, epochs=2, batch_size=2), .5)
    return [z for _, z, _ in labels.epoch(0, ds.images, ds.labels)]


def batched():
    "A network with batch norm."
    with own_modes():
        return create_model('convnet1', 2, 1, 16, seed=0, width=4, norm='batch').eval()


def again(p):
    "A recipe, small."
    evaluated = dict(model='mlp', epochs=1)
    r = Recipe('digits/random/ipc1', 'none', 'none', 'none', 'digits', 'random', 1, {}, evaluated, sets=1, networks=1,
               published=None, deviation=None)
    return reproduce(r, p, **HERE)['top1']


def told(o):
    "All the numbers of an answer."
    if isinstance(o, torch.Tensor):
        return digest(dict(x=o))
    if isinstance(o, dict):
        return {k: told(v) for k, v in o.items()}
    return [told(v) for v in o] if isinstance(o, (list, tuple)) else o


PLAIN: dict = {}


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('door', DOORS)
def test_the_same_numbers(door, mode, data, ds, net, tmp_path, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        if door not in PLAIN:
            PLAIN[door] = told(DOORS[door](data, ds, net, tmp_path/'plain'))
        with MODES[mode]():
            before = seen()
            monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'other'))
            there = told(DOORS[door](data, ds, net, tmp_path/'there'))
            assert seen() == before
    assert there == PLAIN[door]


def test_inside_nothing_is_switched_and_all_may_be_nested():
    usual = seen()
    with ExitStack() as all_of_them:
        for mode in ('inference', 'float64', 'meta', 'autocast'):
            all_of_them.enter_context(MODES[mode]())
        before = seen()
        with own_modes():
            assert seen() == usual
            with torch.no_grad(), own_modes():
                assert seen() == usual
        assert seen() == before
        with pytest.raises(KeyError), own_modes():
            raise KeyError
        assert seen() == before


def test_a_network_of_the_caller_keeps_its_type():
    "Only what is made inside is made in the usual way."
    with default_type(torch.float64):
        own = nn.Linear(2, 2)
        with own_modes():
            assert own.weight.dtype == torch.float64 and nn.Linear(2, 2).weight.dtype == torch.float32
