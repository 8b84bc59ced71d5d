"""bfloat16 where a setting asks for it: the same up to rounding, in float32 where sums need it, stored as what ran."""
import json
import sys
import time

import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT

from dd_lit import models
from dd_lit.core import PRECISIONS, chosen_precision, has_bfloat16, has_tiles, in_full, rng
from dd_lit.data import load_data
from dd_lit.distill import distill
from dd_lit.labels.soft import LabelSettings, LiveLabels, relabel
from dd_lit.method import OneStep, get_method, list_methods
from dd_lit.models import create_model
from dd_lit.reproduce import in_precision, load_recipes
from dd_lit.settings import Settings, names_of, parse
from dd_lit.teachers import Squeeze, squeeze
from dd_lit.train import Training

sys.path.insert(0, str(ROOT/'bench'))
from precision import HALF_A_POINT, costs

DIGITS = load_data('digits')
CHOOSE = [m for m in list_methods() if issubclass(get_method(m).settings, OneStep)]   # they train in it, ask nobody
HAVE = [m for m in list_methods() if 'precision' in names_of(get_method(m).settings)]
ASK = [m for m in HAVE if m not in CHOOSE]


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    "A narrow network with batch norm that has learnt a little."
    return squeeze('resnet18', DIGITS, width=8, epochs=3, cache=tmp_path_factory.mktemp('cache'))


def first_gradient(method, teacher, precision):
    "Of the first batch of the first step: every precision is shown the same view."
    small = dict(teachers=teacher, iters=2) | (dict(pool=20) if method == 'ogm' else {})
    made = get_method(method)(DIGITS, 2, seed=0, precision=precision, **small)
    made.setup()
    made.k = 0
    grad, _ = made.gradient(0, rng(0, 'view'))
    return made, grad


def test_in_full():
    x = torch.ones(2, dtype=torch.float64)
    assert in_full(x) is x and in_full(x.bfloat16()).dtype == torch.float32


def test_who_asks():
    assert {'sre2l', 'gvbsm', 'ogm'} <= set(ASK)


@pytest.mark.parametrize('method', ASK)
def test_the_same_up_to_rounding(method, teacher):
    "Gradients in the images point the same way; what is summed is kept in float32."
    exact, a = first_gradient(method, teacher, 'float32')
    rough, b = first_gradient(method, teacher, 'bfloat16')
    assert a.dtype == b.dtype == torch.float32 and not torch.equal(a, b)
    assert F.cosine_similarity(a.flatten(), b.flatten(), dim=0) > .9
    for kept in rough.matching.values():
        stats = [t for m in kept.values() if hasattr(m, 'totals') for ts in m.totals.values() for t in ts]
        assert all(t.dtype == torch.float32 for t in stats)
    assert exact.cfg.precision == 'float32' and rough.cfg.precision == 'bfloat16'


def test_what_moves_weights_asks_in_it_too(teacher):
    "DWA's ascent is a question like others."
    a, b = (first_gradient('dwa', teacher, p)[0].moved for p in PRECISIONS[:2])
    pairs = [(v, w[k]) for n in a for u, w in zip(a[n], b[n], strict=True) for k, v in u.items()]
    assert all(w.dtype == torch.float32 for _, w in pairs) and not all(torch.equal(v, w) for v, w in pairs)


@pytest.mark.parametrize('method', ASK)
def test_auto_is_stored_as_what_it_chose(method, teacher):
    made = get_method(method)(DIGITS, 1, seed=0, precision='auto', teachers=teacher, device='cpu')
    assert made.cfg.precision == chosen_precision('auto', 'cpu') in PRECISIONS[:2]


@pytest.mark.parametrize('method', ['herding', 'k_center', 'forgetting'])
def test_choosers_train_in_it(method):
    "And store what 'auto' chose; the network that comes as it is has none."
    made = get_method(method)(DIGITS, 1, precision='auto', width=4, epochs=1, device='cpu')
    assert method in CHOOSE and made.cfg.precision == chosen_precision('auto', 'cpu') in PRECISIONS[:2]
    seen = [get_method('herding')(DIGITS, 1, precision=p, width=4, epochs=1, device='cpu')._features()
            for p in PRECISIONS[:2]]
    assert not torch.equal(*seen) and torch.allclose(*seen, atol=.2)


@pytest.mark.parametrize(('able', 'chosen'), [
    ({}, 'float32'), (dict(avx512_f=True, amx_tile=True), 'float32'), (dict(avx512_bf16=True), 'bfloat16'),
    (dict(amx_bf16=True), 'bfloat16'), (dict(bf16=True), 'bfloat16')])
def test_auto_asks_what_the_processor_can_and_no_clock(monkeypatch, able, chosen):
    "So a resumed run and a repeated one take the same."
    def asked(*a, **kw):
        raise AssertionError('a clock was asked')
    clocks = [n for n in dir(time) if n.endswith(('time', 'time_ns', 'counter', 'counter_ns', 'monotonic'))]
    assert {'time', 'perf_counter', 'process_time', 'monotonic'} <= set(clocks)
    with monkeypatch.context() as m:
        m.setattr(torch.cpu, 'get_capabilities', lambda: able, raising=False)
        for n in clocks:
            m.setattr(time, n, asked)
        found = {chosen_precision('auto', 'cpu') for _ in range(20)}
    assert found == {chosen}


def test_a_set_says_in_what_it_was_made_and_goes_on_in_nothing_else(tmp_path, teacher):
    "Where 'auto' would mean something else by now, the folder is another set's."
    how = dict(out=tmp_path, teachers=teacher, iters=1)
    assert distill('sre2l', DIGITS, 1, precision='bfloat16', **how).meta['config']['precision'] == 'bfloat16'
    with pytest.raises(ValueError, match=r'config\.precision is .*bfloat16.* there'):
        distill('sre2l', DIGITS, 1, precision='float32', **how)


def test_a_teacher_of_another_precision_is_another(tmp_path):
    "Its own file in the cache, near the other; asked again, it comes from there."
    how = dict(width=4, epochs=2, cache=tmp_path)
    a, b = (squeeze('convnet3', DIGITS, precision=p, **how) for p in PRECISIONS[:2])
    kept = {f: f.stat().st_mtime_ns for f in tmp_path.rglob('*.safetensors')}
    assert len(kept) == 2
    assert next(a.parameters()).dtype == next(b.parameters()).dtype == torch.float32
    assert abs(a.test_accuracy - b.test_accuracy) < 30 and not torch.equal(next(a.parameters()), next(b.parameters()))
    again = squeeze('convnet3', DIGITS, precision='bfloat16', **how)
    assert torch.equal(next(again.parameters()), next(b.parameters()))
    assert kept == {f: f.stat().st_mtime_ns for f in tmp_path.rglob('*.safetensors')}


def test_labels(tmp_path):
    "Near those in float32, recorded where they are not; nothing is said where they are."
    x = DIGITS.normalize(DIGITS.train_x[:20])
    net = create_model('convnet3', 10, 1, 16, seed=0, width=16).eval()
    how = dict(epochs=2, batch_size=10, crop=.5)
    a, b = (relabel(x, net, precision=p, **how) for p in PRECISIONS[:2])
    assert 'precision' not in a.settings and b.settings['precision'] == 'bfloat16'
    auto = LiveLabels(x, net, precision='auto', **how).settings.get('precision', 'float32')
    assert auto == chosen_precision('auto', 'cpu')
    batch = next(iter(a.batches(0)))
    one, two = (o.logits(next(iter(o.batches(0))), o.view(x, next(iter(o.batches(0))))) for o in (a, b))
    assert batch['index'].tolist() == next(iter(b.batches(0)))['index'].tolist()
    assert one.shape == two.shape == (10, 10) and not torch.equal(one, two)
    assert (one - two).abs().max() < .1*one.abs().max()


@pytest.mark.parametrize('call', [
    lambda: get_method('sre2l')(DIGITS, 1, precision='float16'), lambda: squeeze('mlp', DIGITS, precision='half'),
    lambda: relabel(torch.zeros(2, 1, 16, 16), create_model('mlp', 10, 1, 16, seed=0), precision='bf16')])
def test_another_word(call):
    with pytest.raises(ValueError, match='precision: expected one of float32, bfloat16, auto'):
        call()


def all_settings(cls=Settings):
    "Every class of settings of the library."
    for c in cls.__subclasses__():
        yield c
        yield from all_settings(c)


def test_reproduce_reaches_all_that_have_a_precision():
    "Of every row of the tables: its method, the training of its teachers, their labels. Nothing else is told of it."
    [get_method(m) for m in list_methods()]
    mine = [c for c in all_settings() if c.__module__.startswith('dd_lit') and c.__module__ != 'dd_lit.cli']
    known = {c for c in mine if 'precision' in names_of(c)}
    reached = {get_method(m).settings for m in HAVE} | {Squeeze, LabelSettings, Training}
    assert {c for c in known if not any(issubclass(r, c) or issubclass(c, r) for r in reached)} == set()
    for r in (r for r in load_recipes().values() if not r.lacks):
        made = in_precision(r, 'bfloat16')
        assert (made.name, made.evaluate, made.sets, made.on) == (r.name, r.evaluate, r.sets, r.on)
        assert in_precision(r, 'float32') == r
        assert (made.settings.get('precision') == 'bfloat16') == (r.method in HAVE)
        if r.method != 'whole':
            parse(get_method(r.method).settings, made.settings)
        if r.relabel:
            own = {k: v for k, v in made.relabel.items() if k not in ('live', 'prune')}
            assert parse(LabelSettings, own).precision == 'bfloat16'
        if r.teachers and 'weights' not in r.teachers:
            own = {k: v for k, v in made.teachers.items() if k not in ('names', 'cache')}
            assert parse(Squeeze, own).precision == 'bfloat16'
        else:
            assert made.teachers == r.teachers


def test_auto_costs_no_half_point():
    "Where bfloat16 is shown to lose more, `auto` may not take it; and it was asked of scoring, which counts in either."
    found = costs(json.loads((ROOT/'bench'/'results'/'precision.json').read_text())['rows'])
    assert len(found) >= 4 and not [c for c in found if c.too_much]
    assert all(c.high < HALF_A_POINT for c in found if c.place.startswith('scoring'))


def test_what_a_place_loses():
    row = dict(row='dc', file='', lost=1.)
    assert costs([row, row]) == []                                                        # two pairs say nothing
    lossy, = costs([dict(row, lost=v) for v in (1., 1.1, 1.2)])
    assert lossy.too_much and (lossy.pairs, round(lossy.lost, 6)) == (3, 1.1)
    fine = costs([dict(row, lost=v) for v in (.1, -.1, .2)] + [dict(row, row='gvbsm', lost=v) for v in (0., .2, .1)])
    assert [c.pairs for c in fine] == [3, 3] and not any(c.too_much for c in fine)


@pytest.mark.parametrize('name', ['resnet20', 'resnet18', 'wrn16_2', 'mobilenetv2_05', 'shufflenetv2_05', 'vgg11',
                                  'convnet3:norm=batch', 'convnet3', 'lenet', 'mlp'])
def test_the_order_in_memory_changes_no_answer(monkeypatch, name):
    "A network sees the same images, whichever way they lie; and only where the processor has tiles they are turned."
    net = create_model(name, 10, 3, 32, seed=0).eval()
    x = torch.randn(4, 3, 32, 32, generator=rng(0, 'order'))
    answers = []
    for tiles in (False, True):
        monkeypatch.setattr(models, 'has_tiles', lambda device, tiles=tiles: tiles)
        seen = models.laid_out(net, x, 'bfloat16')
        turned = tiles and any(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules())
        assert torch.equal(seen, x) and (tiles or seen is x)
        assert not turned or seen.is_contiguous(memory_format=torch.channels_last)
        assert models.laid_out(net, x, 'float32') is x
        answers.append(models.predict(net, x, precision='bfloat16'))
    assert (answers[0] - answers[1]).norm() <= .05*answers[0].norm()


def test_tiles_are_what_the_processor_says(monkeypatch):
    for able in (dict(amx_bf16=True), dict(amx_bf16=False, avx512_bf16=True), {}):
        monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda able=able: able, raising=False)
        assert has_tiles('cpu') == able.get('amx_bf16', False) <= has_bfloat16('cpu') == any(able.values())
    assert not has_tiles('meta')
