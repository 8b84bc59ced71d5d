"""Flow and linear-gradient matching, random images and centroids on frozen networks: made, and judged on the same and
on other networks in five ways. `flow_tables` and `flow_imagenette` say with which networks, images and steps."""
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from dd_lit.core import rng
from dd_lit.data import ImageData
from dd_lit.distill import distill
from dd_lit.flow.features import FeatureNet, features
from dd_lit.flow.inherit import INHERIT_MODES, evaluate_inherit, train_golden
from dd_lit.flow.sfm import class_centers, flow
from dd_lit.sets import DistilledSet

@dataclass(eq=False)
class FlowRuns:
    "What the runs of one table have in common; features and heads are made once for all of them."
    data: Callable[[str], ImageData]
    net: Callable[[str, str], FeatureNet]       # data, name -> network, with its `linear_accuracy`
    nets: Callable[[str], list[str]]            # the networks that judge the sets of a data set
    rows: dict[str, tuple]                      # row -> (method, settings on top)
    steps: Callable[[str, int], dict]           # data, ipc -> settings of a method
    view: Callable[[str], dict]                 # data -> crop, flip
    golden: dict                                # for `train_golden`
    evaluation: dict                            # for `evaluate_inherit`
    seen: Callable[[str, str, str], torch.Tensor] | None = None     # data, network, 'train' or 'test' -> kept features
    known: dict[tuple, Any] = field(default_factory=dict)

    def once(self, make: Callable, *key):
        "What `make` gives for this key, made once."
        if (make, *key) not in self.known:
            self.known[(make, *key)] = make(*key)
        return self.known[(make, *key)]

    def network(self, data: str, name: str) -> FeatureNet:
        return self.once(self.net, data, name)

    def asked(self, data: str, name: str, split: str) -> torch.Tensor:
        "Features of all real images of a split."
        if self.seen is not None:
            return self.seen(data, name, split)
        d = self.data(data)
        return features(self.network(data, name), getattr(d, f'{split}_x'), d.normalize)

    def test(self, data: str, name: str) -> torch.Tensor:
        return self.once(self.asked, data, name, 'test')

    def train(self, data: str, name: str) -> torch.Tensor:
        return self.once(self.asked, data, name, 'train')

    def head(self, data: str, name: str):
        "The classifier that is inherited."
        return train_golden(self.train(data, name), self.data(data).train_y, 10, **self.golden)

    def centroids(self, data: str, name: str, ipc: int, seed: int) -> DistilledSet:
        "The real images nearest to their class centres, out of a random half of the data (so that seeds differ)."
        d, z = self.data(data), self.train(data, name)
        mu = class_centers(z, d.train_y, 10)
        keep = torch.rand(len(z), generator=rng(seed, 'half')) < .5
        def nearest(c):
            j = ((d.train_y == c) & keep).nonzero().flatten()
            return j[(z[j] - mu[c]).square().sum(1).argsort()[:ipc]]
        i = torch.cat([nearest(c) for c in range(10)])
        meta = dict(method='centroids', seconds=0.)
        return DistilledSet(d.normalize(d.train_x[i]), d.train_y[i], d.norm, d.classes, meta=meta)

    def made(self, data: str, row: str, ipc: int, net: str, seed: int, **how) -> DistilledSet:
        if row == 'centroids':
            return self.centroids(data, net, ipc, seed)
        if row == 'random':
            return distill('random', self.data(data), ipc, seed=seed)
        method, settings = self.rows[row]
        own = self.steps(data, ipc) | self.view(data) | settings
        return distill(method, self.data(data), ipc, seed=seed, backbone=self.network(data, net), **own, **how)

    def flow_cosine(self, ds: DistilledSet, data: str, net: str) -> float:
        "Cosine between the flow of the distilled images and the real one, in percent."
        real = class_centers(self.train(data, net), self.data(data).train_y, 10)
        ours = class_centers(features(self.network(data, net), ds.images), ds.labels, 10)
        return 100*F.cosine_similarity(flow(ours), flow(real), dim=1).mean().item()

    def run(self, data: str, row: str, ipc: int, net: str, seed: int, **how) -> dict:
        d, A, golden = self.data(data), self.network(data, net), self.once(self.head, data, net)
        ds = self.made(data, row, ipc, net, seed, **how)
        out = dict(flow_cosine=self.flow_cosine(ds, data, net), distil_seconds=float(ds.meta['seconds']),
                   accuracy={}, bytes={})
        for e in self.nets(data):
            scores = evaluate_inherit(ds, d, A, self.network(data, e), golden, INHERIT_MODES, seed=seed,
                                      test_features=self.test(data, e), **self.view(data),
                                      **self.evaluation)
            for m, s in scores.items():
                out['accuracy'][f'{e} {m}'] = s.top1
                out['bytes'][f'{e} {m}'] = s.config['bytes']
        same = out['accuracy'][f'{net} normal']
        right = golden(self.test(data, net)).argmax(1) == d.test_y
        linear = {e: self.network(data, e).linear_accuracy for e in self.nets(data)}
        return out | dict(normal_same=sum(same)/len(same), linear_accuracy=linear,
                          golden=100*right.float().mean().item())
