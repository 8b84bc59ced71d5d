"""Test every notebook the way nbdev_test does, and say how long each took. `make test` calls this.

nbdev_test prints nothing until the end; on a machine with two cores a person wants to see that it lives.
"""
import os, subprocess, sys, time
from pathlib import Path

root, slow = Path(__file__).parent.parent, []
os.chdir(root)
os.environ['DD_LIT_PROGRESS'] = '0'
books = sorted(p for p in Path('nbs').rglob('*.ipynb') if not any(s.startswith(('.', '_')) for s in p.parts))
print(f'nbdev_test on {len(books)} notebooks', flush=True)
for b in books:
    t = time.perf_counter()
    r = subprocess.run(['nbdev_test', '--path', str(b), '--n_workers', '0', '--do_print'], capture_output=True, text=True)
    dt = time.perf_counter() - t
    ok = r.returncode == 0 and 'Success' in r.stdout + r.stderr
    print(f'  {"ok    " if ok else "FAILED"} {dt:6.1f} s  {b}', flush=True)
    if not ok: print(r.stdout[-6000:], r.stderr[-6000:]); sys.exit(f'{b} failed')
    slow.append((dt, b))
print(f'{len(books)} notebooks passed in {sum(t for t, _ in slow):.0f} s')
