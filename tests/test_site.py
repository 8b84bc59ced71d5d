"""The site as `make docs` hands it to Quarto: its very steps in a copy of the tree, and every page it makes beside its source.

Quarto itself cannot be had everywhere, so a stub stands in for it on the PATH. What it would be given is what is compared.
"""
import ast, json, re
import pytest
from conftest import ROOT

BOOKS = sorted(p for p in (ROOT/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)
EXPORTED = re.compile(r'^#\|\s*(export|exports|exporti|exec_doc)\b', re.M)


def source(cell): return ''.join(cell['source'])


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
