"""Tables 1, 2 and 3 of "Delving into Effective Gradient Matching" in miniature: what to match, and how.

    python bench/gradient_tables.py --worker 0 --of 2 &      # two processes, one thread each, share the work
    python bench/gradient_tables.py --worker 1 --of 2
    python bench/gradient_tables.py --merge                  # -> bench/results/gradient_tables.json

Every run distils one set and trains networks on it (DC's protocol; a third of its epochs at ipc 10). A finished run is
a file under runs/ and is not repeated, so the command can be interrupted and given again. The budget is far below the
paper's (1000 iterations, width 128, 256 real images per class, 2 sets x 50 networks); it is written into every row.
"""
import sys

from dd_lit.distill import distill
from dd_lit.evaluate import evaluate
from harness import run_table
from prepared import whole_data

BUDGET = dict(width=32, batch_real=32)
ITERS = {1: 60, 10: 1}            # at ipc 10 an outer iteration is 10 matching steps and 450 epochs of the network
SCORING = {1: dict(repeats=3), 10: dict(repeats=2, epochs=100)}
# Table 1: distance angle, constant schedule
MODES = {m: dict(mode=m) for m in ('intra', 'inter', 'interleaved', 'multi')}
# Table 2: multi-level; its angle alone is Table 1's 'multi'
DISTANCES = ('l2', 'sse', 'mse', 'angle+l2', 'angle+sse', 'angle+mse')
KINDS = {f'd:{k}': dict(mode='multi', distance=k) for k in DISTANCES}
# Table 3; its MD is Table 2's angle+l2, its M Table 1's multi
WHERE = {f'md{k[0]}': dict(mode='multi', distance='angle+l2', schedule=k) for k in ('overfit', 'adaptive')}
TABLES = {name: (table, cfg) for table, rows in ((1, MODES), (3, WHERE), (2, KINDS)) for name, cfg in rows.items()}
LATE = ('d:sse', 'd:mse', 'd:angle+sse', 'd:angle+mse')   # at ipc 10 the less telling distances come last


def run(data: str, ipc: int, seed: int, name: str) -> dict:
    d, (table, cfg) = whole_data(data), TABLES[name]
    ds = distill('dc', d, ipc, seed=seed, iters=ITERS[ipc], **BUDGET, **cfg)
    s = evaluate(ds, d, seed=seed, model_kw=dict(width=BUDGET['width']), **SCORING[ipc])
    return dict(table=table, cfg=cfg, top1=s.top1, mean=s.mean, std=s.std, distil_seconds=ds.meta['seconds'],
                evaluate_seconds=s.seconds, iters=ITERS[ipc], budget=BUDGET, scoring=SCORING[ipc])


def tasks(data, seeds) -> list[dict]:
    """The cheapest first, seed by seed, so that an early stop leaves complete rows; O and A need more than one matching
    step, so ipc 10."""
    def at(ipc, names):
        return [dict(data=d, ipc=ipc, seed=s, name=n) for s in seeds for d in data for n in names]
    without = lambda names: [n for n in TABLES if n not in names]
    return at(1, without(WHERE)) + at(10, without(LATE)) + at(10, LATE)


if __name__ == '__main__':
    sys.exit(run_table('gradient_tables', 'Tables 1, 2 and 3 of dc.txt in miniature', tasks, run, rows='name',
                       budget=BUDGET, iters=ITERS, scoring=SCORING))
