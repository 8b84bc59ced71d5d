"""Seconds of the steps that recipes are made of: dd_lit reproduce works out its hours from them.

On made-up images, so that no dataset is needed. What a machine has measured replaces what the table had of it."""
import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F

from dd_lit.core import atomic_write, default_device, provenance, rng
from dd_lit.data import ImageData
from dd_lit.method import get_method
from dd_lit.models import create_model
from dd_lit.settings import read_choice
from dd_lit.teachers import FIVE, Backbones

TABLE = Path(__file__).resolve().parents[1]/'dd_lit'/'recipes.json'
# networks and the sides of the images that they are met with
NETS = {('convnet3', 28): 1, ('mlp', 28): 1, ('lenet', 28): 1, ('alexnet', 28): 1, ('vgg11', 28): 1,
        ('resnet18', 28): 1,
        ('convnet4', 64): 3, ('resnet101', 64): 3, ('resnet50', 64): 3, ('efficientnet_b0', 64): 3,
        ('mobilenet_v2', 64): 3, ('swin_v2_t', 64): 3, ('resnet18', 224): 3, ('swin_t', 224): 3,
        ('shufflenet_v2_x0_5', 224): 3, ('convnet3:norm=batch', 32): 3, ('convnet4:norm=batch', 64): 3,
        ('timm:deit_tiny_patch16_224', 224): 3, ('convnet5', 128): 3}
NETS |= {(n, 32): 3 for n in FIVE}
METHODS = [('dc', 28, 1, {}), ('dc', 32, 1, {}), ('dc', 32, 10, {}), ('dc_mda', 32, 10, {}),
           ('dm', 32, 1, {}), ('dm', 32, 10, {}), ('dm', 32, 50, {}),
           ('gvbsm', 32, 10, dict(backbones=FIVE)), ('sre2l', 32, 10, dict(backbones=('resnet18',))),
           ('ogm', 32, 10, dict(backbones=('resnet18',), factor=1)),
           ('mtt', 32, 1, dict(steps=10, experts=1, expert_epochs=1, starts=1, span=1, cache='/tmp/recipe_cost'))]


def images(side: int, channels: int, classes: int, each: int) -> ImageData:
    "Noise, as many images of every class."
    n = classes*each
    x = torch.randint(0, 256, (n, channels, side, side), generator=rng(0, 'images')).byte()
    y = torch.arange(n) % classes
    return ImageData(x, y, x[:classes], y[:classes], name='noise')


def timed(f: Callable, clock: Callable, device: torch.device) -> float:
    "Seconds of one call, after one that warms up."
    def done():
        if device.type == 'cuda':
            torch.cuda.synchronize()
    f()
    done()
    t = clock()
    f()
    done()
    return clock() - t


def networks(clock, device, batch: int) -> Iterator[dict]:
    "An image in a step of training, and an image that a teacher is asked about."
    for (name, side), channels in NETS.items():
        plain, own = read_choice(name, 'networks')
        net = create_model(plain, 10, channels, side, seed=0, **own).to(device)
        x, y = torch.randn(batch, channels, side, side, device=device), torch.arange(batch, device=device) % 10
        def train(net=net, x=x, y=y):
            F.cross_entropy(net.train()(x), y).backward()
        @torch.no_grad()
        def ask(net=net, x=x):
            net.eval()(x)
        for stage, f in (('train', train), ('ask', ask)):
            yield dict(stage=stage, what=name, size=side, seconds=timed(f, clock, device)/batch)


def methods(clock, device) -> Iterator[dict]:
    "A step of a method: for each class, if it matches classes; for each image that a student sees; for each image."
    for name, side, ipc, own in METHODS:
        by_class = name.startswith(('dc', 'dm'))
        classes, channels = (2 if by_class else 10), (1 if side == 28 else 3)
        data = images(side, channels, classes, 256 if by_class else 20)
        if 'backbones' in own:
            nets = {n: create_model(n, classes, channels, side, seed=0) for n in own['backbones']}
            own = own | dict(teachers=Backbones(nets).models, cache='/tmp/recipe_cost')
        if name == 'ogm':
            own = own | dict(init='real')
        made = get_method(name)(data, ipc, device=device, **own)
        made.setup()
        def step(made=made):
            made.step()
            made.k += 1
        units = (classes if by_class else classes*ipc)*own.get('steps', 1)
        turns = len(own.get('backbones', ())) or 1                      # every network has its turn
        seconds = sum(timed(step, clock, device) for _ in range(turns))/turns
        yield dict(stage='match', what=name, size=side, ipc=ipc, seconds=seconds/units)


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument('--device', default=None)
    ap.add_argument('--batch', type=int, default=16)
    ap.add_argument('--skip', nargs='*', default=[], help='methods not to measure: dc:10 is DC at IPC 10')
    ap.add_argument('--only', nargs='*', default=[], help='networks and methods to measure, if not all')
    a = ap.parse_args()
    device, p = default_device(a.device), provenance()
    gpu = device.type == 'cuda'
    clock = time.perf_counter if gpu else time.process_time              # of this process: others do not count
    if not gpu:
        torch.set_num_threads(1)
    machine = p['gpu'] if gpu else f"one core of {p['cpu']}"
    METHODS[:] = [m for m in METHODS if f'{m[0]}:{m[2]}' not in a.skip and m[0] in (a.only or [m[0]])]
    for net in [n for n in NETS if a.only and n[0] not in a.only]:
        del NETS[net]
    for found in (networks(clock, device, a.batch), methods(clock, device)):
        for o in found:
            o = o | dict(seconds=float(f"{o['seconds']:.3g}"), machine=machine, measured=p['time'][:10])
            print(o, flush=True)
            keep(o)


def keep(new: dict) -> None:
    "Put a measurement into the table of recipes, in the place of this machine's last one."
    table = json.loads(TABLE.read_text(encoding='utf-8'))
    key = lambda o: [o.get(k) for k in ('stage', 'what', 'size', 'ipc', 'machine')]
    steps = [o for o in table['steps'] if key(o) != key(new)] + [new]
    order = sorted(steps, key=lambda o: (o['machine'], o['stage'], o['what'], o['size'], o.get('ipc', 0)))
    atomic_write(TABLE, written(table | dict(steps=order)))


def written(table: dict) -> str:
    "The table as text, a line for each row."
    parts = []
    for k, v in table.items():
        rows = [json.dumps(o, ensure_ascii=False) for o in v] if isinstance(v, list) else None
        if isinstance(v, dict):
            rows = [f'{json.dumps(n)}: {json.dumps(o, ensure_ascii=False)}' for n, o in v.items()]
        left, right = '[]' if isinstance(v, list) else '{}'
        body = json.dumps(v, ensure_ascii=False)
        if rows:
            body = f'{left}\n  ' + ',\n  '.join(rows) + f'\n {right}'
        parts.append(f' {json.dumps(k)}: {body}')
    return '{\n' + ',\n'.join(parts) + '\n}\n'


if __name__ == '__main__':
    main()
