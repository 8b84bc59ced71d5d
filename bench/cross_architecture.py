"""Table 4 of "Delving into Effective Gradient Matching" in miniature: six networks as source and target, MNIST, ipc 1.

    python bench/cross_architecture.py   # writes bench/results/cross_architecture.json; keeps finished cells in runs/

ResNet-18 has 64 channels and instance normalisation, as in the paper; the ConvNet that images are made with has 64
channels instead of 128; far fewer iterations, fewer real images per step, and 2000 test images. The image gradient
through VGG-11 and ResNet-18 is up to thousands of times longer than through a ConvNet: with the paper's lr_img of 0.1
the images leave the range of any picture in one step, so these two sources get their own (the page shows the lengths).
"""
import argparse
import json
import sys

from dd_lit.core import atomic_write
from dd_lit.data import ImageData, load_data
from dd_lit.evaluate import named
from dd_lit.study.cross_architecture import SIX, cross_architecture
from harness import RESULTS

SETTINGS = dict(convnet3=dict(width=64), vgg11=dict(lr_img=1e-5), resnet18=dict(lr_img=.01))
KNOWN = {named(o)[0]: o for o in SIX}


def arguments() -> argparse.Namespace:
    ap = argparse.ArgumentParser()
    ap.add_argument('--iters', type=int, default=20)
    ap.add_argument('--batch-real', type=int, default=32)
    ap.add_argument('--repeats', type=int, default=2)
    ap.add_argument('--test', type=int, default=2000)
    ap.add_argument('--seed', type=int, default=0)
    ap.add_argument('--networks', nargs='+', default=list(KNOWN))
    ap.add_argument('--sources', nargs='+', default=None, help='those to distil with, if not all')
    ap.add_argument('--out', default=str(RESULTS/'cross_architecture.json'))
    return ap.parse_args()


def main():
    a = arguments()
    d = load_data('mnist')
    d = ImageData(d.train_x, d.train_y, d.test_x[:a.test], d.test_y[:a.test], d.norm, d.classes, d.name)
    pick = lambda names: [KNOWN.get(n, n) for n in names]
    sources = a.sources or a.networks
    r = cross_architecture(
        d, sources=pick(sources), targets=pick(a.networks), ipc=1, method='dc_md', repeats=a.repeats, seed=a.seed,
        out='runs/cross_architecture', iters=a.iters, batch_real=a.batch_real,
        settings={k: v for k, v in SETTINGS.items() if k in sources}, evaluate_kw=dict(epochs=150))
    budget = vars(a) | dict(settings=SETTINGS)
    atomic_write(a.out, json.dumps(r | dict(budget=budget, what='Table 4 of dc.txt in miniature'), indent=1))
    for s, m in zip(r['sources'], r['mean'], strict=True):
        print(f'{s:24}', *('diverged' if v is None else f'{v:5.1f}' for v in m))


if __name__ == '__main__':
    sys.exit(main())
