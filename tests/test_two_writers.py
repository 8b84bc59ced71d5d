"""Two processes that write to one place at once: what takes long is refused to the second, what takes a moment waits.

Whoever holds a folder in these tests is this process: a lock is a lock's, not a process's.
"""
import ast
import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from conftest import ROOT

from dd_lit import core
from dd_lit.compare import compare
from dd_lit.core import in_turn, sole_writer
from dd_lit.data import load_data
from dd_lit.distill import check_writable, distill
from dd_lit.labels.soft import LiveLabels, relabel
from dd_lit.method import get_method
from dd_lit.models import create_model
from dd_lit.report import report
from dd_lit.reproduce import Recipe, _folder, reproduce
from dd_lit.sets import DistilledSet, read_sets
from dd_lit.statistics.lpld import PrunedLabels, prune_labels

DIGITS = load_data('digits')
ROW = Recipe('digits/random/ipc1', paper='none', table='none', row='none', data='digits', method='random', ipc=1,
             settings={}, evaluate=dict(model='mlp', epochs=1), sets=1, networks=1, published=None, deviation=None)
VIEWS = dict(epochs=1, batch_size=10)


def a_set(value=0., **meta) -> DistilledSet:
    return DistilledSet(torch.full((10, 1, 16, 16), value), torch.arange(10), DIGITS.norm, meta=meta)


def teacher():
    return create_model('mlp', 10, 1, 16, seed=0).eval()


def labelled(path):
    return prune_labels(a_set(), LiveLabels(a_set(), teacher(), **VIEWS), 0., path=path)


# what takes long -> (its argument, what calls it with a folder)
LONG = {
    'distill': ('out', lambda p: distill('random', DIGITS, out=p)),
    'relabel': ('path', lambda p: relabel(a_set(), teacher(), path=p, **VIEWS)),
    'prune_labels': ('path', labelled),
    'compare': ('out', lambda p: compare('random', DIGITS, out=p.parent, repeats=1, epochs=1, model='mlp')),
    'reproduce': ('out', lambda p: reproduce(ROW, out=p.parent)),
}


def place(door, root):
    "The folder that this door writes to."
    names = dict(compare='random', reproduce=_folder(ROW, DIGITS, {}, root).name)
    return root/names.get(door, 'folder')


@pytest.mark.parametrize('door', LONG)
def test_what_takes_long_is_refused(door, tmp_path):
    "By the name of the argument, and of the folder; nothing is written. Afterwards it is free."
    argument, call = LONG[door]
    folder = place(door, tmp_path)
    with sole_writer(folder):
        before = sorted(tmp_path.rglob('*'))
        with pytest.raises(ValueError) as e:
            call(folder)
        assert sorted(tmp_path.rglob('*')) == before
    assert str(e.value) == (f'{argument}: another run (process {os.getpid()}) is writing to {str(folder)!r}; '
                            'choose another folder, or wait for it')
    call(folder)
    assert not list(tmp_path.rglob('.writing*'))


@pytest.mark.parametrize('command', [
    ['distill', 'random', '--out'], ['compare', 'random', '--repeats', '1', '--out'], ['demo', '--out'],
    ['import', 'theirs.pt', 'digits', '--out']])
def test_commands_are_refused_in_a_line(command, call, tmp_path):
    a_set(.5).export(tmp_path/'theirs.pt')
    with sole_writer(tmp_path/'there'):
        p = call(*command, tmp_path/'there', check=2)
    assert p.stderr.count('\n') == 1 and f"is writing to {str(tmp_path/'there')!r}; choose another" in p.stderr
    assert list((tmp_path/'there').iterdir()) == []


def test_a_mark_of_a_run_of_days_still_counts(tmp_path):
    "What killed processes left half-written goes after a day; whoever is still there is not among them."
    with sole_writer(tmp_path):
        mark, = tmp_path.iterdir()
        os.utime(mark, (0, 0))
        check_writable(tmp_path)
        with pytest.raises(ValueError, match='out: another run'):
            distill('random', DIGITS, out=tmp_path)


def test_the_same_run_is_refused_too(tmp_path):
    "It would compute all of it a second time, and the last one would win."
    heard = []
    def again(seen):
        with pytest.raises(ValueError, match=f'^out: another run .process {os.getpid()}. is writing to'):
            distill('random', DIGITS, out=tmp_path)
        heard.append(seen.step)
    distill('random', DIGITS, out=tmp_path, callback=again)
    assert heard == [1]


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    "There the mark counts: of this machine as long as its process lives, of another one for a day."
    def flock(*args):
        raise OSError(errno.ENOLCK, 'No locks available')
    monkeypatch.setattr(core._fcntl, 'flock', flock)
    with sole_writer(tmp_path), pytest.raises(ValueError, match=f'process {os.getpid()}. is writing'):
        distill('random', DIGITS, out=tmp_path)
    gone = subprocess.Popen([sys.executable, '-c', ''])
    gone.wait()
    machine = core._writer().partition('-')[2]
    (tmp_path/f'.writing-{gone.pid}-{machine}-0').touch()
    with sole_writer(tmp_path):
        pass
    other = tmp_path/f'.writing-{gone.pid}-{"0"*len(machine)}-0'
    other.touch()
    with pytest.raises(ValueError, match=f'process {gone.pid} of another machine. is writing'):
        distill('random', DIGITS, out=tmp_path)
    os.utime(other, (0, 0))
    with sole_writer(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('own', ["", "an end is an end"])
def test_the_same_run_twice_at_once(own, tmp_path, monkeypatch):
    """Where nobody is refused (Windows) the other one was faster: it has written all that there is to write, and the
    checkpoint has gone."""
    cls = get_method('random')
    result = cls.result
    def late(self):
        (tmp_path/'checkpoint.pt').rename(tmp_path/'state.pt')
        return result(self)
    monkeypatch.setattr(cls, 'result', late)
    monkeypatch.setattr(cls, 'fixed_iters', own)
    made = distill('random', DIGITS, out=tmp_path)
    assert torch.equal(DistilledSet.load(tmp_path).images, made.images)


# what takes a moment: what writes to a folder, and the folder it needs for itself
def shown(p):
    rows = compare(a_set(), DIGITS, repeats=1, epochs=1, model='mlp')
    return partial(report, rows, p, 'rows')


SHORT = {
    'save_set': lambda p: partial(a_set().save, p),
    'set_to_folder': lambda p: partial(a_set().to_folder, p),
    'export_set': lambda p: partial(a_set().export, p/'set.npz'),
    'PrunedLabels': lambda p: partial(labelled(None).save, p),
    'report': shown,
}


@pytest.mark.parametrize('door', SHORT)
def test_what_takes_a_moment_waits(door, tmp_path):
    write = SHORT[door](tmp_path/'folder')
    other = threading.Thread(target=write)
    with in_turn(tmp_path/'folder'):
        other.start()
        other.join(.3)
        assert other.is_alive() and list((tmp_path/'folder').iterdir()) == []
    other.join(60)
    assert not other.is_alive() and list((tmp_path/'folder').iterdir())


def both(*calls) -> list:
    "Results, or errors, of calls that begin together."
    with ThreadPoolExecutor(len(calls)) as pool:
        begin = threading.Barrier(len(calls))
        def one(f):
            begin.wait()
            try:
                return f()
            except ValueError as e:
                return e
        return list(pool.map(one, calls))


def test_two_sets_in_one_folder(tmp_path):
    "One of them is there, with its own description."
    for k in range(10):
        both(*(partial(a_set(note=n).save, tmp_path/str(k)) for n in ('one', 'other')))
        assert DistilledSet.load(tmp_path/str(k)).meta['note'] in ('one', 'other')


@pytest.mark.parametrize('form', ['folder', 'set.pt'])
def test_two_exports_to_one_place(form, tmp_path):
    "One comes first, whole; the other is told so."
    for k in range(5):
        there = tmp_path/f'{k}'/form
        done = both(*(partial(a_set(v).export, there) for v in (-.5, .5)))
        refused, = [e for e in done if isinstance(e, ValueError)]
        assert str(refused).startswith('path: expected a new')
        assert len(read_sets(there, DIGITS)[0].images.unique()) == 1


def test_two_ask_whether_they_can_write(tmp_path):
    for _ in range(30):
        assert both(*[partial(check_writable, tmp_path)]*4) == [None]*4
    assert list(tmp_path.iterdir()) == []


def test_labels_of_two_are_not_mixed(tmp_path):
    "Two files, of which one knows the other's checksum."
    for k in range(10):
        seeds = [prune_labels(a_set(), LiveLabels(a_set(), teacher(), **VIEWS), 0., seed=s) for s in (0, 1)]
        both(*(partial(p.save, tmp_path/str(k)) for p in seeds))
        assert PrunedLabels.load(tmp_path/str(k)).settings['prune_seed'] in (0, 1)


def test_who_waits_is_let_in_when_the_other_is_gone(tmp_path):
    "Also if its folder went with it."
    with in_turn(tmp_path/'folder'):
        shutil.rmtree(tmp_path/'folder')
    with sole_writer(tmp_path/'folder'):
        shutil.rmtree(tmp_path/'folder')
    began = time.monotonic()
    a_set().save(tmp_path/'folder')
    assert time.monotonic() - began < 30 and DistilledSet.load(tmp_path/'folder').meta == {}


def test_every_folder_of_several_files_is_looked_after():
    """A function that writes more than one file, each whole, does so in turn or alone: else a reader may find one
    process's first file beside another's second."""
    alone = {'finish', '_write'}                 # of `_Folder` and `relabel`: inside of `sole_writer`
    found = set()
    for path in sorted((ROOT/'dd_lit').rglob('*.py')):
        for f in [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]:
            calls = [ast.unparse(n.func).split('.')[-1] for n in ast.walk(f) if isinstance(n, ast.Call)]
            writes = sum(c in ('atomic_write', 'save_figure') for c in calls)
            if writes > 1 and not {'in_turn', 'sole_writer'} & set(calls):
                found.add(f.name)
    assert found <= alone, found
