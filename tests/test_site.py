"""The site as `make docs` hands it to Quarto: its very steps in a copy of the tree, and every page it makes beside its
source.

Quarto itself cannot be had everywhere, so a stub stands in for it on the PATH. What it would be given is what is
compared.
"""
import ast
import base64
import configparser
import importlib
import inspect
import io
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import api_pages
import links
import matplotlib.pyplot as plt
import numpy as np
import pypandoc
import pytest
import website
import yaml
from conftest import ROOT, notebooks
from matplotlib.colors import rgb_to_hsv, to_hex
from PIL import Image

import dd_lit
from dd_lit.core import contrast

BOOKS = [ROOT/b for b in notebooks()]
WRITES = 'text', 'annotate', 'set_title', 'suptitle', 'set_xlabel', 'set_ylabel', 'figtext', 'legend', 'tick_params'
EXPORTED = re.compile(r'^#\|\s*(export|exports|exporti|exec_doc)\b', re.M)


def cells(path):
    return json.loads(path.read_text())['cells']
def source(cell):
    return ''.join(cell['source'])


def tree_of(code) -> ast.Module: # A cell's code, without what only a notebook understands
    return ast.parse('\n'.join(l for l in code.splitlines() if not l.lstrip().startswith(('%', '!'))))


def mixed(code) -> bool: # Does the code hold an import, anywhere, and something that is not one?
    tree = tree_of(code)
    imports = lambda n: isinstance(n, (ast.Import, ast.ImportFrom))
    return any(map(imports, ast.walk(tree))) and not all(map(imports, tree.body))


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_imports_stand_alone(book):
    """nbdev runs the exported cells, in order, as the module would, and beside them every cell with an import, wherever
    in it, whole and without the cells before it. So outside of exported cells a cell imports, or does something: never
    both. A function that needs an import has it from a cell of imports."""
    plain = [c for c in cells(book) if c['cell_type'] == 'code' and not EXPORTED.search(source(c))]
    bad = [f'{c["id"]}: {source(c)[:200]}' for c in plain if mixed(source(c))]
    name = book.relative_to(ROOT)
    assert not bad, f'{name}: give the imports a cell of their own (cell id and code follow)\n' + '\n\n'.join(bad)


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_title_cell_holds_title_and_summary(book):
    "nbdev makes the page's head from the first cell and drops whatever else is in it."
    good = re.fullmatch(r'# \S.*\n\n> \S.*', source(cells(book)[0]).strip())
    assert good, f'{book.relative_to(ROOT)}: first cell: expected "# title", a blank line, "> summary" and nothing else'


def test_titles_are_as_a_person_says_them():
    "No file's or module's name, none twice: the sidebar shows them. Only the first page is called as the package."
    titles = {str(b.relative_to(ROOT/'nbs')): source(cells(b)[0]).splitlines()[0].removeprefix('# ') for b in BOOKS}
    assert titles.pop('index.ipynb') == 'dd_lit'
    bare = lambda p: re.sub(r'^\d+[a-z]?_', '', Path(p).stem)
    bad = {p: t for p, t in titles.items() if t == bare(p) or '_' in t or not t[0].isupper() or len(t) > 60}
    assert not bad, f'give these pages titles: {bad}'
    assert len(set(titles.values())) == len(titles), sorted(titles.values())


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_no_machine_in_the_outputs(book):
    "What a page printed names no folder of the machine that ran it."
    where = re.compile(r'(?<![\w.…)/])/(?:root|work|tmp|home|usr|opt|var|mnt|Users|private)/|[A-Z]:\\\\'
                       r'|site-packages|dist-packages')
    bad = []
    for c in cells(book):
        for o in c.get('outputs', []):
            said = [('text', o.get('text', '')), *o.get('data', {}).items()]
            text = '\n'.join(''.join(t) for k, t in said if k.startswith('text') or 'svg' in k)
            bad += [f'{c["id"]}: {m}' for m in where.finditer(text)]
    assert not bad, f'{book.relative_to(ROOT)}: {bad}'


# --- What `make docs` makes ---

DIRECTIVE = re.compile(r'^#\|.*\n?', re.M)
MARKUP = re.compile(r'\]\((https?:|[^()\s]*\.(html|ipynb|qmd|md)\b)')
LINKED = re.compile(r'\[(`[^`]+`)\]\([^()\s]*\)')        # a name that was given its link
ELSEWHERE = re.compile(r'\]\([^()\s]*\)')               # where links lead is another test's matter


FILES = ('settings.ini', 'pyproject.toml', 'setup.py', 'Makefile', 'README.md', 'CONTRIBUTING.md', '_quarto.yml',
         'references.bib')


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "The folder in which `make docs` was run, with a Quarto that only writes down what it was asked."
    d = tmp_path_factory.mktemp('site')
    stub = d/'stub'/'quarto'
    stub.parent.mkdir()
    for f in FILES:
        shutil.copy(ROOT/f, d/f)
    left = shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints', '_quarto.yml', 'nbdev.yml')
    for f in ('nbs', 'dd_lit', 'bench', 'tools'):
        shutil.copytree(ROOT/f, d/f, ignore=left)
    stub.write_text('#!/bin/sh\necho "$PWD: $*" >> "$(dirname "$0")/asked"\n')
    stub.chmod(0o755)
    env = {**os.environ, 'PATH': f'{stub.parent}{os.pathsep}{os.environ["PATH"]}', 'PYTHONPATH': str(d)}
    # the environment is this one: make is told that it is up to date
    make = ['make', '-o', f'{sys.prefix}/.dev', 'docs', f'VENV={sys.prefix}']
    r = subprocess.run(make, cwd=d, env=env, capture_output=True, text=True, timeout=600)
    assert r.returncode == 0, f'make docs: exit {r.returncode}\n{(r.stdout + r.stderr)[-4000:]}'
    assert 'imports and other code' not in r.stdout + r.stderr
    assert (d/'stub'/'asked').read_text() == f'{d}: render _proc --output-dir ../_docs\n'
    return d


def pages(d):
    names = [b.relative_to(ROOT/'nbs') for b in BOOKS]
    return {str(n): (cells(ROOT/'nbs'/n), cells(d/'_proc'/n)) for n in names}
def flat(s):
    return ' '.join(ELSEWHERE.sub(']()', LINKED.sub(r'\1', s)).split())
def markdown(outputs):
    return [''.join(o['data']['text/markdown']) for o in outputs if 'text/markdown' in o.get('data', {})]
def shown(outputs):
    data = lambda o, kind: ''.join(o.get('data', {}).get(kind, ''))
    return [''.join(o.get('text', '')) + data(o, 'text/plain') + data(o, 'image/png') for o in outputs]
def said(c) -> tuple: # All outputs of a cell, to compare
    return shown(c['outputs']), [flat(s) for s in markdown(c['outputs'])]
def stripped(page) -> list: # (code without directives, cell)
    return [(DIRECTIVE.sub('', source(c)).strip(), c) for c in page if c['cell_type'] == 'code']


def lost_text(before, after) -> list: # Paragraphs that are not on the processed page, or not in their order
    head = yaml.safe_load(source(after[0]).strip().strip('-'))
    title, _, summary = source(before[0]).partition('\n')
    want = f"# {head['title']}\n> {head.get('description', '')}"
    gone = [p for p in re.split(r'\n\s*\n', source(before[0])) if flat(p) not in flat(want)]
    text = flat('\n\n'.join(source(c) for c in after if c['cell_type'] == 'markdown'))
    for c in before[1:]:
        if c['cell_type'] == 'markdown':                 # in order: each paragraph after the one before it
            for p in re.split(r'\n\s*\n', source(c)):
                at = text.find(flat(p))
                if at < 0:
                    gone.append(p)
                else:
                    text = text[at + len(flat(p)):]
    return gone


def lost_code(ours, theirs) -> list: # Shown cells that are not there, or with other outputs
    gone, k = [], 0
    for code, c in ours:
        flags = {f.split()[0] for f in re.findall(r'^#\|\s*(\S.*)$', source(c), re.M)}
        if not code or flags & {'hide', 'export', 'exporti', 'default_exp'}:
            continue
        at = next((i for i in range(k, len(theirs)) if theirs[i][0] == code), None)
        if at is None:
            gone.append(code)
            continue
        k = at + 1
        if said(c) != said(theirs[at][1]):
            gone.append(f'the outputs of: {code}')
    return gone


def lost_signatures(ours, theirs) -> list: # An exported cell is shown by its signatures
    text = '\n'.join(t for _, c in theirs for t in markdown(c['outputs']))
    headings = set(re.findall(r'^### (\S+)$', text, re.M))
    exported = [code for code, c in ours if re.search(r'^#\|\s*exports?\b', source(c), re.M)]
    made = [n for code in exported for n in ast.parse(code).body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    public = [n.name for n in made if n.name[0] != '_' and not n.decorator_list]
    return [f'the signature of {n}' for n in public if n not in headings]


def lost(before, after) -> list: # What of a page's source is not on the processed page
    ours, theirs = stripped(before), stripped(after)
    return lost_text(before, after) + lost_code(ours, theirs) + lost_signatures(ours, theirs)


def body(after) -> str: # A processed page's text, its Markdown outputs in their places
    text = lambda c: [source(c)] if c['cell_type'] == 'markdown' else markdown(c['outputs'])
    return '\n\n'.join(s for c in after if c['cell_type'] != 'raw' for s in text(c))


def walk(x):
    if isinstance(x, dict):
        yield x
        for v in x.values():
            yield from walk(v)
    elif isinstance(x, list):
        for v in x:
            yield from walk(v)


@pytest.fixture(scope='module')
def trees(made):
    "Pandoc's tree of every page, as Quarto would read it: path below _proc -> list of nodes."
    texts = {k: body(after) for k, (_, after) in pages(made).items()}
    texts |= {str(p.relative_to(made/'_proc')): p.read_text() for p in (made/'_proc').rglob('*.qmd')}
    tree = lambda t: json.loads(pypandoc.convert_text(t, 'json', format='markdown'))
    return {k: list(walk(tree(t))) for k, t in texts.items()}


def markup(nodes) -> list: # Link markup that a reader would see: in code, or as brackets in the text
    code = [n['c'][1] for n in nodes if n.get('t') in ('Code', 'CodeBlock')]
    seen = [s[max(0, m.start() - 30):m.end() + 30] for s in code for m in MARKUP.finditer(s)]
    return seen + [n['c'] for n in nodes if n.get('t') == 'Str' and '](' in n['c']]


def once(before, page) -> list: # A page's source, its opening picture shown once, its formulas numbered in code
    shown = json.loads(json.dumps(before))
    website.once(shown, page)
    website.counted(shown)
    return shown


def test_nothing_is_lost(made):
    bad = {k: g for k, (before, after) in pages(made).items() if (g := lost(once(before, k), after))}
    assert not bad, '\n'.join(f'{k}: {len(g)} lost: {[p[:200] for p in g]}' for k, g in bad.items())


def test_folds_arrive(made):
    """nbdev hands on what Quarto folds by: every solution is folded, and called so; and the library's code below forty
    lines is there at all (of a cell of `export` only the signatures are)."""
    folds = lambda page: [source(c) for c in page if re.search(r'^#\| *code-fold: *true', source(c), re.M)]
    n, library = 0, 0
    for k, (before, after) in pages(made).items():
        assert folds(after) == [s.removeprefix('#| exports\n') for s in folds(once(before, k))], k
        n += len(folds(after))
        library += sum('#| code-summary: "In the library: ' in s for s in folds(after))
    assert n > 20 and library > 40


def test_home_says_what_distillation_is(made):
    assert 'asks for the smallest set that still teaches' in flat(body(cells(made/'_proc'/'index.ipynb')))


def test_no_link_markup_in_code(trees):
    bad = {k: m for k, nodes in trees.items() if (m := markup(nodes))}
    places = '\n'.join(f'{k}: {m}' for k, m in bad.items())
    assert not bad, f'{sum(map(len, bad.values()))} places on {len(bad)} pages:\n{places}'


def anchors(nodes) -> set: # Where on a page a link may lead
    heads = {n['c'][1][0] for n in nodes if n.get('t') == 'Header'}
    return heads | {n['c'][0][0] for n in nodes if n.get('t') in ('Span', 'Div')}


def keys(nodes) -> dict: # What a page cites or refers to -> how often
    cited = [c['citationId'] for n in nodes if n.get('t') == 'Cite' for c in n['c'][0]]
    return {k: cited.count(k) for k in cited}


def test_citations_and_references_resolve(trees):
    "A key of references.bib, or a label of the same page: Quarto leaves question marks in the place of others."
    bib = set(re.findall(r'^@\w+\{([^,]+),', (ROOT/'references.bib').read_text(), re.M))
    bad = {}
    for k, nodes in trees.items():
        have = bib | anchors(nodes) | labels(nodes)
        if missing := set(keys(nodes)) - have:
            bad[k] = missing
    assert not bad, bad
    assert sum(len(keys(nodes)) for nodes in trees.values()) > 20


def labels(nodes) -> set: # {#eq-name} behind a formula, as Quarto reads it
    return {m for n in nodes if n.get('t') == 'Str' for m in re.findall(r'\{#((?:eq|fig|tbl|sec)-[\w-]+)', n['c'])}


def test_pictures_have_words(made, trees):
    "A picture in the text is described by `fig-alt`, which Quarto makes its `alt`; one below code by its directive."
    bad, n = [], 0
    for k, nodes in trees.items():
        for pic in (x['c'] for x in nodes if x.get('t') == 'Image'):
            n += 1
            if len(dict(pic[0][2]).get('fig-alt', '')) < 10:
                bad.append(f'{k}: {pic[2][0]}')
    for k, (_, after) in pages(made).items():
        for c in after:
            pngs = [o for o in c.get('outputs', []) if 'image/png' in o.get('data', {})]
            said = re.findall(r'^#\|\s*fig-alt:\s*"(.{10,})"', source(c), re.M)
            bad += [f'{k}: {source(c)[:80]}'] if pngs and not said else []
    assert not bad, '\n'.join(bad)
    assert n > 40


LETTERS = re.compile(r'(?:font|label)size\s*=\s*(\d+(?:\.\d+)?)')


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_letters_of_figures(book):
    "At least nine points; no chart is wider than the column, which would shrink them."
    code = [c for c in cells(book) if c['cell_type'] == 'code']
    small = [f'{c["id"]}: {m[0]}' for c in code for m in LETTERS.finditer(source(c)) if float(m[1]) < 9]
    pngs = [o['data']['image/png'] for c in code for o in c['outputs'] if 'image/png' in o.get('data', {})]
    charts = filter(website.is_chart, (base64.b64decode(''.join(p)) for p in pngs))
    wide = [w for w in (Image.open(io.BytesIO(p)).width for p in charts) if w > 860]
    assert not small and not wide, f'{book.stem}: letters {small}, charts wider than 860 px {wide}'


def test_charts_are_told_from_pictures():
    "A dark page turns charts round: lines on white, not photographs."
    out = io.BytesIO()
    fig, ax = plt.subplots(figsize=(4, 3))
    ax.plot([1, 2, 3])
    fig.savefig(out)
    plt.close(fig)
    assert website.is_chart(out.getvalue())
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(out, 'png')
    assert not website.is_chart(out.getvalue())


def test_charts_are_marked(made):
    marked = [k for k, (_, after) in pages(made).items() for c in after if '#| classes: chart' in source(c)]
    assert len(set(marked)) > 20
    assert '.chart fig-alt=' in ''.join(source(c) for c in cells(made/'_proc'/'gradient'/'schedule.ipynb'))


def turned(colour): # As a dark page shows a chart's colour: invert(.867) hue-rotate(180deg), see style.css
    spin = np.array([[-.574, 1.430, .144], [.426, .430, .144], [.426, 1.430, -.856]])
    return np.clip(spin @ (.867 - .734*np.asarray(colour)), 0, 1)


def families(png) -> dict: # hue in twelfths -> the colours of marks; gray is for grids
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert('RGB')).reshape(-1, 3)
    found = {}
    for colour, n in zip(*np.unique(pixels, axis=0, return_counts=True), strict=True):
        if n >= 40 and int(colour.max()) - int(colour.min()) >= 40:
            hue = rgb_to_hsv(colour/255)[0]
            found.setdefault(round(12*hue) % 12, []).append(colour/255)
    return found


def faint(png) -> list: # (hex, contrast) of marks that do not stand out, the darkest of each hue
    "Each hue's darkest colour, on white and on a dark page: three to one at least (WCAG 2.1, 1.4.11)."
    def worst(colour):
        return min(contrast(colour, 'white'), contrast(turned(colour), turned((1, 1, 1))))
    best = [max(own, key=worst) for own in families(png).values()]
    return [(to_hex(c), round(worst(c), 2)) for c in best if worst(c) < 3]


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_contrast_of_figures(book):
    "Marks stand out from white and from the dark page; words are black, or chosen for what lies beneath."
    code = [c for c in cells(book) if c['cell_type'] == 'code']
    pngs = [(c['id'], base64.b64decode(''.join(p))) for c in code for p in pictures_of([c])]
    charts = [(i, p) for i, p in pngs if website.is_chart(p)]
    assert not (bad := {i: f for i, p in charts if (f := faint(p))}), bad
    for c in code:
        calls = (n for n in ast.walk(tree_of(source(c))) if isinstance(n, ast.Call))
        for call in (n for n in calls if getattr(n.func, 'attr', '') in WRITES):
            for colour in (k.value for k in call.keywords if k.arg in ('color', 'c', 'labelcolor')):
                chosen = isinstance(colour, ast.Call) and getattr(colour.func, 'id', '') == 'ink_on' or (
                    isinstance(colour, ast.Name) and colour.id == 'ink')
                constant = isinstance(colour, ast.Constant) and contrast(colour.value, 'white') > 4.5
                assert chosen or constant, f'{c["id"]}: letters in {ast.unparse(colour)}'


def test_what_faint_finds():
    def drawn(**how):
        out, (fig, ax) = io.BytesIO(), plt.subplots(figsize=(4, 3))
        ax.plot([1, 3, 2], lw=3, **how)
        fig.savefig(out)
        plt.close(fig)
        return [c for c, _ in faint(out.getvalue())]
    assert drawn(color='tab:orange') == ['#ff7f0e'] and drawn(color='gold') == ['#ffd700']
    assert drawn(color='tab:blue') == [] and drawn(color='tab:blue', alpha=.3) and drawn(color='black') == []
    with plt.rc_context(fname=ROOT/'nbs'/'matplotlibrc'):
        assert [c for k in range(10) for c in drawn(color=f'C{k}')] == []


def front(page) -> dict: # What stands at the head of a processed page
    return yaml.safe_load(source(cells(page)[0]).strip().strip('-'))


def test_names_are_linked_and_links_arrive(made, trees):
    """Every relative link of every page leads to a page or a file of the site, and to a heading or a formula of it;
    links of names are there at all."""
    html = lambda k: str(Path(k).with_name(re.sub(r'^\d+[a-z]?_', '', Path(k).stem) + '.html'))
    ids = {}
    for k, nodes in trees.items():
        have = anchors(nodes) | labels(nodes)
        for name in (k, html(k)):
            ids[os.path.normpath(name)] = have
        if k.endswith('.ipynb'):
            assert front(made/'_proc'/k)['output-file'] == Path(html(k)).name
    broken, names = [], 0
    for k, nodes in trees.items():
        for n in nodes:
            if n.get('t') not in ('Link', 'Image'):
                continue
            url = n['c'][2][0]
            names += n['t'] == 'Link' and n['c'][1][0].get('t') == 'Code' and '.html#' in url
            if re.match(r'[a-z]+:', url):
                continue
            file, _, anchor = url.partition('#')
            to = os.path.normpath(Path(k).parent/file) if file else k
            there = not to.startswith('..') and (to in ids or (made/'_proc'/to).is_file())
            if not there or anchor and anchor not in ids.get(to, ()):
                broken.append(f'{k}: {url}')
    assert not broken, '\n'.join(broken)
    assert names > 50, f'{names} names are linked'


TRAIN = next(b.name for b in BOOKS if b.parent == ROOT/'nbs' and b.stem.endswith('train'))
KEPT = ['# a `fit`', '```python\nx,  # `fit`\n```', '    `fit`', '$$\n`fit`\n$$', '``a `fit` b``', '[`fit`](x.ipynb)',
        '[the `fit` of it](x.ipynb)', '![by `fit`](images/x.png)', '`fit(1)`', '`refit`', '`fit me`',
        '- item\n\n    ```\n    `fit`\n    ```']
CHANGED = {'`fit`': '[`fit`](../train.html#fit)', '| `fit()` |': '| [`fit()`](../train.html#fit) |',
           '[a](b.md) `fit`': '[a](b.md) [`fit`](../train.html#fit)',
           '[c](../../CONTRIBUTING.md)': '[c](../contributing.html)',
           '[d](../../tools/links.py)': '[d](https://github.com/dd-lit/dd_lit/blob/main/tools/links.py)',
           f'[e](../{TRAIN}#x)': f'[e](../{TRAIN}#x)'}


def test_links_leave_code_and_links_alone():
    "What `tools/links.py` may touch: a name in backticks, and where a link leads."
    known = {'fit': 'train.html#fit'}
    do = lambda s: links.linked(s, 'flow/p.html', ROOT/'nbs'/'flow'/'sfm.ipynb', known)
    for s in KEPT:
        assert do(s) == s
    for s, want in CHANGED.items():
        assert do(s) == want and do(want) == want
        for k in KEPT:
            assert do(f'{k}\n\n{s}\n\n{k}') == f'{k}\n\n{want}\n\n{k}'


def test_second_run_of_links_changes_nothing(made):
    before = {p: p.read_text() for p in (made/'_proc').rglob('*.*') if p.suffix in ('.ipynb', '.qmd')}
    subprocess.run([sys.executable, 'tools/links.py'], cwd=made, check=True, capture_output=True)
    assert not [str(p) for p, s in before.items() if p.read_text() != s]


def test_sections_are_numbered_in_reading_order(made):
    "In the sidebar, and where every page says in which part it stands."
    contents = yaml.safe_load((made/'_proc'/'_quarto.yml').read_text())['website']['sidebar']['contents']
    parts = [c for c in contents if isinstance(c, dict) and isinstance(c['contents'], list)]
    assert [p['section'].split(' · ')[0] for p in parts] == [str(k + 1) for k in range(len(parts))]
    for k, part in enumerate(parts):
        for i, page in enumerate(p for p in part['contents'] if p.endswith('.ipynb')):
            text = '\n'.join(source(c) for c in cells(made/'_proc'/page))
            assert re.search(rf'\*Part {k + 1}, .*: page {i + 1} of ', text), page


def test_contributing_is_a_page(made, trees):
    "Reached from the home page and from the sidebar, and whole."
    assert 'contributing.html' in [n['c'][2][0] for n in trees['index.ipynb'] if n.get('t') == 'Link']
    assert 'contributing.qmd' in (made/'_proc'/'_quarto.yml').read_text()
    text, page = (ROOT/'CONTRIBUTING.md').read_text(), (made/'_proc'/'contributing.qmd').read_text()
    assert not [p for p in re.split(r'\n\s*\n', text)[1:] if flat(p) not in flat(page)]


def test_site_is_where_settings_say(made):
    """Quarto is told the addresses of settings.ini, which _quarto.yml does not repeat; 'View source' of every page
    leads to a file of the repository."""
    c = configparser.ConfigParser()
    c.read(ROOT/'settings.ini')
    s = c['DEFAULT']
    q = yaml.safe_load((made/'_proc'/'_quarto.yml').read_text())
    site = q['website']
    said = (ROOT/'_quarto.yml').read_text()
    assert s['git_url'] not in said and s['doc_host'] not in said
    assert q['project']['output-dir'] == s['doc_path']
    same = {'site-url': s['doc_host'] + s['doc_baseurl'], 'repo-url': s['git_url'], 'repo-branch': s['branch'],
            'title': s['title']}
    assert {k: site[k] for k in same} == same
    assert site['description'] == s['description'] and 'source' in site['repo-actions']
    for p in sorted((made/'_proc').rglob('*.*')):
        if p.suffix == '.ipynb':
            assert (ROOT/site['repo-subdir']/p.relative_to(made/'_proc')).is_file(), p
        if p.suffix == '.qmd':
            head = yaml.safe_load(p.read_text().split('---\n')[1])
            assert head['repo-actions'] is False, p         # it has no source there


HOSTS = re.compile(r'https?://(?:github\.com|colab\.research|mybinder|[\w-]+\.github\.io)[^\s)"\'>\\]*')


def test_one_setting_changes_every_address(tmp_path):
    "Another `user` in settings.ini, and the site, its sources, Colab and Binder are all somewhere else."
    for f in FILES:
        shutil.copy(ROOT/f, tmp_path/f)
    for f in ('dd_lit', 'tools'):
        shutil.copytree(ROOT/f, tmp_path/f, ignore=shutil.ignore_patterns('__pycache__'))
    few = 'index.ipynb', 'orthogonal/polar.ipynb', 'favicon.svg'
    for f in few:
        (tmp_path/'nbs'/f).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT/'nbs'/f, tmp_path/'nbs'/f)
    ini = (ROOT/'settings.ini').read_text()
    (tmp_path/'settings.ini').write_text(re.sub('^user = .*$', 'user = somebody', ini, flags=re.M))
    (tmp_path/'stub').mkdir()
    (tmp_path/'stub'/'quarto').write_text('#!/bin/sh\n')
    (tmp_path/'stub'/'quarto').chmod(0o755)
    path = f'{tmp_path/"stub"}{os.pathsep}{os.environ["PATH"]}'
    make = ['make', '-o', f'{sys.prefix}/.dev', 'docs', f'VENV={sys.prefix}']
    env = {**os.environ, 'PATH': path, 'PYTHONPATH': str(tmp_path)}
    r = subprocess.run(make, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600)
    assert r.returncode == 0, r.stdout + r.stderr
    found = set()
    for p in (tmp_path/'_proc').rglob('*.*'):
        if p.suffix in ('.ipynb', '.qmd', '.yml'):
            text = p.read_text()
            assert 'dd-lit.github' not in text and '/dd-lit/' not in text, p
            found |= {m.split('/')[2] for m in HOSTS.findall(text) if 'somebody' in m}
    assert found == {'github.com', 'somebody.github.io', 'colab.research.google.com', 'mybinder.org'}


def test_every_page_opens_elsewhere(made):
    "One link to Colab and one to Binder, to this very page; also where a page has no opening."
    said = website.settings()
    for book in notebooks():
        page = str(book.relative_to('nbs'))
        text = (made/'_proc'/page).read_text()
        for where in ('colab_url', 'binder_url'):
            assert text.count(f'{said[where]}/{page}') == 1, (page, where)


def test_the_page_that_trains_has_its_scripts(made):
    "They lie where the page asks for them, and Quarto is told to take them along."
    page = '\n'.join(''.join(o['data'].get('text/html', '')) for c in cells(made/'_proc'/'howto'/'watch.ipynb')
                     for o in c.get('outputs', []) if 'data' in o)
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {Path(f).name for f in files} == {'net.js', 'sets.js', 'watch.js', 'watch.css'}
    assert all((made/'_proc'/'howto'/f).is_file() for f in files), files
    assert 'watch/*' in yaml.safe_load((made/'_proc'/'_quarto.yml').read_text())['project']['resources']


# --- API pages ---

def entries(made, module) -> dict: # name -> its entry on the module's API page
    text = (made/'_proc'/'api'/f'{module}.qmd').read_text()
    return dict(re.findall(r'^## (\S+)\n(.*?)(?=^## |\Z)', text, re.M | re.S))


def functions(module): # Of a module's public names: (name, function, it and those it overrides, is it a method?)
    "Written ones, not those that dataclasses make."
    for n in getattr(module, '__all__', []):
        o = getattr(module, n)
        if getattr(o, '__module__', '') != module.__name__:
            continue
        if inspect.isfunction(o):
            yield n, o, [o], False
        for k, v in vars(o).items() if inspect.isclass(o) else ():
            f = getattr(v, '__func__', v)
            ours = inspect.isfunction(f) and f.__qualname__ == f'{n}.{k}' and api_pages.comments(f)
            if ours and (not k.startswith('_') or k in ('__init__', '__call__')):
                bases = [vars(b)[k] for b in o.__mro__ if k in vars(b)]
                yield f'{n}.{k}', f, [getattr(b, '__func__', b) for b in bases], not isinstance(v, staticmethod)


def unsaid(module) -> list: # Arguments that nothing is said about, here or in a class above
    out = []
    for name, f, all_of, method in functions(module):
        told = [api_pages.comments(b) for b in all_of]
        arguments = list(inspect.signature(f).parameters)[method:]
        out += [f'{name}({a})' for a in arguments if not any(d.get(a) for d in told)]
    return out


def test_every_argument_has_its_comment(tmp_path, monkeypatch):
    "Behind it in the source; a method that overrides another may leave it to that one."
    modules = [importlib.import_module(m.name) for m in pkgutil.walk_packages(dd_lit.__path__, 'dd_lit.')]
    assert not (bare := {m.__name__: u for m in modules if (u := unsaid(m))}), bare
    (tmp_path/'told.py').write_text("""__all__ = ['f', 'Above', 'Below']
def f(
    a, # Said
    b=1,
): pass
class Above:
    def g(self,
        x, # Said
    ): pass
class Below(Above):
    def g(self, x, y): pass
""")
    monkeypatch.syspath_prepend(tmp_path)
    assert unsaid(importlib.import_module('told')) == ['f(b)', 'Below.g(y)']


def test_api_pages_say_what_the_source_says(made):
    "Arguments, types, defaults, settings and returns, in the author's words."
    out = entries(made, 'distill')['distill']
    assert 'Returns `DistilledSet`.' in out and "| `data` | `Any` | `'digits'` |" in out
    dc = entries(made, 'gradient.dc')
    assert re.search(r"^\| `lr_img` \| `0.1` \| SGD on the images", dc['DCSettings'], re.M)
    assert '| `lr_img` | `0.1` |' in dc['DC'] and 'Settings: iters' not in dc['DC']
    assert '| `top1` | `list[float]` |' in entries(made, 'evaluate')['Scores']
    for p in (made/'_proc'/'api').glob('*.qmd'):
        text = p.read_text()
        assert not re.search(r'NoneType|<factory>|<function|<object| at 0x|\|\| argument', text), p
        assert not re.search(r'^# ', text, re.M), f'{p}: its title stands in its head, once'


def test_formulas_that_code_names_have_numbers(made):
    "On the page as beside the formula, on the API page as a link to it; no name is left that a reader does not see."
    left = re.compile(r'(?<![\w@#-])eq-\w+')
    seen = lambda page: '\n'.join(source(c) + '\n'.join(markdown(c.get('outputs', []))) for c in page
                                  if c['cell_type'] == 'code')
    for k, (_, after) in pages(made).items():
        assert not left.search(seen(after)), k
    for p in (made/'_proc'/'api').glob('*.qmd'):
        assert not left.search(p.read_text()), p
    assert 'walked (Equation 2)' in seen(cells(made/'_proc'/'trajectory'/'mtt.ipynb'))
    loss = entries(made, 'trajectory.mtt')['trajectory_loss']
    assert '([Equation 2](../trajectory/mtt.ipynb#eq-share))' in loss


def test_api_pages_lead_to_source_and_notebook(made, trees):
    "Every entry's source link names the lines of its definition; the notebook's page leads back."
    n = 0
    for p in (made/'_proc'/'api').glob('*.qmd'):
        for name, text in entries(made, p.stem).items():
            m = re.search(r'\[source\]\(\S+?/blob/main/(dd_lit/\S+\.py)#L(\d+)-L(\d+)\)', text)
            if m:
                lines = (ROOT/m[1]).read_text().splitlines()[int(m[2]) - 1:int(m[3])]
                assert any(re.match(rf'(def|class) {name}\b', l) for l in lines), f'{p.stem}: {name}: {lines[:1]}'
                n += 1
        book = re.search(r'\[The page that explains it\]\(\.\./(\S+)\)', p.read_text())[1]
        links = [x['c'][2][0] for x in trees[book] if x.get('t') == 'Link']
        assert any(l.endswith(f'api/{p.name}') for l in links), f'{book} does not lead to {p.name}'
    assert n > 300


def test_quarto_is_pinned():
    "The workflow renders with the one version that was tried."
    steps = yaml.safe_load((ROOT/'.github'/'workflows'/'docs.yml').read_text())['jobs']['build']['steps']
    quarto, = [s for s in steps if 'quarto-actions/setup' in s.get('uses', '')]
    assert re.fullmatch(r'\d+\.\d+\.\d+', quarto.get('with', {}).get('version', ''))


def pictures_of(cells_) -> list: # The pictures below cells of code
    return [o['data']['image/png'] for c in cells_ for o in c.get('outputs', []) if 'image/png' in o.get('data', {})]


def test_the_opening_picture_is_shown_once():
    "Where it was drawn a line says that it stands above; the notebook itself keeps it, and every other picture."
    found = {}
    for book in BOOKS:
        page, before = str(book.relative_to(ROOT/'nbs')), cells(book)
        after = json.loads(json.dumps(before))
        found[page] = website.once(after, page)
        assert len(pictures_of(before)) == len(pictures_of(after)) + found[page], page
        assert json.dumps(after).count(website.SEEN) == found[page], page
        again = website.finished(dict(cells=json.loads(json.dumps(before))), page)['cells']
        assert pictures_of(again) == pictures_of(after), page
        assert website.once(after, page) == 0
    opened = [p for p in found if website.opening_picture(p).is_file()]
    assert len(opened) > 70 and {p for p in opened if found[p] != 1} == set()
