"""What every table of runs needs: share the work, keep each finished run, never repeat one, collect them into one JSON.

A run counts as finished if it has a file under runs/ or a row in results/<name>.json, so a fresh clone continues where the
committed table ends. `--merge` adds the new files to the table and loses none of its rows.
"""
import argparse
import json
import re
import subprocess
import time
from pathlib import Path

import torch

from dd_lit.core import atomic_write, progress, provenance

RESULTS = Path(__file__).parent/'results'


def state_of_code():
    "The commit of this checkout, with a + if dd_lit or bench differ from it; None outside git. Rows of one table should agree."
    git = lambda *a: subprocess.run(['git', '-C', str(RESULTS), *a], capture_output=True, text=True, check=True).stdout.strip()
    try:
        return git('rev-parse', '--short', 'HEAD') + ('+' if git('status', '--porcelain', '--', ':/dd_lit', ':/bench/*.py') else '')
    except (OSError, subprocess.CalledProcessError):
        return None


def file_name(t):
    return re.sub(r'[^\w.-]+', '_', '_'.join(f'{k}{v}' if k == 'seed' else str(v) for k, v in t.items()))


def run_table(
    name,     # results/<name>.json; runs are kept under runs/<name>
    what,     # One sentence for the result file
    tasks,    # (data names, seeds) -> list of dicts, the most telling first; their values name the run
    run,      # task -> dict of results
    data=('mnist', 'cifar10'), seeds=3,
    rows='row',  # Key of a task that `--rows` selects by
    **about   # Goes into the result file as it is (budgets)
):
    "The command line of a table."
    ap = argparse.ArgumentParser()
    ap.add_argument('--data', nargs='+', default=list(data))
    ap.add_argument('--seeds', type=int, default=seeds)
    ap.add_argument('--rows', nargs='+', default=None, help='only these')
    ap.add_argument('--runs', default=f'runs/{name}')
    ap.add_argument('--worker', type=int, default=0)
    ap.add_argument('--of', type=int, default=1, help='so many processes share the work, one thread each')
    ap.add_argument('--minutes', type=float, default=1e9, help='start no run after so many')
    ap.add_argument('--merge', action='store_true', help='add the finished runs to the table')
    ap.add_argument('--todo', action='store_true', help='only say what is missing')
    ap.add_argument('--again', action='store_true', help='also make again what the committed table has')
    a = ap.parse_args()
    runs, t0 = Path(a.runs), time.time()
    table = RESULTS/f'{name}.json'
    commit = state_of_code()                                    # at the start: that is what was imported
    todo = [t for t in tasks(a.data, range(a.seeds)) if a.rows is None or t[rows] in a.rows]
    keys = list(todo[0])
    key = lambda t: file_name({k: t[k] for k in keys})
    rows_of = lambda old=True: {key(r): r for r in (json.loads(table.read_text())['rows'] if old and table.exists() else [])} | {f.stem: json.loads(f.read_text()) for f in runs.glob('*.json')}
    if a.merge:
        found = rows_of()
        atomic_write(table, json.dumps(dict(what=what, **about, rows=[found[k] for k in sorted(found)]), indent=0))
        return print(len(found), 'rows')
    done = rows_of(not a.again)
    missing = [t for t in todo if key(t) not in done]
    if a.todo:
        return print('\n'.join(map(key, missing)), f'\n{len(missing)} runs are missing, {len(done)} are there')
    if a.of > 1:
        torch.set_num_threads(1)
    mine = todo[a.worker::a.of]                                 # shared out before the finished ones are dropped: a restarted worker keeps its share
    for t in progress([t for t in mine if t in missing], 'runs'):
        f = runs/f'{key(t)}.json'
        if f.exists() or time.time() - t0 > 60*a.minutes:
            continue
        t1 = time.perf_counter()
        o = run(**t)
        atomic_write(f, json.dumps(t | o | dict(seconds=round(time.perf_counter() - t1, 1), made_with=provenance() | dict(commit=commit))))
        print(f"{time.time() - t0:6.0f} s  {f.stem:52}", *(f'{k} {v:.1f}' for k, v in o.items() if isinstance(v, float)), flush=True)
