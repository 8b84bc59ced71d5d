"""Test every notebook the way nbdev_test does, one per core, and say how long each took. `make test` calls this.

nbdev_test prints nothing until its end, and runs as many threads in each worker as there are cores; here each notebook gets
one thread, which is faster for networks of this size, and a person sees that it lives. At the end: the ten slowest cells, and why.
"""
import json, os, subprocess, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
import yaml

os.chdir(Path(__file__).parent.parent)
cache = tempfile.TemporaryDirectory()       # a fresh one: backbones trained by one notebook serve the next, never the next run
env = {**os.environ, 'DD_LIT_CACHE': cache.name, 'DD_LIT_PROGRESS': '0', 'OMP_NUM_THREADS': '1', 'MPLBACKEND': 'Agg'}
books = sorted((p for p in Path('nbs').rglob('*.ipynb') if not any(s.startswith(('.', '_')) for s in p.parts)), key=lambda p: -p.stat().st_size)


def test(book):
    t = time.perf_counter()
    times = Path(cache.name)/(str(book).replace('/', '_') + '.json')
    r = subprocess.run([sys.executable, 'tools/timed_test.py', str(book), str(times)], capture_output=True, text=True, env=env)
    cells.extend((s, str(book.relative_to('nbs').with_suffix('')), code) for s, code in (json.loads(times.read_text()) if times.exists() else []))
    return book, r.returncode == 0 and 'Success' in r.stdout + r.stderr, time.perf_counter() - t, r


start, failed, cells = time.perf_counter(), [], []
print(f'nbdev_test on {len(books)} notebooks', flush=True)
with ThreadPoolExecutor(os.cpu_count()) as pool:
    for job in as_completed([pool.submit(test, b) for b in books]):
        book, ok, seconds, r = job.result()
        print(f'  {"ok    " if ok else "FAILED"} {seconds:6.1f} s  {book}', flush=True)
        if not ok: failed.append(str(book)); print(r.stdout[-6000:], r.stderr[-6000:], flush=True)
why = yaml.safe_load(Path('tools/slow_cells.yml').read_text())
print('the ten slowest cells:')
for seconds, book, code in sorted(cells, reverse=True)[:10]: print(f'  {seconds:6.1f} s  {book}: {why.get(book, "")}   | {code[:70]}')
print(f'{len(books) - len(failed)} notebooks passed, {len(failed)} failed, in {time.perf_counter() - start:.0f} s', flush=True)
sys.exit(f'failed: {", ".join(failed)}' if failed else 0)
