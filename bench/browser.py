"""What the page that trains while you watch is made of: its digits, its sets and how they are written down, what it
loads. `browser_sets.py` makes the sets, `browser_scores.py` scores them as the page does.

A set of real digits is stored as their numbers in the training set, a made one as bytes; what is scored is what comes
back from them. Soft labels are one teacher's for all sets, softened.
"""
import base64
import json
from functools import lru_cache

import torch

from dd_lit.data import ImageData, load_data
from dd_lit.distill import distill
from dd_lit.sets import DistilledSet
from dd_lit.teachers import squeeze
from harness import RESULTS
from prepared import settings_for

PAGE = RESULTS.parent.parent/'nbs'/'watch'/'sets.js'
SIZE, DIVIDED = 8, 16               # pixels a side; scikit-learn's digits have the values 0 to 16
NETWORK = dict(model='convnet2', width=32)
TEACHER = dict(backbones=('resnet18', 'convnet2'), squeeze_epochs=10, squeeze_augment='crop', crop=.5, flip=False,
               width=16)            # of G-VBSM; SRe2L, and who labels the sets: the first of them
SETTINGS = {
    'random': {},
    'herding': {},
    'k_center': {},
    'dc': dict(iters=80, batch_real=64),
    'dm': dict(iters=200, batch_real=64, augment=''),
    'sre2l': dict(iters=150, lr=.1, backbones=TEACHER['backbones'][:1]),
    'gvbsm': dict(iters=100, lr=.1, patch=2),
}
TEN = {   # with ten images per class; an iteration of DC is then ten steps on the images, not one
    'dc': dict(iters=4, width=16),
    'dm': dict(iters=100),
    'sre2l': dict(iters=60),
    'gvbsm': dict(iters=60),
}
SOFTENED = 3.                       # temperature of the soft labels


@lru_cache
def digits() -> ImageData:
    return load_data('digits', size=SIZE)


@lru_cache
def teacher():
    "One network that labels all sets."
    return squeeze('resnet18', digits(), seed=0, epochs=TEACHER['squeeze_epochs'], width=TEACHER['width'],
                   augment=TEACHER['squeeze_augment'])


def settings_of(method: str, ipc: int) -> dict:
    return SETTINGS[method] | (TEN.get(method, {}) if ipc == 10 else {})


def made(method: str, ipc: int, seed: int) -> DistilledSet:
    own = TEACHER if method in ('sre2l', 'gvbsm') else NETWORK
    return distill(method, digits(), ipc, seed=seed, **settings_for(method, own | settings_of(method, ipc)))


# --- sets as text ---

def text(x: torch.Tensor) -> str: # uint8 -> base64
    return base64.b64encode(x.to(torch.uint8).numpy().tobytes()).decode()


def numbers(s: str) -> torch.Tensor: # and back
    return torch.frombuffer(bytearray(base64.b64decode(s)), dtype=torch.uint8)


def chosen(ds: DistilledSet) -> list[int] | None:
    "The numbers of a set's images in the training set; None if one is not there."
    d = digits()
    far, at = torch.cdist(ds.images.flatten(1), d.normalize(d.train_x).flatten(1)).min(1)
    return at.tolist() if far.max() < .01 else None


def packed(ds: DistilledSet) -> dict:
    "A set as its row holds it: numbers of real images, or bytes between `low` and `high` (black is 0, white is 1)."
    at = chosen(ds)
    if at is not None:
        return dict(real=at)
    mean, std = digits().norm[0][0], digits().norm[1][0]
    x = ds.images*std + mean
    low, high = x.min().item(), x.max().item()
    return dict(low=round(low, 4), high=round(high, 4), images=text(((x - low)/(high - low)*255).round()))


def pixels(row: dict) -> torch.Tensor:
    "The images of a row, float64 [n,1,8,8]; black is 0, white is 1."
    d = digits()
    if 'real' in row:
        return d.train_x[row['real']].double()/255
    x = numbers(row['images']).view(-1, 1, SIZE, SIZE).double()/255
    return row['low'] + x*(row['high'] - row['low'])


def normal(x: torch.Tensor) -> torch.Tensor: # What networks see
    d = digits()
    return (x - d.norm[0][0])/d.norm[1][0]


def soft_labels(row: dict) -> torch.Tensor: # float64 [n,10], rows sum to 1
    s = numbers(row['soft']).view(-1, 10).double()
    return s/s.sum(1, keepdim=True)


def classes(row: dict) -> list[int]:
    return [int(c) for c in row['labels']]


def as_set(row: dict) -> DistilledSet:
    "The set of a row, with hard labels, as the library knows sets."
    d = digits()
    return DistilledSet(normal(pixels(row)).float(), torch.tensor(classes(row)), d.norm, d.classes)


# --- what the page loads ---

def letters(x: torch.Tensor) -> str: # Real digits, a letter a pixel: a is 0, q is 16
    steps = (x.flatten().float()*DIVIDED/255).round().long()
    return ''.join(chr(97 + k) for k in steps.tolist())


def page_rows() -> list[dict]: # The stored sets
    return json.loads((RESULTS/'browser_sets.json').read_text())['rows']


def page_data() -> dict:
    "The real digits and all stored sets, without what only a reader of the results wants."
    d = digits()
    keys = ('row', 'ipc', 'seed', 'real', 'low', 'high', 'images', 'labels', 'soft')
    part = lambda x, y: dict(pixels=letters(x), labels=''.join(map(str, y.tolist())))
    return dict(size=SIZE, mean=d.norm[0][0], std=d.norm[1][0], train=part(d.train_x, d.train_y),
                test=part(d.test_x, d.test_y), sets=[{k: r[k] for k in keys if k in r} for r in page_rows()])


def page_text() -> str: # As a script, which a page that was opened from a disk may load
    return f"const watchSets = {json.dumps(page_data(), separators=(',', ':'))};\n"
