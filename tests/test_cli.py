"""The command line as a user meets it: the whole way, and every way it can go wrong."""
import contextlib
import errno
import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from helpers import COUNTED, said_steps
from PIL import Image

import dd_lit
import dd_lit.compare
import dd_lit.distill
import dd_lit.evaluate
import dd_lit.parallel
import dd_lit.sets
import dd_lit.teachers
from dd_lit.cli import COMMANDS, Distill, main
from dd_lit.compare import Row, check_words
from dd_lit.core import atomic_write
from dd_lit.distill import distill, load_checkpoint
from dd_lit.evaluate import Scores
from dd_lit.labels.losses import explain_loss
from dd_lit.method import _METHODS
from dd_lit.models import check_known
from dd_lit.sets import DistilledSet
from dd_lit.teachers import check_teachers

SMALL = ['--set', 'width=8', 'batch_real=20']


def one_line(p, *words):
    "Exit status 2, one line of error, no traceback."
    assert p.returncode == 2, (p.returncode, p.stdout, p.stderr)
    lines = [l for l in p.stderr.splitlines() if l.strip()]
    assert len(lines) == 1 and lines[0].startswith('dd_lit'), p.stderr
    for w in words:
        assert w in lines[0], (w, lines[0])


def test_the_whole_way(cli, call, tmp_path):
    p = cli('distill', 'dc', '--ipc', 1, '--iters', 2, '--out', 'a', *SMALL, check=0)
    assert 'grid.png' in p.stdout and (tmp_path/'a'/'grid.png').stat().st_size > 1000
    ds = DistilledSet.load(tmp_path/'a')
    m = ds.meta
    assert m['method'] == 'dc' and m['config']['width'] == 8 and m['iterations'] == 2
    assert m['made_with']['torch'] == torch.__version__
    assert len(json.loads((tmp_path/'a'/'history.json').read_text())) == 2
    p = cli('evaluate', 'a', '--repeats', 2, '--fair', '--set', 'epochs=5', 'width=8', check=0)
    assert 'HLR' in p.stdout and 'IOR' in p.stdout
    s, = (tmp_path/'a').glob('scores_*.json')
    s = json.loads(s.read_text())
    assert len(s['top1']) == 2 and s['made_with']['command']
    few = ['--repeats', 2, '--set', 'epochs=5', 'width=8']
    p = cli('compare', 'a', 'random', '--out', 'cmp', *few, check=0)
    assert [l.split()[1] for l in p.stdout.splitlines() if l.startswith('| ')] == ['method', 'dc', 'random']
    assert all((tmp_path/'cmp'/f'compare.{e}').stat().st_size for e in ('json', 'md', 'png'))
    call('show', 'a', '--png', 'pngs', check=0)
    assert len(list((tmp_path/'pngs').rglob('*.png'))) == 10
    assert 'dc' in cli('list', check=0).stdout                             # these three without torch
    assert 'usage' in cli(check=0).stdout and 'distill' in cli('--help', check=0).stdout
    # the PNGs are an image folder again
    call('distill', 'random', '--data', 'pngs', '--out', 'again', check=2)  # one image per class cannot be split ...
    call('show', 'a', '--png', 'pngs', check=2)                             # ... and a full folder is not overwritten


def test_the_demo_shows_what_it_has(call, tmp_path, monkeypatch):
    "The picture before anything is scored, each score as it comes, a table that grows; nothing here takes time."
    real, seen, folder = dd_lit.distill.distill, [], tmp_path/'demo'
    def chosen(method, d, ipc, out=None, **kw):
        ds = real('random', d, ipc, device='cpu')
        ds.meta['method'] = method
        return ds
    def scored(item, d, ipc, out, resume, repeats, **kw):
        seen.append({p.name for p in folder.iterdir() if not p.name.startswith('.writing')})   # the mark
        ds = chosen(item, d, ipc) if isinstance(item, str) else item
        top1 = [50. + len(seen)]*repeats
        return [Row(ds.meta['method'], ipc, 'convnet3', 'ce', '', Scores(top1, top1, top1), ds, 1., 1, 10)]
    monkeypatch.setattr(dd_lit.distill, 'distill', chosen)
    monkeypatch.setattr(dd_lit.compare, 'compare', scored)
    said = call('demo', '--repeats', 2, check=0).stdout
    tables = {f'demo.{e}' for e in ('json', 'md', 'png')}
    assert seen[0] == {'ipc1.png'} and seen[3] == {'ipc1.png', 'ipc10.png'} | tables
    places = [said.index(w) for w in ('demo/ipc1.png', 'random   top-1 51.0', 'dc       top-1 53.0', '| method',
                                      'picture demo/demo.png', 'demo/ipc10.png', 'dc       top-1 56.0')]
    assert places == sorted(places)
    assert [t.count('\n| ') for t in said.split('| method')[1:]] == [3, 6]
    kept = json.loads((folder/'demo.json').read_text())
    assert [r['scores']['ior'] for r in kept['rows']] == [0, 1, 2]*2
    assert 0 <= kept['settings']['first_picture'] <= kept['settings']['seconds']


def test_one_set_one_score(call, tmp_path, monkeypatch):
    """`evaluate` and `compare` show a mosaic alike and give the same number; IOR compares with random images trained
    the same way."""
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))
    teacher = ['--set', 'backbone=convnet3', 'width=16', 'squeeze_epochs=1']
    call('distill', 'rded', '--ipc', 2, '--out', 'a', *teacher, check=0)
    call('distill', 'random', '--ipc', 2, '--out', 'r', check=0)
    same = ['--repeats', 2, '--set', 'epochs=30', 'width=16']
    def score(folder, *more):
        p = call('evaluate', folder, *more, *same, check=0)
        f, = (tmp_path/folder).glob('scores_*.json')
        s = json.loads(f.read_text())
        f.unlink()
        return s, p.stdout
    s, _ = score('a')
    call('compare', 'a', 'random', '--ipc', 2, '--out', 'cmp', *same, check=0)
    rows = json.loads((tmp_path/'cmp'/'compare.json').read_text())['rows']
    assert s['top1'] == rows[0]['scores']['top1'] and s['config']['augment'] == 'patch_2'
    fair, out = score('a', '--fair')
    assert fair['top1'] == s['top1'] and fair['random'] == pytest.approx(rows[1]['scores']['mean'])
    assert f"IOR {fair['ior']:+.1f}" in out
    # random images beside themselves, with one network, so that there is one draw: no improvement, with whatever loss
    same[1] = 1
    for more in ((), ('--loss', 'kl', '--teacher', 'convnet3:width=16', '--teacher-epochs', 1)):
        assert score('r', '--fair', *more)[0]['ior'] == 0
    # the mosaics' own soft labels: their teacher is not here
    s, out = score('a', '--fair', '--loss', 'kl')
    assert s['ior'] is None and 'no IOR: the soft labels are the set\'s own' in out


def test_same_command_returns_the_finished_set(call, tmp_path):
    call('distill', 'dc', '--iters', 2, '--out', 'a', *SMALL, check=0)
    before = (tmp_path/'a'/'data.safetensors').stat().st_mtime_ns
    call('distill', 'dc', '--iters', 2, '--out', 'a', *SMALL, check=0)
    assert (tmp_path/'a'/'data.safetensors').stat().st_mtime_ns == before
    one_line(call('distill', 'dc', '--iters', 1, '--out', 'a', *SMALL), 'config.iters is 2 there and 1 here')
    call('distill', 'dc', '--iters', 3, '--out', 'a', *SMALL, check=0)          # goes on
    assert DistilledSet.load(tmp_path/'a').meta['iterations'] == 3


def test_killed_and_resumed_is_bit_identical(cli, tmp_path):
    """dc_mda at 10 images per class (there is an inner loop), interrupted for real at whatever point it has reached, in
    three ways."""
    args = ['distill', 'dc_mda', '--ipc', '10', '--iters', '3', '--set', 'width=8', 'batch_real=10']
    cli(*args, '--out', 'whole', check=0)
    whole = DistilledSet.load(tmp_path/'whole').images
    status = {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}
    for how in status:
        cut = tmp_path/f'cut{how}'
        code = f"""
import dd_lit.distill as d, functools, sys
from dd_lit.cli import main
d.distill = functools.partial(d.distill, checkpoint_seconds=0)
sys.exit(main({args + ['--out', cut.name]!r}))"""
        # a test run that was itself started in the background may have SIGINT ignored; its children would inherit that
        p = subprocess.Popen([sys.executable, '-c', code], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        ckpt, t = cut/'checkpoint.pt', time.time()
        while not ckpt.exists():
            assert p.poll() is None and time.time() - t < 120
            time.sleep(.01)
        time.sleep(.2)
        p.send_signal(how)
        err = p.communicate(timeout=60)[1]
        assert p.returncode == status[how], (p.returncode, err)
        if how != signal.SIGKILL:
            assert 'interrupted' in err and 'Traceback' not in err
        left = load_checkpoint(ckpt)['state']['k']
        assert 0 < left < 3
        counted = f'exec({COUNTED.format(method="dc_mda")!r})'
        assert said_steps(cli(*args, '--out', cut.name, check=0, prelude=counted).stdout) == [*range(left, 3)]
        assert torch.equal(DistilledSet.load(cut).images, whole) and not ckpt.exists()


def test_wrong_arguments(cli, call, tmp_path):
    for bad, *words in [
            ('distill dcc', 'method: expected one of', "'dc'"),
            ('distill dc --ipc 0', 'ipc: expected a whole number, at least 1'),
            ('distill dc --ipc -1', 'ipc'),
            ('distill random --ipc 5000', 'ipc: expected at most 139'),
            ('distill dc --set widht=8', "did you mean 'width'"),
            ('distill dc --set lr_img=big', 'lr_img: expected a number', "got 'big'"),
            ('distill dc --data mnst', "did you mean 'mnist'"),
            ('distill dc --size -3', 'size'),
            ('distill dc --device gpu', 'device: expected'),
            ('distill dc --set model=convnet33x --iters 1', 'unknown network'),
            ('distill dc --iters 0', 'iters: expected a whole number, at least 1'),
            ('evaluate nowhere', 'does not exist'),
            ('show .', 'not a distilled set'),
            ('compare nothing', 'items: expected'),
            ('distil dc', "did you mean 'distill'")]:
        one_line(call(*bad.split()), *words)
    one_line(cli('distill', 'dc', '--ipc', 0), 'ipc: expected a whole number, at least 1')        # as a process, too
    assert not (tmp_path/'runs').exists() or not list((tmp_path/'runs').rglob('*.safetensors'))


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "A small set's folder."
    distill('random', 'digits', 1, out=(folder := tmp_path_factory.mktemp('made')/'a'))
    return folder


@pytest.mark.parametrize('bad, words', [
    ('evaluate a --set epohcs=1', ['epohcs', "did you mean 'epochs'"]),
    ('compare a random --set epohcs=1', ['epohcs', "did you mean 'epochs'"]),
    ('evaluate a --set epochs=big', ['epochs: expected a whole number', "got 'big'"]),
    ('evaluate a --set epochs=1.5', ['epochs: expected a whole number', 'got 1.5']),
    ('compare a --opt sgd:lrr=.1', ['lrr', "did you mean 'lr'"]),
    ('compare a --loss kl:temp=3', ['temp', 'It has T']),
    ('compare a --model convnet3:wdith=8', ['wdith', "did you mean 'width'"]),
    ('evaluate a --model lenet --set width=8', ['width', 'lenet']),
    ('distill rded --set width=abc', ['width: expected a whole number', "got 'abc'"]),
    ('distill sre2l --set cache=3', ['cache: expected text', 'got 3']),
    ('distill dc --set lam=x', ['lam: expected a number', "got 'x'"]),
    ('distill dc --set width=0', ['width: expected a whole number, at least 1', 'got 0']),
])
def test_a_setting_that_is_not_one(call, made, bad, words):
    "It is named, with what came and what was expected, or with the nearest name."
    one_line(call(*(made if w == 'a' else w for w in bad.split())), *words)


def test_debug_shows_the_traceback(call):
    p = call('distill', 'dc', '--ipc', 0, '--debug', check=2)
    assert 'Traceback' in p.stderr and 'ipc: expected a whole number, at least 1' in p.stderr.splitlines()[-1]


def test_bad_data(call, tmp_path):
    "An empty folder, a corrupt image, a missing dataset, labels with a hole."
    (tmp_path/'empty').mkdir()
    one_line(call('distill', 'random', '--data', 'empty'), 'holds no images')
    for c in 'ab':
        (tmp_path/'pics'/c).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(np.full((8, 8, 3), 60*i, np.uint8)).save(tmp_path/'pics'/c/f'{i}.png')
    call('distill', 'random', '--data', 'pics', '--out', 'ok', check=0)
    p = tmp_path/'pics'/'b'/'2.png'
    p.write_bytes(p.read_bytes()[:40])
    one_line(call('distill', 'random', '--data', 'pics'), '2.png', 'not a readable image')
    one_line(call('distill', 'random', '--data', 'mnist', '--root', tmp_path), 'mnist: not found', 'download')
    pq = pytest.importorskip('pyarrow.parquet')
    import pyarrow as pa
    def png(v):
        b = io.BytesIO()
        Image.fromarray(np.full((8, 8), v, np.uint8)).save(b, 'PNG')
        return b.getvalue()
    def rows(labels):
        table = [dict(image=dict(bytes=png(i), path=None), label=l) for i, l in enumerate(labels)]
        pq.write_table(pa.Table.from_pylist(table), tmp_path/'t.parquet')
    rows([0, 0, 0, 2, 2, 2])
    one_line(call('distill', 'random', '--data', 't.parquet'), 'class 1', 'no image')
    rows([0, 0, 0, -1, 1, 1])
    one_line(call('distill', 'random', '--data', 't.parquet'), 'labels: expected 0..C-1')


def test_damaged_set(call, tmp_path):
    call('distill', 'random', '--out', 'a', check=0)
    f = tmp_path/'a'/'data.safetensors'
    b = bytearray(f.read_bytes())
    b[-1] ^= 1
    f.write_bytes(b)
    one_line(call('evaluate', 'a'), 'damaged', 'checksum')
    one_line(call('distill', 'random', '--out', 'a'), 'damaged')


def test_no_permission(cli, tmp_path):
    """A folder that may not be written to; root may write anywhere, so a root gives up its capabilities first and is
    then bound by the rights of its files like everybody."""
    locked = tmp_path/'locked'
    locked.mkdir()
    locked.chmod(0o555)
    drop = ('import ctypes, os; n = ctypes.c_uint32; '
            'assert os.getuid() or ctypes.CDLL(None).capset((n*2)(0x20080522, 0), (n*6)()) == 0')
    one_line(cli('distill', 'dc', '--out', locked/'x', prelude=drop), 'cannot write to', 'ermission')
    assert list(locked.iterdir()) == []
    one_line(cli('distill', 'dc', '--out', '/dev/null/x'), 'cannot write to')


@pytest.mark.parametrize('limit', [100, 2000])
def test_full_disk(cli, call, tmp_path, limit):
    "No room for the result: one error, an earlier good set survives, nothing is half-written, and it resumes."
    call('distill', 'dc', '--iters', 1, '--out', 'a', *SMALL, check=0)
    good = DistilledSet.load(tmp_path/'a').images
    files = sorted(p.name for p in (tmp_path/'a').iterdir())
    pre = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    one_line(cli('distill', 'dc', '--iters', 2, '--out', 'a', '--fresh', *SMALL, prelude=pre), 'File too large')
    ds = DistilledSet.load(tmp_path/'a')
    assert torch.equal(ds.images, good)
    left = sorted(p.name for p in (tmp_path/'a').iterdir())
    assert [f for f in left if 'tmp-' in f] == [] and set(files) <= set(left)
    call('distill', 'dc', '--iters', 2, '--out', 'a', '--fresh', *SMALL, check=0)
    assert DistilledSet.load(tmp_path/'a').meta['iterations'] == 2


def test_nan_in_images():
    import dd_lit.data as d
    x = torch.rand(6, 1, 8, 8)
    x[3, 0, 0, 0] = float('nan')
    with pytest.raises(ValueError, match='train_x: 1 of 6 images contain NaN'):
        d.ImageData(x, torch.arange(6) % 2, x[:2], torch.arange(2))


def test_out_of_memory_is_one_line(call):
    "A network of a hundred petabytes; no machine has them, and none tries for long."
    call('distill', 'random', '--out', 'a', check=0)
    for line in ('evaluate a --model convnet3:width=90000000 --repeats 1',
                 'distill dc --iters 1 --out b --set width=90000000'):
        one_line(call(*line.split()), 'out of memory')


@pytest.fixture
def unread():
    "A stream that nobody reads any longer."
    r, w = os.pipe()
    os.close(r)
    f = open(w, 'w', buffering=1)
    yield f
    with contextlib.suppress(BrokenPipeError):       # what could not be written
        f.close()


FEW = ['--repeats', '1', '--set', 'epochs=1', 'width=8']


@pytest.mark.parametrize('line', ['', '--version', 'list', 'list dc', 'reproduce', 'show a', 'export a b.npz', 'demo',
                                  'import a/data.safetensors digits --out b', 'distill random', 'evaluate a',
                                  'compare a'])
def test_a_closed_pipe_ends_quietly(line, made, unread, tmp_path, monkeypatch, capfd):
    "Whatever the command: no word, and the exit status of who writes into a closed pipe."
    monkeypatch.chdir(tmp_path)
    words = [str(made) if w == 'a' else w.replace('a/', f'{made}/') for w in line.split()]
    words += FEW if words[:1] in (['evaluate'], ['compare']) else []
    monkeypatch.setattr(sys, 'stdout', unread)
    assert main(words) == 141
    assert not [l for l in capfd.readouterr().err.splitlines() if 'dd_lit: warning' not in l]


def test_an_error_that_nobody_reads(unread, monkeypatch):
    monkeypatch.setattr(sys, 'stderr', unread)
    assert main(['lisst']) == 141


def test_another_broken_pipe_is_an_error(call, monkeypatch):
    "Only who reads the output may leave without a word."
    def broken(self):
        raise BrokenPipeError(errno.EPIPE, 'Broken pipe')
    monkeypatch.setattr(COMMANDS['list'], 'run', broken)
    one_line(call('list'), 'Broken pipe')


def test_as_a_process(tmp_path):
    "Nothing is said at its end either, where the interpreter would."
    for words in ('list', 'nonsense'):
        p = subprocess.Popen([sys.executable, '-m', 'dd_lit', words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             cwd=tmp_path)
        p.stdout.close()
        assert p.wait(60) == 141


def test_a_folder_is_no_file(call, tmp_path):
    "Whoever names a folder where a file is to be written hears of that folder, and before anything is worked out."
    (tmp_path/'there').mkdir()
    for words in (['show', 'cifar10/dm/ipc10'], ['evaluate', 'cifar10/dm/ipc10', '--repeats', 1]):
        p = call(*words, '--out', 'there')
        one_line(p, 'there')
        assert '.tmp-' not in p.stderr, p.stderr
    with pytest.raises(IsADirectoryError) as e:
        atomic_write(tmp_path/'there', b'x')
    assert e.value.filename == str(tmp_path/'there') and not list(tmp_path.glob('.there*'))


def test_iterations_are_said_once(call):
    one_line(call('distill', 'dc', '--iters', 2, '--set', 'iters=3'), 'iters: said twice')


def test_no_set_and_no_table_is_written_over(call, tmp_path):
    "Neither by a score or a picture, nor by a set from elsewhere, nor by the answer to another question."
    call('distill', 'dc', '--iters', 1, '--out', 'a', *SMALL, check=0)
    before = {p.name: p.read_bytes() for p in (tmp_path/'a').iterdir()}
    few = ['--repeats', 1, '--set', 'epochs=1', 'width=8']
    for name in ('data.safetensors', 'meta.json', 'history.json', 'state.pt', 'score.txt'):
        one_line(call('evaluate', 'a', *few, '--out', f'a/{name}'), 'out: expected', '.json')
    for name in ('data.safetensors', 'meta.json', 'a.jpg'):
        one_line(call('show', 'a', '--out', f'a/{name}'), 'out: expected', '.png')
    call('distill', 'random', '--out', 'r', check=0)
    call('export', 'r', 'r.npz', check=0)
    (tmp_path/'a').rename(tmp_path/'0')
    one_line(call('import', 'r.npz', '--out', '.'), "out: '0' holds another distilled set")
    (tmp_path/'0').rename(tmp_path/'a')
    assert {p.name: p.read_bytes() for p in (tmp_path/'a').iterdir()} == before
    for _ in range(2):                                                     # the same file once more
        call('import', 'r.npz', '--out', 'there', check=0)
    table = lambda name: (tmp_path/'cmp'/f'{name}.md').read_text()
    call('compare', 'a', *few, '--out', 'cmp', check=0)
    first = table('compare')
    call('compare', 'a', *few, '--out', 'cmp', check=0)                    # the same question
    assert table('compare') == first and not list((tmp_path/'cmp').glob('compare-*'))
    p = call('compare', 'r', *few, '--out', 'cmp', check=0)
    assert table('compare-1') == first != table('compare') and 'is kept as' in p.stdout
    call('distill', 'random', '--out', 'r', '--seed', 1, '--fresh', check=0)
    call('compare', 'r', *few, '--out', 'cmp', check=0)                    # the same words, another set
    assert {p.name for p in (tmp_path/'cmp').glob('compare*')} == {
        f'compare{n}.{e}' for n in ('', '-1', '-2') for e in ('json', 'md', 'png')}


@pytest.mark.parametrize('line', ['distill dc --set width=8 width=9', 'distill dc --set width=8 --set lr=1 width=8',
                                  'evaluate cifar10/dm/ipc10 --set width=8 epochs=1 width=9',
                                  'evaluate cifar10/dm/ipc10 --model mlp:width=8,width=9',
                                  'compare random --labels width=1 width=2 --teacher mlp --loss kl',
                                  'distill sre2l --set backbones=mlp:width=8,width=9'])
def test_a_setting_is_said_once(call, line):
    one_line(call(*line.split()), 'width: said twice, ')


@pytest.mark.parametrize('word, near', [('dcc', "did you mean 'dc'?"), ('convent3', "did you mean 'convnet3'?"),
                                        ('kll', "did you mean 'kl'?"), ('zzzzz', '`dd_lit list` shows them')])
def test_a_mistyped_name_is_explained(call, word, near):
    one_line(call('list', word), f'names: expected a method, a network or a loss, got {word!r}', near)


@pytest.mark.parametrize('line, words', [
    ('list Dc', 'dc: Gradient matching'), ('list RESNET18', 'network resnet18'),
    ('list GIFT', 'loss gift: 1 - cos between'), ('list kd', 'weight of the soft part')])
def test_a_name_in_another_case(call, line, words):
    assert words in call(*line.split(), check=0).stdout


@pytest.mark.parametrize('typed', ['evaluate --set epochs=1 SET', 'evaluate --teacher mlp SET', 'distill --plugin m dc',
                                   'distill --set width=8 dc', 'compare --model convnet3 mlp SET',
                                   'compare --loss ce SET', 'import --norm half FILE', 'list --plugin json dc',
                                   'reproduce --set slice_size=3 mnist/dc/ipc1'])
def test_a_list_that_takes_the_word(call, typed):
    "The error says which option has it, and the order that works."
    name, flag, *_ = typed.split()
    taken = ' '.join(typed.split()[2:])
    first = {'list': '[names ...]', 'reproduce': '[names ...]', 'distill': 'method', 'compare': 'items ...',
             'import': 'file [data]', 'evaluate': 'folder'}[name]
    one_line(call(*typed.split()), f'{flag} takes all words up to the next option ({taken})',
             f'type dd_lit {name} {first} {flag} ...')


def test_every_command_with_lists_is_tried():
    from dd_lit.cli import _in_order, _taking_several
    tried = {p.split()[0] for p in test_a_list_that_takes_the_word.pytestmark[0].args[1]}
    assert tried == {n for n, cls in COMMANDS.items() if _taking_several(cls) and _in_order(cls, n) != n}


def test_a_list_that_takes_no_word(call):
    "No hint where nothing is missing."
    p = call('list', 'dc', '--plugin', 'no_such_a', 'no_such_b')
    one_line(p, 'plugin: cannot import')
    assert 'takes all words' not in p.stderr


@pytest.mark.parametrize('line, words', [
    ('--protocol foo', 'protocol: expected one of dc'), ('--set lr=-1', 'lr: expected a number, at least 0'),
    ('--set augment=foo', 'augment: expected some of'), ('--set precision=foo', 'precision: expected one of'),
    ('--labels foo=7', 'foo: labels'), ('--labels flip=7', 'flip: expected True or False'),
    ('--labels augment=foo', 'augment: expected some of'), ('--model foo', "model: unknown network 'foo'"),
    ('--device foo', 'device: expected something like'), ('--opt adamw:momentum=.5', 'momentum: expected nothing')])
@pytest.mark.parametrize('command', ['evaluate', 'compare'])
def test_words_before_work(call, monkeypatch, command, line, words):
    "Whatever the words alone say is said before data are read and a teacher is trained."
    import dd_lit.data
    import dd_lit.teachers
    def too_late(*a, **kw):
        raise AssertionError('too late')
    monkeypatch.setattr(dd_lit.data, 'load_data', too_late)
    monkeypatch.setattr(dd_lit.teachers, 'squeeze', too_late)
    one_line(call(command, 'random', '--teacher', 'convnet3:width=8', '--loss', 'kl', *line.split()), words)


@pytest.mark.parametrize('typed, words', [
    ('foo', "teacher: unknown network 'foo'"), ('mlp:foo=3', "foo: 'mlp' has no such setting"),
    ('mlp:augment=foo', 'augment: expected some of'), ('mlp:epochs=x', 'epochs: expected a whole number')])
def test_a_teacher_that_is_none(call, monkeypatch, typed, words):
    import dd_lit.data
    monkeypatch.delattr(dd_lit.data, 'load_data')
    one_line(call('compare', 'random', '--loss', 'kl', '--teacher', typed), words)


@pytest.mark.parametrize('ask', [
    lambda: dd_lit.evaluate('nowhere', 'nowhere', protocol='foo'),
    lambda: dd_lit.evaluate('nowhere', 'nowhere', augment='foo'),
    lambda: dd_lit.evaluate('nowhere', 'nowhere', model='foo'),
    lambda: dd_lit.evaluate('nowhere', 'nowhere', opt='adamw', momentum=.5),
    lambda: dd_lit.compare('random', 'nowhere', augment='foo'),
    lambda: dd_lit.compare('random', 'nowhere', loss='kl', teacher='foo'),
    lambda: dd_lit.compare('random', 'nowhere', loss='kl', teacher='mlp', label_kw=dict(flip=7)),
    lambda: dd_lit.distill('dc', 'nowhere', width=-1), lambda: dd_lit.distill('dsa', 'nowhere', augment='foo'),
    lambda: dd_lit.distill('dc', 'nowhere', seed='x'), lambda: dd_lit.distill('dc', 'nowhere', model='foo'),
    lambda: dd_lit.distill('gvbsm', 'nowhere', backbones=('convnet3', 'foo')),
    lambda: dd_lit.distill('sre2l', 'nowhere', squeeze_augment='foo'),
    lambda: dd_lit.distill('rded', 'nowhere', backbone='foo'), lambda: dd_lit.distill('mtt', 'nowhere', model='foo'),
    lambda: dd_lit.distill('herding', 'nowhere', model='foo'),
    lambda: dd_lit.distill('sfm', 'nowhere', backbone='foo'), lambda: dd_lit.distill('lgm', 'nowhere', backbone=5),
    lambda: dd_lit.distill('sfm', 'nowhere', alpha=.9), lambda: dd_lit.distill('lgm', 'nowhere', download=True),
    lambda: dd_lit.distill('sfm', 'nowhere', backbone='CLIP', width=8),
    lambda: dd_lit.distill('sfm', 'nowhere', pretrain=dict(epochs=0)),
    lambda: dd_lit.teachers.squeeze('mlp', 'nowhere', lr=-1), lambda: dd_lit.teachers.squeeze('foo', 'nowhere'),
    lambda: dd_lit.teachers.as_teacher('mlp', 'nowhere', augment='foo'),
    lambda: dd_lit.teachers.as_teachers([('mlp', dict(epochs=0))], 'nowhere')])
def test_words_before_data(ask):
    "From Python, too: a place that is not there would be a FileNotFoundError, or an error of `path`."
    with pytest.raises(ValueError, match='^(?!path:)'):
        ask()


def test_words_alone():
    "What the doors ask of words before they read data, each by itself."
    several = ['mlp', 'timm:anything', torch.nn.Identity()]
    for known in ('mlp', 'RESNET18', several, dict(a='lenet'), ('mlp', dict(width=8))):
        check_known(known)
    for strange in ('foo', ['mlp', 'foo'], dict(a='foo'), ('foo', dict(width=8))):
        with pytest.raises(ValueError, match="^model: unknown network 'foo'"):
            check_known(strange)
    assert check_teachers([('mlp', dict(epochs=3)), (torch.nn.Identity(), {})]) == [True, False]
    with pytest.raises(ValueError, match='^epochs: expected'):
        check_teachers([('mlp', dict(epochs=0))])
    grid, how, training, places = check_words([], True, loss=['ce', 'kl'], lr=.1, repeats=2)
    assert (len(places), how, training, grid.loss) == (2, dict(repeats=2), dict(lr=.1), ['ce', 'kl'])
    with pytest.raises(ValueError, match="^teacher: expected a soft loss"):
        check_words([], True)
    assert explain_loss('mse').startswith('loss mse: ') and 'temperature' in explain_loss('kl_ce')


@pytest.mark.parametrize('line, words', [
    ('show digits/dc/ipc1 --png full', 'png: expected a new or empty folder'),
    ('export digits/dc/ipc1 full', 'out: expected a new or empty folder'),
    ('distill dsa --set augment=foo', 'augment: expected'), ('distill sre2l --set backbones=foo', 'backbones: unknown'),
    ('distill dc --size 4', 'model: convnet3: 3 poolings'),
    ('compare random --size 4 --model convnet5', 'model: convnet5: ')])
def test_an_error_names_what_was_typed(call, tmp_path, line, words):
    (tmp_path/'full').mkdir()
    (tmp_path/'full'/'x').write_text('')
    line = line.replace('digits/dc/ipc1', 'cifar10/random/ipc10')
    one_line(call(*line.split(), '--out', 'o') if '--size' in line else call(*line.split()), words)


def test_a_folder_that_cannot_be_written_to(monkeypatch, tmp_path):
    "The error has the file's name, not that of the temporary one."
    import tempfile
    def refuse(dir, prefix):
        raise PermissionError(errno.EACCES, 'Permission denied', f'{dir}/{prefix}x')
    monkeypatch.setattr(tempfile, 'mkstemp', refuse)
    with pytest.raises(PermissionError) as e:
        atomic_write(tmp_path/'a.png', b'')
    assert e.value.filename == str(tmp_path/'a.png')


def test_a_recipe_says_what_it_gives(call, tmp_path):
    few = ['--iters', 1, '--set', 'width=8', 'batch_real=20']
    p = call('distill', 'dc', '--recipe', 'mnist/dc/ipc1', *few, check=0)
    words = 'its settings of dc, not its data and images per class; the whole row: dd_lit reproduce mnist/dc/ipc1'
    assert words in p.stdout
    of_data = Distill(method='gvbsm', recipe='cifar10').of_recipe()
    assert 'recipe cifar10: its settings of gvbsm, not its data' in of_data and 'reproduce' not in of_data


def test_a_terminal_that_knows_ascii_only(cli):
    "What it cannot write comes in letters that it can."
    few = ['--repeats', 1, '--set', 'epochs=1', 'width=8']
    p = cli('compare', 'random', *few, env={'PYTHONIOENCODING': 'ascii'}, check=0)
    assert '+- 0.0' in p.stdout and p.stdout.isascii()


def test_letters_that_no_terminal_has():
    from dd_lit.cli import _plainly
    text = '2 \u00b1 1 \udcff \u4e00'
    told, end = _plainly(UnicodeEncodeError('ascii', text, 0, len(text), ''))
    assert (told, end) == (b'2 +- 1 \xff \\u4e00', len(text))


def test_nothing_that_a_terminal_obeys(call, tmp_path):
    "Whoever wrote the words of an error: no escape of theirs reaches the screen."
    (tmp_path/'bad.py').write_text("raise RuntimeError('\\x1b[1mbold\\x1b[31m')")
    p = call('distill', 'random', '--plugin', 'bad')
    one_line(p, 'bold')
    assert p.stderr.strip().isprintable()


def test_compare_tests_on_what_the_first_set_was_made_from(tmp_path, capsys):
    "Not on digits, whatever the shape; and it says which of the sets are of something else."
    from dd_lit.cli import Compare
    from dd_lit.data import load_data
    g = torch.Generator().manual_seed(0)
    for name in ('first', 'second'):
        folder = tmp_path/f'{name}_images'
        for part in ('train', 'test'):
            for i, im in enumerate(torch.randint(0, 256, (12, 16, 16), generator=g).byte()):
                p = folder/part/'ab'[i % 2]/f'{i:02d}.png'
                p.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(im.numpy()).save(p)
        ds = distill('random', load_data(folder), 1, seed=0)
        ds.meta['data_source'] = dict(name=str(folder))
        ds.save(tmp_path/name)
    both = [str(tmp_path/n) for n in ('first', 'second')]
    assert Compare(items=both).tested_on().name == 'first_images'
    assert 'was made from other training images than those of first_images' in capsys.readouterr().err
    assert Compare(items=['random']).tested_on().name == 'digits'


@pytest.mark.parametrize('words', [('distill', 'random', '--data', ''), ('distill', 'random', '--out', ''),
                                   ('evaluate', 'x', '--data', '')])
def test_an_empty_word_is_no_default(call, words):
    "A variable of the shell that is not set."
    p = call(*words, check=2)
    assert f"{words[2]}: expected something, got ''" in p.stderr


@pytest.fixture
def unfinished(call, tmp_path, monkeypatch):
    "A folder `u` in which a run was interrupted after 2 of its 4 steps."
    cls = dd_lit.distill.get_method('dm')
    step = cls.step
    def two(self):
        if self.k == 2:
            raise KeyboardInterrupt
        return step(self)
    words = ['distill', 'dm', '--iters', '4', '--out', 'u', *SMALL]
    with monkeypatch.context() as m:
        m.setattr(cls, 'step', two)
        m.setattr(sys, 'argv', ['dd_lit', *words, '--fresh'])
        call(*words, '--fresh', check=130)
    return words


def test_an_unfinished_run_says_so(unfinished, call, tmp_path):
    "How far it is and what goes on, whatever asks for the set; and that is true."
    goes_on = ' '.join(['dd_lit', *unfinished])
    for words in (['show', 'u'], ['evaluate', 'u'], ['export', 'u', 'u.npz'], ['compare', 'u', 'random'],
                  ['import', 'u'], ['distill', 'dc', '--set', 'init=u']):
        one_line(call(*words), f"'u' is an unfinished run of dm: 2 of 4 iterations are done; `{goes_on}` goes on")
    call(*unfinished, check=0)
    call('show', 'u', check=0)
    (tmp_path/'other').mkdir()
    one_line(call('compare', 'other'), "'other' is not a distilled set: it has no data.safetensors")


def test_another_run_says_all_that_differs(unfinished, call):
    one_line(call('distill', 'dc', '--out', 'u'), "(method is 'dm' there and 'dc' here);")
    one_line(call('distill', 'dm', '--iters', 3, '--out', 'u', '--set', 'width=8', 'lr_img=.5', 'batch_real=7'),
             '(config.batch_real is 20 there and 7 here; config.iters is 4 there and 3 here; config.lr_img is ')
    p = call('distill', 'dm', '--iters', 3, '--out', 'u', '--seed', 1, '--ipc', 2, '--set', 'width=4', 'lr_img=.5',
             'batch_real=7')
    one_line(p, 'config.width is 8 there and 4 here; ipc is 1 there and 2 here; 1 more)')


@pytest.mark.parametrize('end', [KeyboardInterrupt, ValueError('diverged')])
def test_networks_that_are_done_are_told(end, call, monkeypatch):
    "Of a scoring that an interruption or a mistake ends: how many, and what they reached."
    real, done = dd_lit.evaluate.train_and_test, []
    def third(*args, **kw):
        if len(done) == 2:
            raise end
        done.append(real(*args, **kw))
        return done[-1]
    monkeypatch.setattr(dd_lit.evaluate, 'train_and_test', third)
    call('distill', 'random', '--out', 'r', check=0)
    p = call('evaluate', 'r', '--repeats', 4, '--model', 'mlp', '--set', 'epochs=1', 'width=8')
    mean, std = dd_lit.evaluate.mean_std([o[0] for o in done])
    assert p.returncode in (2, 130)
    assert f'mlp: 2 of 4 networks are done: top-1 {mean:.1f} ± {std:.1f} % (not stored)' in p.stderr


@pytest.mark.parametrize('more', [['--out', 's.json'], ['--fair']])
def test_networks_that_are_done_are_taken_up_again(more, call, tmp_path, monkeypatch):
    "Where scores are kept, each network is, too: the same command trains the others, and the score is the same."
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))
    real, done = dd_lit.evaluate.train_and_test, []
    def third(*args, **kw):
        if len(done) == 2:
            done.append(None)
            raise KeyboardInterrupt
        done.append(1)
        return real(*args, **kw)
    monkeypatch.setattr(dd_lit.evaluate, 'train_and_test', third)
    call('distill', 'dm', '--iters', 1, '--out', 'r', *SMALL, check=0)
    words = ['evaluate', 'r', '--repeats', 4, '--model', 'mlp', '--set', 'epochs=1', 'width=8']
    p = call(*words, *more, check=130)
    assert 'mlp: 2 of 4 networks are done' in p.stderr and '(stored)' in p.stderr
    assert 'with --out, --fair or --ddranking keeps scores that are done' in p.stderr
    done[:] = [None]*3
    call(*words, *more, check=0)
    assert len(done) == 3 + 2 + (4 if more == ['--fair'] else 0)
    found = tmp_path/'s.json' if more[0] == '--out' else next((tmp_path/'r').glob('scores_*.json'))
    call(*words, '--device', 'cpu', check=0)                  # keeps nothing: all are trained
    whole = next(f for f in (tmp_path/'r').glob('scores_*.json') if f != found)
    kept, new = (json.loads(f.read_text()) for f in (found, whole))
    assert (kept['top1'], kept['top5']) == (new['top1'], new['top5']) and not list(tmp_path.rglob('*.part'))


def test_an_option_is_said_once(call):
    "Of two values one would be forgotten; an option that takes several goes on taking more."
    for typed, words in [(['--iters', 2, '--iters', 3], 'iters: said twice, 2 and 3'),
                         (['--iters=2', '--iters=2'], 'iters: said twice, 2 and 2'),
                         (['--out', 'a', '--seed', 1, '--out', 'b'], "out: said twice, 'a' and 'b'")]:
        one_line(call('distill', 'dc', *typed), words)
    call('distill', 'dc', '--iters', 1, '--out', 'a', '--set', 'width=8', '--set', 'batch_real=10', check=0)


def test_what_has_no_effect_is_refused(call, tmp_path):
    call('distill', 'random', '--out', 'r', check=0)
    one_line(call('compare', 'r', '--ipc', 3), 'ipc: expected a method among the items', 'got 3')
    for k in ('precision=bfloat16', 'download=True'):
        one_line(call('reproduce', 'mnist/dc/ipc1', '--set', k), 'it has a flag of its own, --' + k.split('=')[0])


def test_a_score_does_not_go_among_the_pictures(call, tmp_path):
    for c in 'ab':
        (tmp_path/'pics'/c).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(np.full((8, 8, 3), 60*i, np.uint8)).save(tmp_path/'pics'/c/f'{i}.png')
    call('distill', 'random', '--data', 'pics', '--out', 'r', check=0)
    one_line(call('evaluate', 'r', '--out', 'pics/s.json'), 'out: ')


def test_a_plugin_is_listed(call, tmp_path):
    (tmp_path/'listed_plugin.py').write_text("""
from dd_lit.coreset.select import Random
from dd_lit.method import register

@register('listed_method')
class Listed(Random):
    "Random images; by another name."
""")
    assert 'listed_method' in call('list', '--plugin', 'listed_plugin', check=0).stdout
    _METHODS.pop('listed_method')


def test_a_comparison_is_written_by_the_first_process(call, tmp_path, monkeypatch):
    "The others have the same rows; who put the old files aside as well would find none."
    few = ['compare', 'random', '--repeats', 1, '--model', 'mlp', '--out', 'c', '--set', 'epochs=1']
    call(*few, 'width=8', check=0)
    before = {p.name: p.read_bytes() for p in (tmp_path/'c').glob('compare*')}
    monkeypatch.setattr(dd_lit.parallel, 'first', lambda: False)
    call(*few, 'width=9', check=0)
    assert {p.name: p.read_bytes() for p in (tmp_path/'c').glob('compare*')} == before


def test_sets_are_read_once(call, monkeypatch):
    call('distill', 'random', '--out', 'r', check=0)
    real, read = dd_lit.sets.load_set, []
    monkeypatch.setattr(dd_lit.sets, 'load_set', lambda p: read.append(str(p)) or real(p))
    call('compare', 'r', '--repeats', 1, '--model', 'mlp', '--set', 'epochs=1', 'width=8', check=0)
    assert read == ['r']


def test_fair_scores_that_are_done_stay(call, tmp_path, monkeypatch):
    "Those of the set, where the random images beside it are interrupted: the second time they are not made again."
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))
    real, asked = dd_lit.compare.Scorer.random, []
    def interrupted(self, ds):
        asked.append(1)
        if len(asked) == 1:
            raise KeyboardInterrupt
        return real(self, ds)
    monkeypatch.setattr(dd_lit.compare.Scorer, 'random', interrupted)
    call('distill', 'random', '--seed', 5, '--out', 'r', check=0)
    words = ['evaluate', 'r', '--repeats', 1, '--model', 'mlp', '--fair', '--set', 'epochs=1', 'width=8']
    assert 'keeps scores that are done' in call(*words, check=130).stderr
    made, counted = dd_lit.evaluate.train_and_test, []
    monkeypatch.setattr(dd_lit.evaluate, 'train_and_test', lambda *a, **kw: counted.append(1) or made(*a, **kw))
    call(*words, check=0)
    assert len(counted) == 1                                  # on random images


def test_what_a_setup_has_trained_is_kept(call, tmp_path, monkeypatch):
    "An interruption of a method that trains networks first does not say that nothing is kept."
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))
    cls = dd_lit.distill.get_method('mtt')
    def interrupted(self):
        raise KeyboardInterrupt
    monkeypatch.setattr(cls, 'step', interrupted)
    p = call('distill', 'mtt', '--iters', 2, '--out', 's', '--set', 'model=mlp', 'experts=1', 'expert_epochs=1',
             'starts=1', 'span=1', 'steps=1', check=130)
    assert 'no iteration is kept, but networks that it has trained are (DD_LIT_CACHE says where)' in p.stderr
    assert list((tmp_path/'cache').glob('*.safetensors'))


def test_a_listing_of_nothing(call):
    one_line(call('reproduce', '--paper', 'mtt', '--method', 'dc'), "method: no recipe of paper mtt has 'dc'",
             'expected one of mtt')


def test_reproduce_may_fetch_its_data(call, monkeypatch):
    import dd_lit.reproduce
    asked = []
    def load(*args):
        asked.append(args[-1])
        raise FileNotFoundError('not there')
    monkeypatch.setattr(dd_lit.reproduce, 'load_data', load)
    for more in ([], ['--download']):
        one_line(call('reproduce', 'mnist/dc/ipc1', *more), 'not there')
    assert asked == [False, True]


def test_import_takes_nothing_that_has_no_effect(call):
    call('distill', 'random', '--out', 'r', check=0)
    call('export', 'r', 'r.npz', check=0)
    for what, value in dict(soft_kind='logits', seed=1, device='cpu').items():
        for file in ('r.npz', 'r'):
            one_line(call('import', file, '--' + what.replace('_', '-'), value), f'{what}: expected ')
    one_line(call('import', 'r', '--norm', 'half'), 'norm: expected None')


def test_a_set_that_names_no_data_is_not_tested_on_digits(call, tmp_path):
    DistilledSet(torch.zeros(10, 1, 16, 16), torch.arange(10), ((0.5,), (0.5,)), list('abcdefghij')).save(tmp_path/'s')
    for words in (('evaluate', 's'), ('compare', 's', 'random')):
        one_line(call(*words), 'data: expected a name or a path (--data), the set does not say')
