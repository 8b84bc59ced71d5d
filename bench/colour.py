"""The methods in colour: CIFAR-10, ten images per class, a trained teacher, hard labels and soft ones.

    DD_LIT_DATA=... python bench/colour.py            # runs and sets are kept under runs/colour
    DD_LIT_DATA=... python bench/colour.py --merge    # -> bench/results/colour.json

All methods that ask a teacher ask the same one: the ResNet-20 of DD_LIT_DATA/weights (91.7 % of the test images);
G-VBSM, which wants a committee, a ResNet-56 beside it. Every
set is rounded to pixels of eight bits, as it ships with the package, before it is scored: one ConvNet-3 a seed, with
the given labels and DSA's augmentation, and one with that teacher's labels for every view. The steps are far fewer than
the papers', so that levels are not theirs; rows differ in their method alone.
"""
import sys

from dd_lit.evaluate import evaluate
from dd_lit.labels.losses import get_loss
from dd_lit.labels.soft import relabel
from dd_lit.models import as_network
from harness import run_table
from photographs import FAST, METHODS, STUDENT, TEACHER, expanded, made
from prepared import whole_data

HARD = dict(protocol='dsa')
SOFT = dict(opt='adamw', lr=.001, weight_decay=.01, schedule='cosine', batch_size=50, augment=None, hard=False)
LABELS = dict(epochs=300, batch_size=50, crop=.5, flip=True, mix=False, **FAST)


def run(method: str, ipc: int, seed: int) -> dict:
    d, ds = whole_data('cifar10'), made(method, ipc, seed)
    labels = relabel(ds, as_network(expanded(TEACHER)), seed=seed, **LABELS)
    hard = evaluate(ds, d, seed=seed, **HARD, **STUDENT)
    soft = evaluate(ds, d, seed=seed, soft=labels, loss=get_loss('kl', scale=True), **SOFT, **STUDENT)
    size, took = ds.nbytes(), ds.meta.get('processor_seconds', ds.meta['seconds'])
    return dict(hard=hard.mean, soft=soft.mean, took=took, steps=ds.meta['iterations'],
                image_bytes=size['images']//4, label_bytes=labels.nbytes()['total'])


def tasks(data, seeds) -> list[dict]:
    return [dict(method=m, ipc=ipc, seed=s) for s in seeds for ipc in (10,) for m in METHODS]


if __name__ == '__main__':
    about = dict(methods=METHODS, student=STUDENT, hard_labels=HARD, soft_labels=SOFT, views=LABELS)
    sys.exit(run_table('colour', 'methods on CIFAR-10, ten images per class, a trained teacher', tasks, run,
                       data=('cifar10',), rows='method', **about))
