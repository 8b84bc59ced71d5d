"""`python -m dd_lit` is `dd_lit`.

Beside `__init__` the only module that is not exported from a notebook: nbdev leaves these two to hand-writing.
"""
import sys

from dd_lit.cli import main

if __name__ == '__main__':
    sys.exit(main())
