"""Rows of the ledger that are cheap enough are measured again, each time: the verdict must come out as stored."""
import sys
from functools import partial

import torch
from conftest import ROOT

from dd_lit.data import load_data
from dd_lit.gradient.schedule import zeta_adaptive, zeta_constant
from dd_lit.labels.losses import get_loss

sys.path.insert(0, str(ROOT/'bench'))
import flow_cost
import label_cost
from ledger import ledger
from scores import load_results
from timing import in_turn, medians, saved_bytes, step

STORED = load_results(ROOT/'bench'/'results')


def verdict_of(text):
    return next(r['verdict'] for r in ledger(STORED) if r['text'].startswith(text))


def test_theorem_of_gift():
    t = label_cost.theorem_trials()
    assert t['trials'] == STORED['label_cost']['theorem']['trials']
    assert (t['holds'] == t['trials']) == (verdict_of('InfoNCE is bounded') == 'holds')
    assert t['repaired'] == t['trials']


def test_time_and_memory_of_flow_matching():
    d = load_data('digits')
    steps = {n: partial(step, flow_cost.make(n, d, 'convnet3', 32, 1)) for n in ('sfm', 'lgm, 10 augmentations')}
    sfm, lgm = (min(v) for v in in_turn(steps, 3).values())
    kept = [saved_bytes(f) for f in steps.values()]
    assert verdict_of('a step of SFM takes a quarter') == 'holds' and lgm > 4*sfm
    assert kept[1] > 8*kept[0]


def test_gift_costs_nothing():
    "The loss itself, without the network: what GIFT adds is below a twentieth of the stored step of KL."
    z, soft, hard = torch.randn(50, 10), torch.randn(50, 10), torch.randint(10, (50,))
    def loss_alone(name):
        get_loss(name)(z.clone().requires_grad_(), soft, hard).backward()
    took = medians(in_turn({l: partial(loss_alone, l) for l in ('kl', 'gift')}, 30))
    assert verdict_of('GIFT costs near nothing') == 'holds'
    assert took['gift'] - took['kl'] < .05*STORED['label_cost']['rows']['kl']


def test_adaptive_schedule_saves_updates():
    T, zeta = zeta_constant(10)
    assert sum(zeta_adaptive(t) for t in range(T - 1)) == 190 and zeta*(T - 1) == 450
