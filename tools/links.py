"""Links on the site's pages: from the name of one of this package's functions or classes, in `backticks`, to the page
that explains it; and from a file of the repository that is no page to the repository.

    python tools/links.py            # after nbdev_proc_nbs and api_pages.py: works on _proc/

nbdev has a processor for the first, `add_links`, which settings.ini switches off: it goes line by line, so that it
writes links into signatures (an argument's comment may name a function) and into the text of other links, where the
reader then sees brackets. Here code stays code, and a link stays as it is: to run this twice changes nothing.
"""
import importlib
import json
import os
import re
import sys
from pathlib import Path

import api_pages
import numbered
import website

root = Path(__file__).parent.parent
# files outside nbs/ that are pages of the site (api_pages.py writes them)
PAGES = {'CONTRIBUTING.md': 'contributing.html'}
HEADING = re.compile(r'^#{1,6} +(.*?)(?: +\{.*\})? *$', re.M)
# What stays as it is, longest first: fenced and indented code, formulas, headings, comments, tags, code in more than
# one backtick
KEPT = r'''^(?P<fence>[ >]*(?P<f>```+|~~~+)).*?(?:^[ >]*(?P=f)[`~]*[ ]*$|\Z)
    | ^(?:[ ]{4}|\t)[^\n]* | \$\$.*?\$\$ | ^\#[^\n]* | <!--.*?--> | <[a-zA-Z/][^>\n]*> | (?P<b>``+)[^`].*?(?P=b)(?!`)'''
LINK = r'''(?P<text>!?\[(?:[^][`\\]|\\.|`[^`]*`|\[[^]]*\])*\])
    \((?P<url>[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?P<rest>[^()]*)\)'''
NAME = r'''(?<!`)`(?P<name>[A-Za-z_][\w.]*)(?P<call>\(\))?`(?!`)'''
TOKEN = re.compile(f'{KEPT} | {LINK} | {NAME}', re.M | re.S | re.X)


def names() -> dict: # Name without its module -> page.html#anchor, as nbdev_export found them
    sys.path.insert(0, str(root))
    from dd_lit._modidx import d
    out = {}
    for module, symbols in d['syms'].items():
        for k, (page, _) in symbols.items():
            short = k.removeprefix(module + '.')
            if not any(p.startswith('_') for p in short.split('.')):
                out.setdefault(short, page)
                out.setdefault(k, page)
    return out


def formulas(nb) -> set: # Names of a page's formulas, which are anchors, too
    return set(numbered.formulas(''.join(c['source']) for c in nb['cells'] if c['cell_type'] == 'markdown'))


def anchors(nb) -> set: # Of what `show_doc` shows on a page
    shown = (o.get('data', {}).get('text/markdown', '') for c in nb['cells'] for o in c.get('outputs', []))
    return {h.lower() for s in shown for h in HEADING.findall(''.join(s))}


def outside(url, source) -> str:
    "Where a relative link of the file `source` leads on the site, if it leaves nbs/; else the link itself."
    file, mark, anchor = url.partition('#')
    if not file or re.match(r'[a-z]+:|/', file):
        return url
    to = os.path.relpath((source.parent/file).resolve(), root.resolve())
    if not (root/to).exists():
        return url               # a page of the site, linked by an earlier run
    if source.is_relative_to(root/'nbs'):
        if to.startswith('nbs' + os.sep):
            return url
        up = os.path.relpath(root/'nbs', source.parent)
    else:                                               # a page that is made from a file beside nbs/
        if to.startswith('nbs' + os.sep):
            return to.removeprefix('nbs' + os.sep) + mark + anchor
        up = '.'
    if to in PAGES:
        return os.path.normpath(f'{up}/{PAGES[to]}') + mark + anchor
    return website.repository(to, mark + anchor)


def linked(text, page, source, known) -> str:
    "`text` of the site's file `page`, written in `source`, with its links; `known` says where a name is explained."
    def one(m):
        if m['name']:
            to = known.get(m['name'])
            if not to:
                return m[0]
            file, _, anchor = to.partition('#')
            return f"[{m[0]}]({os.path.relpath(file, Path(page).parent)}{'#' + anchor if anchor else ''})"
        if m['text']:
            return f"{m['text']}({outside(m['url'], source)}{m['rest']})"
        return m[0]
    return TOKEN.sub(one, text)


def arriving(text, folder, books) -> str:
    "Links to headings and formulas of notebooks, as API pages have them, without those that are not there."
    def one(m):
        book = (folder/m[1]).resolve()
        there = book in books and m[2] in anchors(books[book]) | formulas(books[book])
        return m[0] if there else f']({m[1]})'
    return re.sub(r'\]\(([^()\s#]+\.ipynb)#([^()\s]+)\)', one, text)


def signed(text, module) -> str:
    """A signature as `show_doc` wrote it, mended: classes of the notebook are not of `__main__`, and the comment behind
    a last `**settings` is not the returned value's."""
    text = text.replace('__main__.', '')
    name = re.search(r'^### (\w+)$', text, re.M)
    o = getattr(module, name[1], None) if name else None
    if o is None or api_pages.comments(o).get('return') != '':
        return text
    return re.sub(r'(\n +\*\*\w+[^\n]*)(\n\)->[^\n]*?): (# [^\n]*)', r'\1 \3\2', text, count=1)


def exported(page):
    "The module that a page's notebook exports, or None."
    name = website.module(json.loads((root/'nbs'/page).read_text()))
    return importlib.import_module(f'dd_lit.{name}') if name else None


def in_html(text, source, called=website.html_name) -> str:
    "Links in an HTML output, which no processor follows: to pages of the site, or to the repository."
    def one(m):
        to = outside(m[1], source)
        file, mark, anchor = to.partition('#')
        here = file.endswith('.ipynb') and not re.match(r'[a-z]+:', to)
        return f'href="{called(file) + mark + anchor if here else to}"'
    return re.sub(r'href="([^"#:]+(?:#[^"]*)?)"', one, text)


def main(to=root/'_proc'):
    books = {p: json.loads(p.read_text()) for p in sorted(to.resolve().rglob('*.ipynb'))}
    output = lambda p: website.html_name(p.relative_to(to.resolve()))
    there = {output(p): anchors(nb) for p, nb in books.items()}
    known = {}
    for k, v in names().items():        # a method that has no heading of its own is explained at its class
        page, _, anchor = v.partition('#')
        while anchor and anchor not in there.get(page, ()):
            anchor = anchor.rpartition('.')[0]
        if page in there:
            known[k] = page + ('#' + anchor if anchor else '')
    for p, nb in books.items():
        page, source = output(p), root/'nbs'/p.relative_to(to.resolve())
        module = exported(p.relative_to(to.resolve()))
        do = lambda s, page=page, source=source: linked(s if isinstance(s, str) else ''.join(s), page, source, known)
        for c in nb['cells']:
            if c['cell_type'] == 'markdown':
                c['source'] = do(c['source'])
            for o in c.get('outputs', []):
                data = o.get('data', {})
                if 'text/markdown' in data:
                    data['text/markdown'] = do(signed(''.join(data['text/markdown']), module))
                if 'text/html' in data:
                    data['text/html'] = in_html(''.join(data['text/html']), source)
        p.write_text(json.dumps(nb, indent=1, ensure_ascii=False))
    for p in (to/'api').glob('*.qmd'):
        p.write_text(arriving(p.read_text(), p.parent, books))
    for file, page in PAGES.items():
        p = (to/page).with_suffix('.qmd')
        head, body = re.match(r'(---\n.*?\n---\n)(.*)', p.read_text(), re.S).groups()
        p.write_text(head + linked(body, page, root/file, known))
    print(len(books), 'pages with links')


if __name__ == '__main__':
    main()
