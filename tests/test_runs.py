"""A run that takes long: what it says, what it leaves, how it goes on."""
import copy
import inspect
import io
import json
import os
import random
import re
import shutil
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import generators

import dd_lit.distill as loop
from dd_lit.core import UnderWay, _writer, rng, seal
from dd_lit.data import fingerprint, load_data
from dd_lit.distill import _first_look, distill, load_checkpoint, run, split_off
from dd_lit.method import Method, MethodSettings, OneStep, get_method, list_methods
from dd_lit.models import create_model, weights_digest
from dd_lit.sets import DistilledSet
from dd_lit.settings import with_defaults

SMALL = ['--set', 'width=8', 'batch_real=20']
LOG = {'DD_LIT_PROGRESS': ''}        # as if nobody had set it


class Walk(Method):
    "Noise is added in every step."
    name, settings, fixed_iters = 'walk', with_defaults(MethodSettings, iters=3), ''
    made: list[int] = []                 # steps, of all walks
    def setup(self):
        self.labels = torch.arange(self.data.num_classes)
        self.images = torch.randn(10, 1, 16, 16, generator=rng(self.seed, 'init'))
    def step(self):
        Walk.made.append(self.k)
        self.images = self.images + torch.randn(self.images.shape, generator=rng(self.seed, self.k))
        return self.images.mean().item()


@pytest.fixture
def walk():
    "Makes a walk; the list of steps begins anew."
    data = load_data('digits')
    Walk.made.clear()
    return lambda **kw: Walk(data, device='cpu', **kw)


@pytest.fixture
def heard(monkeypatch, capsys):
    "What is said from now on, as in a log."
    monkeypatch.setenv('DD_LIT_PROGRESS', '')
    return lambda: capsys.readouterr().err.splitlines()


def spoken(p):
    "Lines of a log, without what libraries warn their developers of, which pytest turns on."
    return [l for l in p.stderr.splitlines() if '__array__ implementation' not in l]


def test_a_log_hears_of_a_run(cli, call):
    "One line at the start where there is no terminal; nothing at all if it is not wanted."
    args = ['distill', 'dc', '--iters', 2, '--out', 'a', *SMALL]
    assert cli(*args, check=0, env=LOG).stderr.splitlines() == ['dc ipc 1: 2 steps']
    assert spoken(call(*args, '--fresh', check=0)) == []


def test_a_log_hears_at_once(cli):
    "What the command prints at its start is there while it works, not when it ends."
    gone = "from dd_lit.gradient.dc import DC\ndef step(self):\n    import os\n    os._exit(3)\nDC.step = step"
    p = cli('distill', 'dc', '--out', 'a', *SMALL, check=3, env=dict(PYTHONUNBUFFERED=''), prelude=f'exec({gone!r})')
    assert p.stdout.splitlines()[-1] == 'dc, 1 per class -> a'


@pytest.mark.parametrize('where', ['setup', 'step', 'result'])
def test_what_takes_long_is_named(where, walk, heard, monkeypatch, tmp_path):
    "Whatever it is, and before it ends."
    monkeypatch.setattr(UnderWay, 'first', .05)
    m, seen = walk(iters=1), []
    real = getattr(m, where)
    def slow():
        time.sleep(.5)
        seen.extend(heard())
        return real()
    monkeypatch.setattr(m, where, slow)
    run(m, tmp_path/'a')
    assert f"walk ipc 1: {where}{' 1 of 1'*(where == 'step')}, 0 s so far" in seen


def test_only_the_first_process_speaks(call, monkeypatch):
    for name, value in (LOG | dict(RANK='1')).items():
        monkeypatch.setenv(name, value)
    assert spoken(call('distill', 'dc', '--iters', 1, *SMALL, check=0)) == []


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
             mtt=dict(width=8, steps=2, span=1, starts=2, experts=1),
             datm=dict(width=8, steps=2, span=1, starts=2, experts=1, expert_epochs=2, opening=1, widen=3),
             sfm=dict(width=8, grow_every=2, pretrain=dict(epochs=1)),
             lgm=dict(width=8, grow_every=2, augs=2, pretrain=dict(epochs=1)),
             dsa=dict(width=8, batch_real=10), dm=dict(width=8, batch_real=10))


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


@pytest.mark.parametrize('name', ['dc', 'sfm'])
def test_fewer_iterations_than_it_was_started_with(name, tmp_path, counted, monkeypatch):
    "As the hint of a long run says: interrupted, it goes on to fewer, but not to fewer than it has done."
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))
    def made(iters, out=None):
        return distill(name, 'digits', 2, out and tmp_path/out, device='cpu', iters=iters, **QUICK[name])
    wholes, steps = {n: made(n) for n in (2, 3)}, counted(name)
    for n, whole in wholes.items():
        started = get_method(name)('digits', 2, device='cpu', iters=1000, **QUICK[name])
        with pytest.raises(KeyboardInterrupt, match='2 of 1000 iterations are kept'):
            run(started, tmp_path/str(n), on_step=stop_at(2))
        with pytest.raises(ValueError, match=r'config.iters is 1000 there and 1 here; 2 iterations of it are done\)'):
            made(1, str(n))
        steps.clear()
        fewer = made(n, str(n))
        assert steps == [*range(2, n)] and torch.equal(fewer.images, whole.images)
        assert fewer.meta['config']['iters'] == fewer.meta['iterations'] == n
        assert torch.equal(made(3, str(n)).images, wholes[3].images)                # and on to more


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
             cda=dict(backbones='resnet18', width=8, squeeze_epochs=1),
             dwa=dict(backbones='resnet18', width=8, squeeze_epochs=1),
             lpld=dict(backbones='resnet18', width=8, squeeze_epochs=1))


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
    if issubclass(get_method(name).settings, OneStep):
        assert 'iters: expected a whole number, at least 1 and at most 1' in line
    else:
        assert f'{name} cannot go on from 1 to 2' in line and '--fresh' in line
    assert (tmp_path/'a'/'data.safetensors').read_bytes() == before and not (tmp_path/'a'/'state.pt').exists()


def test_nor_is_it_shortened(walk, tmp_path, monkeypatch):
    monkeypatch.setattr(Walk, 'fixed_iters', 'its learning rate falls')
    with pytest.raises(KeyboardInterrupt):
        run(walk(iters=9), tmp_path, on_step=stop_at(2))
    with pytest.raises(ValueError, match='walk cannot go on from 9 to 5, its learning rate falls; choose another'):
        run(walk(iters=5), tmp_path)


@pytest.mark.parametrize('name', list_methods())
def test_done_but_not_written(name, tmp_path, counted, monkeypatch):
    "Interrupted when all steps are done: none is made again, whatever the result is made of."
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))
    quick = dict(dc_md=QUICK['dc'], dc_mda=QUICK['dc'], k_center=FIXED['herding'], forgetting=FIXED['herding'])
    cfg = (quick | QUICK | FIXED)[name]
    whole = distill(name, 'digits', 2, device='cpu', iters=1, **cfg)
    cut = get_method(name)('digits', 2, device='cpu', iters=1, **cfg)
    def stop():
        raise KeyboardInterrupt
    cut.result = stop
    with pytest.raises(KeyboardInterrupt, match='1 of 1 iterations are kept'):
        run(cut, tmp_path/'a')
    steps = counted(name)
    again = distill(name, 'digits', 2, tmp_path/'a', device='cpu', iters=1, **cfg)
    assert steps == [] and torch.equal(again.images, whole.images) and torch.equal(again.labels, whole.labels)
    assert (again.soft is None) == (whole.soft is None) and (whole.soft is None or torch.equal(again.soft, whole.soft))
    assert again.meta.get('indices') == whole.meta.get('indices')


class Killed(BaseException):
    "The process is gone: from here on no file is put in place and none is removed."


def kill_after(n, monkeypatch):
    "So many times a file is put in place or removed; then the process is gone."
    done = []
    def counted(real):
        def change(*args, **kw):
            if len(done) == n:
                raise Killed
            done.append(1)
            return real(*args, **kw)
        return change
    for owner, name in ((os, 'replace'), (Path, 'unlink')):
        monkeypatch.setattr(owner, name, counted(getattr(owner, name)))


@pytest.mark.parametrize('before', ['nothing', 'fewer', 'another'])
@pytest.mark.parametrize('fixed', ['', 'its learning rate falls'])
def test_nothing_is_lost_between_two_writes(fixed, before, walk, tmp_path, monkeypatch):
    """A kill before each of them, in an empty folder, where a run goes on, and where another one is replaced: no step
    that a checkpoint held is made again, and what is there in the end is that of a run that nobody killed."""
    if fixed and before == 'fewer':
        pytest.skip('it does not go on')
    start, how = tmp_path/'start', dict(checkpoint_seconds=0)
    start.mkdir()
    if before != 'nothing':
        run(walk(iters=2, seed=int(before == 'another')), start, **how)
        assert (start/'state.pt').exists()
    monkeypatch.setattr(Walk, 'fixed_iters', fixed)
    whole = run(walk(iters=4), tmp_path/'whole')
    for n in range(100):
        out = shutil.copytree(start, tmp_path/str(n))
        Walk.made.clear()
        try:
            with monkeypatch.context() as m:
                kill_after(n, m)
                run(walk(iters=4), out, resume=before != 'another', **how)
            break
        except Killed:
            pass
        done, there = len(Walk.made) + 2*(before == 'fewer'), (out/'data.safetensors').exists()
        kept = load_checkpoint(out/'checkpoint.pt')['state']['k'] if (out/'checkpoint.pt').exists() else 0
        if not kept and there:                     # the old set, or the new one, is as good as ever
            kept = DistilledSet.load(out).meta['iterations']
        assert kept >= done - 1 or before == 'another', n
        Walk.made.clear()
        again = run(walk(iters=4), out, resume=before != 'another' or kept == 4, **how)
        assert Walk.made in ([*range(kept, 4)], [*range(4)] if before == 'another' else []), n
        assert torch.equal(again.images, whole.images) and torch.equal(DistilledSet.load(out).images, whole.images)
        assert [r['iter'] for r in json.loads((out/'history.json').read_text())] == [1, 2, 3, 4]
        left = {p.name for p in out.iterdir()}
        assert left == {p.name for p in (tmp_path/'whole').iterdir()} == {
            'data.safetensors', 'meta.json', 'history.json', *([] if fixed else ['state.pt'])}, n
    assert n >= 10


def test_a_checkpoint_is_read_once_before_the_setup(walk, tmp_path, monkeypatch):
    "And if it is no good, nobody waits for the setup to hear of it."
    read = []
    monkeypatch.setattr(loop, 'load_checkpoint', lambda path: read.append(Path(path).name) or load_checkpoint(path))
    with pytest.raises(KeyboardInterrupt):
        run(walk(), tmp_path, on_step=stop_at(1))
    late = walk()
    def setup():
        assert read == ['checkpoint.pt']
        Walk.setup(late)
    late.setup = setup
    run(late, tmp_path)
    run(walk(iters=5), tmp_path)
    assert read == ['checkpoint.pt', 'state.pt']
    with pytest.raises(KeyboardInterrupt):
        run(walk(iters=6, seed=1), tmp_path, resume=False, on_step=stop_at(1))
    def unready(**kw):
        m = walk(**kw)
        m.setup = never                                      # of this object: an edited class is another run's
        return m
    def never():
        raise AssertionError('the setup has begun')
    with pytest.raises(ValueError, match='seed is 1 there and 0 here'):
        run(unready(iters=6), tmp_path)
    c = load_checkpoint(tmp_path/'checkpoint.pt')
    c['state']['history'] = None
    b = io.BytesIO()
    torch.save(c, b)
    for damaged in (seal(b.getvalue()), b'bits'):
        (tmp_path/'checkpoint.pt').write_bytes(damaged)
        with pytest.raises(ValueError, match='checkpoint.pt'):
            run(unready(iters=6, seed=1), tmp_path)


READS = re.compile(r'\.iters\b|[\'"]iters[\'"]')         # whatever the settings are called there


def test_every_method_says_whether_it_can_go_on():
    "A reason where a step reads how many iterations there are, and only there."
    assert all(map(READS.search, ('self.cfg.iters', 'c.iters - 1', "getattr(c, 'iters')")))
    assert not any(map(READS.search, ('self.iterations', 'c.itersize', 'iters: int')))
    for name in list_methods():
        cls = get_method(name)
        reads = any(READS.search(inspect.getsource(c)) for c in cls.__mro__ if c is not Method and c is not object)
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


@pytest.mark.parametrize('where, words', [
    ('setup', '2 of 3 iterations are kept'), ('state_dict', '2 of 3'), ('result', '3 of 3'), ('finish', '3 of 3'),
    ('read', 'stays as it was')])
def test_it_is_told_wherever_it_happens(where, words, walk, tmp_path, monkeypatch):
    "In the setup of a run that goes on, while a state is copied, when the set is made or written; and it is true."
    with pytest.raises(KeyboardInterrupt):
        run(walk(), tmp_path, on_step=stop_at(2))
    m, once = walk(), []
    place, name = dict(finish=(DistilledSet, 'save'), read=(loop, 'load_checkpoint')).get(where, (m, where))
    real = getattr(place, name)
    def stop(*args):
        if not once:
            once.append(1)
            raise KeyboardInterrupt
        return real(*args)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match=words):
        patch.setattr(place, name, stop)
        run(m, tmp_path)
    kept = load_checkpoint(tmp_path/'checkpoint.pt')['state']['k']
    assert kept == (3 if '3 of 3' in words else 2)
    Walk.made.clear()
    run(walk(), tmp_path)
    assert Walk.made == [*range(kept, 3)]


def test_no_record_of_steps_that_nobody_kept(walk, tmp_path):
    "Neither of an interrupted run, nor of an earlier one, killed before its first checkpoint."
    def stop(method):
        raise KeyboardInterrupt
    lines = tmp_path/'history.jsonl'
    with pytest.raises(KeyboardInterrupt, match='nothing is kept'):
        run(walk(), tmp_path, watch=stop)
    assert not lines.exists()
    run(walk(), tmp_path)
    for resume in (True, False):
        lines.write_text('{}\n')
        m = walk()
        def setup(m=m):
            assert not lines.exists()
            Walk.setup(m)
        m.setup = setup
        run(m, tmp_path, resume)
        assert not lines.exists()


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='a disk that is always full')
def test_a_full_disk_is_named_by_the_record_too(walk, tmp_path, monkeypatch):
    monkeypatch.setattr(loop._Folder, 'open_record', lambda self: setattr(self, 'lines', open('/dev/full', 'a')))
    with pytest.raises(OSError, match=r"No space left on device: .*history\.jsonl'"):
        run(walk(), tmp_path)


@pytest.mark.parametrize('who', ['callback', 'validation'])
def test_an_interrupted_watcher_sees_the_step_again(who, tmp_path, monkeypatch):
    "A step is done when who watches has seen it: the record is that of a run that nobody interrupted."
    seen = dict(callback=[], validation=[])
    def see(what, step):
        seen[what].append(step)
        if what == who and seen[what] == [1, 2, 3]:
            raise KeyboardInterrupt
    def validate(ds, *args):
        see('validation', ds.meta['iterations'])
        return 100*ds.images.mean().abs().item()
    monkeypatch.setattr(loop, 'validate', validate)
    def made(out):
        kw = dict(iters=4, width=8, batch_real=10, device='cpu', validate_every=1)
        return distill('dc', 'digits', 1, tmp_path/out, callback=lambda told: see('callback', told.step), **kw)
    with pytest.raises(KeyboardInterrupt, match='2 of 4'):
        made('a')
    again = made('a')
    assert seen[who] == [1, 2, 3, 3, 4]
    assert torch.equal(again.images, made('b').images)
    a, b = (json.loads((tmp_path/o/'history.json').read_text()) for o in 'ab')
    assert [(r['iter'], r['loss'], r['validated']) for r in a] == [(r['iter'], r['loss'], r['validated']) for r in b]


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


@pytest.mark.parametrize('name', ['dc', 'dm', 'mtt', 'datm', 'sfm', 'sre2l'])
def test_watchers_change_nothing(name, tmp_path, monkeypatch):
    "A callback that spoils all it can reach, the given network included; a validation; the same bits, no state moved."
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))
    data = load_data('digits')
    net = create_model('resnet18', 10, 1, 16, seed=1, width=8).eval()
    few = dict(width=8, batch_real=10)
    own = dict(dc=few, dm=few, mtt=QUICK['mtt'], datm=QUICK['datm'], sfm=dict(backbone=net),
               sre2l=dict(teachers=dict(mine=net), init='real'))[name]
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


def test_one_share_is_one_run(tmp_path):
    "Whoever's number it is: the folder is the same run's."
    def made(share):
        return distill('random', 'digits', 1, tmp_path, device='cpu', hold_out=share)
    first = made(.2)
    for same in (np.float32(.2), np.float64(.2), '0.2', '.2'):
        assert torch.equal(made(same).images, first.images)
    assert type(first.meta['held_out']) is float
    for none in (0, 0., '0', np.float32(0)):
        assert 'held_out' not in distill('random', 'digits', 1, device='cpu', hold_out=none).meta
    for bad in (1, True, 'x', -.1, np.nan):
        with pytest.raises(ValueError, match='hold_out: expected more than 0 and less than 1'):
            made(bad)


def test_a_start_that_has_seen_what_is_held_out(call, tmp_path, heard):
    "Refused, whatever it is; not a set that was made with the same share kept apart, or of other data."
    def made(init, seed=0, **kw):
        return distill('dc', 'digits', 1, device='cpu', iters=1, init=init, seed=seed, **STARTED['dc'], **kw)
    def start(out=None, **kw):
        return distill('random', 'digits', 1, out, device='cpu', **kw)
    alike = start(hold_out=.2)
    made(alike, hold_out=np.float32(.2))
    for other, words in ((start(), 'hold_out None (seed 0)'), (start(hold_out=.1), 'hold_out 0.1 (seed 0)'),
                         (start(hold_out=.2, seed=1), 'hold_out 0.2 (seed 1)')):
        with pytest.raises(ValueError, match='hold_out: 0.2 of digits .seed 0. is kept from the method, but its init'):
            made(other, hold_out=.2)
        try:
            made(other, hold_out=.2)
        except ValueError as e:
            assert words in str(e)
        made(other)
    start(tmp_path/'start')
    p = call('distill', 'dc', '--validate-every', 1, '--out', 'a', '--set', 'init=start', 'width=8', check=2)
    line, = p.stderr.splitlines()
    assert 'hold_out: 0.1 of digits' in line and 'its init is a set of digits' in line
    elsewhere, unknown = copy.deepcopy(alike), copy.deepcopy(alike)
    elsewhere.meta['data_fingerprint'] = 'of other data'
    unknown.meta.clear()
    heard()
    made(elsewhere, hold_out=.1)
    assert 'init' not in ' '.join(heard())
    made(unknown, hold_out=.1)
    assert 'init: nobody knows whether this set has seen' in ' '.join(heard())


def test_how_data_is_kept_asks_no_other_question(call, tmp_path):
    "The score is the same, and so is its file; also by another way to the folder."
    call('distill', 'random', '--out', 'a', check=0)
    quick = ['--repeats', 1, '--set', 'epochs=1', 'width=8']
    for how in (['a'], ['a', '--keep', 'memory'], ['./a'], [tmp_path/'a', '--download']):
        call('evaluate', *how, *quick, check=0)
    assert len([*(tmp_path/'a').glob('scores_*.json')]) == 1
    for other in (['--hard'], ['--loss', 'kl', '--teacher', 'mlp', '--teacher-epochs', 1], ['--seed', 1]):
        call('evaluate', 'a', *other, *quick, check=0)
    assert len([*(tmp_path/'a').glob('scores_*.json')]) == 4


def test_validation_from_the_command_line(call, tmp_path):
    "It is printed, and stands in the record and in the set; the score is one on all the data's test images."
    args = ['distill', 'dc', '--iters', 2, '--out', 'a', *SMALL]
    p = call(*args, '--validate-every', 1, check=0)
    assert p.stderr.count('held-out images') == 2
    record = json.loads((tmp_path/'a'/'history.json').read_text())
    assert all(0 <= r['validated'] <= 100 for r in record)
    assert DistilledSet.load(tmp_path/'a').meta['held_out'] == .1
    p = call(*args, check=2)
    assert 'held_out is 0.1 there and None here (--hold-out, --validate-every)' in p.stderr
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


class Writer:
    "What is asked of TensorBoard."
    all: list = []
    def __init__(self, folder, purge_step, flush_secs):
        self.folder, self.purge_step, self.seen, self.open = folder, purge_step, [], True
        Writer.all.append(self)
    def add_scalar(self, name, value, step):
        assert self.open
        self.seen.append((name, value, step))
    def close(self):
        self.open = False


def test_tensorboard_is_told_every_number(tmp_path, monkeypatch):
    "Without the package: what the record says, step by step; where a run goes on, later points are replaced."
    fake = types.ModuleType('torch.utils.tensorboard')
    fake.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', fake)
    monkeypatch.setattr(Writer, 'all', [])
    def made(iters):
        kw = dict(width=8, batch_real=10, device='cpu', iters=iters)
        return distill('dc', 'digits', 1, tmp_path/'a', tensorboard=tmp_path/'board', **kw)
    made(2)
    made(3)
    one, two = Writer.all
    assert [(w.folder, w.purge_step, w.open) for w in (one, two)] == [(str(tmp_path/'board'), k, False) for k in (1, 3)]
    record = json.loads((tmp_path/'a'/'history.json').read_text())
    assert one.seen + two.seen == [(n, v, r['iter']) for r in record for n, v in r.items() if n != 'iter']
    assert {n for n, *_ in two.seen} >= {'loss', 'seconds'}


def test_an_interrupted_run_closes_its_board(tmp_path, monkeypatch):
    "Also where a step goes wrong: what was told is written."
    fake = types.ModuleType('torch.utils.tensorboard')
    fake.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', fake)
    monkeypatch.setattr(Writer, 'all', [])
    for k, wrong in enumerate((KeyboardInterrupt, ValueError)):
        def stop(seen, wrong=wrong):
            if seen.step == 2:
                raise wrong
        with pytest.raises(wrong):
            distill('dc', 'digits', 1, width=8, batch_real=10, device='cpu', iters=4, tensorboard=tmp_path,
                    callback=stop)
        assert len(Writer.all) == k + 1 and not Writer.all[k].open
        assert [s for n, _, s in Writer.all[k].seen if n == 'loss'] == [1, 2]


STARTED = dict(dc=dict(width=8, batch_real=10), dm=dict(width=8, batch_real=10), mtt=QUICK['mtt'], datm=QUICK['datm'],
               sre2l=dict(backbones='resnet18', width=8, squeeze_epochs=1),
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
    for init, words in (('start', 'init: expected a set of 1 image per class'),
                        ('small', 'init: distilled: its images'),
                        ('nowhere', 'init: expected one of real, noise'), ('.', 'not a distilled set')):
        p = call('distill', 'dc', '--iters', 1, '--set', f'init={init}', 'width=8', check=2)
        assert len(p.stderr.splitlines()) == 1 and words in p.stderr, p.stderr
    call('distill', 'dc', '--iters', 1, '--ipc', 2, '--set', 'init=start', 'width=8', 'batch_real=10', check=0)


@pytest.mark.parametrize('name, words', [('dc', 'and can go on from there'),
                                         ('sre2l', 'in another folder (--out) or with --fresh')])
def test_a_long_run_says_what_would_be_quick(name, words):
    "After five seconds, if it will take more than ten minutes."
    m = get_method(name)('digits', 1, device='cpu', iters=1000)
    m.k = 2
    assert _first_look(m, 4.) is None and '--iters 40 takes 2 min' in _first_look(m, 6.)
    assert words in _first_look(m, 6.) and 'take about 50 min' in _first_look(m, 6.)
    m.k = 100
    assert _first_look(m, 6.) is None                     # a minute in all
    m.k = 3
    assert '--iters 3 takes 6 min' in _first_look(m, 360.)             # not fewer than are done
    m.k = 1000
    assert _first_look(m, 6000.) is None                 # nothing is left
    one = get_method('herding')('digits', 1, device='cpu')
    one.k = 1
    assert _first_look(one, 3000.) is None


def test_it_says_so_once(walk, heard, tmp_path, monkeypatch):
    "Not after every step, and not to somebody who goes on."
    monkeypatch.setattr(loop, '_first_look', lambda m, took: 'a hint')
    run(walk(), tmp_path)
    assert heard().count('a hint') == 1
    run(walk(iters=5), tmp_path)
    assert heard().count('a hint') == 0


@pytest.mark.parametrize('every', [0, -1, True, 1.5])
def test_how_often_to_validate(every):
    with pytest.raises(ValueError, match='validate_every: expected a whole number, at least 1'):
        distill('random', 'digits', 1, device='cpu', validate_every=every)


def test_a_checkpoint_whose_writing_is_interrupted_is_written_again(tmp_path, monkeypatch):
    "A step fails, and while the last steps are kept somebody asks the program to end."
    came, write = [], loop._save_state
    def interrupted(*args):
        came.append(args)
        if len(came) == 1:
            raise KeyboardInterrupt
        write(*args)
    monkeypatch.setattr(loop, '_save_state', interrupted)
    def end(method):
        if method.k == 2:
            raise ValueError('the end')
    method = get_method('dm')(load_data('digits'), 1, iters=5, width=8, batch_real=8, device='cpu')
    with pytest.raises(KeyboardInterrupt):
        run(method, tmp_path, on_step=end)
    assert len(came) == 2 and load_checkpoint(tmp_path/'checkpoint.pt')['state']['k'] == 2
