"""Tables 1, 2 and 3 of "Delving into Effective Gradient Matching" in miniature: what to match, and how.

    python bench/gradient_tables.py --worker 0 --of 2 &      # two processes, one thread each, share the work
    python bench/gradient_tables.py --worker 1 --of 2
    python bench/gradient_tables.py --merge                  # -> bench/results/gradient_tables.json

Every run distils one set and trains networks on it (DC's protocol; a third of its epochs at ipc 10). A finished run is a file under runs/ and is
not repeated, so the command can be interrupted and given again. The budget is far below the paper's (1000 iterations,
width 128, 256 real images per class, 2 sets x 50 networks); it is written into every row.
"""
import argparse, json, sys, time
from pathlib import Path
import torch
from dd_lit.core import atomic_write, progress, provenance
from dd_lit.data import load_data
from dd_lit.distill import distill
from dd_lit.train import evaluate

BUDGET = dict(width=32, batch_real=32)
ITERS = {1: 60, 10: 1}            # at ipc 10 an outer iteration is 10 matching steps and 450 epochs of the network
SCORING = {1: dict(repeats=3), 10: dict(repeats=2, epochs=100)}
MODES = {m: dict(mode=m) for m in ('intra', 'inter', 'interleaved', 'multi')}                      # Table 1: distance angle, constant schedule
KINDS = {f'd:{k}': dict(mode='multi', distance=k) for k in ('l2', 'sse', 'mse', 'angle+l2', 'angle+sse', 'angle+mse')}  # Table 2: multi-level; its angle alone is Table 1's 'multi'

WHERE = {'mdo': dict(mode='multi', distance='angle+l2', schedule='overfit'), 'mda': dict(mode='multi', distance='angle+l2', schedule='adaptive')}   # Table 3; its MD is Table 2's angle+l2, its M Table 1's multi


def tasks(data, ipcs, seeds):
    "The cheapest first, seed by seed, so that an early stop leaves complete rows; at ipc 10 the less telling distances come last."
    late = {'d:sse', 'd:mse', 'd:angle+sse', 'd:angle+mse'}
    all_rows = [(1, MODES), (3, WHERE), (2, KINDS)]
    for ipc in ipcs:
        for last in ((False, True) if ipc > 1 else (None,)):
            for seed in seeds:
                for d in data:
                    for table, rows in all_rows:
                        for name, cfg in rows.items():
                            if table == 3 and ipc == 1 or last is not None and (name in late) != last: continue      # O and A need more than one step
                            yield dict(table=table, data=d, ipc=ipc, seed=seed, name=name, cfg=cfg)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--data', nargs='+', default=['mnist', 'cifar10']); ap.add_argument('--ipc', type=int, nargs='+', default=[1, 10]); ap.add_argument('--seeds', type=int, default=3)
    ap.add_argument('--worker', type=int, default=0); ap.add_argument('--of', type=int, default=1)
    ap.add_argument('--runs', default='runs/gradient_tables'); ap.add_argument('--merge', action='store_true'); ap.add_argument('--minutes', type=float, default=1e9, help='start no run after so many')
    a = ap.parse_args(); runs = Path(a.runs)
    if a.merge:
        rows = [json.loads(f.read_text()) for f in sorted(runs.glob('*.json'))]
        atomic_write(Path(__file__).parent/'results'/'gradient_tables.json', json.dumps(dict(what='Tables 1, 2 and 3 of dc.txt in miniature', budget=BUDGET, iters=ITERS, scoring=SCORING, rows=rows), indent=0))
        return print(len(rows), 'rows')
    if a.of > 1: torch.set_num_threads(1)
    cache, t0 = {}, time.time()
    todo = [t for i, t in enumerate(tasks(a.data, a.ipc, range(a.seeds))) if i % a.of == a.worker]
    for t in progress(todo, 'runs'):
        f = runs/f"{t['data']}_ipc{t['ipc']}_{t['name'].replace(':', '_').replace('+', '_')}_seed{t['seed']}.json"
        if f.exists() or time.time() - t0 > 60*a.minutes: continue
        data = cache.setdefault(t['data'], None) or cache.update({t['data']: load_data(t['data'])}) or cache[t['data']]
        ds = distill('dc', data, t['ipc'], seed=t['seed'], iters=ITERS[t['ipc']], **BUDGET, **t['cfg'])
        s = evaluate(ds, data, seed=t['seed'], model_kw=dict(width=BUDGET['width']), **SCORING[t['ipc']])
        atomic_write(f, json.dumps(t | dict(top1=s.top1, mean=s.mean, std=s.std, distil_seconds=ds.meta['seconds'], evaluate_seconds=s.seconds, iters=ITERS[t['ipc']], budget=BUDGET, scoring=SCORING[t['ipc']], made_with=provenance())))
        print(f"{time.time() - t0:6.0f} s  {f.stem:45} {s}", flush=True)


if __name__ == '__main__': sys.exit(main())
