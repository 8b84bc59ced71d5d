"""What a step of OGM costs: pseudo-gradients against true gradients, and the share of orthogonalisation. Side by side, one process.

    python bench/ogm_cost.py            # writes bench/results/ogm_cost.json
"""
import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from dd_lit.core import atomic_write, provenance, rng
from dd_lit.models import create_model
from dd_lit.orthogonal.ogm import DirectionMatcher
from dd_lit.orthogonal.polar import orthogonalize
from dd_lit.orthogonal.pseudo_gradient import PseudoReader
from statistics_cost import saved_bytes

PLACES = [dict(width=16, size=32, batch=100), dict(width=64, size=32, batch=100), dict(width=64, size=64, batch=50), dict(width=64, size=224, batch=100)]   # the last: ImageNet's size and the usual batch


def variants(width, size, batch):
    "Steps to compare: name -> function. The weights do not matter for time: untrained networks, random images."
    net = create_model('resnet18', 10, 3, size, seed=0, width=width).eval()
    x = torch.randn(batch, 3, size, size, generator=rng(0)).requires_grad_()
    y = torch.arange(batch) % 10
    with torch.no_grad(), PseudoReader(net) as r:
        net(x[:4])
        raw = {n: torch.randn(G.shape, generator=rng(1, n)) for n, G in r.read().items()}
    targets = {n: orthogonalize(G, 'gram') for n, G in raw.items()}
    names = list(targets)
    weights = [dict(net.named_modules())[n].weight for n in names]
    for p in net.parameters():
        p.requires_grad_(False)
    def pseudo(svd):
        m = DirectionMatcher(net, targets, svd=svd, ema=False)
        try:
            torch.autograd.grad(F.cross_entropy(net(x), y) + .05*m.loss(), x)
        finally:
            m.close()
    def true(svd):
        for w in weights:
            w.requires_grad_(True)
        ce = F.cross_entropy(net(x), y)
        G = torch.autograd.grad(ce, weights, create_graph=True)
        d = sum(((orthogonalize(g.flatten(1), 'gram') if svd else g.flatten(1)) - t).square().sum() for g, t in zip(G, targets.values()))
        torch.autograd.grad(ce + .05*d, x)
        for w in weights:
            w.requires_grad_(False)
    return {'label only': lambda: torch.autograd.grad(F.cross_entropy(net(x), y), x), 'pseudo, no SVD': lambda: pseudo(False), 'pseudo': lambda: pseudo(True), 'true, no SVD': lambda: true(False), 'true': lambda: true(True)}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--reps', type=int, default=5)
    ap.add_argument('--places', type=int, nargs='+', default=None, help='only these (from 0); the other rows of the file stay')
    ap.add_argument('--out', default=str(Path(__file__).parent/'results'/'ogm_cost.json'))
    a = ap.parse_args()
    name = lambda p: f"ResNet-18 x {p['width']}, {p['batch']} images of {p['size']} px"
    old = {r['place']: r for r in json.loads(Path(a.out).read_text())['rows']} if a.places and Path(a.out).exists() else {}
    for p in [PLACES[i] for i in a.places] if a.places else PLACES:
        vs = variants(**p)
        ts = {n: [] for n in vs}
        for r in range(a.reps + 1):
            for n, f in vs.items():
                t = time.perf_counter()
                f()
                if r:
                    ts[n].append(time.perf_counter() - t)
        s = {n: statistics.median(v) for n, v in ts.items()}
        mb = {n: saved_bytes(f)/2**20 for n, f in vs.items()}
        share, ratio, bare = (s['pseudo'] - s['pseudo, no SVD'])/s['pseudo'], s['true']/s['pseudo'], s['true, no SVD']/s['pseudo, no SVD']
        row = dict(place=name(p), reps=a.reps, made_with=provenance(), seconds=s, saved_mb=mb, orthogonal_share=share, true_over_pseudo=ratio, true_over_pseudo_no_svd=bare,
                         text=dict(orthogonal_share=f'{100*share:.0f} % of a step', true_over_pseudo=f"{ratio:.2f}x the time, {mb['true']/mb['pseudo']:.2f}x the memory ({bare:.2f}x without orthogonalising)"), **p)
        old[row['place']] = row
        print(row['place'], {n: round(v, 3) for n, v in s.items()}, row['text'], flush=True)
    atomic_write(a.out, json.dumps(dict(what='cost of a step of OGM', rows=[old[name(p)] for p in PLACES if name(p) in old]), indent=1))


if __name__ == '__main__':
    sys.exit(main())
