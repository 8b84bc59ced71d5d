"""Time and memory of one step of LGM and SFM on the same network and batch, side by side in one process.

    python bench/flow_cost.py            # writes bench/results/flow_cost.json

Memory is measured the same way for all: bytes that autograd keeps for the backward pass, at the worst moment, and (in a process of
its own for each method) how far the resident memory rises over a few steps.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from dd_lit.core import PeakMemory, atomic_write, provenance
from dd_lit.data import load_data
from dd_lit.flow.features import FeatureNet
from dd_lit.flow.linear_gradient import LGM
from dd_lit.flow.sfm import SFM
from dd_lit.models import create_model
from statistics_cost import saved_bytes

VARIANTS = {'sfm': (SFM, dict(augs=1)), 'lgm, 1 augmentation': (LGM, dict(augs=1)), 'lgm, 3 augmentations': (LGM, dict(augs=3)), 'lgm, 10 augmentations': (LGM, dict(augs=10))}


def make(name, data, model, width, ipc):
    net = create_model(model, data.num_classes, data.in_chans, data.size, seed=0, width=width)
    leaf = 'fc' if model.startswith('resnet') else 'head'
    setattr(net, leaf, torch.nn.Identity())             # the weights do not matter for time and memory: untrained
    cls, cfg = VARIANTS[name]
    m = cls(data, ipc, backbone=FeatureNet(net, data.norm), start=data.size if isinstance(data.size, int) else data.size[0], iters=100, **cfg)
    m.setup()
    return m


def step(m):
    m.step()
    m.k += 1
    if m.device.type == 'cuda':
        torch.cuda.synchronize()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--data', default='cifar10')
    ap.add_argument('--model', default='resnet18')
    ap.add_argument('--width', type=int, default=64)
    ap.add_argument('--ipc', type=int, default=1)
    ap.add_argument('--reps', type=int, default=7)
    ap.add_argument('--one', default=None, help='only measure the memory of this variant')
    ap.add_argument('--out', default=str(Path(__file__).parent/'results'/'flow_cost.json'))
    a = ap.parse_args()
    data = load_data(a.data)
    data = type(data)(data.train_x[:2000], data.train_y[:2000], data.test_x[:100], data.test_y[:100], data.norm, data.classes, data.name)
    args = (data, a.model, a.width, a.ipc)
    if a.one:
        m = make(a.one, *args)
        step(m)
        memory = PeakMemory(m.device)                   # forgets what setting up needed
        for _ in range(3):
            step(m)
        return print(memory.bytes()/2**20)
    ms, ts = {n: make(n, *args) for n in VARIANTS}, {n: [] for n in VARIANTS}
    for r in range(a.reps + 1):
        for n, m in ms.items():
            t = time.perf_counter()
            step(m)
            if r:
                ts[n].append(time.perf_counter() - t)
    base = statistics.median(ts['sfm'])
    rows = {}
    for n, m in ms.items():
        peak = float(subprocess.run([sys.executable, __file__, '--data', a.data, '--model', a.model, '--width', str(a.width), '--ipc', str(a.ipc), '--one', n], capture_output=True, text=True, check=True).stdout)
        rows[n] = dict(median_s=statistics.median(ts[n]), times_sfm=statistics.median(ts[n])/base, saved_mb=saved_bytes(lambda: step(m))/2**20, peak_mb=peak, seconds=[round(x, 4) for x in ts[n]])
        print(f"{n:24} {1e3*rows[n]['median_s']:8.1f} ms  {rows[n]['times_sfm']:5.1f}x  saved {rows[n]['saved_mb']:7.1f} MB  resident +{peak:.0f} MB", flush=True)
    atomic_write(a.out, json.dumps(dict(what='one step of LGM and SFM', data=a.data, model=a.model, width=a.width, ipc=a.ipc, reps=a.reps, rows=rows, made_with=provenance()), indent=1))


if __name__ == '__main__':
    sys.exit(main())
