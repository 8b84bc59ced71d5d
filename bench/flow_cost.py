"""Time and memory of one step of LGM and SFM on the same network and batch, side by side in one process.

    python bench/flow_cost.py            # writes bench/results/flow_cost.json

Memory is measured the same way for all: bytes that autograd keeps for the backward pass, at the worst moment, and (in a
process of its own for each method) how far the resident memory rises over a few steps.
"""
import argparse
import json
import subprocess
import sys
from functools import partial

import torch

from dd_lit.core import PeakMemory, atomic_write
from dd_lit.data import ImageData, load_data
from dd_lit.flow.features import FeatureNet
from dd_lit.flow.linear_gradient import LGM
from dd_lit.flow.sfm import SFM
from dd_lit.models import create_model
from harness import RESULTS, made_with
from timing import in_turn, medians, rounded, saved_bytes, step

VARIANTS = {'sfm': (SFM, dict(augs=1))} | {
    f"lgm, {n} augmentation{'s' if n > 1 else ''}": (LGM, dict(augs=n)) for n in (1, 3, 10)}


def make(name: str, data: ImageData, model: str, width: int, ipc: int):
    "A method that is set up, on an untrained network: the weights do not matter for time and memory."
    net = create_model(model, data.num_classes, data.in_chans, data.size, seed=0, width=width)
    setattr(net, 'fc' if model.startswith('resnet') else 'head', torch.nn.Identity())
    cls, cfg = VARIANTS[name]
    start = data.size if isinstance(data.size, int) else data.size[0]
    m = cls(data, ipc, backbone=FeatureNet(net, data.norm), start=start, iters=100, **cfg)
    m.setup()
    return m


def rise_of_memory(m) -> float:
    "MB by which the resident memory rises over three steps."
    step(m)
    memory = PeakMemory(m.device)                   # forgets what setting up needed
    for _ in range(3):
        step(m)
    return memory.bytes()/2**20


def rise_alone(name: str, a: argparse.Namespace) -> float:
    "The same in a process of its own."
    options = ('--data', a.data, '--model', a.model, '--width', str(a.width), '--ipc', str(a.ipc), '--one', name)
    p = subprocess.run([sys.executable, __file__, *options], capture_output=True, text=True, check=True)
    return float(p.stdout)


def arguments() -> argparse.Namespace:
    ap = argparse.ArgumentParser()
    ap.add_argument('--data', default='cifar10')
    ap.add_argument('--model', default='resnet18')
    ap.add_argument('--width', type=int, default=64)
    ap.add_argument('--ipc', type=int, default=1)
    ap.add_argument('--reps', type=int, default=7)
    ap.add_argument('--one', default=None, help='only measure the memory of this variant')
    ap.add_argument('--out', default=str(RESULTS/'flow_cost.json'))
    return ap.parse_args()


def main():
    a = arguments()
    d = load_data(a.data)
    d = ImageData(d.train_x[:2000], d.train_y[:2000], d.test_x[:100], d.test_y[:100], d.norm, d.classes, d.name)
    args = (d, a.model, a.width, a.ipc)
    if a.one:
        return print(rise_of_memory(make(a.one, *args)))
    ms = {n: make(n, *args) for n in VARIANTS}
    seconds = in_turn({n: partial(step, m) for n, m in ms.items()}, a.reps)
    median = medians(seconds)
    rows = {}
    for n, m in ms.items():
        peak = rise_alone(n, a)
        r = dict(median_s=median[n], times_sfm=median[n]/median['sfm'], saved_mb=saved_bytes(partial(step, m))/2**20,
                 peak_mb=peak, seconds=rounded(seconds[n]))
        print(f"{n:24} {1e3*r['median_s']:8.1f} ms  {r['times_sfm']:5.1f}x  saved {r['saved_mb']:7.1f} MB  "
              f'resident +{peak:.0f} MB', flush=True)
        rows[n] = r
    about = {k: getattr(a, k) for k in ('data', 'model', 'width', 'ipc', 'reps')}
    out = dict(what='one step of LGM and SFM', **about, rows=rows, made_with=made_with())
    atomic_write(a.out, json.dumps(out, indent=1))


if __name__ == '__main__':
    sys.exit(main())
