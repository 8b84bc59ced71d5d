"""What a step of OGM costs: pseudo-gradients against true gradients, and the share of orthogonalisation, side by side.

    python bench/ogm_cost.py            # writes bench/results/ogm_cost.json
"""
import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from dd_lit.core import atomic_write, rng
from dd_lit.models import create_model
from dd_lit.orthogonal.ogm import DirectionMatcher
from dd_lit.orthogonal.polar import orthogonalize
from dd_lit.orthogonal.pseudo_gradient import PseudoReader
from harness import RESULTS, made_with
from timing import in_turn, medians, saved_bytes

PLACES = [
    dict(width=16, size=32, batch=100), dict(width=64, size=32, batch=100), dict(width=64, size=64, batch=50),
    dict(width=64, size=224, batch=100)]     # the last: ImageNet's size and the usual batch


class Steps:
    "Steps to compare. The weights do not matter for time: an untrained network, random images."
    def __init__(self, width: int, size: int, batch: int):
        self.net = net = create_model('resnet18', 10, 3, size, seed=0, width=width).eval()
        self.x = torch.randn(batch, 3, size, size, generator=rng(0)).requires_grad_()
        self.y = torch.arange(batch) % 10
        with torch.no_grad(), PseudoReader(net) as r:
            net(self.x[:4])
            raw = {n: torch.randn(G.shape, generator=rng(1, n)) for n, G in r.read().items()}
        self.targets = {n: orthogonalize(G, 'gram') for n, G in raw.items()}
        modules = dict(net.named_modules())
        self.weights = [modules[n].weight for n in self.targets]
        net.requires_grad_(False)

    def label(self):
        return F.cross_entropy(self.net(self.x), self.y)

    def label_only(self):
        torch.autograd.grad(self.label(), self.x)

    def pseudo(self, svd: bool):
        with DirectionMatcher(self.net, self.targets, svd=svd, ema=False) as m:
            torch.autograd.grad(self.label() + .05*m.loss(), self.x)

    def true(self, svd: bool):
        for w in self.weights:
            w.requires_grad_(True)
        ce = self.label()
        grads = [g.flatten(1) for g in torch.autograd.grad(ce, self.weights, create_graph=True)]
        directions = [orthogonalize(g, 'gram') if svd else g for g in grads]
        d = sum((g - t).square().sum() for g, t in zip(directions, self.targets.values(), strict=True))
        torch.autograd.grad(ce + .05*d, self.x)
        for w in self.weights:
            w.requires_grad_(False)

    def variants(self) -> dict:
        return {
            'label only': self.label_only,
            'pseudo, no SVD': partial(self.pseudo, False), 'pseudo': partial(self.pseudo, True),
            'true, no SVD': partial(self.true, False), 'true': partial(self.true, True)}


def place_name(p: dict) -> str:
    return f"ResNet-18 x {p['width']}, {p['batch']} images of {p['size']} px"


def measured(place: dict, reps: int) -> dict:
    "A row of the result file."
    steps = Steps(**place).variants()
    each = in_turn(steps, reps, clock=time.process_time)
    s = medians(each)
    mb = {n: saved_bytes(f)/2**20 for n, f in steps.items()}
    share = (s['pseudo'] - s['pseudo, no SVD'])/s['pseudo']
    ratio, bare = s['true']/s['pseudo'], s['true, no SVD']/s['pseudo, no SVD']
    memory = mb['true']/mb['pseudo']
    slower = f'{ratio:.2f}x the time, {memory:.2f}x the memory ({bare:.2f}x without orthogonalising)'
    text = dict(orthogonal_share=f'{100*share:.0f} % of a step', true_over_pseudo=slower)
    print(place_name(place), {n: round(v, 3) for n, v in s.items()}, text, flush=True)
    return dict(place=place_name(place), reps=reps, made_with=made_with(), seconds=s, each=each, saved_mb=mb,
                orthogonal_share=share, true_over_pseudo=ratio, true_over_pseudo_no_svd=bare, text=text, **place)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--reps', type=int, default=5)
    ap.add_argument('--places', type=int, nargs='+', default=None, help='only these (from 0); other rows stay')
    ap.add_argument('--out', default=str(RESULTS/'ogm_cost.json'))
    a = ap.parse_args()
    out = Path(a.out)
    rows = {r['place']: r for r in json.loads(out.read_text())['rows']} if a.places and out.exists() else {}
    for p in [PLACES[i] for i in a.places] if a.places else PLACES:
        rows[place_name(p)] = measured(p, a.reps)
        there = [rows[place_name(p)] for p in PLACES if place_name(p) in rows]
        atomic_write(out, json.dumps(dict(what='cost of a step of OGM, processor seconds', rows=there), indent=1))


if __name__ == '__main__':
    sys.exit(main())
