"""What bfloat16 costs in accuracy: the same seeds in float32 and in bfloat16, everything else alike.

    DD_LIT_DATA=... python bench/precision.py            # about 90 minutes of one core; runs/precision keeps each run
    DD_LIT_DATA=... python bench/precision.py --merge    # -> bench/results/precision.json

Rows: `evaluate`, networks on three sets that others made (the folder `peers` of DD_LIT_DATA), as `dd_lit evaluate`
trains them; `dc`, one image per class distilled by DC with the network's passes over real images in either precision,
and scored in float32; `gvbsm`, a small committee trained, matched and asked in either, and scored in float32. Networks
of one image per class differ by a point from seed to seed: of those there are more, and a set that was made is scored
by several.
"""
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from budgets import BUDGET, GVBSM, TWO, squeezing
from dd_lit.distill import distill
from dd_lit.evaluate import evaluate
from dd_lit.labels.losses import get_loss
from dd_lit.labels.soft import relabel
from dd_lit.sets import read_sets
from dd_lit.teachers import squeeze_all
from harness import run_table
from prepared import data_of, distilled, whole_data
from verdicts import SEEDS, interval

PEERS = {'dc_mnist_ipc1.pt': 'mnist', 'dc_cifar10_ipc1.pt': 'cifar10', 'dc_cifar10_ipc10.pt': 'cifar10'}
PAIRS = {'dc_mnist_ipc1.pt': 10, 'dc_cifar10_ipc1.pt': 10, 'dc_cifar10_ipc10.pt': 3}       # networks in both precisions
SCORED = 3                           # networks that score a set that was made here
DC = dict(iters=20)                  # of a thousand; everything else as the paper has it
TRAINING = dict(opt='adamw', lr=.003, schedule='cosine', weight_decay=.01)
BOTH = ('float32', 'bfloat16')


def networks(data: str, file: str, seed: int, precision: str) -> float:
    "One network trained and tested in this precision."
    d = whole_data(data)
    ds = read_sets(Path(os.environ['DD_LIT_DATA'])/'peers'/file, d)[0]
    return evaluate(ds, d, repeats=1, seed=seed, precision=precision).mean


def images(data: str, file: str, seed: int, precision: str) -> float:
    "One set distilled in this precision; networks in float32."
    d = whole_data(data)
    dtype = None if precision == 'float32' else precision        # as the setting calls them
    ds = distill('dc', d, 1, seed=seed, real_dtype=dtype, **DC)
    return evaluate(ds, d, repeats=SCORED, seed=seed).mean


def committee(data: str, file: str, seed: int, precision: str) -> float:
    "Two networks trained, matched and asked in this precision, within the tables' budget; networks in float32."
    d, b = data_of(data), BUDGET[data]
    ds = distilled(data, 'gvbsm', seed, GVBSM | dict(backbones=TWO, precision=precision))
    nets = squeeze_all(TWO, d, seed=seed, precision=precision, **squeezing(data))
    labels = relabel(ds.images, nets, seed=seed, precision=precision, **b['label'])
    how = dict(soft=labels, loss=get_loss('mse_ce', gamma=.1), hard=False, model_kw=dict(width=b['width']))
    return evaluate(ds, d, repeats=SCORED, seed=seed, epochs=b['epochs'], **TRAINING, **how).mean


KINDS = dict(evaluate=networks, dc=images, gvbsm=committee)


def run(data: str, row: str, file: str, seed: int) -> dict:
    out: dict = dict(accuracy={}, took={})
    for precision in BOTH:
        t = time.perf_counter()
        out['accuracy'][precision] = KINDS[row](data, file, seed, precision)
        out['took'][precision] = round(time.perf_counter() - t, 2)
    return out | dict(lost=out['accuracy']['float32'] - out['accuracy']['bfloat16'])


# --- what came out ---

NAMES = {'dc_mnist_ipc1.pt': 'scoring ten images of MNIST', 'dc_cifar10_ipc1.pt': 'scoring ten images of CIFAR-10',
         'dc_cifar10_ipc10.pt': 'scoring a hundred images of CIFAR-10', 'dc': 'making ten images by DC',
         'gvbsm': 'a committee: trained, matched, asked'}
HALF_A_POINT = .5                    # what `precision='auto'` may cost


@dataclass(frozen=True)
class Cost:
    "What bfloat16 costs in one place."
    place: str
    pairs: int      # of runs with the same seed
    lost: float     # percentage points, float32 minus bfloat16
    low: float      # 95 % interval of the mean
    high: float

    @property
    def too_much(self) -> bool:
        "Is more than half a point lost, for sure?"
        return self.low > HALF_A_POINT


def costs(rows: list[dict]) -> list[Cost]:
    "Place by place; few pairs say nothing and are left out."
    places = {name: [r['lost'] for r in rows if key in (r['file'], r['row'])] for key, name in NAMES.items()}
    return [Cost(n, len(lost), *interval(lost)) for n, lost in places.items() if len(lost) >= SEEDS]


def tasks(data, seeds) -> list[dict]:
    "What was made here has three seeds, others' sets have as many as `PAIRS` says."
    made = [dict(data='cifar10', row=r, file='', seed=s) for s in list(seeds)[:3] for r in ('dc', 'gvbsm')]
    sets = [dict(data=d, row='evaluate', file=f, seed=s) for s in seeds for f, d in PEERS.items() if s < PAIRS[f]]
    return [t for t in sets + made if t['data'] in data]


if __name__ == '__main__':
    sys.exit(run_table('precision', 'float32 against bfloat16, paired by seed', tasks, run, seeds=10, dc=DC,
                       pairs=PAIRS, scored=SCORED))
