"""Muon, AdamW and SGD on distilled photographs with hard labels: CIFAR-10, ten images per class.

    DD_LIT_DATA=... python bench/muon_colour.py            # runs are kept under runs/muon_colour
    DD_LIT_DATA=... python bench/muon_colour.py --merge    # -> bench/results/muon_colour.json

The sets of `colour.py` (random images and OGM's), its student, random crops. Each optimiser is tried
at two rates and counts at the one that is better in the mean of the other seeds (`scores.choose_rates`).
"""
import sys
import time

from dd_lit.augment import patch_augment
from dd_lit.evaluate import evaluate
from harness import run_table
from photographs import STUDENT, made
from prepared import whole_data

IPC, CROP = 10, .5
ROWS = ('random', 'ogm')
RATES = dict(sgd=(.02, .1), adamw=(.001, .003), muon=(.005, .02))
TRAINING = dict(batch_size=50, schedule='cosine', weight_decay=.01, hard=False)


def run(data: str, row: str, seed: int) -> dict:
    d, ds, since = whole_data(data), made(row, IPC, seed), time.process_time()
    kw = dict(seed=seed, augment=patch_augment(1, (CROP, 1.)), **TRAINING, **STUDENT)
    top1 = lambda opt, lr: round(evaluate(ds, d, opt=opt, lr=lr, **kw).mean, 2)
    found = {o: {f'{lr:g}': top1(o, lr) for lr in rates} for o, rates in RATES.items()}
    return dict(optimizers=found, processor_seconds=round(time.process_time() - since, 1))


def tasks(data, seeds) -> list[dict]:
    return [dict(data=d, row=r, seed=s) for s in seeds for d in data for r in ROWS]


if __name__ == '__main__':
    sys.exit(run_table('muon_colour', 'Muon, AdamW and SGD on CIFAR-10, ten images per class, hard labels', tasks, run,
                       data=('cifar10',), student=STUDENT, training=TRAINING, rates=RATES, crop=CROP))
