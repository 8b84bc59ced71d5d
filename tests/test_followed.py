"""Trajectories: whom a student follows, what a run does that goes astray, and what is kept of it."""
import json
import shutil

import pytest
import safetensors.torch
import torch
from torch import nn
from torch.func import functional_call

import dd_lit.teachers as teachers
import dd_lit.trajectory.experts as experts
from dd_lit.core import local_seed, rng
from dd_lit.data import ImageData, load_data
from dd_lit.distill import distill, run, snapshot, split_off, validate
from dd_lit.evaluate import protocol_settings
from dd_lit.labels.soft import LiveLabels
from dd_lit.models import as_network, create_model
from dd_lit.teachers import cached, from_start, squeeze
from dd_lit.train import cut, fit
from dd_lit.trajectory.datm import DATM, class_logits
from dd_lit.trajectory.experts import (
    Trajectory,
    named_weights,
    to_follow,
    train_expert,
    train_experts,
)
from dd_lit.trajectory.mtt import MTT
from dd_lit.whiten import whitened

DIGITS = load_data('digits')
LOW, TEST = DIGITS.train_y < 3, DIGITS.test_y < 3
THREE = ImageData(DIGITS.train_x[LOW], DIGITS.train_y[LOW], DIGITS.test_x[TEST], DIGITS.test_y[TEST], DIGITS.norm,
                  DIGITS.classes[:3], 'digits, three')
REST = THREE.test_x, THREE.test_y, THREE.norm, THREE.classes
FEW = ImageData(THREE.train_x[::7][:61], THREE.train_y[::7][:61], *REST, 'few')
KW = dict(width=8, steps=3, span=1, starts=2, experts=2, expert_lr=.05, expert_batch_size=100, lr_img=10., lr_lr=1e-4,
          student_lr=.05, augment='', device='cpu')


class Frozen(nn.Module):
    "A first layer that is drawn and stays, a second one that is drawn and not even kept, and a head that learns."
    def __init__(self, num_classes, in_chans, size):
        super().__init__()
        self.first = nn.Linear(in_chans*size*size, 32).requires_grad_(False)
        self.register_buffer('gain', torch.rand(32), persistent=False)
        self.head = nn.Linear(32, num_classes)
    def forward(self, x):
        return self.head(self.gain*self.first(x.flatten(1)).relu())


class Flat(nn.Module):
    "Batch norm where no image has a second pixel."
    def __init__(self, num_classes, in_chans, size):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(in_chans*size*size, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.head = nn.Linear(8, num_classes)
    def forward(self, x):
        return self.head(self.body(x))


@pytest.fixture
def kw(tmp_path):
    return KW | dict(cache=tmp_path/'cache')


def test_a_student_has_what_its_expert_was_given(kw):
    "Parameters that are not trained, and buffers, are those of the expert that is followed."
    own = {k: v for k, v in kw.items() if k != 'width'} | dict(expert_lr=.1, expert_epochs=8)
    m = MTT(THREE, 1, model=Frozen, **own)
    m.setup()
    x = THREE.normalize(THREE.test_x)
    firsts = []
    for i in range(2):
        rest, ended = m.experts.unlearned(i), m.experts.weights(i, m.experts.epochs)
        assert set(rest) == {'first.weight', 'first.bias', 'gain'}
        answers = functional_call(m.net, rest | named_weights(ended, m.net), (x,))
        assert torch.equal(answers, m.experts.network(i)(x))
        right = (answers.argmax(1) == THREE.test_y).float().mean().item()
        assert abs(100*right - m.experts.accuracies[i]) < 1e-3 and right > .6
        firsts.append(rest['first.weight'])
        assert torch.equal(m.experts.made(i).first.weight, firsts[-1])
        y = m.classes
        with local_seed(0):
            want = nn.functional.cross_entropy(functional_call(m.net, rest | named_weights(ended, m.net),
                                                               (m.images.detach(),)), y)
        assert torch.allclose(m.student_loss([torch.arange(3)], i)(0, ended), want)
    assert not torch.equal(*firsts)
    assert m.step() > 0


def test_experts_begin_apart(tmp_path, kw):
    "A network that brings weights is no expert: refused before anything is trained."
    file = tmp_path/'w.safetensors'
    safetensors.torch.save_file(create_model('mlp', 3, 1, 16, seed=3, width=8).state_dict(), file)
    own = dict(model=f'mlp:width=8,weights={file},input_norm=data')
    assert to_follow('mlp').name == 'mlp'
    for make in (lambda: to_follow(own['model']),
                 lambda: MTT(THREE, 1, **{k: v for k, v in kw.items() if k != 'width'} | own),
                 lambda: train_experts(own['model'], THREE, 2, cache=kw['cache']),
                 lambda: train_expert(own['model'], THREE, cache=kw['cache'])):
        with pytest.raises(ValueError, match='model: mlp comes with weights'):
            make()
    assert not kw['cache'].exists()


def test_a_student_that_overflows_is_passed_by(kw, tmp_path):
    "The record goes on, finite, and says that nothing moved; it resumes to the same bits."
    class Once(DATM):
        "One iteration in three has a student who overflows."
        def student_loss(self, pieces, expert=0):
            loss = super().student_loss(pieces, expert)
            return loss if self.k != 1 else lambda n, theta: 1e30*loss(n, theta)
    own = kw | dict(expert_epochs=2, iters=3, batch_size=None)
    m = Once(THREE, 1, **own)
    run(m)
    assert [o['moved'] for o in m.history] == [True, False, True]
    assert json.loads(json.dumps(m.history))[1]['loss'] == torch.finfo(torch.float32).max
    assert m.images.isfinite().all() and m.soft.isfinite().all()
    with pytest.raises(ValueError, match='student_lr: none of the first 3 iterations moved anything'):
        distill('datm', THREE, 1, **own | dict(student_lr=1e12))
    made = distill('datm', THREE, 1, **own | dict(skip_above=0.))            # too short to be called hopeless
    assert made.images.isfinite().all()
    m = DATM(THREE, 1, **own | dict(skip_above=0.))
    m.setup()
    m.k, m.history = 99, [dict(loss=2., moved=False)]*99
    with pytest.raises(ValueError, match='none of the first 100 iterations moved anything'):
        m.step()


def test_no_label_names_another_class(kw):
    "Also where the images are noise, which no expert gets right."
    own = kw | dict(expert_epochs=3, batch_size=None, init='noise')
    m = DATM(THREE, 4, **own)
    m.setup()
    assert torch.equal(m.soft.argmax(1), m.labels)
    nets = [m.experts.network(i) for i in range(2)]
    assert class_logits(THREE, 1, nets).argmax() == 1
    class Never(nn.Module):
        def forward(self, x):
            return torch.tensor([[0., -1., -2.]]).expand(len(x), 3)*(1 + x.sum()*0)
    assert class_logits(THREE, 2, [Never()]).tolist() == [0., 0., 1.]


def test_a_full_disk_is_said_at_once(tmp_path, monkeypatch):
    "Before the first expert, if there is no room for all; after the first, if it could not be written."
    trained, train = [], experts.fit
    monkeypatch.setattr(experts, 'fit', lambda *a, **k: trained.append(1) or train(*a, **k))
    small, how = as_network('convnet3', width=8), dict(epochs=1, device='cpu', cache=tmp_path)
    room = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as m:
        m.setattr(shutil, 'disk_usage', lambda path: type(room)(room.total, room.used, 30_000))
        with pytest.raises(OSError, match='3 experts of 1 epoch need .* MB are free') as e:
            train_experts(small, FEW, 3, **how)
        assert e.value.filename == str(tmp_path) and not trained
    def full(*args):
        raise OSError(28, 'No space left on device')
    with monkeypatch.context() as m:
        m.setattr(teachers, 'atomic_write', full)
        with pytest.raises(OSError, match='No space left') as e:
            train_experts(small, FEW, 3, **how)
        assert len(trained) == 1 and 'expert' in e.value.filename
    train_experts(small, FEW, 2, **how)
    assert len(trained) == 3


def test_a_kept_expert_is_not_read_whole(tmp_path, monkeypatch):
    "Its names and shapes are enough; a file that is another's is made again; other test images: it is read."
    small, how = as_network('convnet3', width=8, norm='batch'), dict(epochs=2, device='cpu', cache=tmp_path)
    file, acc = train_expert(small, FEW, **how)
    with monkeypatch.context() as m:
        m.setattr(Trajectory, 'load_state_dict', lambda *args: pytest.fail('read whole'))
        assert train_expert(small, FEW, **how) == (file, acc)
    other = ImageData(FEW.train_x, FEW.train_y, FEW.test_x[:40], FEW.test_y[:40], FEW.norm, FEW.classes, 'few')
    again = train_expert(small, other, **how)
    with torch.no_grad():
        ended = train_experts(small, other, 1, **how)
        assert again[0] == file and 0 <= again[1] <= 100 and len(ended) == 1
    with safetensors.safe_open(file, framework='pt') as f:
        about, held = f.metadata(), {k: f.get_tensor(k).clone() for k in f.keys()}
    file.write_bytes(safetensors.torch.save(held | dict(path=held['path'][:2].contiguous()), metadata=about))
    with pytest.warns(UserWarning, match='is damaged'):
        assert train_expert(small, FEW, **how) == (file, acc)
    net = nn.Linear(2, 2)
    what = from_start(net, dict(a=1))
    assert from_start(nn.Linear(3, 3), what) is what
    assert cached(net, lambda m: 5., dict(a=1), 'x', tmp_path)[1] == 5.


def test_where_a_run_keeps_its_experts_is_no_part_of_it(kw, tmp_path):
    "Nor is the memory it takes; runs that wrote it down before go on, and sets that say it are the same sets."
    own, out = kw | dict(iters=2), tmp_path/'run'
    made = distill('mtt', THREE, 1, out=out, **own)
    assert not {'cache', 'recompute', 'download'} & set(made.meta['config'])
    assert str(tmp_path) not in json.dumps(made.meta)
    moved = own | dict(cache=tmp_path/'elsewhere', recompute=False)
    shutil.copytree(kw['cache'], moved['cache'])
    assert torch.equal(distill('mtt', THREE, 1, out=out, **moved).images, made.images)
    old = made.meta | dict(config=made.meta['config'] | dict(cache=str(kw['cache']), recompute=True))
    m = MTT(THREE, 1, **own)
    there = {k: old.get(k) for k in m.identity()}
    assert m.decisive(there) == m.identity() != there
    whole = distill('mtt', THREE, 1, **own | dict(iters=4))
    made.meta['config'] |= dict(cache=str(kw['cache']), recompute=True)
    made.save(out)
    state = out/'state.pt'
    c = _with_identity(state, cache=str(kw['cache']), recompute=True)
    assert c['identity']['config']['recompute'] is True
    assert torch.equal(distill('mtt', THREE, 1, out=out, **moved | dict(iters=4, recompute=True)).images, whole.images)


def _with_identity(path, **more) -> dict:
    "A checkpoint as an older version wrote it."
    from dd_lit.core import save_state
    from dd_lit.distill import load_checkpoint
    c = load_checkpoint(path)
    c['identity']['config'] |= more
    save_state(path, c)
    return c


@pytest.mark.parametrize('method', ['mtt', 'datm'])
def test_noise_is_as_wide_as_images_are(method, kw):
    own = kw | dict(init='noise') | (dict(expert_epochs=2) if method == 'datm' else {})
    make = dict(mtt=MTT, datm=DATM)[method]
    for white in (False, True):
        m = make(THREE, 4, whiten=white, **own)
        m.setup()
        real = m.data.normalize(m.data.train_x).std()
        assert abs(m.images.std()/real - 1) < .1 and (real < .5) == white
    few = ImageData(THREE.train_x[::72][:6], THREE.train_y[::72][:6], *REST, 'few')
    m = make(few, 9, whiten=True, **own | dict(init='real'))
    m.setup()
    off = [(m.images.detach()[i] - m.data.normalize(few.train_x)).flatten(1).std(1).min().item() for i in range(9)]
    assert max(off) < .2*m.data.spread                       # copies, set apart by a tenth of the spread


def test_a_look_at_a_whitened_run_is_whitened(kw):
    "What validation sees of the images is what it would see of the finished set."
    rest, held = split_off(THREE, .1)
    own = kw | dict(iters=1, whiten=True)
    made = distill('mtt', THREE, 1, validate_every=1, hold_out=.1, **own)
    m = MTT(rest, 1, **own)
    whole = run(m)
    now = snapshot(m)
    assert now.meta['config'] == whole.meta['config'] == made.meta['config']
    scores = [validate(ds, held, m.seed) for ds in (now, whole, made)]
    assert scores[0] == scores[1] == scores[2] == validate(whole, whitened(held), m.seed)


def test_nobody_is_alone_before_batch_norm():
    "A remainder of one joins the batch before it; other remainders, and other networks, see no difference."
    order = torch.arange(9)
    bn, plain = create_model('convnet3', 3, 1, 16, width=4, norm='batch'), create_model('convnet3', 3, 1, 16, width=4)
    assert [len(b) for b in cut(order, 4, bn)] == [4, 5]
    assert [len(b) for b in cut(order, 4, plain)] == [len(b) for b in cut(order, 4, bn.eval())] == [4, 4, 1]
    bn.train()
    assert [len(b) for b in cut(order, 7, bn)] == [7, 2] and [len(b) for b in cut(order, 1, bn)] == [1]*9
    assert torch.equal(torch.cat(cut(order, 4, bn)), order)


def test_labels_of_views_leave_nobody_alone():
    "Nine images in batches of four, with a teacher's labels of each view: what plain labels take, these take, too."
    data = load_data('digits')
    ds = distill('random', data, 1)
    kw = dict(num_classes=10, in_chans=1, size=data.size, width=4)
    x, y = ds.images[:9], ds.labels[:9]
    live = LiveLabels(x, [create_model('convnet3', **kw)], epochs=2, batch_size=4)
    for norm, sizes in dict(batch=[4, 5], instance=[4, 4, 1]).items():
        student, seen = create_model('convnet3', norm=norm, **kw), []
        student.register_forward_pre_hook(lambda m, a, seen=seen: seen.append(len(a[0])))
        fit(student, x, y, soft=live, loss='kl', epochs=2)
        assert seen == 2*sizes


def test_a_set_of_any_size_trains_with_batch_norm(kw, tmp_path):
    net = create_model(Flat, 3, 1, 16, seed=0)
    x, y = FEW.normalize(FEW.train_x), FEW.train_y
    assert len(x) % 20 == 1 and fit(net, x, y, epochs=1, batch_size=20)
    squeeze(Flat, FEW, epochs=1, batch_size=20, cache=tmp_path)
    train_expert(Flat, FEW, epochs=1, batch_size=20, cache=tmp_path)
    own = {k: v for k, v in kw.items() if k != 'width'}
    m = MTT(FEW, 1, model=Flat, **own | dict(batch_size=2, iters=1, steps=2, expert_batch_size=20))
    run(m)
    assert [len(b) for b in m.batches(rng(0, 'b'))] == [3, 3]


def test_gsam_copies_what_a_pass_writes(tmp_path, monkeypatch):
    "The weights that an expert has had are not among it; batch norm's running statistics are."
    import dd_lit.train as training
    seen, was = [], training._written
    monkeypatch.setattr(training, '_written', lambda model: seen.append(was(model)) or seen[-1])
    train_expert(as_network('convnet3', width=4, norm='batch'), FEW, epochs=1, rho=.01, cache=tmp_path)
    walk = Trajectory(create_model('convnet3', 3, 1, 16, width=4, norm='batch'), 1)
    assert len(seen[-1]) == len(list(walk.buffers())) - 1 > 0
    assert all(b.shape != walk.path.shape for b in seen[-1])


@pytest.mark.parametrize('name', ['digits', 'digits, three', 'mnist_small', 'SVHN extra'])
def test_no_mirror_for_a_part_of_digits(name):
    "A set whose name begins with that of a set of digits."
    for protocol in ('dsa', 'mtt'):
        assert 'flip' not in protocol_settings(protocol, 1, name)['augment']
    assert 'flip' in protocol_settings('dsa', 1, 'photographs of digits')['augment']
