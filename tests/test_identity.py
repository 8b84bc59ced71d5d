"""What tells networks, functions and methods apart: whatever a caller edits gives another key, and the same things have
the same key in every process. Threads that draw at once take turns.
"""
import copy
import functools
import operator
import os
import subprocess
import sys
import threading
import time
import types
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dd_lit import core, distill
from dd_lit.core import (
    Written,
    class_code,
    filled,
    function_text,
    local_seed,
    noted,
    numbers_text,
    of_caller,
    own_modes,
    rng,
    tells_all,
)
from dd_lit.data import load_data
from dd_lit.distill import run
from dd_lit.method import _METHODS, get_method, list_methods, plain, register
from dd_lit.models import create_model, network_digest, network_key, weights_digest

# --- Networks that differ in one setting, kept in one place or another ---

HEAD = '''
import collections, enum, functools, types
from dataclasses import dataclass, field
import numpy as np
import torch
from torch import nn

@dataclass
class Data:
    k: object
    big: object = field(default=None, repr=False)
class Bare:
    def __init__(self, k):
        self.k = k
class Slots:
    __slots__ = ('k', '__own')
    def __init__(self, k):
        self.k, self.__own = 0, k
class Says(Bare):
    def __repr__(self):
        return 'always the same'
class Does(Bare):
    def __call__(self, x):
        return x*self.k
    def times(self, x):
        return x*self.k
class Row(list):
    pass
Pair = collections.namedtuple('Pair', 'a b')
class Made(type):
    pass
def doing(k):
    class Act:
        def __call__(self, x):
            return x*k
    return Act
def array(k):
    a = np.zeros(5000)
    a[2500] = k
    return a
def held(v):
    v.own = v
    return v
class Net(nn.Module):
    BY = {k!r}
    def __init__(self, n=2, c=1, s=8, k={k!r}):
        super().__init__()
        self.head = nn.Linear(c*s*s, n)
        {line}
    def forward(self, x):
        return self.head(x.flatten(1))
'''
LINES = dict(
    dict='self.cfg = dict(act=k)', nested='self.cfg = dict(a=dict(b=[1, dict(c=k)]))', private='self._k = k',
    private_dict='self._cfg = dict(k=k)', space='self.args = types.SimpleNamespace(k=k)', data='self.d = Data(k)',
    unsaid='self.d = Data(0, k)', bare='self.d = Bare(k)', slots='self.d = Slots(k)', says='self.d = Says(k)',
    callable='self.act = Does(k)', bound='self.act = Does(k).times', listed='self.l = [Bare(0), Bare(k)]',
    pair='self.p = Pair(0, k)', row='self.r = Row([k])', kind='self.kind = doing(k)', instance='self.act = doing(k)()',
    set='self.s = {"a", "b", str(k)}', ordered='self.o = collections.OrderedDict(a=k)',
    deque='self.q = collections.deque([0, k])', array='self.a = array(k)', private_array='self._a = [array(k)]',
    tensor='self._t = [torch.full((3,), float(k))]', function='self._f = lambda x: x*k',
    listed_function='self.fs = [lambda x: x*k]', partial='self.fs = dict(f=functools.partial(pow, k))',
    cached='self.fs = [functools.lru_cache(lambda x: x*k)]', held='self.d = held(Bare(k))',
    hidden='self.__dict__["part"] = nn.Dropout(k/10)', parent='self.up = [self, k]',
    hung='self.head.forward = lambda x: x[:, :2]*k',
    library='self.act = nn.TransformerEncoderLayer(4, 1, 4, activation=Does(k))',
    library_partial='self.act = nn.TransformerEncoderLayer(4, 1, 4, activation=functools.partial(pow, k))',
    nowhere='pass')


def net_with(place, k):
    "The class of a network that keeps a number in this place."
    found = dict(__name__='somebodys')
    exec(HEAD.replace('{k!r}', '0').replace('k=0', f'k={k!r}').replace('{line}', LINES[place]), found)
    return found['Net']


def made(place, k):
    with local_seed(0, 'weights'):
        return net_with(place, k)()


def keys(place, k):
    net = made(place, k)
    return network_digest(net), plain(net), network_key(net_with(place, k), 2, 1, 8)


@pytest.mark.parametrize('place', sorted(set(LINES) - {'nowhere'}))
def test_one_setting_is_another_network(place):
    "Wherever a network keeps it: equal settings have equal keys, others have others."
    a, again, b = keys(place, 2), keys(place, 2), keys(place, 3)
    assert a == again and not any(map(operator.eq, a, b))
    one = made(place, 2)
    before = network_digest(one)
    one.eval()(torch.zeros(2, 1, 8, 8))
    assert network_digest(one) == before == a[0]                   # to look at it, and to ask it, changes nothing


def test_settings_that_the_caller_gives_are_in_the_key():
    "The example that was reported, and settings of which nothing is left in the module."
    for line in ('self.cfg = dict(act=k)', 'self._act = k', 'self.args = types.SimpleNamespace(act=k)', 'pass'):
        found = dict(__name__='somebodys')
        exec(HEAD.replace('{k!r}', "'relu'").replace('{line}', line), found)
        relu, dead = (network_key((found['Net'], dict(k=k)), 2, 1, 8) for k in ('relu', 'dead'))
        assert relu != dead
        assert relu == network_key(found['Net'], 2, 1, 8)          # its own default, said or not


ELSEWHERE = '''
import sys
sys.path.insert(0, {tests!r})
import test_identity as t
for place in sorted(t.LINES):
    print(place, *t.keys(place, 2))
print(t.noted(t.odd_things()))
print(t.get_method('dm')(t.load_data('digits'), 1, device='cpu').identity())
print(t.own_method()(t.load_data('digits'), 1, device='cpu').identity())
'''


def odd_things():
    "What has no text of its own, or an address for one."
    class Node:
        __slots__ = ('next', 'names')
    a, b = Node(), Node()
    a.next, b.next, a.names, b.names = b, a, {'x', 'y', 'z'}, {a, 'w'}
    loop: list = [1]
    loop.append(loop)
    deep: list = []
    for _ in range(3000):
        deep = [deep, object()]
    known = Written()
    known.add(a, 'a')
    numbers = [np.arange(3)[::-1], torch.Generator(), torch.zeros(2, device='meta'), torch.eye(2).to_sparse()]
    held = [deque([{'p', 'q'}]), types.MappingProxyType({'a': {3}}), frozenset({'k', 'l', 'm'}), {str: int, len: 2}]
    closed = [threading.Lock(), sys.stderr, (i for i in ()), operator.itemgetter(1), os.environ.get, nn.LazyLinear(2)]
    return [noted([a, b], known), a, b, loop, deep, *numbers, *held, *closed]


def test_keys_are_the_same_in_every_process():
    "Other addresses, another order of sets."
    code = ELSEWHERE.format(tests=str(Path(__file__).parent))
    run_as = lambda seed: subprocess.run([sys.executable, '-c', code], env=os.environ | dict(PYTHONHASHSEED=seed),
                                         capture_output=True, text=True)
    one, two = run_as('1'), run_as('2')
    assert one.returncode == 0, one.stderr[-2000:]
    assert one.stdout == two.stdout and len(one.stdout.splitlines()) == len(LINES) + 3


def test_own_modules_that_point_to_each_other():
    "A part that knows the whole, in a list so that torch does not see it; the weights count, the way to them does not."
    class Part(nn.Module):
        def __init__(self, whole):
            super().__init__()
            self.up, self.lin = [whole], nn.Linear(2, 2)
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList([Part(self) for _ in range(20)])
            self.shared = [p.lin.weight for p in self.parts]
    with local_seed(0, 'weights'):
        net = Whole()
    same = copy.deepcopy(net)
    assert weights_digest(net) == weights_digest(same)
    same.parts[3].lin.bias.data += 1
    assert weights_digest(net) != weights_digest(same)


# --- The library's own networks: keys under which trained networks lie in people's folders ---

KNOWN = {
    'resnet18': 'cbdbcd1a5275bfbb', 'convnet3': '108e09f70312e439', 'wrn16_2': '132da2e14e4ea32a',
    'lenet': '0141edea3cc8e20b', 'mlp': 'c84b07ddcf359519', 'mobilenetv2_05': '64c0713d58cd27ef',
    'shufflenetv2_05': '7ea2da623fc336ea', 'alexnet': 'fe8b82efc05a6b82', 'vgg11': '454f1ca8c96a6428',
    'resnet20': 'bb026946e1953506', 'convnet3 gelu max batch': '5149b876c5ba649b',
    'convnet4 sigmoid none': '0b2f44bef3ca496f',
    'resnet18 instance': '75a36e9f5fe31d17', 'linear': '87db02b675b7c388', 'small': '525ae8e9026d25cb',
}


def with_weights(net):
    "Weights that are the same on every machine."
    with torch.no_grad():
        for p in net.parameters():
            p.copy_((torch.arange(p.numel()) % 13 - 6).view_as(p)/8)
    return net


def known_networks():
    given = dict(resnet18={}, convnet3={}, wrn16_2={}, lenet={}, mlp={}, mobilenetv2_05={}, shufflenetv2_05={},
                 alexnet={}, vgg11={}, resnet20={})
    made = {k: create_model(k, 10, 3, 32, seed=0, **kw) for k, kw in given.items()}
    made['convnet3 gelu max batch'] = create_model('convnet3', 10, 3, 32, seed=0, act='gelu', pool='max', norm='batch')
    made['convnet4 sigmoid none'] = create_model('convnet4', 10, 3, 32, seed=0, width=8, act='sigmoid', pool='none')
    made['resnet18 instance'] = create_model('resnet18', 10, 3, 32, seed=0, width=8, norm='instance')
    made['linear'] = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    made['small'] = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.LeakyReLU(.1), nn.Dropout(.2),
                                  nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    return {k: with_weights(net) for k, net in made.items()}


def test_keys_of_the_librarys_networks_are_as_they_were():
    found = {k: (weights_digest(net), network_digest(net)) for k, net in known_networks().items()}
    assert {k: w for k, (w, _) in found.items()} == KNOWN
    assert all(w == n for w, n in found.values())


# --- Values ---

leaves = (st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)
          | st.binary(max_size=3) | st.lists(st.floats(0, 1), min_size=1, max_size=3).map(np.array))


@dataclass
class Holder:
    v: object

    def __repr__(self):
        return 'Holder'


class Loose:
    def __init__(self, v):
        self.v = v


values = st.recursive(leaves, lambda o: st.lists(o, max_size=3) | st.lists(o, max_size=3).map(tuple)
                      | st.dictionaries(st.text(max_size=2), o, max_size=3) | o.map(Holder) | o.map(Loose)
                      | o.map(lambda v: types.SimpleNamespace(v=v)) | o.map(lambda v: [v, v])
                      | st.sets(st.text(max_size=2), max_size=4), max_leaves=12)


def spelled(v):
    "The same, as text that a person would write: what `noted` must agree with."
    if isinstance(v, (Holder, Loose, types.SimpleNamespace)):
        return type(v).__name__, spelled(v.v)
    if isinstance(v, np.ndarray):
        return 'array', v.tolist(), str(v.dtype)
    if isinstance(v, dict):
        return 'dict', [(k, spelled(o)) for k, o in v.items()]
    if isinstance(v, set):
        return 'set', sorted(v)
    return (type(v).__name__, [spelled(o) for o in v]) if isinstance(v, (list, tuple)) else repr(v)


@given(values, values)
@settings(max_examples=200, deadline=None)
def test_equal_text_for_equal_values_only(a, b):
    assert (noted(a) == noted(b)) == (repr(spelled(a)) == repr(spelled(b)))
    assert noted(a) == noted(copy.deepcopy(a)) and ' at 0x' not in noted(a)
    assert tells_all(a) <= (' at 0x' not in repr(a)) and (not tells_all(a) or not tells_all(b)
                                                          or (repr(a) == repr(b)) == (noted(a) == noted(b)))


@given(st.integers(1, 4000), st.data())
@settings(max_examples=40, deadline=None)
def test_one_number_of_an_array_tells_it_apart(n, draw):
    "However long it is, and of whatever type: as an array, as a tensor, in a list, held by a function."
    kind = draw.draw(st.sampled_from(['float32', 'float64', 'int64', 'uint8', 'bool', 'complex64']))
    a, at = np.zeros(n, kind), draw.draw(st.integers(0, n - 1))
    b = a.copy()
    b[at] = 1
    def keeps(v, by=None):
        return (lambda x: x*v) if by is None else by
    for say in (plain, noted, numbers_text, lambda v: plain([v]), lambda v: plain(keeps(v)), lambda v: plain({'a': v}),
                lambda v: function_text(keeps(v), repr), lambda v: plain(torch.as_tensor(v)),
                lambda v: plain(Loose(v))):
        assert say(a) == say(a.copy()) != say(b)
    other = a.astype('float16' if kind != 'complex64' else 'complex128')
    assert len({plain(a), plain(other), plain(a.reshape(1, -1))}) == 3


BY = dict(k=2)
MANY, ONE, SPACE, PARTIAL = [1, {2}], np.zeros(3), types.SimpleNamespace(k=2), partial(pow, 2)
class Scale:
    k = dict(by=2)
    def __init__(self, by=1):
        self.by = by
    def times(self, x):
        return x*self.by
    @classmethod
    def known(cls, x):
        return x*2
    @functools.cached_property
    def slow(self):
        return 2
THING = Scale()
REGISTRY: dict = {}
def by_dict(x): return x*BY['k']
def by_many(x): return x*MANY[0]
def by_array(x): return x*ONE[0]
def by_space(x): return x*SPACE.k
def by_partial(x): return PARTIAL(x)
def by_class(x): return Scale.known(x)
def by_thing(x): return THING.times(x)
def by_registry(x): return REGISTRY['by'](x)
def by_comprehension(x): return [x*BY[k] for k in BY]
def by_attribute(x): return x.BY + x.MANY


CHANGES = dict(by_dict=dict(BY=dict(k=3)), by_many=dict(MANY=[1, {3}]), by_array=dict(ONE=np.ones(3)),
               by_space=dict(SPACE=types.SimpleNamespace(k=3)), by_partial=dict(PARTIAL=partial(pow, 3)),
               by_thing=dict(THING=Scale(2)), by_class=dict(Scale=type('Scale', (Scale,), dict(k=3))),
               by_registry=dict(REGISTRY=dict(by=by_dict)), by_comprehension=dict(BY=dict(k=3)))


@pytest.mark.parametrize('name', sorted(CHANGES))
def test_what_a_function_finds_around_it(name, monkeypatch):
    f = globals()[name]
    REGISTRY['by'] = by_registry                                   # one that finds itself
    for value in (plain, repr, noted):
        monkeypatch.undo()
        before = function_text(f, value)
        assert function_text(f, value) == before
        for k, v in CHANGES[name].items():
            monkeypatch.setitem(globals(), k, v)
        assert function_text(f, value) != before
        other = function_text(by_attribute, value)                 # names of attributes are no globals
        monkeypatch.undo()
        assert function_text(by_attribute, value) == other


def test_a_method_is_known_with_its_object():
    for value in (plain, repr, noted):
        say = partial(function_text, value=value)
        assert say(Scale(1).times) == say(Scale(1).times) != say(Scale(2).times)
        assert say(Scale.known) != say(Loose(1).__init__)
    assert plain(Scale(1).times) != plain(Scale(2).times)
    data = load_data('digits')
    other = copy.copy(data)
    other.norm = ((0.,), (1.,))
    assert plain(data.normalize) == plain(data.normalize) != plain(other.normalize)


LOG: list = []
COUNTS, MEMO = [0], {'known': 1}
def fills(x):
    COUNTS[0] += 1
    LOG.append(x)
    MEMO[x] = BY['k']
    if x in MEMO:
        del MEMO[x]
    MEMO.setdefault('x', []).append(x)
    return x*len(LOG)


def test_what_a_function_fills_itself_does_not_count():
    "A log or a memory is another one after every call; what it only reads does count."
    assert filled(fills.__code__) == {'COUNTS', 'LOG', 'MEMO'} and filled(by_dict.__code__) == set()
    before = [function_text(fills, value) for value in (plain, repr, noted)]
    fills(3)
    assert [function_text(fills, value) for value in (plain, repr, noted)] == before
    assert COUNTS == [1] and LOG == [3] and 'x' in MEMO
    BY['k'] = 3
    try:
        assert not set(before) & {function_text(fills, value) for value in (plain, repr, noted)}
    finally:
        BY['k'] = 2


def test_a_class_is_known_by_what_it_does():
    def scaled(k, **more):
        return type('Scaled', (), dict(times=lambda self, x: x*k, **more))
    for say in (plain, noted, lambda c: class_code(c, noted), lambda c: plain(c())):
        assert say(scaled(1)) == say(scaled(1)) != say(scaled(2))
        assert len({repr(say(scaled(1, by=v))) for v in ({}, {'a': 1}, {'a': 2}, {1}, Loose(1), Loose(2))}) == 6
    cached = [type('C', (), dict(k=functools.cached_property(f))) for f in (lambda self: 1, lambda self: 2)]
    assert noted(cached[0]) != noted(cached[1])
    assert plain(torch.optim.Adam) == 'Adam' and noted(OrderedDict) == 'OrderedDict'
    assert of_caller(Scale) and not of_caller(OrderedDict) and not of_caller(pytest.raises)


# --- Methods that are edited between two calls ---

def own_method(name='own_of_test', by='.1', helper='.2'):
    "A method of a caller's, as a notebook would define it."
    found: dict = dict(get_method=get_method, register=register, __name__='somebodys')
    exec(f'HOW = dict(by={helper})\ndef moved(x):\n    return x*HOW["by"]\n'
         'from dd_lit.method import Method, MethodSettings\nimport torch\n'
         'class Own(Method):\n    fixed_iters = ""\n    settings = MethodSettings\n    def setup(self):\n'
         '        self.images = torch.zeros(self.data.num_classes, *self.data.train_x.shape[1:])\n'
         '        self.labels = torch.arange(self.data.num_classes)\n'
         f'    def step(self):\n        self.images = self.images + {by} + moved(1)\n'
         '        HOW.setdefault("steps", self.k)\n        return 0.\n', found)
    _METHODS.pop(name, None)
    return register(name)(found['Own'])


@pytest.mark.filterwarnings('ignore')
def test_an_edited_step_is_another_run(tmp_path):
    data = load_data('digits')
    try:
        asked = lambda: distill('own_of_test', data, 1, device='cpu', out=tmp_path/'set', iters=2)
        own_method()
        first = asked()
        own_method()
        assert torch.equal(asked().images, first.images)           # the same, defined again: what is there
        for change in (dict(by='.5'), dict(helper='.5')):
            own_method(**change)
            with pytest.raises(ValueError, match='holds another distilled set .what_it_does is'):
                asked()
        fresh = distill('own_of_test', data, 1, device='cpu', out=tmp_path/'set', iters=2, resume=False)
        own_method(helper='.5')                                    # its steps wrote into a dictionary that it reads
        assert not torch.equal(fresh.images, first.images) and torch.equal(asked().images, fresh.images)
        made = get_method('own_of_test')(data, 1, device='cpu', iters=3)
        run(made, tmp_path/'by hand')
        assert made.identity()['what_it_does'] == made.result().meta['what_it_does']
    finally:
        _METHODS.pop('own_of_test', None)


def test_the_librarys_methods_are_known_by_name():
    data = load_data('digits')
    for name in list_methods():
        kind = get_method(name)
        if kind.__module__.startswith('dd_lit.'):
            m = kind(data, 1, device='cpu')
            assert m.what_it_does is None and 'what_it_does' not in m.identity()
    class Mine(get_method('dm')):
        def step(self):
            return super().step()
    assert Mine(data, 1, device='cpu').what_it_does


# --- Threads ---

def test_threads_take_turns():
    "Two that distil at once make what they make one after the other."
    data = load_data('digits')
    make = lambda s: distill('dc', data, 1, seed=s, iters=4, model='mlp', width=8, batch_real=8, device='cpu').images
    want = [make(s) for s in range(4)]
    with ThreadPoolExecutor(2) as pool:
        got = list(pool.map(make, range(4)))
    assert all(map(torch.equal, want, got))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), min_size=2, max_size=6))
@settings(max_examples=15, deadline=None)
def test_nobody_disturbs_a_seed(jobs):
    "Nested as they like, what is drawn depends on the seed alone; and outside nothing has happened."
    def drawn(job):
        seed, times = job
        out = []
        with local_seed(seed, 'outer'):
            for k in range(times):
                out.append(torch.rand(2))
                with local_seed(seed, 'inner', k):
                    time.sleep(.0005)
                    out.append(torch.from_numpy(np.random.rand(2)))
        return torch.cat([o.double() for o in out])
    want, before = [drawn(j) for j in jobs], torch.get_rng_state()
    with ThreadPoolExecutor(3) as pool:
        assert all(map(torch.equal, want, pool.map(drawn, jobs)))
    assert torch.equal(before, torch.get_rng_state())


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, i):
        with local_seed(i, 'row'):
            return torch.rand(2)


def test_workers_that_are_started_inside():
    "Processes of a `DataLoader`: whoever holds the turn where they were forked, they have one of their own."
    inside, over = threading.Event(), threading.Event()
    def holds():
        with local_seed(0, 'elsewhere'):
            inside.set()
            over.wait(60)
    other = threading.Thread(target=holds)
    loader = torch.utils.data.DataLoader(Rows(), num_workers=1, multiprocessing_context='fork', timeout=30)
    want = torch.stack([row[0] for row in torch.utils.data.DataLoader(Rows())])
    with local_seed(0, 'here'):
        assert torch.equal(torch.stack([row[0] for row in loader]), want)
    other.start()
    try:
        inside.wait(60)
        assert torch.equal(torch.stack([row[0] for row in loader]), want)
    finally:
        over.set()
        other.join()


def test_who_waits_long_says_so(monkeypatch, capsys):
    monkeypatch.setattr(core, '_WAITED', .05)
    monkeypatch.delenv('DD_LIT_PROGRESS', raising=False)
    with local_seed(0, 'here'):
        other = threading.Thread(target=lambda: local_seed(0, 'there').__enter__())
        other.start()
        other.join(.3)
        assert other.is_alive()
    other.join(10)
    assert not other.is_alive() and 'a thread waits until another has done' in capsys.readouterr().err
    core._TURN[0] = threading.RLock()                              # that thread is gone, and took its turn along


def test_modes_of_threads_that_overlap():
    "The default type belongs to all threads: inside it is float32 for everybody, and at the end it is the caller's."
    first, second, out = threading.Event(), threading.Event(), threading.Event()
    def early():
        with own_modes():
            first.set()
            second.wait(10)
        out.set()
    def late():
        first.wait(10)
        with own_modes():
            second.set()
            out.wait(10)
            found.append(torch.get_default_dtype())
            torch.set_default_dtype(torch.float64)
            with own_modes():
                found.append(torch.get_default_dtype())
            found.append(torch.get_default_dtype())
    found: list = []
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float16)
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda f: f(), (early, late)))
        assert found == [torch.float32, torch.float32, torch.float64] and torch.get_default_dtype() == torch.float16
    finally:
        torch.set_default_dtype(before)
    assert rng(0, 'a').initial_seed() != rng(0, 'b').initial_seed()
