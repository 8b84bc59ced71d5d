"""GIFT's own protocol: is it the short training of `label_tables.py` that decides which loss wins?

    python bench/gift_protocol.py --worker 0 --of 2 &   # two processes, one thread each, share the work
    python bench/gift_protocol.py --worker 1 --of 2
    python bench/gift_protocol.py --merge               # -> bench/results/gift_protocol.json

The same distilled sets, teachers and networks as there (10 images per class), trained as in GIFT's Tables 10 and 11:
AdamW at 0.001, 1000 epochs in batches of 50, the rate cut at 2/3 and 5/6, each batch augmented as its release does
(`make_augment('gift')`) and then labelled by the teacher.
"""
import sys

from budgets import BUDGET, METHODS, TRAIN
from dd_lit.evaluate import PROTOCOLS, evaluate
from dd_lit.labels.losses import get_loss
from dd_lit.labels.soft import relabel
from harness import run_table
from prepared import TEACHER, data_of, distilled, teacher_of

PROTOCOL = PROTOCOLS['gift']
EPOCHS = PROTOCOL['epochs']
ROWS = ('rded', 'sre2l')
LOSSES = ('ce', 'kl', 'mse', 'nkd', 'gift')


def run(data: str, row: str, seed: int, epochs: int = EPOCHS) -> dict:
    method, settings = METHODS[row]
    ds = distilled(data, method, seed, settings)
    teacher = teacher_of(data)
    labels = relabel(ds, teacher, epochs=epochs, batch_size=50, crop=1., flip=False, mix=False,
                     augment=PROTOCOL['augment'], seed=seed)
    kw = dict(repeats=1, seed=seed, protocol='gift', epochs=labels.epochs, soft=labels, hard=False,
              model_kw=dict(width=BUDGET[data]['width']))
    top1 = {l: evaluate(ds, data_of(data), loss=get_loss(l), **kw).mean for l in LOSSES}
    return dict(losses={l: round(v, 2) for l, v in top1.items()}, teacher=teacher.test_accuracy)


def tasks(data, seeds) -> list[dict]:
    return [dict(data=d, row=r, seed=s) for s in seeds for r in ROWS for d in data]


if __name__ == '__main__':
    sys.exit(run_table('gift_protocol', "losses under GIFT's own protocol, 10 images per class", tasks, run,
                       budget={k: BUDGET[k]['distill'] for k in ('mnist', 'cifar10')},
                       train_images=TRAIN, epochs=EPOCHS, protocol=PROTOCOL, teacher=TEACHER,
                       methods={k: METHODS[k] for k in ROWS}))
