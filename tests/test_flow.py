"""Matching flows: trainings that depend on their seed alone, networks on devices of their own."""
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT  # noqa: F401  (sets the environment)
from helpers import disturb, generators
from pretend import NAME, PretendDevice, Rules
from torch import nn
from torchvision.ops import StochasticDepth

import dd_lit.flow.features as F_
from dd_lit.core import rng
from dd_lit.data import ImageData, load_data
from dd_lit.distill import _differs, distill, run
from dd_lit.flow.features import FeatureNet, features, pretrain
from dd_lit.flow.inherit import (
    INHERIT_MODES,
    Views,
    evaluate_inherit,
    train_golden,
    train_projector,
)
from dd_lit.method import get_method
from dd_lit.models import borrowed, create_model, device_of, list_models, weights_digest

def few(size=None):
    d = load_data('digits', size=size)
    return ImageData(*d.sample(40), d.test_x[:20], d.test_y[:20], d.norm, d.classes, 'few')


def twice(name, data, tmp_path, **kw):
    "Digests of two trainings with different global generators before them, which are left alone."
    out = []
    for s in (1, 2):
        disturb(s)
        before = generators()
        out.append(weights_digest(pretrain(name, data, epochs=1, batch_size=16, cache=tmp_path/str(s), **kw)))
        assert generators() == before
    return out


def drawing(most=12e6):
    "Networks that draw random numbers while they train, up to a size."
    out = []
    for n in list_models():
        if n.startswith(('regnet', 'vit')):
            continue          # their builders look at their weights; they have no dropout
        with torch.device('meta'):
            m = create_model(n, 10, 1, 32)
        draws = any(isinstance(o, (nn.modules.dropout._DropoutNd, StochasticDepth)) and o.p > 0 for o in m.modules())
        if draws and sum(p.numel() for p in m.parameters()) <= most:
            out.append(n)
    return out


class Random(nn.Module):
    "Draws from everything there is, in training and in prediction."
    def forward(self, x):
        return F.dropout(x, .3)*(1 + .1*random.random()) + .1*float(np.random.rand())


def test_made_up_network_is_trained_by_its_seed(tmp_path, monkeypatch):
    def made_up(name, data, seed, width):
        net = create_model('mlp', 10, 1, 16, seed=seed, width=8)
        return nn.Sequential(*list(net)[:-1], Random()), 8
    monkeypatch.setattr(F_, '_headless', made_up)
    a, b = twice('mlp', few(), tmp_path)
    assert a == b


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore::FutureWarning')
def test_every_network_that_draws_is_trained_by_its_seed(tmp_path):
    data, tried = few(32), []
    for n in drawing():
        if n.startswith('squeezenet'):
            continue               # no linear head to take away; `last_linear` says so
        if n == 'googlenet':
            continue                         # several outputs while it trains
        a, b = twice(n, data, tmp_path/n)
        assert a == b, n
        tried.append(n)
    assert len(tried) >= 10


@pytest.mark.parametrize('method', ['sfm', 'lgm'])
def test_network_that_draws_while_it_predicts(method, tmp_path, counted):
    "Same seed, same images, resumed as well; global generators untouched."
    data = few()
    def net():
        return nn.Sequential(nn.Flatten(), Random())
    def made(s, **kw):
        disturb(s)
        before = generators()
        m = get_method(method)(data, 1, backbone=net(), iters=4, grow_every=2)
        try:
            return run(m, **kw).images
        finally:
            assert generators() == before
    whole = made(1)
    assert torch.equal(whole, made(2))
    class Stop(Exception):
        pass
    def stop(d):
        if d.k == 3:
            raise Stop
    with pytest.raises(Stop):
        made(3, out=tmp_path/'run', checkpoint_seconds=0, on_step=stop)
    steps = counted(method)
    assert torch.equal(made(4, out=tmp_path/'run'), whole) and steps == [3]


def test_evaluation_is_decided_by_its_seed():
    data = few()
    a = FeatureNet(nn.Sequential(nn.Flatten(), Random()), data.norm)
    b = FeatureNet(nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), Random()), data.norm)
    ds = distill('random', data, 1)
    scores = []
    for s in (1, 2):
        disturb(s)
        before = generators()
        golden = train_golden(features(a, data.train_x, data.normalize), data.train_y, 10, epochs=3)
        found = evaluate_inherit(ds, data, a, b, golden, INHERIT_MODES, repeats=1, epochs=3)
        scores.append({m: q.top1 for m, q in found.items()})
        assert generators() == before
    assert scores[0] == scores[1]


@pytest.mark.parametrize('where', [('cpu', NAME), (NAME, 'cpu'), (NAME, NAME)], ids='-'.join)
def test_networks_stay_on_their_devices(where):
    "The set's images come to each network; the golden head and the test features may be anywhere."
    data = few()
    ds = distill('random', data, 1)
    with PretendDevice():
        nets = [create_model('convnet3', 6, 1, 16, seed=i, width=8, norm='batch').to(d) for i, d in enumerate(where)]
        a, b = (FeatureNet(net, data.norm).to(d) for net, d in zip(nets, where, strict=True))
        z = features(a, data.train_x, data.normalize)
        for at in ('cpu', NAME):
            golden = train_golden(z.to(at), data.train_y, 10, epochs=2)
            assert device_of(golden).type == at
            tests = features(b, data.test_x, data.normalize).to(at)
            how = dict(repeats=1, epochs=2, noise=.1, flip=True, test_features=tests)
            for q in evaluate_inherit(ds, data, a, b, golden, INHERIT_MODES, **how).values():
                assert 0 <= q.mean <= 100
        train_projector(Views(ds.images.to(NAME), a, b, 0), 2)
        assert (device_of(a).type, device_of(b).type) == where
    assert Rules.seen > 100


@pytest.mark.parametrize('method', ['sfm', 'lgm'])
def test_a_network_of_the_caller_is_not_moved(method):
    data = few()
    net = create_model('convnet3', 6, 1, 16, seed=0, width=8, norm='batch')
    before = weights_digest(net)
    with PretendDevice() as device:
        there = distill(method, data, 1, backbone=net, iters=3, grow_every=1, device=device).images
        assert device_of(net).type == 'cpu'
        net.to(device)
        with borrowed(net):
            net.to('cpu')
        assert device_of(net).type == NAME
        net.to('cpu')
    assert Rules.seen > 100 and weights_digest(net) == before
    here = distill(method, data, 1, backbone=net, iters=3, grow_every=1, device='cpu').images
    assert torch.allclose(here, there, atol=1e-4)


def test_features_find_the_device_of_a_network_without_buffers():
    z = features(nn.Linear(3, 2), torch.randn(5, 3, generator=rng(0)))
    assert z.shape == (5, 2) and not z.requires_grad


def test_the_size_inside_a_network_by_name(monkeypatch):
    "It reaches `pretrained`, and a run that does not say it is the run it was before there was this setting."
    data, asked = few(), []
    def fake(name, data, download, size=None, device=None):
        asked.append(size)
        return FeatureNet(nn.Flatten(), data.norm, name=name)
    monkeypatch.setattr('dd_lit.flow.pyramid.pretrained', fake)
    for size in (None, 28):
        m = get_method('sfm')(data, 1, iters=1, backbone='dinov2', net_size=size)
        m.setup()
        who = m.identity()
        before = who | dict(config={k: v for k, v in who['config'].items() if k != 'net_size'})
        assert (_differs(before, who) is None) == (size is None)
    assert asked == [None, 28]


@pytest.mark.parametrize('given', [dict(alpha=.9), dict(download=True), dict(net_size=28)], ids=lambda d: [*d][0])
def test_a_setting_that_nothing_would_use(given):
    "Is refused by its name: what a set says of its making is what ran."
    with pytest.raises(ValueError, match=f'^{[*given][0]}: only '):
        get_method('sfm')(few(), 1, iters=1, backbone=nn.Flatten(), **given)


def test_a_class_with_one_image_is_learnt():
    "It is not held out, whatever the seed."
    y = torch.tensor([0]*40 + [1]*40 + [2])
    z = 3.*F.one_hot(y, 3) + .1*torch.randn(81, 3, generator=rng(0))
    for seed in range(12):
        golden = train_golden(z, y, 3, seed=seed, epochs=150, lr=.1)
        assert golden(z[-1:]).argmax().item() == 2, seed
