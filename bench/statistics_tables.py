"""SRe2L, G-VBSM and its ablations in miniature: what each part of "Generalized Large-Scale Data Condensation" is worth.

    python bench/statistics_tables.py --worker 0 --of 2 &     # two processes, one thread each, share the work
    python bench/statistics_tables.py --worker 1 --of 2
    python bench/statistics_tables.py --merge                 # -> bench/results/statistics_tables.json

Each run distils 10 images per class, labels every view, and trains two ConvNets with MSE + 0.1 GT on the stored views
(soft) and, for the same set, with hard labels. The budget is far below the paper's (4000 steps, ResNet-18 with 64 channels, 1000 epochs); it is written into every row.
"""
import sys
import time
from functools import lru_cache

from dd_lit.data import ImageData, load_data
from dd_lit.distill import distill
from dd_lit.method import get_method
from dd_lit.labels.losses import get_loss
from dd_lit.labels.soft import relabel
from dd_lit.teachers import squeeze_all
from dd_lit.evaluate import evaluate
from dd_lit.settings import names_of
from harness import run_table

BUDGET = dict(
    digits=dict(distill=dict(iters=100, width=16, squeeze_epochs=6, squeeze_augment='crop', crop=.5, flip=False), label=dict(epochs=80, batch_size=50, crop=.5, flip=False, mix=False), epochs=80, width=32),
    mnist=dict(distill=dict(iters=100, width=16, squeeze_epochs=1, squeeze_augment='crop', crop=.5, flip=False), label=dict(epochs=80, batch_size=50, crop=.5, flip=False, mix=False), epochs=80, width=32),
    cifar10=dict(distill=dict(iters=100, width=16, squeeze_epochs=2, squeeze_augment='crop_flip', crop=.3, flip=True), label=dict(epochs=80, batch_size=50, crop=.3, flip=True, mix=True), epochs=80, width=32))
TRAIN = dict(mnist=10000, cifar10=10000)                    # real images used for squeeze and statistics, the first so many
THREE = ('resnet18', 'convnet3', 'wrn16_2')                  # the committee; the paper's MobileNet and ShuffleNet train badly in so few epochs
G = dict(backbones=THREE, lr=.1)
ROWS = {                                                    # name -> (method, settings, settings of the labels)
    'random': ('random', {}, {}),
    'sre2l': ('sre2l', {}, {}),
    'gvbsm': ('gvbsm', G, {}),
    'gvbsm, only BN': ('gvbsm', G | dict(conv=False, backbones=('resnet18', 'wrn16_2')), {}),     # Table 10
    'gvbsm, only Conv': ('gvbsm', G | dict(bn=False), {}),
    'gvbsm, alpha 0': ('gvbsm', G | dict(alpha=0.), {}),                                                   # Table 1
    'gvbsm, alpha 0.8': ('gvbsm', G | dict(alpha=.8), {}),
    'gvbsm, 1 teacher': ('gvbsm', G, dict(teachers=1)),                                                    # Table 3
    'gvbsm, 2 teachers': ('gvbsm', G, dict(teachers=2)),
    'gvbsm, no logit normalisation': ('gvbsm', G, dict(normalize=False)),                                  # Table 6
    'gvbsm, one backbone': ('gvbsm', G | dict(backbones=('resnet18',)), {}),                               # GBM
    'gvbsm, no DD': ('gvbsm', G | dict(dd=False), {}),                                                     # DD
    'gvbsm, DD unit': ('gvbsm', G | dict(dd_unit=True), {}),
    'gvbsm, beta_dr 0': ('gvbsm', G | dict(drop=0.), {}),                                                  # Figure 6
    'gvbsm, squeeze x4': ('gvbsm', G | dict(squeeze_times=4), {}),                                         # Table 11
}
TWO = ('resnet18', 'convnet3')                               # the committee on MNIST and CIFAR-10
MAIN = ('random', 'sre2l', 'gvbsm')
SAME = ('gvbsm, 2 teachers',)                                # with a committee of two this is 'gvbsm' itself, so only digits (three networks) has the row
_made = {}                                                   # distilled sets of this process: rows that differ only in their labels share one


def load(name):
    d = load_data(name)
    n = TRAIN.get(name)
    return d if n is None else ImageData(d.train_x[:n], d.train_y[:n], d.test_x, d.test_y, d.norm, d.classes, d.name)


data_of = lru_cache(load)
REPEATS = 2


def run(data, row, seed):
    data = data_of(data)
    method, cfg, lab = ROWS[row]
    b = BUDGET[data.name]
    cfg, lab = dict(cfg), dict(lab)
    if data.name != 'digits' and 'backbones' in cfg:
        cfg['backbones'] = tuple(n for n in cfg['backbones'] if n in TWO)
    base = dict(b['distill'])
    base['squeeze_epochs'] *= cfg.pop('squeeze_times', 1)
    full = base | cfg
    key = repr((data.name, method, seed, sorted(full.items())))
    if key not in _made:
        _made[key] = distill(method, data, 10, seed=seed, **{k: v for k, v in full.items() if k in names_of(get_method(method).settings)})
    ds = _made[key]
    nets = squeeze_all(full.get('backbones', ('resnet18',) if method == 'sre2l' else THREE if data.name == 'digits' else TWO), data, epochs=base['squeeze_epochs'], augment=base['squeeze_augment'], width=base['width'], seed=seed)
    teachers = list(nets)[:lab.pop('teachers', None)]
    t = time.perf_counter()
    labels = relabel(ds.images, teachers, **b['label'] | lab, seed=seed)
    label_s = time.perf_counter() - t
    kw = dict(repeats=REPEATS, seed=seed, model_kw=dict(width=b['width']), epochs=b['epochs'])
    soft = evaluate(ds, data, soft=labels, loss=get_loss('mse_ce', gamma=.1), hard=False, opt='adamw', lr=.003, schedule='cosine', weight_decay=.01, **kw)
    hard = evaluate(ds, data, opt='adamw', lr=.003, schedule='cosine', weight_decay=.01, batch_size=50, **kw)
    return dict(soft=soft.top1, hard=hard.top1, soft_mean=soft.mean, hard_mean=hard.mean, distil_seconds=ds.meta['seconds'], label_seconds=label_s, label_bytes=labels.nbytes()['total'],
                image_bytes=ds.nbytes()['images'], backbones={n: m.test_accuracy for n, m in nets.models.items()}, budget=b, settings={k: v for k, v in full.items()})


def tasks(data, seeds):
    "Digits, then the main rows of the others, then the rest."
    todo = [dict(data=d, row=r, seed=s) for d in data for s in seeds for r in ROWS if d == 'digits' or r not in SAME]
    return sorted(todo, key=lambda t: 0 if t['data'] == 'digits' else 1 + (t['row'] not in MAIN))


if __name__ == '__main__':
    sys.exit(run_table('statistics_tables', 'SRe2L, G-VBSM and ablations in miniature, 10 images per class', tasks, run, data=('digits', 'mnist', 'cifar10'), train_images=TRAIN))
