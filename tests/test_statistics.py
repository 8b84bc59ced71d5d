"""Statistical matching and soft labels from the command line, and one whole way through the library."""
import json

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from dd_lit.core import rng

TINY = ('width=8', 'squeeze_epochs=1', 'squeeze_augment=crop')


def test_cli(call, tmp_path, monkeypatch):
    "distil with SRe2L, evaluate with a loss from the zoo; the second run takes the backbone from the cache."
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))
    call('distill', 'sre2l', '--ipc', '1', '--iters', '4', '--out', 'a', '--set', *TINY, check=0)
    assert len(list((tmp_path/'cache').iterdir())) == 1
    before = next((tmp_path/'cache').iterdir()).stat().st_mtime_ns
    one = ('--set', *TINY, "backbones=('resnet18',)")
    call('distill', 'gvbsm', '--ipc', '2', '--iters', '2', '--out', 'b', *one, check=0)
    assert next((tmp_path/'cache').glob('*resnet18_*[0-9a-f].safetensors')).stat().st_mtime_ns == before
    call('evaluate', 'a', '--repeats', '1', '--loss', 'kl_ce', '--set', 'epochs=4', 'width=8', check=0)
    scores = json.loads(next((tmp_path/'a').glob('scores_*kl_ce*.json')).read_text())
    assert len(scores['top1']) == len(scores['hard']) == 1


def test_cli_errors(call, tmp_path, monkeypatch):
    "One line, exit 2, for what the issue lists."
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))
    for method, settings, word in (('sre2l', ["backbones=('convnet3',)"], 'batch normalisation'),
                                   ('sre2l', ['alpha=1.0'], 'alpha'),
                                   ('cda', ['curriculum=sine'], 'curriculum: expected one of cosine'),
                                   ('dwa', ['rho=-1'], 'rho'), ('lpld', ['loop=original'], 'loop'),
                                   ('gvbsm', ['bn=False', 'conv=False'], 'at least one')):
        p = call('distill', method, '--set', *settings, *TINY, '--ipc', '1', '--iters', '1', '--out', 'x')
        assert p.returncode == 2 and word in p.stderr and len(p.stderr.strip().splitlines()) == 1, p.stderr


def test_stored_labels_follow_the_set(tmp_path):
    "relabel -> disk -> another object -> evaluate gives what labels in memory give."
    from dd_lit.data import load_data
    from dd_lit.distill import distill
    from dd_lit.evaluate import evaluate
    from dd_lit.labels.soft import SoftLabels, relabel
    from dd_lit.teachers import squeeze
    data = load_data('digits')
    t = squeeze('resnet18', data, epochs=1, width=8, cache=tmp_path/'c')
    ds = distill('random', data, 2)
    kw = dict(epochs=4, batch_size=10, seed=3)
    a, _ = relabel(ds.images, [t], **kw), relabel(ds.images, [t], path=tmp_path/'l', chunk=3, **kw)
    ev = dict(repeats=1, loss='mse_ce', hard=False, model_kw=dict(width=8))
    assert evaluate(ds, data, soft=a, **ev).top1 == evaluate(ds, data, soft=SoftLabels.load(tmp_path/'l'), **ev).top1


def looks():
    "What is measured on real data before a run, as (module, its function that looks, what asks for it)."
    from dd_lit.flow import sfm
    from dd_lit.orthogonal import pseudo_gradient
    from dd_lit.statistics import conv_stats, lpld
    return [(conv_stats, '_averages', conv_stats.conv_statistics), (lpld, '_by_class', lpld.class_statistics),
            (pseudo_gradient, '_averages', pseudo_gradient.real_directions), (sfm, '_centers', sfm.real_centers)]


def only_toys(look):
    "It may look at the four images by which it is known, and at no others."
    def looks_at(net, data, *how):
        return look(net, data, *how) if len(data.train_x) == 4 else pytest.fail('the real data were looked at again')
    return looks_at


def bits(o):
    "All numbers in what was measured, in order."
    below = o.values() if isinstance(o, dict) else o
    return [o] if isinstance(o, torch.Tensor) else [t for v in below for t in bits(v)]


@pytest.mark.parametrize('harm', ['cut to 0', 'cut to .02', 'cut to .5', 'cut to .99', 'more', 'other', 'no digest'])
def test_a_damaged_file_of_measurements_is_made_again(harm, tmp_path):
    "Whatever becomes of it, a line says so, and what comes is what was measured."
    from dd_lit.data import ImageData
    y = torch.arange(4) % 2
    x = torch.rand(4, 1, 8, 8, generator=rng(0))
    layers = torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Conv2d(2, 2, 3)
    data, net = ImageData(x, y, x, y), torch.nn.Sequential(*layers).eval()
    for _, _, ask in looks():
        folder = tmp_path/ask.__name__
        first = bits(ask(net, data, cache=folder))
        file, = folder.iterdir()
        whole = file.read_bytes()
        with safetensors.safe_open(file, 'pt') as f:
            about, blob = f.metadata(), {k: f.get_tensor(k) for k in f.keys()}
        if harm.startswith('cut'):
            file.write_bytes(whole[:int(float(harm[7:])*len(whole))])
        else:
            changed = dict(more=blob | {'new/0': torch.zeros(2)}, other={k: t + 1 for k, t in blob.items()})
            safetensors.torch.save_file(changed.get(harm, blob), file, None if harm == 'no digest' else about)
        with pytest.warns(UserWarning, match='is damaged'):
            again = bits(ask(net, data, cache=folder))
        assert len(first) == len(again) and all(map(torch.equal, first, again)) and file.read_bytes() == whole


@pytest.mark.parametrize('method, settings', [('gvbsm', dict(backbones=('resnet18',))), ('ogm', dict(pool=5)),
                                              ('lpld', {}), ('sfm', {})])
def test_the_real_data_are_looked_at_once(method, settings, tmp_path, monkeypatch):
    "A second run, and one that goes on, take what was measured; the images are the same to the bit."
    from dd_lit.data import load_data
    from dd_lit.distill import distill
    data, own = load_data('digits'), dict(iters=2, cache=tmp_path/'cache', width=8, **settings)
    own |= {} if method == 'sfm' else dict(squeeze_epochs=1)
    first = distill(method, data, 1, **own)
    for module, name, _ in looks():
        monkeypatch.setattr(module, name, only_toys(getattr(module, name)))
    assert torch.equal(distill(method, data, 1, **own).images, first.images)
    with pytest.raises(pytest.fail.Exception):
        distill(method, data, 1, **own | dict(cache=tmp_path/'empty'))


@pytest.mark.parametrize('which', range(4))
def test_code_that_measures_otherwise_measures_again(which, tmp_path, monkeypatch):
    "What is kept belongs to the code that measured it: after a change it is not taken."
    from dd_lit.data import load_data
    from dd_lit.models import create_model
    module, name, ask = looks()[which]
    data, net = load_data('digits'), create_model('resnet18', 10, 1, 16, width=8).eval()
    ask(net, data, cache=tmp_path)
    ask(net, data, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    look = getattr(module, name)
    def changed(o):
        if isinstance(o, torch.Tensor):
            return o*1.01 if o.is_floating_point() else o
        pairs = ((k, changed(v)) for k, v in o.items()) if isinstance(o, dict) else map(changed, o)
        return type(o)(pairs)
    monkeypatch.setattr(module, name, lambda *a: changed(look(*a)))
    ask(net, data, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@given(sizes=st.lists(st.integers(1, 20), min_size=1, max_size=6), tens=st.integers(-3, 6), seed=st.integers(0, 2**31))
def test_moments_of_parts_are_those_of_the_whole(sizes, tens, seed):
    "However the data are cut up, and however far their mean is from zero."
    from dd_lit.statistics.lpld import merge_moments
    whole = torch.randn(sum(sizes), 3, generator=rng(seed), dtype=torch.float64) + 10.**tens
    got = None
    for part in whole.split(sizes):
        got = merge_moments(got, (len(part), part.mean(0), (part - part.mean(0)).square().sum(0)))
    n, mean, squares = got
    assert n == len(whole) and torch.allclose(mean, whole.mean(0), rtol=1e-12, atol=1e-12)
    assert torch.allclose(squares/n, whole.var(0, unbiased=False), rtol=1e-6, atol=1e-9)


@given(k=st.integers(0, 99), least=st.floats(.01, 1), milestone=st.floats(.01, 1),
       name=st.sampled_from(['cosine', 'linear', 'step']))
def test_a_curriculum_only_falls(k, least, milestone, name):
    "From the whole image to the smallest share, never back; at the milestone it is there."
    from dd_lit.statistics.cda import crop_floor
    here, after = (crop_floor(i, 100, least, name, milestone) for i in (k, k + 1))
    assert least <= after <= here <= 1 + 1e-12
    assert crop_floor(0, 100, least, name, milestone) == 1 or least + (1 - least) == crop_floor(0, 100, least, name)
    assert k < 100*milestone or abs(here - least) < 1e-12


@given(steps=st.integers(1, 6), rho=st.floats(0, 1), seed=st.integers(0, 2**31))
def test_weights_move_no_further_than_rho(steps, rho, seed):
    "And the network stays where it was, whether its weights want gradients or not."
    from dd_lit.core import local_seed
    from dd_lit.statistics.dwa import ascend
    with local_seed(seed):
        net = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)).double()
    net.requires_grad_(seed % 2 == 0)
    before = {n: p.clone() for n, p in net.named_parameters()}
    x, y = torch.randn(6, 4, generator=rng(seed), dtype=torch.float64), torch.arange(6) % 3
    moved = ascend(net, x, y, steps, rho)
    far = torch.stack([(moved[n] - p).square().sum() for n, p in before.items()]).sum().sqrt()
    assert far <= rho*(1 + 1e-9) and (steps > 1 or far >= rho*(1 - 1e-6))
    assert all(torch.equal(before[n], p) and p.grad is None for n, p in net.named_parameters())


def test_what_is_given_by_name_is_heard():
    "Hooks note the first argument of a layer, by position or by name."
    from dd_lit.core import first_input
    from dd_lit.distribution.dm import last_features
    from dd_lit.models import embed
    from dd_lit.orthogonal.pseudo_gradient import PseudoReader
    from dd_lit.statistics.bn_matching import BNMatcher

    class Named(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.head = torch.nn.BatchNorm2d(1), torch.nn.Linear(64, 3)

        def forward(self, x):
            return self.head(input=self.norm(input=x).flatten(1))

    net, x = Named().eval(), torch.rand(4, 1, 8, 8, generator=rng(0))
    entered = net.norm(x).flatten(1)
    assert torch.equal(last_features(net, x), entered) and torch.equal(embed(net, x)[0], entered)
    with BNMatcher(net) as b, PseudoReader(net) as r:
        net(x)
        assert list(b.terms()) == ['norm'] and list(r.read()) == ['head']
    assert first_input((1, 2), {}) == first_input((), dict(input=1, other=2)) == 1
