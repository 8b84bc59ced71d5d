"""Rows of the papers' tables that `dd_lit reproduce` has run, collected into one file.

    dd_lit reproduce cifar10/random/ipc1 --out runs/reproduce   # goes on after an interruption
    python bench/reproduced.py --runs runs/reproduce            # -> bench/results/reproduced.json

Every row carries the command that makes it again. Rows that are there stay, unless the same run is found again.
"""
import argparse
import json
from pathlib import Path

from dd_lit.core import atomic_write
from dd_lit.reproduce import command_for, get_recipe, load_recipes

FILE = Path(__file__).parent/'results'/'reproduced.json'
KEPT = ('settings', 'scale', 'mean', 'interval', 'strength', 'substitutes', 'verdict', 'seconds', 'made_with')
OF_RECIPE = ('name', 'paper', 'table', 'row', 'data', 'method', 'ipc', 'published', 'deviation', 'sets', 'networks')


def losses(folder: Path) -> dict:
    """The loss of each iteration that made the first set, to a hundredth, or of every second, third, ... if they are
    more than a thousand; nothing where images were chosen."""
    file = folder/'set0'/'history.json'
    found = [round(h['loss'], 2) for h in json.loads(file.read_text()) if 'loss' in h] if file.is_file() else []
    every = -(-len(found)//1000)
    return {} if len(found) < 2 else dict(loss=found[::every]) | (dict(loss_every=every) if every > 1 else {})


def name_of(file: Path) -> str:
    "Whose result that is."
    return json.loads(file.read_text())['recipe']['name']


def row(file: Path) -> dict:
    "What is kept of a result.json: of the recipe what names it; accuracies to a hundredth of a point."
    o = json.loads(file.read_text())
    of = {k: o['recipe'][k] for k in OF_RECIPE}
    if get_recipe(of['name']).published != of['published']:
        raise ValueError(f"{file}: the recipe says {get_recipe(of['name']).published} today, "
                         f"the result {of['published']}")
    top1 = [[round(v, 2) for v in networks] for networks in o['top1']]
    made = o['made_with'] | dict(command=command_for(o))
    return dict(folder=file.parent.name, command=command_for(o)) | of | {k: o[k] for k in KEPT} | dict(
        top1=top1, made_with=made) | losses(file.parent)


def with_substitutes(r: dict) -> dict:
    "A row, with what its recipe names as substitutes today: some were found out after the run."
    words = [*dict.fromkeys([*r['substitutes'], *get_recipe(r['name']).substitutes])]
    return r | dict(substitutes=words, strength='R' if words and r['strength'] == 'S' else r['strength'])


def collect(runs: Path) -> list[dict]:
    "All rows: those of the file, and over them those of the folder."
    old = json.loads(FILE.read_text())['rows'] if FILE.exists() else []
    made = [f for f in sorted(runs.glob('*/result*.json')) if name_of(f) in load_recipes()]
    new = [row(f) for f in made]                             # what other benchmarks changed in a recipe is theirs
    rows = {(r['folder'], r['command']): r for r in [*old, *new]}
    return [with_substitutes(rows[k]) for k in sorted(rows)]


if __name__ == '__main__':
    ap = argparse.ArgumentParser()
    ap.add_argument('--runs', type=Path, default='runs/reproduce')
    found = collect(ap.parse_args().runs)
    what = "rows of the papers' tables, run by dd_lit reproduce"
    atomic_write(FILE, json.dumps(dict(what=what, rows=found), indent=0))
    print(len(found), 'rows')
