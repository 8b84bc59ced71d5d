"""The pages that are no notebooks, written to _proc/*.qmd, for Quarto and for the preview alike: an API page for
every module, from its docments, and CONTRIBUTING."""
import ast
import dataclasses
import importlib
import inspect
import io
import json
import os
import pkgutil
import re
import sys
import textwrap
import tokenize
from functools import cache
from pathlib import Path

import numbered
import website

root = Path(__file__).parent.parent
sys.path.insert(0, str(root))
from dd_lit.settings import Settings, explain

def modules():
    import dd_lit
    for m in pkgutil.walk_packages(dd_lit.__path__, 'dd_lit.'):
        if not m.ispkg and not m.name.rsplit('.', 1)[1].startswith('_'):
            yield importlib.import_module(m.name)


@cache
def notebooks() -> dict: # module -> its notebook, below nbs/
    books = sorted((root/'nbs').rglob('*.ipynb'))
    made = ((website.module(json.loads(p.read_text())), str(p.relative_to(root/'nbs'))) for p in books)
    return {m: p for m, p in made if m}


def _code(v): # As code in a table's cell
    return f'`{" ".join(v.split())}`' if v else ''


def _rows(head, rows) -> list: # A table, if it has rows
    rule = '|---'*(head.count('|') + 2) + '|'
    return ['::: {.arguments}', f'| {head} | what it is |', rule, *rows, ':::', ''] if rows else []


def _cell(s):
    return str(s or '').replace('|', '\\|').replace('\n', ' ').replace('$', '\\$')


def _short(s, width):
    return s if len(s) <= width else s[:width - 1] + '…'


# --- What is written in the source: types and defaults in the author's words ---

def _written(f) -> dict:
    "Of a function: argument -> (type, default), both as text or empty; `return` too. Empty if it has no source."
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(f))).body[0]
    except (OSError, TypeError, SyntaxError):
        return {}
    if not isinstance(tree, ast.FunctionDef):
        return {}
    said = lambda n: '' if n is None else ast.unparse(n)
    a = tree.args
    plain = [*a.posonlyargs, *a.args]
    pairs = list(zip(plain, [None]*(len(plain) - len(a.defaults)) + a.defaults, strict=True))
    pairs += zip(a.kwonlyargs, a.kw_defaults, strict=True)
    pairs += [(x, None) for x in (a.vararg, a.kwarg) if x]
    return {x.arg: (said(x.annotation), said(d)) for x, d in pairs} | {'return': (said(tree.returns), '')}


def comments(o) -> dict:
    """Argument, field or `return` -> the comment behind it, and those on lines of their own below that. (docments
    takes the comment behind a last `**settings` for the returned value's.)"""
    try:
        text = textwrap.dedent(inspect.getsource(o))
        node = ast.parse(text).body[0]
    except (OSError, TypeError, SyntaxError):
        return {}
    notes = {t.start[0]: t.string.lstrip('# ').strip() for t in tokenize.generate_tokens(io.StringIO(text).readline)
             if t.type == tokenize.COMMENT}
    lines = text.splitlines()
    if isinstance(node, ast.ClassDef):
        ends = {n.target.id: n.end_lineno for n in node.body if isinstance(n, ast.AnnAssign)}
    else:
        a = node.args
        named = [*a.posonlyargs, *a.args, *filter(None, [a.vararg]), *a.kwonlyargs, *filter(None, [a.kwarg])]
        at = {x.arg: x.end_lineno for x in named}
        last = {line: k for k, line in at.items()}       # of several on a line, the last has the comment
        ends = {k: line for line, k in last.items()} | ({'return': node.returns.end_lineno} if node.returns else {})
    out = {}
    for k, line in ends.items():
        said = [notes.get(line, '')]
        while lines[line:line + 1] and lines[line].lstrip().startswith('#'):
            line += 1
            said.append(notes[line])
        out[k] = ' '.join(filter(None, said))
    return out


def _argument(p, written):
    star = {p.VAR_POSITIONAL: '*', p.VAR_KEYWORD: '**'}.get(p.kind, '')
    default = written.get(p.name, ('', ''))[1] or ('' if p.default is p.empty else repr(p.default))
    return star + p.name + (f'={_short(default, 40)}' if default else '')


def _call(name, f, method=False) -> str: # name(a, b=1), as one would write it
    written, ps = _written(f), list(inspect.signature(f).parameters.values())
    text = f'{name}({", ".join(_argument(p, written) for p in ps[method:])})'
    return '\n'.join(textwrap.wrap(text, 84, subsequent_indent=' '*4, break_long_words=False, break_on_hyphens=False))


def _table(f, method=False) -> list:
    "A row for every argument of a function, without a method's first."
    written, docs = _written(f), comments(f)
    rows = []
    for k, (kind, default) in list(written.items())[method:]:
        if k != 'return':
            rows.append(f'| `{k}` | {_code(kind)} | {_code(_short(default, 60))} | {_cell(docs.get(k))} |')
    return _rows('argument | type | default', rows)


@cache
def _formulas(book) -> dict: # Name -> number, of a notebook below nbs/
    cells = json.loads((root/'nbs'/book).read_text())['cells']
    return numbered.formulas(''.join(c['source']) for c in cells if c['cell_type'] == 'markdown')


def _linked(text, o, page) -> str:
    "What a docstring says, its formulas as links to where they stand; `page` is the API page."
    book = notebooks().get(o.__module__.removeprefix('dd_lit.'))
    if not book:
        return text
    numbers, to = _formulas(book), os.path.relpath(book, Path(page).parent)
    link = lambda m: f'[Equation {numbers[m[0]]}]({to}#{m[0]})' if m[0] in numbers else m[0]
    return numbered.SPOKEN.sub(link, text)


def _returns(f) -> list:
    kind, said = _written(f).get('return', ('', ''))[0], comments(f).get('return')
    if kind in ('', 'None'):
        return []
    return [f"Returns `{kind}`{': ' + _cell(said) if said else ''}".rstrip('.') + '.', '']


def _settings(cls) -> list:
    rows = [f'| `{k}` | {_code(d)} | {_cell(line)} |' for k, d, line in explain(cls)]
    return _rows('setting | default', rows)


def _fields(o) -> list:
    "Of a dataclass that holds no settings, in the words of its source."
    body = ast.parse(textwrap.dedent(inspect.getsource(o))).body[0].body
    said = {n.target.id: n for n in body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
    docs, rows = comments(o), []
    for k, n in said.items():
        default = ast.unparse(n.value) if n.value else ''
        default = re.sub(r'field\(default_factory=(\w+)\)', r'\1()', default)
        kind = ast.unparse(n.annotation)
        rows.append(f'| `{k}` | {_code(kind)} | {_code(default)} | {_cell(docs.get(k))} |')
    return _rows('field | type | default', rows)


def _class(o, page) -> list:
    "What a class has beside its arguments: settings and methods."
    out = []
    if dataclasses.is_dataclass(getattr(o, 'settings', None)):        # of a method
        out += _settings(o.settings)
    for k, v in vars(o).items():
        f = getattr(v, '__func__', v)
        if not k.startswith('_') and inspect.isfunction(f) and inspect.getdoc(f):
            call = ' '.join(_call(k, f, not isinstance(v, staticmethod)).split())
            out.append(f"* `{call}`: {_linked(' '.join(inspect.getdoc(f).split()), o, page)}")
    return [*out, '']


def _place(name, o, page) -> list:
    "Where an entry comes from, and where it is explained; `page` is the API page."
    try:
        file, (lines, first) = inspect.getsourcefile(o), inspect.getsourcelines(o)
    except (OSError, TypeError):
        return []
    path = os.path.relpath(file, root)
    out = [f"[source]({website.repository(path, f'#L{first}-L{first + len(lines) - 1}')})"]
    book = notebooks().get('.'.join(Path(path).with_suffix('').parts[1:]))
    if book:
        out.append(f"[explained]({os.path.relpath(book, Path(page).parent)}#{name.lower()})")
    return ['::: {.place}', ' · '.join(out), ':::', '']


def entry(name, o, page) -> list:
    "Markdown of one function or class."
    is_class = inspect.isclass(o)
    f = o.__init__ if is_class else o
    try:
        call = _call(name, f, is_class)
    except (TypeError, ValueError):
        call = ''
    says = re.sub(r'\s+Settings:\n.*', '', inspect.getdoc(o) or '', flags=re.S)       # they have a table
    says = ' '.join(says.split())
    out = [f'## {name}', '']
    inherits = is_class and '__init__' not in vars(o)
    fields = dataclasses.is_dataclass(o) and not _written(f)
    if call and not inherits and not fields:
        out += ['```python', f'{"class " if is_class else ""}{call}', '```', '']
    out += [_linked(says, o, page), '', *_place(name, o, page)]
    if fields:
        out += _settings(o) if issubclass(o, Settings) else _fields(o)
    elif not inherits:
        out += _table(f, is_class)
    return out + (_class(o, page) if is_class else _returns(f))


def head(title, description='') -> str:
    "A page's front matter. There is no notebook behind it, so no link to one."
    said = {'title': title} | ({'description': description} if description else {})
    lines = [f'{k}: {json.dumps(v, ensure_ascii=False)}' for k, v in said.items()]
    return '\n'.join(['---', *lines, 'repo-actions: false', '---', '', ''])


def contributing(to) -> str:
    "Write CONTRIBUTING.md as a page below `to`; returns its path relative to it."
    title, _, text = (root/'CONTRIBUTING.md').read_text().partition('\n')
    page = 'contributing.qmd'
    Path(to).mkdir(parents=True, exist_ok=True)
    (Path(to)/page).write_text(head(title.lstrip('# ')) + text.lstrip('\n'))
    return page


def ways(module, page) -> list:
    "From an API page to its source and to the notebook."
    path = Path('dd_lit', *module.split('.')).with_suffix('.py')
    out = [f'[source]({website.repository(str(path))})']
    if module in notebooks():
        out.insert(0, f'[The page that explains it]({os.path.relpath(notebooks()[module], Path(page).parent)})')
    return ['::: {.ways}', ' · '.join(out), ':::', '']


def write(to) -> list:
    "Write all API pages below `to`; returns their paths relative to it."
    done = []
    for m in modules():
        names = [n for n in getattr(m, '__all__', []) if callable(getattr(m, n, None))]
        if not names:
            continue
        short = m.__name__.removeprefix('dd_lit.')
        page = f'api/{short}.qmd'
        lines = [head(short, (m.__doc__ or '').strip()), *ways(short, page)]
        for n in names:
            lines += entry(n, getattr(m, n), page)
        p = Path(to)/page
        p.parent.mkdir(parents=True, exist_ok=True)
        p.write_text('\n'.join(lines))
        done.append(page)
    return sorted(done)


if __name__ == '__main__':
    print(len([*write(root/'_proc'), contributing(root/'_proc')]), 'pages')
