"""One table: every method x loss x optimiser x network, on the same data and budget. Digits, 10 images per class.

    python bench/all_table.py            # about an hour of one core -> bench/results/all_table.json

What `dd_lit compare` does, over everything the library has. Each set is made once (interrupt and go on: finished sets
and scores stay under runs/), labelled once by one teacher (for the soft losses), and trained on by every network with
every optimiser and loss.
"""
import argparse
import json
import sys

from dd_lit.compare import Row, compare
from dd_lit.core import atomic_write
from dd_lit.data import load_data
from dd_lit.evaluate import full_accuracy, named
from dd_lit.method import get_method, list_methods
from dd_lit.report import table
from dd_lit.teachers import squeeze
from harness import RESULTS, made_with

IPC, SEED = 10, 0
SQUEEZE = dict(squeeze_epochs=6, squeeze_augment='crop', width=16, crop=.5)
GRADIENT = dict(iters=2, width=32, batch_real=64)                       # 20 matching steps
FLOW = dict(iters=200, grow_every=33, lr=.03, noise=.1, width=32, crop=.7, pretrain=dict(epochs=20))
TRAJECTORY = dict(iters=100, width=16, steps=10, span=1, starts=4, experts=3, expert_lr=.02, expert_batch_size=64,
                  lr_img=100., lr_lr=1e-5, student_lr=.02)
THREE = ('resnet18', 'convnet3', 'wrn16_2')
METHODS = dict(
    random={}, herding={}, k_center={}, forgetting={},
    dc=GRADIENT, dc_m=GRADIENT, dc_md=GRADIENT, dc_mdo=GRADIENT, dc_mda=GRADIENT,
    dsa=GRADIENT, dm=dict(iters=200, width=32, batch_real=64),
    sre2l=SQUEEZE | dict(iters=100, flip=False), cda=SQUEEZE | dict(iters=100, flip=False, lr=.1),
    dwa=SQUEEZE | dict(iters=100, lr=.1, crop=1., jitter=2), lpld=SQUEEZE | dict(iters=100, flip=False, lr=.1),
    gvbsm=SQUEEZE | dict(iters=100, flip=False, lr=.1, backbones=THREE),
    rded=SQUEEZE | dict(pool=100), ogm=SQUEEZE | dict(iters=30, lr=.05, pool=100),
    mtt=TRAJECTORY, datm=TRAJECTORY | dict(batch_size=None, expert_epochs=6),
    lgm=FLOW, sfm=FLOW)
NETWORKS = [('convnet3', dict(width=32)), 'lenet']
LOSSES = ['ce', ('kl', dict(scale=True)), 'gift']
OPTIMISERS = [('sgd', dict(lr=.02)), ('adamw', dict(lr=.003))]
LABELS = dict(crop=.5, flip=False, mix=False)
EVALUATE = dict(repeats=3, epochs=60, batch_size=50, schedule='cosine')


def stored(row: Row) -> dict:
    "A row of the comparison as it is kept."
    kept = {k: v for k, v in row.to_dict().items() if k != 'meta'}
    del kept['scores']['config']
    return kept


def full_accuracies(data) -> dict[str, float]:
    "What each network reaches with all the data."
    nets = {named(n)[2]: named(n) for n in NETWORKS}
    return {label: full_accuracy(data, name, model_kw=kw) for label, (name, kw, _) in nets.items()}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--out', default=str(RESULTS/'all_table.json'))
    a = ap.parse_args()
    assert set(METHODS) == set(list_methods()), 'a new method must not be forgotten'
    d = load_data('digits')
    for m, kw in METHODS.items():
        get_method(m)(d, IPC, **kw)                               # a wrong setting is wrong now, not after an hour
    teacher = squeeze('resnet18', d, epochs=6, augment='crop', width=16)
    full = full_accuracies(d)
    rows = compare(list(METHODS), d, IPC, out='runs/all_table', seed=SEED, full=full, methods_kw=METHODS,
                   model=NETWORKS, loss=LOSSES, opt=OPTIMISERS, teacher=teacher, label_kw=LABELS, **EVALUATE)
    atomic_write(a.out, json.dumps(dict(
        what='all methods x losses x optimisers x networks, digits', ipc=IPC, seed=SEED, full=full,
        teacher=teacher.test_accuracy, methods=METHODS, evaluation=EVALUATE, labels=LABELS,
        rows=[stored(r) for r in rows], made_with=made_with()), indent=0))
    print(table(rows))


if __name__ == '__main__':
    sys.exit(main())
