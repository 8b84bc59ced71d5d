"""What every table of runs needs: share the work, keep each finished run in a file, never repeat one, collect them into one JSON."""
import argparse, json, re, time
from pathlib import Path
import torch
from dd_lit.core import atomic_write, progress, provenance

RESULTS = Path(__file__).parent/'results'


def run_table(
    name,     # results/<name>.json; runs are kept under runs/<name>
    what,     # One sentence for the result file
    tasks,    # (data names, seeds) -> list of dicts, the most telling first; their values name the file of the run
    run,      # task -> dict of results
    data=('mnist', 'cifar10'), seeds=3,
    rows='row',  # Key of a task that `--rows` selects by
    **about   # Goes into the result file as it is (budgets)
):
    "The command line of a table."
    ap = argparse.ArgumentParser()
    ap.add_argument('--data', nargs='+', default=list(data)); ap.add_argument('--seeds', type=int, default=seeds)
    ap.add_argument('--rows', nargs='+', default=None, help='only these'); ap.add_argument('--runs', default=f'runs/{name}')
    ap.add_argument('--worker', type=int, default=0); ap.add_argument('--of', type=int, default=1, help='so many processes share the work, one thread each')
    ap.add_argument('--minutes', type=float, default=1e9, help='start no run after so many'); ap.add_argument('--merge', action='store_true')
    a = ap.parse_args(); runs, t0 = Path(a.runs), time.time()
    if a.merge:
        found = [json.loads(f.read_text()) for f in sorted(runs.glob('*.json'))]
        atomic_write(RESULTS/f'{name}.json', json.dumps(dict(what=what, **about, rows=found), indent=0))
        return print(len(found), 'rows')
    if a.of > 1: torch.set_num_threads(1)
    todo = [t for t in tasks(a.data, range(a.seeds)) if a.rows is None or t[rows] in a.rows]
    for i, t in enumerate(progress(todo, 'runs')):
        f = runs/(re.sub(r'[^\w.-]+', '_', '_'.join(f'{k}{v}' if k == 'seed' else str(v) for k, v in t.items())) + '.json')
        if i % a.of != a.worker or f.exists() or time.time() - t0 > 60*a.minutes: continue
        t1 = time.perf_counter(); o = run(**t)
        atomic_write(f, json.dumps(t | o | dict(seconds=round(time.perf_counter() - t1, 1), made_with=provenance())))
        print(f"{time.time() - t0:6.0f} s  {f.stem:52}", *(f'{k} {v:.1f}' for k, v in o.items() if isinstance(v, float)), flush=True)
