"""Losses x methods x optimisers x networks on distilled sets: Tables 3 to 7 and Figure 3 of GIFT in miniature.

    python bench/label_tables.py --worker 0 --of 2 &   # two processes, one thread each, share the work
    python bench/label_tables.py --worker 1 --of 2
    python bench/label_tables.py --merge               # -> bench/results/label_tables.json

One run is one distilled set (10 images per class) with one set of stored soft labels (a narrow ResNet-18 as the
teacher), on which every loss, optimiser and network is trained: so they differ in nothing else.
"""
import sys
from functools import partial

from budgets import BUDGET, METHODS, TRAIN
from dd_lit.evaluate import evaluate
from dd_lit.labels.losses import get_loss
from harness import run_table
from prepared import TEACHER, data_of, distilled, labelled, teacher_of

EPOCHS = 60
ROWS = ('sre2l', 'rded', 'random', 'gvbsm', 'ogm', 'dc_mda')
FULL = ('sre2l', 'rded')      # rows that are also trained with other optimisers, networks and values of gamma
SETS = METHODS | {'dc_mda': ('dc_mda', dict(iters=1, width=32, batch_real=32))}
SETS_USED = {k: SETS[k] for k in ROWS}
NAMES = ('ce', 'soft_ce', 'kl', 'kl, times T^2', 'mse', 'soft_ce_ce', 'kl_ce', 'mse_ce', 'refine_kl', 'cosine', 'gift',
         'kd', 'wsld', 'dkd', 'nkd')
LOSSES = {n: (n, {}) for n in NAMES} | {'kl, times T^2': ('kl', dict(scale=True))}
GAMMAS = (0., .05, .1, .2, .3, .5, .7, .9, 1.)
OPTS = dict(
    adamw=dict(opt='adamw', lr=.003, weight_decay=1e-4), adam=dict(opt='adam', lr=.003, weight_decay=0.),
    sgd=dict(opt='sgd', lr=.02, weight_decay=1e-4), muon=dict(opt='muon', lr=.02, weight_decay=1e-4))
NETWORKS = dict(mlp={}, lenet={}, resnet18=dict(width=16))


def scorer(ds, labels, data: str, seed: int):
    "A function that trains a network on the labelled set and tests it."
    def score(loss, opt='adamw', model='convnet3', model_kw=None):
        name, settings = LOSSES[loss] if isinstance(loss, str) else loss
        f = get_loss(name, **settings)                  # also for ce: the same views for everybody
        s = evaluate(ds, data_of(data), model, repeats=1, seed=seed, soft=labels, loss=f, hard=False,
                     schedule='multistep', model_kw=model_kw or {}, **OPTS[opt])
        return round(s.mean, 2)
    return score


def run(data: str, row: str, seed: int) -> dict:
    method, settings = SETS[row]
    ds = distilled(data, method, seed, settings)
    teacher = teacher_of(data)
    labels = labelled(ds, teacher, data, epochs=EPOCHS, seed=seed)
    any_net = scorer(ds, labels, data, seed)
    score = partial(any_net, model_kw=dict(width=BUDGET[data]['width']))
    losses = {l: score(l) for l in LOSSES}
    out = dict(losses=losses, teacher=teacher.test_accuracy, distil_seconds=float(ds.meta['seconds']))
    return out | more(score, any_net, losses) if row in FULL else out


def more(score, any_net, losses: dict) -> dict:
    "Other optimisers, networks and values of gamma; what was trained for `losses` already is taken from there."
    few, two = ('kl', 'kl, times T^2', 'mse', 'gift'), ('kl', 'gift')
    known = lambda names: {l: losses[l] for l in names}
    optimizers = {o: {l: score(l, o) for l in few} for o in OPTS if o != 'adamw'} | dict(adamw=known(few))
    nets = {m: {l: any_net(l, model=m, model_kw=kw) for l in two} for m, kw in NETWORKS.items()}
    gamma = lambda g: losses['gift'] if g == .1 else score(('gift', dict(gamma=g)))
    networks = nets | dict(convnet3=known(two))
    return dict(optimizers=optimizers, networks=networks, gamma={str(g): gamma(g) for g in GAMMAS})


def tasks(data, seeds) -> list[dict]:
    return [dict(data=d, row=r, seed=s) for s in seeds for d in data for r in ROWS]


if __name__ == '__main__':
    sys.exit(run_table('label_tables',
                       'losses, optimisers and networks on distilled sets, 10 images per class, shared soft labels',
                       tasks, run, budget={k: BUDGET[k] for k in ('digits', 'mnist', 'cifar10')},
                       train_images=TRAIN, epochs=EPOCHS, optimizers=OPTS, networks=NETWORKS, sets=SETS_USED,
                       losses=LOSSES, gammas=GAMMAS, teacher=TEACHER))
