"""What each part of G-VBSM costs per iteration against SRe2L alone, and a committee in memory, side by side.

    python bench/statistics_cost.py            # writes bench/results/statistics_cost.json
"""
import argparse
import json
import sys
from functools import partial

from budgets import THREE
from dd_lit.core import atomic_write
from dd_lit.data import load_data
from dd_lit.statistics.gvbsm import GVBSM
from harness import RESULTS, made_with
from timing import in_turn, medians, rounded, saved_bytes, step

BASE = dict(width=16, squeeze_epochs=6, squeeze_augment='crop', crop=.5, flip=False)
ONE = BASE | dict(backbones=('resnet18',), dd=False, conv=False, alpha=0.)
ALL = ONE | dict(alpha=.4, dd=True, conv=True, drop=.4)
SRE2L, COMMITTEE = 'SRe2L (reordered loop)', 'all, three backbones in turn'
ROWS = {
    SRE2L: ONE, '+ SDS memory': ONE | dict(alpha=.4), '+ DD': ONE | dict(dd=True),
    '+ conv statistics, beta_dr 0': ONE | dict(conv=True, drop=0.),
    '+ conv statistics, beta_dr 0.4': ONE | dict(conv=True, drop=.4),
    'all, beta_dr 0.4': ALL,
    COMMITTEE: ALL | dict(backbones=THREE, pick='round_robin')}
TURN = {n: 3 if n == COMMITTEE else 1 for n in ROWS}      # steps in a round through the committee


def some_steps(m, n: int) -> None:
    for _ in range(n):
        step(m)


def measured(data, ipc: int, reps: int) -> dict[str, dict]:
    "Seconds per iteration of each variant, its ratio to SRe2L's, and the MB that autograd keeps."
    ms = {n: GVBSM(data, ipc, seed=0, iters=1000, **cfg) for n, cfg in ROWS.items()}
    for m in ms.values():
        m.setup()
    seconds = in_turn({n: partial(some_steps, m, TURN[n]) for n, m in ms.items()}, reps)
    seconds = {n: [s/TURN[n] for s in v] for n, v in seconds.items()}
    median = medians(seconds)
    saved = {n: max(saved_bytes(partial(step, m)) for _ in range(TURN[n]))/2**20 for n, m in ms.items()}
    return {n: dict(median_s=median[n], ratio=median[n]/median[SRE2L], seconds=rounded(seconds[n]), saved_mb=saved[n])
            for n in ROWS}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--data', default='digits')
    ap.add_argument('--ipc', type=int, default=10)
    ap.add_argument('--reps', type=int, default=9)
    ap.add_argument('--out', default=str(RESULTS/'statistics_cost.json'))
    a = ap.parse_args()
    rows = measured(load_data(a.data), a.ipc, a.reps)
    for n, v in rows.items():
        time = f"{1e3*v['median_s']:7.1f} ms  {v['ratio']:.2f}x"
        print(f"{n:32} {time}  {v['saved_mb']:.0f} MB saved for backward", flush=True)
    out = dict(what='cost per iteration of the parts of G-VBSM', data=a.data, ipc=a.ipc, reps=a.reps, rows=rows,
               made_with=made_with())
    atomic_write(a.out, json.dumps(out, indent=1))


if __name__ == '__main__':
    sys.exit(main())
