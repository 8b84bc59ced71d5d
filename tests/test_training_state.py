"""A training that is interrupted goes on from the state that it left, and ends with the bits of one that was not."""
import warnings

import pytest
import safetensors
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import dd_lit.coreset.select as select
import dd_lit.evaluate as scoring
import dd_lit.teachers as teachers
import dd_lit.train as training
import dd_lit.trajectory.experts as experts
from dd_lit.core import load_state, rng, save_state
from dd_lit.data import ImageData
from dd_lit.evaluate import full_accuracy
from dd_lit.labels.soft import LiveLabels, relabel
from dd_lit.method import get_method
from dd_lit.models import create_model
from dd_lit.sets import DistilledSet
from dd_lit.teachers import squeeze
from dd_lit.train import OPTIMIZERS, SCHEDULES, fit
from dd_lit.trajectory.experts import train_expert

N, CLASSES, SIDE = 12, 3, 8
X = torch.rand(N, 1, SIDE, SIDE, generator=rng(0, 'images'))
Y = torch.arange(N) % CLASSES
BYTES = (255*X).byte()
DATA = ImageData(BYTES, Y, BYTES, Y, classes=list('abc'), name='few')
SET = DistilledSet(X, Y, DATA.norm, DATA.classes)
EPOCHS = 5


class Stopped(Exception):
    "Somebody pulls the plug."


def network(kind='mlp'):
    if kind == 'dropout':
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(.5), nn.Linear(144, 3))
    return create_model(kind, CLASSES, 1, SIDE, seed=0, width=4)


def labels(kind):
    "Soft labels by kind, made anew for each training."
    teacher = create_model('mlp', CLASSES, 1, SIDE, seed=1, width=4).eval()
    how = dict(epochs=EPOCHS, batch_size=5, seed=3)
    return dict(none=lambda: None, rows=lambda: torch.randn(N, CLASSES, generator=rng(0, 'rows')),
                stored=lambda: relabel(SET, teacher, **how), live=lambda: LiveLabels(SET, teacher, **how))[kind]()


def ends(part, kind, soft, stop=None, x=X, **how):
    "Losses and weights of a training; None and what was reached if it is stopped after the epoch `stop`."
    def on_epoch(e, model):
        if e == stop:
            raise Stopped
    net, own = network(kind), labels(soft)
    how = dict(batch_size=5, lr=.01, epochs=EPOCHS) | how | (dict(augment=None) if soft in ('stored', 'live') else {})
    loss = 'ce' if own is None else 'kl'
    try:
        losses = fit(net, x, Y, soft=own, loss=loss, seed=2, checkpoint=part, on_epoch=on_epoch, **how)
    except Stopped:
        losses = None
    return losses, {k: v.clone() for k, v in net.state_dict().items()}


@pytest.fixture
def always(monkeypatch):
    "A state after every epoch."
    monkeypatch.setattr(training, '_EVERY', 0.)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(opt=st.sampled_from(OPTIMIZERS), schedule=st.sampled_from([*SCHEDULES]), soft=st.sampled_from(
    ['none', 'rows', 'stored', 'live']), kind=st.sampled_from(['mlp', 'convnet3', 'dropout']),
    augment=st.sampled_from([None, 'crop_scale', 'flip']), stops=st.lists(st.integers(0, EPOCHS - 1), max_size=3))
def test_it_goes_on_to_the_same_bits(tmp_path_factory, always, opt, schedule, soft, kind, augment, stops):
    part = tmp_path_factory.mktemp('state')/'training.part'
    how = dict(kind=kind, soft=soft, opt=opt, schedule=schedule, augment=augment)
    whole, weights = ends(None, **how)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for stop in sorted(stops):
            ends(part, stop=stop, **how)
        losses, again = ends(part, **how)
    assert losses == whole
    assert all(torch.equal(again[k], weights[k]) for k in weights)
    losses, again = ends(part, **how)                # a training that is done: the network is there at once
    assert losses == whole and all(torch.equal(again[k], weights[k]) for k in weights)


def test_a_short_training_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(training, 'save_state', lambda *args: pytest.fail('a state of a training of a second'))
    ends(tmp_path/'no'/'training.part', 'mlp', 'none')
    assert not (tmp_path/'no').exists()


@pytest.mark.parametrize('other', [dict(lr=.02), dict(opt='adam'), dict(epochs=EPOCHS + 1), dict(kind='convnet3'),
                                   dict(soft='rows'), dict(augment='flip'), dict(batch_size=4), dict(x=1 - X)])
def test_the_state_of_another_training_is_replaced(tmp_path, always, other):
    part, mine = tmp_path/'training.part', dict(kind='mlp', soft='none') | other
    ends(part, 'mlp', 'none', stop=2)
    with pytest.warns(UserWarning, match='checkpoint: .*another training; it is replaced'):
        losses, _ = ends(part, **mine)
    assert losses == ends(None, **mine)[0]


def test_the_state_of_other_images_is_replaced(tmp_path, always):
    "What is done to the images belongs to a training as they do themselves, behind the first ones, too."
    part, how = tmp_path/'training.part', dict(batch_size=5, lr=.01, epochs=2, checkpoint=tmp_path/'training.part')
    later = BYTES.clone()
    later[-1] = 255 - later[-1]
    def plain(b):
        return b.float()/255
    def darker(b):
        return b.float()/510
    for x, normalize in ((BYTES, plain), (BYTES, darker), (later, darker)):
        heard = []
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter('always')
            fit(network(), x, Y, normalize=normalize, on_epoch=lambda e, m, to=heard: to.append(e), **how)
        assert heard == [0, 1] and part.is_file()
        assert len(said) == (normalize is darker)


@pytest.mark.parametrize('damage', [lambda b: b[:-1], lambda b: b[:200] + bytes([b[200] ^ 4]) + b[201:], lambda b: b''])
def test_a_damaged_state_is_announced(tmp_path, always, damage):
    part = tmp_path/'training.part'
    ends(part, 'mlp', 'none', stop=2)
    part.write_bytes(damage(part.read_bytes()))
    with pytest.warns(UserWarning, match='checkpoint: .*damaged.*it is replaced'):
        losses, _ = ends(part, 'mlp', 'none')
    assert losses == ends(None, 'mlp', 'none')[0]


def test_a_full_disk_is_a_warning(tmp_path, always, monkeypatch):
    def full(*args):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(training, 'save_state', full)
    with pytest.warns(UserWarning, match='is not kept .No space left'):
        losses, _ = ends(tmp_path/'training.part', 'mlp', 'none')
    assert losses == ends(None, 'mlp', 'none')[0]


def stopped_once(monkeypatch, work):
    "Do the work, but stop when the second state of its training has been written; how often that was."
    written = []
    def save(path, state):
        save_state(path, state)
        written.append(path)
        if len(written) == 2:
            raise Stopped
    monkeypatch.setattr(training, 'save_state', save)
    with pytest.raises(Stopped):
        work()
    assert len(load_state(written[-1])['history']) == 2
    done = work()
    assert not written[-1].exists()
    return done, len(written)


@pytest.fixture(params=['squeeze', 'full_accuracy', 'herding', 'expert'])
def work(request, monkeypatch):
    "Teachers, the network that learns from everything, the network that chooses, and experts with their path."
    who = request.param
    def work(folder):
        monkeypatch.setenv('DD_LIT_CACHE', str(folder))
        if who == 'squeeze':
            net = squeeze('mlp', DATA, epochs=EPOCHS, width=4)
            return [v.tolist() for v in net.state_dict().values()]
        if who == 'full_accuracy':
            how = dict(epochs=EPOCHS, model_kw=dict(width=4), checkpoint=folder/'full.part')
            top1 = full_accuracy(DATA, 'mlp', **how)
            how['checkpoint'].unlink(missing_ok=True)          # as whoever has written it down
            return top1
        if who == 'expert':
            file, _ = train_expert('mlp', DATA, epochs=EPOCHS)
            with safetensors.safe_open(file, framework='pt') as f:
                return f.get_tensor('path').tolist()
        chosen = get_method('herding')(DATA, 1, model='mlp', width=4, epochs=EPOCHS)
        chosen.setup()
        return chosen.choose().tolist()
    return work


def test_who_trains_long_goes_on(tmp_path, always, monkeypatch, work):
    whole = work(tmp_path/'whole')
    done, states = stopped_once(monkeypatch, lambda: work(tmp_path/'cut'))
    assert done == whole and states == EPOCHS


def test_what_is_trained_outlives_its_test(tmp_path, always, monkeypatch, work):
    "Whoever is interrupted while the trained network is tested, or looks at all images, trains no second time."
    whole = work(tmp_path/'whole')
    def stop(*args, **kw):
        raise Stopped
    with monkeypatch.context() as m:
        for module, name in ((teachers, 'accuracy'), (experts, 'accuracy'), (scoring, 'accuracy'), (select, 'embed')):
            m.setattr(module, name, stop)
        with pytest.raises(Stopped):
            work(tmp_path/'cut')
    monkeypatch.setattr(training, 'save_state', lambda *args: pytest.fail('an epoch was trained again'))
    assert list((tmp_path/'cut').glob('*.part'))
    assert work(tmp_path/'cut') == whole
    assert not list((tmp_path/'cut').glob('*.part'))


def test_a_state_goes_when_its_result_is_kept(tmp_path, always, monkeypatch):
    "On a full disk the weights are not kept: what was trained for them is not thrown away."
    part, kept = tmp_path/'a.part', tmp_path/'a.safetensors'
    part.touch()
    teachers.drop_state(part, kept)
    assert part.exists()
    kept.touch()
    teachers.drop_state(part, kept)
    assert not part.exists()
    def full(*args):
        raise OSError(28, 'No space left on device')
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))
    monkeypatch.setattr(teachers, 'atomic_write', full)
    with pytest.warns(UserWarning, match='is not kept'):
        squeeze('mlp', DATA, epochs=EPOCHS, width=4)
    assert list((tmp_path/'cache').glob('*.part'))
