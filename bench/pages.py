"""What the study pages share: showing code of this folder, tables, and lines of 100 columns."""
import inspect
import textwrap
from statistics import fmean, stdev

from IPython.display import Markdown

WIDTH = 100     # columns of a page


def code(*objects) -> Markdown:
    "The source of functions and classes, as a page shows it."
    sources = (inspect.getsource(o).rstrip() for o in objects)
    return Markdown('```python\n' + '\n\n'.join(sources) + '\n```')


def say(text: str, indent: int = 4) -> None:
    "Print a text; what is too long for a page goes on below, indented."
    print(textwrap.fill(text, WIDTH, subsequent_indent=' '*indent, break_on_hyphens=False))


def tell(claims: list[dict]) -> None:
    "Print rows of the ledger: each claim with its verdict, and below it the places."
    for r in claims:
        paper = f"; paper: {r['says']}" if r['says'] else ''
        say(f"{r['verdict']:18} {r['text']} ({r['where']}{paper})", 19)
        for f in r['places']:
            say(f"{'':22}{f.place}: {f.text}  {f.word}", 24)


def table(head: list, rows: list[list]) -> str:
    "A table in Markdown; all columns but the first are numbers."
    line = lambda cells: '| ' + ' | '.join(map(str, cells)) + ' |'
    return '\n'.join([line(head), '|---|' + '---:|'*(len(head) - 1), *map(line, rows)])


def bold(text: str, yes: bool) -> str:
    return f'**{text}**' if yes else text


def spread(values, width: int = 0, deviation=stdev, none: str = '-') -> str:
    "Mean and standard deviation; `none` for fewer than two values."
    values = list(values)
    return f'{fmean(values):{width}.1f} ± {deviation(values):.1f}' if len(values) > 1 else none


def seeds(rows: list[dict]) -> list[int]:
    return sorted({r['seed'] for r in rows})


def machine(rows: list[dict]) -> str:
    "What the first of the runs was made with."
    m = rows[0]['made_with']
    return f"torch {m['torch']}, one thread of {m['cpu']}"


def named(settings: dict) -> str:
    "Settings as one would type them."
    return ', '.join(f'{k}={v}' for k, v in settings.items())
