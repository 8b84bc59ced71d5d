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
from functools import partial

import torch

from dd_lit.core import atomic_write, rng
from dd_lit.coreset.select import random_select
from dd_lit.data import load_data
from dd_lit.gradient.dc import match_step, matched_params, mean_gradient, param_grads, plain_step
from dd_lit.gradient.distance import grad_distance
from dd_lit.models import create_model
from harness import RESULTS, made_with
from prepared import plainify, real_images
from timing import measured, rounds

# --- the variants: functions of (network, images, real images of each class) -> loss, gradient in the images ---

def plain(net, images, real):
    return plain_step(net, images, real)[:2]


def all_params_sliced(net, images, real, n: int = 32):
    "Slices, but every parameter's gradient: what slicing alone gives."
    params, C = list(net.parameters()), len(real)
    ipc, loss = len(images)//C, 0.
    for c, x in enumerate(real):
        y = torch.full((max(len(x), ipc),), c, device=x.device)
        ours = param_grads(net, images[c*ipc:(c+1)*ipc], y[:ipc], params, create_graph=True)
        loss = loss + grad_distance(ours, mean_gradient(net, x, y[:len(x)], params, n), 'angle')
    return loss.detach(), torch.autograd.grad(loss, images)[0]


def channels_last(net, images, real):
    return match_step(net, images, [x.contiguous(memory_format=torch.channels_last) for x in real])


def compiled_step(compiled, images, real):
    "Only the real side is compiled: torch.compile has no double backward."
    net, ipc = compiled._orig_mod, len(images)//len(real)
    params, loss, grads = matched_params(net), 0., []
    for c, x in enumerate(real):
        y = torch.full((len(x),), c, device=x.device)
        g = mean_gradient(compiled, x, y, params)
        s = images[c*ipc:(c+1)*ipc].detach().requires_grad_()
        d = grad_distance(param_grads(net, s, y[:ipc], params, create_graph=True), g, 'angle')
        grads.append(torch.autograd.grad(d, s)[0])
        loss = loss + d.detach()
    return loss, torch.cat(grads)


def variants(make, batch: int, more: bool, compiled: bool) -> dict:
    "Name -> (network, function). With `more`, also what else was tried."
    torch_net, ours = plainify(make()), make()
    out = {
        'plain loop': (torch_net, plain),
        'slices of 32': (torch_net, all_params_sliced),
        '+ only matched parameters': (torch_net, match_step),
        '+ relu_pool (ours)': (ours, match_step),
        "ours, real_dtype='bfloat16'": (ours, partial(match_step, real_dtype='bfloat16'))}
    if more:
        sizes = (8, 16, 64, batch)
        out |= {f'ours, slices of {n}': (ours, partial(match_step, slice_size=n)) for n in sizes}
        last = plainify(make()).to(memory_format=torch.channels_last)
        out['slices, channels_last'] = (last, channels_last)
        if compiled:
            out['slices, torch.compile'] = (torch.compile(torch_net), compiled_step)
    return out


def timed(steps: dict, images, real, ref_grad, reps: int) -> dict[str, dict]:
    "Seconds and memory of each variant, and the error of its gradient in the images."
    res = {k: dict(seconds=[], peak_mb=[]) for k in steps}
    for k, counts in rounds(steps, reps):
        net, f = steps[k]
        s, mb, (_, grad) = measured(partial(f, net, images, real))
        res[k]['image_error'] = ((grad - ref_grad).norm()/ref_grad.norm()).item()
        if counts:
            res[k]['seconds'].append(round(s, 3))
            res[k]['peak_mb'].append(round(mb, 1))
    return res


def gradient_error(name: str, net, real, ref, batch: int) -> float:
    "The largest relative error of any layer's real gradient, first and last class."
    n = batch if name in ('plain loop', f'ours, slices of {batch}') else 32
    params, worst = matched_params(getattr(net, '_orig_mod', net)), 0.
    for c in (0, len(real) - 1):
        y = torch.full((len(real[c]),), c, device=real[c].device)
        g = mean_gradient(net, real[c], y, params, n, 'bfloat16' if 'bfloat16' in name else None)
        want = [q for q in ref[c] if q.ndim > 1]
        worst = max([worst, *(((p - q).norm()/q.norm()).item() for p, q in zip(g, want, strict=True))])
    return worst


def compared(steps: dict, images, real, a: argparse.Namespace, ipc: int) -> dict[str, dict]:
    "Time, memory and errors of all variants against the plain loop."
    _, ref_grad, ref = plain_step(steps['plain loop'][0], images, real)
    res = timed(steps, images, real, ref_grad, a.reps)
    base = statistics.median(res['plain loop']['seconds'])
    for k, v in res.items():
        seconds, mb = statistics.median(v['seconds']), statistics.median(v['peak_mb'])
        v |= dict(error=gradient_error(k, steps[k][0], real, ref, a.batch), median_s=seconds, median_peak_mb=mb,
                  speedup=round(base/seconds, 2))
        print(f"ipc {ipc:2}  {k:28} {seconds:7.3f} s  {v['speedup']:5.2f}x  {mb:8.1f} MB  error {v['error']:.1e}  "
              f"in images {v['image_error']:.1e}", flush=True)
    return res


def arguments() -> argparse.Namespace:
    ap = argparse.ArgumentParser()
    ap.add_argument('--data', default='mnist')
    ap.add_argument('--batch', type=int, default=256)
    ap.add_argument('--reps', type=int, default=3)
    ap.add_argument('--width', type=int, default=128)
    ap.add_argument('--ipc', type=int, nargs='+', default=[1, 10])
    ap.add_argument('--seed', type=int, default=0)
    ap.add_argument('--compile', action='store_true', help='also torch.compile (needs a C++ compiler, takes a minute)')
    ap.add_argument('--out', default=str(RESULTS/'dc_step.json'))
    return ap.parse_args()


def main():
    a = arguments()
    data, device = load_data(a.data), 'cuda' if torch.cuda.is_available() else 'cpu'
    real = real_images(data, a.batch, a.seed, device)
    def make():
        net = create_model('convnet3', data.num_classes, data.in_chans, data.size, seed=a.seed, width=a.width)
        return net.to(device)
    about = {k: getattr(a, k) for k in ('data', 'batch', 'width', 'reps', 'seed')}
    out = dict(what='seconds and peak memory of one matching step', **about, made_with=made_with(), ipc={})
    for ipc in a.ipc:
        chosen = random_select(data.train_y, ipc, rng(a.seed, 'S'))
        images = data.normalize(data.train_x[chosen]).to(device).requires_grad_()
        # what else was tried, at the first size only
        steps = variants(make, a.batch, more=ipc == a.ipc[0], compiled=a.compile)
        out['ipc'][str(ipc)] = compared(steps, images, real, a, ipc)
    atomic_write(a.out, json.dumps(out, indent=1))


if __name__ == '__main__':
    sys.exit(main())
