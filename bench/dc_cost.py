"""What M, D and A cost, and how a matching step grows: side by side in one process.

    python bench/dc_cost.py            # writes bench/results/dc_cost.json
"""
import argparse
import json
import statistics
import sys
import time
from functools import partial

from dd_lit.core import atomic_write, rng
from dd_lit.coreset.select import random_select
from dd_lit.data import load_data
from dd_lit.gradient.dc import DC, match_step
from dd_lit.models import create_model
from harness import RESULTS, made_with
from timing import in_turn, rounded

VARIANTS = {
    'dc': {}, 'dc again': {}, 'M': dict(mode='multi'), 'D': dict(kind='angle+l2'),
    'MD': dict(mode='multi', kind='angle+l2')}
GROWTH = dict(C=(2, 5, 10), ipc=(1, 5, 10, 20), batch=(32, 64, 128, 256))


def measured(fs: dict, reps: int) -> dict[str, dict]:
    "Median seconds of each function, and all of them."
    return {k: dict(median_s=statistics.median(v), seconds=rounded(v)) for k, v in in_turn(fs, reps).items()}


def real_images(data, n: int, classes: int) -> list:
    return [data.normalize(data.train_x[data.train_y == c][:n]) for c in range(classes)]


def start_images(data, ipc: int, classes: int):
    chosen = random_select(data.train_y, ipc, rng(0))
    return data.normalize(data.train_x[chosen][:ipc*classes]).requires_grad_()


def parts(data, net, ipc: int, batch: int, reps: int) -> dict:
    "What M and D add to a step."
    real, images = real_images(data, batch, data.num_classes), start_images(data, ipc, data.num_classes)
    steps = {n: partial(match_step, net, images, real, **kw) for n, kw in VARIANTS.items()}
    found = measured(steps, reps)
    for v in found.values():
        v['over_dc_percent'] = 100*(v['median_s']/found['dc']['median_s'] - 1)
    print(ipc, {n: round(v['over_dc_percent'], 2) for n, v in found.items()}, flush=True)
    return found


def adaptive(data, batch: int) -> dict:
    "An iteration at 10 images per class with the constant and with the adaptive schedule."
    steps = {}
    for n in ('constant', 'adaptive'):
        m = DC(data, 10, schedule=n, iters=1, batch_real=batch)
        m.setup()
        t = time.perf_counter()
        m.step()
        steps[n] = dict(seconds=time.perf_counter() - t, net_epochs=m.log['net_epochs'])
        print(n, steps[n], flush=True)
    return steps | dict(saved_percent=100*(1 - steps['adaptive']['seconds']/steps['constant']['seconds']))


def growth(data, net, what: str) -> list[dict]:
    "Seconds of a step over one of its sizes."
    out = []
    for v in GROWTH[what]:
        g = dict(C=10, ipc=1, batch=64) | {what: v}
        real, images = real_images(data, g['batch'], g['C']), start_images(data, g['ipc'], g['C'])
        found = measured(dict(step=partial(match_step, net, images, real)), 2)
        out.append(dict(value=v, **found['step']))
    print(what, [(x['value'], round(x['median_s'], 3)) for x in out], flush=True)
    return out


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--data', default='mnist')
    ap.add_argument('--reps', type=int, default=5)
    ap.add_argument('--batch', type=int, default=256)
    ap.add_argument('--out', default=str(RESULTS/'dc_cost.json'))
    a = ap.parse_args()
    data = load_data(a.data)
    net = create_model('convnet3', data.num_classes, data.in_chans, data.size, seed=0)
    out = dict(what='cost of M, D and A, and growth of a matching step', data=a.data, batch=a.batch, reps=a.reps)
    out['made_with'] = made_with()
    out['parts'] = {str(ipc): parts(data, net, ipc, a.batch, a.reps) for ipc in (1, 10)}
    out['adaptive'] = adaptive(data, a.batch)
    out['growth'] = {k: growth(data, net, k) for k in GROWTH}
    atomic_write(a.out, json.dumps(out, indent=1))


if __name__ == '__main__':
    sys.exit(main())
