"""Why 34.7 and not 31.6? Herding's row of CIFAR-10 at ten images per class, by the features of other networks.

    DD_LIT_DATA=... python bench/herding_level.py            # runs are kept under runs/herding_level
    DD_LIT_DATA=... python bench/herding_level.py --merge    # -> bench/results/herding_level.json

Neither the paper nor the one that it takes the row from says which network looks at the images, and for how long it was
trained. So the choice is made once more with others, all else alike: DC's protocol, three networks each. The row itself
(a ConvNet-3 of ten epochs, twenty networks) stands in reproduced.json.
"""
import sys

from dd_lit.distill import distill
from dd_lit.evaluate import evaluate
from dd_lit.models import create_model
from harness import run_table
from photographs import FAST, TEACHER, expanded
from prepared import whole_data

IPC, NETWORKS = 10, 3
ROWS = {     # name -> settings of `herding`
    'a ConvNet-3 of one epoch': dict(epochs=1, **FAST),
    'a ConvNet-3 that is not trained': dict(epochs=0),
    'a ResNet-20 that others trained': dict(epochs=0, model=TEACHER),
}


def run(data: str, row: str, seed: int) -> dict:
    d, own = whole_data(data), expanded(ROWS[row])
    if row.endswith('not trained'):
        own |= dict(model=create_model('convnet3', d.num_classes, d.in_chans, d.size, seed=seed, data_norm=d.norm))
    ds = distill('herding', d, IPC, seed=seed, **own)
    s = evaluate(ds, d, protocol='dc', repeats=NETWORKS, seed=seed, **FAST)
    return dict(top1=[round(v, 2) for v in s.top1], mean=round(s.mean, 2))


def tasks(data, seeds) -> list[dict]:
    return [dict(data='cifar10', row=r, seed=0) for r in ROWS]


if __name__ == '__main__':
    sys.exit(run_table('herding_level', 'herding on CIFAR-10, ten images per class, by the features of other networks',
                       tasks, run, data=('cifar10',), ipc=IPC, networks=NETWORKS, settings=ROWS))
