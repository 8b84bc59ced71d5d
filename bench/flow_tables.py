"""SFM against LGM, random images and centroids, in miniature; judged on the same and on another backbone in five ways.

    python bench/flow_tables.py                        # first trains two networks per data set, once
    python bench/flow_tables.py --merge                # -> bench/results/flow_tables.json

The backbones are small networks trained here without labels (the paper: ViT-B of CLIP, DINO-v2, EVA-02, MoCo-v3), a few
hundred steps instead of 5000. Everything that differs is written into the file.
"""
import sys
from functools import lru_cache

import torch
import torch.nn.functional as F

from budgets import TRAIN
from dd_lit.core import rng
from dd_lit.distill import distill
from dd_lit.flow.features import features, pretrain
from dd_lit.flow.inherit import INHERIT_MODES, evaluate_inherit, train_golden
from dd_lit.flow.sfm import class_centers, flow
from dd_lit.sets import DistilledSet
from harness import run_table
from prepared import data_of

NETS = dict(
    mnist=dict(convnet3=dict(width=64, epochs=3), resnet18=dict(width=16, epochs=8)),
    cifar10=dict(convnet3=dict(width=64, epochs=5, flip=True), resnet18=dict(width=16, epochs=3, flip=True)))
STEPS = dict(iters=200, grow_every=33, lr=.03, noise=.1)
VIEW = dict(mnist=dict(crop=.7, flip=False), cifar10=dict(crop=.5, flip=True))
GOLDEN = dict(epochs=30, patience=5, lr=.005)     # the classifier that is inherited
EVALUATE = dict(repeats=2, epochs=100, noise=.1)
ROWS = {
    'random': (None, {}), 'centroids': (None, {}), 'sfm': ('sfm', {}),
    'lgm, 1 augmentation': ('lgm', dict(augs=1)), 'lgm, 10 augmentations': ('lgm', dict(augs=10)),
    'TCDD': ('sfm', dict(loss='decoupled', alpha=1.)), 'NCDD': ('sfm', dict(loss='decoupled', alpha=0.))}


@lru_cache
def net_of(data, name):
    return pretrain(name, data_of(data), **NETS[data][name])


@lru_cache
def test_of(data, name):
    return features(net_of(data, name), data_of(data).test_x, data_of(data).normalize)


@lru_cache
def train_of(data, name):
    return features(net_of(data, name), data_of(data).train_x, data_of(data).normalize)


@lru_cache
def golden_of(data, name):
    return train_golden(train_of(data, name), data_of(data).train_y, 10, **GOLDEN)


def centroids(data: str, name: str, ipc: int, seed: int) -> DistilledSet:
    "The real images nearest to their class centres, out of a random half of the data (so that seeds differ)."
    d, z = data_of(data), train_of(data, name)
    mu = class_centers(z, d.train_y, 10)
    keep = torch.rand(len(z), generator=rng(seed, 'half')) < .5
    def nearest(c):
        j = ((d.train_y == c) & keep).nonzero().flatten()
        return j[(z[j] - mu[c]).square().sum(1).argsort()[:ipc]]
    i = torch.cat([nearest(c) for c in range(10)])
    meta = dict(method='centroids', seconds=0.)
    return DistilledSet(d.normalize(d.train_x[i]), d.train_y[i], d.norm, d.classes, meta=meta)


def made(data: str, row: str, ipc: int, net: str, seed: int) -> DistilledSet:
    if row == 'centroids':
        return centroids(data, net, ipc, seed)
    if row == 'random':
        return distill('random', data_of(data), ipc, seed=seed)
    method, settings = ROWS[row]
    return distill(method, data_of(data), ipc, seed=seed, backbone=net_of(data, net), **STEPS | VIEW[data] | settings)


def flow_cosine(ds: DistilledSet, data: str, net: str) -> float:
    "Cosine between the flow of the distilled images and the real one, in percent."
    real = class_centers(train_of(data, net), data_of(data).train_y, 10)
    ours = class_centers(features(net_of(data, net), ds.images), ds.labels, 10)
    return 100*F.cosine_similarity(flow(ours), flow(real), dim=1).mean().item()


def run(data: str, row: str, ipc: int, net: str, seed: int) -> dict:
    d, A = data_of(data), net_of(data, net)
    ds = made(data, row, ipc, net, seed)
    out = dict(flow_cosine=flow_cosine(ds, data, net), distil_seconds=float(ds.meta['seconds']), accuracy={}, bytes={})
    for e in NETS[data]:
        scores = evaluate_inherit(ds, d, A, net_of(data, e), golden_of(data, net), INHERIT_MODES, seed=seed,
                                  test_features=test_of(data, e), **VIEW[data], **EVALUATE)
        for m, s in scores.items():
            out['accuracy'][f'{e} {m}'] = s.top1
            out['bytes'][f'{e} {m}'] = s.config['bytes']
    same = out['accuracy'][f'{net} normal']
    right = golden_of(data, net)(test_of(data, net)).argmax(1) == d.test_y
    linear = {e: net_of(data, e).linear_accuracy for e in NETS[data]}
    return out | dict(normal_same=sum(same)/len(same), linear_accuracy=linear, golden=100*right.float().mean().item())


def tasks(data, seeds) -> list[dict]:
    def at(rows, ipc, net):
        return [dict(data=d, row=r, ipc=ipc, net=net, seed=s) for s in seeds for d in data for r in rows]
    lgm = ('lgm, 10 augmentations', 'lgm, 1 augmentation')
    return (at(('sfm', 'random', 'centroids', *lgm), 1, 'convnet3') + at(('sfm', 'random', 'centroids'), 10, 'convnet3')
            + at(('TCDD', 'NCDD'), 1, 'convnet3') + at(('sfm', lgm[0]), 1, 'resnet18')
            + at((lgm[1],), 10, 'convnet3') + at((lgm[0],), 10, 'convnet3'))


if __name__ == '__main__':
    sys.exit(run_table('flow_tables', 'SFM, LGM and classifier inheritance in miniature', tasks, run,
                       nets=NETS, train_images=TRAIN, steps=STEPS, views=VIEW, evaluation=EVALUATE, golden=GOLDEN,
                       methods=ROWS))
