"""The page that trains while you watch: its network against torch, its digits against the library's, what it weighs."""
import json
import sys
from statistics import fmean

import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT
from watched import CHROMIUM, answered

from dd_lit.models import create_model

sys.path.insert(0, str(ROOT/'bench'))
import browser
import browser_scores

WATCH = ROOT/'nbs'/'watch'
SCORES = json.loads((browser.RESULTS/'browser_scores.json').read_text())['rows']


def page_of(row, ipc=1, labels='hard') -> list: # Accuracies of the page's networks on all draws of a set
    return [v for r in SCORES if (r['row'], r['ipc'], r['labels']) == (row, ipc, labels) for v in r['top1']]


@pytest.mark.skipif(CHROMIUM is None, reason='no Chromium on this machine')
def test_gradients_are_torchs(tmp_path):
    "Of every weight, for soft labels; and the loss, and the logits on which accuracy rests."
    g = torch.Generator().manual_seed(0)
    x = torch.randn(5, 1, 8, 8, generator=g, dtype=torch.float64)
    t = torch.rand(5, 10, generator=g, dtype=torch.float64).softmax(1)
    script = f'''const net = watchNet(), list = a => a.map(v => [...v]), x = Float64Array.from({x.flatten().tolist()});
    const weights = net.weights(net.generator(3)), labels = Float64Array.from({t.flatten().tolist()});
    weights[2].forEach((v, i, w) => {{ w[i] = 1 + i/16; }});
    weights[3].forEach((v, i, w) => {{ w[i] = i/16 - .5; }});
    const [loss, grads] = net.gradients(weights, x, labels);
    answer({{weights: list(weights), loss, grads: list(grads), logits: [...net.forward(weights, x)[0]]}});'''
    said, console = answered(tmp_path/'g.html', f'<script>{(WATCH/"net.js").read_text()}</script>', script)
    net = create_model('convnet2', 10, 1, 8, width=16).double()
    params = list(net.parameters())
    for p, w in zip(params, said['weights'], strict=True):
        p.data = torch.tensor(w, dtype=torch.float64).view_as(p)
    logits = net(x)
    loss = F.cross_entropy(logits, t)
    assert not console and torch.allclose(logits.flatten(), torch.tensor(said['logits'], dtype=torch.float64))
    assert abs(loss.item() - said['loss']) < 1e-12
    for want, got in zip(torch.autograd.grad(loss, params), said['grads'], strict=True):
        got = torch.tensor(got, dtype=torch.float64).view_as(want)
        assert (want - got).abs().max() < 1e-12 and (want.abs().max() > 1e-4 or want.ndim == 1)


def test_page_loads_what_is_stored():
    "What the page carries is made from the stored sets and the library's digits, and all of it is small."
    assert browser.PAGE.read_text() == browser.page_text(), 'run python bench/browser_sets.py --page'
    assert sum(f.stat().st_size for f in WATCH.iterdir()) < 300_000


def test_page_tests_on_the_real_test_digits():
    d, page = browser.digits(), browser.page_data()
    for part, x, y in (('train', d.train_x, d.train_y), ('test', d.test_x, d.test_y)):
        values = torch.tensor([round((ord(c) - 97)*255/16) for c in page[part]['pixels']])
        assert torch.equal(values, x.flatten().long()) and page[part]['labels'] == ''.join(map(str, y.tolist()))
    test = {bytes(x.flatten().tolist()) for x in d.test_x}
    assert len(test) == len(d.test_x) and not test & {bytes(x.flatten().tolist()) for x in d.train_x}


def test_sets_come_back_from_text():
    "Real images exactly, made ones to half a step of a byte; labels of all classes; soft labels are distributions."
    ds = browser.made('random', 1, seed=5)
    row = browser.packed(ds) | dict(labels='0123456789')
    assert 'images' not in row and torch.allclose(browser.as_set(row).images, ds.images, atol=1e-6)
    ds.images += torch.rand(ds.images.shape, generator=torch.Generator().manual_seed(0))
    row = browser.packed(ds) | dict(labels='0123456789')
    std = browser.digits().norm[1][0]
    step = (row['high'] - row['low'])/255
    assert 'real' not in row
    assert (browser.as_set(row).images - ds.images).abs().max()*std < .51*step + 1e-4
    for r in browser.page_rows():
        soft, hard = browser.soft_labels(r), browser.classes(r)
        assert sorted(hard) == sorted(list(range(10))*r['ipc'])
        assert soft.shape == (10*r['ipc'], 10) and torch.allclose(soft.sum(1), torch.ones(1).double())
        assert browser.pixels(r).shape == (10*r['ipc'], 1, 8, 8)


def test_scores_are_those_of_the_stored_sets():
    "By three networks each; those of random and of DC with every draw."
    sets = {(r['row'], r['ipc'], r['seed']) for r in browser.page_rows()} | {('all', 0, 0)}
    have = {(r['row'], r['ipc'], r['labels'], r['seed']) for r in SCORES}
    assert {(m, n, s) for m, n, _, s in have} <= sets
    assert {(m, 1, 'hard', s) for m in ('random', 'dc') for s in range(3)} | {('all', 0, 'hard', 0)} <= have
    assert all(len(r['top1']) == len(browser_scores.NETWORKS) and r['seconds'] < 120 for r in SCORES)


def test_distilled_beats_random_at_one_image_per_class():
    "On the page, in the mean over three draws and three networks on each; and the whole training set beats both."
    dc, random = page_of('dc'), page_of('random')
    assert len(dc) == len(random) == 9
    assert fmean(page_of('all', 0)) > fmean(dc) > fmean(random) + 10
