"Odd doors: arguments that are no paths, and data that are small, grey, oblong or of one class, for every method."
import ast
import importlib
import inspect
import pkgutil
import re
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

import dd_lit
from dd_lit.augment import DSA, DCAugment, crop_resize
from dd_lit.core import as_path, counted, maybe_path, rng, show_images
from dd_lit.coreset.select import random_select
from dd_lit.data import ImageData, check_ipc
from dd_lit.distill import distill
from dd_lit.evaluate import label_robust
from dd_lit.flow.pyramid import Pyramid, pyramid_sizes
from dd_lit.gradient.schedule import zeta_constant
from dd_lit.method import get_method, list_methods
from dd_lit.models import create_model, predict
from dd_lit.orthogonal.pseudo_gradient import conv_weight_op
from dd_lit.sets import DistilledSet, check_meta, show_wall
from dd_lit.settings import whole_number
from dd_lit.study.continual import class_groups
from dd_lit.train import topk_accuracy
from dd_lit.trajectory.experts import train_experts
from dd_lit.whiten import zca_map

# --- Paths ---

def functions():
    "(name, what to call, the function) of all that is public."
    for info in pkgutil.walk_packages(dd_lit.__path__, 'dd_lit.'):
        module = importlib.import_module(info.name) if info.name != 'dd_lit.__main__' else None
        for name in getattr(module, '__all__', ()):
            o = getattr(module, name)
            if inspect.isfunction(o):
                yield name, o, o
            for k, v in vars(o).items() if inspect.isclass(o) else ():
                f = v.__func__ if isinstance(v, (classmethod, staticmethod)) else v
                if inspect.isfunction(f) and f.__module__ == o.__module__ and (k == '__init__' or k[0] != '_'):
                    yield f'{name}.{k}', o if k == '__init__' else f, f


def paths():
    "(name, what to call, the argument) of every path, given or left out, that a caller of the library hands over."
    for name, call, f in functions():
        for p in inspect.signature(f).parameters.values():
            kind = str(p.annotation).replace('pathlib.', '')
            if kind in ('str | Path', 'str | Path | None') and 'Settings.' not in name:
                yield name, call, p.name


PATHS = list(paths())


def test_paths_are_found():
    asked = {(name, arg) for name, _, arg in PATHS}
    assert {('distill', 'out'), ('relabel', 'path'), ('load_data', 'root'), ('squeeze', 'cache')} <= asked
    assert len(PATHS) > 45


@pytest.mark.parametrize('wrong', [3, 2.5, ['a'], b'a'], ids=repr)
@pytest.mark.parametrize('name, call, arg', PATHS, ids=[f'{n}-{a}' for n, _, a in PATHS])
def test_what_is_no_path_is_refused_by_name(name, call, arg, wrong):
    "Before anything else is looked at: the other arguments are all None."
    sig = inspect.signature(call).parameters.values()
    left = {p.name: None for p in sig if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    with pytest.raises(ValueError) as e:
        call(**left | {arg: wrong})
    assert re.match(rf'{arg}: expected (a path|the folder)', str(e.value)) and '\n' not in str(e.value), e.value


@given(v=st.one_of(st.integers(), st.floats(), st.binary(), st.lists(st.integers()), st.text(max_size=5)))
def test_any_path(v):
    "A path for a text, one short line for an empty one and for all others."
    if isinstance(v, str) and v:
        assert as_path(v, 'out') == maybe_path(v, 'out') and maybe_path(None, 'out') is None
        return
    for door in (as_path, maybe_path):
        with pytest.raises(ValueError, match=r'^out: expected a path \(text or a Path\), got .{1,60}$'):
            door(v, 'out')


# --- How many ---

@given(n=st.integers(0, 10**6), word=st.sampled_from(['network', 'class', 'batch', 'epoch', 'test image', 'box']))
def test_one_is_singular(n, word):
    said = counted(n, word)
    assert said.startswith(f'{n} {word}') and (said == f'{n} {word}') == (n == 1)


X, Y, Z = torch.rand(6, 1, 8, 8, generator=rng(0, 'x')), torch.arange(6) % 3, torch.rand(6, 3, generator=rng(0, 'z'))
SET = DistilledSet(X, Y, ((.5,), (.25,)))
NET = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
TWO: dict = dict(     # takes a whole number, and 2 is one
    n=lambda v: some().sample(v)[1].tolist(), per_class=lambda v: len(some().show(v).axes),
    classes=lambda v: len(some().show(1, v).axes), per_class_of_a_set=lambda v: len(SET.show(v).axes),
    per_class_of_a_wall=lambda v: show_wall([SET], v).axes[0].get_images()[0].get_array().shape,
    patches=lambda v: DistilledSet(X, Y, SET.norm, patches=v).patches, ipc=lambda v: check_ipc(v, some()),
    ipc_of_labels=lambda v: random_select(Y, v).tolist(), ipc_of_dc=zeta_constant, size=pyramid_sizes,
    num_images=lambda v: Pyramid(v, 4).n, num_classes=lambda v: list(create_model('mlp', v, 1, 8)(X).shape),
    in_chans=lambda v: create_model('mlp', 2, v, 8)[1].in_features,
    size_of_a_network=lambda v: create_model('mlp', 2, 1, v)[1].in_features,
    size_of_oblong_images=lambda v: create_model('mlp', 2, 1, (v, 8))[1].in_features,
    batch_size=lambda v: predict(NET, X, v).tolist(), topk=lambda v: topk_accuracy(Z, Y, (v,)),
    steps=lambda v: class_groups(4, v), crop=lambda v: repr(DCAugment(crop=v)),
    rotate=lambda v: repr(DCAugment(rotate=v)),
    size_of_crops=lambda v: list(crop_resize(X, torch.tensor([[0., 0., 1., 1.]]), v).shape),
    kernel_size=lambda v: conv_weight_op(X, X[..., :7, :7], v).tolist(), seed=lambda v: rng(v).initial_seed(),
    n_of_experts=lambda v: len(train_experts('mlp', some(), v, epochs=1, device='cpu')),
    seed_of_meta=lambda v: check_meta(dict(seed=v)),
    validate_every=lambda v: distill('random', some(), device='cpu', validate_every=v).meta['held_out'])
HALF: dict = dict(    # takes a number, and a half is one
    eps=lambda v: zca_map(torch.eye(2), v)[0].tolist(), scale=lambda v: show_images(X, scale=v).get_figwidth(),
    weight=lambda v: label_robust(60, 50, 55, 40, v), full=lambda v: label_robust(v, .25, .25, .25),
    brightness=lambda v: DSA('color', brightness=v).p['brightness'],
    checkpoint_seconds=lambda v: distill('random', some(), device='cpu', checkpoint_seconds=v).labels.tolist())

UNASKED = 'size_of_crops', 'kernel_size', 'scale', 'weight', 'full'     # what is no number there is not all named


@pytest.fixture
def quick(monkeypatch):
    "Nothing is trained to see how a set does, and figures are put away."
    monkeypatch.setattr('dd_lit.distill.validate', lambda *a: 50.)
    yield
    plt.close('all')


@pytest.mark.parametrize('name', [*TWO, *HALF])
def test_numbers_of_numpy_and_torch_are_numbers(name, quick):
    door, own = (TWO[name], 2) if name in TWO else (HALF[name], .5)
    kinds = (np.int64, np.uint8, torch.tensor) if name in TWO else (np.float32, np.float64, torch.tensor)
    for kind in kinds:
        assert door(kind(own)) == door(own), kind
    for wrong in (own + .25 if name in TWO else 'half', 'x', True, np.bool_(True)) if name not in UNASKED else ():
        with pytest.raises(ValueError, match=rf"^{re.split('_of_', name)[0]}|meta") as e:
            door(wrong)
        assert '\n' not in str(e.value)


NOT_GIVEN = {'_called', '_words', '_kind', '_number', '_goes_on', '_state_in', '__call__', '_little', '_class_of',
             '_check_strength'}      # of what a file or a setting holds, which are Python's own


def test_no_door_looks_for_python_numbers_only():
    "Who asks whether something is an `int` has first made one of numpy's and torch's, or leaves it to `whole_number`."
    assert whole_number(np.int64(2), 'n') == 2
    for file in (ROOT/'dd_lit').rglob('*.py'):
        for f in [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.FunctionDef)]:
            text = ast.unparse(f)
            asks = re.search(r'isinstance\([\w.]+, \(?(float, )?int\b|type\([\w.]+\) is (not )?int\b', text)
            assert not asks or 'as_python(' in text or f.name in NOT_GIVEN, (file.name, f.name)


# --- Data ---

TEACHER = dict(squeeze_epochs=1, width=4)
TINY: dict = dict(
    random={}, herding=dict(epochs=1, model='lenet'), k_center=dict(epochs=1, model='lenet'),
    forgetting=dict(epochs=2, model='lenet'),
    rded=dict(squeeze_epochs=1, backbone='convnet2:width=4', pool=9, tries=1, factor=1),
    dsa=dict(batch_real=4), dm=dict(batch_real=4), gvbsm=TEACHER | dict(backbones='resnet18'),
    mtt=dict(experts=1, steps=2, span=1, starts=1, batch_size=3), sre2l=TEACHER, cda=TEACHER, dwa=TEACHER, lpld=TEACHER,
    ogm=TEACHER | dict(backbones='resnet18', factor=1, pool=9, tries=1), lgm=dict(augs=1), sfm={})
TINY |= {m: dict(batch_real=4) for m in ('dc', 'dc_m', 'dc_md', 'dc_mdo', 'dc_mda')}
TINY |= dict(datm=TINY['mtt'] | dict(expert_epochs=1))
TINY |= {m: TINY[m] | dict(pretrain=dict(epochs=1)) for m in ('lgm', 'sfm')}
ITERATED = [m for m in list_methods() if m not in ('random', 'herding', 'k_center', 'forgetting', 'rded')]
SMALL = {m: dict(iters=1) | (dict(width=4) if hasattr(get_method(m).settings(), 'width') else {}) for m in ITERATED}


def some(size=(16, 16), channels=1, counts=(9, 9)):
    "A dataset with so many images of each class."
    y = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    x = torch.randint(0, 256, (len(y), channels, *size), generator=rng(0, 'odd'), dtype=torch.uint8)
    return ImageData(x, y, x, y, ((.5,)*channels, (.25,)*channels), list('abc')[:len(counts)], 'odd')


ODD = dict(oblong=dict(size=(16, 24), channels=3), odd=dict(size=(27, 27)), four_channels=dict(channels=4),
           few=dict(counts=(9, 1, 4)), alone=dict(counts=(9,)))
SELECTS = ('random', 'herding', 'k_center', 'forgetting', 'rded', 'ogm', 'dwa')
SQUARE = ('lgm', 'sfm')


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path_factory.getbasetemp()/'odd'))


@pytest.mark.parametrize('method', list_methods())
@pytest.mark.parametrize('kind', ODD)
def test_images_of_that_shape_or_one_line(method, kind):
    "Of data like these a method makes finite images, three of each class; where it cannot, it says why, in one line."
    data = some(**ODD[kind])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            ds = distill(method, data, 3, device='cpu', **TINY[method] | SMALL.get(method, {}))
    except ValueError as e:
        why = str(e)
        assert '\n' not in why and ("init='noise'" in why or kind != 'few' or method != 'dwa'), why
        assert (kind == 'alone' and why.startswith('data: expected two classes or more, got 1, ')
                and why.endswith(get_method(method).one_class) and get_method(method).one_class
                or kind == 'few' and method in SELECTS and 'smallest class' in why
                or kind == 'oblong' and method in SQUARE and 'expected square images' in why), why
        return
    assert kind != 'alone' or not get_method(method).one_class
    assert ds.images.isfinite().all() and ds.images.shape == (3*data.num_classes, *data.train_x.shape[1:])
