"""What a step of each method costs at ImageNet's size: operations counted, seconds of one core measured.

    python bench/imagenet_cost.py        # writes bench/results/imagenet_cost.json; ten minutes of one core

A few classes of noise stand for the data: the cost of a step depends on the number of images and their size, not on
what they show. Steps are taken with two numbers of images, so that what a batch costs by itself can be told from what
an image costs. nbs/study/imagenet_cost.ipynb computes a whole run from these rows.
"""
import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from dd_lit.core import atomic_write, rng
from dd_lit.data import ImageData, load_data
from dd_lit.flow.features import FeatureNet
from dd_lit.flow.sfm import real_centers
from dd_lit.method import get_method
from dd_lit.orthogonal.pseudo_gradient import real_directions
from dd_lit.statistics.conv_stats import conv_statistics
from dd_lit.statistics.gvbsm import preset
from dd_lit.teachers import FOUR, IMAGENET_NORM
from harness import RESULTS, made_with, state_of_code
from timing import step

SIDE, CLASSES, TEACHER = 224, 4, 'resnet18'
ONE_BATCH = dict(loop='reorder', batch_size=1000)
PHOTO = (500, 375)        # pixels of a usual photograph of ImageNet


def network(name: str) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torchvision.models.get_model(name, weights=None, num_classes=CLASSES)
    return net.eval().requires_grad_(False)


def noise(each: int) -> ImageData:
    "So many images of each class."
    x = torch.randint(0, 256, (CLASSES*each, 3, SIDE, SIDE), generator=rng(0, 'noise'), dtype=torch.uint8)
    y = torch.arange(CLASSES).repeat(each)
    return ImageData(x, y, x[:CLASSES], y[:CLASSES], norm=IMAGENET_NORM, name='noise')


def cost(f: Callable, times: int = 1) -> dict:
    "Operations (two for a multiplication and an addition) and seconds of a core, of one call among several."
    t = time.process_time()
    with FlopCounterMode(display=False) as counter:
        for _ in range(times):
            f()
    return dict(flops=counter.get_total_flops()/times, core_s=(time.process_time() - t)/times)


def teachers(method: str) -> dict:
    "Settings of a method: its networks, all images in one batch."
    if method == 'gvbsm':
        own = {k: v for k, v in preset('imagenet-1k', 'distill').items() if k not in ('backbones', 'iters')}
        return own | ONE_BATCH | dict(teachers={n: network(n) for n in FOUR}, pick='round_robin', iters=1000)
    if method == 'sfm':
        net = network(TEACHER)
        net.fc = torch.nn.Identity()
        return dict(backbone=FeatureNet(net, IMAGENET_NORM, name=TEACHER), iters=1000, grow_every=1)
    return ONE_BATCH | dict(teachers={TEACHER: network(TEACHER)}, iters=1000, soft_labels=False)


def steps(method: str) -> list[dict]:
    "A step with 4 and with 8 images, the pyramid of SFM at its full height."
    rows = []
    for ipc in (1, 2):
        own = teachers(method) | (dict(init='noise') if method == 'ogm' else {})
        m = get_method(method)(noise(2), ipc, 0, 'cpu', **own)
        m.setup()
        for _ in range(10 if method == 'sfm' else 0):
            step(m)
        rows.append(dict(part='step', images=ipc*CLASSES) | cost(lambda m=m: step(m), 4 if method == 'gvbsm' else 1))
    return rows


def real(method: str) -> dict:
    "What is asked of the real images once, per image."
    d, net = noise(2), network(TEACHER)
    if method == 'rded':
        m = get_method('rded')(d, 1, 0, 'cpu', backbone=net, pool=4, factor=1, soft_labels=False)
        m.setup()
        tries, call = m.cfg.tries, m.step
    elif method == 'gvbsm':
        nets, tries = [network(n) for n in FOUR], 1
        call = lambda: [conv_statistics(n, d, patch=16) for n in nets]
    else:
        tries, call = 1, lambda: (real_directions if method == 'ogm' else real_centers)(net, d)
    found = cost(call)
    return dict(part='real', images=len(d.train_x), tries=tries) | found


def forward(*names: str) -> dict:
    "Asking the networks for labels, and training a student: one image forward through each."
    d, nets = noise(2), [network(n) for n in names]
    x = d.normalize(d.train_x)
    def ask():
        with torch.no_grad():
            for net in nets:
                net(x)
    return dict(part='forward', images=len(x)) | cost(ask)


def decoding(n: int = 64) -> dict:
    "Reading a photograph from a file and scaling it: seconds of a core, bytes of the file."
    with tempfile.TemporaryDirectory() as d:
        for i in range(n):
            (Path(d)/'ab'[i % 2]).mkdir(exist_ok=True)
            coarse = np.random.default_rng(i).integers(0, 256, (24, 32, 3), np.uint8)
            photo = Image.fromarray(coarse).resize(PHOTO, Image.Resampling.BICUBIC)
            photo.save(Path(d)/'ab'[i % 2]/f'{i}.jpg', quality=95)
        size = sum(f.stat().st_size for f in Path(d).rglob('*.jpg'))
        x = load_data(d, size=SIDE, keep='disk').train_x
        t = time.process_time()
        _ = x[:]
        seconds = time.process_time() - t
    return dict(method='decoding', part='read', images=len(x), core_s=seconds, file_bytes=size/n)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--out', default=str(RESULTS/'imagenet_cost.json'))
    a = ap.parse_args()
    torch.set_num_threads(1)
    commit, rows = state_of_code(), [decoding(), dict(method='labels') | forward(TEACHER)]
    rows.append(dict(method='gvbsm') | forward(*FOUR))
    for m in ('rded', 'gvbsm', 'ogm', 'sfm'):
        rows.append(dict(method=m) | real(m))
        print(rows[-1], flush=True)
    for m in ('sre2l', 'gvbsm', 'ogm', 'sfm'):
        rows += [dict(method=m) | r for r in steps(m)]
        print(*rows[-2:], sep='\n', flush=True)
    out = dict(what="cost of the methods' parts at ImageNet's size", side=SIDE, teacher=TEACHER, committee=FOUR,
               rows=rows, made_with=made_with(commit=commit))
    atomic_write(a.out, json.dumps(out, indent=1))


if __name__ == '__main__':
    sys.exit(main())
