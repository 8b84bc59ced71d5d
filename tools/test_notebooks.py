"""Test every notebook (or those named) the way nbdev_test does, one per core, and say how long each took. `make test` calls this.

nbdev_test prints nothing until its end, and runs as many threads in each worker as there are cores; here each notebook gets
one thread, which is faster for networks of this size, and a person sees that it lives. Each notebook has a process of its own,
forked from one that has imported torch and the other libraries already, since that alone takes several seconds each time.
At the end: the ten slowest cells, and why.
"""
import json, multiprocessing, os, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
import yaml

# what the notebooks import from others; torch.optim imports torch._dynamo at its first use. Not dd_lit: every notebook imports it itself
LIBRARIES = ['torch', 'torch._dynamo', 'torchvision', 'sklearn.datasets', 'sklearn.manifold', 'matplotlib.pyplot', 'IPython.display', 'fastcore.test', 'tqdm.auto', 'timed_test']


def main():
    os.chdir(Path(__file__).parent.parent)
    cache = tempfile.TemporaryDirectory()       # a fresh one: backbones trained by one notebook serve the next, never the next run
    os.environ.update(DD_LIT_CACHE=cache.name, DD_LIT_PROGRESS='0', OMP_NUM_THREADS='1', MPLBACKEND='Agg')
    books = [Path(a) for a in sys.argv[1:]] or sorted((p for p in Path('nbs').rglob('*.ipynb') if not any(s.startswith(('.', '_')) for s in p.parts)), key=lambda p: -p.stat().st_size)
    server = multiprocessing.get_context('forkserver')
    server.set_forkserver_preload(LIBRARIES)
    from timed_test import quietly

    def test(book):
        t = time.perf_counter()
        base = Path(cache.name)/str(book).replace('/', '_')
        times, said = base.with_suffix('.json'), base.with_suffix('.txt')
        p = server.Process(target=quietly, args=(str(book), str(times), str(said)))
        p.start()
        p.join()
        text = said.read_text() if said.exists() else ''
        cells.extend((s, str(book.relative_to('nbs').with_suffix('')), code) for s, code in (json.loads(times.read_text()) if times.exists() else []))
        return book, p.exitcode == 0 and 'Success' in text, time.perf_counter() - t, text

    start, failed, cells = time.perf_counter(), [], []
    print(f'nbdev_test on {len(books)} notebooks', flush=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for job in as_completed([pool.submit(test, b) for b in books]):
            book, ok, seconds, text = job.result()
            print(f'  {"ok    " if ok else "FAILED"} {seconds:6.1f} s  {book}', flush=True)
            if not ok:
                failed.append(str(book))
                print(text[-12000:], flush=True)
    why = yaml.safe_load(Path('tools/slow_cells.yml').read_text())
    print('the ten slowest cells:')
    for seconds, book, code in sorted(cells, reverse=True)[:10]:
        print(f'  {seconds:6.1f} s  {book}: {why.get(book, "")}   | {code[:70]}')
    print(f'{len(books) - len(failed)} notebooks passed, {len(failed)} failed, in {time.perf_counter() - start:.0f} s', flush=True)
    sys.exit(f'failed: {", ".join(failed)}' if failed else 0)


if __name__ == '__main__':
    main()
