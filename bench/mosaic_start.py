"""Why do mosaics teach MNIST's hard labels badly, and why do their scores differ so much from seed to seed?

    python bench/mosaic_start.py            # runs are kept under runs/mosaic_start
    python bench/mosaic_start.py --merge    # -> bench/results/mosaic_start.json

RDED's mosaics, and OGM's, which begin as such: cut from at least half of an image's area or from at least 8 % of it
(the release), with and without averaging where a crop shrinks to a quarter of the image. Each seed trains a teacher of
its own, which chooses the crops. Hard labels, four networks on each set.
"""
import sys

import torch.nn.functional as F

from budgets import BUDGET, OGM, TRAIN
from dd_lit.augment import patch_augment
from dd_lit.coreset import rded
from dd_lit.distill import distill
from dd_lit.evaluate import evaluate
from harness import run_table
from prepared import data_of, settings_for

REPEATS, EPOCHS = 4, 50
RDED = dict(iters=1, pool=100)
TRAINING = dict(opt='adamw', lr=.003, epochs=EPOCHS, batch_size=50, schedule='cosine', weight_decay=.01)
averaged = rded.crop_resize


def aliased(x, boxes, size=None):
    "`crop_resize` without averaging: each pixel from its four neighbours, however far a box shrinks."
    hw = (size, size) if isinstance(size, int) else size or x.shape[-2:]
    t, l, h, w = boxes.to(x).expand(len(x), 4).unbind(1)
    zero = 0*t
    theta = (w, zero, 2*l + w - 1, zero, h, 2*t + h - 1)
    grid = F.affine_grid(_rows(theta), [len(x), x.shape[1], *hw], align_corners=False)
    return F.grid_sample(x, grid, padding_mode='border', align_corners=False)


def _rows(theta):
    "Six columns [n] as n matrices of two rows."
    return theta[0].new_tensor(list(zip(*[v.tolist() for v in theta], strict=True))).view(-1, 2, 3)


def run(data: str, method: str, crop: float, averaging: bool, seed: int) -> dict:
    d, b = data_of(data), BUDGET[data]
    own = RDED | dict(crop=crop) if method == 'rded' else OGM | dict(start_crop=crop)
    rded.crop_resize = averaged if averaging else aliased
    try:
        ds = distill(method, d, 10, seed=seed, **settings_for(method, b['distill'] | own))
    finally:
        rded.crop_resize = averaged
    view = patch_augment(2, (b['label']['crop'], 1.))
    s = evaluate(ds, d, augment=view, repeats=REPEATS, seed=seed, model_kw=dict(width=b['width']), **TRAINING)
    return dict(hard=s.mean, top1=s.top1)


def tasks(data, seeds) -> list[dict]:
    return [dict(data=d, method=m, crop=c, averaging=a, seed=s) for m in ('rded', 'ogm') for s in seeds for d in data
            for c in (.5, .08) for a in (True, False)]


if __name__ == '__main__':
    sys.exit(run_table('mosaic_start', 'Mosaics on MNIST with hard labels: share of an image in a crop, averaging',
                       tasks, run, data=('mnist',), rows='method', repeats=REPEATS, training=TRAINING,
                       budget=dict(mnist=BUDGET['mnist']), rded=RDED, ogm=OGM, train_images=TRAIN))
