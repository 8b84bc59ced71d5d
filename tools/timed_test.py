"""`nbdev_test` on one notebook, with the seconds of every cell: python tools/timed_test.py nbs/x.ipynb"""
import json
import os
import sys
import time

from execnb.shell import CaptureShell
from nbdev.test import nbdev_test

def timed_test(book, times):
    "Run the notebook's tests in this process and write [(seconds, first line of the cell), ...] to the file `times`."
    out, plain = [], CaptureShell.cell

    def cell(self, c, *args, **kw):
        t = time.perf_counter()
        try:
            return plain(self, c, *args, **kw)
        finally:
            code = [l for l in c.source.splitlines() if l.strip() and not l.startswith('#|')]
            if c.cell_type == 'code' and code:
                out.append((round(time.perf_counter() - t, 2), code[0].strip()))

    CaptureShell.cell = cell
    try:
        nbdev_test(path=book, n_workers=0)
    finally:
        open(times, 'w').write(json.dumps(out))


def quietly(book, times, said, cache):
    """The same with everything that it and its children print in the file `said`, and trained networks in the folder
    `cache`. For a process that does nothing else."""
    os.environ['DD_LIT_CACHE'] = cache
    fd = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    timed_test(book, times)


if __name__ == '__main__':
    timed_test(sys.argv[1], os.devnull)
