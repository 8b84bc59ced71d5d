"""What the rank rule of the polar factor changes: numpy's in float32, of the first release, against that of `rounding`.

    python bench/polar_rule.py --ranks       # directions lost and errors, layer by layer
    python bench/polar_rule.py --images      # OGM's images under both rules, and their distance to the real directions
    python bench/polar_rule.py --before      # the first release's accuracies, out of git -> ogm_polar_before.json

`--ranks` and `--images` write bench/results/polar_rule.json, each its own part. The old rule is kept here, and only
here.
"""
import argparse
import contextlib
import json
import sys
import time
from unittest import mock

import torch

import dd_lit.orthogonal.ogm as ogm
import dd_lit.orthogonal.pseudo_gradient as pseudo
from budgets import BUDGET, OGM, squeezing
from dd_lit.augment import patch_crop
from dd_lit.core import atomic_write, rng
from dd_lit.data import load_data
from dd_lit.distill import run
from dd_lit.method import get_method
from dd_lit.orthogonal.ogm import DirectionMatcher
from dd_lit.orthogonal.polar import orthogonalize
from dd_lit.orthogonal.pseudo_gradient import real_directions
from dd_lit.teachers import squeeze
from harness import RESULTS, git, made_with, state_of_code
from prepared import data_of, settings_for

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
        turned = V @ ((V.mT @ (Qg - Qg.mT) @ V)*inv(s[:, None] + s[None])) @ V.mT
        out = Q @ turned + (g.double() - Q @ Qg) @ (V*inv(s) @ V.mT)
        return (out if tall else out.mT).to(ctx.saved_tensors[0])


@contextlib.contextmanager
def old_rule():
    "Within this block OGM uses the old rule, on both sides."
    f = lambda G, method='gram': FormerPolar.apply(G)
    with mock.patch.object(ogm, 'orthogonalize', f), mock.patch.object(pseudo, 'orthogonalize', f):
        yield


def count(Q) -> int:
    "How many directions a polar factor kept."
    return int((torch.linalg.svdvals(Q.double()) > .5).sum())


def layer_ranks(name: str, G) -> dict:
    "How many directions a gradient has, how many each rule loses, and the squared error against float64."
    s = torch.linalg.svdvals(G.double())
    U, _, Vh = torch.linalg.svd(G.double(), full_matrices=False)
    there = int((s > s[0]*max(G.shape)*torch.finfo(torch.float64).eps).sum())
    want = U[:, :there] @ Vh[:there]
    u, _, v = torch.linalg.svd(G, full_matrices=False)
    newton = orthogonalize(G, 'newton_schulz')
    forms = dict(old=former(G), new=orthogonalize(G, 'gram'), newton_schulz=newton, svd_float32=u @ v)
    return dict(layer=name, shape=list(G.shape), directions=there, smallest=(s[there - 1]/s[0]).item(),
                lost={k: there - count(forms[k]) for k in ('old', 'new', 'newton_schulz')},
                error={k: (Q.double() - want).square().sum().item() for k, Q in forms.items()})


def ranks_at(place: str, data, settings: dict) -> dict:
    "The same of all layers of a teacher, and their sums."
    net = squeeze('resnet18', data, **settings)
    layers = [layer_ranks(n, G) for n, G in real_directions(net, data, svd=False).items()]
    total = lambda key: {k: sum(l[key][k] for l in layers) for k in layers[0][key]}
    out = dict(place=place, teacher=net.test_accuracy, settings=settings,
               directions=sum(l['directions'] for l in layers), lost=total('lost'), error=total('error'))
    print(out, flush=True)
    return out | dict(layers=layers)


def ranks() -> list[dict]:
    places = [("MNIST, the tables' teacher", data_of('mnist'), squeezing('mnist'))]
    places += [(f'digits, width {w}', load_data('digits'), dict(epochs=4, augment='crop', width=w)) for w in (16, 64)]
    return [ranks_at(*place) for place in places]


def distance(net, targets: dict, images) -> tuple[float, dict]:
    """Sum over the layers after ten views of the mosaics, the same for every set of images; and how many of their
    directions each rule loses."""
    with torch.no_grad(), DirectionMatcher(net, targets) as m:
        for v in range(VIEWS):
            net(patch_crop(images, rng(v)))
            terms = m.terms()
    means = m.mean.mean.values()
    spectra = [torch.linalg.svdvals(G) for G in means]
    there = sum(int((s > s[0]*1e-12).sum()) for s in spectra)
    kept = dict(old=sum(count(former(G)) for G in means), new=sum(count(orthogonalize(G, 'gram')) for G in means))
    return sum(v.item() for v in terms.values()), {k: there - n for k, n in kept.items()}


def images_of(data, seed: int, settings: dict) -> dict:
    "OGM's images under both rules; the true directions judge both."
    row = dict(data=data.name, seed=seed)
    m = get_method('ogm')(data, 10, seed=seed, **settings)
    m.setup()
    net, targets = m.nets['resnet18'], m.matching['resnet18']['ogm'].targets
    row['directions'] = sum(T.square().sum().item() for T in targets.values())
    row['start'] = distance(net, targets, m.images)[0]
    for rule, scope in (('new', contextlib.nullcontext()), ('old', old_rule())):
        with scope:
            made = run(get_method('ogm')(data, 10, seed=seed, **settings))
        row[rule], row[f'lost_{rule}'] = distance(net, targets, made.images)
    print(row, flush=True)
    return row


def images(seeds=range(3)) -> list[dict]:
    settings = settings_for('ogm', BUDGET['mnist']['distill'] | OGM)
    return [images_of(data_of('mnist'), seed, settings) for seed in seeds]


def before() -> None:
    "The table of the first release out of git, MNIST only."
    where = f'{LAST}:bench/results/ogm_tables.json'
    old = json.loads(git('show', where))
    keys = ('data', 'row', 'seed', 'what', 'soft', 'hard', 'hard_whole')
    made = lambda r: dict(made=r['made_with']['time'], dd_lit=r['made_with']['dd_lit'])
    rows = [{k: r[k] for k in keys if k in r} | made(r) for r in old['rows'] if r['data'] == 'mnist']
    atomic_write(RESULTS/'ogm_polar_before.json', json.dumps(dict(
        what='OGM on MNIST as stored before the polar factor kept all directions; a record, no verdict rests on it',
        source=f'git show {where}', made_by='bench/polar_rule.py --before', evaluation=old['evaluation'],
        ogm=old['ogm'], rows=rows), indent=0))
    print(len(rows), 'rows')


def main():
    ap = argparse.ArgumentParser()
    for k in ('ranks', 'images', 'before'):
        ap.add_argument(f'--{k}', action='store_true')
    a = ap.parse_args()
    torch.set_num_threads(1)
    if a.before:
        before()
    what = "numpy's rank rule in float32 (old) against the rule of `rounding` (new)"
    for k, f in (('ranks', ranks), ('images', images)):
        if not getattr(a, k):
            continue
        t, found = time.time(), f()
        old = json.loads(OUT.read_text()) if OUT.exists() else dict(what=what)
        made = made_with(commit=state_of_code(), seconds=round(time.time() - t))
        atomic_write(OUT, json.dumps(old | {k: found, f'{k}_made_with': made}, indent=0))


if __name__ == '__main__':
    sys.exit(main())
