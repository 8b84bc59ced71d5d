"""What Quarto makes of a page's numbered formulas and folded cells, for the preview (tools/preview_docs.py).

A formula with a name, `$$...$$ {#eq-name}`, gets a number, and `@eq-name` in the text becomes a link to it; in code,
where there are no links, `eq-name` becomes `Equation 2`. A cell with `#| code-fold: true` shows its code when asked,
under what `#| code-summary: "Solution"` says.
"""
import re

FORMULA = re.compile(r'\$\$((?:(?!\$\$).)+)\$\$\s*\{#(eq-[\w-]+)\}', re.S)
MENTION = re.compile(r'(?<![\w`])(\[-)?@(eq-\w+(?:-\w+)*)(?(1)\])')
SPOKEN = re.compile(r'(?<![\w@#-])eq-\w+(?:-\w+)*')      # in code
MARK = '# @fold '                # the first line of a cell that is to be folded, on its way through pandoc
SUMMARY = re.compile(r'^#\|\s*code-summary:\s*"(.*)"', re.M)
BLOCK = re.compile(r'(<pre[^>]*>\s*<code[^>]*>)(.*?</code></pre>)', re.S)


def formulas(sources) -> dict: # Name -> number, in the order of the page
    names = [name for s in sources for _, name in FORMULA.findall(s)]
    return {name: k + 1 for k, name in enumerate(names)}


def numbered(text, numbers) -> str:
    "Markdown with its formulas' numbers beside them, and links where they are mentioned."
    text = FORMULA.sub(lambda m: f'<a id="{m[2]}"></a>$${m[1].rstrip()}\\qquad({numbers[m[2]]})$$', text)
    word = lambda m: f'{"" if m[1] else "Equation "}{numbers[m[2]]}'
    return MENTION.sub(lambda m: f'[{word(m)}](#{m[2]})' if m[2] in numbers else m[0], text)


def in_code(text, numbers) -> str:
    "Code, or what was made of it, with the numbers of the formulas that it names."
    return SPOKEN.sub(lambda m: f'Equation {numbers[m[0]]}' if m[0] in numbers else m[0], text)


def marked(nb):
    "The notebook `nb` with numbers in its texts, and a mark in the cells that are to be folded."
    numbers = formulas(c.source for c in nb.cells if c.cell_type == 'markdown')
    for c in nb.cells:
        if c.cell_type == 'markdown':
            c.source = numbered(c.source, numbers)
            continue
        c.source = in_code(c.source, numbers)
        if re.search(r'^#\|\s*code-fold:\s*true\b', c.source, re.M):
            name = SUMMARY.search(c.source)
            c.source = f'{MARK}{name[1] if name else "Code"}\n{c.source}'
    return nb


def folded(page) -> str:
    "The page's HTML with the marked cells folded."
    def one(m):
        line, _, rest = m[2].partition('\n')
        said = re.sub(r'<[^>]+>', '', line)
        if not said.startswith(MARK):
            return m[0]
        return f'<details class="fold"><summary>{said.removeprefix(MARK)}</summary>{m[1]}{rest}</details>'
    return BLOCK.sub(one, page)
