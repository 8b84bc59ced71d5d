"""Matching by networks: whoever looks at a run does not change it, whoever lends a network gets it back, and what a
network draws comes from the seed."""

import pytest
import torch
import torch.nn.functional as F
from helpers import disturb, generators
from torch import nn

from dd_lit.core import local_seed
from dd_lit.data import ImageData, load_data
from dd_lit.distill import distill, run
from dd_lit.method import get_method
from dd_lit.models import create_model, weights_digest
from dd_lit.teachers import squeeze

@pytest.fixture(scope='module')
def data():
    d = load_data('digits')
    x, y = d.sample(300, seed=0)
    return ImageData(x, y, d.test_x[:50], d.test_y[:50], d.norm, d.classes, 'few')


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp('cache'))


@pytest.mark.parametrize('method', ['sre2l', 'cda', 'dwa', 'lpld', 'gvbsm', 'ogm'])
def test_result_in_on_step_changes_nothing(method, data, cache):
    """The same images to the last bit, with and without `result()` and questions of one's own to the networks after
    every step (test_seeds.py asks all methods; here are two networks in turn, with memory, and dropped layers)."""
    def ask(o):
        o.result()
        for net in o.nets:
            net(o.images[:2])
    kw = dict(iters=5, width=8, squeeze_epochs=1, crop=.5, batch_size=6, loop='reorder', alpha=.4, cache=cache)
    before = generators()
    if method == 'gvbsm':
        kw |= dict(backbones=('resnet18', 'convnet3'), drop=.6)
    if method == 'lpld':                                # a batch is a class, without memory
        kw |= dict(batch_size=1, alpha=0.)
    if method == 'ogm':
        kw |= dict(pool=30, bn_weight=.01)               # memory is of the statistics
    plain = run(get_method(method)(data, 2, seed=1, device='cpu', **kw))
    watched = run(get_method(method)(data, 2, seed=1, device='cpu', **kw), on_step=ask)
    assert torch.equal(plain.images, watched.images), (plain.images - watched.images).abs().max()
    assert torch.equal(plain.soft, watched.soft) and generators() == before


class Noisy(nn.Module):
    "Draws from torch's global generator even in evaluation mode."
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 8, 3, 2), nn.BatchNorm2d(8)
        self.last, self.head = nn.Conv2d(8, 16, 3, 2), nn.Linear(16, 10)
    def forward(self, x):
        return self.head(F.dropout(self.last(self.norm(self.conv(x))), .3).relu().mean((2, 3)))


class Stop(Exception):
    pass


def stop(o):
    if o.k == 2:
        raise Stop


@pytest.mark.parametrize('method', ['sre2l', 'cda', 'dwa', 'lpld', 'gvbsm'])
@pytest.mark.parametrize('net', ['mobilenetv2_05', 'noisy'])
def test_networks_that_draw(method, net, data, cache, tmp_path, counted):
    """With dropout inside: same seed, same images, whatever the caller drew before; resumed, the same again; another
    seed, others."""
    if net == 'noisy':
        with local_seed(0, 'noisy'):
            lent = Noisy()
        kw = dict(iters=4, crop=.5, teachers=dict(noisy=lent))
    else:
        kw = dict(iters=4, crop=.5, squeeze_epochs=1, backbones=(net,), cache=str(tmp_path/'c'))
    sets = []
    for s in (1, 2):
        disturb(s)
        before = generators()
        own = {} if net == 'noisy' else dict(cache=str(tmp_path/f'c{s}'))
        sets.append(distill(method, data, 1, seed=3, device='cpu', **kw | own))
        assert generators() == before
    assert torch.equal(sets[0].images, sets[1].images) and torch.equal(sets[0].soft, sets[1].soft)
    if net != 'noisy':
        kw['cache'] = str(tmp_path/'c1')
    with pytest.raises(Stop):
        run(get_method(method)(data, 1, seed=3, device='cpu', **kw), tmp_path/'o', checkpoint_seconds=0, on_step=stop)
    torch.manual_seed(9)
    steps = counted(method)
    assert torch.equal(distill(method, data, 1, out=tmp_path/'o', seed=3, device='cpu', **kw).images, sets[0].images)
    assert steps == [2, 3]


@pytest.mark.parametrize('name', ['mobilenetv2_05', pytest.param('efficientnet_b0', marks=pytest.mark.slow)])
def test_squeeze_is_its_key(name, data, tmp_path):
    """A cache key stands for one training: two empty caches, two global states, one network. (EfficientNet has
    stochastic depth too.)"""
    nets = []
    for s in (1, 2):
        torch.manual_seed(s)
        before = generators()
        nets.append(squeeze(name, data, epochs=1, augment='crop', device='cpu', cache=tmp_path/str(s)))
        assert generators() == before
    assert weights_digest(nets[0]) == weights_digest(nets[1])
    assert [p.name for p in (tmp_path/'1').iterdir()] == [p.name for p in (tmp_path/'2').iterdir()]


def test_the_seed_decides_the_networks(data, cache):
    "Two seeds, two committees; one seed, one."
    kw = dict(iters=1, width=8, squeeze_epochs=1, cache=cache)
    sets = [distill('sre2l', data, 1, seed=s, device='cpu', **kw) for s in (0, 1, 0)]
    a, b, c = (s.meta['backbones']['resnet18']['digest'] for s in sets)
    assert a == c != b


@pytest.mark.parametrize('method', ['sre2l', 'cda', 'dwa', 'lpld', 'gvbsm', 'ogm'])
def test_lent_networks_come_back(method, data):
    "Modes, wishes for gradients, gradients, hooks and buffers of teachers, after a run and in the middle of it."
    with local_seed(0, 'lent'):
        net = Noisy()
    net.norm.eval()
    net.last.weight.requires_grad_(False)
    net.head.weight.grad = torch.ones_like(net.head.weight)
    net.conv.register_forward_hook(lambda *a: None)
    hooks = lambda m: (m._forward_hooks, m._forward_pre_hooks, m._backward_hooks)
    listening = lambda net: [len(h) for m in net.modules() for h in hooks(m)]
    told = lambda: (weights_digest(net), [m.training for m in net.modules()],
                    [(p.requires_grad, None if p.grad is None else p.grad.tolist()) for p in net.parameters()],
                    listening(net))
    before, during = told(), []
    kw = dict(pool=30) if method == 'ogm' else {}
    distiller = get_method(method)(data, 1, device='cpu', iters=2, teachers=net, **kw)
    copies = []                     # nothing listens between two steps, so whoever labels meanwhile pays for no hook
    run(distiller, on_step=lambda o: (during.append(told()), copies.append(listening(o.nets['Noisy']))))
    assert told() == before and during == [before]*2
    assert distiller.nets['Noisy'] is not net
    assert copies == [listening(net)]*2


@pytest.mark.parametrize('size', [(16, 24), (28, 40), (40, 28), (28, 28), (8, 32)])
@pytest.mark.parametrize('norm', ['layer', 'instance', 'batch'])
def test_vgg_of_images_that_are_not_square(norm, size):
    assert create_model('vgg11', 3, 1, size, norm=norm)(torch.zeros(2, 1, *size)).shape == (2, 3)
