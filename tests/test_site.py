"""The site as `make docs` hands it to Quarto: its very steps in a copy of the tree, and every page it makes beside its source.

Quarto itself cannot be had everywhere, so a stub stands in for it on the PATH. What it would be given is what is compared.
"""
import ast
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pypandoc
import pytest
import yaml
from conftest import ROOT

BOOKS = sorted(p for p in (ROOT/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)
EXPORTED = re.compile(r'^#\|\s*(export|exports|exporti|exec_doc)\b', re.M)


def source(cell):
    return ''.join(cell['source'])


def mixed(code) -> bool: # Does the code hold an import, anywhere, and something that is not one?
    lines = [l for l in code.splitlines() if not l.lstrip().startswith(('%', '!'))]
    tree = ast.parse('\n'.join(lines))
    return any(isinstance(n, (ast.Import, ast.ImportFrom)) for n in ast.walk(tree)) and not all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in tree.body)


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_imports_stand_alone(book):
    """nbdev runs the exported cells, in order, as the module would, and beside them every cell with an import, wherever in it, whole and without
    the cells before it. So outside of exported cells a cell imports, or does something: never both. A function that needs an import has it
    from a cell of imports."""
    bad = [f'{c["id"]}: {source(c)[:200]}' for c in json.loads(book.read_text())['cells'] if c['cell_type'] == 'code' and not EXPORTED.search(source(c)) and mixed(source(c))]
    assert not bad, f'{book.relative_to(ROOT)}: give the imports a cell of their own (cell id and code follow)\n' + '\n\n'.join(bad)


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_title_cell_holds_title_and_summary(book):
    "nbdev makes the page's head from the first cell and drops whatever else is in it."
    assert re.fullmatch(r'# \S.*\n\n> \S.*', source(json.loads(book.read_text())['cells'][0]).strip()), f'{book.relative_to(ROOT)}: first cell: expected "# title", a blank line, "> summary" and nothing else'


@pytest.mark.parametrize('book', BOOKS, ids=lambda p: str(p.relative_to(ROOT/'nbs')))
def test_no_machine_in_the_outputs(book):
    "What a page printed names no folder of the machine that ran it."
    where = re.compile(r'(?<![\w.…)/])/(?:root|work|tmp|home|usr|opt|var|mnt|Users|private)/|[A-Z]:\\\\|site-packages|dist-packages')
    text = lambda o: [t if isinstance(t, str) else ''.join(t) for k, t in [('text', o.get('text', '')), *o.get('data', {}).items()] if k.startswith('text') or 'svg' in k]
    bad = [f'{c["id"]}: {m}' for c in json.loads(book.read_text())['cells'] for o in c.get('outputs', []) for t in text(o) for m in [where.search(t)] if m]
    assert not bad, f'{book.relative_to(ROOT)}: {bad}'


# --- What `make docs` makes ---

DIRECTIVE = re.compile(r'^#\|.*\n?', re.M)
MARKUP = re.compile(r'\]\((https?:|[^()\s]*\.(html|ipynb|qmd|md)\b)')
LINKED = re.compile(r'\[(`[^`]+`)\]\([^()\s]*\)')        # a name that was given its link
ELSEWHERE = re.compile(r'\]\([^()\s]*\)')               # where links lead is another test's matter


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "The folder in which `make docs` was run, with a Quarto that only writes down what it was asked."
    d = tmp_path_factory.mktemp('site')
    stub = d/'stub'/'quarto'
    stub.parent.mkdir()
    for f in ('settings.ini', 'pyproject.toml', 'setup.py', 'Makefile', 'README.md', 'CONTRIBUTING.md', '_quarto.yml', 'references.bib'):
        shutil.copy(ROOT/f, d/f)
    for f in ('nbs', 'dd_lit', 'bench', 'tools'):
        shutil.copytree(ROOT/f, d/f, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints', '_quarto.yml', 'nbdev.yml'))
    stub.write_text('#!/bin/sh\necho "$PWD: $*" >> "$(dirname "$0")/asked"\n')
    stub.chmod(0o755)
    env = {**os.environ, 'PATH': f'{stub.parent}{os.pathsep}{os.environ["PATH"]}', 'PYTHONPATH': str(d)}
    # the environment is this one: make is told that it is up to date
    r = subprocess.run(['make', '-o', f'{sys.prefix}/.dev', 'docs', f'VENV={sys.prefix}'], cwd=d, env=env, capture_output=True, text=True, timeout=600)
    assert r.returncode == 0, f'make docs: exit {r.returncode}\n{(r.stdout + r.stderr)[-4000:]}'
    assert 'imports and other code' not in r.stdout + r.stderr
    assert (d/'stub'/'asked').read_text() == f'{d}: render _proc --output-dir ../_docs\n'
    return d


def cells(path):
    return json.loads(path.read_text())['cells']
def pages(d):
    return {str(b.relative_to(ROOT/'nbs')): (cells(b), cells(d/'_proc'/b.relative_to(ROOT/'nbs'))) for b in BOOKS}
def flat(s):
    return ' '.join(ELSEWHERE.sub(']()', LINKED.sub(r'\1', s)).split())
def markdown(outputs):
    return [''.join(o['data']['text/markdown']) for o in outputs if 'text/markdown' in o.get('data', {})]
def shown(outputs):
    return [''.join(o.get('text', '')) + ''.join(o.get('data', {}).get('text/plain', '')) + ''.join(o.get('data', {}).get('image/png', '')) for o in outputs]


def lost(before, after) -> list: # What of a page's source is not on the processed page
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
    ours = [(DIRECTIVE.sub('', source(c)).strip(), c) for c in before if c['cell_type'] == 'code']
    theirs = [(DIRECTIVE.sub('', source(c)).strip(), c) for c in after if c['cell_type'] == 'code']
    k = 0
    for code, c in ours:
        flags = {f.split()[0] for f in re.findall(r'^#\|\s*(\S.*)$', source(c), re.M)}
        if not code or flags & {'hide', 'export', 'exporti', 'default_exp'}:
            continue
        at = next((i for i in range(k, len(theirs)) if theirs[i][0] == code), None)
        if at is None:
            gone.append(code)
            continue
        k = at + 1
        if shown(c['outputs']) != shown(theirs[at][1]['outputs']) or list(map(flat, markdown(c['outputs']))) != list(map(flat, markdown(theirs[at][1]['outputs']))):
            gone.append(f'the outputs of: {code}')
    headings = set(re.findall(r'^### (\S+)$', '\n'.join(t for _, c in theirs for t in markdown(c['outputs'])), re.M))
    for code, c in ours:                                # an exported cell is shown by its signatures
        if re.search(r'^#\|\s*export\b', source(c), re.M):
            gone += [f'the signature of {n.name}' for n in ast.parse(code).body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and n.name[0] != '_' and not n.decorator_list and n.name not in headings]
    return gone


def body(after) -> str: # A processed page's text, its Markdown outputs in their places
    return '\n\n'.join(s for c in after if c['cell_type'] != 'raw' for s in ([source(c)] if c['cell_type'] == 'markdown' else markdown(c['outputs'])))


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
    out = {k: body(after) for k, (_, after) in pages(made).items()} | {str(p.relative_to(made/'_proc')): p.read_text() for p in (made/'_proc').rglob('*.qmd')}
    return {k: list(walk(json.loads(pypandoc.convert_text(t, 'json', format='markdown')))) for k, t in out.items()}


def markup(nodes) -> list: # Link markup that a reader would see: in code, or as brackets in the text
    code = [n['c'][1] for n in nodes if n.get('t') in ('Code', 'CodeBlock')]
    return [s[max(0, m.start() - 30):m.end() + 30] for s in code for m in MARKUP.finditer(s)] + [n['c'] for n in nodes if n.get('t') == 'Str' and '](' in n['c']]


def test_nothing_is_lost(made):
    bad = {k: g for k, (before, after) in pages(made).items() if (g := lost(before, after))}
    assert not bad, '\n'.join(f'{k}: {len(g)} lost: {[p[:200] for p in g]}' for k, g in bad.items())


def test_home_says_what_distillation_is(made):
    assert 'asks for the smallest set that still teaches' in flat(body(cells(made/'_proc'/'index.ipynb')))


def test_no_link_markup_in_code(trees):
    bad = {k: m for k, nodes in trees.items() if (m := markup(nodes))}
    assert not bad, f'{sum(map(len, bad.values()))} places on {len(bad)} pages:\n' + '\n'.join(f'{k}: {m}' for k, m in bad.items())


def test_names_are_linked_and_links_arrive(made, trees):
    "Every relative link of every page leads to a page or a file of the site, and to a heading of it; links of names are there at all."
    html = lambda k: str(Path(k).with_name(re.sub(r'^\d+[a-z]?_', '', Path(k).stem) + '.html'))
    ids = {}
    for k, nodes in trees.items():
        have = {n['c'][1][0] for n in nodes if n.get('t') == 'Header'} | {n['c'][0][0] for n in nodes if n.get('t') in ('Span', 'Div')}
        for name in (k, html(k)):
            ids[os.path.normpath(name)] = have
        if k.endswith('.ipynb'):
            assert yaml.safe_load(source(cells(made/'_proc'/k)[0]).strip().strip('-'))['output-file'] == Path(html(k)).name
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
            if to.startswith('..') or to not in ids and not (made/'_proc'/to).is_file() or anchor and anchor not in ids.get(to, ()):
                broken.append(f'{k}: {url}')
    assert not broken, '\n'.join(broken)
    assert names > 50, f'{names} names are linked'


def test_links_leave_code_and_links_alone():
    "What `tools/links.py` may touch: a name in backticks, and where a link leads."
    sys.path.insert(0, str(ROOT/'tools'))
    import links
    known, kept = {'fit': 'train.html#fit'}, ['# a `fit`', '```python\nx,  # `fit`\n```', '    `fit`', '$$\n`fit`\n$$', '``a `fit` b``', '[`fit`](x.ipynb)', '[the `fit` of it](x.ipynb)', '![by `fit`](images/x.png)', '`fit(1)`', '`refit`', '`fit me`', '- item\n\n    ```\n    `fit`\n    ```']
    do = lambda s: links.linked(s, 'flow/p.html', ROOT/'nbs'/'flow'/'sfm.ipynb', known)
    for s in kept:
        assert do(s) == s
    for s, want in {'`fit`': '[`fit`](../train.html#fit)', '| `fit()` |': '| [`fit()`](../train.html#fit) |', '[a](b.md) `fit`': '[a](b.md) [`fit`](../train.html#fit)', '[c](../../CONTRIBUTING.md)': '[c](../contributing.html)',
                    '[d](../../tools/links.py)': '[d](https://github.com/dd-lit/dd_lit/blob/main/tools/links.py)', '[e](../04_train.ipynb#x)': '[e](../04_train.ipynb#x)'}.items():
        assert do(s) == want and do(want) == want
        for k in kept:
            assert do(f'{k}\n\n{s}\n\n{k}') == f'{k}\n\n{want}\n\n{k}'


def test_second_run_of_links_changes_nothing(made):
    before = {p: p.read_text() for p in (made/'_proc').rglob('*.*') if p.suffix in ('.ipynb', '.qmd')}
    subprocess.run([sys.executable, 'tools/links.py'], cwd=made, check=True, capture_output=True)
    assert not [str(p) for p, s in before.items() if p.read_text() != s]


def test_contributing_is_a_page(made, trees):
    "Reached from the home page and from the sidebar, and whole."
    assert 'contributing.html' in [n['c'][2][0] for n in trees['index.ipynb'] if n.get('t') == 'Link']
    assert 'contributing.qmd' in (made/'_proc'/'_quarto.yml').read_text()
    text, page = (ROOT/'CONTRIBUTING.md').read_text(), (made/'_proc'/'contributing.qmd').read_text()
    assert not [p for p in re.split(r'\n\s*\n', text)[1:] if flat(p) not in flat(page)]


def test_site_is_where_settings_say(made):
    "settings.ini and _quarto.yml agree, and 'View source' of every page leads to a file of the repository."
    c = configparser.ConfigParser()
    c.read(ROOT/'settings.ini')
    s = c['DEFAULT']
    q = yaml.safe_load((made/'_proc'/'_quarto.yml').read_text())
    site = q['website']
    assert q['project']['output-dir'] == s['doc_path']
    assert {k: site[k] for k in ('site-url', 'repo-url', 'repo-branch', 'title')} == {'site-url': s['doc_host'] + s['doc_baseurl'], 'repo-url': s['git_url'], 'repo-branch': s['branch'], 'title': s['title']}
    assert site['description'] == s['description'] and 'source' in site['repo-actions']
    for p in sorted((made/'_proc').rglob('*.*')):
        if p.suffix == '.ipynb':
            assert (ROOT/site['repo-subdir']/p.relative_to(made/'_proc')).is_file(), p
        if p.suffix == '.qmd':
            assert yaml.safe_load(p.read_text().split('---\n')[1])['repo-actions'] is False, p     # it has no source there


def test_quarto_is_pinned():
    "The workflow renders with the one version that was tried."
    steps = yaml.safe_load((ROOT/'.github'/'workflows'/'docs.yml').read_text())['jobs']['build']['steps']
    quarto, = [s for s in steps if 'quarto-actions/setup' in s.get('uses', '')]
    assert re.fullmatch(r'\d+\.\d+\.\d+', quarto.get('with', {}).get('version', ''))
