"""Sets that others made with the reference implementation of DC, scored by our protocol: is it what they recorded?

    DD_LIT_DATA=... python bench/peers.py           # about half an hour of two cores
    DD_LIT_DATA=... python bench/peers.py --merge   # -> bench/results/peers.json

The files lie in the folder `peers` of DD_LIT_DATA (its README says where they come from and what was recorded). Each
set of each file is scored as `dd_lit evaluate` scores it: protocol dc, four networks, the whole test set.
"""
import os
import sys
from pathlib import Path

from dd_lit.evaluate import evaluate
from dd_lit.sets import read_sets
from harness import run_table
from prepared import whole_data

PEERS = {    # file: (data, images per class, sets in it, what its makers recorded)
    'dc_mnist_ipc1.pt': ('mnist', 1, 5, 91.82),
    'dc_cifar10_ipc1.pt': ('cifar10', 1, 1, 26.46),
    'dc_cifar10_ipc10.pt': ('cifar10', 10, 1, 42.2),
}
NETWORKS = 4


def run(data: str, file: str, entry: int, seed: int) -> dict:
    d, (_, ipc, _, recorded) = whole_data(data), PEERS[file]
    ds = read_sets(Path(os.environ['DD_LIT_DATA'])/'peers'/file, d)[entry]
    s = evaluate(ds, d, repeats=NETWORKS, seed=seed)
    return dict(top1=s.top1, mean=s.mean, recorded=recorded, ipc=ipc, outside=ds.meta['outside'], protocol=s.config)


def tasks(data, seeds) -> list[dict]:
    return [dict(data=d, file=f, entry=e, seed=0) for f, (d, _, n, _) in PEERS.items() if d in data for e in range(n)]


if __name__ == '__main__':
    sys.exit(run_table('peers',
                       "other people's sets of gradient matching, scored by protocol dc with four networks each",
                       tasks, run, rows='file', seeds=1))
