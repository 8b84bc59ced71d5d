"""Classes that arrive in groups, learned from a distilled memory (GDumb): Figure 2 of GIFT, Figure 10 of G-VBSM.

    python bench/continual.py                # -> runs/continual, a file per set and seed
    python bench/continual.py --merge        # -> bench/results/continual.json

Only ten groups are run. GDumb trains from scratch, so what it knows after six classes does not depend on whether they
came one by one or in pairs: every second accuracy of ten groups is the accuracy of five (`gdumb` gives equal numbers,
tested in its notebook).
"""
import sys

from budgets import BUDGET, METHODS, TRAIN
from harness import run_table
from incremental import FIT, LOSSES, learn
from prepared import TEACHER, distilled

ROWS = ('random', 'rded', 'sre2l', 'gvbsm')


def run(data: str, row: str, seed: int) -> dict:
    method, settings = METHODS[row]
    return learn(distilled(data, method, seed, settings), data, 10, seed, FIT)


def tasks(data, seeds) -> list[dict]:
    return [dict(data=d, row=r, seed=s) for s in seeds for d in data for r in ROWS]


if __name__ == '__main__':
    sys.exit(run_table('continual', 'GDumb with five and ten steps, 10 images per class', tasks, run,
                       budget={k: BUDGET[k] for k in ('mnist', 'cifar10')}, train_images=TRAIN, fit=FIT,
                       methods={k: METHODS[k] for k in ROWS}, losses=LOSSES, teacher=TEACHER))
