"""OGM against its rivals, its ablations, and Muon against other optimisers, in miniature: 10 images per class.

    python bench/ogm_tables.py --worker 0 --of 2 &     # two processes, one thread each, share the work
    python bench/ogm_tables.py --worker 1 --of 2
    python bench/ogm_tables.py --merge                 # -> bench/results/ogm_tables.json

Every set is trained on with hard and with soft labels. Mosaics (rded, ogm) are shown to the trained network through
crops inside their patches, the other sets through crops of the whole image; 'hard_whole' is what mosaics reach when
they are treated like the others. The budget is far below the paper's (ImageNet, ResNet-18 of full width, 300 epochs of
evaluation); it is written into the file.
"""
import sys
from functools import lru_cache

from budgets import BUDGET, METHODS, OGM, TRAIN
from dd_lit.augment import patch_augment
from dd_lit.evaluate import evaluate
from dd_lit.labels.losses import get_loss
from harness import run_table
from prepared import TEACHER, data_of, distilled, labelled, teacher_of

MAIN = ('random', 'rded', 'sre2l', 'gvbsm', 'ogm')
ABLATION = (   # the paper's Table 3; the other rows ask why
    'ogm, no SVD', 'ogm, whole crops', 'ogm, whole crops, no SVD', 'ogm, from real images',
    'ogm, from real images, no SVD')
OPTIMISERS = dict(sgd=dict(opt='sgd', lr=.02), adamw=dict(opt='adamw', lr=.003), muon=dict(opt='muon', lr=.02))
EPOCHS, REPEATS = 50, 2


def is_mosaic(row: str) -> bool:
    return row == 'rded' or row.startswith('ogm') and 'from' not in row


@lru_cache(maxsize=1)
def made(data: str, row: str, seed: int):
    method, settings = METHODS[row]
    return distilled(data, method, seed, settings)


def run(data: str, row: str, seed: int, what: str) -> dict:
    ds, b = made(data, row, seed), BUDGET[data]
    crop, factor = b['label']['crop'], 2 if is_mosaic(row) else 1
    kw = dict(repeats=REPEATS, seed=seed, model_kw=dict(width=b['width']), epochs=EPOCHS, batch_size=50,
              schedule='cosine', weight_decay=.01, hard=False)
    opt = OPTIMISERS['adamw' if what == 'labels' else what]
    hard = lambda factor: evaluate(ds, data_of(data), augment=patch_augment(factor, (crop, 1.)), **kw, **opt).mean
    if what != 'labels':
        return dict(hard=hard(factor), settings=opt)
    teacher = teacher_of(data)
    labels = labelled(ds.images, [teacher], data, epochs=EPOCHS, factor=factor, seed=seed)
    kl = get_loss('kl', T=20., scale=True)
    out = dict(soft=evaluate(ds, data_of(data), soft=labels, loss=kl, **kw, **opt).mean, hard=hard(factor))
    if factor > 1 and row in MAIN:
        out['hard_whole'] = hard(1)
    return out | dict(distil_seconds=ds.meta['seconds'], teacher=teacher.test_accuracy)


def tasks(data, seeds) -> list[dict]:
    """The methods, the paper's ablation, the questions of our own: each seed by seed, so that an early stop leaves
    complete rows."""
    def at(rows, more=None):
        return [dict(data=d, row=r, seed=s, what=w) for s in seeds for d in data for r in rows
                for w in ('labels', *(more or {}).get(r, ()))]
    rest = [r for r in METHODS if r not in MAIN + ABLATION]
    main = at(MAIN, dict(random=('sgd', 'muon'), ogm=('sgd', 'muon')))
    return main + at(ABLATION, {'ogm, no SVD': ('muon',)}) + at(rest)


if __name__ == '__main__':
    evaluation = dict(epochs=EPOCHS, repeats=REPEATS, optimisers=OPTIMISERS, loss='kl, T 20, times T squared')
    sys.exit(run_table('ogm_tables',
                       'OGM, its rivals and its parts in miniature, 10 images per class; Muon, AdamW and SGD',
                       tasks, run, budget={k: BUDGET[k] for k in ('mnist', 'cifar10')}, ogm=OGM,
                       train_images=TRAIN, evaluation=evaluation, methods=METHODS, teacher=TEACHER))
