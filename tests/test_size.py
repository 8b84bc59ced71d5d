"""Larger than memory: what is decoded on access is bit for bit what would have been decoded at once, never much of it.

Folders, tables and somebody's datasets; every method; what changes or breaks on the way; how much memory it takes.
"""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_parallel import ENV, TWO, said

import dd_lit.data
from dd_lit.core import rng
from dd_lit.data import ImageData, digest_of_test, fingerprint, load_data
from dd_lit.distill import distill
from dd_lit.flow.features import features
from dd_lit.method import list_methods
from dd_lit.models import create_model
from dd_lit.ondisk import OnDisk
from dd_lit.sets import DistilledSet
from dd_lit.train import accuracy, fit

CLASSES = ('ant', 'bee', 'cat')


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))


def photo(c: int, i: int, side=16) -> Image.Image:
    "A patch of colour that says its class, with noise."
    noise = torch.rand(side, side, 3, generator=rng(0, 'photo', c, i))*120
    noise[..., c % 3] += 100
    return Image.fromarray(noise.byte().numpy())


def photos(path: Path, n=14, side=16, kind='jpg') -> Path:
    "A folder of `n` photos of each class."
    for c, name in enumerate(CLASSES):
        (path/name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            photo(c, i, side).save(path/name/f'{i}.{kind}')
    return path


def table(path: Path, n=14, **kw) -> Path:
    "The same as a parquet file, classes mixed, a few rows to a group."
    path.mkdir(parents=True, exist_ok=True)
    folder = photos(path.parent/'for_the_table', n)
    rows = [dict(image=dict(bytes=(folder/CLASSES[k % 3]/f'{k//3}.jpg').read_bytes(), path=None), label=k % 3)
            for k in range(3*n)]
    pq.write_table(pa.Table.from_pylist(rows), path/'train-0.parquet', **dict(row_group_size=5) | kw)
    pq.write_table(pa.Table.from_pylist(rows[::4]), path/'test-0.parquet', row_group_size=4)
    return path


class Mine(torch.utils.data.Dataset):
    "Somebody's dataset, which counts how often it is asked."
    def __init__(self, n=30):
        self.n, self.asked = n, 0
    def __len__(self):
        return self.n
    def __getitem__(self, i):
        self.asked += 1
        return photo(i % 3, i), i % 3


def both(what, **kw) -> tuple[ImageData, ImageData]:
    here, far = (load_data(what, keep=keep, **kw) for keep in ('memory', 'disk'))
    assert isinstance(here.train_x, torch.Tensor) and isinstance(far.train_x, OnDisk) and isinstance(far.test_x, OnDisk)
    return here, far


def same(here: ImageData, far: ImageData) -> bool:
    "Everything of two datasets."
    parts = ('train_y', 'test_y', 'norm', 'classes', 'name')
    alike = all(repr(getattr(here, p)) == repr(getattr(far, p)) for p in parts)
    images = torch.equal(here.train_x, far.train_x[:]) and torch.equal(here.test_x, far.test_x[:])
    prints = [(fingerprint(d), fingerprint(d, test=True), digest_of_test(d)) for d in (here, far)]
    return alike and images and prints[0] == prints[1] and repr(here) == repr(far)


def source(kind: str, path: Path):
    return Mine() if kind == 'dataset' else table(path/'t') if kind == 'parquet' else photos(path/'f')


# --- The same data ---

@pytest.mark.parametrize('kind', ['folder', 'parquet', 'dataset'])
def test_the_same_from_disk(kind, tmp_path):
    what = source(kind, tmp_path)
    assert same(*both(what)) and same(*both(what, size=9, channels=1))
    here, far = both(what)
    i = torch.randperm(len(here.train_x), generator=rng(1))
    assert torch.equal(here.train_x[i], far.train_x[i])
    assert torch.equal(here.of_class(1), far.of_class(1)) and torch.equal(here.sample(5)[0], far.sample(5)[0])


@given(modes=st.lists(st.sampled_from(['L', 'RGB', 'LA', 'I;16', 'P', '1', 'CMYK']), min_size=2, max_size=6),
       channels=st.sampled_from([None, 1, 3]), size=st.sampled_from([4, 7]))
def test_any_pictures(modes, channels, size, tmp_path_factory):
    "Grey only if all are, transparency on its ground, 16 bits by their range: decided alike."
    path = tmp_path_factory.mktemp('any')
    for k, m in enumerate(modes*2):
        (path/'ab'[k % 2]).mkdir(exist_ok=True)
        ramp = Image.fromarray(np.arange(36, dtype=np.uint16).reshape(6, 6)*1000)
        im = ramp if m == 'I;16' else photo(0, k).convert(m)
        im.save(path/'ab'[k % 2]/f'{k}.{"tif" if m == "CMYK" else "png"}')
    assert same(*both(path, size=size, channels=channels))


def test_chosen_by_itself(tmp_path, monkeypatch, capsys):
    "In memory if there is room; a line says so if there is not."
    monkeypatch.setattr(dd_lit.data, 'free_memory', lambda: 10**9)
    for kind in ('folder', 'parquet', 'dataset'):
        assert isinstance(load_data(source(kind, tmp_path/kind)).train_x, torch.Tensor)
    assert not capsys.readouterr().err
    need = {}
    for kind in ('folder', 'parquet', 'dataset'):
        n = dict(folder=42, parquet=42 + 11, dataset=30)[kind]
        need[kind] = n*3*16*16
        monkeypatch.setattr(dd_lit.data, 'free_memory', lambda need=need[kind]: 4*need + 3)
        assert isinstance(load_data(source(kind, tmp_path/kind)).train_x, torch.Tensor), kind
        monkeypatch.setattr(dd_lit.data, 'free_memory', lambda need=need[kind]: 4*need - 4)
        assert isinstance(load_data(source(kind, tmp_path/kind)).train_x, OnDisk), kind
        said = capsys.readouterr().err
        assert said.count('\n') == 1 and 'decoded on access' in said and '--keep memory' in said


def test_a_dataset_in_memory_is_asked_once():
    ds = Mine()
    load_data(ds)
    assert ds.asked == len(ds)


def test_two_prints_of_much(tmp_path, monkeypatch):
    "Beyond the limit a sample stands for the images: the same one in memory and on disk, and it sees what it says."
    monkeypatch.setattr(dd_lit.data, '_BYTES', 1000)
    monkeypatch.setattr(dd_lit.data, '_SAMPLE', 16)
    path = photos(tmp_path/'f')
    here, far = both(path)
    assert same(here, far)
    full = ImageData(here.train_x, here.train_y, here.test_x, here.test_y, here.norm, here.classes)
    sampled = fingerprint(full)
    monkeypatch.setattr(dd_lit.data, '_BYTES', 2**31)
    assert fingerprint(full) != sampled
    monkeypatch.setattr(dd_lit.data, '_BYTES', 1000)
    changed = here.train_x.clone()
    changed[:, 0, 0, 0] ^= 1
    other = ImageData(changed, here.train_y, here.test_x, here.test_y, here.norm, here.classes)
    assert fingerprint(other) != fingerprint(full)
    other = ImageData(here.train_x, here.train_y.flip(0), here.test_x, here.test_y, here.norm, here.classes)
    assert fingerprint(other) != fingerprint(full)


# --- The same images ---

FEW = dict(
    random={}, rded=dict(pool=8, squeeze_epochs=1, width=8), dc=dict(iters=2, width=8, batch_real=4),
    dc_mdo=dict(iters=2, width=8, batch_real=4), herding=dict(width=8, epochs=1), k_center=dict(width=8, epochs=1),
    mtt=dict(iters=2, width=8, steps=2, span=1, starts=2, experts=1),
    datm=dict(iters=2, width=8, steps=2, span=1, starts=2, experts=1, expert_epochs=2),
    forgetting=dict(width=8, epochs=2), sre2l=dict(iters=2, squeeze_epochs=1, width=8, init='real'),
    cda=dict(iters=2, squeeze_epochs=1, width=8), dwa=dict(iters=2, squeeze_epochs=1, width=8),
    lpld=dict(iters=2, squeeze_epochs=1, width=8),
    gvbsm=dict(iters=2, squeeze_epochs=1, width=8, backbones=('convnet3', 'resnet18')),
    ogm=dict(iters=2, squeeze_epochs=1, width=8, pool=8), sfm=dict(iters=2, width=8, pretrain=dict(epochs=1)),
    lgm=dict(iters=2, width=8, pretrain=dict(epochs=1)), dsa=dict(iters=2, width=8, batch_real=4),
    dm=dict(iters=2, width=8, batch_real=4))


@pytest.mark.parametrize('method', FEW)
def test_every_method_makes_the_same(method, tmp_path, monkeypatch):
    "Networks trained on it included: each run has a cache of its own."
    here, far = both(photos(tmp_path/'f'))
    made = []
    for d in (here, far):
        monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/f'cache{len(made)}'))
        made.append(distill(method, d, 1, seed=3, device='cpu', **FEW[method]))
    a, b = made
    assert torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels) and a.norm == b.norm
    assert (a.soft is None) == (b.soft is None) and (a.soft is None or torch.equal(a.soft, b.soft))
    assert a.meta['data_fingerprint'] == b.meta['data_fingerprint']


def test_no_method_is_left_out():
    left = {'dc_m', 'dc_md', 'dc_mda'}                 # variants of `dc`
    assert {m for m in list_methods() if m not in left} <= set(FEW)


@pytest.mark.parametrize('kind', ['parquet', 'dataset'])
@pytest.mark.parametrize('method', ['random', 'rded', 'sre2l', 'sfm', 'dc', 'dm'])
def test_methods_on_other_sources(kind, method, tmp_path):
    a, b = (distill(method, d, 1, seed=3, device='cpu', **FEW[method]) for d in both(source(kind, tmp_path)))
    assert torch.equal(a.images, b.images)


def test_training_and_testing(tmp_path):
    here, far = both(photos(tmp_path/'f'))
    found = []
    for d in (here, far):
        net = create_model('convnet3', 3, 3, 16, seed=0, width=8)
        losses = fit(net, d.train_x, d.train_y, normalize=d.normalize, epochs=2, batch_size=5, augment='crop')
        z = features(net, d.train_x, d.normalize, batch_size=4)
        found.append((losses, accuracy(net, d.test_x, d.test_y, normalize=d.normalize), z.tolist()))
    assert found[0] == found[1]


# --- What goes wrong, and when ---

def test_a_damaged_file_found_late(tmp_path):
    "With the norm known from the last time, nothing is decoded at the door."
    path = photos(tmp_path/'f')
    d = load_data(path, keep='disk')
    broken = path/'bee'/'5.jpg'
    k = d.train_x.read.raw.where.index(repr(str(broken)))
    at = int((torch.cat([d.train_x.rows, d.test_x.rows]) == k).nonzero()[0])
    x = d.train_x if at < len(d.train_x) else d.test_x
    broken.write_bytes(broken.read_bytes()[:50])
    with pytest.raises(ValueError) as e:
        x[:]
    assert str(broken) in str(e.value) and 'has changed' in str(e.value) and '\n' not in str(e.value)
    with pytest.raises(ValueError) as e:
        load_data(path, keep='disk').train_x[:]
        load_data(path, keep='disk').test_x[:]
    assert str(broken) in str(e.value) and 'not a readable image' in str(e.value) and '\n' not in str(e.value)
    assert same(*both(path, skip_damaged=True))
    broken.unlink()
    with pytest.raises(ValueError, match='has changed'):
        x[:]


def test_who_has_no_home_measures_each_time(tmp_path, monkeypatch):
    "What cannot be kept is found out again; it was an error that no page announced."
    def homeless():
        raise RuntimeError('no home')
    path = photos(tmp_path/'f')
    known = load_data(path, keep='disk').norm
    monkeypatch.delenv('DD_LIT_CACHE')
    monkeypatch.setattr(Path, 'home', homeless)
    assert load_data(path, keep='disk').norm == known


def test_a_replaced_image_is_noticed(tmp_path):
    "Also if it has the same number of bytes."
    path = photos(tmp_path/'f', kind='bmp')
    d = load_data(path, keep='disk')
    before = d.train_x[:]
    sizes = [f.stat().st_size for f in (path/'ant').iterdir()]
    for i in range(14):
        photo(2, 9 + i).save(path/'ant'/f'{i}.bmp')
    assert [f.stat().st_size for f in (path/'ant').iterdir()] == sizes
    with pytest.raises(ValueError, match=r'ant.*bmp.*has changed since the data was loaded'):
        _ = d.train_x[:1]
    again = load_data(path, keep='disk')
    assert again.norm != d.norm and not torch.equal(again.train_x[:1], before[:1])


def test_sizes_that_differ(tmp_path):
    path = photos(tmp_path/'f')
    photo(0, 0, 20).save(path/'cat'/'3.jpg')
    for keep in ('memory', 'disk'):
        with pytest.raises(ValueError, match=r'size: the images differ .*20x20'):
            d = load_data(path, keep=keep)
            torch.cat([d.train_x[:], d.test_x[:]])


def test_damaged_tables(tmp_path):
    "A row without a picture, groups too large, bytes lost in the middle."
    path = table(tmp_path/'t')
    f = path/'train-0.parquet'
    good = f.read_bytes()
    rows = pq.read_table(f).to_pylist()
    rows[7]['image'] = None
    for keep in ('memory', 'disk'):
        pq.write_table(pa.Table.from_pylist(rows), f, row_group_size=5)
        with pytest.raises(ValueError, match='row 7 has no image'):
            load_data(path, keep=keep)
        pq.write_table(pa.Table.from_pylist(rows), f, row_group_size=5, write_statistics=False)
        with pytest.raises(ValueError, match='row 7 has no image'):
            load_data(path, keep=keep)
        f.write_bytes(good[:3000] + bytes(len(good) - 6000) + good[-3000:])
        with pytest.raises(ValueError) as e:
            load_data(path, keep=keep)
        assert 'train-0.parquet' in str(e.value) and '\n' not in str(e.value)


def test_row_groups_stay_few(tmp_path, monkeypatch):
    "Only so many encoded pictures are in memory as were allowed."
    path = table(tmp_path/'t')
    monkeypatch.setattr(dd_lit.data, 'free_memory', lambda: 16*6000)
    d = load_data(path, keep='disk')
    held = d.train_x.read.raw.sources[0].table
    for i in torch.randperm(len(d.train_x), generator=rng(0)).split(4):
        _ = d.train_x[i]
        assert len(held.groups) == 1 or sum(g.nbytes for g in held.groups.values()) <= 6000
    monkeypatch.setattr(dd_lit.data, 'free_memory', lambda: 100)
    held.groups.clear()
    with pytest.raises(ValueError, match=r'row groups takes .*row_group_size=256'):
        _ = d.train_x[0]


def test_the_norm_is_measured_once(tmp_path, monkeypatch):
    path = photos(tmp_path/'f')
    calls, measure = [], dd_lit.data.measure_norm
    monkeypatch.setattr(dd_lit.data, 'measure_norm', lambda x: calls.append(1) or measure(x))
    norms = [load_data(path, keep='disk').norm for _ in range(3)]
    assert len(calls) == 1 and norms[0] == norms[1] == norms[2] == load_data(path, keep='memory').norm
    photo(2, 99).save(path/'ant'/'new.jpg')
    load_data(path, keep='disk')
    assert len(calls) == 3


# --- How much memory ---

FAR_BELOW = '''
import sys
from dd_lit.core import PeakMemory
from dd_lit.data import load_data
d = load_data(sys.argv[1], keep='disk')
whole, peak = d.train_x.nbytes + d.test_x.nbytes, PeakMemory()
for x in (d.train_x.take(slice(None)), d.test_x):
    x.chunk = 2
    assert sum(b.numel() for b in x.split(2)) == x.nbytes
print(whole, peak.bytes())
'''


def test_memory_stays_far_below(tmp_path):
    """100 pictures of 8 MB, two at a time: 800 MB decoded. In a process of its own: in one that had run a thousand
    tests before, it was 50 MB one time and 400 another."""
    path = tmp_path/'f'
    for c in 'ab':
        (path/c).mkdir(parents=True)
        Image.new('RGB', (1600, 1600), (90, 10, 200)).save(path/c/'0.png')
        for i in range(1, 50):
            os.link(path/c/'0.png', path/c/f'{i}.png')
    p = subprocess.run([sys.executable, '-c', FAR_BELOW, str(path)], capture_output=True, text=True, check=True)
    whole, peak = map(int, p.stdout.split()[-2:])
    assert whole > 760e6 and peak < .25*whole, peak


# --- The command line, and several processes ---

def test_from_the_command_line(tmp_path, call):
    photos(tmp_path/'f')
    for keep in ('memory', 'disk'):
        call('distill', 'random', '--data', 'f', '--keep', keep, '--out', keep, check=0)
    metas = [json.loads((tmp_path/k/'meta.json').read_text()) for k in ('memory', 'disk')]
    assert metas[0].get('sha256') == metas[1].get('sha256') and 'keep' not in json.dumps(metas[1].get('data_source'))
    assert call('distill', 'random', '--data', 'f', '--keep', 'tape').returncode == 2


SHARED = '''
import sys
from dd_lit.data import load_data
from dd_lit.distill import distill
from dd_lit.parallel import start, stop
start()
d = load_data(sys.argv[1], keep='disk')
few = dict(iters=2, width=8, batch_real=4)
for m, how in dict(dc=few, dm=few, random={}).items():
    distill(m, d, 1, out=f'{sys.argv[2]}/{m}', device='cpu', **how)
stop()
'''


def test_two_processes_make_the_same(tmp_path):
    photos(tmp_path/'f')
    (tmp_path/'t.py').write_text(SHARED)
    for cmd, name in (([sys.executable], 'one'), (TWO, 'two')):
        r = subprocess.run([*cmd, tmp_path/'t.py', str(tmp_path/'f'), str(tmp_path/name)], capture_output=True,
                           text=True, env=ENV, timeout=300)
        assert r.returncode == 0, said(r)
    for m in ('dc', 'dm', 'random'):
        a, b = (DistilledSet.load(tmp_path/n/m) for n in ('one', 'two'))
        assert torch.equal(a.images, b.images)
