"""Is the collapse of KL under SGD and Adam the missing factor T^2? KL with and without it, and GIFT, over a sweep of learning rates.

    python bench/kl_collapse.py                # -> runs/kl_collapse, a file per seed, optimiser and loss
    python bench/kl_collapse.py --merge        # -> bench/results/kl_collapse.json
"""
import sys
from functools import lru_cache

from dd_lit.distill import distill
from dd_lit.method import get_method
from dd_lit.labels.losses import get_loss
from dd_lit.labels.soft import relabel
from dd_lit.teachers import squeeze
from dd_lit.evaluate import evaluate
from dd_lit.settings import names_of
from harness import run_table
from statistics_tables import BUDGET, load

EPOCHS = 60
LOSSES = dict(kl=('kl', {}), kl_T2=('kl', dict(scale=True)), gift=('gift', {}))
RATES = dict(sgd=[1e-3, 1e-2, 1e-1, 1., 4., 40.], adam=[3e-5, 3e-4, 3e-3, 3e-2], adamw=[3e-5, 3e-4, 3e-3, 3e-2])
data_of = lru_cache(load)


@lru_cache(maxsize=2)
def made(data, seed):
    d, b = data_of(data), BUDGET[data]
    s, lab = b['distill'], b['label']
    ds = distill('sre2l', d, 10, seed=seed, **{k: v for k, v in s.items() if k in names_of(get_method('sre2l').settings)})
    teacher = squeeze('resnet18', d, epochs=s['squeeze_epochs'], augment=s['squeeze_augment'], width=s['width'])
    return ds, relabel(ds.images, [teacher], epochs=EPOCHS, batch_size=50, crop=lab['crop'], flip=lab['flip'], mix=lab['mix'], seed=seed)


def run(data, opt, row, seed):
    ds, labels = made(data, seed)
    name, kw = LOSSES[row]
    acc = {}
    for lr in RATES[opt]:
        # weight decay as in the paper's recipe; torch's Adam adds it to the gradient, AdamW does not
        try:
            acc[f'{lr:g}'] = evaluate(ds, data_of(data), repeats=1, seed=seed, soft=labels, loss=get_loss(name, **kw), hard=False, schedule='multistep', opt=opt, lr=lr, weight_decay=1e-4, model_kw=dict(width=BUDGET[data]['width'])).mean
        except ValueError:
            acc[f'{lr:g}'] = None        # the loss became NaN
    return dict(accuracy=acc)


def tasks(data, seeds):
    return [dict(data=d, opt=o, row=l, seed=s) for s in seeds for d in data for o in RATES for l in LOSSES]


if __name__ == '__main__':
    sys.exit(run_table('kl_collapse', 'KL with and without T^2 and GIFT over learning rates and optimisers, on SRe2L images', tasks, run, data=('digits', 'cifar10'), epochs=EPOCHS, rates=RATES, temperature=20))
