"""Class-incremental learning with a distilled memory (GDumb): five and ten groups of classes. Figure 2 of GIFT, Figure 10 of G-VBSM.

    python bench/continual.py                # -> runs/continual, a file per set and seed
    python bench/continual.py --merge        # -> bench/results/continual.json

Only ten groups are run. GDumb trains from scratch, so what it knows after six classes does not depend on whether they came one by
one or in pairs: every second accuracy of ten groups is the accuracy of five (`gdumb` gives equal numbers, tested in its notebook).
"""
import hashlib
import sys
from functools import lru_cache

import torch

from dd_lit.distill import distill
from dd_lit.method import get_method
from dd_lit.labels.losses import get_loss
from dd_lit.teachers import squeeze
from dd_lit.study.continual import gdumb
from dd_lit.settings import names_of
from harness import run_table
from statistics_tables import BUDGET, TRAIN, TWO, G, load

SETS = {'random': ('random', {}), 'rded': ('rded', dict(iters=1, pool=100)), 'sre2l': ('sre2l', {}), 'gvbsm': ('gvbsm', G | dict(backbones=TWO))}
LOSSES = ('kl', 'gift')
FIT = dict(epochs=60, batch_size=50, opt='adamw', lr=.003, schedule='cosine')
data_of = lru_cache(load)


class Remember(torch.nn.Module):
    "A teacher that answers a view it has seen before from memory: both losses show it the same views."
    def __init__(self, net):
        super().__init__()
        self.net, self.known = net, {}
    def forward(self, x):
        k = hashlib.blake2b(x.cpu().contiguous().numpy().tobytes(), digest_size=16).digest()
        if k not in self.known:
            self.known[k] = self.net(x)
        return self.known[k]


def run(data, row, seed):
    d, b = data_of(data), BUDGET[data]
    s, lab = b['distill'], b['label']
    method, cfg = SETS[row]
    full = s | cfg
    ds = distill(method, d, 10, seed=seed, **{k: v for k, v in full.items() if k in names_of(get_method(method).settings)})
    teacher = Remember(squeeze('resnet18', d, epochs=s['squeeze_epochs'], augment=s['squeeze_augment'], width=s['width']))
    out = {l: gdumb(ds, d, 10, loss=get_loss(l), teachers=[teacher], seed=seed, model_kw=dict(width=b['width']), crop=lab['crop'], flip=lab['flip'], mix=lab['mix'], **FIT) for l in LOSSES}
    return dict(classes=[len(o['classes']) for o in out['kl']], accuracy={l: [o['accuracy'] for o in v] for l, v in out.items()})


def tasks(data, seeds):
    return [dict(data=d, row=r, seed=s) for s in seeds for d in data for r in SETS]


if __name__ == '__main__':
    sys.exit(run_table('continual', 'GDumb with five and ten steps, 10 images per class', tasks, run, budget={k: BUDGET[k] for k in ('mnist', 'cifar10')}, train_images=TRAIN, fit=FIT))
