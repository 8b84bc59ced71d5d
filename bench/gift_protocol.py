"""GIFT's own protocol: is it the short training of `label_tables.py` that decides which loss wins?

    python bench/gift_protocol.py --worker 0 --of 2 &   # two processes, one thread each, share the work
    python bench/gift_protocol.py --worker 1 --of 2
    python bench/gift_protocol.py --merge               # -> bench/results/gift_protocol.json

The same distilled sets, teachers and networks as there (10 images per class), trained as in GIFT's Tables 10 and 11: AdamW at
0.001, 1000 epochs in batches of 50, the rate cut at 2/3 and 5/6, each batch augmented as its release does (`make_augment('gift')`) and then labelled by the teacher.
"""
import sys

from dd_lit.distill import distill
from dd_lit.method import get_method
from dd_lit.labels.losses import get_loss
from dd_lit.labels.soft import relabel
from dd_lit.teachers import squeeze
from dd_lit.evaluate import PROTOCOLS, evaluate
from dd_lit.settings import names_of
from harness import run_table
from label_tables import SETS, data_of
from statistics_tables import BUDGET, TRAIN

EPOCHS = PROTOCOLS['gift']['epochs']
LOSSES = ('ce', 'kl', 'mse', 'nkd', 'gift')


def run(data, row, seed, epochs=EPOCHS):
    d, b = data_of(data), BUDGET[data]
    method, cfg = SETS[row]
    s = b['distill']
    full = s | cfg
    ds = distill(method, d, 10, seed=seed, **{k: v for k, v in full.items() if k in names_of(get_method(method).settings)})
    teacher = squeeze('resnet18', d, epochs=s['squeeze_epochs'], augment=s['squeeze_augment'], width=s['width'])
    labels = relabel(ds, teacher, epochs=epochs, batch_size=50, crop=1., flip=False, mix=False, augment=PROTOCOLS['gift']['augment'], seed=seed)
    top1 = lambda l: evaluate(ds, d, repeats=1, seed=seed, protocol='gift', epochs=labels.epochs, soft=labels, loss=get_loss(l), hard=False, model_kw=dict(width=b['width'])).mean
    return dict(losses={l: round(top1(l), 2) for l in LOSSES}, teacher=teacher.test_accuracy)


def tasks(data, seeds):
    return [dict(data=d, row=r, seed=s) for s in seeds for r in ('rded', 'sre2l') for d in data]


if __name__ == '__main__':
    sys.exit(run_table('gift_protocol', "losses under GIFT's own protocol, 10 images per class", tasks, run, budget={k: BUDGET[k]['distill'] for k in ('mnist', 'cifar10')}, train_images=TRAIN, epochs=EPOCHS, protocol=PROTOCOLS['gift']))
