"""Settings drawn at random, for every method, network, loss, training, labels and command: success or one ValueError of
one line, never a traceback."""
import contextlib
import io
from dataclasses import fields
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dd_lit.compare
import dd_lit.data
import dd_lit.distill
import dd_lit.evaluate
from dd_lit.cli import COMMANDS, main
from dd_lit.compare import Grid, cells
from dd_lit.data import ImageData
from dd_lit.evaluate import Evaluation, Scores, evaluate
from dd_lit.labels.losses import LOSSES, get_loss, loss_settings
from dd_lit.labels.soft import LabelSettings, ViewSettings
from dd_lit.method import get_method, list_methods
from dd_lit.models import create_model, model_settings
from dd_lit.settings import Settings, default_of, names_of, parse
from dd_lit.train import Training

METHODS = [m for m in list_methods() if get_method(m).__module__.startswith('dd_lit.')]
OWN = ['convnet', 'convnet3', 'mlp', 'lenet', 'alexnet', 'vgg11', 'wrn16_2', 'resnet18']
CLASSES = [Training, Evaluation, Grid, ViewSettings, LabelSettings, *(get_method(m).settings for m in METHODS)]

words = st.sampled_from(['', 'x', 'mlp', 'convnet3', 'ce', 'kl', 'batch', 'multi', 'real', 'a b', 'ä', '[', '0'])
plain = st.one_of(st.none(), st.booleans(), st.integers(-3, 40), st.floats(-2, 2), st.just(float('nan')),
                  st.just(10**400), words)
nested = st.lists(plain, max_size=2), st.tuples(plain, plain), st.dictionaries(st.just('width'), plain)
values = st.one_of(plain, *nested)


@pytest.fixture(scope='module')
def data():
    x = torch.arange(4*3*8*8).remainder(251).to(torch.uint8).view(12, 1, 8, 8)
    return ImageData(x, torch.arange(12) % 4, x, torch.arange(12) % 4, name='few')


def refused_in_one_line(f):
    "Whether `f` went through; if not, it raised a ValueError of one line."
    try:
        f()
    except ValueError as e:
        assert str(e).strip() and '\n' not in str(e), repr(e)
        return False
    return True


def plain_value(f):
    "What one of a class's settings surely may be: its default, or a name from its list."
    listed = list(f.metadata.get('among') or ())
    same = [v for v in listed if type(v) is type(default_of(f))]
    return st.sampled_from([default_of(f), *same])


def fitting(cls):
    "Settings of a class that must be taken."
    return st.fixed_dictionaries({}, optional={f.name: plain_value(f) for f in fields(cls)})




@pytest.mark.parametrize('cls', CLASSES, ids=lambda c: c.__name__)
@given(draw=st.data())
def test_settings(cls, draw):
    own = st.sampled_from([*names_of(cls), 'lrr', 'wdith'])
    settings = draw.draw(st.dictionaries(own, values, max_size=3))
    refused_in_one_line(lambda: parse(cls, settings))
    parse(cls, draw.draw(fitting(cls)))


@pytest.mark.parametrize('method', METHODS)
@given(draw=st.data())
def test_methods(method, draw, data):
    "What a method says about settings and data before it does anything."
    own = st.sampled_from([*names_of(get_method(method).settings), 'lrr'])
    settings = draw.draw(st.dictionaries(own, values, max_size=2))
    ipc = draw.draw(st.sampled_from([1, 2, 0, -1, '1', None, 1.5, True]))
    refused_in_one_line(lambda: get_method(method)(data, ipc, device='cpu', **settings))


@pytest.mark.parametrize('method', METHODS)
def test_methods_take_what_they_offer(method, data):
    "The defaults, and each of a setting's listed values by itself where it is not refused for its company."
    cls = get_method(method)
    cls(data, 1, device='cpu')
    for f in fields(cls.settings):
        offered = [{f.name: v} for v in (default_of(f), *(f.metadata.get('among') or ()))]
        taken = [refused_in_one_line(partial(cls, data, 1, device='cpu', **one)) for one in offered]
        assert taken[0] and sum(taken) > len(taken)/2, f'{f.name}: {taken}'


@pytest.mark.parametrize('name', OWN)
@given(draw=st.data())
def test_networks(name, draw):
    own = st.sampled_from([*list(model_settings(name))[:8], 'wdith'])
    odd = st.sampled_from([None, True, .5, 'batch', 'instance', 'none', 'x', 'relu', (1, 2)])
    small = st.one_of(st.integers(-1, 4), odd)
    settings = draw.draw(st.dictionaries(own, small, max_size=2))
    known = {k: v for k, v in settings.items() if k in ('width', 'depth', 'norm', 'act', 'pool', 'wdith')}
    refused_in_one_line(lambda: create_model(name, 4, 1, 8, seed=0, **known))
    one = {k: v for k, v in dict(width=4).items() if k in model_settings(name)}
    assert create_model(name, 4, 1, 32, seed=0, **one)(torch.zeros(2, 1, 32, 32)).shape == (2, 4)


@pytest.mark.parametrize('name', list(LOSSES))
@given(draw=st.data())
def test_losses(name, draw):
    settings = draw.draw(st.dictionaries(st.sampled_from([*loss_settings(name), 'temp']), values, max_size=2))
    refused_in_one_line(lambda: get_loss(name, **settings))
    assert callable(get_loss(name, **loss_settings(name)))


axes = st.one_of(values, st.tuples(plain, st.just({})))


@given(st.dictionaries(st.sampled_from(['model', 'loss', 'opt']), axes, max_size=3))
def test_grids(settings):
    refused_in_one_line(lambda: cells(parse(Grid, settings)))
    assert cells(parse(Grid, dict(model=['mlp', 'lenet'], loss='kl')))


@given(st.dictionaries(st.sampled_from([*names_of(Training), *names_of(Evaluation), 'epohcs']), values, max_size=2))
def test_evaluate(data, settings):
    "Whatever comes is looked at before a network is trained: `fit` is replaced by nothing."
    four = dd_lit.sets.DistilledSet(torch.zeros(4, 1, 8, 8), torch.arange(4), data.norm)
    ds = dd_lit.compare.random_like(four, data)
    with pytest.MonkeyPatch.context() as m:
        m.setattr(dd_lit.evaluate, 'train_and_test', lambda *a, **kw: (50., 100.))
        repeats = settings.get('repeats')
        if not isinstance(repeats, int) or isinstance(repeats, bool):
            settings = settings | (dict(repeats=1) if repeats is None else {})
        refused_in_one_line(lambda: evaluate(ds, data, 'mlp', **settings))


texts = st.sampled_from(['1', '-1', '0', '.5', 'x', '', 'random', 'dc', 'mlp', 'mlp:width=8', 'mlp:wdith=8', 'kl',
                         'kl:temp=3', 'sgd:lr=.1', 'sgd:lrr=1', 'width=8', 'width=abc', 'epochs=1', 'epochs=big',
                         'epohcs=1', 'iters=2', 'lr=nan', '=', 'a=b=c', 'cpu', 'mps', 'cuda:9', 'nowhere', '--', '-h',
                         '9'*30])


def flags(cls: type[Settings]):
    return ['--' + n.replace('_', '-') for n in names_of(cls)]


@pytest.fixture(scope='module')
def nothing_runs(data, tmp_path_factory):
    "Commands are read and checked; what would take time is replaced."
    def made(method, d, ipc=1, out=None, **kw):
        loop = {k: kw.pop(k) for k in ('resume', 'checkpoint_seconds') if k in kw}
        assert type(loop.get('resume', True)) is bool and loop.get('checkpoint_seconds', 30.) >= 0, loop
        get_method(method)(d, ipc, **kw)
        return dd_lit.sets.DistilledSet(torch.zeros(4, 1, 8, 8), torch.arange(4), data.norm, data.classes,
                                        meta=dict(method=method, seconds=0., data=d.name))
    with pytest.MonkeyPatch.context() as m:
        m.chdir(tmp_path_factory.mktemp('commands'))
        m.setattr(dd_lit.data, 'load_data', lambda *a, **kw: data)
        m.setattr(dd_lit.compare, 'load_data', lambda *a, **kw: data)
        m.setattr(dd_lit.distill, 'distill', made)
        m.setattr(dd_lit.compare, 'distill', made)
        m.setattr(dd_lit.compare.Scorer, 'score', lambda *a: Scores([1.], [1.], [1.]))
        m.setattr(dd_lit.compare, 'full_accuracy', lambda *a, **kw: 1.)
        m.setenv('DD_LIT_CACHE', str(tmp_path_factory.mktemp('cache')))
        made('random', data).save('set')
        yield


@pytest.mark.parametrize('command', [c for c in COMMANDS if c not in ('demo', 'import', 'reproduce')])
@given(draw=st.data())
def test_commands(command, draw, nothing_runs):
    first = draw.draw(st.sampled_from([['set'], ['random'], ['dc'], ['nowhere'], []]))
    pieces = st.lists(st.tuples(st.sampled_from(flags(COMMANDS[command])), st.lists(texts, max_size=2)), max_size=3)
    argv = [command, *first, *[w for flag, words in draw.draw(pieces) for w in (flag, *words)]]
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main(argv)
    lines = [line for line in said.getvalue().splitlines() if line.strip() and 'Warning' not in line]
    assert code in (0, 2), (argv, code)
    if code == 2:
        assert len(lines) == 1 and lines[0].startswith('dd_lit'), (argv, said.getvalue())


@pytest.mark.parametrize('argv', ['distill random', 'evaluate set', 'compare set random', 'show set', 'list', 'list dc',
                                  'export set out.pt'])
def test_plain_commands_go_through(argv, nothing_runs):
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        assert main(argv.split()) == 0, said.getvalue()
