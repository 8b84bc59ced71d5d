"""Is the collapse of KL under SGD and Adam the missing factor T^2? KL with and without it, and GIFT, at many rates.

    python bench/kl_collapse.py                # -> runs/kl_collapse, a file per seed, optimiser and loss
    python bench/kl_collapse.py --merge        # -> bench/results/kl_collapse.json
"""
import sys
from functools import lru_cache

from budgets import BUDGET, TRAIN
from dd_lit.evaluate import evaluate
from dd_lit.labels.losses import get_loss
from harness import run_table
from prepared import TEACHER, data_of, distilled, labelled, teacher_of

EPOCHS = 60
T = 20.
LOSSES = dict(kl=('kl', dict(T=T)), kl_T2=('kl', dict(T=T, scale=True)), gift=('gift', {}))
OPTIMISER = dict(schedule='multistep', weight_decay=1e-4)
SETS = ('digits', 'cifar10')
ADAM = [3e-5, 3e-4, 3e-3, 3e-2]
RATES = dict(sgd=[1e-3, 1e-2, 1e-1, 1., 4., 40.], adam=ADAM, adamw=ADAM)


@lru_cache(maxsize=2)
def made(data: str, seed: int) -> tuple:
    "SRe2L's images and their labels."
    ds = distilled(data, 'sre2l', seed, {})
    return ds, labelled(ds.images, [teacher_of(data)], data, epochs=EPOCHS, seed=seed)


def run(data: str, opt: str, row: str, seed: int) -> dict:
    ds, labels = made(data, seed)
    name, settings = LOSSES[row]
    # weight decay as in the paper's recipe; torch's Adam adds it to the gradient, AdamW does not
    kw = dict(repeats=1, seed=seed, soft=labels, hard=False, opt=opt, model_kw=dict(width=BUDGET[data]['width']))
    acc = {}
    for lr in RATES[opt]:
        try:
            acc[f'{lr:g}'] = evaluate(ds, data_of(data), loss=get_loss(name, **settings), lr=lr,
                                     **OPTIMISER, **kw).mean
        except ValueError:
            acc[f'{lr:g}'] = None        # the loss became NaN
    return dict(accuracy=acc)


def tasks(data, seeds) -> list[dict]:
    return [dict(data=d, opt=o, row=l, seed=s) for s in seeds for d in data for o in RATES for l in LOSSES]


if __name__ == '__main__':
    sys.exit(run_table('kl_collapse',
                       'KL with and without T^2 and GIFT over learning rates and optimisers, on SRe2L images',
                       tasks, run, data=SETS, epochs=EPOCHS, rates=RATES, losses=LOSSES, optimiser=OPTIMISER,
                       budget={k: BUDGET[k] for k in SETS}, train_images=TRAIN, teacher=TEACHER,
                       temperature=T))
