"""Shared by all tests: where things are, and how to call the command line as a user would."""
import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT/'tools'))
from changed import books

os.environ.setdefault('MPLBACKEND', 'Agg')
os.environ['DD_LIT_PROGRESS'] = '0'
os.environ['OMP_NUM_THREADS'] = '1'     # the networks of the tests are so small that a second thread is only in the way
# Properties are tried on a few drawn examples in `make test` and on many in `make test-all`, always the same ones
same = dict(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
settings.register_profile('ci', max_examples=25, **same)
settings.register_profile('long', max_examples=200, **same)
settings.load_profile('ci')


def pytest_configure(config):
    if 'slow' in (config.option.markexpr or '').replace('not slow', ''):
        settings.load_profile('long')


@pytest.fixture
def counted(monkeypatch):
    """Makes a list of the numbers of the steps that a method makes from now on: equal images prove a resumed run only
    if it has not begun anew."""
    from dd_lit.method import get_method
    def count(method: str) -> list[int]:
        cls, steps = get_method(method), []
        step = cls.step
        def counting(self):
            steps.append(self.k)
            return step(self)
        monkeypatch.setattr(cls, 'step', counting)
        return steps
    return count


def notebooks() -> list: # All of them, below the repository's root
    return books(ROOT)


@pytest.fixture
def cli(tmp_path):
    """Run `python -m dd_lit ARGS` in an empty folder; returns the finished process. The limit only ends what hangs: it
    is wall time, and on a machine with a dozen busy processes fifteen seconds of computing may take five minutes."""
    def run(*args, check=None, env=None, prelude='', timeout=1200):
        args = [str(a) for a in args]
        code = f'import sys; {prelude}\nfrom dd_lit.cli import main\nsys.exit(main({args!r}))'
        cmd = [sys.executable, '-c', code] if prelude else [sys.executable, '-m', 'dd_lit', *args]
        env = {**os.environ, **(env or {})}
        p = subprocess.run(cmd, cwd=tmp_path, capture_output=True, text=True, timeout=timeout, env=env)
        if check is not None:
            assert p.returncode == check, f'{args}: exit {p.returncode}\n{p.stdout}\n{p.stderr}'
        return p
    return run


@pytest.fixture
def call(tmp_path, monkeypatch):
    """The same command line without a process of its own (which spends four seconds importing torch); for all that
    needs no signal, limit or patch."""
    def run(*args, check=None):
        from dd_lit.cli import main
        monkeypatch.chdir(tmp_path)
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            code = main([str(a) for a in args])
        plt = sys.modules.get('matplotlib.pyplot')      # a process of its own would end with its figures
        if plt is not None:
            plt.close('all')
        if check is not None:
            assert code == check, f'{args}: exit {code}\n{out.getvalue()}\n{err.getvalue()}'
        return subprocess.CompletedProcess(args, code, out.getvalue(), err.getvalue())
    return run
