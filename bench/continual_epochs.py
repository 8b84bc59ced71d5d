"""Is GIFT behind KL with few classes because few classes mean few steps? The first classes of `continual.py`, five times as long.

    python bench/continual_epochs.py                # -> runs/continual_epochs, a file per dataset and seed
    python bench/continual_epochs.py --merge        # -> bench/results/continual_epochs.json

Random images, ten per class, one class at a time; two to four classes are one batch, so an epoch is one step. The runs of 60 epochs
are in continual.json, with the same seeds.
"""
import sys

from continual import FIT, LOSSES, Remember, data_of
from dd_lit.distill import distill
from dd_lit.labels.losses import get_loss
from dd_lit.teachers import squeeze
from dd_lit.study.continual import class_groups, gdumb
from harness import run_table
from statistics_tables import BUDGET, TRAIN

CLASSES, EPOCHS = 4, 5*FIT['epochs']


def run(data, row, seed):
    d, b = data_of(data), BUDGET[data]
    s, lab = b['distill'], b['label']
    ds, groups = distill(row, d, 10, seed=seed), class_groups(10, 10, seed)[:CLASSES]
    teacher = Remember(squeeze('resnet18', d, epochs=s['squeeze_epochs'], augment=s['squeeze_augment'], width=s['width']))
    out = {l: gdumb(ds, d, groups, loss=get_loss(l), teachers=[teacher], seed=seed, model_kw=dict(width=b['width']), crop=lab['crop'], flip=lab['flip'], mix=lab['mix'], **FIT | dict(epochs=EPOCHS)) for l in LOSSES}
    return dict(classes=[len(o['classes']) for o in out['kl']], accuracy={l: [o['accuracy'] for o in v] for l, v in out.items()})


def tasks(data, seeds):
    return [dict(data=d, row='random', seed=s) for s in seeds for d in data]


if __name__ == '__main__':
    sys.exit(run_table('continual_epochs', 'GDumb with two to four classes, five times as long', tasks, run, train_images=TRAIN, fit=FIT | dict(epochs=EPOCHS)))
