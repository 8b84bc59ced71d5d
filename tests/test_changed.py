"""Which notebooks `make test-fast` runs."""
import json
import subprocess
from pathlib import Path

import changed
import pytest

def book(path, code, exports=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    sources = ([f'#| default_exp {exports}'] if exports else []) + ['%matplotlib inline\n' + code]
    cells = [dict(cell_type='code', source=s.splitlines(keepends=True)) for s in sources]
    path.write_text(json.dumps(dict(cells=cells)))


@pytest.fixture
def repo(tmp_path):
    "Four notebooks on main: 01_b reads 00_a, 02_c reads both, d reads nobody."
    nbs = tmp_path/'nbs'
    book(nbs/'00_a.ipynb', 'x = 1', 'a')
    book(nbs/'01_b.ipynb', 'from dd_lit.a import x', 'b')
    book(nbs/'f'/'02_c.ipynb', 'import dd_lit.b\ndef f():\n    from dd_lit import a')
    book(nbs/'d.ipynb', 'import json')
    book(nbs/'.ipynb_checkpoints'/'d.ipynb', '')
    who = ['-c', 'user.name=x', '-c', 'user.email=x@x']
    git = lambda *a: subprocess.run(['git', '-C', tmp_path, *who, *a], check=True)
    git('init', '-q', '-b', 'main')
    git('add', '.')
    git('commit', '-qm', 'first')
    return tmp_path, git


def touched(where):
    changed.books(where)
    return [str(p.relative_to('nbs')) for p in changed.touched(where)]


def test_nothing_has_changed(repo):
    assert touched(repo[0]) == [] and changed.books(repo[0])[-1] == Path('nbs/f/02_c.ipynb')


def test_changed_new_and_committed(repo):
    "In the index or not, on a branch or not; what is gone is not run."
    where, git = repo
    book(where/'nbs'/'01_b.ipynb', 'from dd_lit.a import x\nx', 'b')
    assert touched(where) == ['01_b.ipynb', 'f/02_c.ipynb']
    git('checkout', '-qb', 'work')
    git('add', '.')
    assert touched(where) == ['01_b.ipynb', 'f/02_c.ipynb']
    git('commit', '-qm', 'second')
    assert touched(where) == ['01_b.ipynb', 'f/02_c.ipynb']
    book(where/'nbs'/'new.ipynb', 'y = 1')
    assert touched(where) == ['01_b.ipynb', 'new.ipynb', 'f/02_c.ipynb']
    (where/'nbs'/'d.ipynb').unlink()
    assert touched(where) == ['01_b.ipynb', 'new.ipynb', 'f/02_c.ipynb']


def test_readers_of_the_first(repo):
    where, _ = repo
    book(where/'nbs'/'00_a.ipynb', 'x = 2', 'a')
    assert touched(where) == ['00_a.ipynb', '01_b.ipynb', 'f/02_c.ipynb']
