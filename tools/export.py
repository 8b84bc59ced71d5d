"""Write dd_lit/ from the notebooks: nbdev_export, and `__all__` wrapped so that no line is longer than 120.

    python tools/export.py        # `make export`

nbdev wraps the list at 120 and then puts `__all__ = ` in front of it.
"""
import re
import textwrap
from pathlib import Path

from nbdev.doclinks import nbdev_export

ALL = re.compile(r"^__all__ = \[.*?\]$", re.M | re.S)


def wrapped(text: str, width: int = 120) -> str:
    "The list of names with a line break where it is needed."
    names = ' '.join(text.split())
    return '\n'.join(textwrap.wrap(names, width, subsequent_indent=' '*11, break_long_words=False))


def main():
    nbdev_export()
    for f in sorted(Path('dd_lit').rglob('*.py')):
        old = f.read_text()
        new = ALL.sub(lambda m: wrapped(m[0]), old, count=1)
        if new != old:
            f.write_text(new)


if __name__ == '__main__':
    main()
