"""The house in figures: which module reads which, how long lines and functions are, which names have a test.

    python tools/house.py               # every figure, and what breaks a rule
    python tools/house.py --keep        # strike from tests/house_left.yml what has been mended

CONTRIBUTING.md draws the map of the house, tests/test_house.py holds its rules. All is read from the source by `ast`:
nothing is imported.
"""
import ast
import json
import re
import subprocess
import sys
import time
from collections import Counter
from functools import cache
from pathlib import Path

import yaml
from changed import books

root = Path(__file__).parent.parent
LEFT = root/'tests'/'house_left.yml'
HEAD = '# What is known to break a rule of the house and is still to be mended: this list only shrinks\n'
LINTED = ('dd_lit', 'bench', 'tests', 'tools', 'setup.py')

# The floors, from the ground up. An arrow points down, or stays on its floor.
FLOORS = [
    ('core', 'settings', 'ondisk', 'data', 'whiten', 'sets', 'models', 'augment', 'parallel'),
    ('labels',),
    ('train',),
    ('evaluate',),
    ('teachers',),
    ('method',),
    ('distill',),
    ('coreset', 'gradient', 'distribution', 'trajectory', 'statistics', 'orthogonal', 'flow'),
    ('compare', 'study'),
    ('report', 'reproduce'),
    ('cli',),
    ('__init__', '__main__'),
]
FLOOR = {name: i for i, names in enumerate(FLOORS) for name in names}
# What is not there in every installation, or slow to import and rarely wanted: may be imported in a function
# (huggingface_hub comes with timm; resource is not there on Windows; torch.utils.tensorboard needs tensorboard)
OPTIONAL = {'timm', 'pyarrow', 'accelerate', 'datasets', 'tensorboard', 'matplotlib', 'IPython', 'huggingface_hub',
            'resource', 'sklearn'}
# Where else a function may import: file -> functions (None: all of them), and why
LAZY = {
    '__init__.py': ({'__getattr__'}, 'the public names are loaded on first use'),
    'core.py': ({'import_here'}, 'what a user names as my_module, or as my_module:function'),
    'method.py': ({'get_method'}, "the registry's table of built-in methods"),
    'cli.py': (None, '`dd_lit --help` answers without torch: every command imports what it needs'),
}
# Functions with more than eight parameters that stay so: pattern of names -> why no settings object should carry them
MANY: dict[str, str] = {
    r'distill\.distill': 'what, how many, where to, from which seed: all of it about the run, nothing about the method',
    r'train\.fit': 'images and labels, how they are read, who listens: what a training is about, not how it goes',
}
ASSERTS = {'raises', 'warns', 'fails', 'refuses'}


# --- Modules ---

@cache
def sources(folder='dd_lit') -> dict: # path below the root -> its tree
    files = sorted((root/folder).rglob('*.py'))
    return {str(p.relative_to(root)): ast.parse(p.read_text()) for p in files if p.name != '_modidx.py'}


def name_of(path) -> str: # dd_lit/flow/sfm.py -> flow.sfm
    return '.'.join(Path(path).with_suffix('').parts[1:])


def top(name) -> str: # flow.sfm -> flow
    return name.split('.')[0]


@cache
def modules() -> dict: # name -> tree; the empty __init__ of a folder is none
    return {name_of(p): t for p, t in sources().items() if not re.search(r'/\w+/__init__\.py$', p)}


def absolute(node, name) -> str: # The module of a `from x import`, below dd_lit; '' if it is another package's
    if node.level == 0:
        return node.module.removeprefix('dd_lit.') if node.module.startswith('dd_lit.') else ''
    here = name.split('.')[:-1]
    up = here[:len(here) - node.level + 1]
    return '.'.join([*up, *([node.module] if node.module else [])])


def imports(tree, name):
    "(module below dd_lit, name taken from it or '') of every import, wherever it stands."
    for n in ast.walk(tree):
        if isinstance(n, ast.ImportFrom):
            m = absolute(n, name) if n.level or n.module != 'dd_lit' else ''
            for a in n.names:
                whole = f'{m}.{a.name}'.lstrip('.')
                if whole in modules():
                    yield whole, ''
                elif m in modules():
                    yield m, a.name
        elif isinstance(n, ast.Import):
            whole = [a.name.removeprefix('dd_lit.') for a in n.names if a.name.startswith('dd_lit.')]
            yield from ((m, '') for m in whole if m in modules())
        elif calls_import(n) and n.args and isinstance(n.args[0], ast.Constant):
            m = n.args[0].value.removeprefix('dd_lit.')
            if m in modules():
                yield m, ''


@cache
def graph() -> dict: # module -> the modules it reads
    return {m: {to for to, _ in imports(t, m)} - {m} for m, t in modules().items()}


@cache
def light(name) -> bool: # Does it need the ground floor only? Then every floor may use it.
    low = lambda m: FLOOR.get(top(m), 99) == 0
    return low(name) or all(low(m) or light(m) for m in graph()[name])


def circles() -> list: # Modules that reach each other: the strongly connected parts with more than one member
    reach = {m: set(to) for m, to in graph().items()}
    for _ in reach:
        for to in reach.values():
            to |= set().union(*(reach[m] for m in to))
    parts = {frozenset(k for k in reach if k in reach[m] and m in reach[k]) for m in reach if m in reach[m]}
    return sorted(' <-> '.join(sorted(p)) for p in parts)


def arrows_up() -> list:
    out = []
    for m, to in graph().items():
        for t in to:
            if FLOOR.get(top(m), -1) < FLOOR.get(top(t), 99) and not light_or_circle(t):
                out.append(f'{m} -> {t}')
    return sorted(out)


def light_or_circle(name) -> bool: # `light`, for modules that may be part of a circle
    try:
        return light(name)
    except RecursionError:
        return False


def strangers() -> list: # Modules on no floor
    return sorted(m for m in modules() if top(m) not in FLOOR)


def insides() -> list: # Private names that a folder takes from another
    folders = {m for m in modules() if '.' in m}
    return sorted(f'{m} takes {to}.{n}' for m, t in modules().items() for to, n in imports(t, m)
                  if n.startswith('_') and to in folders and top(to) != top(m))


def calls_import(n) -> bool:
    return isinstance(n, ast.Call) and ast.unparse(n.func).split('.')[-1] in ('import_module', '__import__')


def functions(tree, prefix=''):
    "(qualified name, node) of every function, methods and nested ones too."
    for n in ast.iter_child_nodes(tree):
        if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if not isinstance(n, ast.ClassDef):
                yield prefix + n.name, n
            yield from functions(n, f'{prefix}{n.name}.')
        else:
            yield from functions(n, prefix)


def late_imports() -> list: # Imports inside functions that have no excuse
    out = []
    for path, tree in sources().items():
        excused, _ = LAZY.get(path.removeprefix('dd_lit/'), (set(), ''))
        for name, f in functions(tree):
            if excused is None or name in excused:
                continue
            for n in ast.walk(f):
                if isinstance(n, ast.Import):
                    packages = {a.name.split('.')[0] for a in n.names}
                elif isinstance(n, ast.ImportFrom):
                    packages = {'dd_lit' if n.level else n.module.removeprefix('torch.utils.').split('.')[0]}
                else:
                    packages = {'?'} if calls_import(n) else set()
                if packages - OPTIONAL:
                    out.append(f'{name_of(path)}.{name}: {ast.unparse(n)[:60]}')
    return sorted(set(out))


# --- Lines, functions, parameters ---

def long_functions(most=40) -> list:
    return sorted(f'{p}: {name}' for folder in ('dd_lit', 'bench', 'tools') for p, t in sources(folder).items()
                  for name, f in functions(t) if f.end_lineno - f.lineno + 1 > most)


def parameters(f) -> int: # Without self and cls
    a = f.args
    names = [x.arg for x in a.posonlyargs + a.args + a.kwonlyargs] + [x.arg for x in (a.vararg, a.kwarg) if x]
    return len([n for n in names if n not in ('self', 'cls')])


def whole(text) -> bool: # An f-string that ends a sentence with all of a value: f'... got {x!r}'
    says = [v.value if isinstance(v, ast.Constant) else '' for v in text.values]
    pairs = zip(says, text.values[1:], strict=False)
    return any(before.endswith('got ') and isinstance(v, ast.FormattedValue) and v.conversion == ord('r')
               and not isinstance(v.value, ast.Call) for before, v in pairs)


def whole_values() -> list: # Errors that write out whatever came (a list of a million numbers); `brief` shortens it
    return sorted({p for p, t in sources().items() for n in ast.walk(t) if isinstance(n, ast.JoinedStr) and whole(n)})


def many_parameters(most=8) -> list:
    return sorted(f'{name_of(p)}.{name}' for p, t in sources().items() for name, f in functions(t)
                  if parameters(f) > most and not any(re.fullmatch(k, f'{name_of(p)}.{name}') for k in MANY))


def long_lines(most=120) -> list:
    files = [p for folder in ('dd_lit', 'bench') for p in sources(folder)]
    return [p for p in files if any(len(l) > most for l in (root/p).read_text().splitlines())]


@cache
def cells(book) -> list: # Code cells that a reader sees
    every = json.loads((root/book).read_text())['cells']
    hidden = re.compile(r'^#\|\s*hide\s*$', re.M)
    return [c for c in every if c['cell_type'] == 'code' and not hidden.search(''.join(c['source']))]


def wide_cells(most=100) -> list: # A directive is not shown
    wide = lambda c: any(len(l) > most for l in ''.join(c['source']).splitlines() if not l.startswith('#|'))
    return [str(b) for b in books() if any(map(wide, cells(b)))]


def wide_outputs(most=100) -> list: # What was printed; tables and pictures find their own width
    def text(c):
        for o in c.get('outputs', []):
            kinds = o.get('data', {})
            yield ''.join(o.get('text', ''))
            if not {'text/markdown', 'text/html'} & set(kinds):
                yield ''.join(kinds.get('text/plain', ''))
    wide = lambda c: any(len(l) > most for t in text(c) for l in t.splitlines())
    return [str(b) for b in books() if any(map(wide, cells(b)))]


# --- Names ---

@cache
def public() -> dict: # name -> the modules whose __all__ has it
    out = {}
    for m, t in modules().items():
        for n in t.body:
            if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == '__all__' and m != '__init__':
                for name in ast.literal_eval(n.value):
                    out.setdefault(name, []).append(m)
    return out


def two_meanings() -> list:
    return sorted(f'{n}: {", ".join(ms)}' for n, ms in public().items() if len(ms) > 1)


def names_in(tree) -> set: # Every identifier, imported under whatever name
    out = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    out |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    return out | {a.name.split('.')[-1] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}


def is_test(tree) -> bool:
    "Does it assert, or call test_eq, test_fail, pytest.raises ...?"
    for n in ast.walk(tree):
        if isinstance(n, ast.Assert):
            return True
        if isinstance(n, ast.Call):
            name = ast.unparse(n.func).split('.')[-1]
            if name.startswith(('test_', 'assert_')) or name in ASSERTS:
                return True
    return False


@cache
def tested() -> set: # All names in asserting cells (that are not exported) and asserting test files
    exported, out = re.compile(r'^#\|\s*exports?\b', re.M), set()
    trees = [t for p, t in sources('tests').items() if Path(p).name.startswith('test_')]
    for b in books():
        for c in json.loads((root/b).read_text())['cells']:
            s = ''.join(c['source'])
            if c['cell_type'] == 'code' and not exported.search(s):
                try:
                    trees.append(ast.parse(re.sub(r'^\s*[%!].*', 'pass', s, flags=re.M)))
                except SyntaxError:
                    continue
    for t in trees:
        if is_test(t):
            out |= names_in(t)
    return out


def untested() -> list:
    return sorted(f'{ms[0]}.{n}' for n, ms in public().items() if n not in tested())


# rule -> what breaks it
RULES = {
    'circles of imports': circles, 'arrows up': arrows_up, 'modules on no floor': strangers,
    "another folder's insides": insides, 'imports inside functions': late_imports,
    'functions over 40 lines': long_functions, 'functions with more than 8 parameters': many_parameters,
    'files with lines over 120': long_lines, 'pages with code over 100': wide_cells,
    'pages with output over 100': wide_outputs, 'names with two meanings': two_meanings,
    'errors without brief': whole_values, 'public names in no test': untested,
}


def left() -> dict: # What is known and still to be mended
    return (yaml.safe_load(LEFT.read_text()) or {}) if LEFT.exists() else {}


def seconds(*args) -> float: # The best of three
    def once():
        t = time.perf_counter()
        subprocess.run([sys.executable, *args], check=True, capture_output=True, cwd=root)
        return time.perf_counter() - t
    return min(once() for _ in range(3))


def problems(*args) -> int: # How many a tool finds
    found = json.loads(subprocess.run([sys.executable, '-m', *args], capture_output=True, text=True, cwd=root).stdout)
    return found['summary']['errorCount'] if isinstance(found, dict) else len(found)


def figures() -> dict: # For the note
    size = {p: len((root/p).read_text().splitlines()) for p in sources()}
    functions_ = [(f.end_lineno - f.lineno + 1, f'{p}: {n}') for p, t in sources().items() for n, f in functions(t)]
    most = [(parameters(f), f'{p}: {n}') for p, t in sources().items() for n, f in functions(t)]
    long = Counter(folder for folder in ('dd_lit', 'bench') for p in sources(folder)
                   for l in (root/p).read_text().splitlines() if len(l) > 120)
    largest = max(size, key=size.get)
    return {'largest file': f'{size[largest]} lines, {largest}', 'longest function': '%d lines, %s' % max(functions_),
            'most parameters': '%d, %s' % max(most), 'lines over 120': dict(long),
            'ruff': problems('ruff', 'check', '--output-format', 'json', *LINTED),
            'pyright': problems('pyright', '--outputjson', '--pythonpath', sys.executable, 'dd_lit'),
            'import dd_lit': f"{seconds('-c', 'import dd_lit'):.2f} s", 'nothing at all': f"{seconds('-c', ''):.2f} s",
            'dd_lit --help': f"{seconds('-m', 'dd_lit', '--help'):.2f} s",
            'dd_lit list': f"{seconds('-m', 'dd_lit', 'list'):.2f} s"}


def main(args):
    found = {rule: f() for rule, f in RULES.items()}
    if args == ['--keep']:
        kept = {r: [x for x in left().get(r, []) if x in v] for r, v in found.items()}
        kept = {r: v for r, v in kept.items() if v}
        LEFT.write_text(HEAD + (yaml.safe_dump(kept, sort_keys=False, width=200) if kept else ''))
        return
    for rule, bad in found.items():
        print(f'{len(bad):4d}  {rule}')
        for b in bad:
            print(f'          {b}')
    if args != ['--rules']:
        for k, v in figures().items():
            print(f'{k}: {v}')


if __name__ == '__main__':
    main(sys.argv[1:])
