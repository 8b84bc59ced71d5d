"""What must stay true of the repository itself: exported code, notebooks, README."""
import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import openings
import pytest
import yaml
from conftest import ROOT, notebooks

BOOKS = [ROOT/b for b in notebooks()]


@pytest.fixture(scope='module')
def copy(tmp_path_factory):
    "The parts of the repository that nbdev's tools read and write, in a folder where they may."
    d = tmp_path_factory.mktemp('repo')
    for f in ('settings.ini', 'pyproject.toml', 'setup.py', 'README.md', '_quarto.yml'):
        shutil.copy(ROOT/f, d/f)
    for f in ('nbs', 'dd_lit', 'bench', 'tools'):
        shutil.copytree(ROOT/f, d/f, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints'))
    return d


def tool(copy, name):
    code = f'from nbdev.cli import *; import nbdev.clean, nbdev.doclinks; {name}'
    subprocess.run([sys.executable, '-c', code], cwd=copy, check=True, capture_output=True)


def export(copy):
    subprocess.run([sys.executable, 'tools/export.py'], cwd=copy, check=True, capture_output=True)


def test_export_changes_nothing(copy):
    export(copy)
    for f in sorted((ROOT/'dd_lit').rglob('*.py')):
        made = copy/f.relative_to(ROOT)
        assert made.read_text() == f.read_text(), f'{f.name} differs from its notebook: run make export'
    made, ours = ({p.relative_to(r) for p in (r/'dd_lit').rglob('*.py')} for r in (copy, ROOT))
    assert made == ours


def test_notebooks_are_clean(copy):
    tool(copy, 'nbdev.clean.nbdev_clean()')
    for f in BOOKS:
        assert (copy/f.relative_to(ROOT)).read_text() == f.read_text(), f'{f} is not clean: run nbdev_clean'


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_notebook_reads_without_running(book):
    nb = json.loads(book.read_text())
    first = ''.join(nb['cells'][0]['source'])
    assert first.startswith('# ') and '\n> ' in first, 'a title and a one-line summary come first'
    code = [c for c in nb['cells'] if c['cell_type'] == 'code']
    outs = [o for c in code for o in c['outputs']]
    assert outs, 'outputs are committed'
    assert not [o for o in outs if o['output_type'] == 'error']
    assert any('image/png' in o.get('data', {}) for o in outs), 'a picture'
    assert book.stat().st_size < 600_000, 'outputs stay small'


def test_readme_equals_index(copy):
    subprocess.run([sys.executable, 'tools/make_readme.py'], cwd=copy, check=True)
    assert (copy/'README.md').read_text() == (ROOT/'README.md').read_text(), 'run make readme'
    made, ours = ({p.name: p.read_bytes() for p in (r/'nbs'/'images').glob('*.png')} for r in (copy, ROOT))
    assert made == ours


def test_links_of_the_readme_lead_somewhere():
    "What is printed on the home page is linked from another folder."
    links = re.findall(r'\]\((?!https?:|#)([^)#\s]+)', (ROOT/'README.md').read_text())
    assert len(links) > 50 and [l for l in links if not (ROOT/l).exists()] == []


def test_the_index_links_every_page():
    text = (ROOT/'nbs'/'index.ipynb').read_text()
    assert [] == [p for _, p in openings.reading_order() if p != 'index' and f'({p}.ipynb)' not in text]


def test_nothing_that_running_makes_is_kept():
    "Under nbs/ lie notebooks, pictures, and what the page that trains wants."
    kept = subprocess.run(['git', 'ls-files', 'nbs'], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    if not kept:
        pytest.skip('no checkout')
    ours = re.compile(r'nbs/(\w+/)?\w+\.ipynb|nbs/images/\w+\.png|nbs/watch/\w+\.(js|css)|'
                      r'nbs/(favicon\.svg|matplotlibrc)')
    assert [] == [f for f in kept.split() if not ours.fullmatch(f)]


def test_notebooks_that_are_run_keep_their_pictures(tmp_path):
    "`make notebooks` says MPLBACKEND=Agg, with which a figure never reaches the page."
    book = tmp_path/'a.ipynb'
    code = nbformat.v4.new_code_cell('import matplotlib.pyplot as plt\nplt.plot([1, 2]);')
    nbformat.write(nbformat.v4.new_notebook(cells=[code]), book)
    env = os.environ | dict(MPLBACKEND='Agg')
    subprocess.run([sys.executable, ROOT/'tools'/'run_notebooks.py', book], env=env, check=True, capture_output=True)
    assert any('image/png' in o.get('data', {}) for o in json.loads(book.read_text())['cells'][0]['outputs'])


def test_openings_are_current(copy):
    "Every page opens with its result, a picture of its own, and where it stands in the book."
    subprocess.run([sys.executable, 'tools/openings.py'], cwd=copy, check=True)
    tool(copy, 'nbdev.clean.nbdev_clean()')
    for f in BOOKS:
        assert (copy/f.relative_to(ROOT)).read_text() == f.read_text(), f'{f}: run python tools/openings.py'
    made, ours = ({p.name: p.read_bytes() for p in (r/'nbs'/'images').glob('*.png')} for r in (copy, ROOT))
    assert made == ours


def test_no_pickle_and_no_global_seed():
    "Nothing unpickles, nothing seeds torch for everybody."
    for f in sorted((ROOT/'dd_lit').rglob('*.py')):
        s = f.read_text()
        assert 'import pickle' not in s and 'weights_only=False' not in s
        assert 'torch.cuda.manual_seed' not in s
        if f.name == 'core.py':
            continue                # local_seed, which puts everything back; its notebook tests that
        assert not any(w in s for w in ('torch.manual_seed', 'np.random.', 'random.seed')), f


def test_every_export_is_described():
    "Public functions and classes have a docstring."
    import importlib
    import inspect
    for f in sorted((ROOT/'dd_lit').rglob('*.py')):
        if f.name.startswith('_'):
            continue
        mod = importlib.import_module('.'.join(f.relative_to(ROOT).with_suffix('').parts))
        for n in mod.__all__:
            o = getattr(mod, n)
            if inspect.isfunction(o) or inspect.isclass(o):
                assert o.__doc__, f'{mod.__name__}.{n} has no docstring'


# --- What a commit is checked for ---

@pytest.fixture(scope='module')
def committed(copy, tmp_path_factory):
    "A repository of that copy, with the hooks' configuration, everything in order and committed."
    tool(copy, 'nbdev.clean.nbdev_clean()')
    export(copy)
    d = tmp_path_factory.mktemp('hooks')/'repo'
    shutil.copytree(copy, d)
    for f in ('.pre-commit-config.yaml', '.gitignore'):
        shutil.copy(ROOT/f, d/f)
    for args in (('init', '-q'), ('add', '.'), ('-c', 'user.name=x', '-c', 'user.email=x@x', 'commit', '-qm', 'all')):
        subprocess.run(['git', *args], cwd=d, check=True)
    return d


def hooks(d, *files):
    "What the hooks say about the files."
    env = os.environ | dict(PATH=f'{sys.prefix}/bin{os.pathsep}{os.environ["PATH"]}', PYTHONPATH=str(d))
    env |= dict(PRE_COMMIT_HOME=str(d.parent/'home'), NO_PROXY='', HTTPS_PROXY='http://127.0.0.1:9')   # no network
    cmd = [sys.executable, '-m', 'pre_commit', 'run', '--files', *files]
    r = subprocess.run(cmd, cwd=d, env=env, capture_output=True, text=True)
    return r.returncode, re.findall(r'^(.*?)\.{3,}.*(Passed|Failed|Skipped)', r.stdout, re.M), r.stdout + r.stderr


def test_hooks_find_what_is_wrong(committed):
    "A long line; a notebook that is not clean; a notebook that was not exported. What is in order passes."
    ruff, clean, export = 'ruff', 'notebooks are clean', 'dd_lit is what the notebooks export'
    book = min((b for b in BOOKS if '"#| export' in b.read_text()), key=lambda b: b.stat().st_size)
    nb, name = committed/book.relative_to(ROOT), str(book.relative_to(ROOT))
    code, said, text = hooks(committed, name, 'setup.py')
    assert code == 0 and dict(said) == {ruff: 'Passed', clean: 'Passed', export: 'Passed'}, text
    (committed/'tools'/'long.py').write_text('x = ' + '1 + '*40 + '1\n')
    code, said, text = hooks(committed, 'tools/long.py')
    assert code and dict(said) == {ruff: 'Failed', clean: 'Skipped', export: 'Skipped'} and 'E501' in text
    old = nb.read_text()
    raw = json.loads(old)
    cell = next(c for c in raw['cells'] if re.search(r'^#\| *export$', ''.join(c['source']), re.M))
    cell['execution_count'] = 7
    nb.write_text(json.dumps(raw))
    code, said, text = hooks(committed, name)
    assert code and dict(said)[clean] == 'Failed' and nb.read_text() == old, text
    cell['source'] = [*cell['source'], '\n', 'added_by_hand = 1']
    nb.write_text(json.dumps(raw, indent=1, ensure_ascii=False, sort_keys=True) + '\n')
    code, said, text = hooks(committed, name)
    assert code and dict(said)[export] == 'Failed', text
    assert any('added_by_hand' in p.read_text() for p in (committed/'dd_lit').rglob('*.py'))


def test_hooks_are_local():
    "None is fetched from anywhere."
    config = yaml.safe_load((ROOT/'.pre-commit-config.yaml').read_text())
    assert [r['repo'] for r in config['repos']] == ['local']
    assert all(h['language'] == 'system' for r in config['repos'] for h in r['hooks'])
