"""The site's preview, as a person's browser sees it: links, pictures, mathematics, console, a phone's width."""
import html.parser
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

CHROMIUM = next((p for p in map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome')) if p), None)


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.images, self.ids, self.text, self.math, self._skip = [], [], set(), [], 0, 0
        self.feed(text)
    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if 'id' in a:
            self.ids.add(a['id'])
        if tag == 'a' and 'href' in a:
            self.links.append(a['href'])
        if tag == 'img':
            self.images.append(a)
        if tag == 'math':
            self.math += 1
        if tag in ('pre', 'code', 'annotation', 'script', 'style'):
            self._skip += 1
    def handle_endtag(self, tag):
        if tag in ('pre', 'code', 'annotation', 'script', 'style'):
            self._skip -= 1
    def handle_data(self, d):
        if not self._skip:
            self.text.append(d)


@pytest.fixture(scope='module')
def site():
    "The built preview: path -> Page."
    r = subprocess.run([sys.executable, ROOT/'tools'/'preview_docs.py'], capture_output=True, text=True, cwd=ROOT)
    assert r.returncode == 0, r.stderr[-3000:]
    return {p: Page(p.read_text()) for p in sorted((ROOT/'_docs').rglob('*.html'))}


def test_every_notebook_has_a_page(site):
    have = {str(p.relative_to(ROOT/'_docs').with_suffix('')) for p in site}
    books = {str(p.relative_to(ROOT/'nbs').with_suffix('')) for p in (ROOT/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts}
    assert books <= have, f'not in the sidebar of _quarto.yml: {books - have}'


def test_no_broken_link(site):
    broken = []
    for p, page in site.items():
        for l in page.links:
            if re.match(r'[a-z]+:', l):
                continue
            file, _, anchor = l.partition('#')
            to = (p.parent/file).resolve() if file else p
            if not to.exists() or (anchor and to in site and anchor not in site[to].ids):
                broken.append(f'{p.relative_to(ROOT)}: {l}')
    assert not broken, '\n'.join(broken)


def test_pictures_have_words(site):
    bad = [f'{p.relative_to(ROOT)}: {i.get("src")}' for p, page in site.items() for i in page.images if len(i.get('alt') or '') < 10 or not (p.parent/i['src']).exists()]
    assert not bad, '\n'.join(bad)


def test_nothing_raw_is_left(site):
    for p, page in site.items():
        text = ''.join(page.text)
        assert '$$' not in text and ':::' not in text and '[@' not in text, p
        assert not re.search(r'\\(frac|sum|lVert|mathbb|operatorname)\b', text), f'{p}: raw mathematics'
    assert sum(page.math for page in site.values()) > 300


def test_citations_are_resolved(site):
    keys = re.findall(r'^@\w+\{(\w+),', (ROOT/'references.bib').read_text(), re.M)
    ids = set().union(*(page.ids for page in site.values()))
    assert {f'ref-{k}' for k in ('dc', 'gvbsm', 'ogm', 'gift', 'sfm')} <= ids and len(keys) == len(set(keys))


@pytest.mark.skipif(CHROMIUM is None, reason='no Chromium on this machine')
def test_in_a_browser(site):
    "No console error, mathematics drawn, nothing wider than a phone: one page that holds every other in a frame of 390 px."
    pages = [p for p in site if p.parent.name != 'api'] + [p for p in site if p.parent.name == 'api'][:3]
    frames = ROOT/'_docs'/'_frames.html'
    frames.write_text('<!doctype html><body>' + ''.join(f'<iframe width=390 height=800 src="{p.relative_to(ROOT/"_docs")}"></iframe>' for p in pages) + """<script>addEventListener("load",()=>{
        const docs=[...document.querySelectorAll("iframe")].map(f=>f.contentDocument);
        document.body.setAttribute("data-wide",docs.map(d=>d.documentElement.scrollWidth).join(","));
        document.body.setAttribute("data-math",docs.map(d=>[...d.querySelectorAll("math")].filter(m=>m.getBoundingClientRect().height<5).length).join(","))})</script>""")
    try:
        r = subprocess.run([CHROMIUM, '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--allow-file-access-from-files', '--enable-logging=stderr', '--virtual-time-budget=60000', '--dump-dom', frames.as_uri()], capture_output=True, text=True, timeout=300)
    finally:
        frames.unlink()
    found = {k: list(map(int, re.search(rf'data-{k}="([\d,]+)"', r.stdout).group(1).split(','))) for k in ('wide', 'math')}
    console = [l for l in r.stderr.splitlines() if 'CONSOLE' in l]
    assert not console, console
    assert len(found['wide']) == len(pages)
    assert not (wide := {str(p.relative_to(ROOT)): w for p, w in zip(pages, found['wide']) if w > 390}), wide
    assert not (flat := {str(p.relative_to(ROOT)): n for p, n in zip(pages, found['math']) if n}), f'formulas without height: {flat}'
