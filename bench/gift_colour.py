"""GIFT's comparison of losses on photographs: CIFAR-10, ten images per class, a trained teacher, GIFT's own protocol.

    DD_LIT_DATA=... python bench/gift_colour.py            # runs are kept under runs/gift_colour
    DD_LIT_DATA=... python bench/gift_colour.py --merge    # -> bench/results/gift_colour.json

The sets of `colour.py` (RDED's and SRe2L's), a ResNet-56 as the teacher, AdamW at 0.001 with the rate cut at 2/3 and
5/6, each batch augmented as GIFT's release does and labelled by the teacher: drawn once a seed, the same views and
labels for every loss and optimiser. The paper trains a ConvNet-3 of 128 channels for 1000 epochs; here, of 64 for 300.
"""
import sys
import time

from dd_lit.evaluate import PROTOCOLS, evaluate
from dd_lit.labels.losses import get_loss
from dd_lit.labels.soft import relabel
from dd_lit.models import as_network
from harness import run_table
from photographs import FAST, OTHER, expanded, made
from prepared import whole_data

IPC = 10
ROWS = ('rded', 'sre2l')
LOSSES = ('gift', 'kl', 'ce', 'mse', 'soft_ce', 'kl_ce', 'mse_ce', 'soft_ce_ce', 'kd', 'wsld', 'dkd', 'nkd',
          'cosine', 'refine_kl')
OPTIMISERS = dict(sgd=dict(opt='sgd', lr=.02), adam=dict(opt='adam'))    # on top of the protocol
UNDER = ('gift', 'kl')                                                   # what is trained under them too
STUDENT = dict(model='convnet3', model_kw=dict(width=64), repeats=1, **FAST)
VIEWS = dict(epochs=300, batch_size=50, crop=1., flip=False, mix=False, augment=PROTOCOLS['gift']['augment'], **FAST)


def run(data: str, row: str, seed: int) -> dict:
    d, ds, since = whole_data(data), made(row, IPC, seed), time.process_time()
    labels = relabel(ds, as_network(expanded(OTHER)), seed=seed, **VIEWS)
    kw = dict(seed=seed, protocol='gift', epochs=labels.epochs, soft=labels, hard=False, **STUDENT)
    top1 = lambda loss, **opt: round(evaluate(ds, d, loss=get_loss(loss), **kw | opt).mean, 2)
    losses = {l: top1(l) for l in LOSSES}
    under = {o: {l: top1(l, **opt) for l in UNDER} for o, opt in OPTIMISERS.items()}
    under['adamw'] = {l: losses[l] for l in UNDER}
    return dict(losses=losses, optimizers=under, processor_seconds=round(time.process_time() - since, 1))


def tasks(data, seeds) -> list[dict]:
    return [dict(data='cifar10', row=r, seed=s) for r in ROWS for s in seeds]


if __name__ == '__main__':
    sys.exit(run_table('gift_colour', "losses on CIFAR-10, ten images per class, a trained teacher, GIFT's protocol",
                       tasks, run, data=('cifar10',), student=STUDENT, views=VIEWS, teacher=OTHER, losses=LOSSES,
                       optimisers=OPTIMISERS))
