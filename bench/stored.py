"""The sets that come with the package: dd_lit/stored/DATA/METHOD/ipcN.safetensors, scores inside.

    python bench/stored.py            # from runs/colour/sets and runs/reproduce, with the scores of results/

A set of seed 0 is kept as `bench/colour.py` made and scored it, eight bits a pixel; the scores are the means over that
table's seeds. Of what `dd_lit reproduce` made, the first set of each row is kept, number by number: it was scored with
pixels that no screen shows. What a set says of its making stays, but for folders of the machine that made it. A set
that comes with the package already and lies in no folder here keeps its images, and gets the scores of today's table.
"""
import argparse
import json
import os
import sys
from pathlib import Path

from dd_lit.core import progress
from dd_lit.evaluate import mean_std
from dd_lit.sets import DistilledSet, load_set, pack_set
from harness import RESULTS, typed
from photographs import kept_at

STORED = Path(__file__).parent.parent/'dd_lit'/'stored'
CHOSEN = ('random', 'herding', 'k_center', 'forgetting')            # methods that make no image
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


def spread(rows: list[dict]) -> dict[str, list[float]]:
    "Lowest and highest by kind of label; nothing for one row."
    ends = lambda k: [round(f(r[k] for r in rows), 2) for f in (min, max)]
    return {name: ends(k) for name, k in ((HARD, 'hard'), (SOFT, 'soft'))} if len(rows) > 1 else {}


def scored(row: dict) -> dict:
    "What a set of `dd_lit reproduce` says of its scores: those of its own networks."
    own = row['top1'][0]
    told = dict(networks=len(own), command=row['command'], table='bench/results/reproduced.json')
    return dict(scores={HARD: round(mean_std(own)[0], 2)}, scored_with=told)


def packed(ds: DistilledSet, scores: dict, folder: str) -> DistilledSet:
    "The set with its scores."
    about = {k: ds.meta[k] for k in KEPT if k in ds.meta}
    about['seconds'] = ds.meta.get('processor_seconds', about['seconds'])
    if 'command' in about.get('made_with', {}):
        about['made_with'] = about['made_with'] | dict(command=typed(about['made_with']['command']))
    about |= scores
    return DistilledSet(ds.images, ds.labels, ds.norm, ds.classes, patches=ds.patches, meta=portable(about, folder))


def by_set(rows: list[dict]) -> dict[tuple, list[dict]]:
    "Rows of a table by (method, images per class)."
    out: dict[tuple, list[dict]] = {}
    for r in rows:
        out.setdefault((r['method'], r['ipc']), []).append(r)
    return out


def check_made_so(ds: DistilledSet, settings: dict, file: Path) -> None:
    "Was the set made with the numbers of these settings? What is packed again is no other set than was scored."
    had = {k: ds.meta['config'].get(k) for k, v in settings.items() if isinstance(v, (int, float))}
    if odd := [f'{k}={v}, not {settings[k]}' for k, v in had.items() if v != settings[k]]:
        raise ValueError(f"{ds.meta['method']}: the set there is was made with {', '.join(odd)}; {file} is missing")


def of_colour(sets: Path, folder: str) -> None:
    "Pack the first set of each row of the table in colour."
    table = json.loads((RESULTS/'colour.json').read_text())
    for (method, ipc), own in progress(list(by_set(table['rows']).items()), 'packing'):
        made = kept_at(method, ipc, 0, sets)
        ds = load_set(made if made.is_file() else f'cifar10/{method}/ipc{ipc}')
        check_made_so(ds, table['methods'][method], made)
        with_what = dict(table['student'], seeds=len(own), table='bench/results/colour.json')
        with_what |= dict(spread=spread(own)) if spread(own) else {}
        told = packed(ds, dict(scores=means(own), scored_with=with_what), folder)
        pack_set(told, STORED/'cifar10'/method/f'ipc{ipc}.safetensors')


def of_recipes(runs: Path, folder: str) -> None:
    """Pack the first set of each row of a paper's table, where images were made and not chosen. A name that a set
    of the table in colour has is taken: that table compares its sets, which one of another recipe would spoil."""
    taken = set(by_set(json.loads((RESULTS/'colour.json').read_text())['rows']))
    for row in json.loads((RESULTS/'reproduced.json').read_text())['rows']:
        compared = row['data'] == 'cifar10' and (row['method'], row['ipc']) in taken
        if compared or row['method'] in CHOSEN or not (runs/row['folder']).is_dir():
            continue
        told = packed(load_set(runs/row['folder']/'set0'), scored(row), folder)
        pack_set(told, STORED/row['data']/row['method']/f"ipc{row['ipc']}.safetensors", exact=True)


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('--sets', default='runs/colour/sets', type=Path)
    ap.add_argument('--recipes', default='runs/reproduce', type=Path)
    a, folder = ap.parse_args(), os.environ['DD_LIT_DATA']
    of_colour(a.sets, folder)
    of_recipes(a.recipes, folder)
    files = list(STORED.rglob('*.safetensors'))
    print(f'{len(files)} sets, {sum(f.stat().st_size for f in files)/1e6:.2f} MB')


if __name__ == '__main__':
    sys.exit(main())
