"""One step of distribution matching on CIFAR-10 (ConvNet-3, 256 real images per class): ours against the release's
loop, side by side.

    python bench/dm_step.py                 # writes bench/results/dm_step.json
    python bench/dm_step.py --data digits --reps 1 --batch 32 --out /tmp/x.json

All variants run in one process, interleaved, on the same network, images and transformations. The plain loop is the
release's, restated class by class with torch's own layers: no graph for the real images, parameters without gradients,
one backward pass for all classes. `error` is the relative error of the gradient in the images, the plain loop's
included, against the plain loop in float64: where a flat part of an image puts many units at zero, rounding decides
which of them pass. `peak_mb` is how far the process's resident memory rose during one step.
"""
import argparse
import copy
import json
import statistics
import sys
from functools import partial

import torch

from dd_lit.augment import DSA
from dd_lit.core import atomic_write, rng
from dd_lit.coreset.select import random_select
from dd_lit.data import load_data
from dd_lit.distribution.dm import last_features, mean_step, real_mean
from dd_lit.evaluate import protocol_settings
from dd_lit.models import create_model
from harness import RESULTS, made_with
from prepared import plainify, real_images
from timing import measured, rounds

# --- the variants: functions of (network, images, real images and transformation of each class) -> loss, gradient ---

def plain(net, images, real, drawn, slice_size=None):
    "The release's loop. With `slice_size`, real images so many at a time: what slices alone give."
    loss, ipc = torch.zeros((), device=images.device), len(images)//len(real)
    for c, (x, w) in enumerate(zip(real, drawn, strict=True)):
        x = DSA.apply(x, w)
        target = real_mean(net, x, slice_size) if slice_size else last_features(net, x).detach().mean(0)
        ours = last_features(net, DSA.apply(images[c*ipc:(c + 1)*ipc], w)).mean(0)
        loss = loss + torch.sum((target - ours)**2)
    return loss.detach(), torch.autograd.grad(loss, images)[0]


def ours(net, images, real, drawn, slice_size=None):
    return mean_step(net, images, real.__getitem__, drawn, slice_size=slice_size)


def variants(make, more: bool) -> dict:
    "Name -> (network, function). With `more`, also what else was tried."
    torch_net, net = plainify(make()), make()
    out = {'plain loop': (torch_net, plain), 'slices of 16': (torch_net, partial(plain, slice_size=16)),
           'ours': (net, ours)}
    if more:
        out |= {f'ours, slices of {n}': (net, partial(ours, slice_size=n)) for n in (4, 8, 32, 256)}
    return out


def exact(net, images, real, drawn) -> torch.Tensor:
    "The gradient of the plain loop in float64."
    images = images.detach().double().requires_grad_()
    return plain(copy.deepcopy(net).double(), images, [x.double() for x in real], drawn)[1].float()


def compared(steps: dict, inputs: tuple, reps: int, ipc: int) -> dict[str, dict]:
    "Seconds and memory of all variants, and the error of each."
    want = exact(steps['plain loop'][0], *inputs)
    res = {k: dict(seconds=[], peak_mb=[]) for k in steps}
    for k, counts in rounds(steps, reps):
        net, f = steps[k]
        s, mb, (_, grad) = measured(partial(f, net, *inputs))
        res[k]['error'] = ((grad - want).norm()/want.norm()).item()
        if counts:
            res[k]['seconds'].append(round(s, 3))
            res[k]['peak_mb'].append(round(mb, 1))
    base = statistics.median(res['plain loop']['seconds'])
    for k, v in res.items():
        seconds, mb = statistics.median(v['seconds']), statistics.median(v['peak_mb'])
        v |= dict(median_s=seconds, median_peak_mb=mb, speedup=round(base/seconds, 2))
        print(f"ipc {ipc:2}  {k:22} {seconds:7.3f} s  {v['speedup']:5.2f}x  {mb:8.1f} MB  error {v['error']:.1e}",
              flush=True)
    return res


def arguments() -> argparse.Namespace:
    ap = argparse.ArgumentParser()
    ap.add_argument('--data', default='cifar10')
    ap.add_argument('--batch', type=int, default=256)
    ap.add_argument('--reps', type=int, default=5)
    ap.add_argument('--width', type=int, default=128)
    ap.add_argument('--ipc', type=int, nargs='+', default=[1, 10])
    ap.add_argument('--seed', type=int, default=0)
    ap.add_argument('--out', default=str(RESULTS/'dm_step.json'))
    return ap.parse_args()


def main():
    a = arguments()
    data, device = load_data(a.data), 'cuda' if torch.cuda.is_available() else 'cpu'
    real = real_images(data, a.batch, a.seed, device)
    aug, gen = DSA(protocol_settings('dsa', 1, data)['augment']), rng(a.seed, 'drawn')
    drawn = [aug.draw(1, real[0].shape[-2:], gen) for _ in real]
    def make():
        net = create_model('convnet3', data.num_classes, data.in_chans, data.size, seed=a.seed, width=a.width)
        return net.to(device).requires_grad_(False)
    about = {k: getattr(a, k) for k in ('data', 'batch', 'width', 'reps', 'seed')}
    out = dict(what='seconds and peak memory of one step of distribution matching', **about, made_with=made_with(),
               ipc={})
    for ipc in a.ipc:
        chosen = random_select(data.train_y, ipc, rng(a.seed, 'S'))
        images = data.normalize(data.train_x[chosen]).to(device).requires_grad_()
        # what else was tried, at the first size only
        steps = variants(make, more=ipc == a.ipc[0])
        out['ipc'][str(ipc)] = compared(steps, (images, real, drawn), a.reps, ipc)
    atomic_write(a.out, json.dumps(out, indent=1))


if __name__ == '__main__':
    sys.exit(main())
