"""The pages that are no notebooks, written to _proc/*.qmd, for Quarto and for the preview alike: an API page for
from dd_lit.settings import names_of
every module, from its docments, and CONTRIBUTING."""
import importlib
import inspect
import json
import pkgutil
import sys
from pathlib import Path

from fastcore.docments import docments, empty

root = Path(__file__).parent.parent
sys.path.insert(0, str(root))
from dd_lit.settings import explain

def modules():
    import dd_lit
    for m in pkgutil.walk_packages(dd_lit.__path__, 'dd_lit.'):
        if not m.ispkg and not m.name.rsplit('.', 1)[1].startswith('_'):
            yield importlib.import_module(m.name)


def _code(v):
    return f'`{v}`' if v not in (None, '') else ''


def _type(a):
    return '' if a is empty or a is None else getattr(a, '__name__', None) or str(a).replace('typing.', '')


def _default(v, width):
    return getattr(v, '__name__', repr(v))[:width]


def _argument(p):
    star = {p.VAR_POSITIONAL: '*', p.VAR_KEYWORD: '**'}.get(p.kind, '')
    return star + p.name + ('' if p.default is p.empty else f'={_default(p.default, 40)}')


def _cell(s):
    return str(s or '').replace('|', '\\|').replace('\n', ' ').replace('$', '\\$')


def _table(docs) -> list:
    "A row for every argument."
    rows = []
    for k, v in docs.items():
        if k not in ('self', 'cls', 'return'):
            default = '' if v.default is empty else _code(_cell(_default(v.default, 60)))
            rows.append(f'| `{k}` | {_cell(_type(v.anno))} | {default} | {_cell(v.docment)} |')
    return ['| argument | type | default | |', '|---|---|---|---|', *rows, ''] if rows else []


def _class(o) -> list:
    "What a class has beside its arguments: settings and methods."
    out = []
    if isinstance(vars(o).get('settings'), type):        # of a method
        rows = [f'| `{k}` | {_code(_cell(d))} | {_cell(line)} |' for k, d, line in explain(o.settings)]
        out += ['| setting | default | |', '|---|---|---|', *rows, '']
    for k, v in vars(o).items():
        if not k.startswith('_') and callable(v) and inspect.getdoc(v):
            out.append(f"* `{k}`: {' '.join(inspect.getdoc(v).split())}")
    return [*out, '']


def entry(name, o) -> list:
    "Markdown of one function or class."
    f = o.__init__ if inspect.isclass(o) else o
    try:
        sig = inspect.signature(o)
    except (TypeError, ValueError):
        return [f'## {name}', '', inspect.getdoc(o) or '', '']
    call = f'{"class " if inspect.isclass(o) else ""}{name}({", ".join(map(_argument, sig.parameters.values()))})'
    out = [f'## {name}', '', '```python', call, '```', '', (inspect.getdoc(o) or '').replace('\n', ' '), '']
    try:
        docs = docments(f, full=True)
    except Exception:
        docs = {}
    out += _table(docs)
    r = docs.get('return')
    if r is not None and (r.docment or (r.anno is not empty and r.anno is not None)):
        out += [f"Returns {_type(r.anno)} {_cell(r.docment)}".rstrip() + '.', '']
    return out + (_class(o) if inspect.isclass(o) else [])


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


def write(to) -> list:
    "Write all API pages below `to`; returns their paths relative to it."
    done = []
    for m in modules():
        names = [n for n in getattr(m, '__all__', []) if callable(getattr(m, n, None))]
        if not names:
            continue
        short = m.__name__.removeprefix('dd_lit.')
        page = f'api/{short}.qmd'
        lines = [head(short, (m.__doc__ or '').strip())]
        for n in names:
            lines += entry(n, getattr(m, n))
        p = Path(to)/page
        p.parent.mkdir(parents=True, exist_ok=True)
        p.write_text('\n'.join(lines))
        done.append(page)
    return sorted(done)


if __name__ == '__main__':
    print(len([*write(root/'_proc'), contributing(root/'_proc')]), 'pages')
