"""SRe2L, G-VBSM and its ablations in miniature: what each part of "Generalized Large-Scale Data Condensation" is worth.

    python bench/statistics_tables.py --worker 0 --of 2 &     # two processes, one thread each, share the work
    python bench/statistics_tables.py --worker 1 --of 2
    python bench/statistics_tables.py --merge                 # -> bench/results/statistics_tables.json

Each run distils 10 images per class, labels every view, and trains two ConvNets with MSE + 0.1 GT on the stored views
(soft) and, for the same set, with hard labels. The budget is far below the paper's (4000 steps, ResNet-18 with 64
channels, 1000 epochs); it is written into every row.
"""
import sys
import time
from functools import lru_cache

from budgets import BUDGET, GVBSM, THREE, TRAIN, TWO
from dd_lit.evaluate import evaluate
from dd_lit.labels.losses import get_loss
from dd_lit.labels.soft import relabel
from dd_lit.teachers import squeeze_all
from harness import run_table
from prepared import data_of, distilled

ROWS = {                                                    # name -> (method, settings, settings of the labels)
    'random': ('random', {}, {}),
    'sre2l': ('sre2l', {}, {}),
    'gvbsm': ('gvbsm', GVBSM, {}),
    'gvbsm, only BN': ('gvbsm', GVBSM | dict(conv=False, backbones=('resnet18', 'wrn16_2')), {}),   # Table 10
    'gvbsm, only Conv': ('gvbsm', GVBSM | dict(bn=False), {}),
    'gvbsm, alpha 0': ('gvbsm', GVBSM | dict(alpha=0.), {}),                                        # Table 1
    'gvbsm, alpha 0.8': ('gvbsm', GVBSM | dict(alpha=.8), {}),
    'gvbsm, 1 teacher': ('gvbsm', GVBSM, dict(teachers=1)),                                         # Table 3
    'gvbsm, 2 teachers': ('gvbsm', GVBSM, dict(teachers=2)),
    'gvbsm, no logit normalisation': ('gvbsm', GVBSM, dict(normalize=False)),                       # Table 6
    'gvbsm, one backbone': ('gvbsm', GVBSM | dict(backbones=('resnet18',)), {}),                    # GBM
    'gvbsm, no DD': ('gvbsm', GVBSM | dict(dd=False), {}),                                          # DD
    'gvbsm, DD unit': ('gvbsm', GVBSM | dict(dd_unit=True), {}),
    'gvbsm, beta_dr 0': ('gvbsm', GVBSM | dict(drop=0.), {}),                                       # Figure 6
    'gvbsm, squeeze x4': ('gvbsm', GVBSM | dict(squeeze_times=4), {}),                              # Table 11
}
MAIN = ('random', 'sre2l', 'gvbsm')
SAME = ('gvbsm, 2 teachers',)      # with a committee of two this is 'gvbsm' itself: only digits (three networks) has it
REPEATS = 2
TRAINING = dict(opt='adamw', lr=.003, schedule='cosine', weight_decay=.01)


def settings_of(data: str, row: str) -> dict:
    "What a row adds to the budget's settings, with the committee that the data set has."
    cfg, b = dict(ROWS[row][1]), BUDGET[data]['distill']
    if data != 'digits' and 'backbones' in cfg:
        cfg['backbones'] = tuple(n for n in cfg['backbones'] if n in TWO)
    return b | dict(squeeze_epochs=b['squeeze_epochs']*cfg.pop('squeeze_times', 1)) | cfg


@lru_cache(maxsize=None)           # rows that differ only in their labels share one set
def made(data: str, method: str, seed: int, settings: tuple):
    return distilled(data, method, seed, dict(settings))


def committee(data: str, method: str, settings: dict, seed: int):
    "The networks that label the views: the ones that made the images."
    usual = ('resnet18',) if method == 'sre2l' else THREE if data == 'digits' else TWO
    return squeeze_all(settings.get('backbones', usual), data_of(data), epochs=settings['squeeze_epochs'],
                       augment=settings['squeeze_augment'], width=settings['width'], seed=seed)


def run(data: str, row: str, seed: int) -> dict:
    (method, _, lab), b, settings = ROWS[row], BUDGET[data], settings_of(data, row)
    ds = made(data, method, seed, tuple(settings.items()))
    nets = committee(data, method, settings, seed)
    teachers = list(nets)[:lab.get('teachers')]
    t = time.perf_counter()
    labels = relabel(ds.images, teachers, **b['label'] | {k: v for k, v in lab.items() if k != 'teachers'}, seed=seed)
    label_s = time.perf_counter() - t
    kw = dict(repeats=REPEATS, seed=seed, model_kw=dict(width=b['width']), epochs=b['epochs'], **TRAINING)
    soft = evaluate(ds, data_of(data), soft=labels, loss=get_loss('mse_ce', gamma=.1), hard=False, **kw)
    hard = evaluate(ds, data_of(data), batch_size=50, **kw)
    return dict(
        soft=soft.top1, hard=hard.top1, soft_mean=soft.mean, hard_mean=hard.mean,
        distil_seconds=ds.meta['seconds'], label_seconds=label_s,
        label_bytes=labels.nbytes()['total'], image_bytes=ds.nbytes()['images'],
        backbones={n: m.test_accuracy for n, m in nets.models.items()}, budget=b, settings=settings)


def tasks(data, seeds) -> list[dict]:
    "Digits, then the main rows of the others, then the rest."
    todo = [dict(data=d, row=r, seed=s) for d in data for s in seeds for r in ROWS if d == 'digits' or r not in SAME]
    return sorted(todo, key=lambda t: 0 if t['data'] == 'digits' else 1 + (t['row'] not in MAIN))


if __name__ == '__main__':
    sys.exit(run_table('statistics_tables', 'SRe2L, G-VBSM and ablations in miniature, 10 images per class',
                       tasks, run, data=tuple(BUDGET), train_images=TRAIN, budget=BUDGET, rows_of=ROWS, repeats=REPEATS,
                       training=TRAINING, loss='mse_ce, gamma 0.1'))
