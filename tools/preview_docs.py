"""Render the notebooks to _docs/ with pandoc: a preview for machines without Quarto.

    python tools/preview_docs.py                    # all pages
    python tools/preview_docs.py flow/sfm.ipynb     # those named
    python tools/preview_docs.py --few 10           # ten from all over the site

Sidebar, title and bibliography come from _quarto.yml, mathematics becomes MathML, citations are resolved. Quarto's own
rendering is the real site. API pages are written from the functions' docments, one per module (`tools/api_pages.py`).
"""
import base64
import html
import re
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import api_pages
import links
import nbformat
import numbered
import pypandoc
import website
import yaml

root = Path(__file__).parent.parent
config = website.config()
site = config['website']
src, dst = root/'_proc', root/'_docs'
HIDDEN = r'^#\|\s*(hide|default_exp|export)\b'       # `exports` is shown; nbdev keeps of `export` what has signatures
PAGE = '''<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title><link rel="icon" href="{depth}favicon.svg">
<link rel="stylesheet" href="{depth}look/style.css"><link rel="stylesheet" href="{depth}look/preview.css">
<body><script>{dark}</script>
<nav class="side"><a class="brand" href="{depth}index.html"><img src="{depth}favicon.svg" width="24" height="24"
alt="{name}: to the first page">{name}</a><details open><summary>Pages</summary>{nav}</details></nav>
<main>{text}<div class="turn">{turn}</div></main>{toc}
<script>{fold}</script></body></html>'''
FOLD = '''if(innerWidth<900)document.querySelector(".side details").removeAttribute("open");
else{const s=document.querySelector(".side"),h=s.querySelector(".here");if(h)s.scrollTop=h.offsetTop-300}'''
MATH = 'http://www.w3.org/1998/Math/MathML'
SCRIPTS = {f'{{{MATH}}}{t}' for t in ('msub', 'msup', 'msubsup')}
ElementTree.register_namespace('', MATH)
DARK = 'if(matchMedia("(prefers-color-scheme:dark)").matches)document.body.classList.add("quarto-dark")'


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


def shown(c, alt) -> list: # (alternative text, is it a chart) of the pictures below a cell of code
    pngs = [o['data']['image/png'] for o in c.outputs if 'image/png' in o.get('data', {})]
    return [(alt or '', website.is_chart(base64.b64decode(''.join(p)))) for p in pngs]


def in_text(text, folder) -> list: # The same, of the pictures in a text
    out = []
    for m in website.PICTURE.finditer(text):
        file = folder/m['url']
        chart = file.suffix == '.png' and file.is_file() and website.is_chart(file.read_bytes())
        out.append((re.sub(r'\\([][])', r'\1', m['alt']), chart))
    return out


def runnable(c):
    "A cell of code without its directives, in the form that pandoc insists on."
    flags = re.findall(r'^#\|\s*(.+)$', c.source, re.M)
    c.source = re.sub(r'^#\|.*\n?', '', c.source, flags=re.M)
    if any(f.replace(' ', '') == 'echo:false' for f in flags):
        c.source = ''
    c.setdefault('execution_count', None)                 # nbdev_clean drops it
    for o in c.outputs:
        if o.output_type in ('display_data', 'execute_result'):
            o.setdefault('metadata', {})
        if o.output_type == 'execute_result':
            o['execution_count'] = 1
        if 'image/png' in o.get('data', {}):
            o['data'].pop('text/plain', None)
    return next((f.split(':', 1)[1].strip().strip('"') for f in flags if f.startswith('fig-alt')), None)


def told(c) -> list:
    "What pandoc would show as objects, as cells of its own: Markdown becomes tables, HTML is put back by `body`."
    out = []
    for o in [o for o in c.outputs if {'text/markdown', 'text/html'} & set(o.get('data', {}))]:
        c.outputs.remove(o)
        html = ''.join(o['data'].get('text/html', ''))
        text = ''.join(o['data'].get('text/markdown', ''))
        if html and not text:
            text = f'HTML-{base64.urlsafe_b64encode(html.encode()).decode()}'
        out += [nbformat.v4.new_markdown_cell(text)] if text else []          # a notice may have nothing to say
    return out


def named(c):
    "Where links to an exported cell's functions and classes arrive: a cell of its own, without a sign of it."
    exported = re.search(r'^#\|\s*export', c.source, re.M)
    names = re.findall(r'^(?:def|class) ([^_\W]\w*)', c.source, re.M) if exported else []
    return nbformat.v4.new_markdown_cell(''.join(f'<a id="{n.lower()}"></a>' for n in names))


def prepared(path) -> tuple:
    "A notebook as pandoc should see it, and (alternative text, is it a chart) of its pictures in order."
    nb, cells, pictures = numbered.marked(nbformat.read(source(path), 4)), [], []
    led = website.leads(nb.cells) if path.endswith('.ipynb') else None
    website.once(nb.cells, path)
    for c in nb.cells:
        if c.cell_type == 'raw':
            continue
        if c.cell_type == 'code':
            cells.append(named(c))                      # also of code that is not shown: its API page links here
            if re.search(HIDDEN, c.source, re.M):
                continue
            alt = runnable(c)
            pictures += shown(c, alt)
            cells += [c, *told(c)]
        else:
            pictures += in_text(c.source, source(path).parent)
            if c is led:
                c.source += '\n\n' + website.ways(path)
            c.source = links.linked(c.source, path, source(path), {})
            cells.append(c)
    nb.metadata.setdefault('kernelspec', dict(name='python3', display_name='python3', language='python'))
    nb.cells = [c for c in cells if c.source.strip() or c.get('outputs')]
    return nb, pictures


def body(page, tmp):
    "The page's HTML, without frame."
    args = ['--mathml']
    if config.get('bibliography'):
        args += [f'--bibliography={root/config["bibliography"]}', '--citeproc', '--metadata=link-citations=true']
    if page.endswith('.qmd'):
        f = front(page)
        top = f'<h1>{html.escape(f["title"])}</h1>'
        if f.get('description'):
            top += f'<blockquote><p>{html.escape(f["description"])}</p></blockquote>'
        return top + pypandoc.convert_file(str(source(page)), 'html', format='markdown', extra_args=args)
    nb, pictures = prepared(page)
    nbformat.write(nb, tmp)
    args += [f'--resource-path={(root/"nbs"/page).parent}', f'--extract-media={dst}/media/{Path(page).with_suffix("")}']
    out = pypandoc.convert_file(str(tmp), 'html', format='ipynb+citations+fenced_divs', extra_args=args)
    back = lambda m: links.in_html(base64.urlsafe_b64decode(m[1]).decode(), source(page), lambda s: s)
    out = re.sub(r'<p>\s*HTML-([\w=-]+)\s*</p>', back, out)
    rest = iter(pictures)
    def give(m):
        if f'{dst}/media' not in m.group(0):
            return m.group(0)
        alt, chart = next(rest, ('', False))
        tag = re.sub(r'\s+alt="[^"]*"', '', m.group(0))
        mark = ' class="chart"' if chart else ''
        return tag.replace('<img', f'<img{mark} alt="{html.escape(alt)}" loading="lazy"', 1)
    return re.sub(r'<img\s[^>]*>', give, out)


def paired(math) -> str:
    """MathML in which a closing bracket with an index or exponent has its opening one and all between them in its row:
    only brackets of one row grow together."""
    top = ElementTree.fromstring(math)
    for row in list(top.iter()):
        k = 0
        while k < len(row):
            base = row[k][0] if row[k].tag in SCRIPTS and len(row[k]) else None
            if base is not None and base.get('form') == 'postfix':
                form = {'prefix': -1, 'postfix': 1}
                depth, i = 1, k
                while depth and i > 0:
                    i -= 1
                    depth += form.get(row[i].get('form'), 0)
                if not depth:
                    inner = ElementTree.Element(f'{{{MATH}}}mrow')
                    inner.extend([*row[i:k], base])
                    row[k][0] = inner
                    del row[i:k]
                    k = i
            k += 1
    return ElementTree.tostring(top, encoding='unicode')


def tidy(text, depth):
    "A page's HTML with what pandoc leaves behind taken away, its links relative and to pages."
    text = re.sub(r'<pre[^>]*><code[^>]*>\s*</code></pre>', '', text)      # cells whose code is not shown
    text = re.sub(r'<colgroup>.*?</colgroup>', '', text, flags=re.S)       # columns as wide as they need
    text = numbered.folded(text.replace(f'{dst}/', depth))
    text = re.sub(r'<math\b.*?</math>', lambda m: paired(m[0]), text, flags=re.S)
    # a cell of text may open what another closes
    text = re.sub(r'<div id="[^"]*" class="cell markdown"[^>]*>((?:(?!<div\b).)*?)</div>', r'\1', text, flags=re.S)
    return re.sub(r'href="([^":#]+)\.(?:ipynb|qmd)', r'href="\1.html', text)


def contents(text) -> str:
    "A page's headings, as links."
    heads = re.findall(r'<h([23])[^>]* id="([^"]+)"[^>]*>(.*?)</h\1>', text, re.S)
    link = lambda n, to, s: f'<a class="h{n}" href="#{to}">{re.sub("<[^>]+>", "", s)}</a>'
    return f'<nav class="toc"><b>On this page</b>{"".join(link(*h) for h in heads)}</nav>' if heads else ''


def sidebar(order, page, url, name) -> str:
    nav, last = '', None                                       # the index, first in the list, carries the site's name
    for sec, p in order:
        if sec != last:
            nav += f'<h3>{html.escape(sec or "")}</h3>'
            last = sec
        nav += f'<a {"class=here " if p == page else ""}href="{url(p)}">{name(p)}</a>'
    return nav


def frame(k, order, titles, text):
    "The page number `k`, whole: the sidebar, its text, its contents, and the ways to the pages before and after."
    page = order[k][1]
    depth = '../'*page.count('/')
    url = lambda p: f'{depth}{Path(p).with_suffix(".html")}'
    name = lambda p: html.escape(titles[p])
    turn = ''
    for j, mark in ((k - 1, '← {}'), (k + 1, '{} →')):
        there = order[j][1] if 0 <= j < len(order) else None
        turn += f'<a href="{url(there)}">{mark.format(name(there))}</a>' if there else '<span></span>'
    return PAGE.format(title=f'{name(page)} – {site["title"]}', name=site['title'], depth=depth, dark=DARK, fold=FOLD,
                       text=text,
                       nav=sidebar(order, page, url, name), turn=turn, toc=contents(text))


def sample(pages, n) -> list: # The first page, the ledger, the page that trains, an API page with its notebook, others
    api = [p for p in pages if p.startswith('api/')]
    books = [p for p in pages if p.endswith('.ipynb')]
    module = lambda p: website.module(nbformat.read(root/'nbs'/p, 4))
    home = next(p for p in books if f'api/{module(p)}.qmd' == api[0])
    always = ['study/claims.ipynb', 'howto/watch.ipynb', home]
    rest = [p for p in books[1:] if p not in always]
    some = n - 2 - len(always)
    return [pages[0], *always, api[0], *(rest[i*len(rest)//some] for i in range(some))]


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
    website.look(dst)
    print(f'{len(todo)} pages in {dst}')


if __name__ == '__main__':
    if sys.argv[1:2] == ['--few']:
        main(few=int(sys.argv[2]))
    else:
        main(sys.argv[1:])
