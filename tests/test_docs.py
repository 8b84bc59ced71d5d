"""The site's preview, as a person's browser sees it: links, pictures, mathematics, console, a phone's width."""
import html.parser
import json
import re
import subprocess
import sys

import preview_docs
import pypandoc
import pytest
from conftest import ROOT, notebooks
from watched import CHROMIUM, answered

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


SLOW = pytest.mark.slow
HOME = ROOT/'_docs'/'index.html'


@pytest.fixture(scope='module', params=[10, pytest.param(0, marks=SLOW)], ids=['ten pages', 'all pages'])
def site(request):
    "The built preview: path -> Page. Ten pages from all over the book, or all of them."
    few = ['--few', str(request.param)] if request.param else []
    cmd = [sys.executable, ROOT/'tools'/'preview_docs.py', *few]
    r = subprocess.run(cmd, capture_output=True, text=True, cwd=ROOT)
    assert r.returncode == 0, r.stderr[-3000:]
    return {p: Page(p.read_text()) for p in sorted((ROOT/'_docs').rglob('*.html'))}


def listed(site) -> set: # The pages of the sidebar, whether or not they have been made
    links = (l.partition('#')[0] for l in site[HOME].links)
    return {(HOME.parent/l).resolve() for l in links if l.endswith('.html') and ':' not in l}


def test_every_notebook_has_a_page(site):
    have = {str(p.relative_to(ROOT/'_docs').with_suffix('')) for p in listed(site)}
    books = {str(p.relative_to('nbs').with_suffix('')) for p in notebooks()}
    assert books <= have, f'not in the sidebar of _quarto.yml: {books - have}'
    assert len(site) == 10 or set(site) >= listed(site)


def test_no_broken_link(site):
    broken, later = [], listed(site)
    for p, page in site.items():
        for l in page.links:
            if re.match(r'[a-z]+:', l):
                continue
            file, _, anchor = l.partition('#')
            to = (p.parent/file).resolve() if file else p
            there = to.exists() or len(site) == 10 and to in later
            if not there or (anchor and to in site and anchor not in site[to].ids):
                broken.append(f'{p.relative_to(ROOT)}: {l}')
    assert not broken, '\n'.join(broken)


def test_pictures_have_words(site):
    bad = []
    for p, page in site.items():
        for i in page.images:
            if len(i.get('alt') or '') < 10 or not (p.parent/i['src']).exists():
                bad.append(f'{p.relative_to(ROOT)}: {i.get("src")}')
    assert not bad, '\n'.join(bad)


def test_nothing_raw_is_left(site):
    for p, page in site.items():
        text = ''.join(page.text)
        assert '$$' not in text and ':::' not in text and '[@' not in text, p
        assert not re.search(r'\\(frac|sum|lVert|mathbb|operatorname)\b', text), f'{p}: raw mathematics'
    assert sum(page.math for page in site.values()) > (20 if len(site) == 10 else 300)


def test_citations_are_resolved(site):
    keys = re.findall(r'^@\w+\{(\w+),', (ROOT/'references.bib').read_text(), re.M)
    ids = set().union(*(page.ids for page in site.values()))
    assert len(keys) == len(set(keys)) and any(f'ref-{k}' in ids for k in keys)
    if len(site) > 10:
        assert {f'ref-{k}' for k in ('dc', 'gvbsm', 'ogm', 'gift', 'sfm')} <= ids


def test_brackets_grow_together():
    "A closing bracket that has an exponent stands in one row with its opening one; others stay where they are."
    for tex, rows in ((r'\Bigl(\frac ab\Bigr)^2', 1), (r'((a)_i b)^2', 2), ('(a, b]', 0), ('a)^2', 0)):
        out = pypandoc.convert_text(f'$${tex}$$', 'html', 'markdown', ['--mathml'])
        math = re.search(r'<math\b.*</math>', out, re.S)[0]
        made = preview_docs.paired(math)
        flat = lambda s: re.sub(r'<[^>]+>', '', s)
        assert flat(made) == flat(math)
        assert len(re.findall(r'<ms(?:up|ub)><mrow><mo[^>]*>\(', made)) == rows, made


# One page that holds others in frames, each as wide as a screen; what it finds stands in its body's data-*
FRAMES = """<!doctype html><body>%s<script>addEventListener("load",()=>{
const docs=[...document.querySelectorAll("iframe")].map(f=>f.contentDocument);
const say=(k,f)=>document.body.setAttribute("data-"+k,docs.map(f).join(","));
const flat=m=>m.getBoundingClientRect().height<5;
const style=e=>e.ownerDocument.defaultView.getComputedStyle(e);
const rgb=c=>c.match(/[\\d.]+/g).map(Number);
const light=c=>{const[r,g,b]=rgb(c).map(v=>(v/=255)<=.04045?v/12.92:((v+.055)/1.055)**2.4);
  return .2126*r+.7152*g+.0722*b};
const under=e=>{while(e){const c=style(e).backgroundColor;if(rgb(c)[3]!==0)return c;e=e.parentElement}
  return"rgb(255,255,255)"};
const contrast=e=>{const[a,b]=[light(style(e).color),light(under(e))].sort((x,y)=>y-x);return(a+.05)/(b+.05)};
const worded=e=>[...e.childNodes].some(n=>n.nodeType===3&&n.data.trim());
const faint=d=>[...d.querySelectorAll("body *")].filter(e=>worded(e)&&!e.closest("script,style,math")&&contrast(e)<4.5);
say("wide",d=>d.documentElement.scrollWidth);
say("math",d=>[...d.querySelectorAll("math")].filter(flat).length);
say("dark",d=>+d.defaultView.matchMedia("(prefers-color-scheme: dark)").matches);
say("back",d=>rgb(style(d.body).backgroundColor)[0]);
say("faint",d=>faint(d).length);
const long=e=>e.scrollWidth>e.clientWidth+1;
say("code",d=>d.querySelectorAll("pre.sourceCode").length);
say("cut",d=>[...d.querySelectorAll("pre.sourceCode")].filter(long).length);
say("said",d=>d.querySelectorAll("pre:not(.sourceCode)").length);
say("off",d=>[...d.querySelectorAll("pre:not(.sourceCode)")].filter(long).length);
say("small",d=>[...d.querySelectorAll("main img")].filter(e=>e.clientWidth<.95*e.naturalWidth).length);
say("high",d=>d.documentElement.scrollHeight);})</script>"""
FOUND = 'wide', 'math', 'dark', 'back', 'faint', 'code', 'cut', 'said', 'off', 'small', 'high'
FLAGS = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--allow-file-access-from-files',
         '--enable-logging=stderr', '--virtual-time-budget=60000', '--dump-dom']


def browse(pages, width, dark):
    "What a browser finds on the pages: a dict of lists (width, formulas without height, ...), and its console."
    frames = ROOT/'_docs'/f'_frames_{width}_{dark:d}.html'
    frame = f'<iframe width={width} height=800 src="%s"></iframe>'
    frames.write_text(FRAMES % ''.join(frame % p.relative_to(ROOT/'_docs') for p in pages))
    theme = f'--blink-settings=preferredColorScheme={0 if dark else 1}'
    try:
        r = subprocess.run([CHROMIUM, *FLAGS, theme, frames.as_uri()], capture_output=True, text=True, timeout=300)
    finally:
        frames.unlink()
    numbers = lambda k: [int(n) for n in re.search(rf'data-{k}="([\d,]+)"', r.stdout)[1].split(',')]
    console = [l for l in r.stderr.splitlines() if 'CONSOLE' in l]
    return {k: numbers(k) for k in FOUND}, console


OTHERS = (390, True), (800, False), (800, True), (1400, False)
SCREENS = [(390, False), (1400, True), *(pytest.param(*s, marks=SLOW) for s in OTHERS)]


@pytest.mark.skipif(CHROMIUM is None, reason='no Chromium on this machine')
@pytest.mark.parametrize('width, dark', SCREENS)
def test_in_a_browser(site, width, dark):
    """No console error, mathematics drawn, nothing wider than the screen, dark where the reader wants it dark, every
    word readable; hardly a block of code scrolls, and on a wide screen hardly a print-out; on a phone pictures keep
    their size."""
    pages = list(site)
    found, console = browse(pages, width, dark)
    assert not console, console
    assert all(len(v) == len(pages) for v in found.values()) and set(found['dark']) == {int(dark)}
    of = lambda k, bad: {str(p.relative_to(ROOT)): v for p, v in zip(pages, found[k], strict=True) if bad(v)}
    assert not (wide := of('wide', lambda v: v > width)), wide
    assert not (flat := of('math', lambda v: v)), f'formulas without height: {flat}'
    assert not (glare := of('back', lambda v: (v < 128) != dark)), f'red of the background: {glare}'
    assert not (faint := of('faint', lambda v: v)), f'words with a contrast below 4.5: {faint}'
    if (ledger := ROOT/'_docs'/'study'/'claims.html') in pages and width != 800:
        assert found['high'][pages.index(ledger)] < 3000, 'the ledger, before anything is unfolded'
    if width < 700:
        assert not (small := of('small', lambda v: v)), f'pictures that shrank: {small}'
    assert sum(found['cut']) <= .05*sum(found['code']) and sum(found['code']), of('cut', lambda v: v)
    if width > 1200:
        assert sum(found['off']) <= .05*sum(found['said']), of('off', lambda v: v)


# --- The page that trains ---

DRIVE = '''
const root = document.getElementById("watch"), $ = (s, of = root) => of.querySelector(s);
const trained = (n, start) => new Promise(ok => {
  const got = [], hear = e => {
    got.push(e.detail);
    if (got.length < n) return;
    root.removeEventListener("trained", hear);
    ok(got);
  };
  root.addEventListener("trained", hear);
  start();
});
const first = await trained(2, () => $(".both").click());
const again = await trained(1, () => $(".half.b button").click());
const large = $(".large"), box = large.getBoundingClientRect(), number = $(".easel output").textContent;
const at = (x, y) => ({clientX: box.left + 30*x - 15, clientY: box.top + 30*y - 15, pointerId: 1, bubbles: true});
large.setPointerCapture = () => {}; large.hasPointerCapture = () => true;
large.dispatchEvent(new PointerEvent("pointerdown", at(1, 1)));
for (let k = 2; k < 9; k++) large.dispatchEvent(new PointerEvent("pointermove", at(k, k)));
const drawn = $(".easel output").textContent;
$("#watch-ink").value = 0;
const press = key => large.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
["ArrowLeft", "ArrowUp", " "].forEach(press);
const typed = $(".easel output").textContent, where = large.getAttribute("aria-label");
const painted = await trained(1, () => $(".brush .act button").click());
const words = $(".half.b .score").textContent, dotted = root.querySelectorAll("path.before").length;
const back = await trained(1, () => { $(".brush .act button:last-child").click(); $(".brush .act button").click(); });
const bare = [...root.querySelectorAll("select, input, canvas")].filter(e => !e.labels?.length && !e.ariaLabel);
const [methods, counts] = root.querySelectorAll(".half.a select");
const choices = [...methods.options].map(o => o.value), offered = [];
for (const m of choices) for (const n of ["1", "10"]) {
  methods.value = m; counts.value = n; methods.dispatchEvent(new Event("change"));
  offered.push([m, n, $(".half.a .wall").height]);
}
const choose = m => { methods.value = m; methods.dispatchEvent(new Event("change")); };
choose("all");
const wall = $(".half.a .wall"), edge = wall.getBoundingClientRect(), shown = [...$(".easel optgroup").children];
const everything = shown.map(o => o.textContent.at(-1)).join("");
wall.dispatchEvent(new MouseEvent("click", {clientX: edge.left + .35*edge.width, clientY: edge.top + 2}));
const clicked = large.getAttribute("aria-label");
choose("random");
$(".half.a button").click();
large.dispatchEvent(new PointerEvent("pointerdown", at(4, 4)));                       // while the networks train
await trained(1, () => $(".half.a button").click());
const early = $(".half.a .score").textContent;
answer({first, again, painted, back, number, drawn, typed, where, words, dotted, choices, offered, everything, clicked,
  early, bare: bare.map(e => e.outerHTML)});'''


@pytest.fixture(scope='module')
def watched(site):
    "What the page did when it was used, opened from the disk without a server, and its console."
    if CHROMIUM is None:
        pytest.skip('no Chromium on this machine')
    page = ROOT/'_docs'/'howto'/'watch.html'
    return answered(page.with_name('_watch_used.html'), page.read_text(), DRIVE, seconds=240)


def test_the_page_trains(watched):
    "It ends, its console is empty, distilled beats random, and the curves are the stored ones to the last digit."
    said, console = watched
    assert not console, console
    rows = json.loads((ROOT/'bench'/'results'/'browser_scores.json').read_text())['rows']
    both = {r['method']: r for r in said['first']}
    assert set(both) == {'random', 'dc'} and all(r['seconds'] < 120 for r in said['first'])
    for m, r in both.items():
        curves = [[round(p['accuracy'], 4) for p in c] for c in r['curves'].values()]
        stored, = [s for s in rows if (s['row'], s['ipc'], s['labels'], s['seed']) == (m, 1, 'hard', 0)]
        assert curves == stored['curves'], m
    last = {m: [c[-1]['accuracy'] for c in r['curves'].values()] for m, r in both.items()}
    assert len(last['dc']) == 3 and sum(last['dc'])/3 > sum(last['random'])/3 + 5
    assert said['again'][0]['curves'] == both['dc']['curves']


def test_the_page_is_painted_on(watched):
    "By pointer and by keyboard; training again shows the difference, and the image comes back."
    said, _ = watched
    before = next(r for r in said['first'] if r['method'] == 'dc')['curves']
    assert said['drawn'] == '1.00' and said['typed'] == '0.00' and 'row 7, column 7' in said['where']
    assert said['painted'][0]['curves'] != before and said['dotted'] == 1 and 'before painting' in said['words']
    assert said['back'][0]['curves'] == before
    assert 'test digits' in said['early'] and 'before' not in said['early']     # nothing was trained to its end before


def test_all_real_digits_are_shown_in_columns_of_a_class(watched):
    "Ten of each class, where the digits themselves stand class after class."
    said, _ = watched
    assert said['everything'] == ''.join(str(c)*10 for c in range(10)) and 'Image of a 3' in said['clicked']


def test_the_page_offers_every_stored_set(watched):
    "Methods and images per class, each control with a name."
    said, _ = watched
    rows = json.loads((ROOT/'bench'/'results'/'browser_sets.json').read_text())['rows']
    assert set(said['choices']) == {r['row'] for r in rows} | {'all'} and not said['bare'], said['bare']
    there = {(r['row'], str(r['ipc'])) for r in rows}
    heights = {(m, n): h for m, n, h in said['offered'] if (m, n) in there}
    assert set(heights) == there and all(h == int(n)*10 for (_, n), h in heights.items()), heights
