"""Sets, checkpoints and scores that come from elsewhere: hostile, damaged, or made for other data and other tools."""
import errno
import io
import json
import os
import re
import shutil
import warnings
from pathlib import Path, PureWindowsPath

import matplotlib.pyplot as plt
import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from dd_lit.cli import COMMANDS, Command, Export, main, source_of
from dd_lit.compare import Row, compare, stored_scores
from dd_lit.core import drawable, rng, save_figure, seal, show_images
from dd_lit.data import ImageData, load_data
from dd_lit.distill import distill, load_checkpoint
from dd_lit.evaluate import Scores, evaluate, made_whitened, matched
from dd_lit.report import cell, compare_figure, table
from dd_lit.sets import (
    FORMS,
    NORMS,
    DistilledSet,
    as_dataset,
    check_meta,
    drawn_text,
    export_set,
    is_set,
    one_line,
    pack_set,
    read_sets,
    safe_name,
    set_arrays,
    show_wall,
    with_classes,
)
from dd_lit.whiten import whitened

NORM = ((.4,), (.3,))
FAST = dict(model='convnet1', model_kw=dict(width=4), epochs=1, repeats=1)


def small_set(classes=('ant', 'bee', 'cat'), n=6, soft=False, **meta):
    "A set of noise, two images per class."
    x = torch.randn(n, 1, 8, 8, generator=rng(0, 'images'))
    y = torch.arange(n) % len(classes)
    z = torch.randn(n, len(classes), generator=rng(0, 'soft')) if soft else None
    return DistilledSet(x, y, NORM, classes, z, 'logits' if soft else None, meta=dict(method='dc', data='toy') | meta)


def toy(classes=('ant', 'bee', 'cat'), n=12):
    "Data of three classes that are told apart by their brightness."
    y = torch.arange(2*n) % len(classes)
    x = (60*y[:, None, None, None] + torch.randint(0, 60, (2*n, 1, 8, 8), generator=rng(0, 'toy'))).byte()
    return ImageData(x[:n], y[:n], x[n:], y[n:], norm=NORM, classes=classes, name='toy')


def same(a, b):
    "Are two sets the same, but for what is said about them?"
    soft = a.soft is b.soft is None or a.soft is not None and b.soft is not None and torch.equal(a.soft, b.soft)
    return (torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels) and soft
            and (a.norm, a.classes, a.patches) == (b.norm, b.classes, b.patches))


def refused(f, *words):
    "A ValueError of one line."
    with pytest.raises(ValueError) as e:
        f()
    assert '\n' not in str(e.value).strip()
    for w in words:
        assert w in str(e.value), (w, str(e.value))
    return str(e.value)


def files(folder):
    return {p.relative_to(folder) for p in folder.rglob('*')}


def rewritten(folder, **changes):
    "A set's two files with other entries, as somebody with bad intentions would write them: the checksum fits."
    from dd_lit.sets import _sealed
    with safetensors.safe_open(folder/'data.safetensors', framework='pt') as f:
        own, tensors = json.loads(f.metadata()['dd_lit']), {k: f.get_tensor(k) for k in f.keys()}
    blob = json.dumps(_sealed(own | changes))
    (folder/'data.safetensors').write_bytes(safetensors.torch.save(tensors, metadata=dict(dd_lit=blob)))
    (folder/'meta.json').write_text(blob)


# --- Names ---

ALLOWED = re.compile(r'[A-Za-z0-9._-]+')
NAMES = ('../../x', '/etc/passwd', 'CON', 'nul.txt', 'a.', ' ', '', '.', '..', '.hidden', 'a\nb', 'a:b', 'ä' * 300,
         'COM1.tar', 'a\\b', 'a\x00b', '-rf', '~root')


@given(st.one_of(st.sampled_from(NAMES), st.text()))
def test_names_are_made_from_a_fixed_alphabet(text):
    "Whatever comes in, what goes out is the name of one file, also in Windows."
    name = safe_name(text)
    assert ALLOWED.fullmatch(name) and 0 < len(name) <= 80 and name[0] not in '.-' and name[-1] != '.'
    assert Path(name).name == name == PureWindowsPath(name).name
    assert name.split('.')[0].upper() not in ('CON', 'PRN', 'AUX', 'NUL', 'COM1', 'LPT1')
    assert safe_name(name) == name


def test_ordinary_names_stay():
    for name in ('dc', 'dc_mdo', 'cifar10', 'ipc10', 'timm-vit.x', 'herding'):
        assert safe_name(name) == name


@pytest.mark.parametrize('method', ['../../../escaped', '/tmp/escaped', 'a/b', 'NUL', 'x' * 500, 'a\nb'])
def test_a_set_cannot_choose_where_its_score_is_written(method, tmp_path):
    "The name of the method is text from a file."
    small_set(method=method).save(tmp_path/'in')
    before = files(tmp_path)
    compare([tmp_path/'in'], toy(), out=tmp_path/'deep'/'er'/'out', **FAST)
    new = files(tmp_path) - before
    assert all(p.parts[0] == 'deep' and p.parts[:3] in (('deep',), ('deep', 'er'), ('deep', 'er', 'out')) for p in new)
    stored, = (tmp_path/'deep'/'er'/'out'/'scores').glob('*.json')
    assert ALLOWED.fullmatch(stored.name) and not Path('/tmp/escaped').exists()


@given(classes=st.lists(st.text(max_size=12), min_size=2, max_size=4, unique=True))
def test_pictures_stay_in_their_folder(classes, tmp_path_factory):
    out = tmp_path_factory.mktemp('pictures')
    small_set(classes=classes, n=2*len(classes)).to_folder(out/'in'/'side')
    assert {p.parts[0] for p in files(out)} == {'in'} and len(list(out.rglob('*.png'))) == 2*len(classes)
    folders = [p.name for p in (out/'in'/'side').iterdir() if p.is_dir()]
    assert all(ALLOWED.fullmatch(n) for n in folders) and len({n.lower() for n in folders}) == len(classes)


# --- Text ---

MARKUP = ('a|b', '[link](http://evil.example)', '<img src=x onerror=alert(1)>', 'a\n| fake | 99.9 ± 0.0 |', '`code`',
          '**bold**', '\x1b[31mred', '$x^2$', 'http://evil.example', 'a\\', '![p](x.png)', '‮drow', '&lt;b&gt;')


def rows_of(name):
    ds = small_set(method=name)
    return [Row(name, 2, 'convnet1', 'ce', '', Scores([50.], [90.]), ds, 1., None, 100)]


@given(st.one_of(st.sampled_from(MARKUP), st.text(max_size=30)))
def test_text_from_files_is_no_markup(text):
    "One row stays one row of as many cells, and nothing in it is read as a link, a tag, emphasis or an escape."
    lines = table(rows_of(text)).split('\n')
    assert len(lines) == 3 and table(rows_of(text)).isprintable() is False     # by its two line ends only
    assert all(l.isprintable() for l in lines)
    cells = [len(re.findall(r'(?<!\\)(?:\\\\)*\|', l)) for l in lines]
    assert len(set(cells)) == 1
    first = re.split(r'(?<!\\)\|', lines[2])[1]
    bare = re.sub(r'\\.|&#\d+;|&(lt|gt|amp);', '', first)
    assert not set(bare) & set('<>[]`*$|\\') and '://' not in bare


def test_ordinary_names_in_a_table_stay():
    for name in ('dc_mdo', 'convnet3 width=64', 'kl T=4', 'random'):
        assert f'| {name} ' in table(rows_of(name))


@pytest.mark.parametrize('text', MARKUP)
def test_a_set_shows_itself_whatever_its_texts_are(text, tmp_path):
    "Class names with dollars are mathematics to matplotlib, escapes are commands to a terminal."
    ds = small_set(classes=(text, r'$\frac$', '$'), method=text, data=text)
    ds.show(path=tmp_path/'x.png')
    assert repr(ds).isprintable() and (tmp_path/'x.png').stat().st_size > 500


SIGNS = st.text(st.sampled_from('ab$_ éßЖλ日本한あ🙂𓂀'), min_size=1, max_size=6)


@given(classes=st.lists(SIGNS, min_size=2, max_size=4, unique=True))
@example(classes=['café', '日本', 'a b', '$'])
@settings(max_examples=10)
@pytest.mark.filterwarnings('error')
def test_class_names_that_the_font_cannot_draw(classes, tmp_path_factory):
    "Their numbers are drawn, in every picture, without a warning for each sign; the others stay."
    texts = list(map(drawn_text, classes))
    names = drawable(texts)
    lacks = [any(c in '日本한あ🙂𓂀' for c in s) for s in classes]
    assert names == [f'#{i}' if bad else s for i, (s, bad) in enumerate(zip(texts, lacks, strict=True))]
    n, f = len(classes), tmp_path_factory.mktemp('s')/'x.png'
    ds, data = small_set(classes, n=2*n), toy(classes, 4*n)
    for fig in (ds.show(), data.show(1), show_wall([ds]), show_images(ds.pixels(), titles=texts, suptitle=texts[0]),
                compare_figure([Row(classes[0], 2, 'mlp', 'ce', '', Scores([50.], [90.]), ds, 1., None, 100)])):
        save_figure(fig, f)
        plt.close(fig)


def test_what_the_font_lacks_is_said_once(monkeypatch, capsys):
    monkeypatch.setenv('DD_LIT_PROGRESS', '1')
    for _ in range(2):
        plt.close(small_set(['面', '白', 'a']).show())
    said, = capsys.readouterr().err.splitlines()
    assert said == "the font has no signs for '面' and 1 more; the picture has their numbers, #0, ..."


# --- Types ---

WRONG_META = [('method', 3), ('method', ['dc']), ('data', {}), ('seed', 'x'), ('seconds', '3'),
              ('seconds', float('nan')),
              ('iterations', 1.5), ('config', 'lr=1'), ('peak_bytes', []), ('data_fingerprint', 7), ('ipc', 'many')]


@pytest.mark.parametrize(('key', 'value'), WRONG_META)
def test_wrong_types_in_meta_are_errors(key, value, tmp_path):
    small_set().save(tmp_path)
    rewritten(tmp_path, meta=dict(method='dc', data='toy') | {key: value})
    refused(lambda: DistilledSet.load(tmp_path), f'meta: {key}', str(tmp_path))
    refused(lambda: small_set(**{key: value}), f'meta: {key}')


WRONG = [('classes', 'abc'), ('classes', [1, 2, 3]), ('classes', {'a': 1, 'b': 2, 'c': 3}), ('classes', None),
         ('norm', 3), ('norm', [['.4'], ['.3']]), ('norm', {'mean': 1, 'std': 2}), ('patches', '2'), ('patches', True),
         ('patches', 1.), ('meta', []), ('meta', [['method', 'dc']]), ('meta', 'dc'), ('meta', None), ('format', 7)]


@pytest.mark.parametrize(('key', 'value'), WRONG)
def test_wrong_types_in_a_set_are_errors(key, value, tmp_path):
    small_set().save(tmp_path)
    rewritten(tmp_path, **{key: value})
    refused(lambda: DistilledSet.load(tmp_path), str(tmp_path))


@pytest.mark.parametrize('blob', ['[]', '3', 'null', '"x"', '[' * 100000, '{"format": "dd_lit.DistilledSet/1"}'])
def test_a_header_that_is_no_table(blob, tmp_path):
    small_set().save(tmp_path)
    with safetensors.safe_open(tmp_path/'data.safetensors', framework='pt') as f:
        tensors = {k: f.get_tensor(k) for k in f.keys()}
    (tmp_path/'data.safetensors').write_bytes(safetensors.torch.save(tensors, metadata=dict(dd_lit=blob)))
    refused(lambda: DistilledSet.load(tmp_path), 'data.safetensors')
    small_set().save(tmp_path)
    (tmp_path/'meta.json').write_text(blob)
    refused(lambda: DistilledSet.load(tmp_path), 'meta.json')


@pytest.mark.parametrize('kind', [torch.bfloat16, torch.float64, torch.int32, torch.complex64, torch.bool])
def test_numbers_of_another_type(kind, tmp_path):
    small_set().save(tmp_path)
    with safetensors.safe_open(tmp_path/'data.safetensors', framework='pt') as f:
        meta, tensors = f.metadata(), {k: f.get_tensor(k) for k in f.keys()}
    tensors['images'] = tensors['images'].to(kind)
    (tmp_path/'data.safetensors').write_bytes(safetensors.torch.save(tensors, metadata=meta))
    refused(lambda: DistilledSet.load(tmp_path), 'data.safetensors')


@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7),
       file=st.sampled_from(['data.safetensors', 'meta.json']))
def test_a_flipped_bit_is_seen_or_changes_nothing(where, bit, file, tmp_path_factory):
    d, ds = tmp_path_factory.mktemp('flip'), small_set(soft=True)
    ds.save(d)
    b = bytearray((d/file).read_bytes())
    b[int(where*len(b))] ^= 1 << bit
    (d/file).write_bytes(b)
    try:
        back = DistilledSet.load(d)
    except ValueError:
        return
    assert same(back, ds) and all(back.meta.get(k) == v for k, v in ds.meta.items())


KEYS = ('norm', 'classes', 'meta', 'patches', 'soft_kind', 'format', 'digest', 'x')
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ANYTHING = st.recursive(LEAVES, lambda o: st.lists(o, max_size=3) | st.dictionaries(st.text(max_size=3), o, max_size=3),
                        max_leaves=6)


@given(what=st.dictionaries(st.sampled_from(KEYS), ANYTHING))
def test_a_set_of_anything_is_a_set_or_a_sentence(what, tmp_path_factory):
    d = tmp_path_factory.mktemp('any')
    small_set().save(d)
    rewritten(d, **what)
    try:
        back = DistilledSet.load(d)
    except ValueError:
        return
    assert repr(back).isprintable() and len(back.classes) >= 3


# --- Checkpoints ---

@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    "The bytes of a checkpoint, and what it holds."
    d = tmp_path_factory.mktemp('run')
    def stop(method):
        if method.k == 2:
            raise KeyboardInterrupt
    from dd_lit.distill import run
    from dd_lit.method import get_method
    made = get_method('dc')(toy(), 1, iters=4, width=4, batch_real=4)
    with pytest.raises(KeyboardInterrupt):
        run(made, d, checkpoint_seconds=0, on_step=stop)
    return (d/'checkpoint.pt').read_bytes(), load_checkpoint(d/'checkpoint.pt')


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and set(a) == set(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return a == b


def flips(data, path, places, start=0):
    "How many flipped bits were read, and how many of those gave something else."
    good, read, other = load_checkpoint(path), 0, 0
    for at in places:
        b = bytearray(data)
        b[start + int(at*(len(b) - start))] ^= 4
        path.write_bytes(b)
        try:
            back = load_checkpoint(path)
        except ValueError:
            continue
        read, other = read + 1, other + (not equal(back, good))
    return read, other


def test_a_checkpoint_knows_its_checksum(checkpoint, tmp_path):
    data, _ = checkpoint
    (tmp_path/'c.pt').write_bytes(data)
    assert flips(data, tmp_path/'c.pt', [k/200 for k in range(200)]) == (0, 0)


def test_a_checkpoint_from_before_the_checksum_goes_on(checkpoint, tmp_path):
    "Its zip file has checksums of its own, of what is in it."
    _, content = checkpoint
    torch.save(content, tmp_path/'c.pt')
    assert equal(load_checkpoint(tmp_path/'c.pt'), content)
    assert flips((tmp_path/'c.pt').read_bytes(), tmp_path/'c.pt', [k/200 for k in range(200)])[1] == 0


@given(cut=st.floats(0, 1, exclude_max=True), more=st.binary(max_size=50))
def test_a_cut_or_grown_checkpoint(cut, more, checkpoint, tmp_path_factory):
    data, _ = checkpoint
    d = tmp_path_factory.mktemp('cut')
    for b in (data[:int(cut*len(data))], data + more if more else b'', more):
        (d/'checkpoint.pt').write_bytes(b)
        refused(lambda: load_checkpoint(d/'checkpoint.pt'), 'checkpoint.pt')


CHANGES = dict(identity=3, state=[])
STATES = [('k', 'x'), ('k', -3), ('k', 10**9), ('k', None), ('images', 'x'), ('images', None), ('history', 3),
          ('history', ['a']), ('optimizers', []), ('optimizers', [{}]), ('labels', torch.zeros(2, 2)), ('seconds', 'x'),
          ('images', torch.zeros(1)), ('seconds', None)]


@pytest.mark.parametrize(('key', 'value'), [*CHANGES.items(), *STATES])
def test_a_checkpoint_with_other_things_in_it(key, value, checkpoint, tmp_path):
    content = dict(checkpoint[1])
    if key in CHANGES:
        content[key] = value
    else:
        content['state'] = content['state'] | {key: value}
    torch.save(content, tmp_path/'checkpoint.pt')
    refused(lambda: distill('dc', toy(), 1, out=tmp_path, iters=4, width=4, batch_real=4), 'checkpoint.pt')


# --- Places ---

def test_a_damaged_score_is_named(tmp_path):
    "One line that names the file and says what to do; not a wrong number, not a traceback."
    small_set().save(tmp_path/'in')
    compare([tmp_path/'in'], toy(), out=tmp_path/'out', **FAST)
    f, = (tmp_path/'out'/'scores').glob('*.json')
    good = f.read_text()
    for bad in ('', '{"top1": [', '[]', '3', '{}', '{"top1": 3, "top5": 4}', '{"top1": ["x"], "top5": [1]}',
                '{"top1": [], "top5": []}', good.replace('"top1"', '"top2"'), '[' * 100000):
        f.write_text(bad)
        refused(lambda: compare([tmp_path/'in'], toy(), out=tmp_path/'out', **FAST), f.name, 'fresh')
    f.write_text(good)
    compare([tmp_path/'in'], toy(), out=tmp_path/'out', **FAST)


def test_an_unwritable_home_is_said_before_anything_is_trained(call, tmp_path, monkeypatch):
    (tmp_path/'file').write_text('')
    how = ['--set', 'backbone=convnet3', 'squeeze_epochs=1', 'width=4']
    monkeypatch.setenv('HOME', str(tmp_path/'file'))
    monkeypatch.setenv('DD_LIT_CACHE', '')
    p = call('distill', 'rded', '--out', 'a', *how, check=2)
    line, = p.stderr.strip().splitlines()
    assert str(tmp_path/'file') in line and 'DD_LIT_CACHE' in line


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize('writes', [0, 1, 2])
def test_a_full_disk_is_one_line_with_the_file(number, writes, call, tmp_path, monkeypatch):
    "Full from the beginning, or after so many files."
    done = []
    def full(fd):
        done.append(fd)
        if len(done) > writes:
            raise OSError(number, os.strerror(number))
    monkeypatch.setattr(os, 'fsync', full)
    p = call('distill', 'random', '--out', 'a')
    assert p.returncode == 2
    line, = p.stderr.strip().splitlines()
    assert "'a" in line and os.strerror(number) in line and '--out' in line


# --- A set and its data ---

@given(order=st.permutations(['ant', 'bee', 'cat']), soft=st.booleans())
def test_classes_go_by_name(order, soft):
    "The same set with its classes in another order is the same set."
    ds = small_set(soft=soft)
    place = torch.tensor([order.index(c) for c in ds.classes])
    z = None if ds.soft is None else ds.soft[:, place.argsort()]
    other = DistilledSet(ds.images, place[ds.labels], NORM, order, z, 'logits')
    assert same(with_classes(other, ds.classes), ds)
    loud = with_classes(other, [c.upper() + ' ' for c in ds.classes])
    assert torch.equal(loud.labels, ds.labels) and (z is None or torch.equal(loud.soft, ds.soft))


def test_another_order_scores_the_same():
    data, ds = toy(), None
    x = data.normalize(data.train_x)
    ds = DistilledSet(x, data.train_y, NORM, data.classes)
    other = DistilledSet(x, 2 - data.train_y, NORM, data.classes[::-1])
    how = dict(model_kw=dict(width=8), epochs=20, repeats=1, lr=.1)
    a, b = (evaluate(s, data, 'convnet1', **how).top1[0] for s in (ds, other))
    assert a == b and a > 80
    row, = compare([other], data, model='convnet1', **how)
    assert row.scores.top1[0] > 80
    refused(lambda: evaluate(other, data, 'convnet1', soft=torch.zeros(12, 3), loss='kl', **how), 'soft:', 'order')


def test_other_classes_are_refused():
    "Naming the first that differs."
    ds = small_set(classes=('ant', 'bee', 'dog'))
    refused(lambda: evaluate(ds, toy(), 'convnet1', **{k: v for k, v in FAST.items() if k != 'model'}),
            "class 2 is 'dog'", "'cat'")
    refused(lambda: compare([ds], toy(), **FAST), "class 2 is 'dog'")
    numbers = DistilledSet(ds.images, ds.labels, NORM)
    assert matched(numbers, toy()) is numbers           # nobody has named its classes


@pytest.mark.parametrize(('key', 'value'), [('norm', [[.5], [.3]]), ('classes', ['bee', 'ant', 'cat']), ('patches', 2),
                                            ('norm', [[.4], [.30000001]])])
@pytest.mark.parametrize('file', ['data.safetensors', 'meta.json'])
@pytest.mark.parametrize('sealed', [True, False])
def test_what_the_numbers_mean_is_under_the_checksum(key, value, file, sealed, tmp_path):
    "In either file, and in sets from before there was this checksum."
    small_set().save(tmp_path)
    if not sealed:
        with safetensors.safe_open(tmp_path/'data.safetensors', framework='pt') as f:
            own, tensors = json.loads(f.metadata()['dd_lit']), {k: f.get_tensor(k) for k in f.keys()}
        del own['checksum']
        blob = safetensors.torch.save(tensors, metadata=dict(dd_lit=json.dumps(own)))
        (tmp_path/'data.safetensors').write_bytes(blob)
        (tmp_path/'meta.json').write_text(json.dumps(own))
        assert same(DistilledSet.load(tmp_path), small_set())
    if file == 'meta.json':
        twin = json.loads((tmp_path/file).read_text())
        (tmp_path/file).write_text(json.dumps(twin | {key: value}))
    else:
        with safetensors.safe_open(tmp_path/file, framework='pt') as f:
            own, tensors = json.loads(f.metadata()['dd_lit']), {k: f.get_tensor(k) for k in f.keys()}
        blob = json.dumps(own | {key: value})
        (tmp_path/file).write_bytes(safetensors.torch.save(tensors, metadata=dict(dd_lit=blob)))
    refused(lambda: DistilledSet.load(tmp_path), str(tmp_path))


def test_a_note_may_be_added(tmp_path):
    small_set().save(tmp_path)
    twin = json.loads((tmp_path/'meta.json').read_text())
    twin['meta']['note'] = 'the good one'
    (tmp_path/'meta.json').write_text(json.dumps(twin, indent=3))
    assert DistilledSet.load(tmp_path).meta['note'] == 'the good one'


def pictures(folder, classes=('ant', 'bee', 'cat'), n=6, side=16):
    "An image folder whose classes differ in brightness."
    g = rng(0, 'pictures')
    for c, name in enumerate(classes):
        (folder/name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            x = (60*c + torch.randint(0, 60, (side, side), generator=g)).byte().numpy()
            Image.fromarray(x).save(folder/name/f'{i}.png')


def test_a_set_finds_its_data_from_any_folder(call, tmp_path, monkeypatch):
    "The path as it was typed, relative or below the root; changed data is refused, other data may be named."
    few = ['--repeats', 1, '--model', 'convnet1', '--set', 'epochs=1', 'width=4']
    pictures(tmp_path/'pets')
    pictures(tmp_path/'all'/'zoo')
    call('distill', 'random', '--data', 'pets', '--out', 'a', check=0)
    call('distill', 'random', '--data', 'zoo', '--root', 'all', '--size', 8, '--out', 'b', check=0)
    (tmp_path/'elsewhere').mkdir()
    monkeypatch.setattr('pytest.MonkeyPatch.chdir', lambda *_: None)
    os.chdir(tmp_path/'elsewhere')
    for s in 'ab':
        assert 'top-1' in call('evaluate', f'../{s}', *few, check=0).stdout
    pictures(tmp_path/'pets', n=7)
    p = call('evaluate', '../a', *few, check=2)
    assert 'fingerprint' in p.stderr and '--data' in p.stderr
    call('evaluate', '../a', '--data', '../pets', *few, check=0)
    shutil.rmtree(tmp_path/'pets')
    p = call('evaluate', '../a', *few, check=2)
    assert 'pets' in p.stderr and '--data' in p.stderr


@pytest.mark.parametrize('number', [errno.EACCES, errno.EROFS])
def test_a_read_only_folder_still_prints_the_score(number, call, tmp_path, monkeypatch):
    call('distill', 'random', '--out', 'a', check=0)
    def closed(path, data):
        raise OSError(number, os.strerror(number), str(path))
    monkeypatch.setattr('dd_lit.core.atomic_write', closed)
    p = call('evaluate', 'a', '--repeats', 1, '--model', 'convnet1', '--set', 'epochs=1', 'width=4', check=0)
    assert 'top-1' in p.stdout and '--out' in p.stderr


# --- Other people's sets, and ours for other people ---

PEERS = Path(os.environ.get('DD_LIT_DATA') or 'data')/'peers'


def arrays(ds, **names):
    return {names.get(k, k): t for k, t in set_arrays(ds).items()}


def bright():
    "A set of pixels that 8 bits can hold, and those pixels."
    p = torch.randint(0, 256, (6, 3, 8, 8), generator=rng(0, 'bright'))
    norm = (.4, .5, .6), (.2, .3, .25)
    m, s = (torch.tensor(o, dtype=torch.float64).view(1, 3, 1, 1) for o in norm)
    return DistilledSet(((p/255.).double() - m).div(s).float(), torch.arange(6) % 3, norm, ['ant', 'bee', 'cat']), p


@pytest.mark.parametrize('form', FORMS)
def test_what_is_exported_is_imported(form, call, tmp_path):
    "Tensors to the bit, pictures to the byte; from Python and from a shell."
    ds, p = bright()
    ds.save(tmp_path/'a')
    call('export', 'a', f'b.{form}', '--form', form, check=0)
    call('import', f'b.{form}', '--out', 'c', '--norm', *map(str, ds.norm[0] + ds.norm[1]), check=0)
    for back in (DistilledSet.load(tmp_path/'c'/'0'), DistilledSet.read(tmp_path/f'b.{form}', norm=ds.norm)):
        order = back.labels.argsort(stable=True), ds.labels.argsort(stable=True)
        assert back.classes == ds.classes
        assert torch.equal(*(s.labels[i] for s, i in zip((back, ds), order, strict=True)))
        a, b = (s.images[i] for s, i in zip((back, ds), order, strict=True))
        assert torch.allclose(a, b, atol=1e-6) and (form in ('folder', 'parquet') or torch.equal(a, b))
    p = call('export', 'a', f'b.{form}', '--form', form, check=2)           # nothing is overwritten
    assert 'expected a new' in p.stderr


def test_an_exported_file_is_tensors_only(tmp_path):
    "Anybody reads it, without unpickling and without us."
    import pyarrow.parquet as pq
    ds = small_set(soft=True)
    t = torch.load(ds.export(tmp_path/'a.pt'), weights_only=True)
    assert torch.equal(t['images'], ds.images) and torch.equal(t['soft_labels'], ds.soft)
    assert np.load(ds.export(tmp_path/'a.npz'), allow_pickle=False)['classes'].tolist() == ds.classes
    about = json.loads(pq.read_schema(ds.export(tmp_path/'a.parquet')).metadata[b'huggingface'])
    features = about['info']['features']
    assert features['image'] == {'_type': 'Image'} and features['label'] == {'names': ds.classes, '_type': 'ClassLabel'}
    x, y, z = as_dataset(ds)[1]
    assert torch.equal(x, ds.images[1]) and y == ds.labels[1] and torch.equal(z, ds.soft[1])
    assert torch.equal(as_dataset(ds, pixels=True)[1][0], ds.pixels()[1])
    refused(lambda: export_set(ds, tmp_path/'a.xyz'), 'form:')


@given(classes=st.lists(st.text('ab01_Z 日²٣.', min_size=1, max_size=4), min_size=2, max_size=12, unique=True))
def test_folders_sort_like_the_classes(classes, tmp_path_factory):
    "By code point, without case, and by the numbers in them: every tool gives a class the same number."
    out = tmp_path_factory.mktemp('order')/'x'
    ds = small_set(classes=classes, n=2*len(classes))
    ds.export(out, 'folder')
    from torchvision.datasets import ImageFolder
    found = ImageFolder(str(out))
    assert [y for _, y in found.samples] == sorted(ds.labels.tolist())
    assert sorted(found.classes, key=str.casefold) == found.classes
    number = [[int(t) if t.isdigit() else t for t in re.split(r'(\d+)', n)] for n in found.classes]
    assert sorted(number) == number
    back, order = DistilledSet.read(out), ds.labels.argsort(stable=True)
    assert back.classes == classes and torch.equal(back.labels, ds.labels[order])
    assert (back.pixels() - ds.pixels()[order]).abs().max() <= .5/255 + 1e-6


KINDS = [('RGBA', 'png'), ('LA', 'png'), ('P', 'gif'), ('I;16', 'png'), ('1', 'png'), ('CMYK', 'tiff'), ('L', 'JPG')]


@pytest.mark.parametrize(('mode', 'end'), KINDS)
@pytest.mark.parametrize('form', ['folder', 'parquet'])
def test_pictures_of_a_set_are_read_as_those_of_data(mode, end, form, tmp_path):
    "Transparent, of 16 bits, of any kind: what a person sees; hidden files are nobody's picture."
    import pyarrow as pa
    import pyarrow.parquet as pq
    files = []
    for i, c in enumerate('aabb'):
        f = tmp_path/'set'/c/f'{i}.{end}'
        f.parent.mkdir(parents=True, exist_ok=True)
        im = Image.new('RGB', (8, 8), (60*i, 9, 200)).convert('L' if mode == 'I;16' else mode)
        if mode in ('RGBA', 'LA'):
            im.putalpha(128)
        im = Image.fromarray(np.asarray(im).astype(np.uint16)*257) if mode == 'I;16' else im
        im.save(f)
        files.append(f)
    (tmp_path/'set'/'a'/'._0.png').write_bytes(b'no picture')
    data = load_data(tmp_path/'set', test_fraction=.5)
    rows = [dict(image=f.read_bytes(), label=i//2) for i, f in enumerate(files)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path/'set.parquet')
    ds = DistilledSet.read(tmp_path/('set.parquet' if form == 'parquet' else 'set'))
    assert ds.labels.tolist() == [0, 0, 1, 1] and ds.images.shape[1] == data.in_chans
    seen = {x.numpy().tobytes() for x in torch.cat([data.train_x, data.test_x])}
    assert {x.numpy().tobytes() for x in (ds.pixels()*255).round().byte()} == seen


NAMED = [dict(images='x', labels='y'), dict(images='image_syn', labels='label_syn'),
         dict(images='data', labels='targets'),
         dict(images='Images', soft_labels='soft_label')]


@pytest.mark.parametrize('names', NAMED)
@pytest.mark.parametrize('end', ['.pt', '.npz', '.safetensors'])
def test_the_usual_keys(names, end, tmp_path):
    ds, f = small_set(soft=True), tmp_path/f'a{end}'
    t = {k: v for k, v in arrays(ds, **names).items() if k not in ('mean', 'std')}
    if end == '.pt':
        torch.save(t, f)
    elif end == '.npz':
        np.savez(f, **{k: v.numpy() for k, v in t.items()})
    else:
        safetensors.torch.save_file(t, f)
    back = DistilledSet.read(f, norm=NORM)
    assert all(torch.equal(getattr(back, k), getattr(ds, k)) for k in ('images', 'labels', 'soft'))
    assert back.meta['space'] == 'model' and 'detected' in back.meta['space_from']
    refused(lambda: DistilledSet.read(f), 'norm:')


ENDS_OF = dict(pt=('.pt', '.PT', '.pth', '.Pth'), npz=('.npz', '.NPZ'), safetensors=('.safetensors', '.SafeTensors'),
               parquet=('.parquet', '.PARQUET'), folder=('', '.folder', '.v2'))


@given(form=st.sampled_from([None, 'pth', *ENDS_OF]), end=st.sampled_from([e for v in ENDS_OF.values() for e in v]),
       odd=st.sampled_from([None, None, '.npy', '.xyz']))
def test_what_is_exported_is_read_again_or_not_written(form, end, odd, tmp_path_factory):
    "The end of a name, in any case, and the form say the same, or one line says that they do not."
    f, ds, form_of = tmp_path_factory.mktemp('e')/f'a{odd or end}', small_set(), 'pt' if form == 'pth' else form
    own = next((k for k, ends in ENDS_OF.items() if end in ends), None) if odd is None else None
    good = own is not None and own == (form_of or own) and not (form is None and end == '.v2')
    good = good or odd == '.xyz' and form == 'folder'
    if not good:
        refused(lambda: ds.export(f, form), 'form' if form is None else f'form={form_of!r}')
        assert not f.exists()
        return
    back = DistilledSet.read(ds.export(f, form))
    assert len(back) == len(ds) and back.classes == ds.classes


def test_a_file_of_ours_in_capitals(tmp_path):
    ds, f = small_set(), tmp_path/'A.SAFETENSORS'
    assert same(DistilledSet.load(pack_set(ds, f, exact=True)), ds) and is_set(f) and same(DistilledSet.read(f), ds)
    (tmp_path/'parts').mkdir()
    torch.save(ds.images, tmp_path/'parts'/'Images.PT')
    torch.save(ds.labels, tmp_path/'parts'/'labels.pt')
    assert torch.equal(DistilledSet.read(tmp_path/'parts', norm=NORM, space='model').images, ds.images)


@pytest.mark.parametrize('end', ['.jpg', '', '.json', '.safetensors'])
def test_a_picture_is_a_png(end, tmp_path):
    ds = small_set()
    for door in (lambda f: ds.show(path=f), lambda f: show_wall([ds], path=f)):
        refused(lambda door=door: door(tmp_path/f'a{end}'), 'path: expected a file NAME.png')
        assert not list(tmp_path.iterdir())
    ds.show(path=tmp_path/'a.PNG')


@pytest.mark.parametrize('packed', [False, True])
@pytest.mark.parametrize('said', [dict(space='pixels'), dict(space='banana'), dict(norm='imagenet'),
                                  dict(norm=NORM), dict(soft_kind='logits')], ids=str)
def test_a_set_of_ours_says_itself_what_it_is(said, packed, tmp_path, call):
    ds, f = small_set(soft=True), tmp_path/'a.safetensors'
    pack_set(ds, f) if packed else ds.save(tmp_path/'a')
    f = f if packed else tmp_path/'a'
    name, = said
    refused(lambda: read_sets(f, **said), f'{name}: expected None with a set of dd_lit')
    if not isinstance(said[name], tuple):
        p = call('import', f, f'--{name.replace("_", "-")}', said[name], '--out', 'in', check=2)
        assert f'{name}: ' in p.stderr and not (tmp_path/'in').exists()
    assert len(read_sets(f)[0]) == len(ds)


AS_PIXELS = [lambda x: x.byte(), lambda x: x/255, lambda x: x.byte().permute(0, 2, 3, 1), lambda x: x*1.]


@pytest.mark.parametrize('change', AS_PIXELS)
def test_pixels_are_known_by_their_values(change, tmp_path):
    ds, p = bright()
    torch.save(dict(images=change(p), labels=ds.labels), tmp_path/'a.pt')
    back = DistilledSet.read(tmp_path/'a.pt', norm=ds.norm)
    assert back.meta['space'] == 'pixels' and torch.allclose(back.images, ds.images, atol=1e-5)


def test_what_values_do_not_tell_is_asked(tmp_path):
    x = torch.rand(6, 1, 8, 8)*2 - 1
    torch.save(dict(images=x, labels=torch.arange(6) % 3), tmp_path/'a.pt')
    refused(lambda: read_sets(tmp_path/'a.pt'), 'space:', '--space')
    refused(lambda: read_sets(tmp_path/'a.pt', space='pixels'), 'space:')
    back, = read_sets(tmp_path/'a.pt', space='model', norm='half')
    assert torch.equal(back.images, x) and back.norm == ((.5,), (.5,)) and 'half' in NORMS


@pytest.mark.parametrize('rate', [None, .02])
def test_sets_of_the_releases_that_whiten(rate, tmp_path, monkeypatch, capsys):
    "A folder as MTT and DATM write it: one file each, in the whitened space of the data."
    monkeypatch.chdir(tmp_path)
    digits = load_data('digits')
    x, y = digits.normalize(digits.train_x[:20]), digits.train_y[:20]
    given = dict(images=whitened(digits).enter(x), labels=y) | (dict(lr=torch.tensor(rate)) if rate else {})
    Path('theirs').mkdir()
    for name, numbers in given.items():
        torch.save(numbers, f'theirs/{name}_best.pt')
    main(['import', 'theirs', 'digits', '--space', 'zca'])
    assert 'zca' in capsys.readouterr().out
    ours = DistilledSet.load('runs/theirs/0')
    for ds in (ours, *read_sets('theirs', whitened(digits))):
        assert torch.allclose(ds.images, x, atol=1e-4) and made_whitened(ds)
        assert ds.meta.get('learned_lr') == (None if rate is None else pytest.approx(rate))
    plain, = read_sets('theirs', 'digits', space='model')
    assert not torch.allclose(plain.images, x, atol=.5) and not made_whitened(plain)
    scores = evaluate(ours, digits, protocol='mtt', repeats=1, epochs=1, model_kw=dict(width=8))
    assert scores.config['whiten'] is True and scores.config['lr'] == pytest.approx(rate or .01)
    refused(lambda: read_sets('theirs', whitened(digits), norm='half'), 'norm:')
    assert main(['import', 'theirs', '--space', 'zca']) != 0 and 'space:' in capsys.readouterr().err


def test_pixels_are_pixels_whatever_the_data_is(tmp_path):
    ds, p = bright()
    torch.save(dict(images=p.byte(), labels=ds.labels), tmp_path/'a.pt')
    data = ImageData(p.byte(), ds.labels, p.byte(), ds.labels, ds.norm)
    back, = read_sets(tmp_path/'a.pt', whitened(data))
    assert torch.allclose(back.images, ds.images, atol=1e-5) and not made_whitened(back)


def test_numbers_that_are_none_are_named(tmp_path):
    x, y = torch.randn(2, 1, 8, 8)*9, torch.arange(2)
    for odd, words in ((dict(mean='a', std='b'), 'mean: expected an array of numbers'),
                       (dict(images=x*1j), 'images: expected real numbers')):
        torch.save(dict(images=x, labels=y) | odd, tmp_path/'a.pt')
        refused(lambda: read_sets(tmp_path/'a.pt', norm='half'), words, 'a.pt')
    refused(lambda: DistilledSet(x, y, NORM, meta={(1, 2): 3}).save(tmp_path/'s'), 'meta: expected what JSON can hold')


def test_many_pictures_do_not_stay_open():
    "Where nobody sees them: matplotlib warned of the twenty-first, and kept all."
    plt.close('all')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        figures = [f() for _ in range(13) for f in (small_set().show, lambda: show_wall([small_set()]))]
    assert 0 < len(plt.get_fignums()) <= 10 and figures[-1].number in plt.get_fignums()
    figures[0].savefig(io.BytesIO())                     # whoever holds one has it
    plt.close('all')


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_pixels_that_are_none_are_named(bad, tmp_path):
    x = torch.rand(3, 1, 8, 8)
    x[1, 0, 2, 2] = bad
    torch.save(dict(images=x, labels=torch.arange(3)), tmp_path/'a.pt')
    for space in (None, 'pixels', 'model'):
        refused(lambda s=space: read_sets(tmp_path/'a.pt', space=s), 'images: 1 of 3 contain NaN or infinity')


def test_bytes_are_no_space_of_zca(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save(dict(images=torch.zeros(2, 1, 16, 16).byte(), labels=torch.arange(2)), 'a.pt')
    assert main(['import', 'a.pt', 'digits', '--space', 'zca']) != 0
    assert 'space: zca space is no whole numbers' in capsys.readouterr().err


@pytest.mark.parametrize('form', ['pt', 'npz', 'safetensors'])
def test_a_learned_rate_is_written_too(form, tmp_path):
    "Protocol mtt takes it; of a whitened set it belongs to a space that the file is not in."
    for white in (False, True):
        ds = small_set(learned_lr=.02, config=dict(whiten=white))
        back = DistilledSet.read(export_set(ds, tmp_path/f'{white}.{form}'))
        assert back.meta.get('learned_lr') == (None if white else .02)


def test_a_rate_that_came_along_is_a_rate(tmp_path):
    for bad in (-1., 0., float('nan'), 1j, [1., 2.], 'fast'):
        torch.save(dict(images=torch.randn(2, 1, 8, 8)*9, labels=torch.arange(2), lr=bad), tmp_path/'a.pt')
        refused(lambda: read_sets(tmp_path/'a.pt', norm='half'), 'learned_lr')


@pytest.mark.parametrize('form', ['new{:03d}/class{:03d}_id{:03d}.png', '{:05d}/class{:05d}_id{:05d}.png'])
def test_folders_of_sre2l_gvbsm_and_rded(form, tmp_path):
    "The number in a folder's name is the class; class 10 comes after class 9."
    for c in range(12):
        for i in range(2):
            f = tmp_path/'syn'/form.format(c, c, i)
            f.parent.mkdir(parents=True, exist_ok=True)
            Image.new('RGB', (8, 8), (20*c, i, 0)).save(f)
    ds = DistilledSet.read(tmp_path/'syn')
    assert ds.labels.tolist() == [c for c in range(12) for _ in range(2)]
    assert (ds.pixels()[:, 0, 0, 0]*255).round().tolist() == [20.*c for c in range(12) for _ in range(2)]


@pytest.mark.skipif(not PEERS.is_dir(), reason='no sets of other people here')
@pytest.mark.parametrize(('name', 'data', 'sets', 'n'), [
    ('dc_mnist_ipc1', 'mnist', 5, 10), ('dc_cifar10_ipc1', 'cifar10', 1, 10), ('dc_cifar10_ipc10', 'cifar10', 1, 100)])
def test_sets_of_the_reference_implementation(name, data, sets, n, call, tmp_path):
    "One command each; the numbers in the file, to the bit."
    call('import', PEERS/f'{name}.pt', data, '--out', 'in', check=0)
    theirs = torch.load(PEERS/f'{name}.pt', weights_only=True)['data'] if data != 'mnist' else None
    found = sorted((tmp_path/'in').iterdir())
    assert len(found) == sets
    ds = DistilledSet.load(found[0])
    assert len(ds) == n and ds.meta['space'] == 'model' and ds.meta['data'] == data
    assert theirs is None or torch.equal(ds.images, theirs[0][0])


class Evil:
    def __init__(self, path):
        self.path = path
    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(tmp_path):
    torch.save(dict(images=Evil(tmp_path/'owned'), labels=torch.zeros(1)), tmp_path/'a.pt')
    np.savez(tmp_path/'a.npz', images=np.array([Evil(tmp_path/'owned')], dtype=object), labels=np.zeros(1))
    np.save(tmp_path/'images.npy', np.array([Evil(tmp_path/'owned')], dtype=object))
    for f in ('a.pt', 'a.npz', '.'):
        refused(lambda f=f: read_sets(tmp_path/f), 'nothing that would have to be executed is read')
    assert not (tmp_path/'owned').exists()


SOME = st.one_of(LEAVES, st.builds(lambda *s: torch.zeros(s), *[st.integers(0, 3)]*4), st.just(torch.arange(3)),
                 st.lists(LEAVES, max_size=3), st.just(torch.full((2, 3, 4, 4), float('nan'))))


PARTS = ('images', 'labels', 'soft_labels', 'classes', 'mean', 'std', 'data', 'space', 'lr')
ENDS = ('.pt', '.npz', '.npy', '.safetensors', '.parquet')


@given(what=st.dictionaries(st.sampled_from(PARTS), SOME), junk=st.binary(max_size=40), end=st.sampled_from(ENDS))
def test_a_foreign_file_is_a_set_or_a_sentence(what, junk, end, tmp_path_factory):
    d = tmp_path_factory.mktemp('foreign')
    torch.save(what, d/'a.pt')
    (d/f'b{end}').write_bytes(junk)
    (d/'folder'/'x').mkdir(parents=True)
    (d/'folder'/'x'/'y.png').write_bytes(junk)
    for f in ('a.pt', f'b{end}', 'folder', 'nowhere'):
        try:
            sets = read_sets(d/f)
        except ValueError as e:
            assert '\n' not in str(e)
            continue
        assert all(isinstance(s, DistilledSet) for s in sets)


# --- Small pieces ---

def test_text_for_a_screen_a_figure_and_a_table():
    assert one_line('a\nb\x1b[0m') == 'a b [0m' and one_line('x'*100, 10) == 'x'*7 + '...'
    assert drawn_text('$x$', 3) == r'\$x\$' and cell('a|b_c') == r'a\|b_c' and cell('_a_') == r'\_a\_'


def test_meta_is_a_copy():
    m = dict(method='dc', note=[1])
    assert check_meta(m) == m and check_meta(m) is not m and check_meta(None) == {}


def test_a_seal_is_a_checksum_at_the_end():
    assert seal(b'abc')[:3] == b'abc' and len(seal(b'')) == len(seal(b'abc')) - 3 and seal(b'a')[1:] != seal(b'b')[1:]


def test_scores_that_were_stored(tmp_path):
    (tmp_path/'s.json').write_text(json.dumps(dict(top1=[50.], top5=[90.], hard=[])))
    assert stored_scores(tmp_path/'s.json') == Scores([50.], [90.], [])


def test_where_data_was_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path/'pets').mkdir()
    assert source_of('pets', 'all', 8) == dict(name=str(tmp_path/'pets'), root=str(tmp_path/'all'), size=8)
    assert source_of('mnist', 'all', None) == dict(name='mnist', root=str(tmp_path/'all'))
    assert issubclass(Export, Command) and COMMANDS['export'] is Export
