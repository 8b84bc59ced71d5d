"""What each part of G-VBSM costs per iteration, against SRe2L alone; and what a committee costs in memory. Side by side, one process.

    python bench/statistics_cost.py            # writes bench/results/statistics_cost.json
"""
import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch

from dd_lit.core import atomic_write, provenance, rng
from dd_lit.data import load_data
from dd_lit.statistics.gvbsm import GVBSM
from dd_lit.statistics.sre2l import SRe2L

BASE = dict(width=16, squeeze_epochs=6, squeeze_augment='crop', crop=.5, flip=False)
ONE = BASE | dict(backbones=('resnet18',), dd=False, conv=False, alpha=0., drop=0.)
ROWS = {'SRe2L (reordered loop)': ONE, '+ SDS memory': ONE | dict(alpha=.4), '+ DD': ONE | dict(dd=True), '+ conv statistics, beta_dr 0': ONE | dict(conv=True), '+ conv statistics, beta_dr 0.4': ONE | dict(conv=True, drop=.4),
        'all, beta_dr 0.4': ONE | dict(alpha=.4, dd=True, conv=True, drop=.4), 'all, three backbones in turn': ONE | dict(alpha=.4, dd=True, conv=True, drop=.4, backbones=('resnet18', 'convnet3', 'wrn16_2'), pick='round_robin')}


def saved_bytes(f):
    "Most bytes autograd holds for backward while f runs, and f's result."
    state = dict(now=0, most=0)
    class Held:
        def __init__(self, t):
            self.t = t
            state['now'] += t.numel()*t.element_size()
            state['most'] = max(state['most'], state['now'])
        def __del__(self):
            state['now'] -= self.t.numel()*self.t.element_size()
    with torch.autograd.graph.saved_tensors_hooks(Held, lambda h: h.t):
        f()
    return state['most']


def _saved(m):
    b = saved_bytes(m.step)
    m.k += 1
    return b


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--data', default='digits')
    ap.add_argument('--ipc', type=int, default=10)
    ap.add_argument('--reps', type=int, default=9)
    ap.add_argument('--out', default=str(Path(__file__).parent/'results'/'statistics_cost.json'))
    a = ap.parse_args()
    data, ms = load_data(a.data), {}
    for n, cfg in ROWS.items():
        ms[n] = GVBSM(data, a.ipc, seed=0, iters=1000, **cfg)
        ms[n].setup()
    times, three = {n: [] for n in ROWS}, lambda n: 3 if n.startswith('all, three') else 1        # a round through the committee
    for r in range(a.reps + 1):
        for n, m in ms.items():
            t = time.perf_counter()
            for j in range(three(n)):
                m.step()
                m.k += 1
            if r:
                times[n].append((time.perf_counter() - t)/three(n))
    base = statistics.median(times['SRe2L (reordered loop)'])
    rows = {n: dict(median_s=statistics.median(v), ratio=statistics.median(v)/base, seconds=[round(x, 4) for x in v], saved_mb=max(_saved(ms[n]) for _ in range(three(n)))/2**20) for n, v in times.items()}
    for n, v in rows.items():
        print(f"{n:32} {1e3*v['median_s']:7.1f} ms  {v['ratio']:.2f}x  {v['saved_mb']:.0f} MB saved for backward", flush=True)
    atomic_write(a.out, json.dumps(dict(what='cost per iteration of the parts of G-VBSM', data=a.data, ipc=a.ipc, reps=a.reps, rows=rows, made_with=provenance()), indent=1))


if __name__ == '__main__':
    sys.exit(main())
