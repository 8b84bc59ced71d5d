"""The methods in colour: CIFAR-10, ten images per class, a trained teacher, hard labels and soft ones.

    DD_LIT_DATA=... python bench/colour.py            # runs and sets are kept under runs/colour
    DD_LIT_DATA=... python bench/colour.py --merge    # -> bench/results/colour.json

All methods that ask a teacher ask the same one: the ResNet-20 of DD_LIT_DATA/weights (91.7 % of the test images);
G-VBSM, which wants a committee, a ResNet-56 beside it. Every
set is rounded to pixels of eight bits, as it ships with the package, before it is scored: one ConvNet-3 a seed, with
the given labels and DSA's augmentation, and one with that teacher's labels for every view. The steps are far fewer than
the papers', so that levels are not theirs; rows differ in their method alone.
"""
import os
import sys
import time
from pathlib import Path

from dd_lit.distill import distill
from dd_lit.evaluate import evaluate
from dd_lit.labels.losses import get_loss
from dd_lit.labels.soft import relabel
from dd_lit.models import as_network
from dd_lit.sets import DistilledSet, load_set, pack_set
from harness import run_table
from prepared import whole_data

SETS = Path('runs/colour/sets')
TEACHER = 'resnet20:weights=$DD_LIT_DATA/weights/cifar10_resnet20.safetensors,input_norm=imagenet'
OTHER = 'resnet56:weights=$DD_LIT_DATA/weights/cifar10_resnet56.safetensors,input_norm=imagenet'
FAST = dict(precision='bfloat16')
ASK = dict(teachers=TEACHER, iters=300, **FAST)
FLOW = dict(backbone=TEACHER, iters=300, lr=.02, grow_every=40, flip=True)
GRADIENT = dict(iters=3, real_dtype='bfloat16')
METHODS = dict(   # settings on top of the methods' own
    random={}, herding=dict(model=TEACHER, epochs=0), k_center=dict(model=TEACHER, epochs=0),
    rded=dict(backbone=TEACHER, factor=1),
    sre2l=ASK | dict(lr=.25, first_weight=10., crop=1., flip=False, jitter=4),       # the release's for small images
    cda=ASK, lpld=ASK, dwa=ASK,
    gvbsm=ASK | dict(teachers=(TEACHER, OTHER), lr=.1),
    ogm=ASK | dict(factor=1, patch=False),
    sfm=FLOW, lgm=FLOW | dict(augs=2),
    dm=dict(iters=100, batch_real=64), dc=GRADIENT, dsa=GRADIENT)
STUDENT = dict(model='convnet3', model_kw=dict(width=64), repeats=1, epochs=300, **FAST)
HARD = dict(protocol='dsa')
SOFT = dict(opt='adamw', lr=.001, weight_decay=.01, schedule='cosine', batch_size=50, augment=None, hard=False)
LABELS = dict(epochs=300, batch_size=50, crop=.5, flip=True, mix=False, **FAST)


def expanded(o):
    "Settings with the folder of the data put in: the stored ones name no folder of a machine."
    if isinstance(o, dict):
        return {k: expanded(v) for k, v in o.items()}
    if isinstance(o, tuple):
        return tuple(map(expanded, o))
    return os.path.expandvars(o) if isinstance(o, str) else o


def made(method: str, ipc: int, seed: int) -> DistilledSet:
    "A method's set, packed and read again; from the folder if it is there."
    where = SETS/f'{method}_ipc{ipc}_seed{seed}.safetensors'
    if not where.is_file():
        d, since = whole_data('cifar10'), time.process_time()
        ds = distill(method, d, ipc, seed=seed, **expanded(METHODS[method]))
        ds.meta['processor_seconds'] = round(time.process_time() - since, 2)    # whatever else ran beside it
        ds.soft = None                                                  # one teacher labels all
        pack_set(ds, where)
    return load_set(where)


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
