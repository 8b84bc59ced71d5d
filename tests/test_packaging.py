"""What a user gets from pip."""
import shutil
import subprocess
import sys
import tarfile
import zipfile

from conftest import ROOT

MODULES = {str(p.relative_to(ROOT)) for p in (ROOT/'dd_lit').rglob('*.py')}


def sources(to):
    "What packaging reads, where it may write."
    to.mkdir()
    for f in ('settings.ini', 'pyproject.toml', 'setup.py', 'MANIFEST.in', 'README.md', 'LICENSE', 'CHANGELOG.md'):
        shutil.copy(ROOT/f, to/f)
    shutil.copytree(ROOT/'dd_lit', to/'dd_lit', ignore=shutil.ignore_patterns('__pycache__'))
    return to


def test_wheel_from_sdist(tmp_path):
    "The archive holds what it takes to build the wheel, and the wheel the package and nothing else."
    subprocess.run([sys.executable, 'setup.py', '-q', 'sdist', '-d', tmp_path], cwd=sources(tmp_path/'src'), check=True, capture_output=True)
    archive, = tmp_path.glob('*.tar.gz')
    names = {n.split('/', 1)[1] for n in tarfile.open(archive).getnames() if '/' in n}
    assert MODULES <= names and {'settings.ini', 'README.md', 'LICENSE', 'CHANGELOG.md'} <= names and not any(n.startswith(('tests', 'nbs', 'bench')) for n in names)
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', tmp_path, archive], check=True)
    whl, = tmp_path.glob('*.whl')
    names = zipfile.ZipFile(whl).namelist()
    assert {n for n in names if n.endswith('.py')} == MODULES
    assert 'dd_lit/recipes.json' in names                  # what `dd_lit reproduce` reads
    meta = zipfile.ZipFile(whl).read(next(n for n in names if n.endswith('METADATA'))).decode()
    assert 'Requires-Python: >=3.10' in meta and 'torch>=2.6' in meta.replace(' ', '') and 'Provides-Extra: parquet' in meta
    assert 'dd_lit = dd_lit.cli:main' in zipfile.ZipFile(whl).read(next(n for n in names if n.endswith('entry_points.txt'))).decode().replace('dd_lit=', 'dd_lit = ')


def test_import_needs_no_development_tools():
    "The package imports with nbdev, jupyter and pytest hidden."
    code = "import sys\nfor m in ('nbdev','IPython','jupyter','pytest','pyarrow','timm'): sys.modules[m] = None\nimport dd_lit, dd_lit.distill as d\n[d.get_method(m) for m in d.list_methods()]\nprint(dd_lit.__version__)"
    assert subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True).stdout.strip()
