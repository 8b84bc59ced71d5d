"""Rows of the ledger that are cheap enough are measured again, each time: the verdict must come out as stored."""
import statistics
import sys
import time

import torch
from conftest import ROOT

sys.path.insert(0, str(ROOT/'bench'))
from dd_lit.data import load_data
from ledger import ledger
from scores import load_results

STORED = load_results(ROOT/'bench'/'results')


def verdict_of(text):
    return next(r['verdict'] for r in ledger(STORED) if r['text'].startswith(text))


def test_theorem_of_gift():
    from label_cost import theorem_trials
    t = theorem_trials()
    assert t['trials'] == STORED['label_cost']['theorem']['trials'] and (t['holds'] == t['trials']) == (verdict_of('InfoNCE is bounded') == 'holds')
    assert t['repaired'] == t['trials']


def test_time_and_memory_of_flow_matching():
    from flow_cost import make, step
    from statistics_cost import saved_bytes
    d = load_data('digits')
    ms = {n: make(n, d, 'convnet3', 32, 1) for n in ('sfm', 'lgm, 10 augmentations')}
    ts = {n: [] for n in ms}
    for r in range(4):
        for n, m in ms.items():
            t = time.perf_counter()
            step(m)
            ts[n].append(time.perf_counter() - t)
    a, b = (min(v[1:]) for v in ts.values())
    kept = [saved_bytes(lambda m=m: step(m)) for m in ms.values()]
    assert verdict_of('a step of SFM takes a quarter') == 'holds' and b > 4*a
    assert kept[1] > 8*kept[0]


def test_gift_costs_nothing():
    "The loss itself, without the network: what GIFT adds is below a twentieth of the stored step of KL."
    from dd_lit.labels.losses import get_loss
    z, soft, hard = torch.randn(50, 10), torch.randn(50, 10), torch.randint(10, (50,))
    out = {}
    for l in ('kl', 'gift'):
        v = []
        for _ in range(30):
            x = z.clone().requires_grad_()
            t = time.perf_counter()
            get_loss(l)(x, soft, hard).backward()
            v.append(time.perf_counter() - t)
        out[l] = statistics.median(v)
    assert verdict_of('GIFT costs near nothing') == 'holds' and out['gift'] - out['kl'] < .05*STORED['label_cost']['rows']['kl']


def test_adaptive_schedule_saves_updates():
    from dd_lit.gradient.schedule import zeta_adaptive, zeta_constant
    T, zeta = zeta_constant(10)
    assert sum(zeta_adaptive(t) for t in range(T - 1)) == 190 and zeta*(T - 1) == 450
