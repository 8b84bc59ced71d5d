"""SFM against LGM, random images and centroids, in miniature; judged on the same and on another backbone in five ways.

    python bench/flow_tables.py                        # first trains two networks per data set, once
    python bench/flow_tables.py --merge                # -> bench/results/flow_tables.json

The backbones are small networks trained here without labels (the paper: ViT-B of CLIP, DINO-v2, EVA-02, MoCo-v3), a few
hundred steps instead of 5000. Everything that differs is written into the file.
"""
import sys

from budgets import TRAIN
from dd_lit.flow.features import pretrain
from flow_runs import FlowRuns
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


RUNS = FlowRuns(data=data_of, net=lambda data, name: pretrain(name, data_of(data), **NETS[data][name]),
                nets=lambda data: list(NETS[data]), rows=ROWS, steps=lambda data, ipc: STEPS,
                view=lambda data: VIEW[data], golden=GOLDEN, evaluation=EVALUATE)


def tasks(data, seeds) -> list[dict]:
    def at(rows, ipc, net):
        return [dict(data=d, row=r, ipc=ipc, net=net, seed=s) for s in seeds for d in data for r in rows]
    lgm = ('lgm, 10 augmentations', 'lgm, 1 augmentation')
    return (at(('sfm', 'random', 'centroids', *lgm), 1, 'convnet3') + at(('sfm', 'random', 'centroids'), 10, 'convnet3')
            + at(('TCDD', 'NCDD'), 1, 'convnet3') + at(('sfm', lgm[0]), 1, 'resnet18')
            + at((lgm[1],), 10, 'convnet3') + at((lgm[0],), 10, 'convnet3'))


if __name__ == '__main__':
    sys.exit(run_table('flow_tables', 'SFM, LGM and classifier inheritance in miniature', tasks, RUNS.run,
                       nets=NETS, train_images=TRAIN, steps=STEPS, views=VIEW, evaluation=EVALUATE, golden=GOLDEN,
                       methods=ROWS))
