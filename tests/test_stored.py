"""The sets that come with the package are what the tables say of them."""
import json
import re
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from safetensors import safe_open
from safetensors.torch import save_file

from dd_lit.cli import beside, main
from dd_lit.compare import check_items
from dd_lit.method import get_method, with_start
from dd_lit.sets import DistilledSet, _sealed, load_set, pack_set, read_sets, show_wall, stored_sets

sys.path.insert(0, str(ROOT/'bench'))
import stored

NAMES = stored_sets()
TABLE = ROOT/'bench'/'results'/'colour.json'
RECIPES = TABLE.with_name('reproduced.json')


def test_there_are_some():
    files = list((ROOT/'dd_lit'/'stored').rglob('*'))
    assert len([f for f in files if f.is_file()]) == len(NAMES) >= 10
    assert sum(f.stat().st_size for f in files if f.is_file()) < 5_000_000


@pytest.mark.parametrize('name', NAMES)
def test_a_set_says_what_its_table_says(name):
    ds, (data, method, ipc) = load_set(name), name.split('/')
    assert (ds.meta['data'], ds.meta['method'], f'ipc{ds.ipc}') == (data, method, ipc)
    assert not re.search(r'["\s=]/\w', json.dumps(ds.meta)), 'a folder of the machine that made it'
    if 'reproduced' in ds.meta['scored_with']['table']:
        rows = json.loads(RECIPES.read_text())['rows']
        assert stored.scored(next(r for r in rows if r['name'] == name)).items() <= ds.meta.items()
        return
    rows = stored.by_set(json.loads(TABLE.read_text())['rows'])[method, ds.ipc]
    assert ds.meta['scores'] == stored.means(rows) and ds.meta['scored_with']['seeds'] == len(rows)
    assert ds.meta['scored_with'].get('spread', {}) == stored.spread(rows)
    eighth = ds.pixels()*255
    assert torch.allclose(eighth, eighth.round(), atol=1e-3), 'pixels of eight bits'


def test_what_a_row_made_is_kept_number_by_number():
    "A set of a paper's row keeps what no screen shows: clipped, it would not be the one that was scored."
    kept = [load_set(n) for n in NAMES if 'reproduced' in load_set(n).meta['scored_with']['table']]
    assert kept
    for ds in kept:
        mean, std = (torch.tensor(o).view(1, -1, 1, 1) for o in ds.norm)
        px = ds.images*std + mean
        assert (px < 0).any() and (px > 1).any()


def test_a_set_of_other_settings_is_not_packed():
    "Each set in colour was made with its row's numbers; one that was not is refused by name."
    table = json.loads((ROOT/'bench'/'results'/'colour.json').read_text())
    for m, settings in table['methods'].items():
        stored.check_made_so(load_set(f'cifar10/{m}/ipc10'), settings, Path('there'))
    other = table['methods']['datm'] | dict(lr_img=100.)
    with pytest.raises(ValueError, match='datm: .*lr_img=1000.0, not 100.0'):
        stored.check_made_so(load_set('cifar10/datm/ipc10'), other, Path('there'))


def test_a_path_comes_first(tmp_path, monkeypatch):
    "What is typed is what is read, also where it looks like a name."
    name = NAMES[0]
    ds = load_set(name)
    monkeypatch.chdir(tmp_path)
    DistilledSet(ds.images[:10], ds.labels[:10], ds.norm, ds.classes, meta=dict(method='mine')).save(name)
    assert load_set(name).meta['method'] == 'mine'
    with pytest.raises(ValueError, match=f'the package has a set {NAMES[0]}'):
        load_set(f'{name}0')


def test_a_packed_set_that_is_damaged(tmp_path):
    "Every byte counts: one flipped bit is found, wherever it is."
    f = pack_set(load_set(NAMES[0]), tmp_path/'set.safetensors')
    whole = f.read_bytes()
    for at in range(8, len(whole), len(whole)//40):
        f.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
        with pytest.raises(ValueError):
            load_set(f)


def test_walls_stand_beside_each_other():
    fig = show_wall(NAMES[:2], per_class=1)
    told = [ax.get_xlabel() for ax in fig.axes]
    assert [t.split(':')[0] for t in told] == [n.split('/')[1] for n in NAMES[:2]]
    assert all('% with hard labels' in t and 'images' in t for t in told)


def test_portable():
    "No folder of a machine, at any depth."
    about = dict(a=['net:weights=/here/w.pt', 1], b=dict(c=('/here', None)))
    there = dict(a=['net:weights=$DD_LIT_DATA/w.pt', 1], b=dict(c=['$DD_LIT_DATA', None]))
    assert stored.portable(about, '/here') == there
    assert Path(stored.STORED) == ROOT/'dd_lit'/'stored'


def test_a_name_does_wherever_a_folder_does(tmp_path, monkeypatch, capsys):
    "Shown, exported, scored, compared, started from; what is written lies in runs/, not in a folder of the name."
    monkeypatch.chdir(tmp_path)
    name = NAMES[0]
    beside_it = tmp_path/'runs'/name.replace('/', '_')
    assert main(['show', name]) == 0 and (beside_it/'grid.png').is_file() and not Path('cifar10').exists()
    assert main(['export', name, 'out.npz']) == 0 and Path('out.npz').is_file()
    assert check_items(name) == [name]
    assert len(with_start(get_method('dm').settings(init=name)).init) == len(load_set(name))
    packed = str(pack_set(load_set(name), tmp_path/'own.safetensors'))
    assert check_items([packed]) == [packed] and beside(packed) == tmp_path
    assert len(with_start(get_method('dm').settings(init=packed)).init) == len(load_set(name))
    assert main(['show', f'{name}0']) == 2 and f'the package has a set {name}' in capsys.readouterr().err


def test_a_packed_set_comes_back_as_it_is(tmp_path):
    "`import` knows a packed set for one of ours: names and description are kept."
    name = NAMES[0]
    ours, f = load_set(name), pack_set(load_set(name), tmp_path/'own.safetensors')
    read, = read_sets(f)
    assert torch.equal(read.images, ours.images) and (read.classes, read.meta) == (ours.classes, ours.meta)


@pytest.mark.parametrize('shape', [None, [1], ['a', 1, 2, 3], [100, 3, 32, 31], [10**6, 3, 10**6, 32], [1, 2, 3, 4]])
def test_a_sheet_that_promises_something_else(tmp_path, shape):
    "What is decoded is what the header says, or nothing."
    f = pack_set(load_set('cifar10/random/ipc10'), tmp_path/'own.safetensors')
    with safe_open(f, framework='pt') as o:
        tensors, own = {k: o.get_tensor(k) for k in o.keys()}, json.loads(o.metadata()['dd_lit'])
    assert tensors['images'].ndim == 1
    told = _sealed(own | dict(shape=shape))
    save_file(tensors, f, metadata=dict(dd_lit=json.dumps(told)))
    with pytest.raises(ValueError, match=r'is damaged: (shape: expected|images: expected a PNG of)'):
        load_set(f)
