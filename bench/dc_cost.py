"""What M, D and A cost, and how a matching step grows: side by side in one process.

    python bench/dc_cost.py            # writes bench/results/dc_cost.json
"""
import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch

from dd_lit.core import atomic_write, provenance, rng
from dd_lit.coreset.select import random_select
from dd_lit.data import load_data
from dd_lit.gradient.dc import DC, match_step
from dd_lit.models import create_model

def interleaved(fs, reps):
    "Median seconds of each function, measured in turn so that a drift of the machine hits all alike."
    ts = {k: [] for k in fs}
    for r in range(reps + 1):
        for k, f in fs.items():
            t = time.perf_counter()
            f()
            if r:
                ts[k].append(time.perf_counter() - t)
    return {k: dict(median_s=statistics.median(v), seconds=[round(x, 4) for x in v]) for k, v in ts.items()}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--data', default='mnist')
    ap.add_argument('--reps', type=int, default=5)
    ap.add_argument('--batch', type=int, default=256)
    ap.add_argument('--out', default=str(Path(__file__).parent/'results'/'dc_cost.json'))
    a = ap.parse_args()
    data = load_data(a.data)
    net = create_model('convnet3', data.num_classes, data.in_chans, data.size, seed=0)
    real = lambda n, C: [data.normalize(data.train_x[data.train_y == c][:n]) for c in range(C)]
    images = lambda ipc, C: data.normalize(data.train_x[random_select(data.train_y, ipc, rng(0))][:ipc*C]).requires_grad_()
    out = dict(what='cost of M, D and A, and growth of a matching step', data=a.data, batch=a.batch, reps=a.reps, made_with=provenance(), parts={}, growth={})
    for ipc in (1, 10):
        R, S = real(a.batch, data.num_classes), images(ipc, data.num_classes)
        r = interleaved({n: (lambda kw=kw: match_step(net, S, R, **kw)) for n, kw in {'dc': {}, 'dc again': {}, 'M': dict(mode='multi'), 'D': dict(kind='angle+l2'), 'MD': dict(mode='multi', kind='angle+l2')}.items()}, a.reps)
        for n in r:
            r[n]['over_dc_percent'] = 100*(r[n]['median_s']/r['dc']['median_s'] - 1)
        out['parts'][str(ipc)] = r
        print(ipc, {n: round(v['over_dc_percent'], 2) for n, v in r.items()}, flush=True)
    steps = {}
    for n in ('constant', 'adaptive'):
        m = DC(data, 10, schedule=n, iters=1, batch_real=a.batch)
        m.setup()
        t = time.perf_counter()
        m.step()
        steps[n] = dict(seconds=time.perf_counter() - t, net_epochs=m.log['net_epochs'])
        print(n, steps[n], flush=True)
    out['adaptive'] = steps | dict(saved_percent=100*(1 - steps['adaptive']['seconds']/steps['constant']['seconds']))
    base = dict(C=10, ipc=1, batch=64)
    for k, vals in dict(C=(2, 5, 10), ipc=(1, 5, 10, 20), batch=(32, 64, 128, 256)).items():
        for v in vals:
            g = base | {k: v}
            R, S = real(g['batch'], g['C']), images(g['ipc'], g['C'])
            out['growth'].setdefault(k, []).append(dict(value=v, **interleaved({'s': lambda: match_step(net, S, R)}, 2)['s']))
        print(k, [(x['value'], round(x['median_s'], 3)) for x in out['growth'][k]], flush=True)
    atomic_write(a.out, json.dumps(out, indent=1))


if __name__ == '__main__':
    sys.exit(main())
