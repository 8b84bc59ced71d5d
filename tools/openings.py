"""Below the title of every page: its result, a picture, and where the page stands, from tools/openings.yml and
_quarto.yml; and a cell that brings dd_lit where the page is opened without it, from settings.ini.

    python tools/openings.py            # after running notebooks: writes the two cells and nbs/images/<page>.png
"""
import base64
import json
import os
import re
from pathlib import Path

import website
import yaml
from changed import books

root = Path(__file__).parent.parent
ID, BRING = '0pening0', '0bring00'
# Where a page is opened alone, on Colab or downloaded. Neither tests nor readers of the site meet these cells: here all
# is installed. No import in them: the site's maker would run it.
PACKAGE = """#| hide
#| eval: false
# elsewhere than in its repository (Colab, a download) this page brings dd_lit and what pages use,
# if they are missing
needs = {needs}
if not all(map(__import__('importlib').util.find_spec, needs)):
    wanted = '"{notebook_install}"'
    get_ipython().run_line_magic('pip', f'install -q {{wanted}}')"""
STORED = """#| hide
#| eval: false
# elsewhere than in its repository (Colab, a download) this page fetches that, for its stored runs
if not __import__('os').path.exists('{up}settings.ini'):
    get_ipython().system('git clone -q --depth 1 {git_url}')
    get_ipython().run_line_magic('pip', 'install -q "./{repo}[notebooks]"')
    get_ipython().run_line_magic('cd', '-q {repo}/{folder}')"""


def title(page) -> str: # What stands at the head of a page
    cell = json.loads((root/'nbs'/f'{page}.ipynb').read_text())['cells'][0]
    return ''.join(cell['source']).splitlines()[0].removeprefix('# ').strip()


def reading_order() -> list: # (family, page) in the order of the sidebar
    out = []
    for part in yaml.safe_load((root/'_quarto.yml').read_text())['website']['sidebar']['contents']:
        if isinstance(part, dict) and isinstance(part['contents'], list):
            out += [(part['section'], p.removesuffix('.ipynb')) for p in part['contents'] if p.endswith('.ipynb')]
    return out


def pictures(nb) -> list: # (alternative text, PNG bytes) of every picture
    out = []
    for c in nb['cells']:
        for o in c.get('outputs', []):
            if 'image/png' in o.get('data', {}):
                alt = re.search(r'^#\|\s*fig-alt:\s*"(.*)"', ''.join(c['source']), re.M)
                text = re.sub(r'([][])', r'\\\1', alt[1]) if alt else ''
                out.append((text, base64.b64decode(''.join(o['data']['image/png']))))
    return out


def opening(page, result, alt, order) -> str: # Markdown of the cell
    i = [p for _, p in order].index(page)
    family = order[i][0]
    mates = [p for f, p in order if f == family]
    to = lambda p: os.path.relpath(p, Path(page).parent)
    link = lambda p: f"[{title(p)}]({to(p + '.ipynb')})"
    number = 1 + list(dict.fromkeys(f for f, _ in order)).index(family)
    where = [f'Part {number}, {family[0].lower() + family[1:]}: page {mates.index(page) + 1} of {len(mates)}.']
    ways = ('Before', i - 1), ('After', i + 1)
    where += [f'{word}: {link(order[j][1])}.' for word, j in ways if 0 <= j < len(order)]
    where = ' '.join([*where, f"All: [index]({to('index.ipynb')})."])
    return f"**{result}**\n\n![{alt}]({to(f'images/{website.opening_picture(page).name}')})\n\n*{where}*"


def needs() -> str: # The package, and what its pages import beside it
    said = website.settings()
    extra = re.split(r'\s+', said['notebooks_requirements'].strip())
    return ', '.join(repr(re.match(r'[\w-]+', w)[0]) for w in [said['lib_name'], *extra])


def bringing(page, nb) -> str: # Source of the cell that brings what the page needs
    code = ''.join(''.join(c['source']) for c in nb['cells'] if c['cell_type'] == 'code' and c.get('id') != BRING)
    folder = Path('nbs', page).parent
    where = dict(up='../'*len(folder.parts), folder=folder.as_posix(), needs=needs())
    return (STORED if re.search(r'settings\.ini|\bbench/', code) else PACKAGE).format(**website.settings() | where)


def made(kind, name, text) -> dict: # A cell
    cell = dict(cell_type=kind, id=name, metadata={}, source=text.splitlines(keepends=True))
    return cell | (dict(execution_count=None, outputs=[]) if kind == 'code' else {})


def main():
    pages, order = yaml.safe_load((root/'tools'/'openings.yml').read_text()), reading_order()
    of_parts = {p for _, p in order}
    for book in books(root):
        f, page = root/book, book.relative_to('nbs').with_suffix('').as_posix()
        nb = json.loads(f.read_text())
        cells = [made('code', BRING, bringing(page, nb))]
        if page in of_parts:
            which, result = pages[page]
            alt, png = pictures(nb)[which]
            website.opening_picture(page).write_bytes(png)
            cells.insert(0, made('markdown', ID, opening(page, result, alt, order)))
        nb['cells'] = [c for c in nb['cells'] if c.get('id') not in (ID, BRING)]
        nb['cells'][1:1] = cells
        text = json.dumps(nb, indent=1, ensure_ascii=False, sort_keys=True) + '\n'
        if f.read_text() != text:
            tmp = f.with_suffix('.tmp')
            tmp.write_text(text)
            os.replace(tmp, f)
    print(len(order), 'pages')


if __name__ == '__main__':
    main()
