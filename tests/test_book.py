"""What makes a text of the notebooks: exercises with tested solutions, methods in forty lines above the library's,
formulas with names, citations that exist."""
import ast
import json
import os
import re
from html import unescape

import house
import nbformat
import numbered
import openings
import preview_docs
import pypandoc
import pytest
from conftest import ROOT, notebooks

from dd_lit import method
from dd_lit.sets import wall_words

BOOKS = [ROOT/b for b in notebooks()]
# Pages that have exercises, at least two each: this list only grows
EXERCISES = [
    'what_is_dataset_distillation', 'coreset/select', 'flow/features', 'flow/inherit', 'flow/linear_gradient',
    'flow/pyramid', 'flow/theorems', 'gradient/distance', 'gradient/hypothesis', 'gradient/multilevel',
    'gradient/schedule', 'labels/gift', 'labels/kd', 'labels/losses', 'labels/theorem', 'orthogonal/bn_gradient',
    'orthogonal/muon', 'orthogonal/polar', 'orthogonal/pseudo_gradient', 'distribution/dm', 'gradient/dsa',
    'statistics/cda', 'statistics/dwa', 'statistics/lpld', 'gradient/dc', 'statistics/bn_matching',
    'statistics/densify', 'statistics/conv_stats', 'coreset/rded', 'trajectory/experts', 'trajectory/mtt',
    'trajectory/datm', 'labels/soft', 'statistics/gvbsm', 'statistics/sre2l',
    'orthogonal/ogm', 'flow/sfm', '02c_whiten']


def cells(path) -> list: # (type, source, outputs) of every cell
    return [(c['cell_type'], ''.join(c['source']), c.get('outputs', [])) for c in json.loads(path.read_text())['cells']]


def asserts(code) -> bool: # Is there a line that fails where it is wrong?
    return any(house.is_test(n) for n in ast.walk(ast.parse(code)) if isinstance(n, ast.stmt))


def exercises(page) -> tuple: # (how many, what is wrong with them); page: what `cells` gives
    at = [i for i, (kind, s, _) in enumerate(page) if kind == 'markdown' and re.search(r'^## Exercises$', s, re.M)]
    if not at:
        return 0, []
    rest, bad = page[at[0]:], []
    asked = [i for i, (kind, s, _) in enumerate(rest) if kind == 'markdown' and re.search(r'^\*\*\d+\.\*\* ', s, re.M)]
    for k, i in enumerate(asked):
        number = re.findall(r'^\*\*(\d+)\.\*\* ', rest[i][1], re.M)
        if number != [str(k + 1)]:
            bad.append(f'expected exercise {k + 1}, got {", ".join(number)}')
        kind, code, outputs = rest[i + 1] if i + 1 < len(rest) else ('', '', [])
        if kind != 'code' or not re.match(r'#\| code-fold: true\n#\| code-summary: "Solution"\n', code):
            bad.append(f'{k + 1}: expected a folded cell with its solution')
        elif not asserts(code):
            bad.append(f'{k + 1}: the solution asserts nothing')
        elif outputs:
            bad.append(f'{k + 1}: the solution shows something, which is not folded')
    return len(asked), bad


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_exercises(book):
    "Numbered, each with its solution below it, folded and tested; the pages of the list have at least two."
    number, bad = exercises(cells(book))
    assert not bad, f'{book.relative_to(ROOT)}: {bad}'
    name = str(book.relative_to(ROOT/'nbs').with_suffix(''))
    if name in EXERCISES:
        assert number >= 2, f'{name}: {number} exercises'
    elif number >= 2:
        raise AssertionError(f'{name} has exercises: put it on the list of {__name__}')


ASKS = re.compile(r'^\*\*(\d+)\.\*\* (?!\*(?:Predict|Change|Break|Extend)\.\* )', re.M)


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_an_exercise_says_what_to_do(book):
    "Predict, change, break or extend something: thirteen began without the word."
    bad = [n for kind, s, _ in cells(book) if kind == 'markdown' for n in ASKS.findall(s)]
    assert not bad, f'{book.relative_to(ROOT)}: begin with *Predict.*, *Change.*, *Break.* or *Extend.*: {bad}'


def test_which_word_is_missing():
    assert ASKS.findall('**1.** *Break.* A\n\n**2.** Why?\n\n**3.** *Show.* B\n\n**4.** *Predict* C') == ['2', '3', '4']
    assert not ASKS.findall('## Exercises\n\n**1.** *Predict.* A\n\nSee **5.** there.')


def behind_exercises(page) -> list: # Headings that follow a page's exercises; page: what `cells` gives
    text = '\n'.join(s for kind, s, _ in page if kind == 'markdown')
    return re.findall(r'^## .*$', text.partition('\n## Exercises\n')[2], re.M)


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_exercises_end_the_page(book):
    "Who has come to the exercises has read the page: on two there were photographs behind them."
    assert not (bad := behind_exercises(cells(book))), bad


def test_what_follows_exercises():
    text = lambda *s: [('markdown', v, []) for v in s]
    assert behind_exercises(text('# A', '\n## Exercises\n\n**1.** B', '## C', '### D')) == ['## C']
    assert behind_exercises(text('# A', '## B')) == behind_exercises(text('# A', '\n## Exercises\n', 'Next: b.')) == []


def behind_tests(page) -> list: # Headings that follow "## Tests", but photographs and exercises
    heads = [h for kind, s, _ in page if kind == 'markdown' for h in re.findall(r'^## (.*)$', s, re.M)]
    after = heads[heads.index('Tests') + 1:] if 'Tests' in heads else []
    return [h for h in after if h not in ('On photographs', 'Exercises')]


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_results_stand_before_tests(book):
    "Six pages had screens of tests between a method and what comes out of it."
    assert not (bad := behind_tests(cells(book))), bad


def test_what_stands_behind_tests():
    text = lambda *s: [('markdown', v, []) for v in s]
    assert behind_tests(text('# A', '## Tests\n\nB', '## What it is worth', '## Exercises')) == ['What it is worth']
    assert behind_tests(text('# A', '## C', '## Tests', '## Exercises')) == []
    assert behind_tests(text('## Tests: values', '## D')) == []


HEAD, SOLUTION = '#| code-fold: true\n#| code-summary: "Solution"\n', 'assert f() == 1'
ONE = [('markdown', '## Exercises\n\n**1.** Why?', []), ('code', HEAD + SOLUTION, [])]


@pytest.mark.parametrize('page, what', [
    (ONE, ''), ([], ''), (ONE[:1], 'expected a folded cell'), ([ONE[0], ('code', SOLUTION, [])], 'expected a folded'),
    ([ONE[0], ('code', HEAD + 'print(f())', [])], 'asserts nothing'), ([ONE[0], (*ONE[1][:2], ['text'])], 'shows'),
    ([*ONE, ('markdown', '**3.** And?', []), ONE[1]], 'expected exercise 2, got 3'),
    ([*ONE, ('markdown', '**2.** And?\n\n**3.** Or?', []), ONE[1]], 'expected exercise 2, got 2, 3')])
def test_what_an_exercise_is(page, what):
    number, bad = exercises(page)
    assert len(bad) == bool(what) and all(what in b for b in bad) and number == len(page)//2 + (page == ONE[:1])


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_formulas_and_citations_exist(book):
    "A formula's name stands once on its page; what is mentioned is there, formula or paper."
    texts = [s for kind, s, _ in cells(book) if kind == 'markdown']
    named = [n for s in texts for _, n in numbered.FORMULA.findall(s)]
    assert len(named) == len(set(named)), named
    assert sum(s.count('{#eq-') for s in texts) == len(named), 'a name that belongs to no formula'
    keys = set(re.findall(r'^@\w+\{(\w+),', (ROOT/'references.bib').read_text(), re.M))
    text = re.sub(r'```.*?```|`[^`]*`|\$\$.*?\$\$', '', '\n'.join(texts), flags=re.S)
    said = set(re.findall(r'(?<![\w.])@([A-Za-z][\w-]*)', text))
    assert not (lost := said - keys - set(named)), f'neither a formula of this page nor in references.bib: {lost}'


def unnamed(text) -> list: # Displayed formulas of a text that have no name, outside of code
    bare = re.sub(r'```.*?```|`[^`]*`', '', text, flags=re.S)
    shown = re.findall(r'\$\$(.+?)\$\$(?:\s*\{#(eq-[\w-]+)\})?', bare, re.S)
    return [' '.join(formula.split())[:80] for formula, name in shown if not name]


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_every_display_has_a_name(book):
    "What is shown on a line of its own gets a number, so that anybody can speak of it: eleven had none."
    bad = [f for kind, s, _ in cells(book) if kind == 'markdown' for f in unnamed(s)]
    assert not bad, f'{book.relative_to(ROOT)}: expected "$$ ... $$ {{#eq-name}}": {bad}'


@pytest.mark.parametrize('text, bad', [
    ('Let\n\n$$x$$ {#eq-x}\n\nbe', []), ('Let $x$ be `$$x$$`.\n\n```\n$$y$$\n```', []), ('Let\n\n$$x$$\n\nbe', ['x']),
    ('$$x$$,\n$$y$$ {#eq-y}\n$$\nz\n$$', ['x', 'z']), ('$$x \\tag{1}$$', ['x \\tag{1}']), ('$$x$$ {#sec-x}', ['x']),
    ('$$x$$ {#eq-x}, $$y$$', ['y'])])
def test_what_has_no_name(text, bad):
    assert unnamed(text) == bad


def of_code(page) -> tuple: # (named formulas, those that the code names); page: what `cells` gives
    said = lambda kind: '\n'.join(s for k, s, _ in page if k == kind and not hidden(s))
    return {n for _, n in numbered.FORMULA.findall(said('markdown'))}, set(numbered.SPOKEN.findall(said('code')))


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_code_names_its_formulas(book):
    "A reader finds the lines of a formula: of 96 formulas four were named in code. A name in code is one of the page."
    named, spoken = of_code(cells(book))
    assert spoken <= named, f'no formula of this page: {spoken - named}'
    if str(book.relative_to(ROOT/'nbs').with_suffix('')) in EXERCISES:
        assert spoken or not named, f'write (eq-name) where the code computes one of {sorted(named)}'


def test_which_formulas_code_names():
    page = [('markdown', 'Let @eq-a be\n\n$$x$$ {#eq-a}\n\n$$y$$ {#eq-a-b}', []),
            ('code', 'def f(): "A thing (eq-a-b), no #eq-a, no @eq-a, no freq-a."', []),
            ('code', '#| hide\n# eq-a', [])]
    assert of_code(page) == ({'eq-a', 'eq-a-b'}, {'eq-a-b'})
    numbers = numbered.formulas(s for kind, s, _ in page if kind == 'markdown')
    assert numbered.in_code('by eq-a-b, eq-c and @eq-a', numbers) == 'by Equation 2, eq-c and @eq-a'


# --- the index: every page once, in the parts that the pages count; and a course with every page of exercises ---

HREF = re.compile(r'\]\(([\w/]+)\.ipynb\)')


def parts_of(text) -> list: # (number, section, pages) of the index's numbered list
    found = re.findall(r'^(\d+)\. (.+?)[,:] (.+)$', text.split('\n## All pages\n', 1)[1], re.M)
    return [(int(n), name, HREF.findall(f'{name}, {rest}')) for n, name, rest in found]


def test_the_index_counts_as_the_pages_do():
    "Four parts of the list had other numbers than every page says it stands in; two pages were missing."
    text = '\n'.join(s for kind, s, _ in cells(ROOT/'nbs'/'index.ipynb') if kind == 'markdown')
    order = openings.reading_order()
    sections = list(dict.fromkeys(f for f, _ in order))
    want = [(k, f, [p for g, p in order if g == f]) for k, f in enumerate(sections, 1)]
    assert parts_of(text) == want
    course = re.search(r'^## A course of .*?(?=^## )', text, re.M | re.S)[0]
    weeks = re.findall(r'^\| \d+ \|.*$', course, re.M)
    assert 'twelve weeks' in course and len(weeks) == 12
    read = HREF.findall('\n'.join(weeks))
    assert len(read) == len(set(read)) and not (lost := set(EXERCISES) - set(read)), lost


def test_parts_are_read_from_the_list():
    text = '1. No: [a](x.ipynb)\n## All pages\n\n1. One, of two: [a](a.ipynb), [b](c/b.ipynb).\n2. Two: [d](d.ipynb).'
    assert parts_of(text) == [(1, 'One', ['a', 'c/b']), (2, 'Two', ['d'])]


# --- a page that says what is next says what its head does ---


def said_next(page, texts) -> list: # What "Next: " leads to first, as a page's name; texts: the page's markdown
    found = re.findall(r'\bNext: [^\n]*?\]\(([^)#]+)\.ipynb', '\n'.join(texts))
    return [os.path.normpath(f'{os.path.dirname(page)}/{to}').lstrip('/') for to in found]


def test_next_is_the_page_after():
    "Six pages led on to another page than the one their head calls the next."
    order, bad = [p for _, p in openings.reading_order()], {}
    for page, after in zip(order, [*order[1:], None], strict=True):
        texts = [s for kind, s, _ in cells(ROOT/'nbs'/f'{page}.ipynb') if kind == 'markdown']
        if any(to != after for to in said_next(page, texts)):
            bad[page] = said_next(page, texts), after
    assert not bad


def test_what_is_said_next():
    assert said_next('a/b', ['Next: more of [it](c.ipynb), and [x](y.ipynb).']) == ['a/c']
    assert said_next('a/b', ['Next: [it](../00_core.ipynb#x).', 'Then [x](y.ipynb).']) == ['00_core']
    assert said_next('a', ['So.\n\nNext: [it](c/d.ipynb).']) == ['c/d']


# --- the glossary: every row says where, and there it is ---

SEE = re.compile(r'\]\(([\w/]+)\.ipynb(?:#(eq-[\w-]+))?\)')


def rows_of(text) -> list: # (first cell, code names, (page, formula) of its links) of every row of the tables
    rows = [r.strip('| ').split(' | ') for r in re.findall(r'^\| .*$', text, re.M)]
    return [(r[0], re.findall('`(.+?)`', r[-2]), SEE.findall(r[-1])) for r in rows if r[-1] != 'see']


def strange(symbols, name, text) -> bool: # Is there no such formula in the text, or none of the symbols in it?
    formula = {n: f for f, n in numbered.FORMULA.findall(text)}.get(name, '')
    alone = lambda m: ('' if m[0] == '\\' else r'(?<![A-Za-z\\])') + re.escape(m) + '(?![A-Za-z])'
    return not formula or bool(symbols) and not any(re.search(alone(m), formula) for m in symbols)


def astray(rows, page_of) -> list: # Rows whose page has not their symbols, formula and code names; name -> cells
    bad = []
    for what, names, links in rows:
        if len(links) != 1:
            bad.append(f'{what}: expected one page, got {links}')
            continue
        (to, formula), = links
        page = page_of(to)
        text = {k: '\n'.join(s for kind, s, _ in page if kind == k) for k in ('markdown', 'code')}
        math = ''.join(re.sub(r'\s', '', m) for _, m in re.findall(r'(\$\$?)([^$]+)\1', text['markdown']))
        symbols = re.findall(r'\$([^$]+)\$', what)
        lost = [m for m in symbols if re.sub(r'\s', '', m) not in math]
        lost += [n for n in names if not re.search(rf'\b{re.escape(n)}\b', text['code'])]
        lost += [formula] if formula and strange(symbols, formula, text['markdown']) else []
        bad += [f'{to}: {what}: {lost}'] if lost else []
    return bad


def test_the_glossary_leads_there():
    "No row said on which page, and half of the formulas' letters had none; a formula that is linked has the letter."
    book = dict(zip((str(b.relative_to(ROOT/'nbs').with_suffix('')) for b in BOOKS), BOOKS, strict=True))
    rows = rows_of('\n'.join(s for kind, s, _ in cells(ROOT/'nbs'/'glossary.ipynb') if kind == 'markdown'))
    assert len(rows) > 80 and not (bad := astray(rows, lambda p: cells(book[p]))), '\n'.join(bad)
    without = {'gradient/hypothesis', 'orthogonal/muon', 'statistics/gvbsm'}     # they use other pages' symbols
    assert not (lost := set(EXERCISES) - {p for _, _, ps in rows for p, _ in ps} - without), lost
    assert sum(bool(formula) for _, _, ps in rows for _, formula in ps) > 50


@pytest.mark.parametrize('row, many', [
    ('| $a_1$, $b$ | x | `f` | [p](d/p.ipynb) |', 0), ('| $a_2$ | x | `f` | [p](d/p.ipynb) |', 1),
    ('| word | x | `g` | [p](d/p.ipynb) |', 1), ('| word | x | | [p](d/p.ipynb) |', 0), ('| word | x | `f` | |', 1),
    ('| $a_1$ | x | `f` | [p](d/p.ipynb#eq-c) |', 0), ('| $b$ | x | `f` | [p](d/p.ipynb#eq-c) |', 1),
    ('| word | x | | [p](d/p.ipynb#eq-c) |', 0), ('| word | x | | [p](d/p.ipynb#eq-d) |', 1),
    ('| word | x | | [p](d/p.ipynb#a-heading) |', 1), (r'| $\beta$ | x | | [p](d/p.ipynb#eq-c) |', 0)])
def test_what_leads_astray(row, many):
    page = [('markdown', 'Let $a _1=b$.\n\n$$\\beta=2a_1$$ {#eq-c}', []), ('code', 'def f(): pass', [])]
    table = f'| word | meaning | in the code | see |\n|---|---|---|---|\n{row}\n'
    assert len(astray(rows_of(table), lambda p: page)) == many


FIRST = [next(p for g, p in openings.reading_order() if g == f) for f in dict(openings.reading_order())]


@pytest.mark.parametrize('page', FIRST)
def test_a_part_begins_with_the_glossary(page):
    "Who meets a letter knows where it is explained: the first page of every part leads there."
    up = '../'*page.count('/')
    above = [s for kind, s, _ in cells(ROOT/'nbs'/f'{page}.ipynb')[:6] if kind == 'markdown']
    assert f'Symbols and words: [glossary]({up}glossary.ipynb).' in '\n'.join(above)


def cut_off(page) -> list: # Texts below a wall of photographs that speak of something else; page: what `cells` gives
    at = [i for i, (_, s, _) in enumerate(page) if 'show_wall([' in s and '## On photographs' in page[max(0, i - 2)][1]]
    below = [next((s for kind, s, _ in page[i + 1:] if kind == 'markdown'), '## End') for i in at]
    return [s[:80] for s in below if not re.match(r'## |Next: ', s)]


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_a_wall_of_photographs_ends_its_section(book):
    "A sentence about a table stays beside it: on three pages the photographs had been put in between."
    assert not (bad := cut_off(cells(book))), f'belongs above "## On photographs": {bad}'


WALL = [('markdown', '## On photographs\n\nTwo.', []), ('code', '#| hide\nimport x', []),
        ('code', 'show_wall([1]);', [])]


@pytest.mark.parametrize('below, many', [('## Exercises', 0), ('Next: more.', 0), ('', 0), ('Time grows.\n\n## E', 1)])
def test_what_is_cut_off(below, many):
    assert len(cut_off([*WALL, *([('markdown', below, [])] if below else [])])) == many


# --- a wall of photographs says in words what it is worth, and says it of the sets that are there now ---

SETS = re.compile(r"'(cifar10/\w+/ipc\d+)'|'(\w+)'")


def of_wall(code) -> list: # The sets of a wall: random ones first
    names = re.search(r'show_wall\(\[(.*)\]', code, re.S)[1]
    return [a or f'cifar10/{b}/ipc10' for a, b in SETS.findall(names.replace("f'cifar10/{m}/ipc10'", ''))]


def unsaid(page, words=wall_words) -> list: # What a page's wall does not say, or not as it is today
    at = next((i for i, (_, s, _) in enumerate(page) if 'show_wall([' in s), None)
    if at is None:
        return []
    said = ''.join(''.join(o.get('data', {}).get('text/markdown', '')) for _, _, outs in page[at:at + 2] for o in outs)
    first, *rest = of_wall(page[at][1])
    return [w for w in (words(first, s) for s in rest) if w not in said]


@pytest.mark.parametrize('book', [b for b in BOOKS if '## On photographs' in b.read_text()],
                         ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_a_wall_says_what_it_is_worth(book):
    "Five methods teach half of what random images do, and no page said so; ten showed scores of sets since replaced."
    assert not (bad := unsaid(cells(book))), f'{book.name}: run it again: {bad}'


@pytest.mark.parametrize('name', method.list_methods())
def test_every_method_shows_photographs(name):
    "On the page that defines it."
    home = method.get_method(name).__module__.removeprefix('dd_lit.').replace('.', '/')
    assert any('show_wall([' in s for kind, s, _ in cells(ROOT/'nbs'/f'{home}.ipynb') if kind == 'code'), home


def test_what_is_unsaid():
    wall = 'code', "show_wall(['cifar10/random/ipc10', 'cifar10/dc/ipc10']);", []
    said = lambda text: ('code', 'Markdown()', [dict(data={'text/markdown': [text]})])
    words = lambda a, b: f'{b} over {a}'
    assert unsaid([wall, said('cifar10/dc/ipc10 over cifar10/random/ipc10')], words) == [] == unsaid([said('')], words)
    assert unsaid([wall, said('cifar10/dm over')], words) == ['cifar10/dc/ipc10 over cifar10/random/ipc10']
    three = "show_wall([f'cifar10/{m}/ipc10' for m in ('random', 'herding')]);"
    assert of_wall(three) == ['cifar10/random/ipc10', 'cifar10/herding/ipc10']


def made(code) -> set: # Functions and classes that a cell defines
    return {n.name for n in ast.parse(code).body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}


def hidden(s) -> bool: # Is it a cell that a reader does not see?
    return s.startswith('#| hide')


EXPORT = re.compile(r'#\| *exports?\b')


def forties(page) -> list: # Where on a page a method is told in forty lines
    head = re.compile(r'^## .* in forty lines$', re.M)
    return [i for i, (kind, s, _) in enumerate(page) if kind == 'markdown' and head.search(s)]


def forty(page) -> list: # What is wrong with the version from scratch of a page; page: what `cells` gives
    heads = forties(page)
    if len(heads) != 1:
        return [f'expected one heading "## ... in forty lines", got {len(heads)}']
    rest = [(kind, s) for kind, s, _ in page[heads[0] + 1:] if not hidden(s)]
    kind, short = rest[0] if rest else ('', '')
    if kind != 'code' or EXPORT.match(short) or not made(short):
        return ['expected functions in the cell below the heading']
    lines = [l for l in short.splitlines() if l.strip() and not l.startswith('#|')]
    bad = [f'expected at most 40 lines, got {len(lines)}'] if len(lines) > 40 else []
    bad += [f'expected at most 80 characters, got {len(l)}: {l.strip()}' for l in lines if len(l) > 80]
    fast = set().union({'distill'}, *(made(s) for kind, s, _ in page if kind == 'code' and EXPORT.match(s)))
    said = lambda s: {n.id for n in ast.walk(ast.parse(s)) if isinstance(n, ast.Name)}
    both = [s for kind, s in rest[1:] if kind == 'code' and asserts(s) and said(s) & made(short) and said(s) & fast]
    return bad if both else [*bad, 'expected a test below that names it and what the library has for it']


# The pages of the registry's methods, of those that make labels, and of the way to use a head again
WAYS = 'flow/inherit', 'labels/gift', 'labels/soft'
HOMES = sorted([*(module.replace('.', '/') for module in method._BUILT_IN), *WAYS])


@pytest.mark.parametrize('name', HOMES)
def test_every_home_shows_photographs(name):
    "Also where no images are made: what a way to learn is worth is seen on the same photographs as all others."
    assert any('show_wall([' in s for kind, s, _ in cells(ROOT/'nbs'/f'{name}.ipynb') if kind == 'code')


@pytest.mark.parametrize('name', HOMES)
def test_forty_lines(name):
    "The page of a method has one that a reader can hold in the head, and a test that it does what the fast one does."
    bad = forty(cells(ROOT/'nbs'/f'{name}.ipynb'))
    assert not bad, f'{name}: {bad}'


SHORT = [('markdown', '## The method in forty lines\n\nText.', []), ('code', '#| hide\nimport os', []),
         ('code', 'def plain():\n    return 1', []), ('code', '#| export\ndef fast():\n    return 1', []),
         ('code', 'test_eq(plain(), fast())', [])]


@pytest.mark.parametrize('page, what', [
    (SHORT, ''), ([*SHORT[:4], ('code', "assert plain() == distill('x')", [])], ''),
    (SHORT[1:], 'expected one heading'), ([SHORT[0], *SHORT], 'expected one heading'),
    ([*SHORT[:2], *SHORT[3:]], 'expected functions'), (SHORT[:4], 'names it and what the library has'),
    (SHORT[:2], 'expected functions'), ([*SHORT[:4], ('code', 'plain(), fast()', [])], 'a test below'),
    ([*SHORT[:4], ('code', 'test_eq(plain(), 1)', [])], 'a test below'),
    ([*SHORT[:4], ('code', 'test_eq(fast(), 1)', [])], 'a test below'),
    ([*SHORT[:2], ('code', 'def plain():\n' + 40*'    1\n', []), *SHORT[3:]], 'at most 40 lines, got 41'),
    ([*SHORT[:2], ('code', f'def plain(): # {70*"x"}\n    pass', []), *SHORT[3:]], 'at most 80 characters, got 85')])
def test_what_forty_lines_are(page, what):
    bad = forty(page)
    assert len(bad) == bool(what) and all(what in b for b in bad)


def kept_back(page) -> list: # Cells of the library whose code the site would not show; page: what `cells` gives
    bare = [s for kind, s, _ in page if kind == 'code' and re.match(r'#\| *export\n', s)]
    imports = lambda s: all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in ast.parse(s).body)
    return [s.splitlines()[1] for s in bare if not imports(s)]


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_a_reader_of_the_site_sees_the_code(book):
    "nbdev keeps signatures of a cell of `export`; of one of `exports` the code as well. Imports alone stay away."
    assert not (bad := kept_back(cells(book))), f'expected "#| exports": {bad}'


@pytest.mark.parametrize('code, many', [('#| export\nimport re', 0), ('#| export\nN = 1', 1), ('#| exports\nN = 1', 0),
                                        ('#| export\ndef f():\n    pass', 1), ('N = 1', 0)])
def test_what_is_kept_back(code, many):
    assert len(kept_back([('code', code, [])])) == many


# The library's cells below the forty lines. nbdev keeps of a cell of `export` its signatures only, of one of `exports`
# the code as well; a summary is text, in which Quarto reads no markup
FOLD = re.compile(r'#\| exports\n#\| code-fold: true\n#\| code-summary: "(In the library: [^"`<>&]+)"\n')


def library(page) -> list: # Exported cells below a page's forty lines that define something; page: what `cells` gives
    below = page[forties(page)[0]:] if forties(page) else []
    return [s for kind, s, _ in below if kind == 'code' and EXPORT.match(s) and made(s)]


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_the_library_is_folded(book, tmp_path, monkeypatch):
    "Below the forty lines, under a line that says what it is; and what is folded is in the preview, code and all."
    code = library(cells(book))
    bad = [s[:90] for s in code if not FOLD.match(s)]
    assert not bad, f'{book.stem}: expected "exports", "code-fold: true", "code-summary: "In the library: ..."": {bad}'
    want = folded(cells(book))
    if want:
        assert shown_folds(book, tmp_path, monkeypatch) == want


def folded(page) -> list: # (summary, code) of what a page folds, but solutions
    numbers = numbered.formulas(s for kind, s, _ in page if kind == 'markdown')
    code = [numbered.in_code(s, numbers) for kind, s, _ in page
            if kind == 'code' and re.search(r'^#\| code-fold: true$', s, re.M)]
    said = [numbered.SUMMARY.search(s) for s in code]
    names = [m[1] if m else 'Code' for m in said]             # as Quarto calls what has no name
    assert not re.search('[`<>&]', ''.join(names)), 'a summary is text, in which Quarto reads no markup'
    text = [re.sub(r'^#\|.*\n', '', s, flags=re.M).strip() for s in code]
    return [pair for pair in zip(names, text, strict=True) if pair[0] != 'Solution']


def shown_folds(book, tmp, monkeypatch) -> list: # (summary, code) of what the preview of a page folds, but solutions
    monkeypatch.setattr(preview_docs, 'dst', tmp)
    page = preview_docs.tidy(preview_docs.body(str(book.relative_to(ROOT/'nbs')), tmp/'page.ipynb'), '../')
    folds = re.findall(r'<details class="fold"><summary>(.*?)</summary>(.*?)</details>', page, re.S)
    text = lambda s: unescape(re.sub(r'<[^>]+>', '', s)).strip()
    return [(text(name), text(code)) for name, code in folds if name != 'Solution']


LONGEST = 60 # Lines of a cell that stands open


def too_long(page) -> list: # Code cells that stand open and are longer than that; page: what `cells` gives
    code = [s for kind, s, _ in page if kind == 'code' and len(s.splitlines()) > LONGEST]
    return [s[:90] for s in code if not re.search(r'^#\| code-fold: true$', s, re.M)]


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_no_long_cell_stands_open(book):
    "Five screens of one cell stood between a sentence and the next: what is longer is folded, and says what it is."
    assert not (bad := too_long(cells(book))), f'more than {LONGEST} lines: fold it (code-fold, code-summary): {bad}'


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_a_fold_says_what_it_holds(book):
    folded = [s for kind, s, _ in cells(book) if kind == 'code' and 'code-fold: true' in s]
    bad = [s[:80] for s in folded if 'code-summary:' not in s]
    assert not bad, f'{book.name}: a folded cell without #| code-summary: {bad}'


def test_what_is_too_long():
    code = lambda n, head='': ('code', head + '\n'.join(['x = 1']*n), [])
    fold = '#| exports\n#| code-fold: true\n#| code-summary: "The code: x"\n'
    assert too_long([code(61)]) and too_long([code(60, '#| exports\n')])
    assert too_long([code(60), code(300, fold), ('markdown', 'a\n'*99, [])]) == []


LIBRARY = '#| exports\n#| code-fold: true\n#| code-summary: "In the library: fast"\ndef fast():\n    return 1'


def test_which_cells_are_the_library():
    "Not the imports, not what stands above, not what is not exported; no page without forty lines has any."
    above, below = SHORT[3], ('code', LIBRARY, [])
    imports = 'code', '#| export\nimport os', []
    assert library([above, *SHORT[:3], imports, below, SHORT[4]]) == [LIBRARY] and library([above, below]) == []
    assert FOLD.match(LIBRARY) and library(SHORT) == [above[1]] and not FOLD.match(above[1])
    for a, b in (('exports', 'export'), ('true', 'show'), ('In the library: fast', 'Code'), ('fast"', '`fast`"')):
        assert not FOLD.match(LIBRARY.replace(a, b, 1)), b


def preview(*cells):
    "What the preview makes of a notebook's cells."
    nb = nbformat.v4.new_notebook(metadata=dict(kernelspec=dict(name='python3', display_name='p', language='python')))
    nb.cells = [nbformat.v4.new_markdown_cell(s) if kind == 'markdown' else nbformat.v4.new_code_cell(s)
                for kind, s, _ in cells]
    nb = numbered.marked(nb)
    for c in nb.cells:
        c.source = re.sub(r'^#\|.*\n?', '', c.source, flags=re.M)
    html = lambda *a: pypandoc.convert_text(nbformat.writes(nb), 'html', 'ipynb+citations', ['--mathml', *a])
    return [numbered.folded(html(*a)) for a in ((), ('--syntax-highlighting=none',))]


def test_preview_numbers_formulas():
    "In the order of the page; what is mentioned is a link, in code it stays."
    for page in preview(('markdown', 'By @eq-b and [-@eq-a-1]: `@eq-b`, @eq-c\n\n$$x$$ {#eq-a-1}', []),
                        ('markdown', '$$\ny\n$$ {#eq-b}\n\n$$z$$', [])):
        assert re.search(r'<a href="#eq-b">Equation\s2</a> and <a href="#eq-a-1">1</a>', page)
        assert '<code>@eq-b</code>' in page and '{#eq' not in page and page.count('<math') == 3
        assert page.index('id="eq-a-1"') < page.index('(</mo><mn>1') < page.index('id="eq-b"') < page.index('<mn>2')


def test_preview_folds_solutions():
    for page in preview(*ONE, ('code', 'g()', [])):
        fold, = re.findall(r'<details class="fold"><summary>(.*?)</summary>(.*?)</details>', page, re.S)
        text = re.sub(r'<[^>]+>', '', fold[1])
        assert fold[0] == 'Solution' and text.strip() == SOLUTION
        assert numbered.MARK.strip() not in page and 'g()' in re.sub(r'<[^>]+>', '', page)


def test_preview_shows_nothing_where_nothing_is_said():
    "An empty notice stood on three pages as `HTML-`."
    texts = ('text/markdown', ''), ('text/markdown', 'A'), ('text/html', '<b>')
    shown = [nbformat.v4.new_output('display_data', data={kind: text}) for kind, text in texts]
    cell = nbformat.v4.new_code_cell('f()', outputs=shown)
    first, second = preview_docs.told(cell)
    assert first.source == 'A' and second.source.startswith('HTML-') and not cell.outputs


# --- what a page prints ---

def printed(outputs) -> int: # Lines of text to scroll past; tables, pictures and folded listings are none
    rich = {'text/markdown', 'text/html', 'image/png'}
    plain = lambda o: '' if rich & set(o.get('data', {})) else ''.join(o.get('data', {}).get('text/plain', ''))
    return sum((''.join(o.get('text', '')) or plain(o)).count('\n') for o in outputs)


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_page_prints_little(book):
    "A table of rows is a table, a long listing is folded: no cell prints more than 40 lines, no page more than 80."
    lines = [printed(outputs) for _, _, outputs in cells(book)]
    assert max(lines) <= 40 and sum(lines) <= 80, sorted(lines)[-3:]


def test_printed_lines_are_counted():
    stream = dict(output_type='stream', text=['a\n', 'b\n'])
    shown = dict(data={'text/plain': ['(1,\n', ' 2)'], 'text/markdown': ['| a |\n']})
    assert (printed([stream]), printed([shown]), printed([dict(data={'text/plain': ['(1,\n', ' 2)']})])) == (2, 0, 1)


def silent(outputs) -> bool: # Does a cell show a text without a word?
    shown = [o['data']['text/markdown'] for o in outputs if 'text/markdown' in o.get('data', {})]
    return not all(''.join(text).strip() for text in shown)


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_is_shown_says_something(book):
    assert not (bad := [s for _, s, outputs in cells(book) if silent(outputs)]), bad


def test_which_output_is_silent():
    shown = lambda text: dict(data={'text/markdown': text, 'text/plain': ['<Markdown>']})
    assert silent([shown(['a\n']), shown([])]) and silent([shown([' \n'])])
    assert not silent([shown(['a\n']), dict(output_type='stream', text=[])])


def bare(outputs) -> list: # Dicts, lists and tensors, as Python writes them
    rich = {'text/markdown', 'text/html', 'image/png'}
    plain = lambda o: '' if rich & set(o.get('data', {})) else ''.join(o.get('data', {}).get('text/plain', ''))
    texts = [''.join(o.get('text', '')) or plain(o) for o in outputs]
    return [s[:60] for s in texts if re.match(r"[\[{]|tensor\(", s)]


@pytest.mark.parametrize('name', EXERCISES)
def test_a_page_of_theory_prints_no_bare_numbers(name):
    "A dict of numbers says neither what they are nor how many digits count: a table or a sentence does."
    bad = [b for _, _, outputs in cells(ROOT/'nbs'/f'{name}.ipynb') for b in bare(outputs)]
    assert not bad, bad


def test_what_is_bare():
    text = lambda s: [dict(data={'text/plain': [s]})]
    assert [len(bare(text(s))) for s in ("{'a': 1}", '[1, 2]', 'tensor([1.])', "'a sentence'", '3')] == [1, 1, 1, 0, 0]
    assert bare([dict(text=['{1: 2}\n'])]) and not bare([dict(data={'text/plain': ['{}'], 'text/markdown': ['| |']})])
