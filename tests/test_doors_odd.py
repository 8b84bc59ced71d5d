"Odd doors: arguments that are no paths, and data that are small, grey, oblong or of one class, for every method."
import importlib
import inspect
import pkgutil
import re
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dd_lit
from dd_lit.core import as_path, counted, maybe_path, rng
from dd_lit.data import ImageData
from dd_lit.distill import distill
from dd_lit.method import get_method, list_methods

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
