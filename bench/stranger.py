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

from dd_lit.core import atomic_write, provenance

ROOT = Path(__file__).parent.parent
ap = argparse.ArgumentParser()
ap.add_argument('--repo', default=str(ROOT))
ap.add_argument('--out', default=str(ROOT/'bench'/'results'/'stranger.json'))
ap.add_argument('--log', default=None, help='what the commands printed')
a = ap.parse_args()

# a stranger has none of our settings; the data of this machine, as in .ci/run, is the one exception
env = {k: v for k, v in os.environ.items() if not k.startswith(('DD_LIT_', 'OMP_', 'MALLOC_', 'MKL_')) and k not in ('VIRTUAL_ENV', 'PYTHONPATH', 'PYTHONHOME')}
env['PATH'] = os.pathsep.join(p for p in env['PATH'].split(os.pathsep) if Path(p) != Path(sys.prefix)/'bin')
shared = ROOT.parent/'shared'/'data'
if shared.is_dir():
    env['DD_LIT_DATA'] = str(shared)
log = open(a.log, 'w') if a.log else tempfile.TemporaryFile('w+')
clock, since = {}, time.perf_counter


def run(name, cmd, cwd):
    t = since()
    r = subprocess.run(cmd, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    clock[name] = since() - t
    log.write(f'$ {" ".join(map(str, cmd))}\n{r.stdout}')
    log.flush()
    print(f'{name}: {clock[name]:.0f} s, exit {r.returncode}', flush=True)
    if r.returncode:
        sys.exit(r.stdout[-3000:])
    return r.stdout


with tempfile.TemporaryDirectory(prefix='dd_lit_stranger_') as d:
    d = Path(d)/'dd_lit'
    wall = time.time()
    run('clone', ['git', 'clone', '-q', a.repo, d], None)
    commit = run('commit', ['git', 'rev-parse', 'HEAD'], d).strip()
    wall = time.time()
    run('demo', ['make', 'demo'], d)
    clock['install'] = (d/'.venv'/'.base').stat().st_mtime - wall
    clock['first_picture'] = min(p.stat().st_mtime for p in (d/'demo').rglob('*.png')) - wall
    wall = time.time()
    said = run('test', ['make', 'test'], d)
    clock['install_dev'] = (d/'.venv'/'.dev').stat().st_mtime - wall
    notebooks = int(re.search(r'(\d+) notebooks passed, 0 failed', said)[1])
    tests = sum(int(n) for n in re.findall(r'^(\d+) passed', said, re.M))
out = dict(what='a fresh clone, make demo, make test', commit=commit, seconds={k: round(v, 1) for k, v in clock.items() if k != 'commit'}, notebooks=notebooks, tests=tests, cores=os.cpu_count(), made_with=provenance())
atomic_write(a.out, json.dumps(out, indent=1))
print(json.dumps(out['seconds']), notebooks, 'notebooks', tests, 'tests')
