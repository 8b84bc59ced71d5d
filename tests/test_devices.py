"""Nothing mixes devices: every method, every way of scoring and labelling, on a device that is not there (see
pretend.py)."""
import pytest
import torch
from conftest import ROOT  # noqa: F401  (sets the environment)
from pretend import Mixed, PretendDevice, Rules

from dd_lit.augment import crop_resize, draw_boxes, make_augment, patch_augment
from dd_lit.compare import compare
from dd_lit.core import rng
from dd_lit.coreset.select import forgetting, herding, k_center, random_select
from dd_lit.data import ImageData, fingerprint, load_data
from dd_lit.distill import distill
from dd_lit.evaluate import evaluate, full_accuracy
from dd_lit.labels.losses import get_loss
from dd_lit.labels.soft import LiveLabels, relabel
from dd_lit.method import OneStep, get_method, list_methods
from dd_lit.models import create_model
from dd_lit.sets import DistilledSet
from dd_lit.settings import names_of

SMALL = dict(iters=2, width=8, batch_real=16, squeeze_epochs=1, epochs=1, pool=20, pretrain=dict(epochs=1),
             backbones=('convnet3', 'resnet18'), experts=1, expert_epochs=3, starts=2, span=1, steps=3)
AUGMENTS = ['color_crop_cutout_flip_scale_rotate', 'gift', 'dc_crop_scale_rotate', 'dc_crop_noise', 'patches']
WAYS = ['dc', 'dsa', 'gift', 'kl', 'gift loss', 'stored', 'adam', 'muon', 'mosaic', 'batch norm']


@pytest.fixture(scope='module')
def data():
    "200 digits of all classes, 50 to test on."
    d = load_data('digits')
    i = torch.randperm(len(d.train_x), generator=rng(0, 'few'))[:200]
    return ImageData(d.train_x[i], d.train_y[i], d.test_x[:50], d.test_y[:50], d.norm, d.classes, 'digits')


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))


def settings(method):
    known = get_method(method).settings
    kw = {k: v for k, v in SMALL.items() if k in names_of(known) and (k != 'iters' or not issubclass(known, OneStep))}
    if method in ('sre2l', 'cda', 'dwa', 'lpld'):          # they read batch norms
        kw['backbones'] = ('resnet18',)
    return kw


def small_set(data):
    return distill('random', data, 1)


def test_the_device_refuses_what_a_gpu_refuses():
    with PretendDevice() as device:
        x, y = torch.ones(3, device=device), torch.ones(3)
        with pytest.raises(Mixed):
            x + y
        with pytest.raises(TypeError):
            x.numpy()
        with pytest.raises(Mixed):
            torch.randn(3, device=device, generator=rng(0, 'here'))
        assert (x + 1).cpu().equal(y + 1) and (x + torch.tensor(1.)).device.type == x.device.type
    with PretendDevice(double=False) as device:
        with pytest.raises(TypeError):
            torch.ones(3, device=device).double()


def test_data_that_lie_on_the_device(data):
    "Tensors of a GPU are data like others, which stay in the memory of the CPU."
    parts = data.train_x, data.train_y, data.test_x, data.test_y
    with PretendDevice() as device:
        there = ImageData(*(t.to(device) for t in parts), classes=data.classes)
        listed = load_data([(x.to(device), y.to(device)) for x, y in zip(*parts[:2], strict=True)])
    here = ImageData(*parts, classes=data.classes)
    assert fingerprint(there, test=True) == fingerprint(here, test=True) and there.train_y.device.type == 'cpu'
    assert len(listed.train_x) + len(listed.test_x) == len(data.train_x)


# relatives share the steps of the method that they begin with: without float64 they run in `make test-all`
RELATIVES = 'dc_m', 'dc_mdo', 'dc_mda', 'dsa', 'datm', 'cda', 'dwa', 'lpld', 'lgm'
BOTH = [pytest.param(m, d, id=f"{m}-{'float64' if d else 'no float64'}",
                     marks=[pytest.mark.slow] if m in RELATIVES and not d else [])
        for m in list_methods() for d in (True, False)]


@pytest.mark.parametrize(('method', 'double'), BOTH)
def test_distill(data, method, double, tmp_path):
    "From nothing to a set and its file, with a checkpoint that is read back."
    with PretendDevice(double) as device:
        ds = distill(method, data, 1, device=device, out=tmp_path/'a', checkpoint_seconds=0, **settings(method))
        half = get_method(method)(data, 1, device=device, **settings(method))
        half.setup()
        state = half.state_dict()
        half.load_state_dict(state)
    assert ds.images.device.type == 'cpu' and ds.images.isfinite().all()
    assert torch.equal(DistilledSet.load(tmp_path/'a').images, ds.images)
    assert Rules.seen > 100 or method == 'random'


@pytest.mark.parametrize('double', [True, False], ids=['float64', 'no float64'])
@pytest.mark.parametrize('what', AUGMENTS)
def test_augment(what, double):
    "The same images as on the CPU, from the same draws."
    x = torch.randn(12, 2, 16, 16, generator=rng(0, 'x'))
    aug = patch_augment() if what == 'patches' else make_augment(what)
    with PretendDevice(double) as device:
        for k in range(6):
            assert torch.allclose(aug(x.to(device), rng(k, what)).cpu(), aug(x, rng(k, what)), atol=1e-5)
    assert Rules.seen > 20


@pytest.mark.parametrize('double', [True, False], ids=['float64', 'no float64'])
@pytest.mark.parametrize('size', [16, 8, (5, 20)])
def test_crop_resize(size, double):
    "Boxes that enlarge and that shrink, drawn on the CPU and moved or not."
    x, boxes = torch.randn(6, 2, 16, 16, generator=rng(0, 'x')), draw_boxes(6, rng(0, 'boxes'))
    with PretendDevice(double) as device:
        for b in (boxes, boxes.to(device)):
            assert torch.allclose(crop_resize(x.to(device), b, size).cpu(), crop_resize(x, boxes, size), atol=1e-5)
    assert Rules.seen > 5


@pytest.mark.parametrize('double', [True, False], ids=['float64', 'no float64'])
def test_choosers_by_hand(double):
    "Features, labels and events that lie on a device: the same choice as on the CPU."
    z, y, events = torch.randn(30, 4, generator=rng(0, 'z')), torch.arange(30) % 3, torch.arange(30) % 7
    with PretendDevice(double) as device:
        for choose, first in ((herding, z), (k_center, z), (forgetting, events)):
            want = choose(first, y, 4)
            for labels in (y, y.to(device)):
                assert choose(first.to(device), labels, 4).equal(want), choose
        assert random_select(y.to(device), 4).equal(random_select(y, 4))


@pytest.mark.parametrize('how', WAYS)
def test_evaluate(data, how):
    ds = small_set(data)
    kw = dict(epochs=2, model_kw=dict(width=8), repeats=1)
    with PretendDevice() as device:
        teacher = create_model('convnet3', 10, 1, 16, seed=1, width=8).to(device).eval()
        if how in ('dc', 'dsa', 'gift'):
            kw |= dict(protocol=how)
        if how in ('adam', 'muon'):
            kw |= dict(opt=how)
        if how == 'kl':
            kw |= dict(soft=torch.randn(10, 10, generator=rng(0, 'soft')), loss='kl')
        if how == 'gift loss':
            kw |= dict(soft=LiveLabels(ds.images, [teacher], epochs=2, batch_size=5, mix=True), loss='gift')
        if how == 'stored':
            stored = relabel(ds.images, [teacher], epochs=2, batch_size=5, mix=True)
            kw |= dict(soft=stored, loss=get_loss('mse_ce', gamma=.1))
        if how == 'mosaic':
            ds.patches = 2
        if how == 'batch norm':
            kw['model_kw'] |= dict(norm='batch')
        s = evaluate(ds, data, device=device, **kw)
    assert 0 <= s.mean <= 100 and Rules.seen > 100


def test_compare_and_full(data):
    with PretendDevice() as device:
        teacher = create_model('convnet3', 10, 1, 16, seed=1, width=8).to(device).eval()
        rows = compare(['random', 'rded'], data, 1, repeats=1, device=device, teacher=teacher, loss=['ce', 'kl'],
                       model_kw=dict(width=8), epochs=2, methods_kw=dict(rded=settings('rded')))
        full_accuracy(data, epochs=1, device=device, model_kw=dict(width=8))
    assert len(rows) == 4 and Rules.seen > 100


def test_inherit_and_continual(data):
    from dd_lit.flow.features import features, pretrain
    from dd_lit.flow.inherit import INHERIT_MODES, evaluate_inherit, train_golden
    from dd_lit.study.continual import gdumb
    ds = small_set(data)
    with PretendDevice() as device:
        a, b = (pretrain('convnet3', data, epochs=1, width=w, device=device) for w in (8, 16))
        golden = train_golden(features(a, data.train_x, data.normalize), data.train_y, 10, epochs=2)
        for mode in INHERIT_MODES:
            assert 0 <= evaluate_inherit(ds, data, a, b, golden, mode=mode, epochs=2).mean <= 100
        gdumb(ds, data, steps=2, model_kw=dict(width=8), epochs=2, device=device)
    assert Rules.seen > 100
