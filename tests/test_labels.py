"""Soft labels: what every loss promises for any finite logits, and what the label stores promise."""
import json

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from dd_lit.core import rng
from dd_lit.labels.losses import get_loss, list_losses, loss_settings

HALF = (torch.float16, torch.bfloat16)
READS_LOGITS = {'mse', 'mse_ce', 'cosine', 'gift', 'refine_kl'}
TENS = (0, 30, -30, 25, -25, 19, 12, -12, 7, -7, 1)
TENS_HALF = (0, 3, -7, 2, -5)                   # float16 ends at 65504


def losses(but=()):
    return [n for n in list_losses() if n not in but]


def gradient(name, s, t, y):
    s = s.clone().requires_grad_()
    l = get_loss(name)(s, t, y)
    return l, torch.autograd.grad(l, s)[0]


@st.composite
def batches(draw):
    "Logits of a student and a teacher, each with a scale of its own, with rows of zeros and one-hot rows among them."
    n, c, seed = draw(st.integers(1, 5)), draw(st.integers(2, 12)), draw(st.integers(0, 2**31))
    kind = draw(st.sampled_from((torch.float32, torch.float64, *HALF)))
    tens = TENS_HALF if kind == torch.float16 else TENS
    def one(name):
        z = torch.randn(n, c, generator=rng(seed, name), dtype=torch.float64).clamp(-4, 4)
        z[draw(st.lists(st.booleans(), min_size=n, max_size=n))] = 0.
        for i in range(n):
            if draw(st.integers(0, 3)) == 0:
                z[i] = F.one_hot(torch.tensor(draw(st.integers(0, c - 1))), c)
        return (z*10.**draw(st.sampled_from(tens))).to(kind)
    return one('student'), one('teacher'), torch.randint(c, (n,), generator=rng(seed, 'true'))


@pytest.mark.parametrize('name', losses())
@given(b=batches())
def test_finite_logits_give_a_finite_loss(name, b):
    l, g = gradient(name, *b)
    assert l.isfinite() and g.isfinite().all() and g.dtype == b[0].dtype


@pytest.mark.parametrize('name', losses(READS_LOGITS))
@given(seed=st.integers(0, 2**31), c=st.integers(3, 9), out=st.integers(1, 4))
def test_excluded_classes_are_the_limit_of_small_logits(name, seed, c, out):
    "-inf is probability 0: the value that ever smaller logits lead to."
    s, t = (3*torch.randn(4, c, generator=rng(seed, n), dtype=torch.float64) for n in ('s', 't'))
    y = torch.randint(c, (4,), generator=rng(seed, 'y'))
    t[:, torch.randperm(c, generator=rng(seed, 'out'))[:min(out, c - 2)]] = -torch.inf      # at least two are left
    l, g = gradient(name, s, t, y)
    m, h = gradient(name, s, t.clamp_min(-1e9), y)
    assert l.isfinite() and g.isfinite().all()
    assert torch.allclose(l, m, rtol=1e-6) and torch.allclose(g, h, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('name', losses(('ce',)))
def test_what_has_no_meaning_is_refused(name):
    s, y = torch.randn(4, 5, generator=rng(0)), torch.tensor([0, 1, 2, 3])
    for bad, word in ((torch.inf, 'got inf'), (torch.nan, 'got nan'), (-torch.inf, 'the logits themselves')):
        t = s.clone()
        t[1, 2] = bad
        if bad == -torch.inf and name not in READS_LOGITS:
            t[1] = bad
            word = 'row 1 is all -inf'
        with pytest.raises(ValueError, match=word):
            get_loss(name)(s, t, y)


@pytest.mark.parametrize('name', losses())
def test_a_loss_takes_the_settings_it_names(name):
    "What `loss_settings` lists can be given, and is the default: a batch of labels is no setting."
    s, t = torch.randn(2, 4, 3, generator=rng(0, 'own'))
    y = torch.tensor([0, 1, 2, 0])
    own = loss_settings(name)
    assert all(isinstance(v, bool | int | float | str) for v in own.values())
    assert torch.equal(get_loss(name, **own)(s, t, y), get_loss(name)(s, t, y))


def test_a_student_that_diverged_stays_nan():
    "`fit` stops with a sentence of its own then."
    s, t, y = torch.full((2, 3), torch.nan), torch.zeros(2, 3), torch.tensor([0, 1])
    for n in list_losses():
        assert get_loss(n)(s, t, y).isnan(), n


# Label stores and teachers

def tiny(norm='batch', seed=0):
    from dd_lit.models import create_model
    return create_model('convnet3', 3, 1, 16, seed=seed, width=4, norm=norm)


def images(n=6):
    return torch.randn(n, 1, 16, 16, generator=rng(0, 'images'))


VIEWS = dict(epochs=2, batch_size=4, crop=.5, dtype=torch.float32)


@pytest.mark.parametrize('kind', ('live', 'stored', 'gdumb'))
def test_teachers_come_back_as_they_were(kind):
    """Batch norm and dropout in training mode, a hook, a frozen parameter, a gradient: all as before, and the labels
    those of evaluation mode."""
    from dd_lit.labels.soft import LiveLabels, relabel
    from dd_lit.sets import DistilledSet
    t = torch.nn.Sequential(tiny(), torch.nn.Dropout(.5)).train()
    t[0].features[1].eval()
    t[0].head.bias.requires_grad_(False)
    t[0].head.weight.grad = torch.ones_like(t[0].head.weight)
    t.register_forward_hook(lambda m, i, o: None)
    state = lambda: ([m.training for m in t.modules()], [(p.requires_grad, p.grad is None) for p in t.parameters()],
                     {k: v.tolist() for k, v in t.state_dict().items()}, len(t._forward_hooks),
                     torch.get_rng_state().tolist())
    before, x = state(), images()
    if kind == 'gdumb':
        from dd_lit.data import ImageData
        from dd_lit.study.continual import gdumb
        pixels = (60*images(12) + 128).clamp(0, 255).byte()
        y = torch.arange(12) % 3
        data = ImageData(pixels, y, pixels, y, ((.5,), (.2,)), list('abc'), 'toy')
        ds = DistilledSet(x, torch.arange(6) % 3, ((.5,), (.2,)), list('abc'))
        gdumb(ds, data, 2, loss=get_loss('kl'), teachers=t, epochs=1, model_kw=dict(width=4))
    else:
        s = relabel(x, t, **VIEWS) if kind == 'stored' else LiveLabels(x, t, epochs=2, batch_size=4, crop=.5)
        v, z, _ = next(iter(s.epoch(0, x, torch.zeros(6, dtype=torch.long))))
        t.eval()
        with torch.no_grad():
            assert torch.allclose(z, t(v), atol=1e-5)
        t.train()
        t[0].features[1].eval()
    assert state() == before


def test_labels_mix_no_devices():
    "Images, student and teacher on a GPU or not, in every combination: fake tensors raise where two devices meet."
    from torch._subclasses.fake_tensor import FakeTensorMode

    from dd_lit.labels.gift import cosine_loss
    from dd_lit.labels.losses import LOSSES
    from dd_lit.labels.soft import LiveLabels, _answer, relabel
    from dd_lit.labels.theorem import best_bound, infonce, stated_bound
    x, y, t = images(), torch.arange(6) % 3, tiny(norm='instance').eval()
    for make in (LiveLabels, relabel):
        kw = dict(epochs=1, batch_size=4, crop=.5, seed=2)
        s = make(x, t, **kw)
        real = list(s.batches(0))
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            xf, yf = (mode.from_tensor(o).to('cuda') for o in (x, y))
            for b in real:
                v = s.view(xf, b)
                h = s.hard(yf, b)
                assert v.device.type == h.device.type == 'cuda'
    class Here(torch.nn.Module):
        def __init__(self, device):
            super().__init__()
            self.w = torch.nn.Parameter(torch.zeros(256, 3, device=device))
        def forward(self, x):
            return x.flatten(1) @ self.w
    for where in ('cpu', 'cuda'):
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            for device in ('cpu', 'cuda'):
                v, net = mode.from_tensor(x[:4]).to(where), Here(device)
                z = _answer(net, v, 'float32')
                assert z.device.type == where
    with FakeTensorMode() as mode:
        s, t = torch.randn(4, 3, device='cuda'), torch.randn(4, 3, device='cuda')
        y = torch.zeros(4, dtype=torch.long, device='cuda')
        for n in ('kl', 'soft_ce', 'mse', 'kd', 'wsld', 'dkd', 'nkd'):
            assert LOSSES[n](s, t, y).device.type == 'cuda', n
        for f in (cosine_loss, infonce, stated_bound, best_bound):
            assert f(s, t).device.type == 'cuda'


@given(n=st.integers(1, 9), size=st.integers(1, 9), epochs=st.integers(1, 3), alpha=st.floats(.01, 50),
       mix=st.sampled_from([True, False, 'cutmix', 'mixup']), seed=st.integers(0, 2**31))
def test_stored_views_are_the_live_ones(n, size, epochs, alpha, mix, seed):
    "Whatever is mixed, and however many images a batch has: the same views, labels of just these, the same classes."
    from dd_lit.labels.soft import LiveLabels, relabel
    x, y, t = images(n), torch.arange(n) % 3, tiny('instance').eval()
    how = dict(epochs=epochs, batch_size=size, crop=.5, mix=mix, seed=seed)
    how |= dict(mixup_alpha=alpha) if mix == 'mixup' else {}
    live, stored = LiveLabels(x, t, **how), relabel(x, t, dtype=torch.float32, chunk=2, **how)
    for e in range(epochs):
        for (v, z, h), (w, q, k) in zip(live.epoch(e, x, y), stored.epoch(e, x, y), strict=True):
            assert torch.equal(v, w) and torch.equal(z, q) and torch.equal(h, k)
            assert v.isfinite().all() and len(v) == len(h) <= size


@pytest.mark.parametrize('index', [[], 3, {}, dict(format=None), dict(settings=[]), dict(images=7), dict(sha256='0')])
def test_an_index_of_pruned_labels_that_is_none(index, tmp_path):
    "Whatever JSON holds, a line says that the labels are damaged."
    from dd_lit.labels.soft import LiveLabels
    from dd_lit.statistics.lpld import PrunedLabels, prune_labels
    x = images(4)
    live = LiveLabels(x, tiny('instance').eval(), epochs=2, batch_size=2, crop=.5)
    prune_labels(x, live, .5, path=tmp_path)
    file = tmp_path/'labels.json'
    there = json.loads(file.read_text())
    assert len(PrunedLabels.load(tmp_path)) == 2
    file.write_text(json.dumps(there | index if isinstance(index, dict) and index else index))
    with pytest.raises(ValueError, match='damaged'):
        PrunedLabels.load(tmp_path)
    for prune in ('.5', None, True, float('nan')):
        with pytest.raises(ValueError, match='^prune: expected a share'):
            prune_labels(x, live, prune)


@pytest.mark.parametrize('index', [[], 3, {}, dict(format=7), dict(settings=[]), dict(images=7), dict(files=3),
                                   dict(files=['../labels_0000.safetensors']), dict(sha256=None), dict(chunk='2')])
def test_an_index_of_labels_that_is_none(index, tmp_path):
    "The same for all labels; and no file is opened that is not one of theirs."
    from dd_lit.labels.soft import SoftLabels, relabel
    relabel(images(4), tiny('instance').eval(), epochs=2, batch_size=2, crop=.5, path=tmp_path)
    file = tmp_path/'labels.json'
    there = json.loads(file.read_text())
    assert SoftLabels.load(tmp_path).epochs == 2
    file.write_text(json.dumps(there | index if isinstance(index, dict) and index else index))
    with pytest.raises(ValueError, match='damaged|expected format'):
        SoftLabels.load(tmp_path)


@given(n=st.integers(1, 9), size=st.integers(1, 4), epochs=st.integers(1, 6), prune=st.floats(0, .99),
       mix=st.sampled_from([True, False, 'mixup']), seed=st.integers(0, 2**31))
def test_pruned_labels_are_some_of_all(n, size, epochs, prune, mix, seed):
    "As many as said, each once, each as it was; an epoch draws as many batches as it had; too much is refused."
    from dd_lit.labels.soft import LiveLabels
    from dd_lit.statistics.lpld import prune_labels
    x, t = images(n), tiny('instance').eval()
    live = LiveLabels(x, t, epochs=epochs, batch_size=size, crop=.5, mix=mix, seed=seed)
    per = -(-n//size)
    left = int(round((1 - prune)*epochs*per, 6))
    if left < 1:
        with pytest.raises(ValueError, match='prune: expected a share'):
            prune_labels(x, live, prune, seed)
        return
    few, every = prune_labels(x, live, prune, seed), {b['at']: b for e in range(epochs) for b in live.batches(e)}
    kept = [few.batch(i) for i in range(len(few))]
    assert len(few) == left == len({b['at'] for b in kept})
    for b in kept:
        v = live.view(x, every[b['at']])
        assert torch.equal(few.view(x, b), v)
        assert torch.allclose(few.logits(b), live.logits(every[b['at']], v), atol=1e-2, rtol=1e-2)
    drawn = [b['at'] for b in few.batches(epochs - 1)]
    assert len(drawn) == per and set(drawn) <= {b['at'] for b in kept}


class Cut(BaseException):
    "As if the process had been killed."


def cut_after(n, monkeypatch):
    "Only so many more files of labels are written."
    import dd_lit.labels.soft as soft
    write, left = soft.atomic_write, [n]
    def until(file, data):
        if not left[0]:
            raise Cut
        left[0] -= 1
        return write(file, data)
    monkeypatch.setattr(soft, 'atomic_write', until)


def bytes_in(folder):
    return {f.name: f.read_bytes() for f in folder.iterdir()}


RELABEL = dict(epochs=5, chunk=2, batch_size=3, crop=.5)


@given(epochs=st.integers(1, 5), chunk=st.integers(1, 3), cuts=st.lists(st.integers(0, 7), min_size=1, max_size=3),
       topk=st.sampled_from([None, 2]), mode=st.booleans())
def test_interrupted_relabelling_goes_on(epochs, chunk, cuts, topk, mode, tmp_path_factory):
    "Killed after any file, and again: the bytes of a run that nobody killed, and no finished file is made again."
    from dd_lit.labels.soft import relabel
    x, t, asked, files = images(6), tiny().eval(), [], -(-epochs//chunk)
    t.register_forward_hook(lambda *a: asked.append(1))
    how = dict(epochs=epochs, chunk=chunk, batch_size=3, crop=.5, topk=topk, train_mode=mode)
    a, b = (tmp_path_factory.mktemp(n) for n in 'ab')
    relabel(x, t, path=a, **how)
    for n in cuts:
        with pytest.MonkeyPatch.context() as m:
            cut_after(n, m)
            try:
                relabel(x, t, path=b, **how)
                break                                   # it was through before it could be killed
            except Cut:
                assert 'labels.json' not in bytes_in(b)
    done = [] if (b/'labels.json').exists() else [*b.glob('part_*.json')]
    known = len(json.loads(done[0].read_text())['sha256']) if done else 0
    asked.clear()
    relabel(x, t, path=b, **how)
    last = epochs - chunk*(files - 1)                   # epochs in the last file
    left = 0 if known == files else chunk*(files - 1 - known) + last
    assert len(asked) == 2*left and bytes_in(a) == bytes_in(b)


def test_what_one_of_several_has_written_stays(tmp_path, monkeypatch):
    "Two processes of which one came to its end; one alone makes the rest."
    import dd_lit.labels.soft as soft
    x, t, asked = images(6), tiny().eval(), []
    soft.relabel(x, t, path=tmp_path/'a', **RELABEL)
    with monkeypatch.context() as m:
        m.setattr(soft, 'world', lambda: (1, 2))
        m.setattr(soft, 'first', lambda: False)
        with pytest.raises(ValueError, match='no labels.json'):           # which the first one writes
            soft.relabel(x, t, path=tmp_path/'b', **RELABEL)
    t.register_forward_hook(lambda *a: asked.append(1))
    soft.relabel(x, t, path=tmp_path/'b', **RELABEL)
    assert len(asked) == 2*3 and bytes_in(tmp_path/'a') == bytes_in(tmp_path/'b')


def test_other_labels_begin_anew(tmp_path, monkeypatch):
    "What is left of a run with another seed, teacher or size of files is no part of these."
    from dd_lit.labels.soft import relabel
    x, t = images(6), tiny().eval()
    for k, own in enumerate((dict(seed=1), dict(chunk=1), dict(epochs=4), dict(topk=2))):
        other, same = tmp_path/f'{k}', tmp_path/f'{k} whole'
        with monkeypatch.context() as m:
            cut_after(4, m)
            with pytest.raises(Cut):
                relabel(x, t, path=other, **RELABEL | own)
        whole = relabel(x, t, path=same, **RELABEL)
        assert relabel(x, t, path=other, **RELABEL).key == whole.key
        assert bytes_in(same).items() <= bytes_in(other).items() and not [*other.glob('part_*')]


def test_a_damaged_part_is_named(tmp_path, monkeypatch):
    "The file, and what to do; without it, its labels are made again."
    from dd_lit.labels.soft import relabel
    x, t = images(6), tiny().eval()
    relabel(x, t, path=tmp_path/'a', **RELABEL)
    cut_after(4, monkeypatch)
    with pytest.raises(Cut):
        relabel(x, t, path=tmp_path/'b', **RELABEL)
    monkeypatch.undo()
    f, part = tmp_path/'b'/'labels_0001.safetensors', tmp_path/'b'/'part_0.json'
    good = f.read_bytes()
    f.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"labels_0001.safetensors' is damaged: .*; delete it") as e:
        relabel(x, t, path=tmp_path/'b', **RELABEL)
    assert '\n' not in str(e.value)
    f.unlink()
    relabel(x, t, path=tmp_path/'b', **RELABEL)
    assert bytes_in(tmp_path/'a') == bytes_in(tmp_path/'b')
    (tmp_path/'b'/'labels.json').unlink()
    for text in ('{', '[]', '{"who": 1}', '{"who": {}, "num_classes": 3, "sha256": []}', '['*10**5):
        part.write_text(text)
        with pytest.raises(ValueError, match=r"part_0.json' is damaged: .*; delete it") as e:
            relabel(x, t, path=tmp_path/'b', **RELABEL)
        assert '\n' not in str(e.value)


@pytest.mark.parametrize('soft', (None, 'rows', 'views'))
def test_the_batch_that_a_score_names_is_the_one_that_ran(soft):
    "With hard labels and rows the training's, with labels of views the labels' own."
    from dd_lit.data import ImageData
    from dd_lit.evaluate import evaluate
    from dd_lit.labels.soft import LiveLabels
    from dd_lit.sets import DistilledSet
    seen = []

    class Watched(torch.nn.Module):
        def __init__(self, num_classes, in_chans, size):
            super().__init__()
            self.net = tiny()

        def forward(self, x):
            seen.append(len(x) if self.training else 0)
            return self.net(x)

    x, y = images(), torch.arange(6) % 3
    pixels = (60*images(6) + 128).clamp(0, 255).byte()
    data = ImageData(pixels, y, pixels, y, ((.5,), (.2,)), list('abc'), 'toy')
    given = dict(views=LiveLabels(x, tiny().eval(), epochs=2, batch_size=4, crop=.5), rows=torch.randn(6, 3))
    loss = dict(loss='kl', hard=False, soft=given[soft]) if soft else dict(hard=False)
    if soft == 'rows':
        loss |= dict(soft_kind='logits')
    own = {} if soft == 'views' else dict(batch_size=3)          # 5 would leave one, which joins the others
    scores = evaluate(DistilledSet(x, y, data.norm, data.classes), data, Watched, repeats=1, epochs=2, **own, **loss)
    assert max(seen) == scores.config['batch_size'] == (4 if soft == 'views' else 3)
