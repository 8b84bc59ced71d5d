"""OGM against its rivals, its ablations, and Muon against other optimisers, in miniature: 10 images per class, hard and soft labels.

    python bench/ogm_tables.py --worker 0 --of 2 &     # two processes, one thread each, share the work
    python bench/ogm_tables.py --worker 1 --of 2
    python bench/ogm_tables.py --merge                 # -> bench/results/ogm_tables.json

Mosaics (rded, ogm) are shown to the trained network through crops inside their patches, the other sets through crops of the
whole image; 'hard_whole' is what mosaics reach when they are treated like the others. The budget is far below the paper's
(ImageNet, ResNet-18 of full width, 300 epochs of evaluation); it is written into the file.
"""
import sys
from functools import lru_cache

from dd_lit.augment import patch_augment
from dd_lit.distill import distill
from dd_lit.method import get_method
from dd_lit.labels.losses import get_loss
from dd_lit.labels.soft import relabel
from dd_lit.teachers import squeeze
from dd_lit.evaluate import evaluate
from dd_lit.settings import names_of
from harness import run_table
from statistics_tables import BUDGET, TRAIN, TWO, G, load

O = dict(iters=30, lr=.05, pool=100)
METHODS = {
    'random': ('random', {}), 'rded': ('rded', dict(iters=1, pool=100)), 'sre2l': ('sre2l', {}), 'gvbsm': ('gvbsm', G | dict(backbones=TWO)), 'ogm': ('ogm', O),
    'ogm, no SVD': ('ogm', O | dict(svd=False)), 'ogm, gamma 0': ('ogm', O | dict(gamma=0.)), 'ogm, no running mean': ('ogm', O | dict(ema=False)), 'ogm, whole crops': ('ogm', O | dict(patch=False)),
    'ogm, from real images': ('ogm', O | dict(init='real', patch=False)), 'ogm, from noise': ('ogm', O | dict(init='noise', patch=False, lr=.1)),
    'ogm, 4x steps': ('ogm', O | dict(iters=120)), 'ogm, gamma 1': ('ogm', O | dict(gamma=1.)), 'ogm, deep half': ('ogm', O | dict(skip=10)), 'ogm, channel form': ('ogm', O | dict(mode='channel')),
    'ogm, whole crops, no SVD': ('ogm', O | dict(patch=False, svd=False)), 'ogm, from real images, no SVD': ('ogm', O | dict(init='real', patch=False, svd=False)),
}
TABLE3 = ('ogm, no SVD', 'ogm, whole crops', 'ogm, whole crops, no SVD', 'ogm, from real images', 'ogm, from real images, no SVD')   # the paper's ablation; the other rows ask why
MAIN = ('random', 'rded', 'sre2l', 'gvbsm', 'ogm')
MOSAIC = lambda row: row == 'rded' or row.startswith('ogm') and 'from' not in row
OPTIMISERS = dict(sgd=dict(opt='sgd', lr=.02), adamw=dict(opt='adamw', lr=.003), muon=dict(opt='muon', lr=.02))
EPOCHS, REPEATS = 50, 2
data_of = lru_cache(load)


@lru_cache(maxsize=1)
def made(data, row, seed):
    method, cfg = METHODS[row]
    full = BUDGET[data]['distill'] | cfg
    return distill(method, data_of(data), 10, seed=seed, **{k: v for k, v in full.items() if k in names_of(get_method(method).settings)})


def run(data, row, seed, what):
    d, b = data_of(data), BUDGET[data]
    ds = made(data, row, seed)
    lab = b['label']
    crop, factor = lab['crop'], 2 if MOSAIC(row) else 1
    kw = dict(repeats=REPEATS, seed=seed, model_kw=dict(width=b['width']), epochs=EPOCHS, batch_size=50, schedule='cosine', weight_decay=.01, hard=False)
    hard = lambda factor, **o: evaluate(ds, d, augment=patch_augment(factor, (crop, 1.)), **kw | o).mean
    if what != 'labels':
        return dict(hard=hard(factor, **OPTIMISERS[what]), settings=OPTIMISERS[what])
    s = b['distill']
    teacher = squeeze('resnet18', d, epochs=s['squeeze_epochs'], augment=s['squeeze_augment'], width=s['width'])
    labels = relabel(ds.images, [teacher], epochs=EPOCHS, batch_size=50, crop=crop, flip=lab['flip'], mix=lab['mix'], factor=factor, seed=seed)
    soft = evaluate(ds, d, soft=labels, loss=get_loss('kl', T=20., scale=True), **kw | OPTIMISERS['adamw']).mean
    return dict(soft=soft, hard=hard(factor, **OPTIMISERS['adamw'])) | (dict(hard_whole=hard(1, **OPTIMISERS['adamw'])) if factor > 1 and row in MAIN else {}) | dict(distil_seconds=ds.meta['seconds'], teacher=teacher.test_accuracy)


def tasks(data, seeds):
    "The methods, the paper's ablation, the questions of our own: each seed by seed, so that an early stop leaves complete rows."
    at = lambda rows, what=lambda r: ('labels',): [dict(data=d, row=r, seed=s, what=w) for s in seeds for d in data for r in rows for w in what(r)]
    return at(MAIN, lambda r: ('labels', 'sgd', 'muon') if r in ('random', 'ogm') else ('labels',)) + at(TABLE3, lambda r: ('labels', 'muon') if r == 'ogm, no SVD' else ('labels',)) + at([r for r in METHODS if r not in MAIN + TABLE3])


if __name__ == '__main__':
    sys.exit(run_table('ogm_tables', 'OGM, its rivals and its parts in miniature, 10 images per class; Muon, AdamW and SGD', tasks, run,
                       budget={k: BUDGET[k] for k in ('mnist', 'cifar10')}, ogm=O, train_images=TRAIN, evaluation=dict(epochs=EPOCHS, repeats=REPEATS, optimisers=OPTIMISERS, loss='kl, T 20, times T squared')))
