"""Rows of the ledger that are cheap enough are measured again, each time: the verdict must come out as stored."""
import re
import shlex
import sys
from functools import partial
from html import escape
from statistics import median
from time import process_time

import pytest
import torch
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from dd_lit.data import load_data
from dd_lit.gradient.schedule import zeta_adaptive, zeta_constant
from dd_lit.labels.losses import get_loss
from dd_lit.reproduce import NEUTRAL, get_recipe, load_recipes

sys.path.insert(0, str(ROOT/'bench'))
import flow_cost
import label_cost
from checks import Finding, by_recipe, ogm_cost
from claims import BECAUSE, CLAIMS, REMARK, Claim
from ledger import TOGETHER, contradictory, decided, ledger
from ledger_page import ledger_html
from pages import starred
from scores import STRENGTH, choose_rates, load_results
from timing import in_turn, medians, saved_bytes, step
from verdicts import STRENGTHS, WORDS, apart, summary, tally, together, verdict

STORED = load_results(ROOT/'bench'/'results')


def test_no_seed_chooses_its_own_rate():
    "Each seed counts at the rate that is best in the mean of the others, whatever it scored itself."
    ran = [dict(data='d', row='r', seed=s, optimizers=dict(sgd={'.1': a, '.2': b}))
           for s, (a, b) in enumerate([(50., 10.), (20., 30.), (20., 31.)])]
    choose_rates(ran)
    assert [r['chosen'] for r in ran] == [dict(sgd=v) for v in (10., 20., 20.)]
    with pytest.raises(ValueError, match='several seeds of r on d, got one'):
        choose_rates(ran[:1])
    stored = STORED['muon_colour']['rows']
    assert {len(r['chosen']) for r in stored} == {3}
    assert all(r['chosen'][o] in at.values() for r in stored for o, at in r['optimizers'].items())


def verdict_of(text):
    return next(r['verdict'] for r in ledger(STORED) if r['text'].startswith(text))


def test_a_claim_names_a_table_only_where_we_have_it():
    "Its numbers are recipes; where a paper's tables are not at hand, a claim says what else it stands on."
    known = {(r.paper, r.table) for r in load_recipes().values()}
    known |= {(paper, table) for r in load_recipes().values() for paper, table, *_ in r.also}
    said = {(c.paper, table) for c in CLAIMS for table in re.findall(r'Table \d+', c.where)}
    assert said <= known and len(said) > 10, said - known


def test_theorem_of_gift():
    t = label_cost.theorem_trials()
    assert t['trials'] == STORED['label_cost']['theorem']['trials']
    assert (t['holds'] == t['trials']) == (verdict_of('InfoNCE is bounded') == 'holds')
    assert t['repaired'] == t['trials']


def test_time_and_memory_of_flow_matching():
    d = load_data('digits')
    steps = {n: partial(step, flow_cost.make(n, d, 'convnet3', 32, 1)) for n in ('sfm', 'lgm, 10 augmentations')}
    # of the processor, and nine of each: other work on the machine must not decide
    sfm, lgm = (median(v) for v in in_turn(steps, 9, clock=process_time).values())
    kept = [saved_bytes(f) for f in steps.values()]
    assert verdict_of('a step of SFM takes a quarter') == 'holds' and lgm > 4*sfm
    assert kept[1] > 8*kept[0]


def test_gift_costs_nothing():
    "The loss itself, without the network: what GIFT adds is below a twentieth of the stored step of KL."
    z, soft, hard = torch.randn(50, 10), torch.randn(50, 10), torch.randint(10, (50,))
    def loss_alone(name):
        get_loss(name)(z.clone().requires_grad_(), soft, hard).backward()
    took = medians(in_turn({l: partial(loss_alone, l) for l in ('kl', 'gift')}, 30))
    assert verdict_of('GIFT costs near nothing') == 'holds'
    assert took['gift'] - took['kl'] < .05*STORED['label_cost']['rows']['kl']


def test_adaptive_schedule_saves_updates():
    T, zeta = zeta_constant(10)
    assert sum(zeta_adaptive(t) for t in range(T - 1)) == 190 and zeta*(T - 1) == 450


def made_up(name, top1, strength='S', **more):
    return dict(name=name, method=name.split('/')[1], top1=top1, strength=strength) | more


@pytest.mark.parametrize(('word', 'pseudo', 'more'), [
    ('reproduced', [1., 1., 1.], {}), ('not reproduced', [1.3, 1.2, 1.4], {}),
    ('undecided', [1., 1., 1.2], {}),                                      # one round of three says otherwise
    ('undecided', [1., 1.], {}), ('undecided', [1., 1., 1.], dict(each={})), # too few; of medians alone
    ('out of date', [1., 1., 1.], dict(outdated='timed otherwise'))])
def test_a_cost_is_decided_by_all_rounds(word, pseudo, more):
    n = len(pseudo)
    each = {'pseudo': pseudo, 'pseudo, no SVD': [.95]*n, 'true': [1.]*n}
    row = dict(place='here', reps=n, text=dict(orthogonal_share='some'), each=each, orthogonal_share=.05) | more
    found, = ogm_cost('orthogonal_share', lambda v: v < .1)(dict(ogm_cost=dict(rows=[row])))
    assert found.word == word


@pytest.mark.parametrize(('word', 'better', 'worse'), [
    ('reproduced', [[60.], [61.], [62.]], [[50.], [51.], [52.5]]),         # set by set
    ('undecided', [[60., 61., 62.]], [[50., 51., 52.5]]),                  # networks on one set: of one draw
    ('not reproduced', [[50.], [51.], [52.5]], [[60.], [61.], [62.]]),
    ('undecided', [[60., 61.]], [[50., 51.]])])                            # two are not enough
def test_rows_of_the_tables_decide_orders(word, better, worse):
    rows = [made_up('cifar10/dc_md/ipc1', better), made_up('cifar10/dc/ipc1', worse, 'R')]
    rows.append(made_up('mnist/dc/ipc1', worse))
    found, = by_recipe('dc_md', 'dc')(dict(reproduced=dict(rows=rows)))
    assert (found.word, found.strength) == (word, 'R') and 'cifar10/dc_md/ipc1' in found.place
    rows[0]['outdated'] = 'why'
    found, = by_recipe('dc_md', 'dc')(dict(reproduced=dict(rows=rows)))
    assert found.word == 'out of date'


@given(st.lists(st.tuples(st.sampled_from(STRENGTHS), st.sampled_from(WORDS), st.integers(2, 5)), max_size=6))
def test_the_strongest_runs_decide(kinds):
    "Places of another strength change nothing; a strength without enough runs that count is passed over."
    places = [Finding('somewhere', '', word, s, n) for s, word, n in kinds]
    claim = Claim('dc', '', 'text', '', '', 'file', lambda results: places)
    r = decided(claim, {})
    counted = [f for f in places if f.strength == r['strength']]
    assert r['verdict'] == summary(f.word for f in counted) and r['tally'] == tally(f.word for f in counted)
    enough = [s for s in STRENGTHS if any(f.strength == s and f.word != 'out of date' and f.seeds >= 3 for f in places)]
    there = [s for s in STRENGTHS if any(f.strength == s for f in places)] or ['M']
    assert r['strength'] == (enough[0] if enough else there[-1])
    assert (r['verdict'] == 'not run') == (not places)                 # what was run is never called not run


@given(st.lists(st.lists(st.floats(-3, 3), min_size=2, max_size=5), min_size=1, max_size=4), st.booleans())
def test_all_places_are_asked_at_once(lists, at_least):
    "Only where the count of places leaves a claim undecided, only places with enough seeds, and all of those."
    places = []
    for i, v in enumerate(lists):
        diffs = dict(enumerate(v))
        word = verdict(diffs, dict.fromkeys(diffs, 0.), at_least).word
        places.append(Finding(f'place {i}', '', word, seeds=len(v), diffs=diffs, at_least=at_least))
    r = decided(Claim('dc', '', 'text', '', '', 'file', lambda results: places), {})
    enough, count = [f for f in places if f.seeds >= 3], summary(f.word for f in places)
    if count != 'undecided' or len(enough) < 2:
        assert r['together'] is None and r['verdict'] == count and r['pooled'] == 0
        return
    assert r['pooled'] == len(enough)
    v = r['together']
    assert v == together([f.diffs for f in enough], at_least) and r['verdict'] == TOGETHER[v.word]
    n = min(f.seeds for f in enough)
    mean = verdict({k: sum(f.diffs[k] for f in enough)/len(enough) for k in range(n)}, dict.fromkeys(range(n), 0.))
    assert v.low <= mean.low + 1e-9 and v.high >= mean.high - 1e-9 and abs(v.diff - mean.diff) < 1e-9


def test_contradictions_are_explained():
    "Where runs speak both for and against a claim, the ledger says in a sentence why."
    rows = ledger(STORED)
    for r in [r for r in rows if contradictory(r['places'])]:
        assert r['because'].endswith('.') and len(r['because'].split()) > 8, f"why both? {r['text']}"
        assert escape(r['because']) in ledger_html(rows)
    assert set(BECAUSE) <= {c.text for c in CLAIMS}
    for words, both in ((['reproduced', 'not reproduced'], True), (['reproduced', 'undecided'], False),
                        (['out of date', 'not reproduced'], False)):
        places = [Finding('p', '', w) for w in words]
        claim = Claim('sfm', '', next(iter(BECAUSE)), '', '', 'file', lambda results, places=places: places)
        assert bool(decided(claim, {})['because']) == contradictory(places) == both


def test_remarks_are_shown_whatever_the_verdict():
    "Also where no run counts."
    rows = [r for r in ledger(STORED) if r['remark']]
    assert {r['text'] for r in rows} == set(REMARK)
    for r in rows:
        assert r['remark'].endswith('.')
        for places in (r['places'], []):
            assert escape(r['remark']) in ledger_html([r | dict(places=places, together=None)])


def test_an_order_that_the_paper_has_the_other_way_round_is_a_claim_of_its_own():
    "At that place alone, where the usual order is not asked."
    rows = {r['text']: r for r in ledger(STORED, 'dc')}
    odd, where = 'on MNIST at one image per class ', lambda text: {f.place for f in rows[text]['places']}
    for one in ('intra-class matching', 'alternating the two'):
        assert where(f'{odd}{one} beats multi-level matching') == {'mnist, ipc 1'}
        assert 'mnist, ipc 1' not in where(f'multi-level matching beats {one}')
    assert rows[f'{odd}alternating the two beats multi-level matching']['verdict'] == 'does not hold'


def test_what_no_longer_counts_has_a_star():
    assert (starred('cifar10', True), starred('mnist', False)) == ('cifar10*', 'mnist')


def test_every_row_carries_its_strength():
    rows = [(name, r) for name, o in STORED.items() for r in o.get('rows', ()) if isinstance(r, dict)]
    assert len(rows) > 700 and {r['strength'] for _, r in rows} <= set(STRENGTHS)
    assert all(r['strength'] == STRENGTH[name] for name, r in rows if name in STRENGTH)


def test_places_apart():
    "Student's interval for one place; Welch's for the sum of two, whose mean is half of it."
    from scipy import stats
    a, b = [1., 2., 4.], [7., 3., 3., 5.]
    assert apart([a])[1:] == pytest.approx(tuple(stats.ttest_1samp(a, 0).confidence_interval(.95)))
    sums = stats.ttest_ind(a, [-v for v in b], equal_var=False).confidence_interval(.95)
    assert apart([a, b])[1:] == pytest.approx((sums.low/2, sums.high/2))
    assert apart([[1., 1.], [2., 2.]]) == (1.5, 1.5, 1.5)


def test_stored_rows_say_how_they_are_made_again():
    "Each command names the recipe, and parses; what it stores is what its recipe says."
    rows = STORED['reproduced']['rows']
    assert rows
    for r in rows:
        words = shlex.split(r['command'])
        assert words[:3] == ['dd_lit', 'reproduce', r['name']]
        recipe = get_recipe(r['name'])
        assert (recipe.published, recipe.deviation) == (r['published'], r['deviation'])
        asked = recipe.settings | ({'iters': r['settings'].get('iters')} if r['scale'] != 1 else {})
        if '--precision' in words and 'precision' in r['settings']:        # the command says it
            asked = asked | dict(precision=words[words.index('--precision') + 1])
        assert {k: v for k, v in r['settings'].items() if k not in NEUTRAL or k in asked} == asked, r['name']
        flat = [v for v in r['top1'] for v in v]
        assert abs(sum(flat)/len(flat) - r['mean']) < .01 or len(r['top1']) > 1
        assert len(flat) == r['sets']*r['networks'] or '--' in r['command']
        assert {'torch', 'cpu', 'threads', 'command', 'time'} <= set(r['made_with'])
