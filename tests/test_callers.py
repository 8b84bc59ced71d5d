"""What callers bring: numbers of numpy and torch, functions of their own, paths, lists, two runs in one folder.

Each is taken as it is meant, or refused in a sentence that names the argument, before anything has been computed.
"""
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import dd_lit
from dd_lit.compare import compare, random_like
from dd_lit.core import as_path
from dd_lit.data import ImageData, check_ipc, load_data
from dd_lit.distill import distill, validate
from dd_lit.evaluate import evaluate
from dd_lit.flow.inherit import evaluate_inherit
from dd_lit.labels.soft import LiveLabels, relabel
from dd_lit.models import create_model
from dd_lit.sets import DistilledSet
from dd_lit.settings import check_function
from dd_lit.study.continual import gdumb
from dd_lit.study.cross_architecture import cross_architecture
from dd_lit.train import fit

def stripes(n=12) -> ImageData:
    "Two classes that one look tells apart."
    x = torch.zeros(n, 1, 8, 8, dtype=torch.uint8)
    y = torch.arange(n) % 2
    x[y == 1, :, ::2] = 255
    return ImageData(x, y, x[:4], y[:4], name='stripes')

DATA = stripes()
SHORT = dict(repeats=1, epochs=1, model='mlp')

def chosen() -> DistilledSet:
    return distill('random', DATA, 2)

KINDS = [np.int64, np.int8, np.uint16, torch.tensor, int, lambda n: np.array(n), lambda n: torch.tensor([n])[0]]

@given(kind=st.sampled_from(KINDS), ipc=st.integers(1, 3), seed=st.integers(0, 9))
def test_numbers_of_others(kind, ipc, seed):
    "A number out of an array makes the very set that Python's own makes, and one that can be stored."
    theirs = distill('random', DATA, kind(ipc), seed=kind(seed))
    ours = distill('random', DATA, ipc, seed=seed)
    assert torch.equal(theirs.images, ours.images)
    drop = ('seconds', 'peak_bytes', 'made_with')
    told = [{k: v for k, v in s.meta.items() if k not in drop} for s in (theirs, ours)]
    assert json.dumps(told[0]) == json.dumps(told[1])

def test_settings_of_others():
    ds = chosen()
    ours = evaluate(ds, DATA, lr=.25, seed=1, **SHORT)
    theirs = evaluate(ds, DATA, lr=np.float32(.25), seed=np.int64(1), model='mlp', repeats=np.int8(1),
                      epochs=torch.tensor(1))
    assert (ours.top1, ours.config) == (theirs.top1, theirs.config)
    json.dumps(theirs.config)

@pytest.mark.parametrize('ipc', [10**30, 1.5, np.float64(1), np.nan, True, np.bool_(1), '1', None, [1], np.arange(2)])
def test_no_numbers(ipc):
    with pytest.raises(ValueError, match='^ipc: expected'):
        check_ipc(ipc, DATA)

# what cannot be called as it will be, and what makes something else
WRONG = dict(
    loss=[lambda s: s.mean(), nn.CrossEntropyLoss(), lambda s, t, y: 1., lambda s, t, y: None,
          lambda s, t, y: s.mean().detach(), lambda s, t, y: s.mean(1)],
    augment=[lambda x: x, nn.ReLU(), lambda x, g: None, lambda x, g: (x, x), lambda x, g: x[:1], lambda x, g: x[0]],
    opt=[lambda: None, lambda p: None, lambda p: 3])

@pytest.mark.parametrize('name, f', [(k, f) for k, fs in WRONG.items() for f in fs])
def test_functions_of_others(name, f):
    with pytest.raises(ValueError, match=f'^{name}: expected a function'):
        evaluate(chosen(), DATA, **SHORT, **{name: f})

@pytest.mark.parametrize('name, f', [(k, fs[0]) for k, fs in WRONG.items()])
def test_functions_before_sets(name, f, monkeypatch):
    "A comparison does not distil for an hour first."
    monkeypatch.setattr('dd_lit.compare.distill', lambda *a, **kw: pytest.fail('distilled'))
    with pytest.raises(ValueError, match=f'^{name}: expected a function'):
        compare(['random'], DATA, **SHORT, **{name: f})

def test_good_functions_are_taken():
    "Whatever can be called so: with more arguments, bound, written in C, a module."
    for f in (lambda *a: None, lambda a, b, d=3: None, max, [].insert, nn.Bilinear(1, 1, 1)):
        check_function(f, 'loss', 'a', 'b')
    s = evaluate(chosen(), DATA, **SHORT, loss=lambda s, t, y: nn.functional.cross_entropy(s, y),
                 augment=lambda x, g: x.flip(-1), opt=lambda p: torch.optim.SGD(p, .1))
    assert 0 <= s.mean <= 100

@pytest.mark.parametrize('method, how, words', [
    ('sre2l', dict(teachers='resnet18'), 'teachers: resnet18 has no weights'),
    ('sre2l', dict(teachers='resnet19', hold_out=.1), 'teachers: unknown network'),
    ('dc', dict(hold_out=1.5), 'hold_out: expected more than 0 and less than 1, got 1.5'),
    ('dc', dict(hold_out=.1, width='x'), 'width: expected a whole number'),
    ('dsa', dict(augment=lambda x, g: x), 'augment: expected text .* a function cannot be written down')])
def test_said_before_data_are_read(method, how, words):
    with pytest.raises(ValueError, match=words):
        distill(method, 'nowhere', **how)


@pytest.mark.parametrize('callback', [5, [], '', lambda: 1, lambda a, b: 1])
def test_callbacks(callback):
    with pytest.raises(ValueError, match='^callback: expected a function'):
        distill('random', DATA, callback=callback)

def test_nothing_to_train():
    net = create_model('mlp', 2, 1, 8).requires_grad_(False)
    with pytest.raises(ValueError, match='^model: expected weights to train, MLP has none'):
        fit(net, DATA.normalize(DATA.train_x), DATA.train_y, epochs=1)

DOORS = dict(
    out=lambda p: distill('random', DATA, out=p), compared=lambda p: compare('random', DATA, out=p, **SHORT),
    tensorboard=lambda p: distill('random', DATA, tensorboard=p), save=lambda p: chosen().save(p),
    pictures=lambda p: chosen().to_folder(p), export=lambda p: chosen().export(p), load=DistilledSet.load,
    read=DistilledSet.read, scored=lambda p: evaluate(p, DATA), item=lambda p: compare(p, DATA, **SHORT),
    labels=lambda p: relabel(chosen(), create_model('mlp', 2, 1, 8), epochs=1, path=p), data=load_data,
    start=lambda p: distill('dc', DATA, init=p, iters=1))

@pytest.mark.parametrize('door', DOORS)
@pytest.mark.parametrize('path', ['', 5, float('nan')])
def test_no_path(door, path, tmp_path, monkeypatch):
    "An empty path is not the folder one works in, neither to write to nor to read from."
    chosen().save(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = sorted(p.name for p in Path().iterdir())
    with pytest.raises(ValueError, match=r'^[\w ]+: expected'):
        DOORS[door](path)
    assert sorted(p.name for p in Path().iterdir()) == before
    with pytest.raises(ValueError, match='^out: expected a path'):
        as_path(path, 'out')

@pytest.mark.parametrize('every', ['abc', -1, float('nan'), None, []])
def test_time_between_checkpoints(every):
    with pytest.raises(ValueError, match='^checkpoint_seconds: expected a number, at least 0'):
        distill('random', DATA, checkpoint_seconds=every)

def test_lists_are_datasets():
    pairs = [(x, int(y)) for x, y in zip(DATA.train_x, DATA.train_y, strict=True)]
    one, other = load_data(pairs), load_data(torch.utils.data.TensorDataset(DATA.train_x, DATA.train_y))
    assert torch.equal(one.train_x, other.train_x) and torch.equal(one.test_y, other.test_y)
    both = load_data(dict(train=pairs, test=pairs[:4]))
    assert torch.equal(both.train_x, DATA.train_x) and len(both.test_x) == 4
    for wrong in ([], [1, 2], (DATA.train_x, DATA.train_y), iter(pairs)):
        with pytest.raises(ValueError, match='of arrays, ImageData'):
            load_data(wrong)

def test_data_is_itself():
    "Data of tensors cannot be compared by value; it is equal to itself, and can be the key of a dict."
    assert DATA == DATA and DATA != stripes() and {DATA: 1}[DATA] == 1
    for name in (3, None):
        with pytest.raises(ValueError, match='^name: expected a text'):
            ImageData(DATA.train_x, DATA.train_y, DATA.test_x, DATA.test_y, name=name)
    for odd in (DATA.train_x.to_sparse(), DATA.train_x.to('meta')):
        with pytest.raises(ValueError, match='^train_x: expected numbers'):
            ImageData(odd, DATA.train_y, DATA.test_x, DATA.test_y)

class Two(nn.Module):
    "A network that answers with more than logits."
    def __init__(self, answer):
        super().__init__()
        self.net, self.answer = create_model('mlp', 2, 1, 8), answer
    def forward(self, x):
        return self.answer(self.net(x))

@pytest.mark.parametrize('method', ['lgm', 'sfm'])
@pytest.mark.parametrize('answer', [lambda z: (z, z), lambda z: {'logits': z}, lambda z: None, lambda z: z.sum()])
def test_answers_of_features(method, answer):
    with pytest.raises(ValueError, match='answers .* expected features'):
        distill(method, DATA, backbone=Two(answer), iters=1)

RUN = """
import sys, time
from pathlib import Path
import dd_lit
from dd_lit.method import Method, register
from dd_lit.coreset.select import Random
@register('slow')
class Slow(Random):
    "A choice that waits until a file is there."
    def step(self):
        Path(sys.argv[1], 'begun').touch()
        while not Path(sys.argv[1], 'go').exists():
            time.sleep(.05)
        return super().step()
dd_lit.distill('slow', 'digits', out=Path(sys.argv[1])/'out')
"""

def test_two_runs_in_one_folder(tmp_path):
    "Another run in the same folder at the same time is refused; the first one's set is there, whole."
    p = subprocess.Popen([sys.executable, '-c', RUN, str(tmp_path)])
    try:
        while not (tmp_path/'begun').exists():
            assert p.poll() is None
            time.sleep(.05)
        with pytest.raises(ValueError, match=f'^out: another run .process {p.pid}. is writing to'):
            distill('random', DATA, out=tmp_path/'out')
    finally:
        (tmp_path/'go').touch()
        assert p.wait(timeout=120) == 0
    assert DistilledSet.load(tmp_path/'out').meta['method'] == 'slow'
    assert not list((tmp_path/'out').glob('.*'))

def test_names_at_hand():
    "What completion and a star bring: every public name once."
    brought: dict = {}
    exec('from dd_lit import *', brought)
    public = set(dd_lit._NAMES)
    assert set(dd_lit.__all__) == public == set(brought) - {'__builtins__'}
    assert len(dir(dd_lit)) == len(set(dir(dd_lit)))
    assert {'distill', 'evaluate', 'load_data', 'DistilledSet'} <= set(dir(dd_lit))

def test_no_second_for_digits():
    "Who brings data of their own does not wait for the package that brings the digits."
    code = 'import sys, dd_lit.distill, dd_lit.compare, dd_lit.coreset.select; assert "sklearn" not in sys.modules'
    subprocess.run([sys.executable, '-c', code], check=True)

def test_many_pictures_wait_once(tmp_path, monkeypatch):
    "The disk is waited for at the end of an export of pictures, not for each of them."
    waited = []
    monkeypatch.setattr('os.fsync', waited.append)
    chosen().to_folder(tmp_path/'pictures')
    assert len(list((tmp_path/'pictures').rglob('*.png'))) == 4 and len(waited) == 1
    chosen().save(tmp_path/'set')
    assert len(waited) == 3

def named(order=(0, 1)) -> tuple[ImageData, DistilledSet]:
    "Data whose classes have names, and a set of it that lists them in this order."
    names, x = ['plain', 'striped'], DATA.normalize(DATA.train_x[:5])
    data = ImageData(DATA.train_x, DATA.train_y, DATA.test_x, DATA.test_y, classes=names)
    place = torch.tensor(order).argsort()
    return data, DistilledSet(x, place[DATA.train_y[:5]], data.norm, [names[i] for i in order])

JUDGES = dict(
    evaluate=lambda d, s: evaluate(s, d, **SHORT).top1, compare=lambda d, s: compare(s, d, **SHORT)[0].scores.top1,
    random_like=lambda d, s: random_like(s, d).meta['indices'],
    gdumb=lambda d, s: gdumb(s, d, 2, model='mlp', epochs=3), validate=lambda d, s: validate(s, d),
    inherit=lambda d, s: evaluate_inherit(s, d, nn.Flatten(), nn.Flatten(), mode='normal', repeats=1, epochs=5).top1)

@pytest.mark.parametrize('judge', JUDGES)
def test_classes_in_another_order(judge):
    "Who made a set may have listed its classes otherwise: they are found by their names."
    assert JUDGES[judge](*named()) == JUDGES[judge](*named((1, 0)))

@pytest.mark.parametrize('words, own', [
    ('soft: expected None with loss', dict(soft=torch.randn(4, 2))),
    ('soft_kind: expected None', dict(soft_kind='logits')),
    ('soft_kind: expected None', dict(soft_kind='logits', loss='kl')),
    ('soft_kind: expected None', dict(soft_kind='logits', loss='kl', soft=LiveLabels(
        chosen(), create_model('mlp', 2, 1, 8), epochs=1)))])
def test_labels_that_nobody_would_look_at(words, own):
    with pytest.raises(ValueError, match=f'^{words}'):
        evaluate(chosen(), DATA, **SHORT | own)

@pytest.mark.parametrize('words, own', [
    ('lr_imge: ', dict(lr_imge=1.)), ("model: .* 'nett'", dict(targets=('mlp', 'nett'))),
    ("model: .* 'nett'", dict(sources=('mlp', 'nett'))), ('wide: ', dict(targets=(('mlp', dict(wide=3)),))),
    ('epoch: evaluate_kw has no such setting', dict(evaluate_kw=dict(epoch=3))),
    ('lr: expected', dict(evaluate_kw=dict(lr=-1.)))])
def test_a_matrix_is_wrong_at_once(words, own, monkeypatch):
    "Not after the first of its networks has distilled for an hour."
    monkeypatch.setattr(sys.modules['dd_lit.study.cross_architecture'], 'run', lambda *a: pytest.fail('distilled'))
    with pytest.raises(ValueError, match=f'^{words}'):
        cross_architecture(DATA, **dict(sources=('mlp',), targets=('mlp',)) | own)

def test_epochs_of_teachers_that_are_not_trained(call, tmp_path):
    chosen().save(tmp_path/'set')
    for own in ([], ['--loss', 'kl', '--teacher', 'mlp:weights=there.pt,input_norm=data']):
        p = call('evaluate', 'set', '--teacher-epochs', '3', *own, check=2)
        assert 'error: teacher_epochs: expected a --teacher that is trained here' in p.stderr

@pytest.mark.parametrize('words, own', [
    ('distilled: its images are', {}),
    ("teacher: loss 'kl' needs soft labels", dict(loss='kl', data=load_data('digits')))])
def test_a_set_that_does_not_fit_is_said_first(words, own, monkeypatch):
    "Not after the methods beside it have distilled, nor after teachers were trained."
    monkeypatch.setattr('dd_lit.compare.distill', lambda *a, **kw: pytest.fail('distilled'))
    monkeypatch.setattr('dd_lit.compare.as_teachers', lambda given, *a: list(given) and pytest.fail('trained'))
    other = distill('random', 'digits')
    with pytest.raises(ValueError, match=f'^{words}'):
        compare(['random', other], **dict(data=DATA) | SHORT | own)
