"""One matching step of DC on MNIST (ConvNet-3, 256 real images per class): ours against the plain loop, side by side.

    python bench/dc_step.py                 # writes bench/results/dc_step.json
    python bench/dc_step.py --data digits --reps 1 --batch 32 --out /tmp/x.json

All variants run in one process, interleaved, on the same network and the same images. `error` is the largest relative
error of any layer's real gradient (first and last class) against the plain step, `image_error` that of
the gradient in the images. `peak_mb` is how far the process's resident memory rose during one step.
"""
import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn as nn

from dd_lit.core import PeakMemory, atomic_write, provenance, rng
from dd_lit.coreset.select import random_select
from dd_lit.data import load_data
from dd_lit.gradient.dc import match_step, matched_params, mean_gradient, param_grads, plain_step
from dd_lit.gradient.distance import grad_distance
from dd_lit.models import ReluPool, create_model

def plainify(model):
    "The same network from torch's own layers: ReLU, then AvgPool2d."
    for name, m in list(model.named_modules()):
        if isinstance(m, ReluPool):
            parent, _, leaf = name.rpartition('.')
            setattr(model.get_submodule(parent), leaf, nn.Sequential(nn.ReLU(), nn.AvgPool2d(2)))
    return model


def measured(f):
    "Seconds, rise of memory in MB, and the result of f()."
    gpu = torch.cuda.is_available()
    wait = torch.cuda.synchronize if gpu else lambda: None
    wait()
    memory = PeakMemory('cuda' if gpu else 'cpu')
    t = time.perf_counter()
    r = f()
    wait()
    return time.perf_counter() - t, memory.bytes()/2**20, r


def all_params_sliced(net, images, real, n=32):
    "Slices, but every parameter's gradient: what slicing alone gives."
    params, C = list(net.parameters()), len(real)
    ipc, loss = len(images)//C, 0.
    for c, x in enumerate(real):
        y = torch.full((max(len(x), ipc),), c, device=x.device)
        loss = loss + grad_distance(param_grads(net, images[c*ipc:(c+1)*ipc], y[:ipc], params, create_graph=True), mean_gradient(net, x, y[:len(x)], params, n), 'angle')
    return loss.detach(), torch.autograd.grad(loss, images)[0]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--data', default='mnist')
    ap.add_argument('--batch', type=int, default=256)
    ap.add_argument('--reps', type=int, default=3)
    ap.add_argument('--width', type=int, default=128)
    ap.add_argument('--ipc', type=int, nargs='+', default=[1, 10])
    ap.add_argument('--seed', type=int, default=0)
    ap.add_argument('--compile', action='store_true', help='also torch.compile (needs a C++ compiler, takes a minute)')
    ap.add_argument('--out', default=str(Path(__file__).parent/'results'/'dc_step.json'))
    a = ap.parse_args()
    data, device = load_data(a.data), 'cuda' if torch.cuda.is_available() else 'cpu'
    real = [data.normalize(data.train_x[data.train_y == c][torch.randperm(int(data.counts()[c]), generator=rng(a.seed, 'real', c))[:a.batch]]).to(device) for c in range(data.num_classes)]
    make = lambda: create_model('convnet3', data.num_classes, data.in_chans, data.size, seed=a.seed, width=a.width).to(device)
    out = dict(what='seconds and peak memory of one matching step', data=a.data, batch=a.batch, width=a.width, reps=a.reps, seed=a.seed, made_with=provenance(), ipc={})
    for ipc in a.ipc:
        images = data.normalize(data.train_x[random_select(data.train_y, ipc, rng(a.seed, 'S'))]).to(device).requires_grad_()
        plain, ours = plainify(make()), make()
        variants = {'plain loop': (plain, lambda m: plain_step(m, images, real)[:2]),
                    'slices of 32': (plain, lambda m: all_params_sliced(m, images, real)),
                    '+ only matched parameters': (plain, lambda m: match_step(m, images, real)),
                    '+ relu_pool (ours)': (ours, lambda m: match_step(m, images, real)),
                    "ours, real_dtype='bfloat16'": (ours, lambda m: match_step(m, images, real, real_dtype='bfloat16'))}
        if ipc == a.ipc[0]:                             # what else was tried, at the first size only
            variants |= {f'ours, slices of {n}': (ours, lambda m, n=n: match_step(m, images, real, slice_size=n)) for n in (8, 16, 64, a.batch)}
            variants['slices, channels_last'] = (plainify(make()).to(memory_format=torch.channels_last), lambda m: match_step(m, images, [x.contiguous(memory_format=torch.channels_last) for x in real]))
            if a.compile:
                # only the real side is compiled: torch.compile has no double backward
                def compiled_step(m, net=plain):
                    params, loss, grads = matched_params(net), 0., []
                    for c, x in enumerate(real):
                        y = torch.full((len(x),), c, device=x.device)
                        g = mean_gradient(m, x, y, params)
                        s = images[c*ipc:(c+1)*ipc].detach().requires_grad_()
                        d = grad_distance(param_grads(net, s, y[:ipc], params, create_graph=True), g, 'angle')
                        grads.append(torch.autograd.grad(d, s)[0])
                        loss = loss + d.detach()
                    return loss, torch.cat(grads)
                variants['slices, torch.compile'] = (torch.compile(plain), compiled_step)
        _, ref_grad, ref = plain_step(plain, images, real)
        res = {k: dict(seconds=[], peak_mb=[]) for k in variants}
        for r in range(a.reps + 1):                     # the first round warms up
            for k, (net, f) in variants.items():
                s, mb, (loss, grad) = measured(lambda: f(net))
                res[k]['image_error'] = ((grad - ref_grad).norm()/ref_grad.norm()).item()
                if r:
                    res[k]['seconds'].append(round(s, 3))
                    res[k]['peak_mb'].append(round(mb, 1))
        for k, (net, _) in variants.items():
            n = a.batch if k in ('plain loop', f'ours, slices of {a.batch}') else 32
            src, params = net, matched_params(getattr(net, '_orig_mod', net))
            worst = 0.
            for c in (0, data.num_classes - 1):
                g = mean_gradient(src, real[c], torch.full((len(real[c]),), c, device=device), params, n, 'bfloat16' if 'bfloat16' in k else None)
                worst = max([worst, *(((p - q).norm()/q.norm()).item() for p, q in zip(g, [q for q in ref[c] if q.ndim > 1]))])
            base = statistics.median(res['plain loop']['seconds'])
            res[k] |= dict(error=worst, median_s=statistics.median(res[k]['seconds']), median_peak_mb=statistics.median(res[k]['peak_mb']), speedup=round(base/statistics.median(res[k]['seconds']), 2))
            print(f"ipc {ipc:2}  {k:28} {res[k]['median_s']:7.3f} s  {res[k]['speedup']:5.2f}x  {res[k]['median_peak_mb']:8.1f} MB  error {res[k]['error']:.1e}  in images {res[k]['image_error']:.1e}", flush=True)
        out['ipc'][str(ipc)] = res
    atomic_write(a.out, json.dumps(out, indent=1))


if __name__ == '__main__':
    sys.exit(main())
