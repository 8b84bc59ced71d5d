"""The ledger: every claim of `claims.py` checked against the stored runs, and drawn.

`nbs/study/claims.ipynb` shows it.
"""
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from checks import Finding
from claims import BECAUSE, CLAIMS, REMARK, Claim
from dd_lit.core import ink_on
from verdicts import SEEDS, STRENGTHS, summary, tally, together

PAPERS = dict(
    dc='Delving into Effective Gradient Matching', gvbsm='G-VBSM',
    ogm='Orthogonal gradient matching', sfm='SFM and classifier inheritance', gift='GIFT')
VERDICTS = {                                     # what can come out, and its colour
    'holds': 'tab:green', 'mixed': '#8a8a00', 'no difference': 'tab:purple', 'does not hold': 'tab:red',
    'undecided': 'gray', 'out of date': 'steelblue', 'not run': 'lightgray', 'not testable here': 'white'}


TOGETHER = {'reproduced': 'holds', 'not reproduced': 'does not hold', 'alike': 'no difference',
            'undecided': 'undecided'}


def strongest(places: list[Finding]) -> str:
    "The strongest strength of which some place has runs that count, and enough of them; else the weakest there is."
    enough = {f.strength for f in places if f.word != 'out of date' and f.seeds >= SEEDS}
    there = {f.strength for f in places} or {'M'}
    return min(enough or there, key=STRENGTHS.index if enough else lambda s: -STRENGTHS.index(s))


def asked(places: list[Finding]) -> list[Finding]:
    "The places that can be asked together: those that count, with enough seeds; none if there are not two."
    live = [f for f in places if f.word != 'out of date' and f.seeds >= SEEDS]
    return [] if len(live) < 2 or any(f.diffs is None for f in live) else live


def contradictory(places: list[Finding]) -> bool:
    "Do some places speak for the claim and others against it, be their runs weak or strong?"
    return {'reproduced', 'not reproduced'} <= {f.word for f in places}


def decided(claim: Claim, results: dict) -> dict:
    """One claim with what the stored runs say about it: those of the strongest kind decide, place by
    place, and all places together where that leaves it undecided."""
    places = claim.check(results) if claim.check else []
    strength = strongest(places)
    mine = [f for f in places if f.strength == strength]
    word = summary([f.word for f in mine]) if claim.check else 'not testable here'
    pooled = asked(mine) if word == 'undecided' else []
    at_once = together([f.diffs for f in pooled], pooled[0].at_least) if pooled else None
    if at_once is not None:
        word = TOGETHER[at_once.word]
    said = {k: getattr(claim, k) for k in ('paper', 'where', 'text', 'says', 'page', 'file', 'why')}
    because = BECAUSE.get(claim.text, '') if contradictory(places) else ''
    remark = REMARK.get(claim.text, '')
    return said | dict(places=places, because=because, remark=remark, tally=tally([f.word for f in mine]), verdict=word,
                       strength=strength, together=at_once, pooled=len(pooled))


def ledger(
    results: dict,              # from `load_results`
    paper: str | None = None,   # only the claims of this one
) -> list[dict]:
    "Check the claims against stored runs: one dict per claim."
    return [decided(c, results) for c in CLAIMS if paper in (None, c.paper)]


def ledger_figure(rows: list[dict]) -> Figure:
    "Stacked bars: the verdicts of each paper's claims."
    fig, ax = plt.subplots(figsize=(8, 2.4), layout='constrained')
    for j, p in enumerate(PAPERS):
        left = 0
        for word, color in VERDICTS.items():
            k = sum(r['paper'] == p and r['verdict'] == word for r in rows)
            label = word if j == 0 else None
            ax.barh(-j, k, left=left, color=color, edgecolor='k', lw=.4, label=label)
            left += k
            if k:
                ax.text(left - k/2, -j, str(k), ha='center', va='center', fontsize=9, color=ink_on(color))
    ax.set_yticks([-j for j in range(len(PAPERS))], list(PAPERS.values()), fontsize=9)
    fig.legend(fontsize=9, ncol=4, loc='outside upper center')
    ax.set_xlabel('claims')
    return fig
