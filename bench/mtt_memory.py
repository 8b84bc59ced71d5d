"""One iteration of MTT at ConvNet width 32: every step's graph kept against each made again, side by side.

    python bench/mtt_memory.py                 # writes bench/results/mtt_memory.json
    python bench/mtt_memory.py --data digits --reps 1 --steps 2 --out /tmp/x.json

Both ways run in one process, in turn, on the same images, start and target. `error` is the largest relative difference
of their gradients in the images and in the learning rate; `peak_mb` is how far the process's resident memory rose.
"""
import argparse
import json
import statistics
import sys
import time
from functools import partial

import torch
import torch.nn.functional as F
from torch.func import functional_call

from dd_lit.core import PeakMemory, atomic_write, rng
from dd_lit.data import load_data
from dd_lit.gradient.dc import real_start
from dd_lit.models import create_model
from dd_lit.trajectory.experts import flat_weights, named_weights
from dd_lit.trajectory.mtt import match_trajectory, unrolled_match
from harness import RESULTS, made_with
from timing import rounds

WAYS = (unrolled_match, match_trajectory)


def student(net, images, labels):
    "The loss of every step: on all images, without augmentation."
    def loss(n, theta):
        return F.cross_entropy(functional_call(net, named_weights(theta, net), (images,)), labels)
    return loss


def measured(way, *args) -> tuple:
    "Seconds, rise of memory in MB, and the gradients of one iteration."
    memory, t = PeakMemory(), time.perf_counter()
    _, grads = way(*args)
    return time.perf_counter() - t, memory.bytes()/2**20, grads


def compared(job, reps: int) -> dict:
    "Time and memory of both ways on one job, and how far their gradients are apart."
    out, found = {f.__name__: dict(seconds=[], peak_mb=[]) for f in WAYS}, {}
    for k, counts in rounds(out, reps):
        way = next(f for f in WAYS if f.__name__ == k)
        s, mb, found[k] = measured(way, *job)
        if counts:
            out[k]['seconds'].append(round(s, 3))
            out[k]['peak_mb'].append(round(mb, 1))
    for v in out.values():
        v |= dict(median_s=statistics.median(v['seconds']), median_peak_mb=statistics.median(v['peak_mb']))
    pairs = zip(*found.values(), strict=True)
    return out | dict(error=max(((a - b).norm()/a.norm()).item() for a, b in pairs))


def arguments() -> argparse.Namespace:
    ap = argparse.ArgumentParser()
    ap.add_argument('--data', default='cifar10')
    ap.add_argument('--ipc', type=int, default=1)
    ap.add_argument('--width', type=int, default=32)
    ap.add_argument('--steps', type=int, nargs='+', default=[5, 10, 20])
    ap.add_argument('--reps', type=int, default=3)
    ap.add_argument('--seed', type=int, default=0)
    ap.add_argument('--out', default=str(RESULTS/'mtt_memory.json'))
    return ap.parse_args()


def main():
    a = arguments()
    data = load_data(a.data)
    images = real_start(data, a.ipc, rng(a.seed, 'S')).requires_grad_()
    labels = torch.arange(data.num_classes).repeat_interleave(a.ipc)
    net = create_model('convnet3', data.num_classes, data.in_chans, data.size, seed=a.seed, width=a.width).train()
    start = flat_weights(net)
    target = start + .01*torch.randn(start.shape, generator=rng(a.seed, 'target'))
    job = partial(lambda n, lr: (student(net, images, labels), start, target, lr, n, [images]),
                  lr=torch.tensor(.01, requires_grad=True))
    about = {k: getattr(a, k) for k in ('data', 'ipc', 'width', 'reps', 'seed')}
    out = dict(what='seconds and peak memory of one iteration of MTT', **about, made_with=made_with(), steps={})
    for n in a.steps:
        out['steps'][str(n)] = v = compared(job(n), a.reps)
        print(n, {f.__name__: (v[f.__name__]['median_s'], v[f.__name__]['median_peak_mb']) for f in WAYS},
              f"{v['error']:.1e}", flush=True)
    atomic_write(a.out, json.dumps(out, indent=1))


if __name__ == '__main__':
    sys.exit(main())
