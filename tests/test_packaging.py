"""What a user gets from pip."""
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string

import pytest
from conftest import ROOT

MODULES = {str(p.relative_to(ROOT)) for p in (ROOT/'dd_lit').rglob('*.py')}
STORED = {str(p.relative_to(ROOT)) for p in (ROOT/'dd_lit'/'stored').rglob('*.safetensors')}
DATA = {'dd_lit/recipes.json', 'dd_lit/py.typed'} | STORED     # what commands and type checkers read
FILES = ('settings.ini', 'pyproject.toml', 'setup.py', 'MANIFEST.in', 'README.md', 'LICENSE', 'CHANGELOG.md')


def sources(to):
    "What packaging reads, where it may write."
    to.mkdir()
    for f in FILES:
        shutil.copy(ROOT/f, to/f)
    shutil.copytree(ROOT/'dd_lit', to/'dd_lit', ignore=shutil.ignore_patterns('__pycache__'))
    return to


def run(*args, **kw):
    r = subprocess.run([sys.executable, *args], capture_output=True, text=True, **kw)
    assert r.returncode == 0, r.stderr[-3000:]
    return r


def wheel(source, to):
    "Build it; returns the names in it, and a function that reads one."
    run('-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', to, source)
    whl, = to.glob('*.whl')
    names = zipfile.ZipFile(whl).namelist()
    return names, lambda end: zipfile.ZipFile(whl).read(next(n for n in names if n.endswith(end))).decode()


def test_wheel_from_sdist(tmp_path):
    "The archive holds what it takes to build the wheel, and the wheel the package and nothing else."
    run('setup.py', '-q', 'sdist', '-d', tmp_path, cwd=sources(tmp_path/'src'))
    archive, = tmp_path.glob('*.tar.gz')
    names = {n.split('/', 1)[1] for n in tarfile.open(archive).getnames() if '/' in n}
    assert MODULES | DATA <= names and {'settings.ini', 'README.md', 'LICENSE', 'CHANGELOG.md'} <= names
    assert not any(n.startswith(('tests', 'nbs', 'bench')) for n in names)
    names, read = wheel(archive, tmp_path)
    assert {n for n in names if n.startswith('dd_lit/')} == MODULES | DATA
    meta = read('METADATA')
    assert 'Requires-Python: >=3.10' in meta and 'torch>=2.6' in meta.replace(' ', '')
    assert 'Provides-Extra: parquet' in meta
    assert 'dd_lit=dd_lit.cli:main' in read('entry_points.txt').replace(' ', '')
    needs = [r for r in message_from_string(meta).get_all('Requires-Dist') if 'fastcore' in r]
    only = [f'fastcore<2; extra == "{e}"' for e in ('dev', 'notebooks')]
    assert sorted(needs) == only, 'who has fastcore 2, for fastai, can have dd_lit'


# What somebody writes into settings.ini, and what a user of the package then reads
OTHER = {
    'lib_name': ('other_name', 'Name', {'other-name', 'other_name'}),
    'version': ('7.8.9', 'Version', {'7.8.9'}),
    'description': ('Something else', 'Summary', {'Something else'}),
    'keywords': ('one two', 'Keywords', {'one,two'}),
    'author': ('Somebody', 'Author', {'Somebody'}),
    'author_email': ('somebody@example.org', 'Author-email', {'somebody@example.org'}),
    'license': ('mit', 'License', {'MIT'}),
    'status': ('5', 'Classifier', 'Development Status :: 5 - Production/Stable'),
    'audience': ('Education, Developers', 'Classifier', 'Intended Audience :: Education'),
    'language': ('German', 'Classifier', 'Natural Language :: German'),
    'topics': ('Education', 'Classifier', 'Topic :: Education'),
    'min_python': ('3.9', 'Requires-Python', {'>=3.9'}),
    'max_python': ('3.14', 'Classifier', 'Programming Language :: Python :: 3.14'),
    'requirements': ('torch numpy', 'Requires-Dist', {'torch', 'numpy'}),
    'user': ('somebody', 'Home-page', {'https://github.com/somebody/dd_lit'}),
    'doc_host': ('https://example.org', 'Project-URL', {'Documentation, https://example.org/dd_lit'}),
}


@pytest.fixture(scope='module')
def other(tmp_path_factory):
    "The package, built after everything in settings.ini has been changed."
    src = sources(tmp_path_factory.mktemp('other')/'src')
    text = (src/'settings.ini').read_text()
    for k, (new, *_) in OTHER.items():
        text, n = re.subn(rf'^{k} = .*$', f'{k} = {new}', text, flags=re.M)
        assert n == 1, k
    text = text.replace('\nparquet_requirements = pyarrow', '\nfruit_requirements = apple pear')
    text = text.replace('console_scripts = dd_lit=dd_lit.cli:main', 'console_scripts = other=dd_lit.cli:main')
    (src/'settings.ini').write_text(text.replace('package_data = *.json py.typed', 'package_data = py.typed'))
    project = (src/'pyproject.toml').read_text()
    (src/'pyproject.toml').write_text(project.replace('name="dd_lit"', 'name="other_name"'))   # as nbdev_export does
    names, read = wheel(src, src.parent)
    return names, message_from_string(read('METADATA')), read('entry_points.txt').replace(' ', '')


@pytest.mark.parametrize('key', OTHER)
def test_metadata_follow_the_settings(other, key):
    _, field, want = OTHER[key]
    found = other[1].get_all(field)
    if field == 'Requires-Dist':
        found = [f for f in found if 'extra' not in f]
        assert set(found) == want
    elif isinstance(want, str):
        assert want in found
    else:
        assert len(found) == 1 and found[0] in want


def test_extras_scripts_and_data_follow_the_settings(other):
    names, meta, scripts = other
    assert 'fruit' in meta.get_all('Provides-Extra') and 'parquet' not in meta.get_all('Provides-Extra')
    assert any(r.startswith('pear') and 'fruit' in r for r in meta.get_all('Requires-Dist'))
    assert 'other=dd_lit.cli:main' in scripts
    assert 'dd_lit/py.typed' in names and 'dd_lit/recipes.json' not in names


def test_python_versions_agree():
    "The workflow tries the oldest and the newest Python that settings.ini names."
    said = dict(re.findall(r'^(\w+_python) = (\S+)$', (ROOT/'settings.ini').read_text(), re.M))
    flow = (ROOT/'.github'/'workflows'/'test.yml').read_text()
    tried = re.findall(r"'(3\.\d+)'", re.search(r'python: \[(.*?)\]', flow)[1])
    assert tried == [said['min_python'], said['max_python']]


# fastcore among them: nbdev 2 wants version 1, fastai version 2, and a library may stand beside either
BARE = """
import sys
for m in ('fastcore', 'nbdev', 'execnb', 'IPython', 'jupyter', 'pytest', 'pyarrow', 'timm', 'accelerate'):
    sys.modules[m] = None
import importlib, pkgutil
import dd_lit
from dd_lit.distill import distill
from dd_lit.method import get_method, list_methods
for m in pkgutil.walk_packages(dd_lit.__path__, 'dd_lit.'):
    if not m.name.endswith(('__main__', '_modidx')):
        importlib.import_module(m.name)
for m in list_methods():
    get_method(m)
print(distill('dc', 'digits', 1, iters=1, width=4, batch_real=4, device='cpu').images.shape, dd_lit.__version__)
"""


def test_runs_without_development_tools(tmp_path):
    "Every module imports, and a set is distilled, with nbdev, fastcore, jupyter, pytest and the extras hidden."
    assert 'torch.Size([10, 1, 16, 16])' in run('-c', BARE, cwd=tmp_path).stdout
