"""The pieces alone, as somebody calls them in a loop of his own: arrays are as good as tensors, what cannot be used is
refused by its name, and names of classes are names in an order."""
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dd_lit.core import as_numbers, rng
from dd_lit.data import ImageData, load_data
from dd_lit.labels.losses import get_loss
from dd_lit.labels.soft import relabel
from dd_lit.models import create_model, embed, predict
from dd_lit.sets import DistilledSet
from dd_lit.train import accuracy, fit, topk_accuracy

PIXELS = torch.randint(0, 256, (12, 1, 16, 16), generator=rng(0, 'pieces'), dtype=torch.uint8)
LABELS = torch.arange(12) % 2
X = PIXELS/255
NORM = ((.5,), (.25,))


def net():
    return create_model('convnet1', 2, 1, 16, seed=0, width=4)


def trained(x, y):
    own = net()
    fit(own, x, y, epochs=1)
    return own.head.weight if hasattr(own, 'head') else list(own.parameters())[-1]


DOORS: dict = dict(
    fit=trained, predict=lambda x, y: predict(net(), x), embed=lambda x, y: embed(net(), x)[0],
    accuracy=lambda x, y: torch.tensor(accuracy(net(), x, y)),
    set=lambda x, y: DistilledSet(x, y, NORM).images, data=lambda x, y: ImageData(x, y, x, y).train_x,
    relabel=lambda x, y: next(iter(relabel(x, net(), epochs=1).epoch(0, X, LABELS)))[1])
# (what somebody has made of his numbers, and back again as torch has them)
FORMS: dict = dict(
    array=lambda a: a, mirrored=lambda a: a[::-1].copy()[::-1], columns=np.asfortranarray,
    big_endian=lambda a: a.astype(a.dtype.newbyteorder('>')), read_only=lambda a: np.broadcast_to(a, a.shape))


@pytest.mark.parametrize('door', DOORS)
@pytest.mark.parametrize('form', FORMS)
def test_an_array_is_as_good_as_a_tensor(door, form):
    x, y = FORMS[form](X.numpy()), FORMS[form](LABELS.numpy())
    assert torch.equal(DOORS[door](x, y), DOORS[door](X, LABELS))


@given(shape=st.lists(st.integers(0, 4), min_size=1, max_size=4),
       steps=st.lists(st.sampled_from([-2, -1, 1, 2]), min_size=4),
       kind=st.sampled_from(['u1', '<f4', '>f4', '<f8', '>f8', '<i2', '>i4', '>i8', '?', '<f2']), locked=st.booleans())
def test_any_array_of_numbers(shape, steps, kind, locked):
    a = (np.arange(int(np.prod(shape))).reshape(shape) % 7).astype(kind)
    a = a[tuple(slice(None, None, s) for s, _ in zip(steps, shape, strict=False))]
    a.flags.writeable = not locked
    assert as_numbers(a, 'mine').tolist() == a.tolist()


WRONG = [None, 3, 'x', {}, object(), np.array(['a'])]


def fitted(x=X, y=LABELS, model=None, **how):
    return fit(net() if model is None else model, x, y, epochs=1, **how)


COUNTS = [*WRONG[:1], *WRONG[2:], 0, -1, 1.5, True]
BAD: dict = dict(
    model=[(lambda v: fit(v, X, LABELS, epochs=1), WRONG), (lambda v: predict(v, X), WRONG),
           (lambda v: accuracy(v, X, LABELS), WRONG)],
    x=[(lambda v: fitted(x=v), [*WRONG, X[0]]), (lambda v: predict(net(), v), [*WRONG, X[0]])],
    y=[(lambda v: fitted(y=v), [*WRONG, LABELS[:3]]), (lambda v: accuracy(net(), X, v), [*WRONG, LABELS[:3]])],
    normalize=[(lambda v: fitted(normalize=v), WRONG[1:]), (lambda v: predict(net(), X, normalize=v), WRONG[1:])],
    loss=[(lambda v: fitted(loss=v), WRONG), (get_loss, WRONG)],
    on_epoch=[(lambda v: fitted(on_epoch=v), [*WRONG[1:], lambda: 1])],
    batch_size=[(lambda v: predict(net(), X, batch_size=v), [0, -1, 1.5, 'x', True])],
    topk=[(lambda v: topk_accuracy(X.flatten(1), LABELS, v), [None, 3, 'x', (), (0,), (1.5,)])],
    in_chans=[(lambda v: create_model('convnet1', 2, v, 16), COUNTS)],
    num_classes=[(lambda v: create_model('convnet1', v, 1, 16), COUNTS)],
)


@pytest.mark.parametrize('name', BAD)
def test_refused_by_name(name):
    for door, wrong in BAD[name]:
        for v in wrong:
            with pytest.raises(ValueError, match=f'^{name}: expected ') as e:
                door(v)
            assert '\n' not in str(e.value)


CLASSES = [3, 1.5, 'ab', b'ab', {'a', 'b'}, {0: 'a', 1: 'b'}, object(), frozenset('ab')]


@pytest.mark.parametrize('wrong', CLASSES, ids=lambda o: type(o).__name__)
def test_classes_are_names_in_an_order(wrong):
    "A text is no list of letters, and what has no order would number them as it likes."
    two = PIXELS, LABELS
    for make in (lambda v: ImageData(*two, *two, classes=v), lambda v: DistilledSet(X, LABELS, NORM, v)):
        with pytest.raises(ValueError, match='^classes: expected ') as e:
            make(wrong)
        assert '\n' not in str(e.value)
        for good in (['a', 'b'], ('a', 'b'), np.array(['a', 'b']), dict(a=0, b=1).keys()):
            assert make(good).classes == ['a', 'b']


# --- What somebody's own dataset may bring ---

@given(counts=st.lists(st.integers(1, 4), min_size=1, max_size=4), words=st.booleans())
def test_a_share_of_every_class_to_test_on(counts, words):
    "Every class is in both parts, or a line names one that has a single image, as of a folder."
    y = [c for c, n in enumerate(counts) for _ in range(n)]
    rows = [(PIXELS[0], 'abcd'[c] if words else c) for c in y]
    if min(counts) == 1:
        with pytest.raises(ValueError, match='has one image; splitting off a test set needs two'):
            load_data(rows)
        return
    d = load_data(rows)
    assert set(d.train_y.tolist()) == set(d.test_y.tolist()) == set(range(len(counts)))


@pytest.mark.parametrize('keep', ['memory', 'disk'])
def test_many_that_cannot_be_read_are_counted(keep):
    "A reason that all share is said once, with the first: an error that nobody can scroll through says nothing."
    rows = [(torch.full((1, 4, 4), 2.), k % 2) for k in range(3000)]
    with pytest.raises(ValueError, match='train item 0: .* so with all 3000 pictures') as e:
        load_data(rows, keep=keep, skip_damaged=True)
    assert len(str(e.value)) < 5000


@given(v=st.sampled_from([np.float32(1.5), np.int64(3), torch.tensor(2.5), np.bool_(True)]), deep=st.booleans())
def test_numbers_of_numpy_and_torch_in_meta(v, deep, tmp_path_factory):
    made = DistilledSet(X, LABELS, NORM, meta=dict(mine=dict(a=[v]) if deep else v))
    made.save(out := tmp_path_factory.mktemp('meta'))
    back = DistilledSet.load(out).meta['mine']
    assert (back['a'][0] if deep else back) == v.item()


def test_what_meta_cannot_keep_is_named(tmp_path):
    with pytest.raises(ValueError, match='^meta: expected what JSON can hold, got function'):
        DistilledSet(X, LABELS, NORM, meta=dict(mine=test_refused_by_name)).save(tmp_path/'set')
    assert not (tmp_path/'set'/'data.safetensors').exists()
