"""SFM's and LGM's photographs as they are meant: a head on the network that made them, and on another, five ways.

    DD_LIT_DATA=... python bench/flow_colour.py            # runs are kept under runs/flow_colour
    DD_LIT_DATA=... python bench/flow_colour.py --merge    # -> bench/results/flow_colour.json

The sets of CIFAR-10 that come with the package, ten images per class, random ones beside them. SFM and LGM asked a
trained ResNet-20; a head is trained on the features of it, and of a ResNet-56, which had no part in the making. The
golden classifier, which is inherited, is a head on the ResNet-20's features of 45,000 images (the other 5,000 say when
its training ends). Both networks have seen all of CIFAR-10 with its labels, where the paper's have seen neither: so
heads on them begin high.
"""
import sys
import time
from functools import lru_cache

import torch

from dd_lit.flow.features import FeatureNet, features
from dd_lit.flow.inherit import INHERIT_MODES, evaluate_inherit, train_golden
from dd_lit.method import get_method
from dd_lit.sets import load_set
from harness import run_table
from photographs import OTHER, TEACHER, expanded
from prepared import whole_data

IPC = 10
ROWS = ('random', 'sfm', 'lgm')
NETS = dict(resnet20=TEACHER, resnet56=OTHER)      # the first one made the images
GOLDEN = dict(epochs=100, patience=5, lr=.005)
EVALUATE = dict(repeats=3, epochs=100, crop=.5, flip=True)


@lru_cache
def net_of(name: str) -> FeatureNet:
    "A trained network without its head."
    return get_method('sfm')(whole_data('cifar10'), 1, backbone=expanded(NETS[name])).backbone()


@lru_cache
def test_of(name: str) -> torch.Tensor:
    d = whole_data('cifar10')
    return features(net_of(name), d.test_x, d.normalize)


@lru_cache
def golden() -> torch.nn.Linear:
    d = whole_data('cifar10')
    return train_golden(features(net_of('resnet20'), d.train_x, d.normalize), d.train_y, d.num_classes, **GOLDEN)


def run(data: str, row: str, seed: int) -> dict:
    d, ds = whole_data(data), load_set(f'{data}/{row}/ipc{IPC}')
    known = {n: test_of(n) for n in NETS}
    right = golden()(known['resnet20']).argmax(1) == d.test_y
    out, since = dict(accuracy={}, bytes={}), time.process_time()
    for n in NETS:
        found = evaluate_inherit(ds, d, net_of('resnet20'), net_of(n), golden(), INHERIT_MODES, seed=seed,
                                 test_features=known[n], **EVALUATE)
        out['accuracy'] |= {f'{n} {m}': s.top1 for m, s in found.items()}
        out['bytes'] |= {f'{n} {m}': s.config['bytes'] for m, s in found.items()}
    spent = round(time.process_time() - since, 1)
    return out | dict(golden=100*right.float().mean().item(), processor_seconds=spent)


def tasks(data, seeds) -> list[dict]:
    return [dict(data='cifar10', row=r, seed=0) for r in ROWS]


if __name__ == '__main__':
    sys.exit(run_table('flow_colour', 'SFM and LGM on CIFAR-10, ten images per class, heads on trained networks', tasks,
                       run, data=('cifar10',), nets=NETS, golden=GOLDEN, evaluation=EVALUATE))
