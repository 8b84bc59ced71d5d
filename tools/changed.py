"""Which notebooks a change touches: those that differ from main (or, on main, from the last commit), and those that
read their modules. `make test-fast` runs them.

    python tools/changed.py             # one line each: the changed ones first, then their readers
"""
import ast
import json
import re
import subprocess
from pathlib import Path

root = Path(__file__).parent.parent


def books(where=root) -> list: # All notebooks, as paths below `where`
    hidden = lambda p: any(s.startswith(('.', '_')) for s in p.parts)
    return [p for f in sorted((where/'nbs').rglob('*.ipynb')) if not hidden(p := f.relative_to(where))]


def code(book) -> list: # The sources of its code cells, magics blanked
    cells = (''.join(c['source']) for c in json.loads(book.read_text())['cells'] if c['cell_type'] == 'code')
    return [re.sub(r'^\s*[%!].*', '', s, flags=re.M) for s in cells]


def module(book) -> 'str | None': # The module that it exports to: dd_lit.train
    found = re.search(r'^#\|\s*default_exp\s+(\S+)', '\n'.join(code(book)), re.M)
    return f'dd_lit.{found[1]}' if found else None


def reads(book) -> set: # The modules of dd_lit that it imports, wherever in it
    out = set()
    for s in code(book):
        try:
            tree = ast.parse(s)
        except SyntaxError:
            continue
        for n in ast.walk(tree):
            if isinstance(n, ast.ImportFrom) and n.module:
                out |= {n.module, *(f'{n.module}.{a.name}' for a in n.names)}
            elif isinstance(n, ast.Import):
                out |= {a.name for a in n.names}
    return {m for m in out if m.startswith('dd_lit')}


def git(*args, where=root) -> list:
    return subprocess.run(['git', *args], cwd=where, check=True, capture_output=True, text=True).stdout.splitlines()


def differing(where=root) -> set: # Notebooks that are not as on main: committed since, changed, or new
    names = git('diff', '--name-only', '--diff-filter=d', 'HEAD', '--', 'nbs', where=where)
    names += git('ls-files', '--others', '--exclude-standard', '--', 'nbs', where=where)
    if git('branch', '--list', 'main', where=where):
        names += git('diff', '--name-only', '--diff-filter=d', 'main...HEAD', '--', 'nbs', where=where)
    return {Path(n) for n in names if n.endswith('.ipynb') and (where/n).exists()}


def touched(where=root) -> list: # The changed notebooks, then those that read their modules
    everything = books(where)
    changed = [b for b in everything if b in differing(where)]
    modules = {module(where/b) for b in changed} - {None}
    return changed + [b for b in everything if b not in changed and reads(where/b) & modules]


if __name__ == '__main__':
    print('\n'.join(map(str, touched())))
