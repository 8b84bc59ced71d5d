"""What bfloat16 costs in accuracy: the same seeds in float32 and in bfloat16, everything else alike.

    DD_LIT_DATA=... python bench/precision.py            # about an hour of one core; runs/precision keeps each run
    DD_LIT_DATA=... python bench/precision.py --merge    # -> bench/results/precision.json

Rows: `evaluate`, networks on three sets that others made (the folder `peers` of DD_LIT_DATA), as `dd_lit evaluate`
trains them; `dc`, one image per class distilled by DC with the network's passes over real images in either precision,
and scored in float32; `gvbsm`, a small committee trained, matched and asked in either, and scored in float32.
"""
import os
import sys
import time
from pathlib import Path

from dd_lit.distill import distill
from dd_lit.evaluate import evaluate
from dd_lit.sets import read_sets
from harness import run_table
from prepared import whole_data

PEERS = {'dc_mnist_ipc1.pt': 'mnist', 'dc_cifar10_ipc1.pt': 'cifar10', 'dc_cifar10_ipc10.pt': 'cifar10'}
DC = dict(iters=20)                  # of a thousand; everything else as the paper has it
BOTH = ('float32', 'bfloat16')


def networks(data: str, file: str, seed: int, precision: str) -> float:
    "One network trained and tested in this precision."
    d = whole_data(data)
    ds = read_sets(Path(os.environ['DD_LIT_DATA'])/'peers'/file, d)[0]
    return evaluate(ds, d, repeats=1, seed=seed, precision=precision).mean


def images(data: str, file: str, seed: int, precision: str) -> float:
    "One set distilled in this precision; one network in float32."
    d = whole_data(data)
    ds = distill('dc', d, 1, seed=seed, real_dtype=precision, **DC)
    return evaluate(ds, d, repeats=1, seed=seed).mean


KINDS = dict(evaluate=networks, dc=images)


def run(data: str, row: str, file: str, seed: int) -> dict:
    out: dict = dict(accuracy={}, took={})
    for precision in BOTH:
        t = time.perf_counter()
        out['accuracy'][precision] = KINDS[row](data, file, seed, precision)
        out['took'][precision] = round(time.perf_counter() - t, 2)
    return out | dict(lost=out['accuracy']['float32'] - out['accuracy']['bfloat16'])


def tasks(data, seeds) -> list[dict]:
    sets = [dict(data=d, row='evaluate', file=f, seed=s) for s in seeds for f, d in PEERS.items() if d in data]
    made = [dict(data='cifar10', row='dc', file='', seed=s) for s in list(seeds)[:3] if 'cifar10' in data]
    return sets + made


if __name__ == '__main__':
    sys.exit(run_table('precision', 'float32 against bfloat16, paired by seed', tasks, run, seeds=5, dc=DC))
