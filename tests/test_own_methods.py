"""Methods that somebody writes: what they leave out is said, and one object may run again."""
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dd_lit.core import rng
from dd_lit.data import ImageData, load_data
from dd_lit.distill import run, validate
from dd_lit.method import Method, MethodSettings, get_method

FAST = dict(model='mlp', width=8, batch_real=8)


def tiny(n=40):
    "Two classes of noise, one brighter."
    y = torch.arange(n + 20) % 2
    x = (90*y[:, None, None, None] + torch.randint(0, 60, (n + 20, 1, 8, 8), generator=rng(0, 'tiny'))).byte()
    return ImageData(x[:n], y[:n], x[n:], y[n:], ((.4,), (.3,)), name='tiny')


class Own(Method):
    "A method whose parts are given."
    settings = MethodSettings
    def __init__(self, data, images=None, labels=None, loss=0., log=None):
        super().__init__(data, 1)
        self.name, self.given = 'own', (images, labels, loss, log)

    def setup(self):
        self.images, self.labels = self.given[:2]

    def step(self):
        self.log = dict(self.given[3] or {})
        return self.given[2]


GOOD = torch.zeros(2, 1, 8, 8), torch.arange(2)
WRONG = [(dict(), 'step: expected the method own to make self.images'),
         (dict(images=GOOD[0]), 'self.labels, int64'),
         (dict(images=GOOD[0], labels=[0, 1]), 'self.labels, int64'),
         (dict(images=GOOD[0], labels=torch.arange(3)), 'int64 [2]'),
         (dict(images=GOOD[0].byte(), labels=GOOD[1]), 'floats [N,C,H,W], got uint8'),
         (dict(images=GOOD[0], labels=GOOD[1], loss=None), 'step: expected the method own to return its loss'),
         (dict(images=GOOD[0], labels=GOOD[1], loss=torch.zeros(3)), 'one number'),
         (dict(images=GOOD[0], labels=GOOD[1], loss='low'), "got 'low'")]


@pytest.mark.parametrize('parts, words', WRONG)
def test_what_a_method_leaves_out_is_said(parts, words):
    with pytest.raises(ValueError) as e:
        run(Own(tiny(), **parts))
    assert words in str(e.value)


def test_a_log_of_torchs_numbers_is_kept(tmp_path):
    m = Own(tiny(), *GOOD, loss=torch.tensor(2.), log=dict(x=torch.tensor(1.), y=torch.arange(2)))
    run(m, tmp_path)
    assert m.history == [m.history[0] | dict(loss=2., x=1., y=[0, 1])]


def test_switches_are_switches():
    for door in (lambda v: run(get_method('random')(tiny(), 1), resume=v), lambda v: load_data('digits', download=v)):
        for wrong in ('no', 1, None):
            with pytest.raises(ValueError, match='expected True or False'):
                door(wrong)


def test_only_a_method_can_be_run():
    for other in ('dc', None, Own):
        with pytest.raises(ValueError, match='method: expected one with its data'):
            run(other)


@given(stop=st.integers(0, 6), name=st.sampled_from(['dc', 'dm']))
def test_an_object_runs_again_from_the_beginning(stop, name):
    "Run to its end, or interrupted without a folder: the next run is a whole one."
    kw = FAST | dict(iters=6)
    whole = run(get_method(name)(tiny(), 1, **kw))

    def until(m):
        if m.k == stop:
            raise KeyboardInterrupt
    m = get_method(name)(tiny(), 1, **kw)
    try:
        run(m, on_step=until)
    except KeyboardInterrupt:
        pass
    again = run(m)
    assert torch.equal(again.images, whole.images) and len(m.history) == 6


def test_a_quick_look_keeps_the_callers_types_out():
    ds, d = run(get_method('random')(tiny(), 1)), tiny()
    usual = validate(ds, d)
    torch.set_default_dtype(torch.float64)
    try:
        assert validate(ds, d) == usual
    finally:
        torch.set_default_dtype(torch.float32)
