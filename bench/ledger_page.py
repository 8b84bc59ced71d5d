"""The ledger as a page one uses: a line per paper, what to believe; and every claim, to filter and to unfold.

`nbs/study/claims.ipynb` shows both. All words and numbers come from the rows of `ledger.py`.
"""
import re
from html import escape
from pathlib import Path

from checks import Finding
from ledger import PAPERS, VERDICTS
from verdicts import STRENGTHS

DATASETS = ('mnist', 'cifar10', 'digits', 'imagenette')
KINDS = {'S': "the paper's own", 'R': "the paper's regime, substitutes", 'M': 'miniature', '': 'no run counts'}
assert {*STRENGTHS, ''} == set(KINDS)
INTERVAL = re.compile(r'\s*\(([+-][\d.]+ \[[^]]*\])\)\s*$')
DECIDED = {'holds': '*Yes*', 'does not hold': '*No*', 'no difference': '*Alike*'}

SCRIPT = '''<script>(()=>{
const box=document.currentScript.parentElement,of=(s,e=box)=>[...e.querySelectorAll(s)];
const picks=of("select"),said=box.querySelector(".said");
const fits=(r,p)=>!p.value||r.dataset[p.name].split("|").includes(p.value);
const show=()=>{const any=picks.some(p=>p.value);let n=0;
for(const g of of("details.paper")){let here=0;
for(const r of of("tr.claim",g)){const ok=picks.every(p=>fits(r,p));r.classList.toggle("hidden",!ok);here+=ok}
g.classList.toggle("hidden",!here);g.open=any&&here>0;n+=here}
said.textContent=n+" of "+of("tr.claim").length+" claims"};
picks.forEach(p=>p.addEventListener("change",show))})()</script>'''


# --- one line per paper ---

def _few(found: list[dict]) -> str:
    "The first claim in words, and how many more; what carries a remark says so."
    first, *more = found
    told = f"{first['text']} ({first['strength']}{'†' if first['remark'] else ''})"
    return told + (f'; and {len(more)} more' if more else '')


def believe(rows: list[dict]) -> str:
    "A list in Markdown: for each paper what the runs that count have decided, the strongest first, and what is open."
    lines = []
    for p, name in PAPERS.items():
        mine = [r for r in rows if r['paper'] == p]
        # what the strongest runs say, without a remark before what has one
        first = sorted(mine, key=lambda r: (STRENGTHS.index(r['strength']), bool(r['remark'])))
        found = {w: [r for r in first if r['verdict'] == w] for w in DECIDED}
        said = ' '.join(f'{DECIDED[w]}: {_few(t)}.' for w, t in found.items() if t)
        words = [r['verdict'] for r in mine]
        rest = {w: words.count(w) for w in ('undecided', 'mixed')}
        rest['untested'] = sum(w not in (*DECIDED, *rest) for w in words)       # no run, or none that counts
        open_ = ', '.join(f'{n} {w}' for w, n in rest.items() if n)
        lines.append(f"- **{name}.** {said or 'Nothing yet.'} Of {len(mine)}: {open_ or 'none open'}.")
    return '\n'.join(lines)


# --- every claim ---

def split(f: Finding) -> tuple[str, str]:
    "A place's numbers, and the difference with its interval if it has one."
    m = INTERVAL.search(f.text)
    return (f.text[:m.start()], m[1]) if m else (f.text, '')


def live(r: dict) -> list[Finding]:
    "The places that count, those first whose runs decide."
    counts = [f for f in r['places'] if f.word != 'out of date']
    return sorted(counts, key=lambda f: f.strength != r['strength'])


def datasets(r: dict) -> list[str]:
    "The datasets that a claim was tested on; 'other' where no place names one."
    places = ' '.join(f.place for f in r['places'])
    return [d for d in DATASETS if re.search(rf'\b{d}\b', places)] or ['other']


def kind(r: dict) -> str:
    "The strength of the runs that decide, in words."
    return KINDS[r['strength'] if live(r) else '']


def _place(f: Finding) -> str:
    ours, interval = split(f)
    return f'{escape(f.place)}: {escape(ours)} {escape(interval)}, {f.word} ({KINDS[f.strength]})'


def _notes(r: dict) -> str:
    "Why places speak for and against a claim, and what its verdict does not say, if there is something."
    return ''.join(f'<br><small class="because">{escape(r[k])}</small>' for k in ('because', 'remark') if r[k])


def _ours(r: dict) -> tuple[str, str]:
    "The cells 'ours' and 'interval': the first place that counts; the others fold."
    places = live(r)
    if not places:
        gone = len(r['places'])
        return (escape(r['why']) or (f'{gone} places, all out of date' if gone else 'not run')) + _notes(r), ''
    ours, interval, shown = *split(places[0]), 1
    first = f'{escape(places[0].place)}: {escape(ours)}'
    if r['together'] is not None:
        first, interval, shown = f"{r['pooled']} places together", str(r['together']), 0
    gone = [f'{escape(f.place)}: out of date' for f in r['places'] if f not in places]
    rest = [_place(f) for f in places[shown:]] + gone
    more = f'<details><summary>{len(rest)} more</summary>{"<br>".join(rest)}</details>' if rest else ''
    return first + more + _notes(r), escape(interval)


def _claim(r: dict, here: str) -> str:
    "One claim as a row of a table; `here` leads from the page to the folder nbs."
    ours, interval = _ours(r)
    links = [f'<a href="{here}/{r["page"]}">page</a>']
    if file := next((f.file for f in live(r) if f.file), r['file']):
        links.append(f'<a href="{here}/../bench/results/{file}.json">run</a>')
    data = {'paper': r['paper'], 'verdict': r['verdict'], 'data': '|'.join(datasets(r)), 'strength': kind(r)}
    marks = ' '.join(f'data-{k}="{escape(v)}"' for k, v in data.items())
    cells = [f'{escape(r["text"])} <small>({escape(r["where"])})</small>', escape(r['says']), ours, interval,
             f'<b>{r["verdict"]}</b>' + (f' <small>({kind(r)})</small>' if live(r) else ''), ' '.join(links)]
    return f'<tr class="claim" {marks}>' + ''.join(f'<td>{c}</td>' for c in cells) + '</tr>'


def _paper(p: str, rows: list[dict], here: str) -> str:
    mine = [r for r in rows if r['paper'] == p]
    counts = ', '.join(f'{n} {w}' for w in VERDICTS if (n := sum(r['verdict'] == w for r in mine)))
    head = ''.join(f'<th>{h}</th>' for h in ('claim', 'published', 'ours', 'interval', 'verdict', 'see'))
    table = f'<table><thead><tr>{head}</tr></thead><tbody>' + '\n'.join(_claim(r, here) for r in mine)
    return (f'<details class="paper"><summary><b>{escape(PAPERS[p])}</b>: {counts}</summary>\n'
            f'{table}</tbody></table></details>')


def _pick(name: str, label: str, options: dict[str, str]) -> str:
    inner = ''.join(f'<option value="{escape(k)}">{escape(v)}</option>' for k, v in options.items())
    return f'<label>{label} <select name="{name}"><option value="">all</option>{inner}</select></label>'


def ledger_html(
    rows: list[dict],           # from `ledger`
    here: str | Path = '..',    # from the page to the folder nbs
) -> str:
    "All claims, folded by paper, with what to filter them by."
    same = lambda words: {w: w for w in words}
    used = lambda words, of: same(w for w in words if any(w in of(r) for r in rows))
    picks = [_pick('paper', 'paper', PAPERS), _pick('verdict', 'verdict', used(VERDICTS, lambda r: [r['verdict']])),
             _pick('data', 'dataset', used((*DATASETS, 'other'), datasets)),
             _pick('strength', 'runs', used(KINDS.values(), lambda r: [kind(r)]))]
    papers = '\n'.join(_paper(p, rows, str(here)) for p in PAPERS)
    return (f'<div class="ledger">\n<p class="pick">{"".join(picks)}<span class="said">{len(rows)} claims</span></p>\n'
            f'{papers}\n{SCRIPT}\n</div>')
