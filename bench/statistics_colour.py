"""What each part of G-VBSM is worth on photographs: CIFAR-10, ten images per class, the paper's five networks.

    DD_LIT_DATA=... python bench/statistics_colour.py            # runs are kept under runs/statistics_colour
    DD_LIT_DATA=... python bench/statistics_colour.py --merge    # -> bench/results/statistics_colour.json

The recipe `cifar10/gvbsm/ipc10` of `dd_lit reproduce`, with a tenth of its iterations and shorter training of the
students. The five networks, squeezed for five epochs as the recipe says, are those of seed 0 in every run: rows and
seeds differ in the images, not in whom they ask. SRe2L asks the ResNet-18 among them, by its own recipe. All five label
the views of every row, whoever made its images, but for SRe2L's, which its ResNet-18 labels, and for the rows that say
other labels.
"""
import sys
import time
from functools import lru_cache

from torch import nn

from dd_lit.distill import distill
from dd_lit.evaluate import evaluate
from dd_lit.labels.losses import get_loss
from dd_lit.labels.soft import relabel
from dd_lit.method import get_method
from dd_lit.reproduce import settings_of
from dd_lit.sets import DistilledSet
from dd_lit.teachers import FIVE
from harness import run_table
from prepared import whole_data

IPC, SCALE, REPEATS = 10, .1, 2
FAST = dict(precision='bfloat16')
NORMED = tuple(n for n in FIVE if n != 'convnet3')                  # that have batch norm
RECIPE = dict(gvbsm='cifar10/gvbsm/ipc10', sre2l='cifar10/sre2l/ipc10@squeeze-5')
ALONE = dict(by=('resnet18',))
ROWS = {                  # name -> (method, its settings, who is asked, settings of the labels, and who labels: `by`)
    'gvbsm': ('gvbsm', {}, FIVE, {}),
    'sre2l': ('sre2l', {}, ('resnet18',), ALONE),
    'random': ('random', {}, (), {}),
    'gvbsm, no DD': ('gvbsm', dict(dd=False), FIVE, {}),
    'gvbsm, only BN': ('gvbsm', dict(conv=False), NORMED, {}),
    'gvbsm, only Conv': ('gvbsm', dict(bn=False), FIVE, {}),
    'gvbsm, beta_dr 0': ('gvbsm', dict(drop=0.), FIVE, {}),
    'gvbsm, alpha 0': ('gvbsm', dict(alpha=0.), FIVE, {}),
    'gvbsm, alpha 0.8': ('gvbsm', dict(alpha=.8), FIVE, {}),
    'gvbsm, one view': ('gvbsm', dict(one_view=True), FIVE, {}),          # one crop and mirror for all of a batch
    'gvbsm, one backbone': ('gvbsm', {}, ('resnet18',), {}),
    'gvbsm, 1 teacher': ('gvbsm', {}, FIVE, ALONE),
    'gvbsm, 2 teachers': ('gvbsm', {}, FIVE, dict(by=FIVE[:2])),
    'gvbsm, no logit normalisation': ('gvbsm', {}, FIVE, dict(normalize=False)),
}
LABELS = dict(epochs=300, batch_size=50, crop=.08, flip=True, mix=True) | FAST
LOSS, GAMMA = 'mse_ce', .15
STUDENT = dict(model='convnet3', epochs=300, batch_size=50, opt='adamw', lr=.001, weight_decay=.01,
               schedule='cosine', repeats=REPEATS, hard=False) | FAST


def recipe(method: str) -> dict:
    return settings_of(method, RECIPE[method], IPC) | FAST


@lru_cache
def committee() -> dict[str, nn.Module]:
    "The networks of the recipe, trained as it says from seed 0, or found in the cache."
    return get_method('gvbsm')(whole_data('cifar10'), IPC, seed=0, **recipe('gvbsm')).nets.models


def settings(row: str) -> dict:
    "The recipe's with a tenth of its iterations, and what the row changes; nothing of networks, which are given."
    method, own, *_ = ROWS[row]
    if method not in RECIPE:
        return own
    full = {k: v for k, v in recipe(method).items() if k != 'backbones' and not k.startswith('squeeze')}
    return full | dict(iters=round(full['iters']*SCALE)) | own


@lru_cache(maxsize=None)                       # rows that differ only in their labels share one set
def _made(method: str, seed: int, names: tuple[str, ...], own: tuple) -> DistilledSet:
    nets = dict(teachers=tuple(committee()[n] for n in names)) if names else {}
    return distill(method, whole_data('cifar10'), IPC, seed=seed, **nets, **dict(own))


def run(row: str, seed: int) -> dict:
    (method, _, names, lab), own = ROWS[row], settings(row)
    ds = _made(method, seed, names, tuple(own.items()))
    nets, by = ({n: committee()[n] for n in some} for some in (names, lab.get('by', FIVE)))
    others = {k: v for k, v in lab.items() if k != 'by'}
    since = time.process_time()
    labels = relabel(ds, list(by.values()), seed=seed, **LABELS | others)
    took = time.process_time() - since
    scores = evaluate(ds, whole_data('cifar10'), seed=seed, soft=labels, loss=get_loss(LOSS, gamma=GAMMA), **STUDENT)
    return dict(soft=scores.top1, soft_mean=scores.mean, seconds_made=ds.meta.get('seconds'),
                label_processor_seconds=round(took, 1), steps=ds.meta.get('iterations'),
                backbones={n: m.test_accuracy for n, m in nets.items()},
                labelled_by={n: m.test_accuracy for n, m in by.items()}, settings=own)


def tasks(data, seeds) -> list[dict]:
    return [dict(row=r, seed=s) for s in seeds for r in ROWS]


if __name__ == '__main__':
    sys.exit(run_table('statistics_colour', "G-VBSM's parts on CIFAR-10, ten images per class, the paper's networks",
                       tasks, run, data=('cifar10',), recipes=RECIPE, rows_of=ROWS, labels=LABELS, student=STUDENT,
                       loss=f'{LOSS}, gamma {GAMMA}', scale=SCALE))
