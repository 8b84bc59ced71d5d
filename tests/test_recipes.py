"""The table of recipes: its numbers are the papers', its names find the runs that are there, nothing in it pretends."""
import json
import re
from collections import Counter
from dataclasses import replace

import pytest
import torch
from cells import READERS, cleaned, in_place
from conftest import ROOT

from dd_lit.core import provenance, seed_of
from dd_lit.data import ImageData, load_data
from dd_lit.evaluate import Scores
from dd_lit.method import get_method, list_methods
from dd_lit.reproduce import Recipe, _folder, cost, get_recipe, line, load_recipes, reproduce

RECIPES = load_recipes()
PAPERS = ROOT.parent/'shared'/'papers'
# where a table begins and ends in the text of its paper
REGIONS = {
    ('dc', 'Table 1'): ('Dataset\t#Image/Class', 'Table 1: Test'),
    ('dc', 'Table 2'): ('Distance Function\tTest', 'Table 2: Test'),
    ('dc', 'Table 3'): ('Dataset\tIPC\tRandom\tHerding\tDC Baseline', 'Table 3: Ablation'),
    ('dc', 'Table 4'): ('source\\target\t', 'Table 4: Cross'),
    ('dc', 'Section 4.4'): ('to 45.7%', 'for 10 images per class'),
    ('dc', 'Section 4.5'): ('tiny ImageNet (200 classes', '- [30]'),
    ('gvbsm', 'Table 1'): ('$\\alpha \\backslash$ Evaluation Model', 'Table 1. ImageNet'),
    ('gvbsm', 'Table 2'): ('Method\tEvaluation Model', 'Table 2. ImageNet'),
    ('gvbsm', 'Table 3'): ('Candidates (Backbone)', 'Table 3. ImageNet'),
    ('gvbsm', 'Table 4'): ('Dataset\tIPC\tMTT [1]', 'Table 4. Comparison'),
    ('gvbsm', 'Table 5'): ('Dataset\tIPC\tCoreset Selection', 'Table 5. Comparison'),
    ('gvbsm', 'Table 6'): ('Logit Normalization\tEvaluation Model', 'Table 6. ImageNet'),
    ('gvbsm', 'Table 10'): ('C. Additional Ablation', 'Table 10. Ablation'),
    ('gvbsm', 'Table 11'): ('Evaluation Model\\Epoch', 'Table 11. Ablation'),
    ('gvbsm', 'Appendix D'): ('evaluation performance as', "It’s important"),
    ('ogm', 'soft labels'): ('Under the soft label setting', 'Under the hard label setting'),
    ('ogm', 'hard labels'): ('Under the hard label setting', 'Notably, OGM'),
    ('ogm', 'Table 3'): ('Configuration Soft Label', 'Key Findings'),
    ('gift', 'Table 1'): ('Table 1: Comparison with the state', 'Table 2: Comparison'),
    ('gift', 'Table 2'): ('Table 2: Comparison with the state', '5.2 Can GIFT'),
    ('gift', 'Table 3'): ('Table 3: Comparison with the knowledge', '5.4 Can GIFT'),
    ('gift', 'Table 4'): ('Table 4: Top-1 accuracy on cross-arch', 'Table 5: Top-1'),
    ('gift', 'Table 5'): ('Table 5: Top-1 accuracy on cross-opt', 'Cross-optimizer Generalization.'),
    ('gift', 'Table 6'): ('Table 6: Comparsion', 'Are Both Modules'),
    ('gift', 'Table 7'): ('Table 7: Ablation study', 'Influence of Hyper'),
    ('gift', 'Table 9'): ('Table 9: Accuracy', 'Baselines.'),
    ('gift', 'Table 12'): ('Table 12: Top-1', 'Influence of Hyper-parameter'),
    ('gift', 'Table 13'): ('Table 13: Ablation', 'Appendix E Pytorch'),
}
# Tables whose text is not in the papers folder: typed in here a second time, from the specification, in the order of
# the recipes
RELEASES: dict = {
    ('cda', 'release'): [53.5, 58.0, 63.3, 48.7, 53.2],
    ('dwa', 'release'): [32.6, 53.1, 39.6, 60.9, 45.0, 63.3, 37.9, 55.2],
    ('lpld', 'release'): [20.2, 20.1, 38.4],
    ('dsa', 'release'): [88.7, 97.8, 99.2, 28.8, 52.1, 60.6, 13.9, 32.3, 42.8],
    # with the deviations of G-VBSM's table, which prints most of these again
    ('dm', 'release'): [26.0, (48.9, .6), (63.0, .4), (11.4, .3), (29.7, .3), (43.6, .4), 3.9, 12.9, 24.1],
}
# The same, as a table of DATM's release has them; their papers are not here either
RELEASES |= {('mtt', 'Table 1'): [46.2, 65.4, 71.6, 24.3, 39.7, 47.7],
             ('datm', 'Table 1'): [46.9, 66.8, 76.1, 27.9, 47.2, 55.0, 17.1, 31.1, 39.7]}
# numbers in these regions that are no results: said twice, or of another kind
NOT_ROWS = {('gvbsm', 'Appendix D'): Counter({(32.8, None): 1})}


def places() -> dict[tuple[str, str], list[tuple[float, float | None]]]:
    "(paper, table) -> what the recipes say stands there."
    out: dict = {}
    for r in RECIPES.values():
        if r.published is not None:
            out.setdefault((r.paper, r.table), []).append((r.published, r.deviation))
        for paper, table, _, mean, deviation in r.also:
            out.setdefault((paper, table), []).append((mean, deviation))
    return out


def numbers(text: str) -> list[tuple[float, float | None]]:
    "The results in a sentence: with deviation, or in percent."
    found = [(float(a), float(b)) for a, b in re.findall(r'(\d+\.\d+)\s*±\s*(\d+\.?\d*)', cleaned(text))]
    return found or [(float(a), None) for a in re.findall(r'(\d+\.\d+)\s*%', text)]


def cells() -> dict[tuple[str, str], list]:
    "(paper, table) -> (row, data, images per class, mean, deviation), as the recipes have them."
    out: dict = {}
    for r in RECIPES.values():
        own = [(r.paper, r.table, r.row, r.published, r.deviation)] if r.published is not None else []
        for paper, table, row, mean, deviation in [*own, *r.also]:
            out.setdefault((paper, table), []).append((row, r.data, r.ipc, mean, deviation))
    return out


def test_every_place_has_a_region():
    assert set(places()) == set(REGIONS) | set(RELEASES)


@pytest.mark.parametrize('where', RELEASES, ids=lambda w: ' '.join(w))
def test_numbers_are_the_releases(where):
    assert places()[where] == [v if isinstance(v, tuple) else (v, None) for v in RELEASES[where]]


@pytest.mark.skipif(not PAPERS.is_dir(), reason='the papers are not here')
@pytest.mark.parametrize('where', REGIONS, ids=lambda w: ' '.join(w))
def test_numbers_are_the_papers(where):
    """All that a table says is a row, and all that rows say stands in their table: in that row and column, for that
    dataset and as many images."""
    begin, end = REGIONS[where]
    text = (PAPERS/f'{where[0]}.txt').read_text(encoding='utf-8')
    at = text.index(begin)
    text = text[at:text.index(end, at + len(begin))]
    if where in READERS:
        there, here = Counter(in_place(where, text)), Counter(cells()[where])
    else:
        there, here = Counter(numbers(text)), Counter(places()[where])
        there -= NOT_ROWS.get(where, Counter())
    assert here == there, (here - there, there - here)


# what a row is called, and what must then stand in its recipe
MODELS = {'ResNet-18': 'resnet18', 'ResNet-50': 'resnet50', 'ResNet-101': 'resnet101', 'ResNet': 'resnet18',
          'ConvNet': 'convnet', 'MLP': 'mlp', 'LeNet': 'lenet', 'AlexNet': 'alexnet', 'VGG': 'vgg11',
          'EfficientNet-B0': 'efficientnet_b0', 'MobileNet-V2': 'mobilenet_v2', 'MobileNetV2': 'mobilenet_v2',
          'Swin-V2-Tiny': 'swin_v2_t', 'Swin-Tiny': 'swin_t', 'DeiT-Tiny': 'timm:deit_tiny_patch16_224'}
LOSSES = {'Ours': 'gift', 'GIFT': 'gift', 'Refine and Loss': 'gift', 'Refine + Loss': 'gift', 'Refine': 'refine_kl',
          'Loss': 'cosine', 'neither': 'kl', 'KD': 'kd', 'WSLD': 'wsld', 'DKD': 'dkd', 'NKD': 'nkd', 'CE': 'ce',
          'KL': 'kl', 'MSE': 'mse', 'Soft CE': 'soft_ce', 'KL + CE': 'kl_ce', 'MSE + CE': 'mse_ce',
          'Soft CE + CE': 'soft_ce_ce', 'MSE + 0.1 GT': 'mse_ce', 'hard': 'ce'}
METHODS = {'SRe2L': 'sre2l', 'RDED': 'rded', 'DATM': 'datm', 'G-VBSM': 'gvbsm', 'OGM': 'ogm', 'Random': 'random',
           'Herding': 'herding', 'K-Center': 'k_center', 'Forgetting': 'forgetting', 'DC Baseline': 'dc', 'DC': 'dc',
           'Ours-M': 'dc_m', 'Ours-MD': 'dc_md', 'Ours-MDO': 'dc_mdo', 'Ours-MDA': 'dc_mda', 'DM': 'dm', 'MTT': 'mtt',
           'CDA': 'cda', 'DWA': 'dwa', 'LPLD': 'lpld', 'DSA': 'dsa', 'Whole Training Set': 'whole',
           'Whole Dataset': 'whole', 'Teacher': 'whole'}


def called(row: str) -> dict[str, str]:
    "What the words of a row's name say: method, network, loss, optimiser."
    method, _, more = row.partition(' + ')
    words = row.split(', ')
    loss = next((LOSSES[w] for w in [*words, more.split(', ')[0]] if w in LOSSES), None)
    said = dict(method=METHODS.get(method.split(', ')[0]), loss=loss)
    said |= dict(opt=words[-1].lower() if words[-1] in ('SGD', 'Adam', 'AdamW') else None)
    said |= dict(model=next((MODELS[w] for w in words[::-1] if w in MODELS), None))
    return {k: v for k, v in said.items() if v}


def test_a_row_runs_what_it_is_called():
    "Method, network, loss and optimiser of a recipe are those that its row is named after, in every table."
    seen = Counter()
    for name, r in RECIPES.items():
        loss = r.evaluate.get('loss', 'ce')
        runs = dict(method=r.method, model=r.evaluate.get('model', 'convnet3'), opt=r.evaluate.get('opt', 'adamw'),
                    loss=loss[0] if isinstance(loss, list) else loss)
        # five numbers that Table 6 has for GIFT are those that Tables 7 and 13 have for its loss without refinement
        loss_alone = ['gift', 'Table 6', 'GIFT', r.published, r.deviation]
        for where in r.also:
            if list(where) == loss_alone and 'Loss' in r.row:
                seen['printed as GIFT'] += 1
        for row in [r.row, *(a[2] for a in r.also if list(a) != loss_alone or 'Loss' not in r.row)]:
            for k, v in called(row).items():
                if r.lacks and not r.evaluate and k != 'method':
                    continue
                same = runs[k].startswith(v) if v == 'convnet' else runs[k] == v
                assert same, (name, row, k, runs[k])
                seen[k] += 1
    assert min(seen[k] for k in ('method', 'model', 'loss', 'opt')) > 50, seen
    assert seen['printed as GIFT'] == 5


def test_names():
    kind = re.compile(r'[a-z0-9_]+/[a-z0-9_]+/(ipc\d+|all)(@[a-z0-9_.+-]+(,[a-z0-9_.+-]+)*)?')
    for name, r in RECIPES.items():
        assert kind.fullmatch(name), name
        others = name.partition('@')[2].split(',')
        assert r.on is None or (r.on in RECIPES and RECIPES[r.on].on is None), name
        assert len(set(others)) == len(others) or others.count('gift') == 2, name


def test_no_row_pretends():
    "What can be run has a method and somebody to label; what cannot says why, and has no settings."
    for name, r in RECIPES.items():
        if r.lacks:
            assert all(r.lacks), name
            continue
        assert r.method in (*list_methods(), 'whole'), name
        if r.relabel and not r.teachers:
            cls = get_method(r.method)
            assert hasattr(cls, 'nets') or hasattr(cls, 'teacher'), name
        soft = r.evaluate.get('loss', 'ce') != 'ce'
        assert not soft or r.relabel or r.method == 'datm', name       # whose sets bring labels of their own
        assert r.settings or r.method in ('random', 'herding', 'k_center', 'forgetting', 'whole'), name


@pytest.mark.parametrize('name', [n for n, r in RECIPES.items() if r.lacks][::11])
def test_what_is_lacking_is_said(name, tmp_path):
    with pytest.raises(ValueError, match='cannot be run, dd_lit lacks') as e:
        reproduce(name, tmp_path)
    assert '\n' not in str(e.value) and not list(tmp_path.iterdir())


SMALL = Recipe('digits/dc/ipc1', paper='none', table='none', row='none', data='digits', method='dc', ipc=1, sets=2,
               networks=2, settings=dict(iters=20, width=8, batch_real=20), published=50., deviation=2.,
               evaluate=dict(protocol='dc', epochs=20, model_kw=dict(width=8)))


def test_runs_that_are_there_are_found():
    "The folder that a stored run lies in: another name, and weeks of runs would be made again."
    assert _folder(SMALL, load_data('digits'), SMALL.settings, 'x').name == 'digits_dc_ipc1_16036d43'


def test_real_runs_are_found():
    try:
        data = load_data('mnist')
    except FileNotFoundError:
        pytest.skip('MNIST is not here')
    names = {'mnist/random/ipc1': 'd95b1585', 'mnist/dc/ipc1': '5133e3a4', 'mnist/dc_md/ipc1': 'b9b8cc99',
             'mnist/dc_inter/ipc1': '08f36455'}
    for name, digest in names.items():
        r = get_recipe(name)
        assert _folder(r, data, r.settings, 'x').name == f"{name.replace('/', '_')}_{digest}"


@pytest.mark.slow
def test_a_network_of_a_stored_row_is_made_again(tmp_path):
    "The cheapest row at full strength: its first network, from nothing, is the one whose accuracy is stored."
    rows = json.loads((ROOT/'bench'/'results'/'reproduced.json').read_text())['rows']
    row = min((r for r in rows if r['strength'] == 'S'), key=lambda r: cost(get_recipe(r['name'])).hours)
    try:
        load_data(row['data'])
    except FileNotFoundError:
        pytest.skip(f"{row['data']} is not here")
    here, there = provenance(), row['made_with']
    o = reproduce(row['name'], tmp_path, sets=1, networks=1)
    same = all(here[k] == there[k] for k in ('cpu', 'torch', 'threads', 'gpu'))
    apart = .005 if same else 1.5                          # another order of sums, a thousand steps long
    assert abs(o['top1'][0][0] - row['top1'][0][0]) <= apart, (row['name'], o['top1'], row['top1'][0])


def toy() -> ImageData:
    x = torch.arange(24*8*8).remainder(251).view(24, 1, 8, 8).byte()
    return ImageData(x, torch.arange(24) % 2, x, torch.arange(24) % 2, name='toy')


def taught(cache, epochs: int, sets: int, networks: int) -> Recipe:
    "Random images of the toy, labelled by a network for so many epochs."
    return Recipe('toy/random/ipc2', 'none', 'none', 'none', 'toy', 'random', 2, {}, published=50., deviation=None,
                  evaluate=dict(model='mlp', model_kw=dict(width=4), epochs=epochs, loss='kl'), sets=sets,
                  networks=networks, teachers=dict(names=['mlp'], epochs=1, width=4, cache=str(cache)),
                  relabel=dict(epochs=epochs, batch_size=2, crop=.5))


def test_interrupted_and_taken_up(tmp_path, monkeypatch):
    "Killed after the labels, then again: the numbers of one that was not; and what was there is not touched."
    import dd_lit.reproduce as m
    monkeypatch.setattr(m, 'load_data', lambda *a, **kw: toy())
    r = taught(tmp_path/'cache', epochs=3, sets=1, networks=2)
    once = reproduce(r, tmp_path/'a')
    with monkeypatch.context() as c:
        def killed(*a, **kw):
            raise KeyboardInterrupt
        c.setattr(m, 'evaluate', killed)
        with pytest.raises(KeyboardInterrupt):
            reproduce(r, tmp_path/'b')
    labels = list((tmp_path/'b').rglob('labels.json'))
    assert len(labels) == 1 and not list((tmp_path/'b').rglob('network*.json'))
    before = labels[0].stat().st_mtime_ns
    assert reproduce(r, tmp_path/'b')['top1'] == once['top1']
    assert labels[0].stat().st_mtime_ns == before
    stored = json.loads(next((tmp_path/'b').rglob('result.json')).read_text())
    assert stored['top1'] == once['top1'] and stored['recipe']['relabel'] == r.relabel


@pytest.mark.parametrize(('published', 'deviation', 'networks', 'word'), [
    (0., None, 3, 'reached'), (1.9, 1., 3, 'reached'), (2.1, 1., 3, 'below'), (-2.1, 1., 3, 'above'),
    (1.1, None, 3, 'below'), (0., None, 2, 'not comparable'), (None, None, 3, 'not comparable')])
def test_verdicts(tmp_path, monkeypatch, published, deviation, networks, word):
    "Within a point or two deviations of what was published, by three networks at least."
    import dd_lit.reproduce as m
    monkeypatch.setattr(m, 'load_data', lambda *a, **kw: toy())
    monkeypatch.setattr(m, 'evaluate', lambda *a, **kw: Scores([60.], [60.], config={}))
    r = Recipe('toy/random/ipc1', 'none', 'none', 'none', 'toy', 'random', 1, {}, evaluate=dict(model='mlp'), sets=1,
               networks=networks, published=None if published is None else 60 + published, deviation=deviation)
    o = reproduce(r, tmp_path)
    assert o['verdict'] == word and line(o).endswith(word)


def test_sets_and_labels_of_another_row(tmp_path, monkeypatch):
    "A row that stands on another scores its very sets and labels; every set's labels have a seed of their own."
    import dd_lit.reproduce as m
    monkeypatch.setattr(m, 'load_data', lambda *a, **kw: toy())
    r = taught(tmp_path/'cache', epochs=2, sets=2, networks=1)
    reproduce(r, tmp_path/'a')
    monkeypatch.setattr(m, 'get_recipe', lambda name: r)
    made = sorted((tmp_path/'a').rglob('labels.json')) + sorted((tmp_path/'a').rglob('*.safetensors'))
    stamps = [f.stat().st_mtime_ns for f in made]
    reproduce(replace(r, name='toy/random/ipc2@mse', on=r.name, evaluate=r.evaluate | dict(loss='mse')), tmp_path/'a')
    now = sorted((tmp_path/'a').rglob('labels.json')) + sorted((tmp_path/'a').rglob('*.safetensors'))
    assert now == made and [f.stat().st_mtime_ns for f in made] == stamps
    seeds = [json.loads(f.read_text())['settings']['seed'] for f in made if f.name == 'labels.json']
    assert seeds == [seed_of(s, 'labels') for s in range(2)] and len(set(seeds)) == 2


@pytest.mark.parametrize('method', ['sre2l', 'gvbsm', 'ogm', 'rded', 'herding', 'forgetting', 'dc', 'random'])
def test_what_is_not_said_costs_as_if_it_were(method):
    "The hours of a recipe that leaves a default out are those of one that spells it out."
    given = dict(sre2l=dict(backbones=('resnet18',), iters=1000), gvbsm=dict(iters=4000), ogm=dict(iters=1000),
                 rded=dict(backbone='resnet18'), herding=dict(model='convnet3', epochs=10), forgetting=dict(epochs=20),
                 dc=dict(iters=1000), random={})[method]
    r = Recipe(f'cifar10/{method}/ipc1', 'none', 'none', 'none', 'cifar10', method, 1, {}, evaluate=dict(protocol='dc'),
               sets=1, networks=1, published=None, deviation=None)
    plain, spelt = cost(r), cost(replace(r, settings=given))
    assert plain == spelt and plain is not None
    alone = cost(replace(r, method='random', settings={}))
    assert plain.hours > alone.hours or method == 'random'


def test_pruned_labels_of_a_recipe(tmp_path, monkeypatch):
    "Made once, kept, found again: the numbers are those of the first run, and a fifth of the labels is there."
    import dd_lit.reproduce as m
    from dd_lit.statistics.lpld import PrunedLabels
    monkeypatch.setattr(m, 'load_data', lambda *a, **kw: toy())
    r = taught(tmp_path/'cache', epochs=10, sets=1, networks=1)
    r = replace(r, relabel=r.relabel | dict(prune=.8))
    once = reproduce(r, tmp_path/'a')
    index, = (tmp_path/'a').rglob('labels.json')
    assert len(PrunedLabels.load(index.parent)) == 4                  # of ten epochs of two batches
    before = index.stat().st_mtime_ns
    for f in (tmp_path/'a').rglob('network*.json'):
        f.unlink()
    assert reproduce(r, tmp_path/'a')['top1'] == once['top1'] and index.stat().st_mtime_ns == before


@pytest.mark.parametrize('text', ['', '[]', '{}', '{"top1": "50", "seconds": 1}'])
def test_a_damaged_network_is_named(tmp_path, monkeypatch, text):
    "What lies there is never a traceback, and never a score."
    import dd_lit.reproduce as m
    monkeypatch.setattr(m, 'load_data', lambda *a, **kw: toy())
    r = replace(taught(tmp_path/'cache', epochs=1, sets=1, networks=1), teachers=None, relabel=None,
                evaluate=dict(model='mlp', model_kw=dict(width=4), epochs=1))
    reproduce(r, tmp_path/'a')
    file, = (tmp_path/'a').rglob('network0.json')
    file.write_text(text)
    with pytest.raises(ValueError, match='network0.json.* is damaged'):
        reproduce(r, tmp_path/'a')


@pytest.mark.parametrize(('words', 'then'), [
    (['reproduce', 'mnist/random/ipc1'], 'goes on: sets and networks that are done stay'),
    (['list'], 'starts anew, but keeps sets that are done')])
def test_an_interrupted_command_says_what_it_will_do(call, monkeypatch, words, then):
    "A row goes on where it was stopped, network by network."
    def stopped(*a, **kw):
        raise KeyboardInterrupt
    monkeypatch.setattr('dd_lit.cli.carry_out', stopped)
    p = call(*words, check=130)
    assert p.stderr.strip() == f'dd_lit {words[0]}: interrupted; the same command {then}'


def test_every_row_that_can_run_says_what_it_costs():
    "A bound where a network stops by itself."
    rows = list(load_recipes().values())
    unknown = [r.name for r in rows if not r.lacks and cost(r) is None]
    assert not unknown
    assert [r.name for r in rows if (c := cost(r)) and c.at_most] == \
           [r.name for r in rows if r.method == 'dc_mdo' or r.settings.get('schedule') == 'overfit']
