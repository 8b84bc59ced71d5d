"""Write README.md from nbs/index.ipynb: text, code, printed output, and pictures as nbs/images/index_N.png.

nbdev's own `nbdev_readme` needs Quarto; this does the same for the one page that must read well on a repository's
front.
"""
import base64
import re
from pathlib import Path

import nbformat

root = Path(__file__).parent.parent
nb = nbformat.read(root/'nbs'/'index.ipynb', 4)
out, pics = [], []

def from_root(text: str) -> str:
    "Links between notebooks are relative to nbs/."
    return re.sub(r'\]\((?!https?:|#|\.\./)([^)]+)\)', r'](nbs/\1)', text).replace('](../', '](')

for c in nb.cells:
    if c.cell_type == 'markdown':
        out.append(from_root(c.source))
        continue
    if c.cell_type != 'code':
        continue
    flags = re.findall(r'^#\|\s*(.+)$', c.source, re.M)
    if 'hide' in flags:
        continue
    src = re.sub(r'^#\|.*\n?', '', c.source, flags=re.M).strip()
    if src and not any(f.replace(' ', '') == 'echo:false' for f in flags):
        out.append(f'```python\n{src}\n```')
    alt = next((f.split(':', 1)[1].strip().strip('"') for f in flags if f.startswith('fig-alt:')), 'output')
    for o in c.outputs:
        data = o.get('data', {})
        if 'image/png' in data:
            name = f'index_{len(pics)}.png'
            pics.append((name, base64.b64decode(data['image/png'])))
            out.append(f'![{alt}](nbs/images/{name})')
        elif 'text/markdown' in data:
            out.append(from_root(''.join(data['text/markdown']).strip()))
        elif 'text/plain' in data:
            out.append('    ' + ''.join(data['text/plain']).strip().replace('\n', '\n    '))
        elif o.output_type == 'stream' and o.name == 'stdout':
            out.append('    ' + ''.join(o.text).strip().replace('\n', '\n    '))
(root/'nbs'/'images').mkdir(exist_ok=True)
for old in (root/'nbs'/'images').glob('index_*.png'):
    old.unlink()
for name, data in pics:
    (root/'nbs'/'images'/name).write_bytes(data)
(root/'README.md').write_text('<!-- made from nbs/index.ipynb by `make readme` -->\n\n' + '\n\n'.join(out) + '\n')
