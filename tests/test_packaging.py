"""What a user gets from pip."""
import subprocess, sys, zipfile
from conftest import ROOT


def test_wheel(tmp_path):
    import shutil
    src = tmp_path/'src'; src.mkdir()
    for f in ('settings.ini', 'pyproject.toml', 'setup.py', 'README.md', 'LICENSE'): shutil.copy(ROOT/f, src/f)
    shutil.copytree(ROOT/'dd_lit', src/'dd_lit', ignore=shutil.ignore_patterns('__pycache__'))
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', tmp_path, src], check=True)
    whl, = tmp_path.glob('*.whl')
    names = zipfile.ZipFile(whl).namelist()
    have = {n for n in names if n.endswith('.py')}
    assert have == {str(p.relative_to(ROOT)) for p in (ROOT/'dd_lit').rglob('*.py')}
    meta = zipfile.ZipFile(whl).read(next(n for n in names if n.endswith('METADATA'))).decode()
    assert 'Requires-Python: >=3.10' in meta and 'torch>=2.6' in meta.replace(' ', '') and 'Provides-Extra: parquet' in meta
    assert 'dd_lit = dd_lit.distill:main' in zipfile.ZipFile(whl).read(next(n for n in names if n.endswith('entry_points.txt'))).decode().replace('dd_lit=', 'dd_lit = ')


def test_import_needs_no_development_tools():
    "The package imports with nbdev, jupyter and pytest hidden."
    code = "import sys\nfor m in ('nbdev','IPython','jupyter','pytest','pyarrow','timm'): sys.modules[m] = None\nimport dd_lit, dd_lit.distill as d\n[d.get_method(m) for m in d.list_methods()]\nprint(dd_lit.__version__)"
    assert subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True).stdout.strip()
