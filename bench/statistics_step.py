"""Statistics of features in two steps (over the batch, then pooled) against one: a layer, and whole steps.

    python bench/statistics_step.py            # writes bench/results/statistics_step.json

The steps are those of SRe2L and G-VBSM for CIFAR-10: a ResNet-18 of full width, fifty images. Its weights do not matter
for time; it is not trained. Processor seconds, on one thread.
"""
import argparse
import json
import sys
import time
from functools import partial
from unittest.mock import patch

import torch
from torch import Tensor

from dd_lit.core import atomic_write, chosen_precision, rng
from dd_lit.data import ImageData
from dd_lit.method import get_method
from dd_lit.models import create_model
from dd_lit.statistics import bn_matching, conv_stats
from harness import RESULTS, made_with
from timing import in_turn, medians, rounded, saved_bytes, step

PATCH = 4
LAYERS = dict(first=(50, 64, 32, 32), second=(50, 128, 16, 16), last=(50, 512, 4, 4))
METHODS = dict(sre2l={}, gvbsm=dict(dd=False, drop=0.))        # what does not concern statistics is left out


def at_once(x: Tensor) -> tuple[Tensor, Tensor]:
    "Mean and variance over batch and positions in one reduction."
    var, mean = torch.var_mean(x, [i for i in range(x.ndim) if i != 1], unbiased=False)
    return mean, var


def both_at_once(patch_size: int):
    "Of channels, and of patches, in one reduction each."
    def measure(x: Tensor) -> tuple[Tensor, ...]:
        if any(s % patch_size for s in x.shape[-2:]):              # stretched first: rare, and not timed here
            return *at_once(x), *conv_stats.patch_stats(x, patch_size)
        h, w = (s//patch_size for s in x.shape[-2:])
        parts = x.reshape(*x.shape[:2], h, patch_size, w, patch_size)
        var, mean = torch.var_mean(parts, (0, 1, 3, 5), unbiased=False)
        return *at_once(x), mean, var
    return measure


def images() -> ImageData:
    x = torch.randint(0, 256, (500, 3, 32, 32), generator=rng(0, 'images')).byte()
    return ImageData(x, torch.arange(500) % 10, x[:10], torch.arange(10), name='noise')


def made(method: str, precision: str, plain: bool):
    "A method that is set up; its matchers hold on to the measure that they were given."
    net = create_model('resnet18', 10, 3, 32, seed=0)
    how = dict(teachers=[net], precision=precision, batch_size=50, iters=1000, **METHODS[method])
    m = get_method(method)(images(), 10, seed=0, **how)
    with patch.object(bn_matching, 'bn_stats', at_once if plain else bn_matching.bn_stats), \
            patch.object(conv_stats, '_measure', both_at_once if plain else conv_stats._measure):
        m.setup()
        step(m)
    return m


def layer(measure, x: Tensor) -> None:
    torch.autograd.grad(sum(s.norm() for s in measure(x)), x)


def compared(sides: dict, reps: int) -> dict:
    "Median seconds of both sides, how many times as fast the second is, and what autograd keeps."
    seconds = in_turn(sides, reps, clock=time.process_time)
    median = medians(seconds)
    kept = {k: round(saved_bytes(f)/2**20, 1) for k, f in sides.items()}
    return dict(seconds={k: rounded(v, 5) for k, v in seconds.items()}, median_s=median, saved_mb=kept,
                ratio=round(median['at once']/median['in two steps'], 2))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--reps', type=int, default=9)
    ap.add_argument('--out', default=str(RESULTS/'statistics_step.json'))
    a, rows = ap.parse_args(), {}
    torch.set_num_threads(1)
    for name, shape in LAYERS.items():
        x = torch.randn(shape, generator=rng(0, name)).requires_grad_()
        sides = {'at once': both_at_once(PATCH), 'in two steps': conv_stats._measure(PATCH)}
        rows[f'layer {name}'] = compared({k: partial(layer, f, x) for k, f in sides.items()}, a.reps)
    fast = chosen_precision('auto', torch.device('cpu'))
    for method in METHODS:
        for precision in dict.fromkeys(['float32', fast]):
            ms = {k: made(method, precision, k == 'at once') for k in ('at once', 'in two steps')}
            rows[f'{method} {precision}'] = compared({k: partial(step, m) for k, m in ms.items()}, a.reps)
    for k, v in rows.items():
        print(f"{k:20} {v['ratio']:5.2f} times as fast", v['saved_mb'], flush=True)
    out = dict(what='statistics in two steps against one', reps=a.reps, layers=LAYERS, methods=METHODS, rows=rows,
               made_with=made_with())
    atomic_write(a.out, json.dumps(out, indent=1))


if __name__ == '__main__':
    sys.exit(main())
