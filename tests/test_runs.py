"""A run that takes long: what it says, what it leaves, how it goes on."""
import copy
import inspect
import io
import json
import os
import random
import shutil

import numpy as np
import pytest
import torch
from helpers import generators

from dd_lit.core import _writer
from dd_lit.data import fingerprint, load_data
from dd_lit.distill import _first_look, distill, load_checkpoint, run, seal, split_off
from dd_lit.method import Method, get_method, list_methods
from dd_lit.models import create_model, weights_digest
from dd_lit.sets import DistilledSet

SMALL = ['--set', 'width=8', 'batch_real=20']
LOG = {'DD_LIT_PROGRESS': ''}        # as if nobody had set it


def test_a_log_hears_of_a_run(cli):
    "One line at the start where there is no terminal; nothing at all if it is not wanted."
    args = ['distill', 'dc', '--iters', 2, '--out', 'a', *SMALL]
    assert cli(*args, check=0, env=LOG).stderr.splitlines() == ['dc ipc 1: 2 steps']
    assert cli(*args, '--fresh', check=0).stderr == ''


def test_only_the_first_process_speaks(cli):
    assert cli('distill', 'dc', '--iters', 1, *SMALL, check=0, env=LOG | dict(RANK='1')).stderr == ''


def test_leftovers_go_at_the_next_start(call, tmp_path):
    "A killed process's temporary file, not one that somebody may still be writing."
    (tmp_path/'a').mkdir()
    pid, machine = _writer().split('-')
    gone = next(n for n in range(2**22 - 1, 1, -1) if not os.path.exists(f'/proc/{n}'))
    left, busy = (tmp_path/'a'/f'.data.safetensors.tmp-{p}-{machine}-abcd1234' for p in (gone, pid))
    for f in (left, busy):
        f.touch()
    call('distill', 'dc', '--iters', 1, '--out', 'a', *SMALL, check=0)
    assert busy.exists() and not left.exists()


QUICK = dict(dc=dict(width=8, batch_real=10, augment='color_crop_flip'), dc_mdo=dict(width=8, batch_real=10),
             dc_m=dict(width=8, batch_real=10, mode='interleaved', schedule='adaptive'),
             sfm=dict(width=8, grow_every=2, pretrain=dict(epochs=1)),
             lgm=dict(width=8, grow_every=2, augs=2, pretrain=dict(epochs=1)))


@pytest.mark.parametrize('name', QUICK)
def test_more_iterations_are_those_of_a_longer_run(name, tmp_path, counted, monkeypatch):
    "Twice longer, once after an interruption: the same bits as at once, and no step is made again."
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))
    def made(iters, out=None):
        return distill(name, 'digits', 2, out and tmp_path/out, device='cpu', iters=iters, **QUICK[name])
    made(2, 'a')
    steps = counted(name)
    assert made(4, 'a').meta['iterations'] == 4 and steps == [2, 3]
    shutil.copytree(tmp_path/'a', tmp_path/'b')
    with pytest.raises(KeyboardInterrupt):                # goes on, is interrupted, and goes on further
        longer = get_method(name)('digits', 2, device='cpu', iters=6, **QUICK[name])
        run(longer, tmp_path/'b', checkpoint_seconds=0, on_step=stop_at(5))
    with pytest.raises(ValueError, match='config.iters is 6 there and 4 here'):
        made(4, 'b')
    assert steps == [2, 3, 4]
    more, whole = made(7, 'b'), made(7)
    assert steps == [2, 3, 4, 5, 6, *range(7)]
    assert torch.equal(more.images, whole.images) and torch.equal(DistilledSet.load(tmp_path/'b').images, whole.images)
    timed = 'seconds', 'peak_bytes', 'made_with', 'digest'
    assert all(more.meta[k] == v for k, v in whole.meta.items() if k not in timed)
    lines = json.loads((tmp_path/'b'/'history.json').read_text())
    assert [r['iter'] for r in lines] == [*range(1, 8)]
    files = sorted(p.name for p in (tmp_path/'b').iterdir())
    assert files == ['data.safetensors', 'history.json', 'meta.json', 'state.pt']


def stop_at(k):
    "An interruption after so many steps."
    def stop(method):
        if method.k == k:
            raise KeyboardInterrupt
    return stop


FIXED = dict(sre2l=dict(backbones='resnet18', width=8, squeeze_epochs=1), random={}, herding=dict(width=8, epochs=1),
             ogm=dict(backbones='resnet18', width=8, squeeze_epochs=1), rded=dict(backbone='convnet3', width=8,
                                                                                       squeeze_epochs=1),
             gvbsm=dict(backbones='resnet18', width=8, squeeze_epochs=1),
             cda=dict(backbones='resnet18', width=8, squeeze_epochs=1))


@pytest.mark.parametrize('name', FIXED)
def test_a_schedule_that_looks_at_the_end_is_not_lengthened(name, call, tmp_path, monkeypatch):
    "The reason, and what to do; the set stays as it is."
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))
    args = ['--out', 'a', '--set', *(f'{k}={v}' for k, v in FIXED[name].items())]
    if name == 'random':
        args = args[:-1]
    call('distill', name, '--iters', 1, *args, check=0)
    before = (tmp_path/'a'/'data.safetensors').read_bytes()
    p = call('distill', name, '--iters', 2, *args, check=2)
    line, = p.stderr.splitlines()
    assert f'{name} cannot go on from 1 to 2' in line and '--fresh' in line
    assert (tmp_path/'a'/'data.safetensors').read_bytes() == before and not (tmp_path/'a'/'state.pt').exists()


def test_every_method_says_whether_it_can_go_on():
    "A reason where a step reads how many iterations there are, and only there."
    for name in list_methods():
        cls = get_method(name)
        reads = any('cfg.iters' in inspect.getsource(c) for c in cls.__mro__ if c is not Method and c is not object)
        assert 'fixed_iters' in {k for c in cls.__mro__ if c is not Method for k in vars(c)}, name
        assert not reads or cls.fixed_iters, name


def test_a_damaged_state_is_refused(call, tmp_path):
    "Whichever byte is turned: an error, and the set stays."
    call('distill', 'dc', '--iters', 1, '--out', 'a', *SMALL, check=0)
    path = tmp_path/'a'/'state.pt'
    whole = path.read_bytes()
    for at in range(0, len(whole), len(whole)//12):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
        p = call('distill', 'dc', '--iters', 2, '--out', 'a', *SMALL, check=2)
        assert 'state.pt' in p.stderr and len(p.stderr.splitlines()) == 1
    path.write_bytes(whole)
    call('distill', 'dc', '--iters', 2, '--out', 'a', *SMALL, check=0)


@pytest.mark.parametrize('at, words', [(0, 'before its first iteration was done; nothing is kept'),
                                       (1, "1 of 3 iterations are kept in 'a', the same command goes on from there")])
def test_an_interruption_says_what_is_kept(at, words, call, tmp_path, monkeypatch):
    "In the first step, and in a later one."
    cls = get_method('dc')
    step = cls.step
    def interrupted(self):
        if self.k == at:
            raise KeyboardInterrupt
        return step(self)
    monkeypatch.setattr(cls, 'step', interrupted)
    p = call('distill', 'dc', '--iters', 3, '--out', 'a', *SMALL, check=130)
    assert words in p.stderr and (tmp_path/'a'/'checkpoint.pt').exists() == bool(at)


def test_the_record_follows_the_state(tmp_path):
    "Lines come one by one; those of steps that are rolled back go."
    def method():
        return get_method('dc')('digits', 1, device='cpu', iters=4, width=8, batch_real=10)
    seen = []
    def look(m):
        seen.append([json.loads(l)['iter'] for l in (tmp_path/'history.jsonl').read_text().splitlines()])
        if m.k == 3:
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        run(method(), tmp_path, checkpoint_seconds=0, on_step=look)
    assert seen == [[1], [1, 2], [1, 2, 3]]
    c = load_checkpoint(tmp_path/'checkpoint.pt')                  # as if it had been written a step earlier
    c['state']['k'], c['state']['history'] = 2, c['state']['history'][:2]
    b = io.BytesIO()
    torch.save(c, b)
    (tmp_path/'checkpoint.pt').write_bytes(seal(b.getvalue()))
    seen.clear()
    run(method(), tmp_path, on_step=lambda m: seen.append((tmp_path/'history.jsonl').read_text().count('\n')))
    assert seen == [3, 4] and not (tmp_path/'history.jsonl').exists()
    assert [r['iter'] for r in json.loads((tmp_path/'history.json').read_text())] == [1, 2, 3, 4]


@pytest.mark.parametrize('name', ['dc', 'sfm', 'sre2l'])
def test_watchers_change_nothing(name, tmp_path, monkeypatch):
    "A callback that spoils all it can reach, the given network included; a validation; the same bits, no state moved."
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))
    data = load_data('digits')
    net = create_model('resnet18', 10, 1, 16, seed=1, width=8).eval()
    own = dict(dc=dict(width=8, batch_real=10), sfm=dict(backbone=net), sre2l=dict(backbones='resnet18', teachers=dict(
        mine=net), init='real'))[name]
    def made(**kw):
        return distill(name, data, 1, device='cpu', iters=4, hold_out=.2, **own, **kw)
    def spoil(seen):
        seen.take().images.zero_()
        seen.record.clear()
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        with torch.no_grad():
            for p in net.parameters():
                p.zero_()
    plain, weights = made(), weights_digest(net)
    before = generators()
    validated = made(validate_every=3)
    assert torch.equal(plain.images, validated.images) and weights_digest(net) == weights
    assert torch.equal(plain.images, made(callback=spoil).images)
    assert generators() == before and torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()


def test_held_out_images_are_not_seen():
    "Neither by the method's choice, nor by the network it trains: what is held out may be anything."
    data = load_data('digits')
    rest, held = split_off(data, .2, seed=3)
    other = copy.copy(data)
    other.train_x = data.train_x.clone()
    at = (data.train_x[:, None] == held.test_x[None]).flatten(2).all(2).any(1)
    other.train_x[at] = 255 - other.train_x[at]
    kw = dict(ipc=2, seed=3, device='cpu', hold_out=.2, iters=1, width=8)
    assert torch.equal(*(distill('dc', d, **kw).images for d in (data, other)))
    assert distill('dc', data, **kw).meta['data_fingerprint'] == fingerprint(data) != fingerprint(rest)


def test_validation_from_the_command_line(call, tmp_path):
    "It is printed, and stands in the record and in the set; the score is one on all the data's test images."
    args = ['distill', 'dc', '--iters', 2, '--out', 'a', *SMALL]
    p = call(*args, '--validate-every', 1, check=0)
    assert p.stderr.count('held-out images') == 2
    record = json.loads((tmp_path/'a'/'history.json').read_text())
    assert all(0 <= r['validated'] <= 100 for r in record)
    assert DistilledSet.load(tmp_path/'a').meta['held_out'] == .1
    p = call(*args, check=2)
    assert 'held_out is 0.1 there and None here' in p.stderr
    call('evaluate', 'a', '--repeats', 1, '--set', 'epochs=2', 'width=8', check=0)      # the data is found and is right


def test_tensorboard(call, tmp_path):
    "What the record says, step by step; one line where the package is missing."
    args = ['distill', 'dc', '--iters', 2, '--out', 'a', '--tensorboard', 'board', *SMALL]
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        p = call(*args, check=2)
        assert p.stderr.splitlines() == ['dd_lit distill: error: tensorboard: it is not installed here; '
                                         'pip install tensorboard']
        return
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    call(*args, check=0)
    call('distill', 'dc', '--iters', 3, '--out', 'a', '--tensorboard', 'board', *SMALL, check=0)
    seen = EventAccumulator(str(tmp_path/'board'))
    seen.Reload()
    record = json.loads((tmp_path/'a'/'history.json').read_text())
    assert [(e.step, e.value) for e in seen.Scalars('loss')] == [(r['iter'], pytest.approx(r['loss'])) for r in record]


STARTED = dict(dc=dict(width=8, batch_real=10), sre2l=dict(backbones='resnet18', width=8, squeeze_epochs=1),
               ogm=dict(backbones='resnet18', width=8, squeeze_epochs=1))


@pytest.mark.parametrize('name', STARTED)
def test_a_set_to_start_from(name, tmp_path, monkeypatch):
    "As an object or by its folder: one run; another set in the same folder is another, and is refused."
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))
    folder = str(tmp_path/'start')
    start = distill('random', 'digits', 2, folder, device='cpu')
    def made(init, out=None, **kw):
        return distill(name, 'digits', 2, out and tmp_path/out, device='cpu', iters=1, init=init, **STARTED[name], **kw)
    one = made(folder, 'a')
    begun = get_method(name)('digits', 2, device='cpu', init=folder, **STARTED[name])
    begun.setup()
    assert torch.allclose(begun.images.detach().cpu(), start.images, atol=1e-6)
    assert torch.equal(made(start).images, one.images) and torch.equal(made(start, 'a').images, one.images)
    assert 'DistilledSet' in one.meta['config']['init'] and not torch.equal(one.images, made('noise').images)
    distill('random', 'digits', 2, folder, resume=False, seed=1, device='cpu')
    with pytest.raises(ValueError, match=r"holds another distilled set \(config.init is 'DistilledSet"):
        made(folder, 'a')


def test_a_wrong_start_is_one_line(call, tmp_path):
    call('distill', 'random', '--ipc', 2, '--out', 'start', check=0)
    call('distill', 'random', '--size', 8, '--out', 'small', check=0)
    for init, words in (('start', 'init: expected a set of 1 images per class'),
                        ('small', 'init: distilled: its images'),
                        ('nowhere', 'init: expected one of real, noise'), ('.', 'not a distilled set')):
        p = call('distill', 'dc', '--iters', 1, '--set', f'init={init}', 'width=8', check=2)
        assert len(p.stderr.splitlines()) == 1 and words in p.stderr, p.stderr
    call('distill', 'dc', '--iters', 1, '--ipc', 2, '--set', 'init=start', 'width=8', 'batch_real=10', check=0)


@pytest.mark.parametrize('name, words', [('dc', 'and can go on from there'),
                                         ('sre2l', 'but other images')])
def test_a_long_run_says_what_would_be_quick(name, words):
    "After five seconds, if it will take more than ten minutes."
    m = get_method(name)('digits', 1, device='cpu', iters=1000)
    m.k = 2
    assert _first_look(m, 4.) is None and '--iters 40 takes 2 min' in _first_look(m, 6.)
    assert words in _first_look(m, 6.) and 'take about 50 min' in _first_look(m, 6.)
    m.k = 100
    assert _first_look(m, 6.) is None                     # a minute in all


@pytest.mark.parametrize('every', [0, -1, True, 1.5])
def test_how_often_to_validate(every):
    with pytest.raises(ValueError, match='validate_every: expected a whole number, at least 1'):
        distill('random', 'digits', 1, device='cpu', validate_every=every)
