"""What an engineer gives from Python: it is heeded, or refused by the name of what was given."""
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset

from dd_lit import load_data
from dd_lit.core import as_path, rng
from dd_lit.data import ImageData
from dd_lit.distill import distill, run
from dd_lit.evaluate import evaluate
from dd_lit.method import Method, MethodSettings
from dd_lit.models import create_model
from dd_lit.sets import DistilledSet, load_set
from dd_lit.train import accuracy, fit

X = torch.randint(0, 256, (24, 3, 12, 12), generator=rng(0, 'doors'), dtype=torch.uint8)
Y = torch.arange(3).repeat(8)


@pytest.fixture
def own():
    return ImageData(X.clone(), Y.clone(), X[:6], Y[:6], name='own')


def wide(width, num_classes, in_chans=3):
    "A network that asks for more than a shape."
    conv, head = nn.Conv2d(in_chans, width, 3), nn.Linear(width, num_classes)
    return nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def test_a_network_gets_no_number_that_it_did_not_ask_for(own):
    "A required parameter is given by its name; the image's size does not become a width."
    with pytest.raises(ValueError, match=r"wide asks for 'width' beside num_classes, in_chans; give it, .*width="):
        create_model(wide, 3, 3, 12)
    assert create_model(wide, 3, 3, 12, width=5)[0].out_channels == 5
    with pytest.raises(ValueError, match="widht: 'wide' has no such setting; did you mean 'width'"):
        create_model(wide, 3, 3, 12, widht=5)
    scores = evaluate(distill('random', own, 1), own, wide, repeats=1, epochs=1, model_kw=dict(width=5))
    assert 0 <= scores.mean <= 100
    assert create_model(lambda n, c, s: wide(s, n, c), 3, 3, 12)[0].out_channels == 12      # all three, in order


def test_frozen_layers_of_a_module_stay(own):
    "Half frozen: a trunk that is to stay, with what it has measured; all frozen: a network that was only asked."
    net = wide(5, 3)
    net.insert(1, nn.Sequential(nn.BatchNorm2d(5), nn.BatchNorm2d(5, affine=False)))
    for o, mean in ((net[1][0], 3.), (net[1][1], 4.)):
        o.running_mean.fill_(mean)
    net[0].requires_grad_(False)
    net[1].requires_grad_(False)
    again = create_model(net, 3, 3, 12, seed=1)
    assert torch.equal(again[0].weight, net[0].weight) and not again[0].weight.requires_grad
    assert [o.running_mean.mean().item() for o in again[1]] == [3., 4.]
    assert not torch.equal(again[-1].weight, net[-1].weight) and again[-1].weight.requires_grad
    drawn = create_model(net.requires_grad_(False), 3, 3, 12, seed=1)
    assert not torch.equal(drawn[0].weight, net[0].weight) and all(p.requires_grad for p in drawn.parameters())
    assert [o.running_mean.mean().item() for o in drawn[1]] == [0., 0.]


def test_what_is_saved_can_be_read(own, tmp_path):
    "Whatever somebody did to a set: it is written so that it comes back, or refused, and the good one stays."
    ds = distill('random', own, 1)
    ds.images = ds.images.double()
    ds.soft = [[1., 2., 3.]]*3
    ds.save(tmp_path/'a')
    back = DistilledSet.load(tmp_path/'a')
    assert back.images.dtype == torch.float32 and back.soft.shape == (3, 3)
    ds.labels = torch.tensor([0, 1, 7])
    save, export = partial(ds.save, tmp_path/'a'), partial(ds.export, tmp_path/'x.npz')
    for write in (save, export, partial(ds.to_folder, tmp_path/'p')):
        with pytest.raises(ValueError, match=r'labels: expected 0\.\.2'):
            write()
    assert torch.equal(load_set(tmp_path/'a').labels, back.labels) and not (tmp_path/'x.npz').exists()


def test_statistics_of_bytes_are_no_norm():
    with pytest.raises(ValueError, match=r'norm: expected means of pixels in 0\.\.1, got 125.3 \(of bytes'):
        ImageData(X, Y, X, Y, norm=((125.3, 123., 113.9), (63., 62.1, 66.7)))
    with pytest.raises(ValueError, match=r'0\.\.255 \(divide them by 255\)'):
        ImageData(X.clamp(min=1).float().fill_(255).sub(torch.eye(12)*255), Y, X, Y)


class Items(Dataset):
    "Pairs, as a torch dataset; the label of one may be given."
    def __init__(self, **at):
        self.at = {int(k[1:]): v for k, v in at.items()}
    def __len__(self):
        return 24
    def __getitem__(self, i):
        v = self.at.get(i, int(Y[i]))
        if isinstance(v, Exception):
            raise v
        return v if isinstance(v, tuple) else (X[i], v)


class Endless(IterableDataset):
    "A stream of pairs."
    def __iter__(self):
        yield X[0], 0


PAIRS = dict(train=Items(), test=Items())
REFUSED = {
    'test_fraction': (lambda: load_data(PAIRS, test_fraction=.5), 'test_fraction: expected'),
    'seed': (lambda: load_data(PAIRS, seed=3), 'seed: expected'),
    'columns of pairs': (lambda: load_data(Items(), label_column='b'), 'label_column: expected .* with columns'),
    'ImageData': (lambda: load_data(ImageData(X, Y, X, Y), skip_damaged=True), 'skip_damaged: expected'),
    'digits': (lambda: load_data('digits', max_pixels=5), 'max_pixels: expected'),
    'bad item': (lambda: load_data(Items(_7=OSError('corrupt')), skip_damaged=True), 'item 7: OSError: corrupt; skip'),
    'bool': (lambda: load_data(Items(_3=True)), r'item 3: .* got True \(int\(label\)'),
    'three': (lambda: load_data(Items(_0=(1, 2, 3))), r'expected \(image, label\), got tuple of 3'),
    'gap': (lambda: load_data([(x, 10*int(y)) for x, y in zip(X, Y, strict=True)]), 'labels that are texts may be any'),
    'two arrays': (lambda: load_data(X.numpy(), Y.numpy()), 'root: expected a path'),
    'endless': (lambda: load_data(Endless()), r'list\(\.\.\.\) of its items'),
    'no file': (lambda: load_data([('nowhere.png', 0)]*4), "item 0: cannot read the picture 'nowhere.png'"),
}


@pytest.mark.parametrize('what', REFUSED)
def test_nothing_that_is_said_is_passed_over(what):
    call, match = REFUSED[what]
    with pytest.raises((ValueError, FileNotFoundError), match=match):
        call()


def test_items_may_be_files_and_parts_know_their_classes(tmp_path):
    for i, (x, y) in enumerate(zip(X, Y, strict=True)):
        Image.fromarray(x.permute(1, 2, 0).numpy()).save(tmp_path/f'{i}_{y}.png')
    files = sorted(tmp_path.glob('*.png'))
    d = load_data([(p, 'abc'[int(p.stem[-1])]) for p in files])
    assert d.classes == ['a', 'b', 'c'] and len(d.train_x) + len(d.test_x) == 24
    named = TensorDataset(X, Y)
    named.classes = ['ant', 'bee', 'cat']
    for part in (Subset(named, range(18)), ConcatDataset([named, named])):
        assert load_data(part).classes == named.classes


def test_home(tmp_path, monkeypatch, own):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    distill('random', own, 1, out='~/made')
    assert (tmp_path/'made'/'meta.json').exists() and not (tmp_path/'~').exists()
    assert str(as_path('~nobody-of-that-name/x', 'path')).startswith('~')


class Poor(Method):
    "Makes what `bad` says."
    settings = MethodSettings
    bad: tuple = ()
    def setup(self):
        self.images, self.labels = torch.zeros(3, 3, 12, 12), torch.arange(3)
        for k, v in self.bad:
            setattr(self, k, v)
    def step(self):
        return torch.zeros(())


@pytest.mark.parametrize('name,value,match', [
    ('images', torch.zeros(3, 1, 12, 12), r'self.images \[N, 3, 12, 12\] as the data.s, got float32 \[3, 1, 12, 12\]'),
    ('images', torch.zeros(3, 3, 9, 9), r'self.images \[N, 3, 12, 12\]'),
    ('labels', torch.tensor([0, 1, 3]), r'self.labels in 0\.\.2, got 0\.\.3'),
    ('soft', torch.zeros(3, 2), r'self.soft \[3, 3\], a row for each image'),
    ('log', dict(c=object()), "self.log: expected a number or a text as 'c'")])
def test_a_method_that_makes_something_else(own, name, value, match):
    m = type('Poor2', (Poor,), dict(bad=[(name, value)]))(own, 1)
    with pytest.raises(ValueError, match=match):
        run(m)


def test_a_method_without_its_parts(own):
    for parts, error, match in ((dict(settings=None), ValueError, 'settings: expected Bare to have a class'),
                                ({}, NotImplementedError, 'Bare has no setup')):
        with pytest.raises(error, match=match):
            run(type('Bare', (Method,), parts)(own, 1))


def test_training_names_what_it_was_given(own):
    net = create_model('convnet3', 3, 3, 12, width=4)
    f = own.normalize(X)
    for match, call in {
            'x: expected floats in model space, got torch.uint8; normalize=': lambda: fit(net, X, Y, epochs=1),
            'x: expected floats in model space, .*': lambda: accuracy(net, X, Y),
            r'y: expected 24 labels, one per image, got shape \[24, 1\]': lambda: fit(net, f, Y[:, None], epochs=1),
            'y: expected integers': lambda: fit(net, f, Y.float(), epochs=1),
            r'loss: is called with \(student, teacher, hard\)': lambda: fit(net, f, Y, loss=F.cross_entropy, epochs=1),
            r'augment: expected a function that makes images \[24, 3, 12, 12\]':
                lambda: fit(net, f, Y, augment=lambda x, g: x[..., :2], epochs=1),
            'full: expected percent, got 0.9; 90': lambda: evaluate(distill('random', own, 1), own, full=.9)}.items():
        with pytest.raises(ValueError, match=match):
            call()


def test_data_can_be_copied_with_a_change(own):
    other = replace(own, name='other')
    assert (other.name, other.folder) == ('other', None) and torch.equal(other.train_x, own.train_x)


def test_a_loop_of_ones_own(own):
    ds = distill('random', own, 1)
    x, y = ds.as_dataset()[1]
    assert torch.equal(x, ds.images[1]) and y == ds.labels[1]
    assert 0 <= ds.as_dataset(pixels=True)[0][0].min() and isinstance(np.asarray(y).item(), int)
