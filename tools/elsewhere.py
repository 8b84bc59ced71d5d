"""Run notebooks as somebody does who has downloaded one of them: alone in an empty folder, with the package installed.

    python tools/elsewhere.py                      # all; about half an hour on two cores
    python tools/elsewhere.py nbs/05_augment.ipynb # those named

What a page does to bring what is missing is done, too, with two things in place of what is not here: this repository
where it fetches the published one, and a pip that installs nothing. Cells with `#| slow` are left out.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import website
from changed import books

ROOT = Path(__file__).parent.parent


def environment(folder) -> dict: # Of somebody who has none of our settings and no network
    ours = ('DD_LIT_DATA', 'PYTHONPATH', 'RANK', 'WORLD_SIZE')
    env = {k: v for k, v in os.environ.items() if k not in ours}
    git = dict(COUNT='1', KEY_0=f'url.{ROOT.as_uri()}.insteadOf', VALUE_0=website.settings()['git_url'])
    pip = dict(DRY_RUN='1', NO_DEPS='1', NO_INDEX='1', NO_BUILD_ISOLATION='0')         # 0: none
    env |= {f'GIT_CONFIG_{k}': v for k, v in git.items()} | {f'PIP_{k}': v for k, v in pip.items()}
    return env | dict(DD_LIT_CACHE=str(Path(folder)/'cache'), DD_LIT_PROGRESS='0', OMP_NUM_THREADS='1',
                      MPLBACKEND='Agg')


def alone(book) -> tuple: # (what went wrong, or nothing; seconds)
    "Run the notebook in a process and a folder of its own."
    t = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix='dd_lit_alone_') as d:
        shutil.copy(ROOT/book, d)
        command = [sys.executable, __file__, '--here', Path(book).name]
        r = subprocess.run(command, cwd=d, env=environment(d), capture_output=True, text=True)
    return (r.stdout + r.stderr)[-6000:] if r.returncode else '', time.perf_counter() - t


def here(book):
    "In this process and folder: every cell but the slow ones; the first that fails ends it."
    from execnb.shell import CaptureShell
    shell = CaptureShell()
    for c in json.loads(Path(book).read_text())['cells']:
        code = ''.join(c['source'])
        if c['cell_type'] == 'code' and not re.search(r'^#\|\s*slow\b', code, re.M):
            said = shell.run(code)
            if shell.exc:
                sys.exit('\n'.join([code, *(''.join(o.get('traceback', '')) for o in said)]))


def main(args):
    failed = []
    for book in [Path(a) for a in args] or books(ROOT):
        wrong, seconds = alone(book)
        print(f'  {"FAILED" if wrong else "ok    "} {seconds:6.1f} s  {book}\n{wrong}'.rstrip(), flush=True)
        failed += [str(book)] if wrong else []
    sys.exit(f'failed: {", ".join(failed)}' if failed else 0)


if __name__ == '__main__':
    here(sys.argv[2]) if sys.argv[1:2] == ['--here'] else main(sys.argv[1:])
