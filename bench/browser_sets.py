"""The sets of the page that trains while you watch: digits of 8x8 pixels, some chosen, some made.

    python bench/browser_sets.py            # runs are kept under runs/browser_sets
    python bench/browser_sets.py --merge    # -> bench/results/browser_sets.json
    python bench/browser_sets.py --page     # -> nbs/watch/sets.js, what the page loads

One image per class from three seeds, ten from one.
"""
import sys

import torch

from browser import (
    NETWORK,
    PAGE,
    SETTINGS,
    SOFTENED,
    TEACHER,
    as_set,
    digits,
    made,
    packed,
    page_text,
    settings_of,
    teacher,
    text,
)
from dd_lit.core import atomic_write
from dd_lit.evaluate import evaluate
from harness import run_table

SCORES = dict(repeats=3, epochs=100, hard='only')
JUDGE = dict(model='convnet3', model_kw=dict(width=32))    # the library's own network, by the protocol 'dc'


def run(data: str, row: str, ipc: int, seed: int) -> dict:
    ds = made(row, ipc, seed)
    out = packed(ds) | dict(labels=''.join(map(str, ds.labels.tolist())))
    back, network = as_set(out), teacher()
    with torch.no_grad():
        soft = (network(back.images)/SOFTENED).softmax(1)
    scores = evaluate(back, digits(), seed=seed, **JUDGE, **SCORES)
    return out | dict(settings=settings_of(row, ipc), soft=text((soft*255).round()), took=ds.meta['seconds'],
                      top1=[round(v, 2) for v in scores.top1])


def tasks(data, seeds) -> list[dict]:
    "One image per class first, and DC with what it is compared to."
    all_of = [dict(data=d, row=r, ipc=n, seed=s) for d in data for n in (1, 10) for s in seeds for r in SETTINGS
              if n == 1 or s == 0]
    late = lambda t: (t['ipc'], t['row'] not in ('random', 'dc'), t['row'] == 'gvbsm')
    return sorted(all_of, key=late)


if __name__ == '__main__':
    if sys.argv[1:] == ['--page']:
        atomic_write(PAGE, page_text())
        sys.exit(print(f'{PAGE.stat().st_size} bytes'))
    sys.exit(run_table('browser_sets', 'Digits of 8x8 pixels, chosen and made: the sets of the page that trains while '
                       'you watch', tasks, run, data=('digits',), network=NETWORK, teacher=TEACHER, softened=SOFTENED,
                       judge=JUDGE, scores=SCORES))
