"""Test every notebook (or those named) the way nbdev_test does, one per core, and say how long each took.

    python tools/test_notebooks.py                    # all; `make test` calls this
    python tools/test_notebooks.py nbs/07_train.ipynb # those named
    python tools/test_notebooks.py --changed 90       # those that a change touches, none started after 90 seconds
    python tools/test_notebooks.py --alone            # all, each with an empty cache: none lives on another's networks

nbdev_test prints nothing until its end, and runs as many threads in each worker as there are cores; here each notebook
gets one thread, which is faster for networks of this size, and a person sees that it lives. Each notebook has a process
of its own, forked from one that has imported torch and the other libraries already, since that alone takes several
seconds each time. At the end: the ten slowest cells, and why.
"""
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import yaml
from changed import books, touched
from timed_test import quietly

# what the notebooks import from others; torch.optim imports torch._dynamo at its first use. Not dd_lit: every notebook
# imports it itself
LIBRARIES = ['torch', 'torch._dynamo', 'torchvision', 'sklearn.datasets', 'sklearn.manifold', 'matplotlib.pyplot',
             'IPython.display', 'fastcore.test', 'tqdm.auto', 'timed_test']
HERE = Path(__file__).parent.parent


class Run:
    "Notebooks under test, one process each: who passed, how long each cell took."
    def __init__(self, cache, seconds=float('inf'), alone=False):
        self.cache, self.seconds, self.alone, self.start = Path(cache), seconds, alone, time.perf_counter()
        self.failed, self.left, self.cells = [], [], []
        self.server = multiprocessing.get_context('forkserver')
        self.server.set_forkserver_preload(LIBRARIES)

    def spent(self):
        return time.perf_counter() - self.start

    def test(self, book):
        "One notebook: whether it passed (None: there was no time for it), its seconds, what it printed."
        if self.spent() > self.seconds:
            return book, None, 0, ''
        t, base = time.perf_counter(), self.cache/str(book).replace('/', '_')
        times, said = base.with_suffix('.json'), base.with_suffix('.txt')
        own = str(base) if self.alone else str(self.cache)
        p = self.server.Process(target=quietly, args=(str(book), str(times), str(said), own))
        p.start()
        p.join()
        if self.alone:
            shutil.rmtree(own, ignore_errors=True)
        text = said.read_text() if said.exists() else ''
        name = str(book.relative_to('nbs').with_suffix(''))
        self.cells += [(s, name, code) for s, code in (json.loads(times.read_text()) if times.exists() else [])]
        return book, p.exitcode == 0 and 'Success' in text, time.perf_counter() - t, text

    def all(self, todo):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for job in as_completed([pool.submit(self.test, b) for b in todo]):
                book, ok, seconds, text = job.result()
                if ok is None:
                    self.left.append(str(book))
                    continue
                print(f'  {"ok    " if ok else "FAILED"} {seconds:6.1f} s  {book}', flush=True)
                if not ok:
                    self.failed.append(str(book))
                    print(text[-12000:], flush=True)

    def slowest(self, n=10):
        why = yaml.safe_load((HERE/'tools'/'slow_cells.yml').read_text())
        print('the ten slowest cells:')
        for seconds, book, code in sorted(self.cells, reverse=True)[:n]:
            print(f'  {seconds:6.1f} s  {book}: {why.get(book, "")}   | {code[:70]}')


def main(args):
    os.chdir(HERE)
    # a fresh one: networks trained by one notebook serve the next, never the next run
    cache = tempfile.TemporaryDirectory()
    os.environ.update(DD_LIT_CACHE=cache.name, DD_LIT_PROGRESS='0', OMP_NUM_THREADS='1', MPLBACKEND='Agg')
    some, alone = args[:1] == ['--changed'], args[:1] == ['--alone']
    if some:
        todo = touched()
    else:
        todo = [Path(a) for a in args[alone:]] or sorted(books(), key=lambda p: -p.stat().st_size)
    run = Run(cache.name, float(args[1]) if some and args[1:] else float('inf'), alone)
    print(f'nbdev_test on {len(todo)} notebooks', flush=True)
    run.all(todo)
    if not some:
        run.slowest()
    if run.left:
        print(f'no time for {len(run.left)} more that read what has changed: {", ".join(sorted(run.left))}')
    good = len(todo) - len(run.failed) - len(run.left)
    print(f'{good} notebooks passed, {len(run.failed)} failed, in {run.spent():.0f} s', flush=True)
    sys.exit(f'failed: {", ".join(run.failed)}' if run.failed else 0)


if __name__ == '__main__':
    main(sys.argv[1:])
