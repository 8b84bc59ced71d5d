"""Render the notebooks to _docs/ with pandoc: a preview for machines without Quarto.

Sidebar and title come from _quarto.yml, mathematics becomes MathML. Quarto's own rendering is the real site.
"""
import html, re, shutil
from pathlib import Path
import nbformat, pypandoc, yaml

root = Path(__file__).parent.parent
site = yaml.safe_load((root/'_quarto.yml').read_text())['website']
src, dst = root/'_proc', root/'_docs'
shutil.rmtree(dst, ignore_errors=True); dst.mkdir()
CSS = '''body{font:16px/1.6 system-ui,sans-serif;margin:0;color:#222;background:#fff}
nav{padding:1rem 1.5rem;background:#f4f6f8;font-size:14px} nav h3{margin:.8em 0 .2em;font-size:13px;color:#667} nav a{display:block;color:#245;text-decoration:none;padding:1px 0} nav a.here{font-weight:700}
main{max-width:52rem;padding:1rem 1.5rem;overflow-wrap:break-word} pre{background:#f6f8fa;padding:.7rem;overflow-x:auto;font-size:13px;line-height:1.45} .output pre{background:#fff;border-left:3px solid #cde}
img{max-width:100%} table{border-collapse:collapse;display:block;overflow-x:auto} td,th{border:1px solid #ddd;padding:.25rem .6rem} blockquote{margin:0;color:#556;font-size:18px}
@media(min-width:900px){body{display:flex} nav{width:15rem;min-height:100vh;flex:none} main{flex:1;min-width:0}}'''


def pages(contents):
    for c in contents:
        if isinstance(c, str): yield None, c
        else:
            for _, p in pages(c['contents']): yield c.get('section'), p

order = list(pages(site['sidebar']['contents']))


def title(path): return nbformat.read(path, 4).cells[0].source.splitlines()[0].lstrip('# ').strip()


def source(path):
    "Where a page comes from: the processed notebook, or the original if nbdev did not copy it."
    return src/path if (src/path).exists() else root/'nbs'/path


titles = {p: re.sub(r'^---.*?title:\s*', '', title(root/'nbs'/p)) for _, p in order}
for _, page in order:
    nb = nbformat.read(source(page), 4)
    cells = []
    for c in nb.cells:
        if c.cell_type == 'code' and re.search(r'^#\|\s*(hide|default_exp)\b', c.source, re.M): continue
        cells.append(c)
        if c.cell_type == 'code':
            # pandoc shows Markdown outputs as objects; as text cells they become tables
            for o in [o for o in c.outputs if 'text/markdown' in o.get('data', {})]:
                c.outputs.remove(o); cells.append(nbformat.v4.new_markdown_cell(''.join(o['data']['text/markdown'])))
            flags = re.findall(r'^#\|\s*(.+)$', c.source, re.M)
            alt = next((f.split(':', 1)[1].strip().strip('"') for f in flags if f.startswith('fig-alt')), None)
            c.source = re.sub(r'^#\|.*\n?', '', c.source, flags=re.M)
            if any(f.replace(' ', '') == 'echo:false' for f in flags): c.source = ''
            c.setdefault('execution_count', None)             # nbdev_clean drops what pandoc insists on
            for o in c.outputs:
                if o.output_type in ('display_data', 'execute_result'): o.setdefault('metadata', {})
                if o.output_type == 'execute_result': o['execution_count'] = 1
                if 'image/png' in o.get('data', {}): o['data'].pop('text/plain', None)
    nb.metadata.setdefault('kernelspec', dict(name='python3', display_name='python3', language='python'))
    nb.cells = [c for c in cells if c.source.strip() or c.get('outputs')]
    depth = '../'*page.count('/')
    tmp = dst/'_tmp.ipynb'; nbformat.write(nb, tmp)
    out = dst/Path(page).with_suffix('.html'); out.parent.mkdir(parents=True, exist_ok=True)
    body = pypandoc.convert_file(str(tmp), 'html', format='ipynb', extra_args=['--mathml', '--syntax-highlighting=none', f'--extract-media={dst}/media/{Path(page).with_suffix("")}'])
    body = re.sub(r'<pre[^>]*><code[^>]*>\s*</code></pre>', '', body)      # cells whose code is not shown
    body = body.replace(f'{dst}/', depth)
    body = re.sub(r'href="([^":#]+)\.ipynb', r'href="\1.html', body)
    nav, last = f'<b>{html.escape(site["title"])}</b>', None
    for sec, p in order:
        if sec != last: nav += f'<h3>{html.escape(sec or "")}</h3>'; last = sec
        nav += f'<a {"class=here " if p == page else ""}href="{depth}{Path(p).with_suffix(".html")}">{html.escape(titles[p])}</a>'
    out.write_text(f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>{html.escape(titles[page])} – {site["title"]}</title>'
                   f'<style>{CSS}</style><body><nav>{nav}</nav><main>{body}</main></body></html>')
    tmp.unlink()
print(f'{len(order)} pages in {dst}')
