"""Whitening: the way there and back for any dataset, on disk as in memory, and through every door that takes it."""
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dd_lit.cli import main
from dd_lit.compare import compare
from dd_lit.core import rng
from dd_lit.data import ImageData, fingerprint, load_data
from dd_lit.distill import distill
from dd_lit.evaluate import evaluate
from dd_lit.models import Network
from dd_lit.ondisk import OnDisk
from dd_lit.sets import DistilledSet
from dd_lit.whiten import pixel_covariance, whitened, zca_map

def noise(n: int, chans: int, height: int, width: int, seed: int = 0) -> ImageData:
    "Images of smooth noise, two classes."
    x = torch.rand(n, chans, height, width, generator=rng(seed, 'noise')).cumsum(3)
    y = torch.arange(n) % 2
    x = (x/x.max()*255).byte()
    return ImageData(x, y, x[:4], y[:4], name='noise')


@given(st.integers(2, 30), st.sampled_from([1, 2, 3]), st.integers(2, 6), st.integers(2, 6), st.floats(1e-3, 10))
def test_there_and_back(n, chans, height, width, eps):
    "Whatever the shape, however few images: a way back, and the variances that the formula says."
    data = noise(n, chans, height, width)
    white = whitened(data, eps)
    z = white.normalize(data.train_x)
    plain = data.normalize(data.train_x)
    assert z.shape == plain.shape
    assert (white.enter(plain) - z).abs().max() < 1e-3/math.sqrt(eps)
    assert (white.leave(z) - plain).abs().max() < 1e-3
    flat = (data.train_x.flatten(1).double()/255)
    values = torch.linalg.eigvalsh(torch.cov(flat.T)).clamp_min(0)
    got = torch.linalg.eigvalsh(torch.cov(z.flatten(1).double().T))
    assert (got - values/(values + eps)).abs().max() < 1e-3


@given(st.integers(2, 8), st.floats(0, 1))
def test_the_map_is_the_nearest(size, turn):
    "No other map that whitens is nearer to doing nothing."
    a = torch.randn(size, size, generator=rng(size, 'a'), dtype=torch.float64)
    cov = a @ a.T + .1*torch.eye(size)
    W, back = zca_map(cov, 0.)
    assert torch.allclose(W.T @ cov @ W, torch.eye(size).double(), atol=1e-8)
    assert torch.allclose(W @ back, torch.eye(size).double(), atol=1e-8)
    skew = turn*torch.randn(size, size, generator=rng(size, 'skew'), dtype=torch.float64)
    R = torch.linalg.matrix_exp(skew - skew.T)
    assert (cov @ W @ R).trace() <= (cov @ W).trace() + 1e-9


def test_on_disk_as_in_memory():
    data = noise(40, 3, 5, 4)
    def read(rows):
        return [data.train_x[r].permute(1, 2, 0).numpy() for r in rows]
    far = OnDisk(read, 40, (3, 5, 4), chunk=7)
    for here, there in zip(pixel_covariance(data.train_x), pixel_covariance(far), strict=True):
        assert torch.equal(here, there)


def test_nothing_else_changes():
    "The dataset that was whitened is as it was, and its fingerprint too."
    data = noise(20, 1, 4, 4)
    before = fingerprint(data), data.normalize(data.train_x)
    white = whitened(data)
    assert fingerprint(data) == before[0] and torch.equal(data.normalize(data.train_x), before[1])
    assert fingerprint(white) != before[0] and white.train_x is data.train_x


FEW = dict(width=8, steps=2, span=1, starts=1, experts=1, iters=1, whiten=True)
STUDENT = dict(repeats=1, epochs=2, model_kw=dict(width=8))


def test_through_the_command_line(tmp_path, capsys):
    "Distilled and scored whitened by what one types, and the score says so."
    own = [f'{k}={v}' for k, v in FEW.items()]
    main(['distill', 'mtt', '--ipc', '1', '--out', str(tmp_path/'run'), '--set', *own])
    ds = DistilledSet.load(tmp_path/'run')
    assert ds.meta['config']['whiten'] is True
    capsys.readouterr()
    scores = evaluate(ds, 'digits', protocol='mtt', **STUDENT)
    assert scores.config['whiten'] is True
    main(['evaluate', str(tmp_path/'run'), '--protocol', 'mtt', '--repeats', '1', '--set', 'epochs=2',
          '--model', 'convnet3:width=8'])
    assert f'{scores.mean:.1f}' in capsys.readouterr().out


def test_a_set_keeps_its_pixels():
    "What leaves is in the plain model space: whoever loads it sees images."
    made = distill('mtt', 'digits', 1, seed=0, **FEW | dict(lr_img=0.))
    data = load_data('digits')
    pixels = made.pixels()
    real = data.train_x.float()/255
    nearest = torch.cdist(pixels.flatten(1), real.flatten(1)).min(1).values
    assert nearest.max() < .01                  # it began with real images, and did not move


def test_compared_by_one_rule(tmp_path):
    "Random images beside a set are whitened with it; with and without are two scores."
    made = distill('random', 'digits', 1)
    rows = {w: compare([made], 'digits', 1, tmp_path, fair=True, whiten=w, **STUDENT)[0] for w in (True, False)}
    assert [r.scores.config.get('whiten') for r in rows.values()] == [True, None]
    again = compare([made], 'digits', 1, tmp_path, fair=True, whiten=True, **STUDENT)[0]
    assert again.scores.top1 == rows[True].scores.top1 != rows[False].scores.top1
    assert again.scores.random_top1 == rows[True].scores.random_top1 != rows[False].scores.random_top1


def test_what_is_beside_a_whitened_set_is_whitened_too(tmp_path):
    "By protocol mtt a set is shown as it was made: then random images and the full data are, too."
    made = distill('mtt', 'digits', 1, **FEW)
    how = dict(fair=True, full=True, protocol='mtt') | STUDENT
    row, other = (compare([made], 'digits', 1, tmp_path, whiten=w, **how)[0].scores for w in (None, True))
    plain = compare([made], 'digits', 1, tmp_path, whiten=False, **how)[0].scores
    assert row.config['whiten'] is True and row.random_top1 == other.random_top1 != plain.random_top1
    assert row.full == other.full != plain.full


def test_a_run_goes_on_and_is_watched(tmp_path):
    "A whitened run that is done goes on to more iterations; who watches it sees images as a set keeps them."
    seen, how = [], FEW | dict(lr_img=0.)
    distill('mtt', 'digits', 1, out=tmp_path/'run', callback=lambda s: seen.append(s.take()), **how)
    longer = distill('mtt', 'digits', 1, out=tmp_path/'run', **how | dict(iters=3))
    whole = distill('mtt', 'digits', 1, **how | dict(iters=3))
    assert longer.meta['iterations'] == 3 and torch.equal(longer.images, whole.images)
    assert torch.equal(seen[0].images, whole.images)


def test_refusals():
    made = distill('random', 'digits', 1)
    for words, call in {
            'whiten: expected False with lenet': lambda: evaluate(made, 'digits', Network('lenet', input_norm='half'),
                                                                  whiten=True),
            'data: expected a dataset as it is': lambda: distill('random', whitened(load_data('digits'))),
            'whiten: expected False with convnet3': lambda: evaluate(made, model_kw=dict(input_norm='half'),
                                                                     whiten=True),
            'whiten: expected True with data that is': lambda: evaluate(made, whitened(load_data('digits')),
                                                                        whiten=False),
            'whiten: expected True or False': lambda: evaluate(made, 'digits', whiten='zca'),
            'a map of all to all would take': lambda: whitened(noise(2, 3, 90, 90))}.items():
        with pytest.raises(ValueError, match=words):
            call()
