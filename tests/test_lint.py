"""`make lint`: which rules are on, and that both tools look at what they should."""
import ast
import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise

import pytest
from conftest import ROOT

WRONG = {
    'E501': f'x = "{"a"*120}"\n',
    'E701': 'if __name__: print()\n',
    'E702': 'x = 1; y = 2\n',
    'F401': 'import os\n',
    'F821': 'print(nobody)\n',
    'B905': 'for a, b in zip("a", "b"):\n    print(a, b)\n',
    'B023': 'fs = []\nfor i in range(3):\n    fs.append(lambda: i)\n',
    'B006': 'def f(x=[]):\n    return x\n',
    'RUF013': 'def f(x: int = None):\n    return x\n',
    'I001': 'import sys\nimport os\nprint(os, sys)\n',
}


def ruff(code, name):
    cmd = [sys.executable, '-m', 'ruff', 'check', '--output-format', 'json', '--stdin-filename', name, '-']
    said = subprocess.run(cmd, input=code, cwd=ROOT, capture_output=True, text=True).stdout
    return {p['code'] for p in json.loads(said)}


@pytest.mark.parametrize('rule', WRONG)
def test_ruff_knows_the_rule(rule):
    "Everywhere: in the package, the measurements, the tests and the tools."
    for folder in ('dd_lit', 'bench', 'tests', 'tools'):
        assert rule in ruff(WRONG[rule], f'{folder}/x.py'), folder


def test_ruff_leaves_documented_arguments_alone():
    "Columns of arguments with their comments, and lines of 120."
    code = f'def f(\n    a,         # The first\n    size=3,    # The second\n):\n    return a, size, "{"a"*98}"\n'
    assert max(map(len, code.splitlines())) == 120 and not ruff(code, 'dd_lit/x.py')


def test_pyright_reads_the_package(tmp_path):
    "In the Python that settings.ini calls the oldest, and not in the notebooks' folder."
    (tmp_path/'dd_lit').mkdir()
    (tmp_path/'bench').mkdir()
    shutil.copy(ROOT/'pyproject.toml', tmp_path)
    (tmp_path/'dd_lit'/'x.py').write_text('x: int = "a"\nfrom enum import StrEnum\n')     # 3.11 has it
    (tmp_path/'bench'/'y.py').write_text('x: int = "a"\n')
    cmd = [sys.executable, '-m', 'pyright', '--outputjson', '--pythonpath', sys.executable]
    said = json.loads(subprocess.run(cmd, cwd=tmp_path, capture_output=True, text=True).stdout)
    found = {(os.path.basename(d['file']), d['rule']) for d in said['generalDiagnostics'] if d['severity'] == 'error'}
    assert found == {('x.py', 'reportAssignmentType'), ('x.py', 'reportAttributeAccessIssue')}


def made_by(target):
    cmd = ['make', '--no-print-directory', '-n', '-o', f'{sys.prefix}/.dev', target, f'VENV={sys.prefix}']
    return subprocess.run(cmd, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_lint_is_both_tools():
    said = made_by('lint')
    assert 'ruff check dd_lit bench tests tools setup.py' in said and 'pyright' in said and 'dd_lit\n' in said


def test_lint_is_part_of_the_tests():
    "Of `make test` and of all that runs it."
    assert made_by('lint') in made_by('test') and made_by('lint') in made_by('test-all')
    for f in ('.ci/run', '.github/workflows/test.yml'):
        assert re.search(r'make test(\s|$)', (ROOT/f).read_text()), f


def own_readings(tree, name) -> list:
    "Places where a module makes something of a file's JSON itself, for which core has `read_record`."
    reads = ('read_text', 'read_bytes', 'read', 'open')
    out = []
    for f in [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]:
        shipped = any(isinstance(n, ast.Constant) and n.value == 'recipes.json' for n in ast.walk(f))
        for c in [n for n in ast.walk(f) if isinstance(n, ast.Call)]:
            called = ast.unparse(c.func)
            inner = {getattr(n.func, 'attr', getattr(n.func, 'id', '')) for a in c.args for n in ast.walk(a)
                     if isinstance(n, ast.Call)}
            if called == 'json.load' or called == 'json.loads' and inner & set(reads) and not shipped:
                out.append(f'{name}:{c.lineno} {f.name}')
    return out


def test_stored_json_is_read_by_read_record():
    "A damaged file is named, whatever reads it. What is installed with the package (recipes.json) is no such file."
    found = [r for p in sorted((ROOT/'dd_lit').rglob('*.py')) if p.name != 'core.py'
             for r in own_readings(ast.parse(p.read_text()), p.relative_to(ROOT))]
    assert not found, found
    for wrong in ('json.loads(f.read_text())', 'json.loads(open(f).read())', 'json.load(f)',
                  'dict(json.loads(p.read_bytes()))'):
        assert own_readings(ast.parse(f'def g(f, p):\n    return {wrong}'), 'x'), wrong


# what a text counts, and where the number is never one: (file, words behind the number)
COUNTED = '''image network class step iteration epoch feature label file layer expert optimiser channel set name pooling
    batch view seed row method recipe run teacher tensor picture number place claim page notebook sheet gradient head
    centre matrix process column test line worker mosaic patch score value'''.split()
NEVER_ONE = {('cli.py', 'images per class, the first of each'): 'there are several sizes',
             ('data.py', 'pictures, which cannot be read'): 'one is left',
             ('data.py', 'pictures are not readable'): 'two of them are not',
             ('distill.py', 'iterations are kept in'): 'a share of them: k of n iterations',
             ('teachers.py', 'test images of'): 'with a comma in thousands',
             ('augment.py', 'rows of parameters for'): 'one or so many',
             ('statistics/lpld.py', 'batches is left'): 'one of so many',
             ('orthogonal/pseudo_gradient.py', 'places for kernel'): 'two numbers, as 3x1',
             ('settings.py', 'values: '): 'a pair or more, and the module reads no other'}
PLURAL = '|'.join(w + ('es' if w.endswith(('s', 'x', 'sh', 'tch')) else 's') for w in COUNTED)


def counts(source: str):
    "(line, words behind the number) of texts that put a plural behind whatever number there is."
    behind = re.compile(rf' (?:test |training |real |soft |other )?(?:{PLURAL})\b.*')
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            for number, text in pairwise(node.values):
                if isinstance(number, ast.FormattedValue) and isinstance(text, ast.Constant):
                    if behind.match(text.value) and not ast.unparse(number.value).startswith('counted('):
                        yield text.lineno, text.value[1:]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            for m in re.finditer(r'\{(?::,)?\}' + behind.pattern, node.value):
                yield node.lineno, m[0].partition('} ')[2]


def test_one_is_not_put_in_the_plural():
    "`counted` says '1 network'; a plural behind a number is only where there are always several."
    assert list(counts("f'{n} networks'")) and list(counts("'{} test images'.format(n)"))
    assert not list(counts("f'{counted(n, \"network\")} of {m} px'"))
    found = {(f.relative_to(ROOT/'dd_lit').as_posix(), line, text) for f in sorted((ROOT/'dd_lit').rglob('*.py'))
             for line, text in counts(f.read_text(encoding='utf-8'))}
    left = {(f, line, t) for f, line, t in found if not any(f == g and t.startswith(w) for g, w in NEVER_ONE)}
    assert not left, sorted(left)
    assert all(any(f == g and t.startswith(w) for f, _, t in found) for g, w in NEVER_ONE), 'no longer needed'
