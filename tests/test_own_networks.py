"Networks of one's own at every door: by module, class, function and text, with weights, norm, size and classes."
import os
import re
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from dd_lit.cli import main
from dd_lit.compare import compare
from dd_lit.data import ImageData, load_data
from dd_lit.distill import distill
from dd_lit.evaluate import evaluate
from dd_lit.labels.soft import relabel
from dd_lit.models import (
    Adapted,
    Network,
    as_network,
    create_model,
    load_weights,
    network_key,
    read_weights,
)
from dd_lit.sets import NORMS
from dd_lit.teachers import as_teacher, committee

MODULE = '''
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, in_chans, wide=4):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(in_chans, wide, 3, padding=1), nn.BatchNorm2d(wide)
        self.head = nn.Linear(wide, num_classes)
    def forward(self, x):
        return self.head(self.bn(self.conv(x)).relu().mean((2, 3)))

def flat(num_classes, in_chans, size):
    return nn.Sequential(nn.Flatten(), nn.Linear(in_chans*size*size, num_classes))

def mute(num_classes, in_chans, size):
    return nn.Identity()
'''


@pytest.fixture(scope='module')
def data() -> ImageData:
    d = load_data('digits')
    return ImageData(d.train_x[::12], d.train_y[::12], d.test_x[::4], d.test_y[::4], d.norm, d.classes, 'few')


@pytest.fixture
def here(tmp_path, monkeypatch):
    "A working folder with a module of somebody's, and weights of a network of it."
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))
    Path('somebodys.py').write_text(MODULE)
    sys.modules.pop('somebodys', None)
    net = create_model('somebodys:Net', 10, 1, 16, seed=0)
    save_file(net.state_dict(), 'net.safetensors')
    yield net
    sys.modules.pop('somebodys', None)


WEIGHTS = 'somebodys:Net:weights=net.safetensors,input_norm=data'
FAST: dict = dict(iters=1, crop=1., flip=False)
OWN: dict = dict(sre2l=dict(teachers=WEIGHTS, **FAST), cda=dict(teachers=WEIGHTS, **FAST),
                 gvbsm=dict(teachers=[WEIGHTS], **FAST),
                 ogm=dict(teachers=dict(a=WEIGHTS), factor=1, pool=9, tries=1, **FAST),
                 rded=dict(backbone=WEIGHTS, factor=1, pool=9, tries=1), sfm=dict(backbone=WEIGHTS, iters=1),
                 lgm=dict(backbone=WEIGHTS, iters=1, augs=1), dc=dict(model='somebodys:Net', iters=1, batch_real=4),
                 herding=dict(model='somebodys:Net', epochs=1))


@pytest.mark.filterwarnings('ignore:teacher')
@pytest.mark.parametrize('method', OWN)
def test_every_method_takes_it_and_says_which(method, here, data):
    ds = distill(method, data, 1, device='cpu', **OWN[method])
    assert ds.images.isfinite().all()
    with torch.no_grad():
        here.conv.weight += 1
    save_file(here.state_dict(), 'net.safetensors')
    Path('somebodys.py').write_text(MODULE.replace('relu()', 'tanh()'))
    sys.modules.pop('somebodys')
    other = distill(method, data, 1, device='cpu', **OWN[method])
    assert ds.meta['config'] != other.meta['config'], 'other weights or another forward, the same run?'


@pytest.mark.filterwarnings('ignore:teacher')
@pytest.mark.parametrize('method', ['sre2l', 'cda', 'gvbsm', 'ogm', 'rded', 'sfm', 'lgm'])
def test_a_module_comes_back_as_it_was(method, here, data):
    from dd_lit.models import weights_digest
    here.train()
    grads = [p.requires_grad for p in here.parameters()]
    before, names = weights_digest(here), set(vars(here))
    key = 'teachers' if 'teachers' in OWN[method] else 'backbone'
    distill(method, data, 1, device='cpu', **OWN[method] | {key: here})
    assert here.training and [p.requires_grad for p in here.parameters()] == grads
    assert weights_digest(here) == before and set(vars(here)) == names and not here._forward_pre_hooks


REFUSED = [
    ('sre2l', dict(backbones='somebodys:flat'), 'expected batch normalisation'),
    ('sre2l', dict(teachers='resnet18'), 'resnet18 has no weights'),
    ('sre2l', dict(teachers='somebodys:Net:weights=no.pt,input_norm=data'), "there is no file 'no.pt'"),
    ('sre2l', dict(teachers='somebodys:Net:weights=net.safetensors'), 'input_norm: expected what these weights'),
    ('sre2l', dict(teachers='lenet:weights=net.safetensors,input_norm=data'), 'the file does not fit lenet: it lacks'),
    ('sre2l', dict(teachers=WEIGHTS + ',classes=[1,2]'), 'answers [2, 2] for two images, expected [2, 10]'),
    ('sre2l', dict(backbones=WEIGHTS), 'comes with weights and is not trained here'),
    ('ogm', dict(backbones='somebodys:mute'), 'model: somebodys:mute answers'),
    ('ogm', dict(teachers=nn.Sequential(nn.Flatten(), nn.BatchNorm1d(256), nn.Unflatten(1, (16, 16)),
                                        nn.AdaptiveAvgPool2d((1, 10)), nn.Flatten())), 'expected'),
    ('gvbsm', dict(teachers='somebodys:nett'), "no function or class 'nett'"),
    ('rded', dict(backbone='somebodys:Net:widht=3'), "did you mean"),
    ('dc', dict(model='somebodys:mute'), 'one logit for each class'),
    ('dc', dict(model='no_such_module_here:net'), "cannot import 'no_such_module_here'"),
    ('sfm', dict(backbone='somebodys:Net:weights=no.pt,input_norm=data'), 'there is no file'),
]


@pytest.mark.parametrize('method, how, says', REFUSED)
def test_refused_before_any_training(method, how, says, here, data, monkeypatch):
    def never(*a, **kw):
        raise AssertionError('something was trained')
    for place in ('dd_lit.teachers.fit', 'dd_lit.coreset.select.fit', 'dd_lit.flow.features._simclr'):
        monkeypatch.setattr(place, never)
    with pytest.raises(ValueError, match=re.escape(says)) as e:
        distill(method, data, 1, device='cpu', iters=1, **how)
    assert '\n' not in str(e.value)


def test_no_traceback_on_the_command_line(here, capsys):
    for args in (['distill', 'sre2l', '--set', 'teachers=somebodys:Nett'],
                 ['distill', 'dc', '--set', 'model=somebodys:mute'],
                 ['distill', 'sre2l', '--set', 'teachers=resnet20:weights=net.safetensors,input_norm=half']):
        assert main(args) == 2
        err = capsys.readouterr().err.strip()
        assert err.startswith('dd_lit distill: error: ') and '\n' not in err


@pytest.mark.filterwarnings('ignore:teacher')
def test_students_and_teachers_of_evaluate_compare_relabel(here, data):
    ds = distill('random', data, 2, device='cpu')
    how: dict = dict(repeats=1, epochs=1, hard=False)
    for net in ('somebodys:Net', here, Network(what='mlp', input_norm='half', input_size=8, settings=dict(width=4))):
        assert 0 <= evaluate(ds, data, net, **how).mean <= 100
    live = relabel(ds, [WEIGHTS, here], epochs=1, batch_size=9)
    assert live.num_classes == 10
    rows = compare([ds], data, model=['somebodys:Net', here], loss=['kl'], teacher=WEIGHTS, **how)
    assert [r.model for r in rows] == ['somebodys:Net', 'Net']
    with pytest.raises(ValueError, match='expected networks'):
        relabel(ds.images, 'resnet18', epochs=1)


def test_scores_of_other_networks_are_other_files(here, data, tmp_path):
    ds = distill('random', data, 1, device='cpu')
    how: dict = dict(repeats=1, epochs=1, hard=False, out=tmp_path/'out')
    for wide in (3, 4, 3):
        def net(num_classes, in_chans, size, wide=wide):
            return nn.Sequential(nn.Flatten(), nn.Linear(256, wide), nn.Linear(wide, num_classes))
        compare([ds], data, model=net, **how)
    assert len(list((tmp_path/'out'/'scores').iterdir())) == 2


def test_a_teacher_near_chance_is_said_so(here, data, capsys, monkeypatch):
    monkeypatch.setenv('DD_LIT_PROGRESS', '1')
    with pytest.warns(UserWarning, match='near chance'):
        ds = distill('sre2l', data, 1, device='cpu', teachers=WEIGHTS, **FAST)
    assert re.search(r'teacher somebodys:Net: \d+\.\d % of 90 test images of few', capsys.readouterr().err)
    kept = ds.meta['backbones']['somebodys:Net']
    assert kept['test_accuracy'] < 30 and len(kept['digest']) == 16
    ds.save('set')
    assert main(['distill', 'sre2l', '--iters', '1', '--out', 'out', '--set', 'backbones=mlp', 'squeeze_epochs=1',
                 'squeeze_lr=0', 'bn_weight=0', 'width=4', 'crop=1']) == 0
    lines = [l for l in capsys.readouterr().err.splitlines() if 'near chance' in l]
    assert len(lines) == 1 and lines[0].startswith('dd_lit: warning: teacher mlp: ')


@pytest.mark.parametrize('method, key', [('sre2l', 'backbones'), ('rded', 'backbone')])
def test_few_images_get_enough_steps(method, key, data, monkeypatch):
    seen = {}
    def fit(model, x, y, epochs, **kw):
        seen['steps'] = epochs*-(-len(x)//kw['batch_size'])
    monkeypatch.setattr('dd_lit.teachers.fit', lambda *a, **kw: fit(*a, **kw) if kw.get('desc') else None)
    monkeypatch.setattr('dd_lit.teachers.cached', lambda model, train, *a: (model, train(model)))
    how: dict = dict(factor=1, pool=9, tries=1) if method == 'rded' else dict(iters=1, bn_weight=0.)
    for epochs, steps in ((None, 100), (5, 10)):
        with pytest.warns(UserWarning, match='near chance'):
            ds = distill(method, data, 1, device='cpu', width=2, squeeze_epochs=epochs, **{key: 'mlp'}, **how)
        assert seen['steps'] == steps and ds.meta['config']['squeeze_epochs'] == steps//2


@given(st.sampled_from(['data', 'imagenet', 'half']), st.integers(1, 3), st.sampled_from([None, 8, 20]),
       st.permutations(range(6)))
@settings(max_examples=15, deadline=None)
def test_what_the_network_sees(norm, chans, size, order):
    "Whatever the data's normalisation, the network sees pixels in its own, at its size, and is read in this order."
    if norm != 'data' and chans == 2:
        return
    seen = []
    class Eye(nn.Module):
        def forward(self, x):
            seen.append(x)
            return x.mean((1, 2, 3))[:, None]*torch.arange(6.)
    own = ((.3,)*chans, (.2,)*chans)
    pixels = torch.full((2, chans, 12, 12), .6)
    net = create_model(Network(what=lambda: Eye(), input_norm=norm, input_size=size, classes=tuple(order[:4])), 4,
                       chans, 12, data_norm=own)
    z = net((pixels - .3)/.2)
    mean, std = own if norm == 'data' else NORMS[norm]
    want = ((torch.tensor(.6) - torch.tensor(mean))/torch.tensor(std)).view(1, -1, 1, 1)
    assert torch.allclose(seen[0], want.expand_as(seen[0]), atol=1e-5)
    assert seen[0].shape[-1] == (size or 12)
    assert torch.allclose(z, seen[0].mean((1, 2, 3))[:, None]*torch.tensor(order[:4], dtype=torch.float), atol=1e-5)


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_a_state_dict_fits_or_is_named(choose):
    "A tensor less, more, or of another shape: never a network that is half filled."
    net = create_model('convnet3', 4, 1, 8, seed=0, width=2)
    state = {k: v + 1 for k, v in net.state_dict().items()}
    key, kind = choose.draw(st.sampled_from(sorted(state))), choose.draw(st.sampled_from(['less', 'more', 'shape']))
    value = state.pop(key)
    if kind == 'more':
        state |= {key: value, 'x.' + key: value}
    elif kind == 'shape':
        state[key] = torch.zeros(*value.shape, 1)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(ValueError, match=re.escape(key)):
        load_weights(net, state)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_nothing_unpickles(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f'touch {tmp_path}/was_here',)
    torch.save(dict(weight=torch.zeros(2), bad=Evil()), tmp_path/'w.pt')
    with pytest.raises(ValueError, match='weights_only=True'):
        read_weights(tmp_path/'w.pt')
    assert not (tmp_path/'was_here').exists()


REAL = Path(os.environ.get('DD_LIT_DATA', 'data'))


@pytest.mark.skipif(not (REAL/'weights').is_dir() or not (REAL/'cifar10').is_dir(), reason='needs CIFAR-10 and weights')
def test_the_resnet_of_others_knows_cifar():
    data = load_data('cifar10', str(REAL))
    spec = f"resnet20:weights={REAL/'weights'/'cifar10_resnet20.safetensors'},input_norm=imagenet"
    net = as_teacher(spec, data, device='cpu')
    assert isinstance(net, Adapted) and net.test_accuracy > 89               # 91.7 % of all 10,000
    assert committee(spec, data).names == ['resnet20'] and as_network(spec).norm() == NORMS['imagenet']
    assert network_key(spec, 10, 3, 32, data.norm) == network_key(spec, 10, 3, 32, data.norm)
