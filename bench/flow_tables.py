"""SFM against LGM, random images and centroids, in miniature; evaluated on the same and on another backbone in five ways.

    python bench/flow_tables.py                        # two self-supervised networks per dataset are trained first, once
    python bench/flow_tables.py --merge                # -> bench/results/flow_tables.json

The backbones are small networks trained here without labels (the paper: ViT-B of CLIP, DINO-v2, EVA-02, MoCo-v3), a few hundred
steps instead of 5000. Everything that differs is written into the file.
"""
import sys
from functools import lru_cache

import torch
import torch.nn.functional as F

from dd_lit.core import rng
from dd_lit.sets import DistilledSet
from dd_lit.distill import distill
from dd_lit.flow.features import features, pretrain
from dd_lit.flow.inherit import INHERIT_MODES, evaluate_inherit, train_golden
from dd_lit.flow.sfm import class_centers, flow
from harness import run_table
from statistics_tables import TRAIN, load

NETS = dict(mnist=dict(convnet3=dict(width=64, epochs=3), resnet18=dict(width=16, epochs=8)),
            cifar10=dict(convnet3=dict(width=64, epochs=5, flip=True), resnet18=dict(width=16, epochs=3, flip=True)))
STEPS = dict(iters=200, grow_every=33, lr=.03, noise=.1)
VIEW = dict(mnist=dict(crop=.7, flip=False), cifar10=dict(crop=.5, flip=True))
EVALUATE = dict(repeats=2, epochs=100, noise=.1)
ROWS = {'random': (None, {}), 'centroids': (None, {}), 'sfm': ('sfm', {}), 'lgm, 1 augmentation': ('lgm', dict(augs=1)), 'lgm, 10 augmentations': ('lgm', dict(augs=10)),
        'TCDD': ('sfm', dict(loss='decoupled', alpha=1.)), 'NCDD': ('sfm', dict(loss='decoupled', alpha=0.))}
data_of = lru_cache(load)


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
    return train_golden(train_of(data, name), data_of(data).train_y, 10, epochs=30, patience=5, lr=.005)


def centroids(data, name, ipc, seed):
    "The real images nearest to their class centres, out of a random half of the data (so that seeds differ)."
    d, z = data_of(data), train_of(data, name)
    mu = class_centers(z, d.train_y, 10)
    g = rng(seed, 'half')
    keep = torch.rand(len(z), generator=g) < .5
    i = torch.cat([j[(z[j] - mu[c]).square().sum(1).argsort()[:ipc]] for c in range(10) for j in [((d.train_y == c) & keep).nonzero().flatten()]])
    return DistilledSet(d.normalize(d.train_x[i]), d.train_y[i], d.norm, d.classes, meta=dict(method='centroids', seconds=0.))


def run(data, row, ipc, net, seed):
    d, A = data_of(data), net_of(data, net)
    method, cfg = ROWS[row]
    ds = centroids(data, net, ipc, seed) if row == 'centroids' else distill('random', d, ipc, seed=seed) if row == 'random' else distill(method, d, ipc, seed=seed, backbone=A, **STEPS | VIEW[data] | cfg)
    real = class_centers(train_of(data, net), d.train_y, 10)
    cos = 100*F.cosine_similarity(flow(class_centers(features(A, ds.images), ds.labels, 10)), flow(real), dim=1).mean().item()
    out = dict(flow_cosine=cos, distil_seconds=float(ds.meta['seconds']), accuracy={})
    for e in NETS[data]:
        for m, s in evaluate_inherit(ds, d, A, net_of(data, e), golden_of(data, net), INHERIT_MODES, seed=seed, test_features=test_of(data, e), **VIEW[data], **EVALUATE).items():
            out['accuracy'][f'{e} {m}'] = s.top1
            out.setdefault('bytes', {})[f'{e} {m}'] = s.config['bytes']
    same = f'{net} normal'
    out['normal_same'] = sum(out['accuracy'][same])/len(out['accuracy'][same])
    return out | dict(linear_accuracy={e: net_of(data, e).linear_accuracy for e in NETS[data]}, golden=100*(golden_of(data, net)(test_of(data, net)).argmax(1) == d.test_y).float().mean().item())


def tasks(data, seeds):
    at = lambda rows, ipc, nets: [dict(data=d, row=r, ipc=ipc, net=n, seed=s) for s in seeds for d in data for n in nets for r in rows]
    return at(('sfm', 'random', 'centroids', 'lgm, 10 augmentations', 'lgm, 1 augmentation'), 1, ('convnet3',)) + at(('sfm', 'random', 'centroids'), 10, ('convnet3',)) + at(('TCDD', 'NCDD'), 1, ('convnet3',)) + at(('sfm', 'lgm, 10 augmentations'), 1, ('resnet18',)) + at(('lgm, 1 augmentation',), 10, ('convnet3',)) + at(('lgm, 10 augmentations',), 10, ('convnet3',))


if __name__ == '__main__':
    sys.exit(run_table('flow_tables', 'SFM, LGM and classifier inheritance in miniature', tasks, run, nets=NETS, train_images=TRAIN, steps=STEPS, views=VIEW, evaluation=EVALUATE))
