"""The sets that come with the package: dd_lit/stored/DATA/METHOD/ipcN.safetensors, eight bits a pixel, scores inside.

    python bench/stored.py            # from runs/colour/sets and results/colour.json

A set of seed 0 is kept as `bench/colour.py` made and scored it; the scores are the means over that table's seeds. What
a set says of its making stays, but for folders of the machine that made it.
"""
import argparse
import json
import os
import sys
from pathlib import Path

from dd_lit.core import progress
from dd_lit.evaluate import mean_std
from dd_lit.sets import DistilledSet, load_set, pack_set
from harness import RESULTS

STORED = Path(__file__).parent.parent/'dd_lit'/'stored'
HARD, SOFT = 'hard labels', "a teacher's labels"                    # what scores are called in a set
KEPT = ('method', 'data', 'ipc', 'seed', 'config', 'iterations', 'seconds', 'data_fingerprint', 'made_with')


def portable(o, folder: str):
    "A description without the folder of the data."
    if isinstance(o, dict):
        return {k: portable(v, folder) for k, v in o.items()}
    if isinstance(o, (list, tuple)):
        return [portable(v, folder) for v in o]
    return o.replace(folder, '$DD_LIT_DATA') if isinstance(o, str) else o


def means(rows: list[dict]) -> dict[str, float]:
    "Percent by kind of label."
    return {name: round(mean_std([r[k] for r in rows])[0], 2) for name, k in ((HARD, 'hard'), (SOFT, 'soft'))}


def packed(ds: DistilledSet, rows: list[dict], student: dict, folder: str) -> DistilledSet:
    "The set with its scores."
    about = {k: ds.meta[k] for k in KEPT if k in ds.meta}
    about['seconds'] = ds.meta.get('processor_seconds', about['seconds'])
    about |= dict(scores=means(rows), scored_with=dict(student, seeds=len(rows), table='bench/results/colour.json'))
    return DistilledSet(ds.images, ds.labels, ds.norm, ds.classes, patches=ds.patches, meta=portable(about, folder))


def by_set(rows: list[dict]) -> dict[tuple, list[dict]]:
    "Rows of a table by (method, images per class)."
    out: dict[tuple, list[dict]] = {}
    for r in rows:
        out.setdefault((r['method'], r['ipc']), []).append(r)
    return out


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('--sets', default='runs/colour/sets')
    a = ap.parse_args()
    table = json.loads((RESULTS/'colour.json').read_text())
    for (method, ipc), own in progress(list(by_set(table['rows']).items()), 'packing'):
        ds = load_set(Path(a.sets)/f'{method}_ipc{ipc}_seed0.safetensors')
        told = packed(ds, own, table['student'], os.environ['DD_LIT_DATA'])
        pack_set(told, STORED/'cifar10'/method/f'ipc{ipc}.safetensors')
    files = list(STORED.rglob('*.safetensors'))
    print(f'{len(files)} sets, {sum(f.stat().st_size for f in files)/1e6:.2f} MB')


if __name__ == '__main__':
    sys.exit(main())
