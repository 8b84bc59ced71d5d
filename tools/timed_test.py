"""`nbdev_test` on one notebook, writing the seconds of every cell to a file: python tools/timed_test.py nbs/x.ipynb times.json"""
import json, sys, time
from execnb.shell import CaptureShell
from nbdev.test import nbdev_test

book, out = sys.argv[1:]; times, plain = [], CaptureShell.cell


def cell(self, c, *args, **kw):
    t = time.perf_counter()
    try: return plain(self, c, *args, **kw)
    finally:
        code = [l for l in c.source.splitlines() if l.strip() and not l.startswith('#|')]
        if c.cell_type == 'code' and code: times.append((round(time.perf_counter() - t, 2), code[0].strip()))


CaptureShell.cell = cell
try: nbdev_test(path=book, n_workers=0)
finally: open(out, 'w').write(json.dumps(times))
