"""Why 54 and not 46.5? G-VBSM's row of CIFAR-10 at ten images per class, with one thing changed at a time.

    DD_LIT_DATA=... python -m dd_lit reproduce cifar10/gvbsm/ipc10 --precision bfloat16 --out runs/reproduce
    DD_LIT_DATA=... python bench/gvbsm_level.py                     # on that set; runs/reproduce keeps its networks
    DD_LIT_DATA=... python bench/gvbsm_level.py --merge             # -> bench/results/gvbsm_level.json

The first row is the paper's recipe. Every other one scores the same hundred images (or, where it says so, a hundred
real ones) and changes what the student is told, or for how long: three networks each.
"""
import sys
from dataclasses import replace

from dd_lit.reproduce import Recipe, get_recipe, reproduce
from dd_lit.teachers import FIVE
from harness import run_table

RECIPE, PRECISION, NETWORKS = 'cifar10/gvbsm/ipc10', 'bfloat16', 3
SQUEEZED = dict(epochs=5, lr=.05, batch_size=64)              # as the recipe says
ROWS = {                                                      # name -> (a part of the recipe, what is changed in it)
    'as published': {},
    'real images': dict(method='random', settings={}, teachers=dict(names=list(FIVE), **SQUEEZED)),
    'no CutMix': dict(relabel=dict(mix=False)),
    'no logit normalisation': dict(relabel=dict(normalize=False)),
    'the ConvNet alone labels': dict(teachers=dict(names=['convnet3'], **SQUEEZED)),
    'the ResNet-18 alone labels': dict(teachers=dict(names=['resnet18'], **SQUEEZED)),
    'gamma 0': dict(evaluate=dict(loss=['mse_ce', dict(gamma=0.)])),
    'gamma 1.5': dict(evaluate=dict(loss=['mse_ce', dict(gamma=1.5)])),
    '100 epochs': dict(relabel=dict(epochs=100), evaluate=dict(epochs=100)),
    '300 epochs': dict(relabel=dict(epochs=300), evaluate=dict(epochs=300)),
}


def recipe(row: str) -> Recipe:
    "The paper's, changed in one thing; on the paper's set, unless the images are others."
    base, change = get_recipe(RECIPE), ROWS[row]
    if not change:
        return base
    own = {k: (getattr(base, k) or {}) | v if k in ('relabel', 'evaluate') else v for k, v in change.items()}
    on = None if 'method' in change else RECIPE
    return replace(base, name=f"{RECIPE}@{row.replace(' ', '-')}", on=on, published=None, deviation=None, **own)


def run(row: str) -> dict:
    r = recipe(row)
    o = reproduce(r, networks=r.networks if row == 'as published' else NETWORKS, settings=dict(precision=PRECISION))
    return dict(top1=o['top1'][0], mean=o['mean'], interval=o['interval'])


def tasks(data, seeds) -> list[dict]:
    return [dict(row=r) for r in ROWS]


if __name__ == '__main__':
    sys.exit(run_table('gvbsm_level', "G-VBSM's row of CIFAR-10, ten images per class, one thing changed at a time",
                       tasks, run, data=('cifar10',), recipe=RECIPE, precision=PRECISION, changes=ROWS))
