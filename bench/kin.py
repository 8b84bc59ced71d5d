"""SRe2L and its relatives on digits, in miniature: crops in order, weights moved per batch, statistics of classes.

    python bench/kin.py            # runs are kept under runs/kin
    python bench/kin.py --merge    # -> bench/results/kin.json

Ten images per class; all rows have the same steps, learning rate and weights of the statistics, so that they differ in
their idea alone. One teacher labels all of them. Each set is trained on with hard labels, with a label for every view,
and with a tenth of these.
"""
import sys

from budgets import BUDGET, IPC
from dd_lit.evaluate import evaluate
from dd_lit.labels.losses import get_loss
from dd_lit.statistics.lpld import prune_labels
from harness import run_table
from prepared import data_of, distilled, labelled, teacher_of

SAME = dict(iters=60, lr=.1, first_weight=10.)
REAL = dict(init='real', crop=1., jitter=2)
ROWS = {   # name of a row -> (method, settings on top of the budget's)
    'sre2l': ('sre2l', SAME),
    'cda': ('cda', SAME),
    'lpld': ('lpld', SAME),
    'dwa': ('dwa', SAME | REAL),
    'sre2l, from real images': ('sre2l', SAME | REAL),
    'random': ('random', {}),
}
REPEATS, PRUNE = 2, .9
TRAINING = dict(opt='adamw', lr=.003, batch_size=50, schedule='cosine', weight_decay=.01)


def run(data: str, row: str, seed: int) -> dict:
    d, b, (method, settings) = data_of(data), BUDGET[data], ROWS[row]
    ds = distilled(data, method, seed, settings)
    how = dict(repeats=REPEATS, seed=seed, model_kw=dict(width=b['width']), epochs=b['epochs'], **TRAINING)
    every = labelled(ds, [teacher_of(data)], data, epochs=b['epochs'], seed=seed)
    few = prune_labels(ds, every, PRUNE, seed)
    soft = dict(loss=get_loss('kl', scale=True), hard=False, **how)
    kinds = dict(every=every, few=few)
    out = {k: evaluate(ds, d, soft=s, **soft).mean for k, s in kinds.items()}
    return out | dict(hard=evaluate(ds, d, **how).mean, took=ds.meta['seconds'],
                      **{f'bytes_{k}': s.nbytes()['total'] for k, s in kinds.items()})


def tasks(data, seeds) -> list[dict]:
    return [dict(data=d, row=r, seed=s) for d in data for s in seeds for r in ROWS]


if __name__ == '__main__':
    sys.exit(run_table('kin', 'SRe2L and its relatives, ten images per class', tasks, run, data=('digits',), ipc=IPC,
                       repeats=REPEATS, prune=PRUNE, training=TRAINING, budget=dict(digits=BUDGET['digits']),
                       methods={k: v[1] for k, v in ROWS.items()}))
