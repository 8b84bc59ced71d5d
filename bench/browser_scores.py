"""What the page's own network reaches on the page's sets, in JavaScript: three networks on each, with hard
labels, and with soft ones on the first draw.

    python bench/browser_scores.py            # needs node; runs are kept under runs/browser_scores
    python bench/browser_scores.py --merge    # -> bench/results/browser_scores.json

The curves are those that a browser draws: nbs/watch/net.js runs as it is.
"""
import json
import subprocess
import sys
from functools import lru_cache

import torch

from browser import classes, digits, normal, page_rows, pixels, soft_labels
from harness import RESULTS, run_table

NET = RESULTS.parent.parent/'nbs'/'watch'/'net.js'
NETWORKS = [0, 1, 2]      # their seeds, as on the page
PROGRAM = f'''const net = require({json.dumps(str(NET))})();
const job = JSON.parse(require("fs").readFileSync(0)), news = [];
for (const k of ["images", "labels", "testImages"]) job[k] = Float64Array.from(job[k]);
net.work(job, m => news.push(m));
console.log(JSON.stringify(news));'''


@lru_cache
def version() -> str:
    return subprocess.run(['node', '--version'], check=True, capture_output=True, text=True).stdout.strip()


def trained(images: torch.Tensor, labels: torch.Tensor) -> dict[int, list[float]]:
    "Accuracies of the networks while they train: seed -> a number for every look."
    d, flat = digits(), lambda x: x.flatten().tolist()
    job = dict(images=flat(normal(images)), labels=flat(labels), testImages=flat(normal(d.test_x.double()/255)),
               testClasses=d.test_y.tolist(), seeds=NETWORKS)
    r = subprocess.run(['node', '-e', PROGRAM], input=json.dumps(job), check=True, capture_output=True, text=True)
    news = json.loads(r.stdout)
    return {k: [m['accuracy'] for m in news if m.get('seed') == k] for k in NETWORKS}


def run(data: str, row: str, ipc: int, labels: str, seed: int) -> dict:
    if row == 'all':
        d = digits()
        images, given = d.train_x.double()/255, torch.eye(10).double()[d.train_y]
    else:
        r = next(r for r in page_rows() if (r['row'], r['ipc'], r['seed']) == (row, ipc, seed))
        images = pixels(r)
        given = soft_labels(r) if labels == 'soft' else torch.eye(10).double()[classes(r)]
    curves = trained(images, given)
    return dict(top1=[c[-1] for c in curves.values()], curves=[[round(v, 4) for v in c] for c in curves.values()],
                node=version())


def tasks(data, seeds) -> list[dict]:
    "Hard labels first, and first of all those that the page begins with."
    kinds = [(r['row'], r['ipc'], k, r['seed']) for r in page_rows() for k in ('hard', 'soft')
             if r['seed'] in seeds and (k == 'hard' or r['seed'] == 0)] + [('all', 0, 'hard', 0)]
    kinds.sort(key=lambda t: (t[0] not in ('random', 'dc', 'all') or t[2] == 'soft', t[2] == 'soft', t[3]))
    return [dict(data=d, row=m, ipc=n, labels=k, seed=s) for d in data for m, n, k, s in kinds]


if __name__ == '__main__':
    sys.exit(run_table('browser_scores', "The page's own network on the page's sets, in JavaScript", tasks, run,
                       data=('digits',), networks=NETWORKS))
