"""Losses x methods x optimisers x networks on distilled sets of this library: Tables 3 to 7 and Figure 3 of GIFT in miniature.

    python bench/label_tables.py --worker 0 --of 2 &   # two processes, one thread each, share the work
    python bench/label_tables.py --worker 1 --of 2
    python bench/label_tables.py --merge               # -> bench/results/label_tables.json

One run is one distilled set (10 images per class) with one set of stored soft labels (a narrow ResNet-18 as the teacher), on which
every loss, optimiser and network is trained: so they differ in nothing else.
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
from ogm_tables import METHODS
from statistics_tables import BUDGET, TRAIN, load

EPOCHS = 60
SETS = METHODS | {'dc_mda': ('dc_mda', dict(iters=1, width=32, batch_real=32))}
LOSSES = {'ce': ('ce', {}), 'soft_ce': ('soft_ce', {}), 'kl': ('kl', {}), 'kl, times T^2': ('kl', dict(scale=True)), 'mse': ('mse', {}), 'soft_ce_ce': ('soft_ce_ce', {}), 'kl_ce': ('kl_ce', {}), 'mse_ce': ('mse_ce', {}),
          'refine_kl': ('refine_kl', {}), 'cosine': ('cosine', {}), 'gift': ('gift', {}), 'kd': ('kd', {}), 'wsld': ('wsld', {}), 'dkd': ('dkd', {}), 'nkd': ('nkd', {})}
GAMMAS = (0., .05, .1, .2, .3, .5, .7, .9, 1.)
OPTS = dict(adamw=dict(opt='adamw', lr=.003, weight_decay=1e-4), adam=dict(opt='adam', lr=.003, weight_decay=0.), sgd=dict(opt='sgd', lr=.02, weight_decay=1e-4), muon=dict(opt='muon', lr=.02, weight_decay=1e-4))
NETWORKS = dict(mlp={}, lenet={}, resnet18=dict(width=16))
data_of = lru_cache(load)


def run(data, row, seed):
    d, b = data_of(data), BUDGET[data]
    method, cfg = SETS[row]
    full = b['distill'] | cfg
    s, lab = b['distill'], b['label']
    ds = distill(method, d, 10, seed=seed, **{k: v for k, v in full.items() if k in names_of(get_method(method).settings)})
    teacher = squeeze('resnet18', d, epochs=s['squeeze_epochs'], augment=s['squeeze_augment'], width=s['width'])
    labels = relabel(ds, teacher, epochs=EPOCHS, batch_size=50, crop=lab['crop'], flip=lab['flip'], mix=lab['mix'], seed=seed)
    def score(loss, opt='adamw', model='convnet3', model_kw=dict(width=b['width']), **kw):
        name, lk = LOSSES[loss] if isinstance(loss, str) else loss
        f = get_loss(name, **lk)                        # also for ce: the same views for everybody
        return round(evaluate(ds, d, model, repeats=1, seed=seed, soft=labels, loss=f, hard=False, schedule='multistep', model_kw=model_kw, **OPTS[opt] | kw).mean, 2)
    out = dict(losses={l: score(l) for l in LOSSES}, teacher=teacher.test_accuracy, distil_seconds=float(ds.meta['seconds']))
    if row in ('sre2l', 'rded'):
        out['optimizers'] = {o: {l: score(l, o) for l in ('kl', 'kl, times T^2', 'mse', 'gift')} for o in OPTS if o != 'adamw'} | dict(adamw={l: out['losses'][l] for l in ('kl', 'kl, times T^2', 'mse', 'gift')})
        out['networks'] = {m: {l: score(l, model=m, model_kw=kw) for l in ('kl', 'gift')} for m, kw in NETWORKS.items()} | dict(convnet3={l: out['losses'][l] for l in ('kl', 'gift')})
        out['gamma'] = {str(g): out['losses']['gift'] if g == .1 else score(('gift', dict(gamma=g))) for g in GAMMAS}
    return out


def tasks(data, seeds):
    return [dict(data=d, row=r, seed=s) for s in seeds for d in data for r in ('sre2l', 'rded', 'random', 'gvbsm', 'ogm', 'dc_mda')]


if __name__ == '__main__':
    sys.exit(run_table('label_tables', 'losses, optimisers and networks on distilled sets, 10 images per class, shared soft labels', tasks, run,
                       budget={k: BUDGET[k] for k in ('digits', 'mnist', 'cifar10')}, train_images=TRAIN, epochs=EPOCHS, optimizers=OPTS, networks=NETWORKS))
