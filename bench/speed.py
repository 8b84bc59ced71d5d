"""Speed on one core: the release's loops against ours in float32 and in bfloat16, side by side, at the papers' sizes.

    DD_LIT_DATA=... OMP_NUM_THREADS=1 python bench/speed.py     # writes bench/results/speed.json
    ... python bench/speed.py --jobs 'a student' squeezing      # these again; the file's other jobs stay
    python bench/speed.py --data digits --small --reps 1 --out /tmp/x.json

Ours runs in one process, the reference in another, ours without `kept_memory` in a third, each with one thread (where
large tensors happen to lie differs from process to process, and so does what kept memory gains); in every round all
are asked in turn, so that a drift of the machine hits all alike. Ratios are of processor time (`time.process_time`,
what the system does for the process included), since other work may share the core; wall time is stored beside it. A
ratio is that of one round; its median and its extremes are stored, and every single time. `result` shows that the
same is computed: the loss or accuracy at the end (of DC's step the relative error of the gradient in the images is
stored, too). Of DC's step one class of ten is measured: a step takes its classes one after another, each with as many
images. It keeps no memory; ours in float32 and in bfloat16 are measured as if it did, which shows what that would
give. `gflop` is what a job computes; beside the time that a product of matrices takes for as much it says how far from
the processor's limit we are. Squeezing is compared with the field's usual loop; relabelling has no loop to be compared
with.
"""
import argparse
import inspect
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

import reference
from dd_lit.augment import DSA
from dd_lit.core import atomic_write, has_bfloat16, kept_memory, rng
from dd_lit.coreset.select import random_select
from dd_lit.data import load_data
from dd_lit.evaluate import protocol_settings
from dd_lit.gradient.dc import match_step
from dd_lit.labels.soft import relabel
from dd_lit.models import create_model, predict
from dd_lit.train import fit
from harness import RESULTS, made_with, state_of_code
from prepared import real_images
from timing import rounds

PLAIN = 'float32, nothing kept'        # our loop without `kept_memory`
SIDES = ('reference', PLAIN, 'float32', 'bfloat16')
ALONE = ('reference', PLAIN)           # in processes of their own, where nobody else has used memory


@dataclass(frozen=True)
class Size:
    "How large everything is."
    data: str = 'cifar10'
    width: int = 128        # of the ConvNet
    batch: int = 256        # real images per class
    ipc: int = 10           # of the set that students learn
    classes: int = 1        # of DC's step
    epochs: int = 4         # of students
    labelled: int = 3       # passes over the set that a teacher labels
    resnet: int = 64        # width of the ResNet-18
    squeezed: int = 256     # images of one epoch of it, four steps
    tested: int = 256       # images
    matrix: int = 2048      # its rows and columns
    seed: int = 0


SMALL = dict(width=16, batch=32, ipc=2, labelled=1, resnet=8, squeezed=16, tested=64, classes=2, matrix=64)

# --- what both sides start from ---

data_of = lru_cache(load_data)


def network(s: Size, name: str = 'convnet3', **how):
    d = data_of(s.data)
    return create_model(name, d.num_classes, d.in_chans, d.size, seed=s.seed, **how)


@lru_cache
def chosen_set(s: Size, ipc: int) -> tuple:
    "Random images in model space, class by class, and their labels."
    d = data_of(s.data)
    i = random_select(d.train_y, ipc, rng(s.seed, 'S'))
    return d.normalize(d.train_x[i]), d.train_y[i]


@lru_cache
def matching(s: Size, side: str) -> tuple:
    "Network and real images of a matching step."
    net = network(s, width=s.width)
    net = reference.as_released(net) if side == 'reference' else net
    return net, real_images(data_of(s.data), s.batch, s.seed, 'cpu')[:s.classes]


def precision(side: str) -> str:
    return side.partition(',')[0]


def ours(f: Callable, side: str) -> Callable:
    "A loop of ours, or what it is without the memory that is kept."
    return inspect.unwrap(f) if side == PLAIN else f


# --- the jobs: functions of (side, size), and `few` for a short first run; they return what shows that it is right ---

def dc(side: str, s: Size, few: bool, ipc: int):
    "A matching step of some classes; the gradient in the images."
    net, real = matching(s, side)
    real = [x[:8] for x in real] if few else real
    images = chosen_set(s, ipc)[0][:ipc*len(real)].clone().requires_grad_()
    if side == 'reference':
        return reference.dc_step(net, images, real)[1]
    dtype = 'bfloat16' if side == 'bfloat16' else None
    return ours(kept_memory()(match_step), side)(net, images, real, real_dtype=dtype)[1]


def student(side: str, s: Size, few: bool, protocol: str) -> float:
    "A fresh network trained on the set; the loss of the last epoch."
    net, (x, y), epochs = network(s, width=s.width), chosen_set(s, s.ipc), 1 if few else s.epochs
    how = protocol_settings(protocol, len(x), s.data, epochs=epochs)
    if side == 'reference':
        with torch.random.fork_rng():
            torch.manual_seed(s.seed)
            return reference.trained(reference.as_released(net), x, y, epochs, how['augment'] or '')
    return ours(fit, side)(net, x, y, seed=s.seed, precision=precision(side), **how)[-1]


def augmenting(side: str, s: Size, few: bool) -> float:
    "Each of DSA's operations on the set, ten times; the brightness of what comes out."
    x, gen, total = chosen_set(s, s.ipc)[0], rng(s.seed, 'augmenting'), 0.
    own = {o: DSA(o) for o in reference.OPERATIONS}
    with torch.random.fork_rng():
        torch.manual_seed(s.seed)
        for o, f in list(reference.OPERATIONS.items())*(1 if few else 10):
            total += (f(x) if side == 'reference' else own[o](x, gen)).mean().item()
    return total


def tested(side: str, s: Size, few: bool) -> float:
    "Percent right of test images, of a fresh network."
    d, net = data_of(s.data), network(s, width=s.width)
    n = 64 if few else s.tested
    x, y = d.normalize(d.test_x[:n]), d.test_y[:n]
    if side == 'reference':
        return reference.tested(reference.as_released(net), x, y)
    with torch.no_grad():
        logits = ours(predict, side)(net, x, precision=precision(side))
    return 100*(logits.argmax(1) == y).double().mean().item()


def squeezed(side: str, s: Size, few: bool) -> float:
    "An epoch of a ResNet-18; its loss."
    d, net, n = data_of(s.data), network(s, 'resnet18', width=s.resnet), 16 if few else s.squeezed
    x, y = d.train_x[:n], d.train_y[:n]
    if side == 'reference':
        with torch.random.fork_rng():
            torch.manual_seed(s.seed)
            return reference.teacher_epoch(net, x, y, d.norm)
    how = dict(opt='sgd', lr=.05, batch_size=64, epochs=1, augment=DSA('crop_flip', mode='all'))
    return ours(fit, side)(net, x, y, normalize=d.normalize, seed=s.seed, precision=precision(side), **how)[-1]


def labelled(side: str, s: Size, few: bool) -> float:
    "A ResNet-20 asked about views of the set (how long that takes does not depend on its weights)."
    net = network(s, 'resnet20').eval()
    made = relabel(chosen_set(s, s.ipc)[0], net, epochs=1 if few else s.labelled, batch_size=50, precision=side)
    return next(iter(made.batches(0)))['logits'].float().mean().item()


@lru_cache
def matrices(s: Size, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(2, s.matrix, s.matrix, generator=rng(s.seed, 'matrices')).to(dtype)


def product(side: str, s: Size, few: bool) -> float:
    "Two large matrices, times each other, as fast as this processor gets; one number of the result."
    a, b = matrices(s, torch.bfloat16 if side == 'bfloat16' else torch.float32)
    return (a @ b)[0, :100].float().norm().item()


JOBS = {'DC, a step at IPC 1': partial(dc, ipc=1), 'DC, a step at IPC 10': partial(dc, ipc=10),
        'a student': partial(student, protocol='dc'), 'a student, DSA': partial(student, protocol='dsa'),
        "DSA's operations": augmenting, 'testing': tested, 'squeezing': squeezed, 'relabelling': labelled,
        'a product of matrices': product}
ONLY = {"DSA's operations": ('reference', 'float32'),   # the sides that there are
        'relabelling': SIDES[2:], 'a product of matrices': SIDES[2:]}


# --- the measurement ---

def timed(job: str, side: str, s: Size, few: bool = False) -> tuple:
    "Processor and wall seconds of a job in this process, and its result."
    torch.set_num_threads(1)
    wall, own = time.perf_counter(), time.process_time()
    result = JOBS[job](side, s, few)
    return time.process_time() - own, time.perf_counter() - wall, result


def measured(job: str, elsewhere: dict, s: Size, reps: int) -> dict[str, dict]:
    "All sides of a job in turn, some of them in processes of their own; the first, short round is not counted."
    sides = ONLY.get(job, SIDES)
    out = {side: dict(cpu=[], wall=[], result=None) for side in sides}
    for side, counts in rounds(sides, reps):
        what = job, side, s, not counts
        cpu, wall, result = elsewhere[side].submit(timed, *what).result() if side in elsewhere else timed(*what)
        if counts:
            out[side]['cpu'].append(round(cpu, 4))
            out[side]['wall'].append(round(wall, 4))
            out[side]['result'] = result
    return out


class Operations(TorchDispatchMode):
    "Counts the floating-point operations of convolutions and products (torch's own counter fails in `autograd.grad`)."
    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func._overloadpacket):
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


def gflop(job: str, s: Size) -> float:
    "What a job computes, in thousands of millions of operations."
    with Operations() as seen:
        JOBS[job]('float32', s, False)
    return round(seen.total/1e9, 3)


def compared(out: dict[str, dict]) -> dict[str, dict]:
    "With medians, the ratio of each round to the first side and to float32, and errors of gradients."
    first = next(iter(out))
    want = out[first]['result']
    for v in out.values():
        v['median_cpu_s'], v['median_wall_s'] = (statistics.median(v[k]) for k in ('cpu', 'wall'))
        for other in dict.fromkeys((first, 'float32')):
            each = [a/b for a, b in zip(out[other]['cpu'], v['cpu'], strict=True)]
            v[f'over {other}'] = dict(median=round(statistics.median(each), 2), low=round(min(each), 2),
                                      high=round(max(each), 2))
        if isinstance(want, torch.Tensor):
            v['error'] = ((v['result'] - want).norm()/want.norm()).item()
    for v in out.values():
        if isinstance(want, torch.Tensor):
            v['result'] = v['result'].norm().item()
    return out


def told(job: str, out: dict[str, dict]) -> None:
    "A line for each side."
    for side, v in out.items():
        r = next(v[k] for k in v if k.startswith('over'))
        print(f"{job:20} {side:21} {v['median_cpu_s']:7.3f} s  {r['median']:5.2f}x ({r['low']:.2f} to {r['high']:.2f})"
              f"  {v['result']:.4g}", flush=True)


def kept(file: Path, about: dict, again: list[str]) -> dict[str, dict]:
    "The jobs of the file that are not measured again. ValueError if they were of another size."
    if not file.exists() or set(again) == set(JOBS):
        return {}
    old = json.loads(file.read_text())
    jobs = {k: v for k, v in old.pop('jobs').items() if k not in again}
    if jobs and old != about:
        raise ValueError(f"{file.name}: its jobs were measured as {old}, now it is {about}; measure all of them")
    return jobs


def arguments() -> argparse.Namespace:
    ap = argparse.ArgumentParser()
    ap.add_argument('--data', default='cifar10')
    ap.add_argument('--reps', type=int, default=3)
    ap.add_argument('--small', action='store_true', help='small networks and few images: does it run?')
    ap.add_argument('--jobs', nargs='+', default=list(JOBS), choices=list(JOBS), help='only these')
    ap.add_argument('--out', default=str(RESULTS/'speed.json'))
    return ap.parse_args()


def main():
    a = arguments()
    tiny = SMALL if a.small else {}
    s, about = Size(data=a.data, **tiny), dict(what='processor seconds, one thread; ratios of processor time')
    about |= dict(size=asdict(s), reps=a.reps, bfloat16_units=has_bfloat16('cpu'))
    torch.set_num_threads(1)
    jobs = kept(Path(a.out), about, a.jobs)
    context, commit = multiprocessing.get_context('spawn'), state_of_code()
    elsewhere = {side: ProcessPoolExecutor(1, context) for side in ALONE}
    for job in a.jobs:
        since = time.time()
        sides = compared(measured(job, elsewhere, s, a.reps))
        told(job, sides)
        made = made_with(commit=commit)
        jobs[job] = dict(sides=sides, gflop=gflop(job, s), took_s=round(time.time() - since, 1), made_with=made)
        there = {k: jobs[k] for k in JOBS if k in jobs}
        atomic_write(a.out, json.dumps(about | dict(jobs=there), indent=1))
    for pool in elsewhere.values():
        pool.shutdown()


if __name__ == '__main__':
    sys.exit(main())
