"""Open doors: whatever folder, picture, table or dataset comes is read as its owner sees it or refused in a sentence.

Names and paths first, then pictures of every kind, then splits and classes, each first by cases and then by drawn ones.
"""
import ast
import json
import os
import struct
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dd_lit.compare import compare
from dd_lit.core import show_images
from dd_lit.data import ImageData, check_outside, load_data
from dd_lit.distill import distill
from dd_lit.sets import DistilledSet, read_sets
from dd_lit.train import fit

def picture(value=100, mode='L', size=8) -> Image.Image:
    return Image.new('RGB', (size, size), (value,)*3).convert(mode)

def put(folder: Path, n=2, value=100, **kw) -> Path:
    "A folder of `n` pictures."
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        picture(value, **kw).save(folder/f'{i}.png')
    return folder

def pets(path: Path, n=2) -> Path:
    "Two classes of pictures."
    put(path/'cat', n, 50)
    put(path/'dog', n, 200)
    return path

def one_class(path: Path, *images: Image.Image, **kw) -> Path:
    "A folder with one class `a` of these pictures, and as many of a class `b`."
    for c in 'ab':
        (path/c).mkdir(parents=True)
        for i, im in enumerate(images):
            im.save(path/c/f'{i}.{kw.get("kind", "png")}', **kw.get('how', {}))
    return path

def first(path: Path, **kw) -> torch.Tensor: # uint8 [C,H,W]
    "The first training image of a folder."
    return load_data(path, **kw).train_x[0]

def refuses(*words, **kw):
    "A call that ends in one error, which has these words in it."
    class Refused:
        def __enter__(self):
            self.raises = pytest.raises((ValueError, FileNotFoundError))
            self.info = self.raises.__enter__()
        def __exit__(self, *a):
            done = self.raises.__exit__(*a)
            said = str(self.info.value)
            assert all(w in said for w in words), said
            return done
    return Refused()


# --- What is typed is what is read ---

def test_the_path_that_was_typed(tmp_path):
    pets(tmp_path/'cats-dogs'), put(tmp_path/'cats_dogs'/'x', 2), put(tmp_path/'cats_dogs'/'y', 2)
    assert load_data(tmp_path/'cats-dogs').classes == ['cat', 'dog']
    assert load_data(tmp_path/'cats_dogs').classes == ['x', 'y']
    assert load_data('cats-dogs', root=tmp_path).classes == ['cat', 'dog']

def test_a_path_comes_before_the_root(tmp_path, monkeypatch):
    pets(tmp_path/'Clean'), put(tmp_path/'root'/'Clean'/'x', 2), put(tmp_path/'root'/'Clean'/'y', 2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('DD_LIT_DATA', str(tmp_path/'root'))
    assert load_data('Clean').classes == ['cat', 'dog']

def test_a_known_name_is_a_path_only_if_there_are_data(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path/'digits'/'notes').mkdir(parents=True)
    assert load_data('digits').num_classes == 10
    (tmp_path/'digits'/'notes').rmdir()
    pets(tmp_path/'digits')
    assert load_data('digits').classes == ['cat', 'dog'] and 'comes first' in capsys.readouterr().err

@pytest.mark.parametrize('split', ['train', 'test'])
def test_a_split_that_holds_a_set_is_named(split, tmp_path):
    "It was said to be missing, while its owner saw it lying there."
    for s in ('train', 'test'):
        pets(tmp_path/s)
    (tmp_path/split/'checkpoint.pt').touch()
    with refuses(f'beside it; {split!r} holds a distilled set, or a run'):
        load_data(tmp_path)

def test_a_distilled_set_is_no_class(tmp_path, capsys):
    "Pictures that lie with one are passed over, which is said; its own picture is none of them."
    pets(tmp_path/'mine', 3)
    ds = distill('random', tmp_path/'mine')
    for out in ('out', 'runs/cat_1', 'cat/deep'):
        ds.save(tmp_path/'mine'/out)
        picture().save(tmp_path/'mine'/out/'grid.png')
    d = load_data(tmp_path/'mine')
    assert d.classes == ['cat', 'dog'] and d.counts().tolist() == [2, 2] and not capsys.readouterr().err
    with refuses('distilled set'):
        load_data(tmp_path/'mine'/'out')
    put(tmp_path/'mine'/'owl')
    put(tmp_path/'mine'/'emu'/'deep', 3)
    for out in ('owl', 'emu/deep'):
        ds.save(tmp_path/'mine'/out)
    assert load_data(tmp_path/'mine').classes[:2] == ['cat', 'dog']
    said = capsys.readouterr().err
    for folder, n in (('owl', 2), ('emu/deep', 3)):
        assert f"{str(tmp_path/'mine'/folder)!r}: passed over with {n} pictures in it" in said, said

INSIDE = {
    'distill': ['distill', 'random', '--data', 'mine', '--out'],
    'tensorboard': ['distill', 'random', '--data', 'mine', '--out', 'run', '--tensorboard'],
    'compare': ['compare', 'made', '--out'], 'demo': ['demo', '--data', 'mine', '--out'],
    'import': ['import', 'made.npz', 'mine', '--out'], 'show': ['show', 'made', '--png'],
    'export': ['export', 'made', 'PLACE', '--form'],
}

@pytest.mark.parametrize('door', INSIDE)
def test_nothing_is_written_among_the_pictures(door, call, tmp_path, monkeypatch):
    "It would be a class the next time, or hide one; the error names both, by whatever way they are typed."
    pets(tmp_path/'mine', 3)
    call('distill', 'random', '--data', 'mine', '--out', 'made', check=0)
    call('export', 'made', 'made.npz', check=0)
    (tmp_path/'also').symlink_to(tmp_path/'mine')
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', SimpleNamespace(SummaryWriter=print))
    before = sorted(tmp_path.rglob('*'))
    for place in ('mine/new', 'mine/cat', 'also/runs/new', 'made/../mine'):
        words = [place if w == 'PLACE' else w for w in INSIDE[door]]
        p = call(*words, 'folder' if door == 'export' else place, check=2)
        assert f"{place!r} lies inside of the pictures, {str(tmp_path/'mine')!r}" in p.stderr, p.stderr
        assert p.stderr.strip().count('\n') == 0 and sorted(tmp_path.rglob('*')) == before

def test_nor_from_python(tmp_path):
    pets(tmp_path/'mine', 3)
    d = load_data(tmp_path/'mine')
    for call in (distill, compare, check_outside):
        with refuses('out: ', 'lies inside of the pictures'):
            if call is check_outside:
                call(tmp_path/'mine'/'new', d.folder)
            else:
                call('random', d, out=tmp_path/'mine'/'new')
    check_outside(tmp_path/'mine'/'new', load_data('digits').folder)
    assert sorted(p.name for p in (tmp_path/'mine').iterdir()) == ['cat', 'dog']

@pytest.mark.parametrize('name', ['metadata.parquet', 'notes.parquet', 'cat/a.parquet'])
def test_a_stray_table_leaves_a_folder_a_folder(tmp_path, name):
    pets(tmp_path)
    pq.write_table(pa.table(dict(file_name=['a'], label=[0])), tmp_path/name)
    assert load_data(tmp_path).classes == ['cat', 'dog']
    (tmp_path/name).write_bytes(b'no table')
    assert load_data(tmp_path).classes == ['cat', 'dog']

def test_a_folder_is_called_what_it_is_called(tmp_path, monkeypatch):
    pets(tmp_path/'pets')
    (tmp_path/'link').symlink_to(tmp_path/'pets')
    assert load_data(tmp_path/'link').name == 'link'
    monkeypatch.chdir(tmp_path/'pets')
    assert load_data('.').name == 'pets'

@pytest.mark.parametrize('name', ['', 'x\0y', 'x'*5000, 'a/b', '.', 'pets.zip', '~nobody/x'])
def test_no_traceback_for_a_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path/'pets.zip').write_bytes(b'PK')
    with refuses():
        load_data(name)


# --- Every picture as a viewer shows it ---

RAMP = np.tile(np.linspace(0, 65535, 16), (16, 1))

@pytest.mark.parametrize('kind, a', [('png', RAMP.astype(np.uint16)), ('tif', RAMP.astype(np.uint16)),
                                     ('tif', (RAMP/65535).astype(np.float32))])
def test_deep_greys_are_scaled(tmp_path, kind, a):
    x = first(one_class(tmp_path, *[Image.fromarray(a)]*2, kind=kind))
    assert x.shape == (1, 16, 16)
    assert (x[0, 0].double() - torch.linspace(0, 255, 16, dtype=torch.float64)).abs().max() <= .51

@pytest.mark.parametrize('a', [(RAMP*30000).astype(np.int32), RAMP.astype(np.float32), -RAMP.astype(np.float32),
                               (RAMP/65535).astype(np.int32), np.full((4, 4), np.nan, np.float32)])
def test_greys_of_no_known_range_are_refused(tmp_path, a):
    with refuses('0.tif', 'no range that a viewer knows'):
        load_data(one_class(tmp_path, *[Image.fromarray(a)]*2, kind='tif'))

def half() -> Image.Image:
    "Left half black, right half white, wider than high."
    a = np.zeros((8, 16, 3), np.uint8)
    a[:, 8:] = 255
    return Image.fromarray(a)

@pytest.mark.parametrize('tag, dark', [(1, 'left'), (2, 'right'), (3, 'right'), (6, 'top'), (8, 'bottom')])
@pytest.mark.parametrize('kind', ['jpg', 'png', 'webp'])
def test_orientation(tmp_path, kind, tag, dark):
    exif = Image.Exif()
    exif[0x112] = tag
    x = first(one_class(tmp_path, *[half()]*2, kind=kind, how=dict(exif=exif))).float().mean(0)
    assert x.shape == ((8, 16) if dark in ('left', 'right') else (16, 8))
    darkest = dict(left=x[:, :4], right=x[:, -4:], top=x[:4], bottom=x[-4:])
    assert min(darkest, key=lambda k: darkest[k].mean()) == dark and x.max() > 200

@pytest.mark.parametrize('mode, kind', [('RGBA', 'png'), ('LA', 'png'), ('RGBA', 'webp'), ('RGBA', 'tif')])
def test_transparency_lies_on_white(tmp_path, mode, kind):
    a = np.zeros((8, 8, 4), np.uint8)
    a[:, 4:] = (0, 0, 0, 255)
    im = Image.fromarray(a).convert(mode)
    x = first(one_class(tmp_path, im, im, kind=kind, how=dict(lossless=True) if kind == 'webp' else {}))
    assert x[:, :, :4].min() == 255 and x[:, :, 4:].max() == 0
    x = first(tmp_path, background='red')
    assert x[:, 0, 0].tolist() == [255, 0, 0] and x[:, 0, 7].tolist() == [0, 0, 0]
    with refuses('background', 'nocolour'):
        load_data(tmp_path, background='nocolour')

@pytest.mark.parametrize('mode', ['L', 'RGB', 'P'])
def test_one_transparent_colour(tmp_path, mode):
    im = picture(0, mode)
    im.putpixel((0, 0), (255, 255, 255) if mode == 'RGB' else 200)
    t = {'L': 0, 'RGB': (0, 0, 0), 'P': im.getpixel((5, 5))}[mode]
    x = first(one_class(tmp_path, im, im, how=dict(transparency=t)))
    assert x[:, 5, 5].min() == 255

def test_one_transparent_grey_of_sixteen_bits(tmp_path):
    a = np.full((8, 8), 60_000, np.uint16)
    a[:, 4:] = 0
    one_class(tmp_path, *[Image.fromarray(a)]*2, how=dict(transparency=60_000))
    assert first(tmp_path, background='black').max() == 0 and first(tmp_path).shape == (1, 8, 8)
    assert first(tmp_path, background='red')[:, 0, 0].tolist() == [255, 0, 0]

def test_twelve_bits_in_numbers_of_sixteen_are_said(tmp_path, capsys):
    deep = (RAMP/16).astype(np.uint16)
    one_class(tmp_path, *[Image.fromarray(deep)]*3)
    x, y = np.tile(deep, (6, 1, 1, 1)), [0, 1]*3
    ways = (lambda k: load_data(tmp_path, keep='memory'), lambda k: load_data(tmp_path, keep='disk'),
            lambda k: load_data([(k*x[i, 0], i % 2) for i in range(6)]), lambda k: ImageData(k*x, y, k*x, y))
    for way in ways:
        assert way(1).train_x[:].max() == 16 and 'nearly black' in capsys.readouterr().err
    for way in ways[2:]:                                                     # 16 times as large: all is said
        assert way(16).train_x.max() == 255 and not capsys.readouterr().err

def test_the_first_picture_of_an_animation(tmp_path):
    for i, (kind, how) in enumerate([('gif', {}), ('webp', dict(lossless=True)), ('png', {}), ('tif', {})]):
        frames = [picture(v, 'RGB') for v in (40, 200)]
        how |= dict(save_all=True, append_images=frames[1:])
        assert first(one_class(tmp_path/str(i), frames[0], frames[0], kind=kind, how=how)).unique().tolist() == [40]

@pytest.mark.parametrize('kind', ['jp2', 'tga', 'ico', 'pcx', 'icns', 'avif', 'jfif', 'qoi', 'dds', 'sgi', 'apng'])
def test_every_kind_of_file_that_pillow_opens(tmp_path, kind):
    Image.init()
    if Image.EXTENSION.get(f'.{kind}') not in Image.SAVE:
        pytest.skip(f'this Pillow does not write {kind}')
    im = picture(90, 'RGB', 32)
    x = first(one_class(tmp_path, im, im, kind=kind))
    assert (x.float() - 90).abs().max() < 6

def test_cmyk_and_palettes(tmp_path):
    im = picture(77, 'CMYK')
    x = first(one_class(tmp_path, im, im, kind='tif'))
    assert (x.float() - 77).abs().max() <= 2

def test_all_damaged_files_at_once(tmp_path, capsys, call):
    pets(tmp_path/'d', 6)
    for p in ('cat/0.png', 'dog/3.png', 'dog/5.png'):
        (tmp_path/'d'/p).write_bytes((tmp_path/'d'/p).read_bytes()[:40])
    with refuses('cat/0.png', 'dog/3.png', 'dog/5.png', 'skip_damaged', '3 of 12'):
        load_data(tmp_path/'d')
    d = load_data(tmp_path/'d', skip_damaged=True)
    assert len(d.train_x) + len(d.test_x) == 9 and d.in_chans == 1 and '3 of 12' in capsys.readouterr().err
    p = call('distill', 'random', '--data', 'd', '--skip-damaged')
    assert p.returncode == 0 and '3 of 12' in p.stderr

def test_files_passed_over_are_counted_in_one_line(tmp_path, capsys):
    pets(tmp_path)
    for i in range(3):
        (tmp_path/'cat'/f'{i}.txt').write_text('x')
    (tmp_path/'dog'/'clip.mp4').write_bytes(b'x')
    load_data(tmp_path)
    said = [l for l in capsys.readouterr().err.splitlines() if 'passed over' in l]
    assert len(said) == 1 and '4 files' in said[0] and '.txt' in said[0] and '.mp4' in said[0]

LEAVINGS = ['.hidden', '__MACOSX', '.ipynb_checkpoints', '@eaDir', '$RECYCLE.BIN', 'System Volume Information',
            '__pycache__']

@pytest.mark.parametrize('where', ['', 'cat', 'cat/deep'])
@pytest.mark.parametrize('name', LEAVINGS)
def test_leavings_are_skipped_at_every_depth(tmp_path, name, where, capsys):
    pets(tmp_path)
    put(tmp_path/where/name, 3)
    for leaving in ('._0.png', 'Thumbs.db'):
        (tmp_path/'cat'/leaving).write_bytes(b'x')
    (tmp_path/'cat'/'x.png').mkdir()
    d = load_data(tmp_path)
    assert (d.classes, len(d.train_x) + len(d.test_x)) == (['cat', 'dog'], 4) and not capsys.readouterr().err

def bomb(path: Path, side=20000) -> None:
    "A PNG of a few bytes that says it has `side` squared pixels."
    import zlib
    def chunk(kind, body):
        return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
    head = struct.pack('>IIBBBBB', side, side, 8, 0, 0, 0, 0)
    parts = chunk(b'IHDR', head), chunk(b'IDAT', zlib.compress(b'')), chunk(b'IEND', b'')
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(parts))

def test_bombs(tmp_path):
    pets(tmp_path)
    bomb(tmp_path/'cat'/'9.png')
    for size in (None, 8):
        with refuses('9.png', 'max_pixels', '400000000 pixels'):
            load_data(tmp_path, size=size)
    with refuses('0.png', 'max_pixels'):
        load_data(tmp_path, max_pixels=63)
    assert len(load_data(tmp_path, skip_damaged=True).train_x) == 2
    Image.new('L', (14000, 13000), 7).save(tmp_path/'cat'/'9.png')        # 182 million pixels: over the limit
    with refuses('182000000 pixels', 'max_pixels'):
        load_data(tmp_path, size=8)
    assert load_data(tmp_path, size=8, max_pixels=200_000_000).counts().sum() == 3
    assert Image.MAX_IMAGE_PIXELS == 89478485

def test_a_long_thin_picture_does_not_grow(tmp_path):
    one_class(tmp_path, *[Image.new('L', (60000, 1), 9)]*2)
    assert first(tmp_path, size=64).unique().tolist() == [9]      # not 64 x 3,840,000 in between

MODES = ['1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'CMYK', 'YCbCr', 'HSV', 'I;16', 'I', 'F', 'La', 'RGBa']

def drawn(mode: str, g) -> Image.Image:
    "A picture of this mode, 7 wide and 9 high."
    a = g.integers(0, 65536, (9, 7)).astype(np.uint16)
    if mode in ('I;16', 'I', 'F'):
        return Image.fromarray(dict(zip(('I;16', 'I', 'F'), (a, a.astype(np.int32), (a/65535).astype(np.float32)),
                                        strict=True))[mode])
    im = Image.fromarray(g.integers(0, 256, (9, 7, 4), dtype=np.uint8))
    through = {'PA': 'P', 'HSV': 'RGB', 'YCbCr': 'RGB', 'CMYK': 'RGB', 'La': 'LA', 'P': 'RGB', '1': 'RGB', 'LA': 'RGBA'}
    return im.convert(through.get(mode, 'RGBA')).convert(mode)

@given(st.lists(st.tuples(st.sampled_from(MODES), st.sampled_from(['png', 'tif', 'gif', 'webp', 'jpg'])),
                min_size=4, max_size=6), st.integers(0, 9), st.sampled_from([None, 1, 3, 6, 9]))
def test_any_pictures(tmp_path_factory, names, seed, tag):
    "Of many modes and kinds: all come, or the error names a file whose greys have no range."
    d, g, deep = tmp_path_factory.mktemp('p'), np.random.default_rng(seed), []
    exif = Image.Exif()
    if tag:
        exif[0x112] = tag
    for i, (mode, kind) in enumerate(names):
        (d/'ab'[i % 2]).mkdir(exist_ok=True)
        path = d/'ab'[i % 2]/f'{i}.{kind}'
        try:
            drawn(mode, g).save(path, exif=exif)
            deep += [path.name] if (mode, kind) == ('I', 'tif') else []
        except (OSError, ValueError, KeyError, TypeError):                   # this kind cannot hold that mode
            path.unlink(missing_ok=True)
            drawn('L', g).save(path.with_suffix('.png'))
    try:
        x = load_data(d, size=8)
    except ValueError as e:
        assert deep and all(n in str(e) for n in deep) and 'no range that a viewer knows' in str(e), e
        return
    assert not deep and len(x.train_x) + len(x.test_x) == len(names)
    assert (x.train_x == 255).float().mean() < .9                            # nothing was cut off to white

@given(st.binary(max_size=300), st.integers(0, 200), st.sampled_from(['png', 'tif', 'gif', 'webp', 'jpg', 'bmp']))
def test_any_damage(tmp_path_factory, noise, at, kind):
    "Bytes in the middle of a file exchanged: it comes, or is named; the others come with --skip-damaged."
    d = pets(tmp_path_factory.mktemp('b'), 3)
    hurt = d/'cat'/f'hurt.{kind}'
    drawn('RGB', np.random.default_rng(0)).save(hurt)
    whole = hurt.read_bytes()
    hurt.write_bytes(whole[:at] + noise + whole[at + len(noise):])
    try:
        load_data(d, size=8)
    except ValueError as e:
        assert 'hurt' in str(e), e
        assert load_data(d, size=8, skip_damaged=True).in_chans == 1


# --- Splits and classes ---

TRAIN = ['train', 'training', 'Train', 'TRAINING', 'train_set']
TEST = ['test', 'Testing', 'VAL', 'Valid', 'validation', 'eval', 'dev']

@pytest.mark.parametrize('train', TRAIN)
@pytest.mark.parametrize('test', TEST)
def test_splits_by_any_name(tmp_path, train, test):
    pets(tmp_path/train, 3), pets(tmp_path/test, 2)
    d = load_data(tmp_path)
    assert (d.classes, len(d.train_x), len(d.test_x)) == (['cat', 'dog'], 6, 4)

def test_a_class_may_be_called_train(tmp_path):
    for c in ('train', 'bus', 'test'):
        put(tmp_path/c, 3)
    assert load_data(tmp_path).classes == ['bus', 'test', 'train']

def test_splits_that_cannot_be_read(tmp_path):
    pets(tmp_path/'a'/'test')
    with refuses('test', 'train'):
        load_data(tmp_path/'a')
    pets(tmp_path/'b'/'train'), pets(tmp_path/'b'/'Training'), pets(tmp_path/'b'/'test')
    with refuses('Training', 'train'):
        load_data(tmp_path/'b')
    pets(tmp_path/'c'/'train'), put(tmp_path/'c'/'test'/'images', 2), pets(tmp_path/'c'/'val')
    assert load_data(tmp_path/'c').test_y.tolist() == [0, 0, 1, 1]          # Tiny-ImageNet's test has no labels

@given(st.sampled_from(TRAIN), st.sampled_from(TEST), st.booleans(), st.booleans(), st.integers(1, 3))
def test_any_folder(tmp_path_factory, train, test, split, stray, classes):
    "Whatever the splits are called and whatever lies about: the same classes and counts."
    d = tmp_path_factory.mktemp('f')
    names = [f'c{i}' for i in range(classes)]
    for part, n in ([(train, 3), (test, 2)] if split else [('.', 4)]):
        for c in names:
            put(d/part/c, n)
            if stray:
                put(d/part/c/'.ipynb_checkpoints', 1)
                (d/part/'__MACOSX'/c).mkdir(parents=True)
                (d/part/c/'a.txt').touch()
    x = load_data(d)
    assert x.classes == names and len(x.train_x) == 3*classes and len(x.test_x) == (2 if split else 1)*classes

def test_channels_last(tmp_path):
    x = torch.randint(0, 256, (30, 32, 32, 3), dtype=torch.uint8)
    y = torch.arange(30) % 3
    d = ImageData(x, y, x.numpy()[:3], y[:3])
    assert d.in_chans == 3 and torch.equal(d.train_x, x.permute(0, 3, 1, 2)) and d.train_x.is_contiguous()
    assert ImageData(x[..., :1], y, x[:3, ..., :1], y[:3]).in_chans == 1

def test_labels():
    x = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8)
    y = torch.arange(6) % 3
    assert ImageData(x, y[:, None], x, y.numpy()[:, None]).train_y.tolist() == y.tolist()
    start = time.time()
    with refuses('train_y', '1000000000', '0..C-1'):
        ImageData(x, torch.tensor([0, 1, 2, 0, 1, 10**9]), x, y)
    with refuses('train_y', '0..C-1'):
        ImageData(x, torch.tensor([0, 1, 2, 0, 1, 2**62]), x, y)
    assert time.time() - start < 5

@given(st.lists(st.integers(-3, 2**40), min_size=4, max_size=6), st.booleans())
def test_any_labels(labels, column):
    x, y = torch.zeros(len(labels), 1, 4, 4, dtype=torch.uint8), torch.tensor(labels)
    try:
        d = ImageData(x, y[:, None] if column else y, x[:1], y[:1])
    except ValueError as e:
        assert 'train_y' in str(e) and not (min(labels) == 0 and max(labels) == len(set(labels)) - 1)
    else:
        assert d.train_y.tolist() == labels and d.num_classes == max(labels) + 1 == len(set(labels))

def rows(n=8, label='label', image='img', values=(0, 1), value=0):
    import io
    out = []
    for i in range(n):
        b = io.BytesIO()
        picture(value + 10*i).save(b, 'PNG')
        out.append({image: dict(bytes=b.getvalue(), path=None), label: values[i % len(values)]})
    return out

def table(path: Path, r: list, meta=None) -> Path:
    t = pa.Table.from_pylist(r)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(t if meta is None else t.replace_schema_metadata({b'huggingface': meta}), path)
    return path

def test_text_labels(tmp_path):
    d = load_data(table(tmp_path/'a.parquet', rows(values=('dog', 'cat', 'hen10', 'hen9'))))
    assert d.classes == ['cat', 'dog', 'hen9', 'hen10'] and len(d.train_x) == 4
    table(tmp_path/'s'/'train-0.parquet', rows(values=('dog', 'cat')))
    table(tmp_path/'s'/'test-0.parquet', rows(4, values=('cat',)))
    assert load_data(tmp_path/'s').test_y.tolist() == [0]*4
    table(tmp_path/'s'/'test-0.parquet', rows(4, values=('cow',)))
    with refuses('cow', 'test'):
        load_data(tmp_path/'s')

def test_columns_by_name(tmp_path, call):
    r = [o | dict(kind='xy'[i % 2], other=o['photo']) for i, o in enumerate(rows(label='breed', image='photo'))]
    p = table(tmp_path/'a.parquet', r)
    with refuses('image_column', 'label_column', 'photo', 'breed'):
        load_data(p)
    assert load_data(p, image_column='photo', label_column='kind').classes == ['x', 'y']
    with refuses('label_column', 'nope', 'breed'):
        load_data(p, image_column='photo', label_column='nope')
    with refuses('image_column', 'kind'):
        load_data(p, image_column='kind', label_column='breed')
    call('distill', 'random', '--data', p, '--label-column', 'breed', '--image-column', 'photo', check=0)

def test_splits_without_labels(tmp_path, capsys):
    table(tmp_path/'train-0.parquet', rows()), table(tmp_path/'validation-0.parquet', rows(4))
    for other in ([dict(img=o['img']) for o in rows(3)], rows(3, values=(-1,)), rows(3, values=(None,))):
        table(tmp_path/'test-0.parquet', other)
        d = load_data(tmp_path)
        assert len(d.train_x) == 8 and len(d.test_x) == 4 and 'test-0.parquet' in capsys.readouterr().err

ODD = [b'', b'null', b'[]', b'{"info": null}', b'{"info": {"features": []}}', b'not json', b'\xff\xfe',
       b'{"info": {"features": {"label": 3}}}',
       b'{"info": {"features": {"label": {"names": "ab"}}}}',
       b'{"info": {"features": {"label": {"names": [1, null]}}}}',
       b'{"info": {"features": {"label": {"names": {"0": "x"}}}}}', b'['*100000]

@pytest.mark.parametrize('meta', ODD, ids=range(len(ODD)))
def test_odd_metadata(tmp_path, meta):
    d = load_data(table(tmp_path/'a.parquet', rows(), meta))
    assert d.num_classes == 2 and len(d.train_x) == 6

def test_names_from_metadata(tmp_path):
    meta = json.dumps(dict(info=dict(features=dict(label=dict(names=['no', 'yes']))))).encode()
    assert load_data(table(tmp_path/'a.parquet', rows(), meta)).classes == ['no', 'yes']

LABELS = st.integers(-2, 3), st.text(max_size=3), st.none(), st.floats(allow_nan=False), st.booleans()

@given(st.lists(st.one_of(*LABELS), min_size=2, max_size=3), st.sampled_from(['label', 'odd']),
       st.sampled_from(['img', 'x']),
       st.sampled_from(ODD), st.sampled_from(['train-0', 'a']))
def test_any_table(tmp_path_factory, values, label, image, meta, name):
    "A table is read, or refused in one sentence; what is read has its labels."
    d = tmp_path_factory.mktemp('t')
    try:
        p = table(d/f'{name}.parquet', rows(8, label, image, values), meta)
    except pa.ArrowException:                                    # no table can hold such a column
        return
    try:
        x = load_data(p if name == 'a' else d)
    except ValueError as e:
        assert 'parquet' in str(e) or 'label' in str(e), e
        return
    assert len(x.train_x) + len(x.test_x) == 8 and x.num_classes == len(set(values))

class Pairs(torch.utils.data.Dataset):
    "Any dataset of (image, label)."
    def __init__(self, images, labels, **more):
        self.images, self.labels = images, labels
        self.__dict__.update(more)
    def __len__(self):
        return len(self.images)
    def __getitem__(self, i):
        return self.images[i], self.labels[i]

def makes(kind, n=8):
    a = np.random.default_rng(0).integers(0, 256, (n, 6, 6, 3), dtype=np.uint8)
    t = torch.from_numpy(a).permute(0, 3, 1, 2)
    return dict(pil=[Image.fromarray(o) for o in a], array=list(a), tensor=list(t), floats=list(t/255),
                deep=list(a.astype(np.uint16)*257))[kind], t

@pytest.mark.parametrize('kind', ['pil', 'array', 'tensor', 'floats', 'deep'])
def test_a_torch_dataset(kind):
    images, t = makes(kind)
    d = load_data(Pairs(images, [i % 2 for i in range(8)], classes=['a', 'b']))
    assert d.classes == ['a', 'b'] and len(d.train_x) == 6
    assert {o.numpy().tobytes() for o in [*d.train_x, *d.test_x]} == {o.numpy().tobytes() for o in t}
    d = load_data(dict(train=Pairs(images, ['x', 'y']*4), test=Pairs(images[:2], ['y', 'x'])), size=4, channels=1)
    assert d.classes == ['x', 'y'] and d.test_y.tolist() == [1, 0] and d.train_x.shape == (8, 1, 4, 4)

@pytest.mark.filterwarnings('error')
def test_read_only_arrays(tmp_path):
    "As `numpy.load(..., mmap_mode='r')` and `datasets` give them: copied, without a word from torch."
    x, y = np.arange(8*4*4, dtype=np.uint8).reshape(8, 1, 4, 4), np.array([0, 1]*4)
    plain = ImageData(x, y, x, y)
    np.save(tmp_path/'x.npy', x)
    mapped = np.load(tmp_path/'x.npy', mmap_mode='r')
    y.setflags(write=False)
    for d in (ImageData(mapped, y, mapped, y), load_data(Pairs(list(mapped), y.tolist()))):
        assert {o.numpy().tobytes() for o in d.train_x} <= {o.numpy().tobytes() for o in plain.train_x}
    assert not mapped.flags.writeable and torch.equal(ImageData(mapped, y, mapped, y).train_x, plain.train_x)

@pytest.mark.parametrize('name', ['dataset_dict.json', 'dataset_info.json'])
def test_a_folder_that_datasets_saved(tmp_path, name):
    (tmp_path/name).write_text('{}')
    with refuses('load_from_disk', 'parquet'):
        load_data(tmp_path)

def test_datasets_that_cannot_be_read():
    images, t = makes('tensor')
    labels = [0, 1]*4
    for bad, words in [(Pairs(images, [0, 1, None, *labels[3:]]), ['item 2']),
                       (Pairs(images, [.5]*8), ['item 0', 'label']),
                       (Pairs([t[0]*2. - 1]*8, labels), ['item 0', '0..1']), (Pairs(images, labels[1:]), ['item 7']),
                       (Pairs(['x']*8, labels), ['item 0', 'picture']), (Pairs([], []), ['at least one']),
                       (torch.utils.data.TensorDataset(t), ['item 0', '(image, label)']),
                       (3, ['name']), (None, ['name']), ([], ['name'])]:
        with refuses(*words):
            load_data(bad)

class Hub(list):
    "As much of `datasets.Dataset` as anybody asks: rows as dicts, column names, features."
    def __init__(self, rows, **features):
        super().__init__(rows)
        self.features, self.column_names = features, list(rows[0])

def test_a_hub_dataset():
    images, t = makes('pil')
    names = SimpleNamespace(names=['no', 'yes'])
    r = [dict(image=im, label=i % 2, weight=1.) for i, im in enumerate(images)]
    assert load_data(Hub(r, label=names)).classes == ['no', 'yes']
    secret = Hub([o | dict(label=-1) for o in r])
    d = load_data(dict(train=Hub(r, label=names), validation=Hub(r[:4], label=names), test=secret))
    assert len(d.train_x) == 8 and len(d.test_x) == 4
    other = [dict(photo=o['image'], breed='ab'[o['label']]) for o in r]
    with refuses('image_column', 'photo'):
        load_data(Hub(other))
    assert load_data(Hub(other), image_column='photo', label_column='breed').classes == ['a', 'b']


OTHER = st.sampled_from(['calibration', 'tset', 'extra', 'unlabeled', 'all', 'trainval', 'holdout', '2'])

@given(OTHER, st.sampled_from([None, 'test', 'validation', 'Val', 'dev']), st.sampled_from(['train', 'Training']))
def test_a_split_of_another_name_is_neither(tmp_path_factory, other, test, train):
    "Of a dict, a folder or tables: what is called neither training nor test part is not tested on, nor trained on."
    d, images = tmp_path_factory.mktemp('s'), makes('pil')[0]
    parts = {train: 8, other: 6} | ({test: 4} if test else {})
    for k, n in parts.items():
        pets(d/'folder'/k, n//2)
        table(d/'tables'/f'{k}-0.parquet', rows(n))
    given = {k: Pairs(images[:n], [0, 1]*(n//2)) for k, n in parts.items()}
    x = load_data(d/'tables')
    assert len(x.train_x) + (0 if test else len(x.test_x)) == 8
    for door in (given, d/'folder'):
        if test is None:
            with refuses(*([other] if door is given else []), 'test, val or valid'):
                load_data(door)
        else:
            assert [len(o) for o in (load_data(door).train_x, load_data(door).test_x)] == [8, 4]

def test_a_label_that_the_training_part_lacks():
    images, _ = makes('pil')
    rows = [(im, i % 4) for i, im in enumerate(images)]
    with refuses('test labels: expected 0..3 for 4 classes, got 9 at position 0'):
        load_data(dict(train=rows, test=[(rows[0][0], 9), *rows[1:]]))
    assert load_data(dict(train=rows, test=rows[:2])).test_y.tolist() == [0, 1]

WORDS = [(np.array(['a', 'b']*4), "got names ('a', ...); load_data"), (['a', 'b']*4, "got names ('a', ...)"),
         (np.array([0, 1]*4, object), 'got an array of objects (0, ...)'),
         (np.array([1j]*8), '?'), (np.array([None]*8), 'got ndarray'), (3, '?'),
         (np.array(['a', 'b']*4, object), "got names ('a', ...)")]

@pytest.mark.parametrize('y, words', WORDS, ids=range(len(WORDS)))
def test_labels_that_are_no_numbers_say_what_they_are(y, words):
    x, good = torch.zeros(8, 1, 4, 4, dtype=torch.uint8), torch.arange(8) % 2
    for name, parts in dict(train_y=(x, y, x, good), test_y=(x, good, x, y)).items():
        with refuses(name, '' if words == '?' else words):
            ImageData(*parts)

@pytest.mark.parametrize('keep', ['memory', 'auto'])
def test_what_is_wrong_with_all_pictures_is_said_once(tmp_path, keep):
    "And nobody is advised to go on without all of them."
    normed = [(torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(i)), i % 4) for i in range(40)]
    with pytest.raises(ValueError, match=r'^train item 0: pixels: floats must be pixels in 0\.\.1, got .*'
                       'already normalised.*; it is so with all 40 pictures$') as e:
        load_data(normed, keep=keep)
    assert len(str(e.value)) < 250
    pets(tmp_path, 15)
    for f in tmp_path.rglob('*.png'):
        f.write_bytes(b'none')
    for skip in (False, True):
        with pytest.raises(ValueError, match='unknown format; it is so with all 30 pictures$'):
            load_data(tmp_path, keep=keep, skip_damaged=skip)
    picture(9).save(tmp_path/'cat'/'0.png')
    with pytest.raises(ValueError, match=r"^29 of 30 pictures are not .* \(unknown format\) and 9 more; skip_") as e:
        load_data(tmp_path, keep='memory')
    assert str(e.value).count('.png') == 20 and str(e.value).count('unknown format') == 1


# --- Links ---

def test_a_linked_folder_is_read_where_it_is_linked(tmp_path):
    "Once, as a class or below one; and no link leads back, or from one class into another by way of what holds both."
    d, more = pets(tmp_path/'d', 3), put(tmp_path/'more', 4)
    put(more/'deep', 2)
    (d/'cat'/'more').symlink_to(more)
    (d/'cat'/'again').symlink_to(more)
    (d/'cat'/'up').symlink_to(d)
    (d/'dog'/'own').symlink_to(d/'dog')
    (d/'dog'/'top').symlink_to(tmp_path)
    (more/'deep'/'round').symlink_to(more)
    (d/'emu').symlink_to(put(tmp_path/'bird', 2))
    (tmp_path/'bird'/'back').symlink_to(d)
    x = load_data(d)
    both = torch.cat([x.train_y, x.test_y])
    assert x.classes == ['cat', 'dog', 'emu'] and torch.bincount(both).tolist() == [3 + 4 + 2, 3, 2]
    assert len(read_sets(d)[0]) == 14
    table(tmp_path/'elsewhere'/'train-0.parquet', rows())
    (tmp_path/'t').mkdir()
    (tmp_path/'t'/'part').symlink_to(tmp_path/'elsewhere')
    assert len(load_data(tmp_path/'t').train_x) == 6

@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=8))
def test_any_links(tmp_path_factory, links):
    "Six folders that link to each other as they like: all ends, and no picture of a class is there twice."
    d = tmp_path_factory.mktemp('l')
    places = [d/'a', d/'b', d/'a'/'x', d/'b'/'y', d/'a'/'x'/'z', d]
    for i, p in enumerate(places[:5]):
        put(p, 1, 40*i)
    for k, (a, b) in enumerate(links):
        (places[a]/f'to{k}').symlink_to(places[b])
    if any(a == 5 for a, _ in links):                # a class more
        return
    x = load_data(d)
    both, pixels = torch.cat([x.train_y, x.test_y]), torch.cat([x.train_x, x.test_x])[:, 0, 0, 0]
    for c in (0, 1):
        own = pixels[both == c].tolist()
        assert len(own) == len(set(own)) and set(own) >= ({0, 80, 160} if c == 0 else {40, 120})


# --- The door itself ---

def test_settings_are_checked(tmp_path):
    pets(tmp_path)
    bad = dict(channels=2, test_fraction=1., size=0, max_pixels=0, skip_damaged=3, label_column='x')
    for name, value in bad.items():
        with refuses(name, str(value)):
            load_data(tmp_path, **{name: value})
    with refuses('chans', 'did you mean', 'channels'):
        load_data(tmp_path, chans=1)

def test_channels_everywhere(tmp_path):
    pets(tmp_path)
    assert load_data(tmp_path, channels=3).in_chans == 3 and load_data('digits', channels=3).in_chans == 3
    assert load_data('digits', channels=3, size=8).train_x[0, 1].equal(load_data('digits', size=8).train_x[0, 0])

def test_the_command_line(call, tmp_path):
    pets(tmp_path/'d', 10)
    p = call('distill', 'random', '--data', 'd', '--channels', '3', '--test-fraction', '.3', check=0)
    assert '14 training and 6 test images' in p.stdout and '3x8x8' in p.stdout
    assert 'channels' in call('distill', 'random', '--data', 'd', '--channels', '2').stderr

def test_the_set_is_tested_on_what_it_was_not_made_of(call, tmp_path):
    "`evaluate --data` of the place that a set was made from reads it as it was read then, or says that it does not."
    pets(tmp_path/'d', 10)
    p = call('distill', 'random', '--data', 'd', '--ipc', '5', '--test-fraction', '.4', '--out', 'o', check=0)
    assert '12 training and 8 test images' in p.stdout
    fast = '--repeats', '1', '--set', 'epochs=1', '--model', 'mlp:width=8'
    for said in ((), ('--data', 'd'), ('--data', tmp_path/'d')):
        q = call('evaluate', 'o', *said, *fast, check=0)
        assert 'note:' not in q.stderr
    q = call('evaluate', 'o', '--data', 'd', '--test-fraction', '.3', *fast, check=0)
    assert 'note: the set was made from other training images' in q.stderr
    assert 'as --size reads it' in call('evaluate', 'o', '--size', '4', *fast).stderr

CANNOT = [('digits', dict(test_fraction=.5)), ('digits', dict(seed=3)),
          *((None, {k: v}) for k, v in dict(size=4, channels=3, test_fraction=.5, seed=1, keep='disk').items())]

@pytest.mark.parametrize('name, said', CANNOT)
def test_what_cannot_be_heeded_is_refused(name, said):
    data = load_data('digits')
    with refuses(*said):
        load_data(name or data, **said)
    assert load_data(data) is data and load_data(data, keep='auto') is data

@pytest.mark.skipif(os.geteuid() == 0, reason='nothing is unreadable to root')
def test_a_folder_that_may_not_be_read(tmp_path):
    pets(tmp_path)
    (tmp_path/'cat').chmod(0)
    with refuses('cat'):
        load_data(tmp_path)


# --- what holds no numbers ---

NO_NUMBERS = st.one_of(
    st.none(), st.text(max_size=3), st.builds(object), st.lists(st.text(max_size=2), min_size=1, max_size=3),
    st.just([[1], [1, 2]]), st.just([0, 'a']), st.just({'a': 1}), st.just(np.array(['a'])), st.just(np.array([None])))


@given(wrong=NO_NUMBERS)
def test_what_holds_no_numbers_is_named(wrong):
    "Wherever numbers come in, what holds none is a ValueError in one line that names the argument."
    x, y = torch.zeros(4, 1, 8, 8), torch.arange(4) % 2
    norm, net = ((.5,), (.5,)), torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    doors = dict(
        train_x=lambda: ImageData(wrong, y, x, y), test_x=lambda: ImageData(x, y, wrong, y),
        train_y=lambda: ImageData(x, wrong, x, y), test_y=lambda: ImageData(x, y, x, wrong),
        labels=lambda: DistilledSet(x, wrong, norm), images=lambda: show_images(wrong),
        norm=lambda: DistilledSet(x, y, (wrong, wrong)))
    if wrong is not None:                              # no soft labels
        doors['soft'] = lambda: DistilledSet(x, y, norm, soft=wrong)
        doors['soft '] = lambda: fit(net, x, y, soft=wrong, loss='kl', epochs=1)
    for name, door in doors.items():
        with pytest.raises(ValueError, match=name.strip()) as e:
            door()
        assert '\n' not in str(e.value)

def test_no_list_is_searched_for_every_file():
    "With a thousand classes a folder of a million pictures would take hours."
    loops = ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.For, ast.While
    for name in ('data', 'ondisk', 'sets'):
        tree = ast.parse((ROOT/'dd_lit'/f'{name}.py').read_text())
        within = [n for loop in ast.walk(tree) if isinstance(loop, loops) for n in ast.walk(loop)]
        assert [ast.unparse(n) for n in within if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
                and n.func.attr == 'index' and n.args != [] and not isinstance(n.args[0], ast.Constant)] == [], name

def test_many_classes(tmp_path):
    "Each of a test folder's pictures finds its class, also by Tiny-ImageNet's table; so does a set's."
    names = [f'n{i:03}' for i in range(60)]
    for n in names:
        put(tmp_path/'data'/'train'/n, 1)
        put(tmp_path/'data'/'test'/n, 1)
    assert load_data(tmp_path/'data').test_y.tolist() == list(range(60))
    noted = tmp_path/'data'/'test'
    for n in names:
        (noted/n).rename(tmp_path/n)
    put(noted/'images', 60)
    rows = [f'{i}.png\t{n}\t0' for i, n in enumerate(reversed(names))]
    (noted/'val_annotations.txt').write_text('\n'.join(rows))
    assert sorted(load_data(tmp_path/'data').test_y.tolist()) == list(range(60))
    ds = DistilledSet(torch.randn(60, 1, 4, 4), torch.arange(60).flip(0), ((.5,), (.5,)), names)
    back, = read_sets(ds.to_folder(tmp_path/'set'))
    assert back.labels.tolist() == list(range(60)) and back.classes == names
    listed = tmp_path/'set'/'classes.json'
    about = json.loads(listed.read_text())
    listed.write_text(json.dumps(about | dict(folders=about['folders'][:1]*60)))
    with pytest.raises(ValueError, match='does not list the folders beside it'):
        read_sets(tmp_path/'set')
