"""What every page of the site has in common: addresses from settings.ini, the order of the pages from _quarto.yml, and
how pictures are shown.

    python tools/website.py        # after links.py: writes _proc/_quarto.yml, and finishes the pages of _proc/

_quarto.yml names no address: it says {git_url}, and settings.ini says what that is.
"""
import base64
import io
import json
import os
import re
import shutil
from configparser import ConfigParser
from functools import cache
from pathlib import Path

import numbered
import numpy as np
import yaml
from PIL import Image

root = Path(__file__).parent.parent
LOOK = root/'tools'/'look'               # style sheets, font, card: beside the pages as look/
WATCH = root/'nbs'/'watch'               # the page that trains: its scripts and sets, beside the pages as watch/
PICTURE = re.compile(r'!\[(?P<alt>(?:\\.|[^]\\])*)\]\((?P<url>[^()\s]+)\)(?!\{)')
OPENING = '0pening0'                     # the cell that tools/openings.py writes


@cache
def settings() -> dict: # What settings.ini says, its %(...)s filled in
    c = ConfigParser()
    c.read(root/'settings.ini')
    return dict(c['DEFAULT'])


def repository(path, lines='') -> str: # Where a file or folder of the repository is seen
    s, kind = settings(), 'blob' if (root/path).is_file() else 'tree'
    return f"{s['git_url']}/{kind}/{s['branch']}/{path}{lines}"


def filled(x):
    "Every `{name}` in a tree of dicts, lists and texts, as settings.ini has it."
    if isinstance(x, dict):
        return {k: filled(v) for k, v in x.items()}
    if isinstance(x, list):
        return [filled(v) for v in x]
    return re.sub(r'\{(\w+)\}', lambda m: settings()[m[1]], x) if isinstance(x, str) else x


def sections(contents) -> list: # The sidebar's parts that hold pages
    return [c for c in contents if isinstance(c, dict) and isinstance(c['contents'], list)]


def config() -> dict:
    "_quarto.yml with the addresses of settings.ini, and the sidebar's parts numbered as one reads them."
    out = filled(yaml.safe_load((root/'_quarto.yml').read_text()))
    for k, part in enumerate(sections(out['website']['sidebar']['contents'])):
        part['section'] = f"{k + 1} · {part['section']}"
    return out


def html_name(path) -> str: # 02b_ondisk.ipynb -> ondisk.html, as nbdev calls the page
    p = Path(path)
    return str(p.with_name(re.sub(r'^\d+[a-z]?_', '', p.stem) + '.html'))


# --- Pictures ---

def is_chart(png) -> bool:
    "Lines and letters on white, which a dark page may turn round; not pictures, which it may not."
    a = np.asarray(Image.open(io.BytesIO(png)).convert('RGB'))
    return bool((a >= 250).all(-1).mean() > .62)


def described(text, folder) -> str:
    "Markdown whose pictures have their words as `fig-alt` too, and their class."
    def one(m):
        file = folder/m['url']
        words = re.sub(r'\\([][])', r'\1', m['alt']).replace('"', "'")
        chart = '.chart ' if file.suffix == '.png' and file.is_file() and is_chart(file.read_bytes()) else ''
        return f'{m[0]}{{{chart}fig-alt="{words}"}}'
    return PICTURE.sub(one, text)


def opening_picture(page) -> Path: # Of a page below nbs/, with its ending or without
    return root/'nbs'/'images'/f"{page.removesuffix('.ipynb').replace('/', '_')}.png"


SEEN = '*The picture at the head of the page.*'


def once(cells, page) -> int: # How often it would have been shown again
    "The picture that opens a page is not shown a second time further down: a line says where it stands."
    head = opening_picture(page)
    first, again = head.read_bytes() if head.is_file() else b'', 0
    for o in [o for c in cells for o in c.get('outputs', []) if 'image/png' in o.get('data', {})]:
        if base64.b64decode(''.join(o['data']['image/png'])) == first:
            again += 1
            o['data'].clear()
            o['data']['text/markdown'] = SEEN
    return again


def counted(cells) -> dict: # Name of a formula -> its number on the page
    "Where code names a formula, its number: what a reader sees beside the formula."
    numbers = numbered.formulas(''.join(c['source']) for c in cells if c['cell_type'] == 'markdown')
    for c in (c for c in cells if c['cell_type'] == 'code'):
        c['source'] = numbered.in_code(''.join(c['source']), numbers)
        for o in c.get('outputs', []):
            if 'text/markdown' in o.get('data', {}):             # a signature, with what its docstring says
                o['data']['text/markdown'] = numbered.in_code(''.join(o['data']['text/markdown']), numbers)
    return numbers


def charts(cell) -> bool: # Does a cell show a chart?
    pngs = [o['data']['image/png'] for o in cell.get('outputs', []) if 'image/png' in o.get('data', {})]
    return bool(pngs) and all(is_chart(base64.b64decode(''.join(p))) for p in pngs)


# --- Pages ---

def module(nb) -> str: # The module that a notebook exports, or nothing
    codes = (''.join(c['source']) for c in nb['cells'] if c['cell_type'] == 'code')
    return next((m[1] for c in codes if (m := re.search(r'^#\|\s*default_exp\s+(\S+)', c, re.M))), '')


def ways(page) -> str:
    "From the page of a notebook: to Colab, to Binder, to the arguments of its functions."
    s, nb = settings(), json.loads((root/'nbs'/page).read_text())
    out = [f"[Open in Colab]({s['colab_url']}/{page})", f"[Binder]({s['binder_url']}/{page})"]
    if module(nb):
        api = os.path.relpath(f'api/{module(nb)}.qmd', Path(page).parent)
        out.append(f'[API of `dd_lit.{module(nb)}`]({api})')
    return '::: {.ways}\n' + ' · '.join(out) + '\n:::'


def leads(cells) -> 'dict | None': # The cell below which a page says where else it can be opened
    "The opening; where there is none, the first text below the title."
    source = lambda c: ''.join(c['source'])
    is_opening = lambda c: (c.get('id') == OPENING or OPENING in c.get('metadata', {})
                            or '/images/' in source(c) and '*All: ' in source(c))
    texts = [c for c in cells if c['cell_type'] == 'markdown' and not source(c).startswith('# ')]
    return next(filter(is_opening, cells), texts[0] if texts else None)


def finished(nb, page) -> dict:
    "A processed notebook: pictures with their words, charts marked, and where the page leads."
    folder, led = (root/'nbs'/page).parent, leads(nb['cells'])
    once(nb['cells'], page)
    counted(nb['cells'])
    for c in nb['cells']:
        text = ''.join(c['source'])
        if c['cell_type'] == 'markdown':
            c['source'] = described(text, folder)
        if c is led:
            c['source'] = ''.join(c['source']) + '\n\n' + ways(page)
        if c['cell_type'] == 'code' and charts(c) and '#| classes:' not in text:
            c['source'] = '#| classes: chart\n' + text
    return nb


def look(to):
    "Copy what the pages share to the folder `to`, and what the page that trains runs."
    shutil.copytree(LOOK, Path(to)/'look', dirs_exist_ok=True)
    shutil.copy(root/'nbs'/'favicon.svg', Path(to)/'favicon.svg')
    if WATCH.is_dir():
        shutil.copytree(WATCH, Path(to)/'watch', dirs_exist_ok=True)


def main(to=root/'_proc'):
    for p in sorted(to.rglob('*.ipynb')):
        nb = finished(json.loads(p.read_text()), str(p.relative_to(to)))
        p.write_text(json.dumps(nb, indent=1, ensure_ascii=False))
    look(to)
    shutil.copy(root/'references.bib', to/'references.bib')
    text = yaml.safe_dump(config(), sort_keys=False, allow_unicode=True, width=110)
    (to/'_quarto.yml').write_text(text)
    print('the site is', config()['website']['site-url'])


if __name__ == '__main__':
    main()
