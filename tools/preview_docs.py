"""Render the notebooks to _docs/ with pandoc: a preview for machines without Quarto.

    python tools/preview_docs.py                    # all pages
    python tools/preview_docs.py flow/sfm.ipynb     # those named
    python tools/preview_docs.py --few 10           # ten from all over the site

Sidebar, title and bibliography come from _quarto.yml, mathematics becomes MathML, citations are resolved. Quarto's own
rendering is the real site. API pages are written from the functions' docments, one per module (`tools/api_pages.py`).
"""
import html
import re
import shutil
import sys
from pathlib import Path

import api_pages
import links
import nbformat
import numbered
import pypandoc
import yaml

root = Path(__file__).parent.parent
config = yaml.safe_load((root/'_quarto.yml').read_text())
site = config['website']
src, dst = root/'_proc', root/'_docs'
CSS = '''body{font:16px/1.6 system-ui,sans-serif;margin:0;color:#222;background:#fff} a{color:#1a5fb4}
nav{padding:1rem 1.5rem;background:#f4f6f8;font-size:14px}
nav summary{font-weight:700;cursor:pointer}
nav h3{margin:.8em 0 .2em;font-size:13px;color:#556}
nav a{display:block;color:#245;text-decoration:none;padding:1px 0}
nav a.here{font-weight:700}
main{max-width:52rem;padding:1rem 1.5rem;overflow-wrap:break-word}
pre{background:#f6f8fa;padding:.7rem;overflow-x:auto;font-size:13px;line-height:1.45}
.output pre{background:#fff;border-left:3px solid #cde}
img{max-width:100%;height:auto;background:#fff}
table{border-collapse:collapse;display:block;overflow-x:auto}
td,th{border:1px solid #ddd;padding:.25rem .6rem;overflow-wrap:normal}
[style*=right]{white-space:nowrap}
blockquote{margin:0;color:#556;font-size:18px}
math[display=block]{display:block;overflow-x:auto;overflow-y:hidden;max-width:100%}
p{overflow-x:auto}
.turn{display:flex;justify-content:space-between;margin-top:3rem;border-top:1px solid #ddd;padding-top:1rem}
.csl-entry{margin:.4em 0;font-size:14px}
@media(min-width:900px){
  body{display:flex}
  nav{width:15rem;min-height:100vh;flex:none}
  nav summary{display:none}
  main{flex:1;min-width:0}
}
@media(prefers-color-scheme:dark){
  body{color:#ddd;background:#181a1d}
  nav,pre{background:#22262b}
  nav a,a{color:#9cc4ff}
  nav h3,blockquote{color:#99a}
  .output pre{background:#181a1d}
  td,th{border-color:#444}
}'''
PAGE = '''<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title><link rel="icon" href="{depth}favicon.svg"><style>{css}</style>
<body><nav><details open><summary>Pages</summary>{nav}</details></nav><main>{text}<div class="turn">{turn}</div></main>
<script>if(innerWidth<900)document.querySelector("nav details").removeAttribute("open")</script></body></html>'''


def pages(contents):
    for c in contents:
        if isinstance(c, str):
            yield None, c
        else:
            for _, p in pages([] if isinstance(c['contents'], str) else c['contents']):
                yield c.get('section'), p


def source(path):
    "Where a page comes from: a notebook, or what `api_pages` wrote."
    return src/path if path.endswith('.qmd') else root/'nbs'/path


def front(path):
    return yaml.safe_load(source(path).read_text().split('---\n')[1])


def title(path):
    if path.endswith('.qmd'):
        return front(path)['title']
    return nbformat.read(root/'nbs'/path, 4).cells[0].source.splitlines()[0].lstrip('# ').strip()


def prepared(path) -> tuple:
    "A notebook as pandoc should see it, and the alternative texts of its pictures in order."
    nb, cells, alts = numbered.marked(nbformat.read(source(path), 4)), [], []
    for c in nb.cells:
        if c.cell_type == 'raw':
            continue
        if c.cell_type == 'code' and re.search(r'^#\|\s*(hide|default_exp)\b', c.source, re.M):
            continue
        cells.append(c)
        if c.cell_type != 'code':
            c.source = links.linked(c.source, path, source(path), {})
            alts += [re.sub(r'\\([][])', r'\1', m) for m in re.findall(r'!\[((?:\\.|[^]])*)\]\(', c.source)]
            continue
        flags = re.findall(r'^#\|\s*(.+)$', c.source, re.M)
        alt = next((f.split(':', 1)[1].strip().strip('"') for f in flags if f.startswith('fig-alt')), None)
        # pandoc shows Markdown outputs as objects; as text cells they become tables
        for o in [o for o in c.outputs if 'text/markdown' in o.get('data', {})]:
            c.outputs.remove(o)
            cells.append(nbformat.v4.new_markdown_cell(''.join(o['data']['text/markdown'])))
        c.source = re.sub(r'^#\|.*\n?', '', c.source, flags=re.M)
        if any(f.replace(' ', '') == 'echo:false' for f in flags):
            c.source = ''
        c.setdefault('execution_count', None)             # nbdev_clean drops what pandoc insists on
        for o in c.outputs:
            if o.output_type in ('display_data', 'execute_result'):
                o.setdefault('metadata', {})
            if o.output_type == 'execute_result':
                o['execution_count'] = 1
            if 'image/png' in o.get('data', {}):
                o['data'].pop('text/plain', None)
                alts.append(alt or '')
    nb.metadata.setdefault('kernelspec', dict(name='python3', display_name='python3', language='python'))
    nb.cells = [c for c in cells if c.source.strip() or c.get('outputs')]
    return nb, alts


def body(page, tmp):
    "The page's HTML, without frame."
    args = ['--mathml', '--syntax-highlighting=none']
    if config.get('bibliography'):
        args += [f'--bibliography={root/config["bibliography"]}', '--citeproc', '--metadata=link-citations=true']
    if page.endswith('.qmd'):
        f = front(page)
        top = f'<h1>{html.escape(f["title"])}</h1>'
        if f.get('description'):
            top += f'<blockquote><p>{html.escape(f["description"])}</p></blockquote>'
        return top + pypandoc.convert_file(str(source(page)), 'html', format='markdown', extra_args=args)
    nb, alts = prepared(page)
    nbformat.write(nb, tmp)
    args += [f'--resource-path={(root/"nbs"/page).parent}', f'--extract-media={dst}/media/{Path(page).with_suffix("")}']
    out = pypandoc.convert_file(str(tmp), 'html', format='ipynb+citations', extra_args=args)
    rest = iter(alts)
    def give(m):
        if f'{dst}/media' not in m.group(0):
            return m.group(0)
        tag = re.sub(r'\s+alt="[^"]*"', '', m.group(0))
        return tag.replace('<img', f'<img alt="{html.escape(next(rest, ""))}" loading="lazy"', 1)
    return re.sub(r'<img\s[^>]*>', give, out)


def tidy(text, depth):
    "A page's HTML with what pandoc leaves behind taken away, its links relative and to pages."
    text = re.sub(r'<pre[^>]*><code[^>]*>\s*</code></pre>', '', text)      # cells whose code is not shown
    text = re.sub(r'<colgroup>.*?</colgroup>', '', text, flags=re.S)       # columns as wide as they need
    text = numbered.folded(text.replace(f'{dst}/', depth))
    return re.sub(r'href="([^":#]+)\.(?:ipynb|qmd)', r'href="\1.html', text)


def frame(k, order, titles, text):
    "The page number `k`, whole: the sidebar, its text, and the ways to the pages before and after."
    page = order[k][1]
    depth = '../'*page.count('/')
    url = lambda p: f'{depth}{Path(p).with_suffix(".html")}'
    name = lambda p: html.escape(titles[p])
    nav, last = '', None                                       # the index, first in the list, carries the site's name
    for sec, p in order:
        if sec != last:
            nav += f'<h3>{html.escape(sec or "")}</h3>'
            last = sec
        nav += f'<a {"class=here " if p == page else ""}href="{url(p)}">{name(p)}</a>'
    turn = ''
    for j, mark in ((k - 1, '← {}'), (k + 1, '{} →')):
        there = order[j][1] if 0 <= j < len(order) else None
        turn += f'<a href="{url(there)}">{mark.format(name(there))}</a>' if there else '<span></span>'
    title = f'{name(page)} – {site["title"]}'
    return PAGE.format(title=title, depth=depth, css=CSS, nav=nav, text=text, turn=turn)


def sample(pages, n) -> list: # The first page, two API pages, and others from all over the book
    api = [p for p in pages if p.startswith('api/')]
    rest = [p for p in pages[1:] if p not in api]
    return [pages[0], *api[:2], *(rest[i*len(rest)//(n - 3)] for i in range(n - 3))]


def main(only=(), few=0):
    shutil.rmtree(dst, ignore_errors=True)
    dst.mkdir()
    api = api_pages.write(src)
    api_pages.contributing(src)
    order = [(s, p) for s, p in pages(site['sidebar']['contents']) if not p.startswith('api/')]
    order += [('API', p) for p in api]
    titles = {p: re.sub(r'^---.*?title:\s*', '', title(p)) for _, p in order}
    todo = sample([p for _, p in order], few) if few else only or [p for _, p in order]
    for k, (_, page) in enumerate(order):
        if page not in todo:
            continue
        out = dst/Path(page).with_suffix('.html')
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(frame(k, order, titles, tidy(body(page, dst/'_tmp.ipynb'), '../'*page.count('/'))))
    (dst/'_tmp.ipynb').unlink(missing_ok=True)
    shutil.copy(root/'nbs'/'favicon.svg', dst/'favicon.svg')
    print(f'{len(todo)} pages in {dst}')


if __name__ == '__main__':
    if sys.argv[1:2] == ['--few']:
        main(few=int(sys.argv[2]))
    else:
        main(sys.argv[1:])
