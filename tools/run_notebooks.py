"""Run notebooks in place, each in its own folder and kernel, and write their outputs back. `make notebooks` calls this.

    python tools/run_notebooks.py nbs/00_core.ipynb ...
"""
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

os.environ.setdefault('DD_LIT_PROGRESS', '0')   # no progress bars in committed outputs
os.environ.pop('MPLBACKEND', None)              # figures go into the page, also where make says Agg
os.environ['MATPLOTLIBRC'] = str(Path(__file__).resolve().parent.parent/'nbs'/'matplotlibrc')   # their colours
failed = []
for name in sys.argv[1:]:
    path, t = Path(name), time.perf_counter()
    nb = nbformat.read(path, 4)
    try:
        where = dict(metadata=dict(path=str(path.parent)))
        NotebookClient(nb, timeout=3600, kernel_name='python3', resources=where).execute()
    except Exception as e:
        failed.append(name)
        print(f'{name}: {str(e)[-3000:]}')
    else:
        tmp = path.with_suffix('.ipynb.tmp')
        nbformat.write(nb, tmp)
        os.replace(tmp, path)
    print(f'{time.perf_counter() - t:6.1f} s  {name}', flush=True)
sys.exit(f'failed: {failed}' if failed else 0)
