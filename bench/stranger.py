"""What the README asks of a stranger, timed: a fresh clone, `make demo`, `make test`.

    python bench/stranger.py             # about half an hour on two cores -> bench/results/stranger.json
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dd_lit.core import atomic_write
from harness import RESULTS, made_with

ROOT = RESULTS.parent.parent
OURS = ('DD_LIT_', 'OMP_', 'MALLOC_', 'MKL_')


def environment() -> dict[str, str]:
    "A stranger has none of our settings; the data of this machine, as in .ci/run, is the one exception."
    python = ('VIRTUAL_ENV', 'PYTHONPATH', 'PYTHONHOME')
    env = {k: v for k, v in os.environ.items() if not k.startswith(OURS) and k not in python}
    folders = env['PATH'].split(os.pathsep)
    env['PATH'] = os.pathsep.join(p for p in folders if Path(p) != Path(sys.prefix)/'bin')
    shared = ROOT.parent/'shared'/'data'
    if shared.is_dir():
        env['DD_LIT_DATA'] = str(shared)
    return env


class Commands:
    "Runs commands one after the other, and keeps how long they took and what they said."
    def __init__(self, log):
        self.log, self.env, self.seconds = log, environment(), {}

    def run(self, name: str, cmd: list, cwd=None) -> str:
        t = time.perf_counter()
        r = subprocess.run(cmd, cwd=cwd, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.seconds[name] = time.perf_counter() - t
        self.log.write(f'$ {" ".join(map(str, cmd))}\n{r.stdout}')
        self.log.flush()
        print(f'{name}: {self.seconds[name]:.0f} s, exit {r.returncode}', flush=True)
        if r.returncode:
            sys.exit(r.stdout[-3000:])
        return r.stdout


def as_told(repo: str, log) -> dict:
    "What a stranger does, in an empty folder."
    do = Commands(log)
    clock = do.seconds
    with tempfile.TemporaryDirectory(prefix='dd_lit_stranger_') as tmp:
        d = Path(tmp)/'dd_lit'
        do.run('clone', ['git', 'clone', '-q', repo, d])
        commit = do.run('commit', ['git', 'rev-parse', 'HEAD'], d).strip()
        wall = time.time()
        do.run('demo', ['make', 'demo'], d)
        clock['install'] = (d/'.venv'/'.base').stat().st_mtime - wall
        clock['first_picture'] = min(p.stat().st_mtime for p in (d/'demo').rglob('*.png')) - wall
        wall = time.time()
        said = do.run('test', ['make', 'test'], d)
        clock['install_dev'] = (d/'.venv'/'.dev').stat().st_mtime - wall
    notebooks = int(re.search(r'(\d+) notebooks passed, 0 failed', said)[1])
    tests = sum(int(n) for n in re.findall(r'^(\d+) passed', said, re.M))
    seconds = {k: round(v, 1) for k, v in clock.items() if k != 'commit'}
    return dict(commit=commit, seconds=seconds, notebooks=notebooks, tests=tests)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--repo', default=str(ROOT))
    ap.add_argument('--out', default=str(RESULTS/'stranger.json'))
    ap.add_argument('--log', default=None, help='what the commands printed')
    a = ap.parse_args()
    with open(a.log, 'w') if a.log else tempfile.TemporaryFile('w+') as log:
        found = as_told(a.repo, log)
    out = dict(what='a fresh clone, make demo, make test', **found, cores=os.cpu_count(), made_with=made_with())
    atomic_write(a.out, json.dumps(out, indent=1))
    print(json.dumps(found['seconds']), found['notebooks'], 'notebooks', found['tests'], 'tests')


if __name__ == '__main__':
    sys.exit(main())
