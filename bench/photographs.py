"""The sets in colour: how each is made from CIFAR-10, packed as it comes with the package; teachers and a student."""
import json
import os
import time
from pathlib import Path
from unittest.mock import patch

from dd_lit.core import atomic_write, short_digest
from dd_lit.distill import distill
from dd_lit.method import get_method
from dd_lit.sets import DistilledSet, load_set, pack_set
from prepared import whole_data

SETS = Path('runs/colour/sets')
FOLLOWED = SETS.with_name('experts')
TEACHER = 'resnet20:weights=$DD_LIT_DATA/weights/cifar10_resnet20.safetensors,input_norm=imagenet'
OTHER = 'resnet56:weights=$DD_LIT_DATA/weights/cifar10_resnet56.safetensors,input_norm=imagenet'
FAST = dict(precision='bfloat16')
ASK = dict(teachers=TEACHER, iters=300, **FAST)
FLOW = dict(backbone=TEACHER, iters=300, lr=.02, grow_every=40, flip=True)
GRADIENT = dict(iters=3, real_dtype='bfloat16')
EXPERTS = dict(width=32, experts=5, expert_epochs=6, starts=5, span=2, steps=20, batch_size=100, iters=100, lr_lr=1e-5)
METHODS = dict(   # settings on top of the methods' own
    random={}, herding=dict(model=TEACHER, epochs=0), k_center=dict(model=TEACHER, epochs=0),
    rded=dict(backbone=TEACHER, factor=1),
    sre2l=ASK | dict(lr=.25, first_weight=10., crop=1., flip=False, jitter=4),       # the release's for small images
    cda=ASK, lpld=ASK, dwa=ASK,
    gvbsm=ASK | dict(teachers=(TEACHER, OTHER), lr=.1),
    ogm=ASK | dict(factor=1, patch=False),
    sfm=FLOW, lgm=FLOW | dict(augs=2),
    dm=dict(iters=100, batch_real=64), dc=GRADIENT, dc_mda=GRADIENT, dsa=GRADIENT,
    mtt=EXPERTS, datm=EXPERTS | dict(lr_img=1000., lr_label=2., opening=2, widen=50))
STUDENT = dict(model='convnet3', model_kw=dict(width=64), repeats=1, epochs=300, **FAST)


def expanded(o):
    "Settings with the folder of the data put in: the stored ones name no folder of a machine."
    if isinstance(o, dict):
        return {k: expanded(v) for k, v in o.items()}
    if isinstance(o, tuple):
        return tuple(map(expanded, o))
    return os.path.expandvars(o) if isinstance(o, str) else o


def followed(method: str, ipc: int, seed: int) -> float:
    "Processor seconds of training the experts that a method follows: once for all that follow the same."
    own = {k: v for k, v in METHODS[method].items() if k.startswith('expert') or k == 'width'}
    note = FOLLOWED/f'seed{seed}_{short_digest(own)}.json'
    if not note.is_file():
        m = get_method(method)(whole_data('cifar10'), ipc, seed=seed, **expanded(METHODS[method]))
        since = time.process_time()
        m.followed()
        atomic_write(note, json.dumps(time.process_time() - since))
    return json.loads(note.read_text())


def kept_at(method: str, ipc: int, seed: int, sets: Path = SETS) -> Path:
    "Where a set is kept: other settings, another file."
    return sets/f'{method}_ipc{ipc}_seed{seed}_{short_digest(METHODS[method])}.safetensors'


def made(method: str, ipc: int, seed: int) -> DistilledSet:
    "A method's set, packed and read again; from the folder if it is there."
    where = kept_at(method, ipc, seed)
    if not where.is_file():
        d = whole_data('cifar10')
        with patch.dict(os.environ, DD_LIT_CACHE=str(FOLLOWED)):
            before = followed(method, ipc, seed) if 'experts' in METHODS[method] else 0.
            since = time.process_time()
            ds = distill(method, d, ipc, seed=seed, **expanded(METHODS[method]))
        ds.meta['processor_seconds'] = round(before + time.process_time() - since, 2)   # whatever else ran beside it
        ds.soft = None                                                  # one teacher labels all
        pack_set(ds, where)
    return load_set(where)
