"Networks of one's own at every door: by module, class, function and text, with weights, norm, size and classes."
import math
import os
import re
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from dd_lit.cli import main
from dd_lit.compare import compare
from dd_lit.data import ImageData, load_data
from dd_lit.distill import distill
from dd_lit.evaluate import evaluate
from dd_lit.labels.soft import relabel
from dd_lit.method import plain
from dd_lit.models import (
    Adapted,
    Network,
    as_network,
    check_answers,
    create_model,
    forward_code,
    list_models,
    load_weights,
    model_settings,
    named_networks,
    network_digest,
    network_key,
    read_weights,
    trained_network,
    weights_digest,
)
from dd_lit.sets import NORMS
from dd_lit.settings import Settings
from dd_lit.statistics.conv_stats import conv_key
from dd_lit.teachers import Backbones, as_teacher, as_teachers, committee, squeeze, squeeze_all

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

def headless(num_classes, in_chans, size):
    return nn.Sequential(nn.Conv2d(in_chans, num_classes, size), nn.Flatten())

class Partly(nn.Module):
    def __init__(self, num_classes, in_chans, size, frozen=False):
        super().__init__()
        self.first = nn.Linear(in_chans*size*size, 8).requires_grad_(False)
        self.idle, self.head = nn.Linear(8, 3), nn.Linear(8, num_classes)
        self.requires_grad_(not frozen)
        self.first.requires_grad_(False)
    def forward(self, x):
        return self.head(self.first(x.flatten(1)).relu())

def frozen(num_classes, in_chans, size):
    return Partly(num_classes, in_chans, size, True)
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
                 dwa=dict(teachers=WEIGHTS, **FAST), lpld=dict(teachers=WEIGHTS, **FAST),
                 gvbsm=dict(teachers=[WEIGHTS], **FAST),
                 ogm=dict(teachers=dict(a=WEIGHTS), factor=1, pool=9, tries=1, **FAST),
                 rded=dict(backbone=WEIGHTS, factor=1, pool=9, tries=1), sfm=dict(backbone=WEIGHTS, iters=1),
                 lgm=dict(backbone=WEIGHTS, iters=1, augs=1), dc=dict(model='somebodys:Net', iters=1, batch_real=4),
                 mtt=dict(model='somebodys:Net', iters=1, experts=1, steps=1, span=1, starts=1),
                 datm=dict(model='somebodys:Net', iters=1, experts=1, steps=1, span=1, starts=1, expert_epochs=1),
                 herding=dict(model='somebodys:Net', epochs=1),
                 dsa=dict(model='somebodys:Net', iters=1, batch_real=4),
                 dm=dict(model='somebodys:Net', iters=1, batch_real=4))


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
@pytest.mark.parametrize('method', ['sre2l', 'cda', 'dwa', 'lpld', 'gvbsm', 'ogm', 'rded', 'sfm', 'lgm'])
def test_a_module_comes_back_as_it_was(method, here, data):
    here.train()
    grads = [p.requires_grad for p in here.parameters()]
    before, names = weights_digest(here), set(vars(here))
    key = 'teachers' if 'teachers' in OWN[method] else 'backbone'
    distill(method, data, 1, device='cpu', **OWN[method] | {key: here})
    assert here.training and [p.requires_grad for p in here.parameters()] == grads
    assert weights_digest(here) == before and set(vars(here)) == names and not here._forward_pre_hooks


@pytest.mark.parametrize('method', [m for m in OWN if 'model' in OWN[m] and m != 'dm'])
def test_parameters_that_are_frozen_or_never_used(method, here, data):
    "They are passed over; a network with nothing to train is refused in one line. (DM asks the last layer it finds.)"
    how = OWN[method] | dict(model='somebodys:Partly')
    assert distill(method, data, 1, device='cpu', **how).images.isfinite().all()
    with pytest.raises(ValueError, match='^model: expected ') as e:
        distill(method, data, 1, device='cpu', **how | dict(model='somebodys:frozen'))
    assert '\n' not in str(e.value)


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
    ('dm', dict(model='somebodys:headless'), 'expected a linear layer at the end'),
    ('mtt', dict(model='somebodys:mute'), 'one logit for each class'),
    ('dc', dict(model='no_such_module_here:net'), "cannot import 'no_such_module_here'"),
    ('sfm', dict(backbone='somebodys:Net:weights=no.pt,input_norm=data'), 'there is no file'),
    ('sre2l', dict(teachers=WEIGHTS + ',wied=3'), "wied: 'somebodys:Net' has no such setting; did you mean 'wide'?"),
    ('rded', dict(backbone=WEIGHTS + ',wied=3'), 'wied: '),
    ('sfm', dict(backbone=WEIGHTS + ',wied=3'), 'wied: '),
    ('sre2l', dict(teachers=WEIGHTS.replace('=data', '=half')), 'weights: the file does not fit somebodys:Net'),
    ('sre2l', dict(teachers=[WEIGHTS, WEIGHTS + ',wide=3']), f'{WEIGHTS} (number 1) and {WEIGHTS},wide=3 (number 2)'),
    ('gvbsm', dict(backbones=['mlp', 'lenet', 'MLP:width=3']), 'mlp (number 1) and MLP:width=3 (number 3)'),
]


@pytest.mark.parametrize('method, how, says', REFUSED)
def test_refused_before_any_training(method, how, says, here, data, monkeypatch):
    def never(*a, **kw):
        raise AssertionError('something was trained')
    for place in ('dd_lit.teachers.fit', 'dd_lit.trajectory.experts.fit',
                  'dd_lit.coreset.select.fit', 'dd_lit.flow.features._simclr'):
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


BEHIND = ['net', 'network', 'model', 'state_dict', 'model_state_dict', 'model_state', 'ema', 'weights', 'generator']


@given(names=st.lists(st.sampled_from(BEHIND), min_size=1, max_size=3, unique=True), module=st.booleans(),
       scalar=st.booleans())
def test_a_state_dict_among_other_things(names, module, scalar, tmp_path_factory):
    "Whatever a script calls it: the only one is taken, of several those are named, one of the three usual names wins."
    file, want = tmp_path_factory.mktemp('c')/'ck.PT', create_model('mlp', 4, 1, 8, seed=0, width=2).state_dict()
    prefix = 'module.'*module
    own = {n: {prefix + k: v + i for k, v in want.items()} for i, n in enumerate(names)}
    other = dict(epoch=3, optimizer=dict(state={0: dict(step=torch.zeros(2))}, param_groups=[]))
    torch.save(other | own | (dict(best=torch.tensor(.9)) if scalar else {}), file)
    usual = [n for n in ('state_dict', 'model_state_dict', 'model') if n in names]
    if len(names) == 1 or usual:
        at = names.index(usual[0]) if usual else 0
        assert all(torch.equal(v, want[k] + at) for k, v in read_weights(file).items())
        return
    with pytest.raises(ValueError, match='holds several such: ' + ', '.join(names)):
        read_weights(file)


def test_what_a_file_without_weights_has(tmp_path):
    for what, says in [(dict(epoch=3, args=dict(lr=1)), '; it has epoch, args$'), ({}, r'\(a state dict\)$'),
                       ([1], r'dict\)$'), ({'a\x1b[31m': 1}, r'; it has a \[31m$')]:
        torch.save(what, tmp_path/'w.pt')
        with pytest.raises(ValueError, match='holds no tensors by name .*' + says):
            read_weights(tmp_path/'w.pt')


@pytest.mark.parametrize('old', [False, True])
def test_a_whole_network_says_how_to_save_its_weights(old, tmp_path, monkeypatch, capsys, here):
    "In plain letters: torch's own words switch a terminal to bold, and advise to load unsafely."
    torch.save(nn.Linear(2, 2), 'whole.pt', _use_new_zipfile_serialization=not old)
    Path('none.pt').write_bytes(b'what is this'*9)
    Path('empty.pt').touch()
    for file, words in (('whole', 'more than tensors, a torch.nn.modules.linear.Linear; torch.save(net.state_dict()'),
                        ('none', 'torch.save did not write it'), ('empty', 'torch.save did not write it')):
        with pytest.raises(ValueError, match='weights_only=True') as e:
            read_weights(f'{file}.pt')
        assert words in str(e.value) and str(e.value).isprintable() and 'trust' not in str(e.value)
        assert main(['distill', 'sre2l', '--set', f'teachers=mlp:weights={file}.pt,input_norm=data']) == 2
        err = capsys.readouterr().err.strip()
        assert words in err and err.isprintable()


SHAPE = dict(num_classes=4, in_chans=1, size=8)


@given(st.lists(st.sampled_from([*SHAPE, 'n', 'c', 'z']), max_size=3, unique=True), st.sampled_from(['', '/', '*']),
       st.lists(st.sampled_from([*SHAPE, 'wide']), max_size=2, unique=True))
@example(['n', 'c', 'size'], '', [])
@example(['num_classes', 'c', 'z'], '', [])
@example(['size', 'n', 'c'], '', [])
@settings(max_examples=60, deadline=None)
def test_a_function_is_called_as_its_parameters_say(names, kind, optional):
    """Ours by name, wherever they stand; if there are none, what it asks for gets the three in order; what has a
    default keeps it. Beside ours nobody can know what another one wants: it is to be given."""
    more = [k for k in optional if k not in names]
    head = [*names, '/'] if kind == '/' and names else ['*', *names] if kind == '*' and names else names
    text = ', '.join([*head, *(f'{k}=None' for k in more)])
    found: dict = dict(nn=nn, said={}, __name__='somebodys')
    exec(f'def f({text}):\n    said.update(locals())\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4))', found)
    rest = [v for k, v in SHAPE.items() if k not in [*names, *more]]
    other = [k for k in names if k not in SHAPE]
    want = {k: SHAPE.get(k) for k in [*names, *more]} | dict(zip(other, rest, strict=False))
    if other and len(rest) < 3:
        if kind != '/':                                 # what is given by position only cannot be given by name
            create_model(found['f'], 4, 1, 8, **dict.fromkeys(other, 5))
            assert {k: found['said'][k] for k in other} == dict.fromkeys(other, 5)
        with pytest.raises(ValueError, match=f"asks for '{other[0]}' beside .*; give it, model_kw=dict"):
            create_model(found['f'], 4, 1, 8)
        return
    create_model(found['f'], 4, 1, 8)
    assert {k: v for k, v in found['said'].items() if k in want} == want


REAL = Path(os.environ.get('DD_LIT_DATA', 'data'))


@pytest.mark.skipif(not (REAL/'weights').is_dir() or not (REAL/'cifar10').is_dir(), reason='needs CIFAR-10 and weights')
def test_the_resnet_of_others_knows_cifar():
    data = load_data('cifar10', str(REAL))
    spec = f"resnet20:weights={REAL/'weights'/'cifar10_resnet20.safetensors'},input_norm=imagenet"
    net = as_teacher(spec, data, device='cpu')
    assert isinstance(net, Adapted) and net.test_accuracy > 89               # 91.7 % of all 10,000
    assert committee(spec, data).names == ['resnet20'] and as_network(spec).norm() == NORMS['imagenet']
    assert network_key(spec, 10, 3, 32, data.norm) == network_key(spec, 10, 3, 32, data.norm)


PLACES = dict(
    constant='    def forward(self, x):\n        return self.head(x.flatten(1))*{k}',
    helper='    def forward(self, x):\n        return self.part(x.flatten(1))\n'
           '    def part(self, x):\n        return self.head(x)*{k}',
    attribute='    by = {k}\n    def forward(self, x):\n        return self.head(x.flatten(1))*self.by',
    default='    def forward(self, x, by={k}):\n        return self.head(x.flatten(1))*by',
    keyword='    def forward(self, x, *, by={k}):\n        return self.head(x.flatten(1))*by',
    module='    def forward(self, x):\n        return self.head(x.flatten(1))*BY',
    function='    def forward(self, x):\n        return scaled(self.head(x.flatten(1)))',
    hung='    forward = lambda self, x: self.head(x.flatten(1))\n    def __init__(self):\n        super().__init__()\n'
         '        self.head = nn.Linear(256, 10)\n        self.act = lambda x: x*{k}',
    partial='    def __init__(self):\n        super().__init__()\n        self.head = nn.Linear(256, 10)\n'
            '        self.act = partial(pow, {k})\n    def forward(self, x):\n'
            '        return self.act(self.head(x.flatten(1)))',
    owner='    @property\n    def by(self):\n        return {k}\n    def forward(self, x):\n'
          '        return self.head(x.flatten(1))*self.by')


def written(place, k):
    "A network of somebody's in whose code a number stands, in one place or another."
    own = '' if '__init__' in PLACES[place] else ('    def __init__(self):\n        super().__init__()\n'
                                                 '        self.head = nn.Linear(256, 10)\n')
    text = f'BY = {k}\ndef scaled(x):\n    return x*{k}\nclass Net(nn.Module):\n{own}' + PLACES[place].format(k=k)
    found: dict = dict(nn=nn, partial=partial, __name__='somebodys')
    exec(text, found)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return found['Net']


@given(st.sampled_from(sorted(PLACES)), st.tuples(*[st.integers(2, 9) | st.floats(.5, 9).map(lambda v: round(v, 2))]*2))
@settings(max_examples=60, deadline=None)
def test_a_number_in_the_code_is_another_network(place, numbers):
    "Wherever in a class a number stands: keys are equal if and only if it is."
    with_numbers = [written(place, k) for k in numbers]
    nets = [kind() for kind in with_numbers]
    nets[1].load_state_dict(nets[0].state_dict())
    same = repr(numbers[0]) == repr(numbers[1])
    d = load_data('digits')
    for say in (network_digest, forward_code, plain, lambda n: conv_key(n, d, 4),
                lambda n: network_key(type(n), 10, 1, 16)):
        a, b = map(say, nets)
        assert (a == b) == same, (place, numbers)
    assert network_digest(nets[0]) == network_digest(nets[0].eval())


def test_keys_of_names_are_as_they_were():
    "A network of a library's has the key it always had: its class's bytecode and names, nothing more."
    for name in ('convnet3', 'resnet18', 'mobilenetv2_05'):
        net = create_model(name, 10, 3, 32, seed=0)
        assert network_key(name, 10, 3, 32) == name and network_digest(net) == weights_digest(net)
        kinds = {type(m).__qualname__: type(m).forward.__code__ for m in net.modules()}
        assert forward_code(net) == sorted((k, (c.co_code.hex(), c.co_names)) for k, c in kinds.items())


@pytest.mark.filterwarnings('ignore:teacher')
@pytest.mark.parametrize('method, key', [('sre2l', 'teachers'), ('gvbsm', 'teachers'), ('ogm', 'teachers'),
                                         ('rded', 'backbone')])
def test_what_a_network_says_of_itself_is_not_believed(method, key, here, data):
    "A number that hangs on a module, or that was measured on other test images, is measured again, and stays as it is."
    for tested in (None, 'of other images'):
        here.test_accuracy = 99.9
        if tested is not None:
            here.digest_of_test = tested
        before = dict(vars(here))
        ds = distill(method, data, 1, device='cpu', **OWN[method] | {key: here})
        kept, = ds.meta['backbones'].values()
        assert kept['test_accuracy'] < 50 and vars(here) == before
    taught = as_teacher(Network(what=here, input_norm=((0.,), (1.,))), data, device='cpu')
    assert taught.test_accuracy < 50 and vars(here) == before and as_teacher(here, data) is here


@pytest.mark.filterwarnings('ignore:teacher')
def test_a_trained_one_is_measured_on_this_data(here, data, monkeypatch):
    "Trained and tested on some images, and then given as a teacher for others."
    net, d = squeeze('mlp', data, device='cpu', epochs=30), data
    other = ImageData(d.train_x, (d.train_y + 1) % 10, d.test_x, (d.test_y + 1) % 10, d.norm, d.classes, 'shifted')
    how: dict = dict(factor=1, pool=9, tries=1, device='cpu', backbone=net)
    same, shifted = (distill('rded', o, 1, **how).meta['backbones']['MLP'] for o in (data, other))
    assert same['test_accuracy'] == net.test_accuracy > 60 and shifted['test_accuracy'] < 20
    monkeypatch.setattr('dd_lit.teachers.measure_teacher', lambda *a: pytest.fail('measured, though it is known'))
    distill('rded', data, 1, **how)


@pytest.mark.parametrize('name', ['resnet18', 'resnet34', 'wide_resnet50_2', 'mobilenetv2', 'mobilenetv2_05',
                                  'shufflenetv2_05', 'vit_b_16', 'efficientnet_b0', 'densenet121', 'convnext_tiny'])
def test_settings_of_pretrained_networks_are_one_line(name, tmp_path, monkeypatch):
    "Whatever can be set of a network: with `pretrained` it fits the weights, or a ValueError names what does not."
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    odd: dict = dict(width=8, norm='instance', dropout=.5, num_init_features=3, layers=(1, 1, 1, 1), image_size=8,
                     block_setting=[], width_mult=.25, stages_repeats=[1, 1, 1], inverted_residual_setting=[],
                     block_config=3, growth_rate='much')
    for k in model_settings(name):
        if k in odd:
            with pytest.raises(ValueError) as e:
                create_model(name, 1000, weights='pretrained', data_norm=NORMS['imagenet'], **{k: odd[k]})
            may = k if k in ('width', 'norm') else f'weights|{k}'     # the first two are ours, not torchvision's
            assert '\n' not in str(e.value) and re.match(f'({may}): ', str(e.value)), e.value


ERRORS: list = [NotImplementedError(), AssertionError(), KeyError('a'), AttributeError('b\nand more'),
                ZeroDivisionError('c'), ValueError('d'), RuntimeError(''), StopIteration(), OSError(2, 'gone')]


@pytest.mark.parametrize('error', ERRORS, ids=lambda e: type(e).__name__)
def test_whatever_goes_wrong_inside_is_one_line(error, data):
    class Fails(nn.Module):
        def __init__(self, num_classes=10):
            super().__init__()
            self.bn = nn.BatchNorm2d(1)
        def forward(self, x):
            raise error
    ds = distill('random', data, 1, device='cpu')
    doors = [lambda: distill('sre2l', data, 1, device='cpu', teachers=Fails()), lambda: evaluate(ds, data, Fails),
             lambda: distill('rded', data, 1, device='cpu', backbone=Fails(), factor=1, pool=9),
             lambda: distill('ogm', data, 1, device='cpu', backbones=Fails), lambda: relabel(ds, Fails(), epochs=1),
             lambda: distill('dc', data, 1, device='cpu', model=Fails), lambda: as_teacher(Fails(), data),
             lambda: squeeze(Fails, data, device='cpu')]
    for door in doors:
        with pytest.raises(ValueError, match='Fails cannot take images .1, 16, 16.: ' + type(error).__name__) as e:
            door()
        assert '\n' not in str(e.value)


NAMED = ['mlp', 'MLP', 'mlp:width=8', 'lenet', 'net', 'other net', 'pair', 'class', 'settings']


@given(st.lists(st.sampled_from(NAMED), min_size=1, max_size=5))
@example(['net', 'other net', 'class'])
@example(['net', 'lenet', 'other net'])
@settings(max_examples=60, deadline=None)
def test_every_network_has_a_name_of_its_own(given_as):
    "None is lost: as many names as networks; and what is called alike is refused in a line that names two of them."
    class Flatten_1(nn.Flatten):
        pass
    things = {'net': nn.Flatten(), 'other net': nn.Flatten(), 'pair': ('mlp', dict(width=3)), 'class': Flatten_1,
              'settings': Network(what='lenet', input_norm='half')}
    nets = [things.get(o, o) for o in given_as]
    kinds = [{'MLP': 'mlp', 'mlp:width=8': 'mlp', 'pair': 'mlp', 'settings': 'lenet'}.get(o, o) for o in given_as]
    alike = len(set(kinds)) < len(kinds)
    numbered = [f'Flatten_{i}' for i, k in enumerate(kinds) if 'net' in k and k != 'lenet']
    if alike or 'class' in kinds and len(numbered) > 1 and 'Flatten_1' in numbered:
        said = r'expected different networks, .+ \(number \d\) and .+ \(number \d\) are called alike'
        with pytest.raises(ValueError, match=said):
            named_networks(nets)
    else:
        named = named_networks(nets)
        assert len(named) == len(nets) and all(a is b for a, b in zip(named.values(), nets, strict=True))


@pytest.mark.parametrize('wrong', [dict(wied=3), dict(weights='no.pt', input_norm='data'), dict(epochs=0)])
def test_the_second_teacher_is_looked_at_before_the_first_is_trained(wrong, here, data, monkeypatch, capsys):
    def never(*a, **kw):
        raise AssertionError('something was trained')
    monkeypatch.setattr('dd_lit.teachers.fit', never)
    with pytest.raises(ValueError):
        as_teachers([('mlp', {}), ('somebodys:Net', wrong)], data, device='cpu')
    if 'epochs' not in wrong:
        with pytest.raises(ValueError):
            squeeze_all(['mlp', ('somebodys:Net', wrong)], data, device='cpu')
        ds = distill('random', data, 1, device='cpu')
        with pytest.raises(ValueError):
            compare([ds], data, loss=['kl'], teacher=['mlp', ('somebodys:Net', wrong)], device='cpu')
        ds.save('set')
        own = ','.join(f'{k}={v}' for k, v in wrong.items())
        assert main(['compare', 'set', '--loss', 'kl', '--teacher', 'mlp', f'somebodys:Net:{own}']) == 2
        assert capsys.readouterr().err.strip().count('\n') == 0


@pytest.mark.filterwarnings('ignore:teacher')
def test_relabel_takes_what_everybody_takes(here, data):
    ds = distill('random', data, 1, device='cpu')
    how: dict = dict(epochs=1, batch_size=5)
    pair = 'somebodys:Net', dict(weights='net.safetensors', input_norm='data')
    keys = {relabel(ds, o, **how).key for o in (WEIGHTS, pair, [pair], dict(a=pair), here, Backbones(here))}
    assert len(keys) == 1
    assert relabel(ds.images, dict(a=here), **how).num_classes == 10
    assert relabel(ds, dict(a=pair, b=here), **how).key not in keys
    for o, says in [(nn.Sequential(nn.Flatten(), nn.Linear(256, 9)), 'answers [2, 9] for two images, expected [2, 10]'),
                    ({}, 'at least one network'), ([here, here], 'Net (number 1) and Net (number 2)'),
                    (pair[0], 'Net has no weights')]:
        with pytest.raises(ValueError, match=re.escape(says)):
            relabel(ds, o, **how)


def test_a_module_drawn_anew(data):
    "By its layers' own rules, the outer after the inner; from the seed; the one that was given stays as it was."
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.ask, self.head = nn.MultiheadAttention(16, 2, batch_first=True), nn.Linear(16, 10)
            self.reset_parameters()
        def reset_parameters(self):
            nn.init.zeros_(self.head.weight)
        def forward(self, x):
            return self.head(self.ask(x[:, 0], x[:, 0], x[:, 0])[0].mean(1))
    net = Own()
    nn.init.ones_(net.head.weight)
    nn.init.ones_(net.ask.out_proj.bias)
    before = weights_digest(net)
    a, b, c = (create_model(net, 10, 1, 16, seed=s) for s in (0, 0, 1))
    assert weights_digest(a) == weights_digest(b) != weights_digest(c) and weights_digest(net) == before
    assert (a.head.weight == 0).all() and (a.ask.out_proj.bias == 0).all()     # as their classes draw them
    plain_net = nn.Sequential(nn.Flatten(), nn.Linear(256, 10))
    drawn = create_model(plain_net, 10, 1, 16, seed=0)[1].weight
    assert 0 < drawn.abs().max() <= 1/16 and abs(drawn.std() - 1/16/3**.5) < .002      # nn.Linear's own: uniform


@pytest.mark.parametrize('name', [k for k in dir(Settings) if k.isidentifier()])
def test_parameters_that_are_called_like_methods_of_settings(name):
    made: dict = dict(nn=nn)
    exec(f'def net(n, c, s, *, {name}=3):\n    return nn.Flatten()', made)
    with pytest.raises(ValueError, match=f"net has a parameter '{name}'"):
        create_model(made['net'], 256, 1, 16)


@pytest.mark.parametrize('norm', ['half', 'imagenet'])
def test_grey_images_and_a_norm_of_colours(norm, here, data):
    for ask in (lambda: as_teacher(Network(what=here, input_norm=norm), data),
                lambda: distill('sre2l', data, 1, device='cpu', teachers=Network(what=here, input_norm=norm)),
                lambda: distill('rded', data, 1, device='cpu', backbone=(here, dict(input_norm=norm)), factor=1),
                lambda: distill('sfm', data, 1, device='cpu', backbone=(here, dict(input_norm=norm)), iters=1)):
        with pytest.raises(ValueError, match="input_norm makes 3 channels of the data's 1") as e:
            ask()
        assert '\n' not in str(e.value)
    for size in (1, 3):
        own = (.5,)*size, (.5,)*size
        check_answers(create_model('lenet', 10, 1, 16, input_norm=own, data_norm=data.norm), 10, 1, 16)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_numbers_that_are_none(choose):
    net = create_model('resnet20', 4, 1, 8, seed=0)
    state = {k: v.clone() for k, v in net.state_dict().items()}
    key = choose.draw(st.sampled_from(sorted(k for k, v in state.items() if v.is_floating_point())))
    kind = choose.draw(st.sampled_from([torch.float16, torch.float32, torch.float64, torch.bfloat16]))
    state[key] = state[key].to(kind)
    flat = state[key].view(-1)
    flat[choose.draw(st.integers(0, len(flat) - 1))] = choose.draw(st.sampled_from([math.nan, math.inf, -math.inf]))
    before = weights_digest(net)
    with pytest.raises(ValueError, match=re.escape(f'weights: {key} of resnet20 holds numbers that are none')):
        load_weights(net, state, 'resnet20')
    assert weights_digest(net) == before
    with pytest.raises(ValueError, match=re.escape(key)):
        trained_network(Network(what='resnet20', weights=state, input_norm='data'), 4, 1, 8, None)


# --- Networks in every state that a network can be in ---

class Small(nn.Module):
    "A network with dropout and batch norm."
    def __init__(self, num_classes=10, in_chans=1, wide=4):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(in_chans, wide, 3, padding=1), nn.BatchNorm2d(wide)
        self.drop, self.head = nn.Dropout(.2), nn.Linear(wide, num_classes)
    def forward(self, x):
        return self.head(self.drop(self.bn(self.conv(x)).relu().mean((2, 3))))


class Several(Small):
    "Two answers in training, one when it is asked."
    def forward(self, x):
        z = super().forward(x)
        return (z, z) if self.training else z


class Sized(nn.Module):
    "Asks for the side of a square image."
    def __init__(self, num_classes, in_chans, size):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(in_chans, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.norm, self.head = nn.LayerNorm(size//2), nn.Linear(4*(size//2), num_classes)
    def forward(self, x):
        x = self.norm(self.bn(self.conv(x)).relu().mean(2).unflatten(2, (-1, 2)).mean(3))
        return self.head(x.flatten(1))


class Late(nn.Module):
    "Its layers find out their inputs when they see one."
    def __init__(self, num_classes):
        super().__init__()
        self.conv, self.bn, self.head = nn.LazyConv2d(4, 3), nn.BatchNorm2d(4), nn.LazyLinear(num_classes)
    def forward(self, x):
        return self.head(self.bn(self.conv(x)).relu().mean((2, 3)))


class Attending(nn.Module):
    "Rows of an image that look at each other."
    def __init__(self, num_classes, in_chans, size):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(in_chans, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.look, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, num_classes)
    def forward(self, x):
        x = self.bn(self.conv(x)).relu().mean(3).transpose(1, 2)
        return self.head(self.look(x, x, x)[0].mean(1))


class Hard(Small):
    "Something in it has no second derivative."
    def forward(self, x):
        return super().forward(nn.functional.hardsigmoid(x))


def tied():
    "Copies of it cannot be made."
    net = Small()
    net.kept = (net.head.weight*2).detach().requires_grad_()*1
    return net


TAKEN: dict = dict(sized=Sized, late=Late, attending=Attending, spread=nn.DataParallel(Small()),
                   compiled=torch.compile(Small()), twice=torch.compile(nn.DataParallel(Small())))
NEVER: dict = dict(late_module=Late(10), several=Several, several_module=Several(), tied=tied(),
                   double=Small().double(), half=Small().half())
TWICE = ('dc', 'mtt', 'datm')


def given_for(method, net):
    "Its settings with another network; a teacher is trained here."
    key = next(k for k in ('teachers', 'backbone', 'model') if k in OWN[method])
    how = {k: v for k, v in OWN[method].items() if k != key}
    asked = 'teachers' if isinstance(net, nn.Module) else 'backbones'
    if key == 'teachers':
        return how | {asked: net} | (dict(squeeze_epochs=1) if asked == 'backbones' else {})
    return how | {key: net}


@pytest.mark.filterwarnings('ignore:teacher')
@pytest.mark.parametrize('method', OWN)
@pytest.mark.parametrize('kind', TAKEN)
def test_networks_in_every_state_are_taken(method, kind, here, data):
    assert distill(method, data, 1, device='cpu', **given_for(method, TAKEN[kind])).images.isfinite().all()


@pytest.mark.filterwarnings('ignore:teacher')
@pytest.mark.parametrize('method', OWN)
@pytest.mark.parametrize('kind', [*NEVER, 'hard', 'fixed'])
def test_or_named_in_one_line(method, kind, here, data):
    "What cannot be trained, copied or differentiated as the method needs it."
    fixed = torch.jit.trace(Small().eval(), torch.zeros(2, 1, 16, 16)) if kind == 'fixed' else None
    net = NEVER.get(kind, Hard if kind == 'hard' else fixed)
    try:
        ds = distill(method, data, 1, device='cpu', **given_for(method, net))
    except ValueError as e:
        assert re.match('(model|teachers|backbone|backbones): ', str(e)) and '\n' not in str(e), e
        assert kind != 'hard' or method in TWICE + ('dsa',), e
        return
    trained_here = not isinstance(net, nn.Module) or method in ('dc', 'dsa', 'dm', 'mtt', 'datm', 'herding')
    assert ds.images.isfinite().all() and kind not in ('late_module', 'double', 'half')
    assert kind != 'fixed' or method == 'rded'                   # which only asks
    assert kind == 'hard' or not trained_here


@pytest.mark.parametrize('kind', [*TAKEN, *NEVER, 'hard', 'fixed'])
def test_students_in_every_state(kind, here, data):
    ds = distill('random', data, 1, device='cpu')
    fixed = torch.jit.trace(Small().eval(), torch.zeros(2, 1, 16, 16)) if kind == 'fixed' else None
    net = (TAKEN | NEVER | dict(hard=Hard, fixed=fixed))[kind]
    if kind in TAKEN or kind == 'hard':
        assert evaluate(ds, data, net, repeats=1, epochs=1, device='cpu').top1[0] >= 0
        return
    with pytest.raises(ValueError, match='^model: ') as e:
        evaluate(ds, data, net, repeats=1, epochs=1, device='cpu')
    assert '\n' not in str(e.value)


@pytest.mark.parametrize('name', ['googlenet', 'inception_v3'])
def test_one_head_in_training(name):
    "By default; who wants the others hears what a training expects."
    size = 75 if name == 'inception_v3' else 32
    net = create_model(name, 3, 3, size, seed=0)
    assert isinstance(net.train()(torch.zeros(2, 3, size, size)), torch.Tensor)
    assert model_settings(name)['aux_logits'] is False
    with pytest.raises(ValueError, match='answers .*Outputs for two images in training mode|cannot take images'):
        network_key(name, 3, 3, 96, aux_logits=True)


SMALL = [n for n in list_models() if not n.startswith(('vit', 'swin', 'max'))]


@given(size=st.integers(1, 40), name=st.sampled_from(SMALL))
@settings(max_examples=12)
def test_a_name_whose_network_is_too_large_for_the_images_is_refused(name, size):
    "Before anything is trained: the network takes such images, or a line says that it does not."
    try:
        network_key(name, 3, 3, size)
    except ValueError as e:
        assert re.match(r'\w+: ', str(e)) and '\n' not in str(e), e
        return
    net = create_model(name, 3, 3, size, seed=0).train()
    assert net(torch.zeros(2, 3, size, size)).shape == (2, 3)


def test_a_function_that_gives_one_network_again_and_again():
    "Somebody may have trained it since; with weights of its own it is copied."
    data = load_data('digits')
    ds = distill('random', data, 1, device='cpu')
    one = create_model('convnet1', 10, 1, 16, seed=0, width=4)
    how = dict(repeats=2, epochs=1, device='cpu')
    for door in (lambda m: evaluate(ds, data, m, **how), lambda m: compare([ds], data, model=m, **how)):
        with pytest.raises(ValueError, match='model: expected .* to make a new network each time'):
            door(lambda n, c, s: one)
        door(lambda n, c, s: create_model('convnet1', n, c, s, width=4))
    own = as_network(lambda n, c, s: one, weights='own')
    a, b = (create_model(own, 10, 1, 16) for _ in range(2))
    assert a is not b and a is not one and torch.equal(next(a.parameters()), next(one.parameters()))
