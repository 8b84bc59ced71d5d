"""Class-incremental learning with a distilled memory (GDumb): five and ten groups of classes. Figure 2 of GIFT, Figure 10 of G-VBSM.

    python bench/continual.py                # -> runs/continual, a file per set, loss, number of steps and seed
    python bench/continual.py --merge        # -> bench/results/continual.json
"""
import sys
from functools import lru_cache
from dd_lit.distill import distill, get_method
from dd_lit.labels.losses import get_loss
from dd_lit.statistics.backbones import squeeze
from dd_lit.study.continual import gdumb
from harness import run_table
from statistics_tables import BUDGET, G, TRAIN, TWO, load

SETS = {'random': ('random', {}), 'rded': ('rded', dict(iters=1, pool=100)), 'sre2l': ('sre2l', {}), 'gvbsm': ('gvbsm', G | dict(backbones=TWO))}
LOSSES = ('kl', 'gift')
FIT = dict(epochs=60, batch_size=50, opt='adamw', lr=.003, schedule='cosine')
data_of = lru_cache(load)


@lru_cache(maxsize=1)
def made(data, row, seed):
    method, cfg = SETS[row]; full = BUDGET[data]['distill'] | cfg
    return distill(method, data_of(data), 10, seed=seed, **{k: v for k, v in full.items() if k in get_method(method).defaults})


def run(data, row, seed, loss, steps):
    d, b = data_of(data), BUDGET[data]; s, lab = b['distill'], b['label']
    teacher = squeeze('resnet18', d, epochs=s['squeeze_epochs'], augment=s['squeeze_augment'], width=s['width'])
    out = gdumb(made(data, row, seed), d, steps, loss=get_loss(loss), teachers=[teacher], seed=seed, model_kw=dict(width=b['width']), crop=lab['crop'], flip=lab['flip'], mix=lab['mix'], **FIT)
    return dict(classes=[len(o['classes']) for o in out], accuracy=[o['accuracy'] for o in out], mean=sum(o['accuracy'] for o in out)/len(out), last=out[-1]['accuracy'])


def tasks(data, seeds): return [dict(data=d, row=r, seed=s, loss=l, steps=k) for s in seeds for d in data for r in SETS for k in (5, 10) for l in LOSSES]


if __name__ == '__main__': sys.exit(run_table('continual', 'GDumb with five and ten steps, 10 images per class', tasks, run, budget={k: BUDGET[k] for k in ('mnist', 'cifar10')}, train_images=TRAIN, fit=FIT))
