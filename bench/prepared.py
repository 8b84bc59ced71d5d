"""What the tables of runs start from: the data, a distilled set, the network that labels it, and its labels; and what
the benchmarks of one step start from."""
from functools import lru_cache

import torch
from torch import nn

from budgets import BUDGET, IPC, TRAIN, squeezing, views
from dd_lit.core import rng
from dd_lit.data import ImageData, load_data
from dd_lit.distill import distill
from dd_lit.labels.soft import relabel
from dd_lit.method import get_method
from dd_lit.models import ReluPool
from dd_lit.sets import DistilledSet
from dd_lit.settings import names_of
from dd_lit.teachers import squeeze

whole_data = lru_cache(load_data)
TEACHER = ('resnet18', 0)   # name and seed of the network that labels the sets of a table, see `teacher_of`


@lru_cache
def data_of(name: str) -> ImageData:
    "The data set with the training images that the budget allows."
    d = load_data(name)
    n = TRAIN.get(name)
    if n is None:
        return d
    return ImageData(d.train_x[:n], d.train_y[:n], d.test_x, d.test_y, d.norm, d.classes, d.name)


def settings_for(method: str, settings: dict) -> dict:
    "Those of the settings that the method has: one budget serves all methods."
    known = names_of(get_method(method).settings)
    return {k: v for k, v in settings.items() if k in known}


def distilled(data: str, method: str, seed: int, settings: dict) -> DistilledSet:
    "Ten images per class, made with the budget of the data and the given settings on top."
    known = settings_for(method, BUDGET[data]['distill'] | settings)
    return distill(method, data_of(data), IPC, seed=seed, **known)


def teacher_of(data: str):
    """The narrow ResNet-18 that labels the sets: one for all methods and seeds, trained from seed 0, so that
    rows differ in their images and not in their teacher. (A run's own networks come from its own seed, so those
    that made its images are others of the same kind.)"""
    name, seed = TEACHER
    return squeeze(name, data_of(data), seed=seed, **squeezing(data))


def labelled(images, teachers, data: str, **settings):
    "Soft labels in batches of 50, for the views of the data's budget."
    return relabel(images, teachers, batch_size=50, **views(data) | settings)


def plainify(model: nn.Module) -> nn.Module:
    "The same network from torch's own layers: ReLU, then AvgPool2d."
    for name, m in list(model.named_modules()):
        if isinstance(m, ReluPool):
            parent, _, leaf = name.rpartition('.')
            setattr(model.get_submodule(parent), leaf, nn.Sequential(nn.ReLU(), nn.AvgPool2d(2)))
    return model


def real_images(data, n: int, seed: int, device: str) -> list:
    "n random images of each class."
    out = []
    for c, count in enumerate(data.counts().tolist()):
        chosen = torch.randperm(int(count), generator=rng(seed, 'real', c))[:n]
        out.append(data.normalize(data.train_x[data.train_y == c][chosen]).to(device))
    return out
