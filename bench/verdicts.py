"""When is a claim reproduced? A paired interval over seeds, and runs that no longer count.

`nbs/study/verdicts.ipynb` derives the rule, tests it, and measures how often it is wrong.
"""
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, variance

from scipy import stats

MARGIN = 1.   # percentage points that do not matter
SEEDS = 3     # with fewer, nothing is decided: two that happen to agree have no deviation at all
LOOKS = {3: .95, 5: .97, 8: .98}    # level of the interval with so many seeds or fewer: more were made after a look
LAST = .99                          # with still more
STRENGTHS = ('S', 'R', 'M')   # the paper's own configuration, its regime with a substitute, a miniature
WORDS = ('reproduced', 'not reproduced', 'alike', 'undecided', 'out of date')


@dataclass(frozen=True)
class Verdict:
    "What the seeds say about one comparison."
    word: str    # reproduced, not reproduced, alike, undecided
    diff: float  # mean difference, better minus worse
    low: float   # interval of the mean difference
    high: float
    seeds: int   # how many seeds both have

    def __str__(self):
        return f'{self.diff:+.1f} [{self.low:+.1f}, {self.high:+.1f}]'


def common_seeds(better: dict, worse: dict) -> list:
    "The seeds that both have."
    return sorted(set(better) & set(worse))


def interval(diff: list[float], level: float = .95) -> tuple[float, float, float]:
    "Student's interval of a mean: the mean, and the two ends."
    n = len(diff)
    mean = sum(diff)/n
    deviation = (sum((d - mean)**2 for d in diff)/(n - 1))**.5
    half = float(stats.t.ppf(.5 + level/2, n - 1))*deviation/n**.5
    return mean, mean - half, mean + half


def level_of(seeds: int) -> float:
    "Of the interval: who has looked before, and made more seeds, must see more clearly."
    return next((level for n, level in LOOKS.items() if seeds <= n), LAST)


def verdict(
    better: dict,            # seed -> score of the row that is claimed to be better
    worse: dict,             # seed -> score of the other row
    at_least: bool = False,  # is the claim "at least as good"? Then a tie is enough
    margin: float = MARGIN,  # what does not matter, in the unit of the scores
    level: float | None = None,  # of the interval; None: that of `level_of`
) -> Verdict:
    """Is 'better beats worse' (or 'is at least as good') reproduced, or are both alike?
    Student's paired interval over the common seeds; fewer than `SEEDS` decide nothing."""
    seeds = common_seeds(better, worse)
    if len(seeds) < 2:
        raise ValueError(f"better, worse: expected at least 2 common seeds, got {len(seeds)}")
    if margin < 0:
        raise ValueError(f"margin: expected at least 0, got {margin}")
    mean, low, high = interval([better[k] - worse[k] for k in seeds], level or level_of(len(seeds)))
    return Verdict(_word(low, high, len(seeds), at_least, margin), mean, low, high, len(seeds))


def _word(low: float, high: float, seeds: int, at_least: bool, margin: float = MARGIN) -> str:
    "What an interval says."
    bar = -margin if at_least else 0.
    if seeds < SEEDS:
        return 'undecided'
    if low > bar:
        return 'reproduced'
    if high < bar or high == bar == 0:
        return 'not reproduced'
    return 'alike' if -margin < low and high < margin else 'undecided'


def apart(places: list[list[float]], level: float = .95) -> tuple[float, float, float]:
    "Interval of the mean of the places' means, each place with its own scatter (Welch, Satterthwaite)."
    means, shares = [fmean(p) for p in places], [variance(p)/len(p)/len(places)**2 for p in places]
    mean, total = fmean(means), sum(shares)
    if total == 0:
        return mean, mean, mean
    free = total**2/sum(v**2/(len(p) - 1) for v, p in zip(shares, places, strict=True))
    half = float(stats.t.ppf(.5 + level/2, free))*total**.5
    return mean, mean - half, mean + half


def together(
    places: list[dict],      # of each place: seed -> difference in favour of the claim
    at_least: bool = False,  # as in `verdict`
) -> Verdict:
    """The verdict on all places at once, by the wider end of two intervals over the seeds that all
    places have: one of the means over the places, seed by seed, which knows that a seed may do well
    everywhere; and one that takes every run for a draw of its own, which is not fooled by three
    means that happen to be alike."""
    seeds = sorted(set.intersection(*map(set, places)))
    if len(seeds) < 2:
        raise ValueError(f"places: expected at least 2 common seeds, got {len(seeds)}")
    runs, level = [[p[k] for k in seeds] for p in places], level_of(len(seeds))
    both = interval([fmean(v) for v in zip(*runs, strict=True)], level), apart(runs, level)
    low, high = min(o[1] for o in both), max(o[2] for o in both)
    return Verdict(_word(low, high, len(seeds), at_least), both[0][0], low, high, len(seeds))


# --- many places, one word ---

def tally(words: Iterable[str]) -> dict[str, int]:
    "How many places speak for a claim, against it, see no difference, cannot tell, or no longer count."
    words = list(words)
    for w in words:
        if w not in WORDS:
            raise ValueError(f"words: expected some of {', '.join(WORDS)}, got {w!r}")
    names = ('for', 'against', 'alike', 'undecided', 'out of date')
    return {n: words.count(w) for n, w in zip(names, WORDS, strict=True)}


def summary(words: Iterable[str]) -> str:
    """One word for a claim tested in several places: holds, does not hold or no difference if most
    places say so, mixed if places speak both for and against, undecided, out of date, or not run."""
    t = tally(words)
    live = sum(t.values()) - t['out of date']
    if not live:
        return 'out of date' if t['out of date'] else 'not run'
    if t['for'] and t['against']:
        return 'mixed'
    most = next((w for w in ('for', 'against', 'alike') if t[w] > live/2), '')
    return {'for': 'holds', 'against': 'does not hold', 'alike': 'no difference'}.get(most, 'undecided')


# --- runs that no longer count ---

@dataclass(frozen=True)
class Outdated:
    "Rows of stored runs that no longer count."
    files: list[str]           # names of result files, without .json
    before: str                # rows made before this moment (ISO, UTC)
    why: str                   # the mend that touches their numbers
    where: dict | None = None  # field -> values: only rows with one of them; None: all rows

    def hits(self, file: str, row: dict, made: str) -> bool:
        "Is a row, made at the moment `made`, one of these?"
        if file not in self.files or made >= self.before:
            return False
        return all(row.get(k) in v for k, v in (self.where or {}).items())


def read_outdated(path: str | Path) -> list[Outdated]:
    "What no longer counts, from outdated.json; an empty list if the file is not there."
    path = Path(path)
    return [Outdated(**o) for o in json.loads(path.read_text())] if path.exists() else []


def why_outdated(
    file: str, row: dict,   # a row of `file`.json (or the whole file, for one without rows)
    made: str,              # when it was made (ISO, UTC)
    rules: list[Outdated],  # from `read_outdated`
) -> str:
    "Why a stored run no longer counts; '' if it counts."
    return '; '.join(dict.fromkeys(o.why for o in rules if o.hits(file, row, made)))


def dated_rows(content: dict) -> list[tuple[dict, str]]:
    "The rows of a result file (the file itself, if it has none), each with the time it was made."
    made = content.get('made_with', {}).get('time', '')
    rows = content.get('rows')
    rows = rows if isinstance(rows, list) else [content]
    return [(r, r.get('made_with', {}).get('time', made)) for r in rows]


def notice(results: str | Path, *files: str) -> str:
    """Markdown, '' if all count: which stored runs of these files (names without .json, in the
    folder bench/results) no longer count, and why."""
    results = Path(results)
    rules = read_outdated(results/'outdated.json')
    out = []
    for file in files:
        rows = dated_rows(json.loads((results/f'{file}.json').read_text()))
        for why in dict.fromkeys(o.why for o in rules):
            same = [o for o in rules if o.why == why]
            n = sum(any(o.hits(file, r, made) for o in same) for r, made in rows)
            if n:
                which = 'all runs' if n == len(rows) else f'{n} of {len(rows)} runs'
                out.append(f'- `{file}`, {which}: {why}.')
    head = ('Some runs on this page no longer count. They stay as a record, and give no verdict '
            'until they are made again:\n\n')
    return head + '\n'.join(out) if out else ''
