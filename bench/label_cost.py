"""GIFT's step against KL's, side by side; and how often Theorem 1 of GIFT holds on random trials.

    python bench/label_cost.py          # writes bench/results/label_cost.json
"""
import argparse
import itertools
import json
import sys
import time
from functools import partial

import torch
import torch.nn.functional as F

from dd_lit.core import atomic_write, rng
from dd_lit.labels.gift import refine_labels
from dd_lit.labels.losses import get_loss
from dd_lit.labels.theorem import infonce, repaired_bound, stated_bound
from dd_lit.models import create_model
from harness import RESULTS, made_with
from timing import in_turn, medians, rounded

def trial(C: int, tau: float, q: float, seed: int) -> tuple[bool, bool]:
    "Do the stated and the repaired bound hold? 64 labels of C classes; outputs are q of them and the rest noise."
    g = rng(seed, 'trial', C)
    h = torch.randint(C, (64,), generator=g)
    y = F.normalize(refine_labels(torch.randn(64, C, generator=g) + 3*F.one_hot(h, C), h), dim=1)
    z = q*y + (1 - q)*F.normalize(torch.randn(64, C, generator=g), dim=1)
    loss = infonce(z, y, tau).item()
    return loss <= stated_bound(z, y, tau).item() - 1e-6, loss <= repaired_bound(z, y, tau).item() + 1e-5


def theorem_trials() -> dict:
    "How often the stated and the repaired bound hold, on labels of 10 to 1000 classes."
    cases = itertools.product((10, 100, 1000), (.05, .1, .5, 1., 5., 20.), (0., .5, 1.), range(10))
    found = [trial(*case) for case in cases]
    return dict(trials=len(found), holds=sum(a for a, _ in found), repaired=sum(b for _, b in found))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--reps', type=int, default=60)
    ap.add_argument('--out', default=str(RESULTS/'label_cost.json'))
    a = ap.parse_args()
    net = create_model('convnet3', 10, 3, 32, seed=0)
    g = rng(0)
    x, soft = torch.randn(50, 3, 32, 32, generator=g), torch.randn(50, 10, generator=g)
    hard = torch.randint(10, (50,), generator=g)
    def training_step(loss):
        net.zero_grad()
        get_loss(loss)(net(x), soft, hard).backward()
    steps = {l: partial(training_step, l) for l in ('kl', 'gift', 'mse')}
    each = in_turn(steps, a.reps, 3, time.process_time)
    rows = medians(each)
    print({l: f'{1e3*v:.2f} ms' for l, v in rows.items()})
    trials = theorem_trials()
    print(trials)
    what = 'step time of GIFT and KL (ConvNet-3, 50 images of 32 px); trials of Theorem 1'
    out = dict(what=what, reps=a.reps, rows=rows, each={l: rounded(v, 5) for l, v in each.items()}, theorem=trials,
               made_with=made_with())
    atomic_write(a.out, json.dumps(out, indent=1))


if __name__ == '__main__':
    sys.exit(main())
