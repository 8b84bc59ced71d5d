"""What the study pages share: showing code of this folder, tables, and lines of 100 columns."""
import inspect
import textwrap
from statistics import fmean, stdev

from IPython.display import Markdown

from dd_lit.core import Table

WIDTH = 100     # columns of a page


def code(*objects) -> Markdown:
    "The source of functions and classes, as a page shows it."
    sources = (inspect.getsource(o).rstrip() for o in objects)
    return Markdown('```python\n' + '\n\n'.join(sources) + '\n```')


def say(text: str, indent: int = 4) -> None:
    "Print a text; what is too long for a page goes on below, indented."
    print(textwrap.fill(text, WIDTH, subsequent_indent=' '*indent, break_on_hyphens=False))


def folded(title: str, inner: str) -> str:
    "Markdown that a reader unfolds."
    return f'<details><summary>{title}</summary>\n\n{inner}\n\n</details>'


def claims_table(claims: list[dict]) -> Table:
    """Rows of the ledger as a table: each claim with its verdict and the places that decide it;
    places whose runs are out of date are counted, and the ledger's own page names them."""
    out = Table(['claim', 'in the paper', 'verdict', 'decided by', 'out of date'])
    for r in claims:
        here = [f for f in r['places'] if f.word != 'out of date']
        told = '<br>'.join(f'{f.place}: {f.text}, {f.word}' for f in here)
        told += f"<br>all together: {r['together']}" if r.get('together') else ''
        says = f"{r['where']}: {r['says']}".rstrip(': ')
        out.add(r['text'], says, r['verdict'], told, len(r['places']) - len(here))
    return out


def bold(text: str, yes: bool) -> str:
    return f'**{text}**' if yes else text


def starred(name: str, outdated: bool) -> str:
    "A name as tables and pictures show it: with a star, where runs of it no longer count."
    return f'{name}*' if outdated else name


def spread(values, width: int = 0, deviation=stdev, none: str = '-') -> str:
    "Mean and standard deviation; `none` for fewer than two values."
    values = list(values)
    return f'{fmean(values):{width}.1f} ± {deviation(values):.1f}' if len(values) > 1 else none


def seeds(rows: list[dict]) -> list[int]:
    return sorted({r['seed'] for r in rows})


def machine(rows: list[dict]) -> str:
    "What the runs were made with: versions and processors, each once."
    of = lambda k: ', '.join(sorted({r['made_with'][k] for r in rows}))
    return f"torch {of('torch')}, one thread of {of('cpu')}"


def named(settings: dict) -> str:
    "Settings as one would type them."
    return ', '.join(f'{k}={v}' for k, v in settings.items())
