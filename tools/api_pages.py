"""The pages that are no notebooks, written to _proc/*.qmd, for Quarto and for the preview alike: an API page for every module, from its
docments, and CONTRIBUTING."""
import importlib, inspect, json, pkgutil, sys
from pathlib import Path
from fastcore.docments import docments, empty

root = Path(__file__).parent.parent
sys.path.insert(0, str(root))


def modules():
    import dd_lit
    for m in pkgutil.walk_packages(dd_lit.__path__, 'dd_lit.'):
        if not m.ispkg and not m.name.rsplit('.', 1)[1].startswith('_'):
            yield importlib.import_module(m.name)


def _code(v):
    return f'`{v}`' if v not in (None, '') else ''


def _type(a):
    return '' if a is empty or a is None else getattr(a, '__name__', None) or str(a).replace('typing.', '')


def entry(name, o) -> list:
    "Markdown of one function or class."
    f = o.__init__ if inspect.isclass(o) else o
    try:
        sig = inspect.signature(o)
    except (TypeError, ValueError):
        return [f'## {name}', '', inspect.getdoc(o) or '', '']
    short = ', '.join((('*' if p.kind == p.VAR_POSITIONAL else '**' if p.kind == p.VAR_KEYWORD else '') + p.name) + ('' if p.default is p.empty else f'={getattr(p.default, "__name__", repr(p.default))[:40]}') for p in sig.parameters.values())
    out = [f'## {name}', '', '```python', f'{"class " if inspect.isclass(o) else ""}{name}({short})', '```', '', (inspect.getdoc(o) or '').replace('\n', ' '), '']
    try:
        docs = docments(f, full=True)
    except Exception:
        docs = {}
    rows = [(k, v) for k, v in docs.items() if k not in ('self', 'cls', 'return')]
    cell = lambda s: str(s or '').replace('|', '\\|').replace('\n', ' ').replace('$', '\\$')
    if rows:
        out += ['| argument | type | default | |', '|---|---|---|---|'] + [f"| `{k}` | {cell(_type(v.anno))} | {'' if v.default is empty else _code(cell(getattr(v.default, '__name__', repr(v.default))[:60]))} | {cell(v.docment)} |" for k, v in rows] + ['']
    r = docs.get('return')
    if r is not None and (r.docment or (r.anno is not empty and r.anno is not None)):
        out += [f"Returns {_type(r.anno)} {cell(r.docment)}".rstrip() + '.', '']
    if inspect.isclass(o) and 'defaults' in vars(o):
        out += ['Settings and their defaults: ' + ', '.join(f'`{k}={v!r}`' if len(repr(v)) < 40 else f'`{k}`' for k, v in o.defaults.items()) + '.', '']
    if inspect.isclass(o):
        out += [f"* `{k}`: {' '.join((inspect.getdoc(v) or '').split())}" for k, v in vars(o).items() if not k.startswith('_') and callable(v) and inspect.getdoc(v)] + ['']
    return out


def head(title, description='') -> str:
    "A page's front matter. There is no notebook behind it, so no link to one."
    return '\n'.join(['---', f'title: {json.dumps(title, ensure_ascii=False)}', *([f'description: {json.dumps(description, ensure_ascii=False)}'] if description else []), 'repo-actions: false', '---', '', ''])


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
