"""A dataset larger than memory, distilled: 40,000 JPEGs of 224 pixels by four methods, and what each takes in memory.

    python bench/size.py                      # writes bench/results/size.json; half an hour of two cores
    python bench/size.py --images 2000        # fewer

The pictures are made here (coloured clouds, a shape that says the class), into a folder under /tmp. A small teacher is
trained on 1,000 of them, once. Every run is a process of its own, whose resident memory is read all the time (a run
resets the system's own mark of the peak, for what it writes down itself).
At the end, the same runs with as few pictures as fit both ways, in memory and decoded on access: are the sets equal?
"""
import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image, ImageDraw

from dd_lit.core import atomic_write, progress
from dd_lit.data import ImageData, load_data
from dd_lit.distill import distill
from dd_lit.models import create_model, last_linear
from dd_lit.ondisk import OnDisk, free_memory
from dd_lit.train import accuracy, fit
from harness import RESULTS, made_with, state_of_code

SIDE, CLASSES, TEST = 224, 10, 1000
NETWORK, TAUGHT, EPOCHS = dict(name='convnet5', width=8, norm='batch'), 1000, 3
RUNS = dict(random={}, rded=dict(pool=50), sre2l=dict(iters=5, soft_labels=False), sfm=dict(iters=5, grow_every=1))


def picture(seed: int, c: int, side: int) -> Image.Image:
    "A coloured cloud with a polygon in it: its corners and its hue say the class, roughly."
    g = np.random.default_rng(seed)
    im = Image.fromarray(g.integers(0, 256, (6, 6, 3), np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    r = g.integers(side//6, side//3)
    at = (*g.integers(r, side - r, 2).tolist(), int(r))
    hue = 36*c + int(g.integers(-12, 13))
    ImageDraw.Draw(im).regular_polygon(at, c + 3, rotation=int(g.integers(360)), fill=f'hsl({hue % 360}, 90%, 50%)')
    return im


def write(folder: Path, n: int, first: int, c: int) -> None:
    "The pictures of one class, those that are there already excepted."
    own = folder/f'{c}'
    own.mkdir(parents=True, exist_ok=True)
    for i in range(n//CLASSES):
        f = own/f'{i}.jpg'
        if not f.exists():
            picture(first + i*CLASSES + c, c, SIDE).save(f, quality=75)


def pictures(folder: Path, n: int) -> Path:
    "A folder with `n` training pictures and TEST to test on."
    for part, count, first in (('train', n, 0), ('test', TEST, 10**9)):
        with ProcessPoolExecutor(2) as ex:
            list(ex.map(partial(write, folder/part, count, first), range(CLASSES)))
    return folder


def teach(folder: Path, file: Path) -> dict:
    "A small network, trained on a sample and kept in `file`; what it knows, kept beside it."
    about = file.with_suffix('.json')
    if about.exists():
        return json.loads(about.read_text())
    data, t = load_data(folder), time.perf_counter()
    few = ImageData(*data.sample(min(TAUGHT, len(data.train_x))), data.test_x, data.test_y, data.norm, data.classes)
    net = create_model(num_classes=CLASSES, in_chans=3, size=SIDE, seed=0, **NETWORK)
    fit(net, few.train_x, few.train_y, normalize=data.normalize, epochs=EPOCHS, batch_size=32, lr=.02,
        schedule='cosine')
    safetensors.torch.save_file(net.state_dict(), file)
    top1, _ = accuracy(net, data.test_x, data.test_y, normalize=data.normalize)
    found = dict(network=NETWORK, images=TAUGHT, epochs=EPOCHS, accuracy=top1, seconds=time.perf_counter() - t)
    atomic_write(about, json.dumps(found))
    return found


def taught(file: Path) -> torch.nn.Module:
    net = create_model(num_classes=CLASSES, in_chans=3, size=SIDE, **NETWORK)
    net.load_state_dict(safetensors.torch.load_file(file))
    return net.eval().requires_grad_(False)


def settings(method: str, file: Path) -> dict:
    "With the teacher, where there is one: its features for the flow, its answers for the others."
    net = taught(file) if method != 'random' else None
    if method == 'sfm':
        head = last_linear(net)
        name = next(n for n, m in net.named_modules() if m is head)
        parent, _, leaf = name.rpartition('.')
        setattr(net.get_submodule(parent), leaf, torch.nn.Identity())
    own = dict(random={}, rded=dict(backbone=net), sre2l=dict(teachers={'convnet5': net}), sfm=dict(backbone=net))
    return RUNS[method] | own[method]


def peak(process: subprocess.Popen) -> float: # GB
    "The most that a process has resident until it ends; its mark of the peak may be reset on the way."
    most = 0
    while process.poll() is None:
        try:
            rows = Path(f'/proc/{process.pid}/status').read_text().splitlines()
            most = max([most, *(int(r.split()[1]) for r in rows if r.startswith('VmHWM'))])
        except OSError:                        # it has ended
            pass
        time.sleep(.02)
    return most*1024/1e9


def one(method: str, folder: Path, file: Path, keep: str) -> dict:
    "One distillation, in a process that does nothing else."
    t = time.perf_counter()
    data = load_data(folder, keep=keep)
    loaded, t = time.perf_counter() - t, time.perf_counter()
    ds = distill(method, data, 1, seed=0, device='cpu', **settings(method, file))
    shape = data.train_x.shape
    sha = hashlib.sha256(ds.images.numpy().tobytes()).hexdigest()[:16]
    return dict(method=method, images=shape[0], decoded_gb=shape.numel()/1e9, on_disk=isinstance(data.train_x, OnDisk),
                load_s=loaded, seconds=time.perf_counter() - t, sha=sha,
                data=ds.meta['data_fingerprint'])


def alone(what: str, folder: Path, file: Path, keep: str = 'auto') -> dict:
    "The same in a process of its own."
    command = [sys.executable, __file__, '--one', what, '--folder', folder, '--teacher', file, '--keep', keep]
    with tempfile.TemporaryFile('w+') as out, tempfile.TemporaryFile('w+') as err:
        process = subprocess.Popen(command, stdout=out, stderr=err)
        high = peak(process)
        out.seek(0), err.seek(0)
        if process.returncode:
            raise RuntimeError(err.read()[-2000:])
        row = json.loads(out.read().splitlines()[-1]) | dict(peak_gb=high)
    print(what, keep, {k: round(v, 2) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
    return row


def measured(a) -> dict:
    folder, small = Path(a.folder)/f'{a.images}', Path(a.folder)/f'{a.both}'
    t = time.perf_counter()
    pictures(folder, a.images), pictures(small, a.both)
    made, free = time.perf_counter() - t, free_memory()
    size = sum(f.stat().st_size for f in progress(folder.glob('train/*/*.jpg'), 'sizes'))
    file = Path(a.folder)/'teacher.safetensors'
    teacher = alone('teacher', folder, file)
    with ThreadPoolExecutor(a.at_once) as ex:      # each is a process of its own, and says its own memory
        rows = list(ex.map(lambda m: alone(m, folder, file), a.methods))
        pairs = [(m, keep) for m in a.methods for keep in ('memory', 'disk')]
        found = list(ex.map(lambda p: alone(p[0], small, file, p[1]), pairs))
    both = {m: [r for r, (k, _) in zip(found, pairs, strict=True) if k == m] for m in a.methods}
    equal = {m: here['sha'] == far['sha'] and here['data'] == far['data'] for m, (here, far) in both.items()}
    return dict(files_gb=size/1e9, made_s=made, free_gb=free/1e9, teacher=teacher, rows=rows, equal=equal,
                both=[r for pair in both.values() for r in pair])


def arguments() -> argparse.Namespace:
    ap = argparse.ArgumentParser()
    ap.add_argument('--images', type=int, default=40_000)
    ap.add_argument('--both', type=int, default=1000, help='so many are also distilled from memory')
    ap.add_argument('--at-once', type=int, default=1, help='so many processes side by side')
    ap.add_argument('--methods', nargs='+', default=list(RUNS))
    ap.add_argument('--folder', default=str(Path(tempfile.gettempdir())/'dd_lit_size'))
    ap.add_argument('--out', default=str(RESULTS/'size.json'))
    ap.add_argument('--one', default=None, help='only this method (or teacher), in this process')
    ap.add_argument('--teacher', default=None, help='for --one: its file')
    ap.add_argument('--keep', default='auto', help='for --one: auto, memory or disk')
    return ap.parse_args()


def main():
    a = arguments()
    if a.one:
        folder, file = Path(a.folder), Path(a.teacher)
        return print(json.dumps(teach(folder, file) if a.one == 'teacher' else one(a.one, folder, file, a.keep)))
    commit = state_of_code()
    found = measured(a)
    about = dict(what='a dataset larger than memory: peak resident memory of four methods', side=SIDE, classes=CLASSES,
                 settings=RUNS)
    atomic_write(a.out, json.dumps(about | found | dict(made_with=made_with(commit=commit)), indent=1))


if __name__ == '__main__':
    sys.exit(main())
