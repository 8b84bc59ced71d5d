"""Public names that no page is about: tables of names, settings of methods, small helpers. Each does what it says."""
import contextlib
import dataclasses
import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import dd_lit
from dd_lit.augment import Augment, make_augment
from dd_lit.core import autocast, chosen_precision, has_bfloat16, rng, short_digest
from dd_lit.coreset.rded import RDED, RDEDSettings
from dd_lit.coreset.select import ChosenByNetwork, Forgetting, Herding, KCenter
from dd_lit.data import ImageData
from dd_lit.distill import check_writable, distill
from dd_lit.distribution.dm import DM, DMSettings
from dd_lit.evaluate import (
    RECIPE_VERSION,
    Evaluation,
    check_match,
    evaluate,
    named,
    patch_views,
    train_and_test,
)
from dd_lit.flow.features import VIT, FeatureNet, two_views
from dd_lit.flow.linear_gradient import LGMSettings
from dd_lit.flow.sfm import SFMSettings, real_centers
from dd_lit.gradient.dc import (
    DC,
    DCM,
    DCMD,
    DCMDA,
    DCMDO,
    SCHEDULES_NET,
    DCSettings,
    batch_sizes,
)
from dd_lit.gradient.dsa import SiameseDC, SiameseSettings
from dd_lit.labels.losses import HARD_LOSSES, get_loss, list_losses
from dd_lit.method import MethodSettings, get_method, list_methods
from dd_lit.models import create_model, list_models
from dd_lit.orthogonal.ogm import OGMSettings
from dd_lit.orthogonal.polar import MUON
from dd_lit.reproduce import NEUTRAL
from dd_lit.sets import DistilledSet, load_set, save_set, set_bytes, set_to_folder, show_set
from dd_lit.statistics.bn_matching import StatMatcher
from dd_lit.statistics.cda import CDASettings
from dd_lit.statistics.dwa import DWASettings
from dd_lit.statistics.gvbsm import GVBSMSettings
from dd_lit.statistics.lpld import LPLDSettings
from dd_lit.statistics.sre2l import SRe2LSettings
from dd_lit.study.cross_architecture import SIX
from dd_lit.teachers import FOUR, cache_file, cached, training_digest
from dd_lit.train import OPTIMIZERS, Training, make_optimizer
from dd_lit.trajectory.datm import DATM, DATMSettings
from dd_lit.trajectory.experts import ExpertSettings, train_expert
from dd_lit.trajectory.mtt import MTT, MTTSettings

def toy(n=12, channels=1, size=8, classes=3):
    x = torch.randint(0, 256, (2*n, channels, size, size), generator=rng(0, 'toy'), dtype=torch.uint8)
    y = torch.arange(2*n) % classes
    return ImageData(x[:n], y[:n], x[n:], y[n:], name='toy')


def small(channels=1, size=8, soft=None):
    x = torch.randn(6, channels, size, size, generator=rng(0, 'set'))
    return DistilledSet(x, torch.arange(6) % 3, ((.5,)*channels, (.2,)*channels), list('abc'), soft=soft)


# --- Methods and their settings ---

SETTINGS = dict(mtt=MTTSettings, datm=DATMSettings,
                rded=RDEDSettings, herding=ChosenByNetwork, k_center=ChosenByNetwork, dc=DCSettings,
                dsa=SiameseSettings, dm=DMSettings,
                sre2l=SRe2LSettings, cda=CDASettings, dwa=DWASettings, lpld=LPLDSettings, gvbsm=GVBSMSettings,
                ogm=OGMSettings, lgm=LGMSettings, sfm=SFMSettings)
CLASSES = dict(rded=RDED, herding=Herding, k_center=KCenter, forgetting=Forgetting, dc=DC, dc_m=DCM, dc_md=DCMD,
               mtt=MTT, datm=DATM, dc_mdo=DCMDO, dc_mda=DCMDA, dsa=SiameseDC, dm=DM)


@pytest.mark.parametrize('method', SETTINGS)
def test_a_method_has_these_settings(method):
    assert get_method(method).settings is SETTINGS[method] and issubclass(SETTINGS[method], MethodSettings)


@pytest.mark.parametrize('method', CLASSES)
def test_a_method_is_this_class(method):
    assert get_method(method) is CLASSES[method] and CLASSES[method].name == method


@pytest.mark.parametrize('method', list_methods())
def test_settings_are_frozen_and_stand_in_the_docstring(method):
    cls = get_method(method)
    s = cls.settings()
    for f in dataclasses.fields(s):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(s, f.name, None)
        assert f' {f.name}' in f' {cls.__doc__}', f.name


def test_variants_of_dc_differ_in_one_setting_each():
    "From each to the next; the two schedules from the same."
    told = lambda cls: cls.settings().to_dict()
    differ = lambda a, b: {k: v for k, v in told(b).items() if told(a)[k] != v}
    assert differ(DC, DCM) == dict(mode='multi') and differ(DCM, DCMD) == dict(distance='angle+l2')
    assert differ(DCMD, DCMDO) == dict(schedule='overfit') and differ(DCMD, DCMDA) == dict(schedule='adaptive')
    assert [told(c)['schedule'] for c in (DC, DCMDA, DCMDO)] == list(SCHEDULES_NET)
    assert told(Forgetting)['epochs'] == 2*told(Herding)['epochs']


def test_batch_sizes_of_the_union():
    real = [torch.zeros(n, 1) for n in (4, 2, 5)]
    assert batch_sizes(torch.zeros(6, 1), real) == dict(sizes_syn=[2, 2, 2], sizes_real=[4, 2, 5])


def test_autocast():
    x = torch.ones(2, 2)
    for precision, kind in dict(float32=torch.float32, bfloat16=torch.bfloat16).items():
        with autocast(precision, 'cpu'):
            assert (x @ x).dtype == kind
        assert chosen_precision(precision, 'cpu') == precision
    assert chosen_precision('auto', 'cpu') == ('bfloat16' if has_bfloat16('cpu') else 'float32')
    with pytest.raises(ValueError, match='precision: expected one of float32'):
        autocast('float16', 'cpu')


def test_how_not_what():
    "What a recipe lets its reader change is a setting of some method, and its default leaves the numbers as they are."
    fields = {f.name: f.default for m in list_methods() for f in dataclasses.fields(get_method(m).settings)}
    assert set(NEUTRAL) <= set(fields)
    data, kw = toy(), dict(iters=1, width=4, batch_real=4)
    a = distill('dc', data, 1, slice_size=2, **kw)
    assert torch.allclose(a.images, distill('dc', data, 1, **kw).images, atol=1e-5)


def test_short_digest():
    a = short_digest('a', 1, [2.])
    assert len(a) == 16 and set(a) <= set('0123456789abcdef') and a == short_digest('a', 1, [2.])
    assert a != short_digest('a', 1, [2]) and a != short_digest('a', (1, [2.]))


def test_a_folder_to_write_to(tmp_path):
    check_writable(tmp_path/'a'/'b')
    assert list((tmp_path/'a'/'b').iterdir()) == []
    (tmp_path/'file').write_text('')
    with pytest.raises(ValueError, match='is a file'):
        check_writable(tmp_path/'file')


def test_what_the_cache_is_keyed_by(tmp_path):
    "Another training, another digest; `cache_file` says where `cached` keeps, before and after."
    plain = dict(opt='sgd', momentum=0., weight_decay=0., schedule='constant')
    known = [training_digest(None, **plain), training_digest(None, **plain | dict(momentum=.9)),
             training_digest(make_augment('crop'), **plain)]
    assert len(set(known)) == 3 and known[0] == training_digest(None, **plain)
    net, place = nn.Linear(2, 2), (dict(a=1), 'x', tmp_path)
    file = cache_file(net, *place)
    assert not file.exists() and cached(net, lambda m: 7., *place)[1] == 7. and file.exists()
    assert cache_file(net, dict(a=2), 'x', tmp_path) != file != cache_file(nn.Linear(2, 2), *place)


def test_experts_of_photographs_are_mirrored():
    "All of DSA where nothing is said, but for digits; what is said is kept."
    photos, digits = toy(), toy()
    digits.name = 'mnist'
    assert 'flip' in ExpertSettings().settled(photos).augment and 'flip' not in MTT(digits, 1, device='cpu').cfg.augment
    assert ExpertSettings(augment='crop').settled(digits).augment == 'crop'
    with pytest.raises(ValueError, match='epochs: expected a whole number'):
        train_expert('mlp', photos, epochs=0)


# --- Networks ---

def test_tables_of_networks():
    "Every one can be made; those that are matched by their statistics have some."
    known = list_models()
    for o in (*FOUR, *SIX):
        assert named(o)[0] in known, o
    for n in FOUR:
        assert any(isinstance(m, nn.BatchNorm2d) for m in create_model(n, 2, 3, 32, seed=0).modules()), n


def test_pretrained_names():
    timm = pytest.importorskip('timm')
    assert set(VIT.values()) <= set(timm.list_pretrained())


@pytest.mark.parametrize('opt', OPTIMIZERS)
def test_every_optimiser_takes_a_step(opt):
    net = create_model('mlp', 3, 1, 8, seed=0)
    before = [p.clone() for p in net.parameters()]
    optim = make_optimizer(net.parameters(), opt, model=net)
    net(torch.randn(4, 1, 8, 8, generator=rng(0, 'x'))).square().sum().backward()
    optim.step()
    assert all(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert Training(opt=opt).opt == opt


def test_quintic_of_muon():
    "Five rounds bring every singular value near 1, from 0.05 on, and it rises there more than any cubic could let it."
    a, b, c = MUON
    x = torch.linspace(.05, 1, 500, dtype=torch.float64)
    for _ in range(5):
        x = a*x + b*x**3 + c*x**5
    assert .65 < x.min() and x.max() < 1.25 and a > 3


def test_statistics_of_any_layer():
    "The distance of what enters a layer to its target, by its definition; with a memory, that of the running mean."
    layer, x = nn.Linear(3, 2), torch.randn(5, 3, generator=rng(0, 'x'))
    y = torch.randn(5, 3, generator=rng(0, 'y'))
    target = torch.tensor([1., 0., -1.])
    for alpha, mean in ((0., y.mean(0)), (.25, .25*x.mean(0) + .75*y.mean(0))):
        m = StatMatcher(dict(one=layer), dict(one=(target,)), lambda z: (z.mean(0),), alpha=alpha)
        with m:
            for batch in (x, y):
                layer(batch)
                loss = m.loss()
        assert torch.allclose(loss, (mean - target).norm()), alpha
    with pytest.raises(ValueError, match='nothing is known'):
        StatMatcher(dict(one=layer), {}, lambda z: (z,))


def test_class_centres_of_features():
    net = FeatureNet(nn.Flatten(), ((.5,), (.2,)))
    data = toy()
    z = net(data.normalize(data.train_x)).flatten(1)
    want = torch.stack([z[data.train_y == c].mean(0) for c in range(3)])
    for batch_size in (5, 256):
        assert torch.allclose(real_centers(net, data, batch_size), want, atol=1e-6)


def test_two_views():
    "Of the same images, from the generator alone; as large, and different."
    x = torch.randn(4, 3, 8, 8, generator=rng(0, 'x'))
    a, b = two_views(x, rng(1, 'views'))
    again, _ = two_views(x, rng(1, 'views'))
    assert a.shape == b.shape == x.shape and torch.equal(a, again) and not torch.equal(a, b)
    whole, _ = two_views(x, rng(1, 'views'), crop=(1., 1.), jitter=0)
    assert torch.allclose(whole, x, atol=1e-4)


# --- Scores ---

def test_what_tables_call_things():
    def mine():
        pass
    assert named('sgd') == ('sgd', {}, 'sgd') and named(mine)[2] == 'mine'
    assert named(('kl', dict(T=4., scale=True))) == ('kl', dict(T=4., scale=True), 'kl T=4 scale=True')


def test_an_augmentation_is_a_function_of_batch_and_chance():
    "`Augment` says the types; every maker keeps to them."
    *takes, gives = Augment.__args__
    assert takes == [torch.Tensor, torch.Generator] and gives is torch.Tensor
    x = torch.randn(4, 1, 8, 8, generator=rng(0, 'x'))
    for aug in (make_augment('flip'), patch_views(2), patch_views(2, 'flip'), patch_views(2, make_augment('crop'))):
        assert aug(x, rng(0, 'aug')).shape == x.shape
        assert torch.equal(aug(x, rng(0, 'aug')), aug(x, rng(0, 'aug')))
    assert patch_views(1, 'flip') == 'flip' and patch_views(1) is None


def test_hard_losses_do_not_look_at_the_teacher():
    s, t, u = (torch.randn(4, 3, generator=rng(0, n)) for n in 'stu')
    y = torch.tensor([0, 1, 2, 0])
    blind = [n for n in list_losses() if torch.equal(get_loss(n)(s, t, y), get_loss(n)(s, u, y))]
    assert blind == list(HARD_LOSSES)


def test_a_set_fits_the_data_or_not():
    check_match(small(), toy())
    for data, word in ((toy(size=16), 'images are'), (toy(channels=3), 'images are'), (toy(classes=4), 'classes')):
        with pytest.raises(ValueError, match=word):
            check_match(small(), data)


def test_one_network_is_the_first_of_several():
    "`evaluate` is `train_and_test` from its seeds; its record says by which version of the recipe."
    ds, data = small(), toy()
    kw = dict(epochs=2, batch_size=4)
    s = evaluate(ds, data, 'mlp', repeats=2, seed=3, device='cpu', **kw)
    assert s.config['recipe'] == RECIPE_VERSION and Evaluation(repeats=2, seed=3).repeats == len(s.top1)
    top1, top5 = train_and_test(ds, data, 'mlp', 3, torch.device('cpu'), {}, **kw)
    assert 0 <= top1 <= top5 <= 100
    assert train_and_test(ds, data, 'mlp', 3, torch.device('cpu'), {}, **kw) == (top1, top5)


# --- Sets ---

def test_a_set_as_files(tmp_path):
    "The methods of `DistilledSet` are these functions."
    ds = small(soft=torch.randn(6, 3, generator=rng(0, 'soft')))
    assert save_set(ds, tmp_path/'a') == tmp_path/'a'
    ds.save(tmp_path/'b')
    back, same = load_set(tmp_path/'a'), DistilledSet.load(tmp_path/'b')
    for o in (back, same):
        assert torch.equal(o.images, ds.images) and torch.equal(o.soft, ds.soft) and o.classes == ds.classes
    parts = dict(images=6*64*4, labels=6*8, soft_labels=6*3*4)
    assert set_bytes(ds) == parts | dict(total=sum(parts.values())) == ds.nbytes()
    with pytest.raises(ValueError, match='does not exist'):
        load_set(tmp_path/'c')


def test_a_set_as_pictures(tmp_path):
    ds = small(channels=3)
    set_to_folder(ds, tmp_path/'pngs')
    files = sorted((tmp_path/'pngs').rglob('*.png'))
    assert [f.parent.name for f in files] == ['a', 'a', 'b', 'b', 'c', 'c']
    first = torch.from_numpy(np.array(Image.open(files[0]))).permute(2, 0, 1)/255
    assert (first - ds.pixels()[0]).abs().max() <= .5/255 + 1e-6
    fig = show_set(ds, path=tmp_path/'grid.png')
    assert len(fig.axes) == 6 and Image.open(tmp_path/'grid.png').width > 50
    with pytest.raises(ValueError, match='something in it'):
        set_to_folder(ds, tmp_path/'pngs')


def test_annotations_can_be_read():
    "The API pages evaluate them; a name that only a type checker knows would stop `make docs`."
    for m in pkgutil.walk_packages(dd_lit.__path__, 'dd_lit.'):
        module = importlib.import_module(m.name)
        for name in getattr(module, '__all__', ()):
            o = getattr(module, name)
            if inspect.isfunction(o) or inspect.isclass(o):
                with contextlib.suppress(ValueError, TypeError):       # some classes have no signature
                    inspect.signature(o, eval_str=True)
