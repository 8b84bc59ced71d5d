"""What a network draws while it trains (dropout, stochastic depth) comes from the seed: the same seed gives the same
weights, the same scores, the same images after an interruption, and the caller's generators are left as they were."""
import copy
import gc
import hashlib
import random
import re
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import torchvision
from helpers import disturb, generators

import dd_lit.models as models
from dd_lit.core import rng
from dd_lit.data import ImageData, load_data
from dd_lit.distill import distill, run
from dd_lit.evaluate import evaluate, full_accuracy
from dd_lit.flow.features import FeatureNet
from dd_lit.method import get_method, list_methods
from dd_lit.models import create_model, list_models
from dd_lit.settings import names_of
from dd_lit.train import fit

DROPS = (torch.nn.modules.dropout._DropoutNd, torchvision.ops.StochasticDepth, torchvision.ops.DropBlock2d)
QUICK = ('mobilenetv2_05', 'squeezenet1_1', 'mnasnet0_5')
SIZES = dict(maxvit_t=224, inception_v3=96, vit_h_14=56)   # built for such images only
SEVERAL = ('googlenet', 'inception_v3')              # answer with several outputs while they train: `fit` takes one


class Made(torch.nn.Module):
    """A made-up network that draws in every way there is: a layer, a function, numpy, Python; when it is made, trained
    and tested."""
    def __init__(self, num_classes, in_chans=3, size=32):
        super().__init__()
        self.scale = 1 + .1*random.random()
        conv = torch.nn.Conv2d(in_chans, 8, 3, padding=1)
        self.body = torch.nn.Sequential(conv, torch.nn.ReLU(), torch.nn.Dropout2d(.2), torch.nn.AvgPool2d(4))
        self.head = torch.nn.Linear(8*(size//4)**2, num_classes)
    def forward(self, x):
        z = torch.nn.functional.dropout(self.body(x).flatten(1), .3, training=True)
        return self.head(z*self.scale*(1 + .01*float(np.random.rand()) + .01*random.random()))


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setitem(models._OURS, 'made', Made)


def draws(name):
    "Does the network hold layers that draw?"
    def make():
        return create_model(name, 10, 3, SIZES.get(name, 64), seed=0)
    try:
        with torch.device('meta'):
            net = make()
    except NotImplementedError:
        net = make()             # it computes while it is built
    return any(isinstance(m, DROPS) and max(getattr(m, 'p', 0), getattr(m, 'drop_prob', 0)) > 0 for m in net.modules())


def toy(size, n=8):
    x = torch.randint(0, 256, (2*n, 3, size, size), generator=rng(0, 'toy'), dtype=torch.uint8)
    y = torch.arange(2*n) % 2
    return ImageData(x[:n], y[:n], x[n:], y[n:], name='toy')


def check(name, size, repeats=2, scores=True):
    "Two epochs of training, and an evaluation, twice from different states of the world."
    d = toy(size)
    weights, results = [], []
    for k in (1, 2):
        net = create_model(name, 2, 3, size, seed=0)
        disturb(k)
        before = generators()
        fit(net, d.train_x, d.train_y, normalize=d.normalize, epochs=2, batch_size=4, lr=1e-3, seed=3)
        assert generators() == before, f'{name}: fit has drawn from the global generators'
        weights.append([v.clone() for v in net.state_dict().values()])
        if scores:
            ds = distill('random', d, 2)
            results.append(evaluate(ds, d, name, repeats=repeats, epochs=2, lr=1e-3, seed=3).top1)
            assert generators() == before, f'{name}: evaluate has drawn from the global generators'
    same = all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    assert same, f'{name}: other weights for the same seed'
    assert not scores or results[0] == results[1], f'{name}: {results} for the same seed'


@pytest.mark.parametrize('name', [*QUICK, 'made'])
def test_same_seed_same_network(name, made):
    assert name == 'made' or draws(name)
    check(name, 32)


def test_full_accuracy(made):
    def once(k):
        disturb(k)
        before = generators()
        a = full_accuracy(toy(16, 40), 'made', epochs=2)
        assert generators() == before
        return a
    assert once(1) == once(2)


def room() -> float: # GB of memory that this process may still take
    free = psutil.virtual_memory().available
    limit, used = (Path(f'/sys/fs/cgroup/memory.{k}') for k in ('max', 'current'))
    if limit.exists() and (most := limit.read_text().strip()) != 'max':
        free = min(free, int(most) - int(used.read_text()))
    return free/1e9


def like(name):
    "The smallest of a family whose members hold the same kinds of layers but cannot be built without their weights."
    return re.sub(r'^(regnet_[xy])_\w+$', r'\1_400mf', name)


def digest(net):
    "Of all weights and buffers; copies of nothing."
    sums = hashlib.sha256()
    for v in net.state_dict().values():
        sums.update(v.detach().numpy())
    return sums.hexdigest()


@pytest.mark.slow
def test_many_networks_draw():
    "So that the next test does not pass by asking nobody."
    seen = [n for n in list_models() if n not in SEVERAL and draws(like(n))]
    assert set(QUICK) <= set(seen) and len(seen) > 30, seen


@pytest.mark.slow
@pytest.mark.parametrize('name', [n for n in list_models() if n not in SEVERAL])
def test_every_network_that_draws(name):
    """Every network of `list_models` with such a layer, on the smallest images it takes: two epochs of training, twice
    from different states of the world. Its first weights are kept and put back, since making them takes longest."""
    if not draws(like(name)):
        pytest.skip(f'{name} holds no layer that draws')
    size = SIZES.get(name, 64 if 'swin' in name else 32)
    d = toy(size, 2)
    net = create_model(name, 2, 3, size, seed=0)
    # weights, the copy, gradients, momentum, and one tensor on its way
    need = 5*4e-9*sum(p.numel() for p in net.parameters()) + .5
    if need > room():
        pytest.skip(f'{name} takes {need:.1f} GB to train, {room():.1f} GB are free')
    first = copy.deepcopy(net.state_dict())        # with its version, which some networks look at
    found = []
    for k in (1, 2):
        net.load_state_dict(first)
        disturb(k)
        before = generators()
        fit(net, d.train_x, d.train_y, normalize=d.normalize, epochs=2, batch_size=4, lr=1e-3, seed=3)
        assert generators() == before, f'{name}: fit has drawn from the global generators'
        found.append(digest(net))
        net.zero_grad(set_to_none=True)
    assert found[0] == found[1], f'{name}: other weights for the same seed'
    assert any(not torch.equal(v, first[k]) for k, v in net.state_dict().items()), f'{name} has not been trained'
    del net, first
    gc.collect()


class Cut(Exception):
    pass


FOLLOWED = dict(experts=2, steps=2, span=1, starts=1, expert_epochs=1)


@pytest.mark.parametrize('method', ['dc', 'dc_mda', 'dsa', 'dm', 'mtt', 'datm'])
def test_interrupted_and_resumed(method, made, tmp_path, counted):
    "Matching in a network that draws, cut in its second step and given again: the same images, bit for bit."
    d, cfg = toy(16), dict(model='made', iters=3)
    cfg |= FOLLOWED | dict(cache=tmp_path/'cache') if method in ('mtt', 'datm') else dict(batch_real=4)
    disturb(1)
    before = generators()
    whole = distill(method, d, 2, **cfg)
    assert generators() == before
    one = get_method(method)(d, 2, **cfg)
    real = one.step
    def fragile():
        if one.k == 2:
            torch.rand(5)
            raise Cut
        return real()
    one.step = fragile
    with pytest.raises(Cut):
        run(one, tmp_path/'run')
    disturb(2)
    steps = counted(method)
    assert torch.equal(distill(method, d, 2, out=tmp_path/'run', **cfg).images, whole.images)
    assert steps == [2]


SMALL = dict(iters=3, width=8, squeeze_epochs=1, epochs=1, batch_real=8, backbones=('resnet18',), backbone='convnet3',
             pool=20, augs=2, **FOLLOWED)


@pytest.mark.parametrize('method', list_methods())
def test_watching_changes_nothing(method, tmp_path):
    """Asking for the result, the state and the identity after every step, or keeping checkpoints, gives the same images
    as not asking."""
    d = load_data('digits')
    cls = get_method(method)
    cfg = {k: v for k, v in (SMALL | dict(cache=tmp_path/'cache')).items() if k in names_of(cls.settings)}
    if method in ('lgm', 'sfm'):
        net = create_model('convnet3', 10, 1, 16, seed=0, width=8)
        cfg.pop('width')
        cfg['backbone'] = FeatureNet(torch.nn.Sequential(net.features, torch.nn.Flatten()), d.norm)
    if method in ('random', 'herding', 'k_center', 'forgetting', 'rded'):
        cfg['iters'] = 1
    def made(**kw):
        return run(cls(d, 1, device='cpu', **cfg), **kw)
    plain = made()
    look = lambda o: (o.result(), o.state_dict(), o.identity())
    watched = made(out=tmp_path/'run', checkpoint_seconds=0, on_step=look)
    for a, b in ((plain.images, watched.images), (plain.labels, watched.labels)):
        assert torch.equal(a, b), f'{method}: differs by {(a - b).abs().max():.3g}'
    assert (plain.soft is None) == (watched.soft is None)
    assert plain.soft is None or torch.equal(plain.soft, watched.soft)
