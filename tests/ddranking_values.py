"""LRS and ARS of given accuracies as DD-Ranking's own package computes them, kept for tests/test_scores.py.

    pip install --no-deps --target /tmp/ddr ddranking kornia pyyaml kornia_rs
    PYTHONPATH=/tmp/ddr python tests/ddranking_values.py      # -> tests/ddranking_values.json

The package has no function of its own for the two formulas: they stand inside `compute_metrics`, between trainings. So
`compute_metrics` runs as it is, on an object whose trainings are replaced by numbers that are handed out in its order.
Accuracies go in as shares, 0 to 1, as the formulas of its paper and its README have them.
"""
import contextlib
import io
import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import ddranking.metrics.hard_label
import numpy as np
import torch
from ddranking.metrics import AugmentationRobustScore, LabelRobustScoreHard, LabelRobustScoreSoft

GRID = (0., .1, .37, .5, .925, 1.)


def bare(cls, runs: int, **members):
    "An object of the package that trains nothing."
    o = object.__new__(cls)
    where = str(Path(tempfile.mkdtemp())/'scores.csv')
    for k, v in dict(ipc=1, num_classes=10, num_eval=runs, use_dist=False, rank=0, eval_full_data=True,
                     soft_label_mode='M', label_type='soft', save_path=where, **members).items():
        setattr(o, k, v)
    return o


def told(o, **kw) -> dict:
    "What `compute_metrics` returns."
    with contextlib.redirect_stdout(io.StringIO()):
        return o.compute_metrics(image_tensor=torch.zeros(10, 3, 2, 2), **kw)


def pairs(first, second):
    "What the package asks for in turn: one of each for every network."
    return iter([v for pair in zip(first, second, strict=True) for v in pair])


def label_soft(full, hard, top1, random, weight) -> float:
    "LRS of one accuracy for every run, by `LabelRobustScoreSoft`."
    next_hard = pairs(hard, full)
    next_soft = pairs(top1, random)
    o = bare(LabelRobustScoreSoft, len(full),
             _compute_hard_label_metrics_helper=lambda **kw: (next(next_hard), None),
             _compute_soft_label_metrics_helper=lambda **kw: (next(next_soft), None),
             _get_random_data_helper=lambda **kw: (None, None, None))
    return told(o, lrs_lambda=weight)['label_robust_score_mean']


def label_hard(full, hard, random, weight) -> float:
    "LRS where the labels are hard anyway, by `LabelRobustScoreHard`."
    steps = iter([v for three in zip(hard, full, random, strict=True) for v in three])
    # version 0.2.0 notes every score twice here, which its mean does not mind, but its table of results does
    ddranking.metrics.hard_label.save_results = lambda *a: None
    o = bare(LabelRobustScoreHard, len(full),
             _compute_hard_label_metrics_helper=lambda **kw: (next(steps), None),
             _get_random_data_helper=lambda **kw: (None, None, None))
    return told(o, lrs_lambda=weight)['label_robust_score_mean']


def augmentation(top1, random, bare_top1, bare_random, weight) -> float:
    "ARS, by `AugmentationRobustScore`."
    shown = pairs(top1, random)
    plain = pairs(bare_top1, bare_random)
    o = bare(AugmentationRobustScore, len(top1),
             _compute_with_aug_metrics_helper=lambda **kw: (next(shown), None),
             _compute_without_aug_metrics_helper=lambda **kw: (next(plain), None),
             _get_random_data_helper=lambda **kw: (None, None, None, None))
    return told(o, ars_lambda=weight)['augmentation_robust_score_mean']


def cases() -> dict[str, list]:
    "Arguments and values: a grid of single runs, and several runs with other weights."
    g = np.random.default_rng(0)
    four = [[[float(v)] for v in g.choice(GRID, 4)] + [.5] for _ in range(120)]
    ends = [[[1.], [0.], [0.], [1.], .5], [[0.], [1.], [1.], [0.], .5], [[.7], [.7], [.3], [.3], .5]]
    runs = [[g.random(n).tolist() for _ in range(4)] + [float(w)] for n in (2, 5, 9) for w in (0., .25, .5, .8, 1.)]
    of = four + ends + runs
    hard = [[c[0], c[1], c[3], c[4]] for c in of]
    return dict(label_soft=[[c, float(label_soft(*c))] for c in of],
                label_hard=[[c, float(label_hard(*c))] for c in hard],
                augmentation=[[c, float(augmentation(*c))] for c in of])


if __name__ == '__main__':
    versions = {p: version(p) for p in ('ddranking', 'kornia', 'numpy', 'torch')}
    out = dict(what="DD-Ranking's scores of given accuracies (shares), by its own compute_metrics", versions=versions,
               command='PYTHONPATH=/tmp/ddr python tests/ddranking_values.py', unit='shares, 0 to 1', **cases())
    Path(__file__).with_suffix('.json').write_text(json.dumps(out) + '\n')
    print(versions, {k: len(v) for k, v in out.items() if isinstance(v, list)})
