"""What the rank rule of the polar factor changes: numpy's rule in float32, which the first release used, against the rule of `rounding`.

    python bench/polar_rule.py --ranks       # directions lost and errors, layer by layer
    python bench/polar_rule.py --images      # OGM's images under both rules, and their distance to the real directions
    python bench/polar_rule.py --before      # the accuracies of the first release's table, out of git -> ogm_polar_before.json

`--ranks` and `--images` write bench/results/polar_rule.json, each its own part. The old rule is kept here, and only here.
"""
import argparse
import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import torch

import dd_lit.orthogonal.ogm as ogm
import dd_lit.orthogonal.pseudo_gradient as pseudo
from dd_lit.augment import patch_crop
from dd_lit.core import atomic_write, provenance, rng
from dd_lit.data import load_data
from dd_lit.distill import get_method
from dd_lit.orthogonal.ogm import DirectionMatcher
from dd_lit.orthogonal.polar import orthogonalize
from dd_lit.orthogonal.pseudo_gradient import real_directions
from dd_lit.statistics.backbones import squeeze
from harness import RESULTS, state_of_code

OUT, LAST = RESULTS/'polar_rule.json', 'f675fef'             # the last commit whose table was made with the old rule
VIEWS = 10


def former(G, method='gram'):
    "The polar factor as it was: float32 in and out, singular values below max(m, n) eps of the largest are zero."
    G = G.float()
    X = G if G.shape[-2] >= G.shape[-1] else G.mT
    S = X.double()
    s2, V = torch.linalg.eigh(S.mT @ S)
    ok = s2 > s2[..., -1:]*max((max(X.shape[-2:])*torch.finfo(torch.float32).eps)**2, 1e-14)
    Q = (S @ (V*torch.where(ok, s2.clamp_min(1e-300).rsqrt(), 0)[..., None, :] @ V.mT)).float()
    for _ in range(2):
        Q = 1.5*Q - .5*Q @ (Q.mT @ Q)
    return Q if G.shape[-2] >= G.shape[-1] else Q.mT


class FormerPolar(torch.autograd.Function):
    "The same with its backward pass, which skips what the rule calls zero."
    @staticmethod
    def forward(ctx, G):
        Q = former(G)
        ctx.save_for_backward(G, Q)
        return Q
    @staticmethod
    def backward(ctx, g):
        G, Q = (t.double() for t in ctx.saved_tensors)
        tall = G.shape[-2] >= G.shape[-1]
        if not tall:
            G, Q, g = G.mT, Q.mT, g.mT
        H, Qg = Q.mT @ G, Q.mT @ g.double()
        s, V = torch.linalg.eigh(.5*(H + H.mT))
        s = torch.where(s > s[-1]*max(G.shape)*torch.finfo(torch.float32).eps, s, 0)
        inv = lambda d: torch.where(d > 0, 1/torch.where(d > 0, d, 1), 0)
        out = Q @ (V @ ((V.mT @ (Qg - Qg.mT) @ V)*inv(s[:, None] + s[None]))@ V.mT) + (g.double() - Q @ Qg) @ (V*inv(s) @ V.mT)
        return (out if tall else out.mT).to(ctx.saved_tensors[0])


@contextlib.contextmanager
def old_rule():
    "Within this block OGM uses the old rule, on both sides."
    f = lambda G, method='gram': FormerPolar.apply(G)
    with mock.patch.object(ogm, 'orthogonalize', f), mock.patch.object(pseudo, 'orthogonalize', f):
        yield


def count(Q):
    return int((torch.linalg.svdvals(Q.double()) > .5).sum())


def ranks_of(net, data):
    "Per layer: how many directions there are, how many each rule loses, and the squared error against float64."
    out = []
    for n, G in real_directions(net, data, svd=False).items():
        s = torch.linalg.svdvals(G.double())
        U, _, Vh = torch.linalg.svd(G.double(), full_matrices=False)
        there = int((s > s[0]*max(G.shape)*torch.finfo(torch.float64).eps).sum())
        want = U[:, :there] @ Vh[:there]
        u, _, v = torch.linalg.svd(G, full_matrices=False)
        forms = dict(old=former(G), new=orthogonalize(G, 'gram'), newton_schulz=orthogonalize(G, 'newton_schulz'), svd_float32=u @ v)
        out.append(dict(layer=n, shape=list(G.shape), directions=there, smallest=(s[there - 1]/s[0]).item(),
                        lost={k: there - count(Q) for k, Q in forms.items() if k in ('old', 'new', 'newton_schulz')},
                        error={k: (Q.double() - want).square().sum().item() for k, Q in forms.items()}))
    return out


def ranks():
    from ogm_tables import BUDGET, data_of
    s = BUDGET['mnist']['distill']
    places = [('MNIST, the tables\' teacher', data_of('mnist'), dict(epochs=s['squeeze_epochs'], augment=s['squeeze_augment'], width=s['width']))]
    places += [(f'digits, width {w}', load_data('digits'), dict(epochs=4, augment='crop', width=w)) for w in (16, 64)]
    out = []
    for name, data, kw in places:
        net = squeeze('resnet18', data, **kw)
        layers = ranks_of(net, data)
        total = lambda key, k: sum(l[key][k] for l in layers)
        out.append(dict(place=name, teacher=net.test_accuracy, settings=kw, directions=sum(l['directions'] for l in layers), lost={k: total('lost', k) for k in layers[0]['lost']}, error={k: total('error', k) for k in layers[0]['error']}, layers=layers))
        print({k: v for k, v in out[-1].items() if k != 'layers'}, flush=True)
    return out


def distance(net, targets, images):
    "Sum over the layers after ten views of the mosaics, the same for every set of images; and how many of their directions each rule loses."
    m = DirectionMatcher(net, targets)
    try:
        with torch.no_grad():
            for v in range(VIEWS):
                net(patch_crop(images, rng(v)))
                t = m.terms()
    finally:
        m.close()
    s = {n: torch.linalg.svdvals(G) for n, G in m.mean.mean.items()}
    there = sum(int((v > v[0]*1e-12).sum()) for v in s.values())
    lost = {k: there - sum(count(f(G)) for G in m.mean.mean.values()) for k, f in (('old', former), ('new', lambda G: orthogonalize(G, 'gram')))}
    return sum(v.item() for v in t.values()), lost


def images(seeds=range(3)):
    from ogm_tables import BUDGET, O, data_of
    d, cfg, out = data_of('mnist'), BUDGET['mnist']['distill'] | O, []
    cfg = {k: v for k, v in cfg.items() if k in get_method('ogm').defaults}
    for seed in seeds:
        row = dict(data='mnist', seed=seed)
        m = get_method('ogm')(d, 10, seed=seed, **cfg)
        m.setup()
        net, targets = m.nets['resnet18'], m.matching['resnet18']['ogm'].targets
        row['directions'], row['start'] = sum(T.square().sum().item() for T in targets.values()), distance(net, targets, m.images)[0]
        for rule, scope in (('new', contextlib.nullcontext()), ('old', old_rule())):
            with scope:
                made = get_method('ogm')(d, 10, seed=seed, **cfg).fit()
            row[rule], row[f'lost_{rule}'] = distance(net, targets, made.images)  # the true directions judge both
        out.append(row)
        print(row, flush=True)
    return out


def before():
    "The table of the first release out of git, MNIST only."
    text = subprocess.run(['git', '-C', str(RESULTS), 'show', f'{LAST}:bench/results/ogm_tables.json'], capture_output=True, text=True, check=True).stdout
    old = json.loads(text)
    rows = [{k: r[k] for k in ('data', 'row', 'seed', 'what', 'soft', 'hard', 'hard_whole') if k in r} | dict(made=r['made_with']['time'], dd_lit=r['made_with']['dd_lit']) for r in old['rows'] if r['data'] == 'mnist']
    atomic_write(RESULTS/'ogm_polar_before.json', json.dumps(dict(
        what='OGM on MNIST as stored before the polar factor kept all directions; a record, no verdict rests on it',
        source=f'git show {LAST}:bench/results/ogm_tables.json', made_by='bench/polar_rule.py --before', evaluation=old['evaluation'], ogm=old['ogm'], rows=rows), indent=0))
    print(len(rows), 'rows')


def main():
    ap = argparse.ArgumentParser()
    for k in ('ranks', 'images', 'before'):
        ap.add_argument(f'--{k}', action='store_true')
    a = ap.parse_args()
    torch.set_num_threads(1)
    if a.before:
        before()
    for k, f in (('ranks', ranks), ('images', images)):
        if not getattr(a, k):
            continue
        t, found = time.time(), f()
        old = json.loads(OUT.read_text()) if OUT.exists() else dict(what='numpy\'s rank rule in float32 (old) against the rule of `rounding` (new)')
        atomic_write(OUT, json.dumps(old | {k: found, f'{k}_made_with': provenance() | dict(commit=state_of_code(), seconds=round(time.time() - t))}, indent=0))


if __name__ == '__main__':
    sys.exit(main())
