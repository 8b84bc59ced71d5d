"""How a claim is checked: functions of the stored runs that return one finding per place.

`order` checks 'A beats B' on a table of runs. The rest are the few claims that are put otherwise:
about time, memory, one theorem, or a comparison with half of something.
"""
from collections.abc import Callable, Iterator
from statistics import fmean
from typing import NamedTuple

from dd_lit.core import counted
from scores import STRENGTH, Table, merged, scores
from verdicts import SEEDS, STRENGTHS, common_seeds, interval, verdict

class Finding(NamedTuple):
    "What one place says about a claim."
    place: str
    text: str   # our numbers
    word: str   # reproduced, not reproduced, alike, undecided, out of date
    strength: str = 'M'   # of the runs, see `STRENGTHS`
    seeds: int = SEEDS    # that both sides have
    file: str = ''        # of the runs, without .json; '': that of the claim
    diffs: dict | None = None   # seed -> difference in favour of the claim
    at_least: bool = False      # is a tie enough?


Check = Callable[[dict], list[Finding]]    # stored runs (from `load_results`) -> findings


def yes_or_no(good: bool) -> str:
    return 'reproduced' if good else 'not reproduced'


def out_of_date(places, strength: str = 'M') -> list[Finding]:
    return [Finding(place, '', 'out of date', strength) for place in places]


# --- orders ---

def order(
    table: str, better: str, worse: str,   # rows of a table of runs
    only: str = '',                        # places that contain this
    at_least: bool = False,                # is a tie enough?
    not_in: str | None = None,             # but not this
) -> Check:
    "The check of 'better beats worse', wherever both have at least two seeds."
    strength = STRENGTH.get(table, 'M')

    def check(results):
        new, old = scores(results, table), scores(results, table, outdated=True)
        pairs = lambda t: _pairs(t, better, worse, only, not_in)
        found = [_compared(place, a, b, at_least, strength) for place, a, b in pairs(new)]
        out = [f._replace(file=table) for f in found]
        gone = {place for place, *_ in pairs(merged(new, old))} - {f.place for f in out}
        return out + out_of_date(sorted(gone), strength)
    return check


def _pairs(table: Table, better, worse, only, not_in) -> Iterator[tuple[str, dict, dict]]:
    "Places in which both rows have at least two common seeds: (place, better, worse)."
    for place, rows in table.items():
        a, b = rows.get(better, {}), rows.get(worse, {})
        wanted = only in place and (not_in is None or not_in not in place)
        if wanted and len(common_seeds(a, b)) > 1:
            yield place, a, b


def _compared(place: str, a: dict, b: dict, at_least: bool, strength: str) -> Finding:
    v, seeds = verdict(a, b, at_least), common_seeds(a, b)
    ours, theirs = (fmean(x[k] for k in seeds) for x in (a, b))
    diffs = {k: a[k] - b[k] for k in seeds}
    text = f'{ours:.1f} against {theirs:.1f} ({v})'
    return Finding(place, text, v.word, strength, v.seeds, diffs=diffs, at_least=at_least)


def by_recipe(
    better: str, worse: str,   # in the middle of the names of recipes: cifar10/dc_md/ipc1
    at_least: bool = False,    # is a tie enough?
) -> Check:
    """The check of 'better beats worse' on rows that `dd_lit reproduce` has run: pairs of names that
    differ in that, set by set. Networks on one set each say how far apart these two sets are, and
    decide nothing about the methods."""
    def check(results):
        rows = {r['name']: r for r in results.get('reproduced', {}).get('rows', [])}
        out = []
        for name, a in rows.items():
            b = rows.get(name.replace(f'/{better}/', f'/{worse}/'))
            if name.split('/')[1] == better and b is not None:
                out.append(_two_recipes(a, b, at_least))
        return out
    return check


def _two_recipes(a: dict, b: dict, at_least: bool) -> Finding:
    sets = min(len(a['top1']), len(b['top1'])) >= SEEDS
    ours, theirs = (_by_run(r['top1'], sets) for r in (a, b))
    place = f"{a['name']} over {'sets' if sets else 'networks on one set'}"
    weak = max(a['strength'], b['strength'], key=STRENGTHS.index)
    if a.get('outdated') or b.get('outdated'):
        return Finding(place, '', 'out of date', weak)
    found = _compared(place, ours, theirs, at_least, weak)._replace(file='reproduced')
    if sets:
        return found
    return found._replace(word='undecided', seeds=1, diffs=None)               # another set may lie elsewhere


def _by_run(top1: list[list[float]], sets: bool) -> dict:
    "Accuracies by set (the mean of its networks), or by network of the first set."
    return dict(enumerate(map(fmean, top1) if sets else top1[0]))


def both(*checks: Check) -> Check:
    "The findings of all these checks, one after the other."
    return lambda results: [f for check in checks for f in check(results)]


def kept(keep: Callable[[str], bool], check: Check) -> Check:
    "The findings of a check in the places that `keep` keeps."
    return lambda results: [f for f in check(results) if keep(f.place)]


def alive(
    file: str,     # name of a file of stored runs that counts as a whole or not at all
    check: Check,
) -> Check:
    "The same check, out of date where the file is."
    def guarded(results):
        gone = results.get(file, {}).get('outdated')
        return [f._replace(word='out of date') if gone else f for f in check(results)]
    return guarded


# --- gradient matching ---

def dc_cost(part: str) -> Check:
    "Less than 1 % on top of a step of DC? The same step measured twice says how sure we are."
    def check(results):
        out = []
        for ipc, parts in results.get('dc_cost', {}).get('parts', {}).items():
            if part not in parts:
                continue
            noise = abs(parts['dc again']['over_dc_percent']) if 'dc again' in parts else 0.
            v = parts[part]['over_dc_percent']
            word = 'undecided' if v - noise <= 1 <= v + noise else yes_or_no(v < 1)
            text = f'{v:+.1f} % (the same step measured twice: {noise:.1f} %)'
            out.append(Finding(f'ipc {ipc}', text, word))
        return out
    return alive('dc_cost', check)


def adaptive_saves(percent: float) -> Check:
    """Does the adaptive schedule save so much of the time? It was timed once, so the number of
    epochs that its networks train, which no clock decides, has to say the same."""
    def check(results):
        if 'dc_cost' not in results:
            return []
        a = results['dc_cost']['adaptive']
        v = a['saved_percent']
        epochs = 100*(1 - a['adaptive']['net_epochs']/a['constant']['net_epochs'])
        same = (v >= percent) == (epochs >= percent)
        text = f'{v:.0f} % of the time (timed once) and {epochs:.0f} % of the epochs of networks saved'
        return [Finding('ipc 10', text, yes_or_no(v >= percent) if same else 'undecided')]
    return alive('dc_cost', check)


def best_source(source: str) -> Check:
    """One source network's images against each other's, target by target: the targets are the
    pairs, and neither network is tested on its own images."""
    def check(results):
        c = results.get('cross_architecture')
        if not c:
            return []
        by = {}
        for s, row in zip(c['sources'], c['mean'], strict=True):
            by[s] = {t: v for t, v in zip(c['targets'], row, strict=True) if v is not None}
        out = []
        for s in by:
            if s == source:
                continue
            ours = {t: v for t, v in by.get(source, {}).items() if t not in (source, s)}
            if len(common_seeds(ours, by[s])) > 1:
                v = verdict(ours, by[s], level=.95)        # four networks, asked once
                text = f'{v} over {v.seeds} networks'
                out.append(Finding(f'mnist, ipc 1, against {s}', text, v.word))
        return out
    return alive('cross_architecture', check)


def by_rounds(ours: list[float], theirs: list[float], below: float) -> tuple[str, str]:
    """Seconds of two things that were timed in turn: is the first less than so many times the second?
    Decided by three rounds or more, if the interval of their ratios lies on one side. (word, ratios)"""
    ratios = [a/b for a, b in zip(ours, theirs, strict=True)]
    if len(ratios) < SEEDS:
        return 'undecided', f"{counted(len(ratios), 'timing')}"
    mean, low, high = interval(ratios)
    word = yes_or_no(high < below) if high < below or low > below else 'undecided'
    return word, f'{mean:.2f}x [{low:.2f}, {high:.2f}] in {len(ratios)} rounds'


# --- statistical matching and orthogonal gradients ---

def dropping_is_cheaper(results: dict) -> list[Finding]:
    "A step of G-VBSM that drops statistics at random against one that does not."
    rows = results.get('statistics_cost', {}).get('rows', {})
    a, b = (rows.get(f'+ conv statistics, beta_dr {v}') for v in ('0', '0.4'))
    if not (a and b):
        return []
    text = f"{a['ratio']:.2f}x of SRe2L without dropping, {b['ratio']:.2f}x with"
    word, said = by_rounds(b['seconds'], a['seconds'], 1)
    return [Finding('digits', f'{text}; {said}', word)]


OF_OGM = dict(orthogonal_share=lambda s: (s['pseudo'] - s['pseudo, no SVD'])/s['pseudo'],
              true_over_pseudo=lambda s: s['true']/s['pseudo'])


def ogm_cost(key: str, good: Callable[[float], bool]) -> Check:
    "One number of `ogm_cost.json` in each place: decided if three rounds or more were timed, and all of them agree."
    def word(r):
        if r.get('outdated'):
            return 'out of date'
        each = r.get('each', {})
        said = {good(OF_OGM[key]({k: v[i] for k, v in each.items()})) for i in range(r['reps'])} if each else set()
        return yes_or_no(said.pop()) if r['reps'] >= 3 and len(said) == 1 else 'undecided'
    def check(results):
        rows = results.get('ogm_cost', {}).get('rows', [])
        return [Finding(r['place'], f"{r['text'][key]}; {r['reps']} timings", word(r)) for r in rows]
    return check


# --- flow matching ---

def flow_cost(
    at_least: float,   # times
    **units: str,      # column of `flow_cost.json` -> what it measures
) -> Check:
    "How many times as much LGM with ten augmentations needs as SFM."
    def check(results):
        c = results.get('flow_cost')
        if not c:
            return []
        place = f"{c['data']}, {c['model']}, ipc {c['ipc']}"
        lgm, sfm = c['rows']['lgm, 10 augmentations'], c['rows']['sfm']
        out = []
        for k, unit in units.items():
            times = lgm[k]/sfm[k]
            word, text = yes_or_no(times >= at_least), f'LGM with ten augmentations: {times:.1f}x {unit}'
            if k == 'median_s':                  # a clock scatters, bytes do not
                word, said = by_rounds(sfm['seconds'], lgm['seconds'], 1/at_least)
                text += f'; SFM {said}'
            out.append(Finding(place, text, word))
        return out
    return alive('flow_cost', check)


def near_full_data(table: str, margin: float) -> Check:
    "One image per class with an inherited classifier: within so many points of all data?"
    strength = STRENGTH.get(table, 'M')

    def check(results):
        rows = results.get(table, {}).get('rows', [])
        ours, full, old = {}, {}, set()
        for r in rows:
            if (r['row'], r['ipc']) != ('sfm', 1):
                continue
            place = f"{r['data']}, ipc 1, {r['net']}"
            if r.get('outdated'):
                old.add(place)
                continue
            ours.setdefault(place, {})[r['seed']] = fmean(r['accuracy'][f"{r['net']} ci"])
            full.setdefault(place, {})[r['seed']] = r['linear_accuracy'][r['net']]
        out = []
        for place, a in ours.items():
            if len(a) > 1:
                v = verdict(a, full[place], at_least=True, margin=margin)
                all_data = fmean(full[place].values())
                text = f'{fmean(a.values()):.1f} with CI, {all_data:.1f} with all data ({v})'
                out.append(Finding(place, text, v.word, strength, v.seeds, table))
        return out + out_of_date(sorted(old - {f.place for f in out}), strength)
    return check


# --- losses ---

def collapse(optimiser: str, table: str = 'label_tables') -> Check:
    "A collapse of KL: less than half of what AdamW reaches, seed by seed."
    strength = STRENGTH.get(table, 'M')

    def check(results):
        new = scores(results, table)
        every = merged(new, scores(results, table, outdated=True))
        out = []
        for place, rows in every.items():
            if not place.endswith(f', {optimiser}') or 'kl' not in rows:
                continue
            at = place.rsplit(',', 1)[0] + ', adamw', place
            adamw, ours = (new.get(p, {}).get('kl', {}) for p in at)
            if len(common_seeds(adamw, ours)) > 1:
                v = verdict({k: x/2 for k, x in adamw.items()}, ours)
                means = fmean(ours.values()), fmean(adamw.values())
                text = '{:.1f} with {}, {:.1f} with AdamW'.format(means[0], optimiser, means[1])
                out.append(Finding(place, text, v.word, strength, v.seeds, table))
            elif len(common_seeds(*(every.get(p, {}).get('kl', {}) for p in at))) > 1:
                out += out_of_date([place], strength)
        return out
    return check


def best_gamma(gamma: str) -> Check:
    """Is this gamma at least as good as every other, seed by seed? Named is the one with the best
    mean."""
    def check(results):
        new = scores(results, 'label_tables')
        every = merged(new, scores(results, 'label_tables', outdated=True))
        out = []
        for place, rows in every.items():
            if not place.endswith('gamma') or gamma not in rows:
                continue
            if words := _against_rivals(new.get(place, {}), gamma):
                mean = {g: fmean(v.values()) for g, v in new[place].items()}
                best = max(mean, key=lambda g: mean[g])
                text = f'best at {best} ({mean[best]:.1f}; {gamma}: {mean[gamma]:.1f})'
                out.append(Finding(place, text, _worst(words)))
            elif _against_rivals(rows, gamma):
                out += out_of_date([place])
        return out
    return check


def _against_rivals(rows: dict[str, dict], name: str) -> list[str]:
    "The word on 'at least as good' against each other row with at least two common seeds."
    ours = rows.get(name, {})
    rivals = [v for n, v in rows.items() if n != name and len(common_seeds(ours, v)) > 1]
    return [verdict(ours, v, at_least=True).word for v in rivals]


def _worst(words: list[str]) -> str:
    return next(w for w in ('not reproduced', 'undecided', 'reproduced') if w in words)


def gift_costs_nothing(results: dict) -> list[Finding]:
    "A step with GIFT against a step with KL: within 5 %?"
    each = results.get('label_cost', {}).get('each')
    if not each:
        return []
    word, said = by_rounds(each['gift'], each['kl'], 1.05)
    return [Finding('digits', f"of KL's step: {said}", word)]


def theorem_holds(results: dict) -> list[Finding]:
    "Theorem 1 of GIFT in random trials."
    t = results.get('label_cost', {}).get('theorem')
    if not t:
        return []
    text = (f"the stated bound held in {t['holds']} of {t['trials']}, "
            f"its repair in {t['repaired']}")
    return [Finding('random trials', text, yes_or_no(t['holds'] == t['trials']))]
