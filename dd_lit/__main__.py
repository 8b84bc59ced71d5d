"`python -m dd_lit` is `dd_lit`. The only module not exported from a notebook: nbdev keeps `__init__` and `__main__` to hand-writing."
import sys
from dd_lit.cli import main

if __name__ == '__main__': sys.exit(main())
