"""Is GIFT behind KL with few classes because few classes mean few steps? `continual.py`, five times as long.

    python bench/continual_epochs.py                # -> runs/continual_epochs, a file per dataset and seed
    python bench/continual_epochs.py --merge        # -> bench/results/continual_epochs.json

Random images, ten per class, one class at a time; two to four classes are one batch, so an epoch is one step. The runs
of 60 epochs are in continual.json, with the same seeds.
"""
import sys

from budgets import BUDGET, IPC, TRAIN
from dd_lit.distill import distill
from dd_lit.study.continual import class_groups
from harness import run_table
from incremental import FIT, LOSSES, learn
from prepared import TEACHER, data_of

CLASSES = 4
LONG = FIT | dict(epochs=5*FIT['epochs'])


def run(data: str, row: str, seed: int) -> dict:
    ds = distill(row, data_of(data), IPC, seed=seed)
    return learn(ds, data, class_groups(10, 10, seed)[:CLASSES], seed, LONG)


def tasks(data, seeds) -> list[dict]:
    return [dict(data=d, row='random', seed=s) for s in seeds for d in data]


if __name__ == '__main__':
    sys.exit(run_table('continual_epochs', 'GDumb with two to four classes, five times as long', tasks, run,
                       train_images=TRAIN, fit=LONG, ipc=IPC, budget={k: BUDGET[k] for k in ('mnist', 'cifar10')},
                       losses=LOSSES, teacher=TEACHER))
