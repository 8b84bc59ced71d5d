"""Stored runs, and the tables of them in one form: place -> row -> seed -> score."""
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from verdicts import Outdated, read_outdated, why_outdated

Table = dict[str, dict[str, dict[int, float]]]     # place -> row -> seed -> accuracy in percent
Entry = tuple[str, str, float | None]              # place, row, accuracy in percent


def load_results(path: str | Path) -> dict[str, dict]:
    """All stored runs of the folder bench/results: name -> what the file holds. Each row says how
    strong it is (S, R or M), and one that no longer counts says why under `outdated`."""
    path = Path(path)
    if not path.is_dir():
        wanted = 'expected the folder bench/results of a checkout'
        raise ValueError(f"path: {wanted}, {str(path)!r} is none")
    rules = read_outdated(path/'outdated.json')
    files = [f for f in sorted(path.glob('*.json')) if f.stem != 'outdated']
    found = {f.stem: json.loads(f.read_text()) for f in files}
    for name, content in found.items():
        _mark(name, content, rules)
    choose_rates(found.get('muon_colour', {}).get('rows', []))
    return found


def choose_rates(rows: list[dict]) -> None:
    """Write `chosen` into runs that tried every optimiser at several rates: the accuracy at the rate that is best in
    the mean of the other seeds with these images. A seed's own test images have no say in its rate."""
    for r in rows:
        others = [o['optimizers'] for o in rows
                  if (o['data'], o['row']) == (r['data'], r['row']) and o['seed'] != r['seed']]
        if not others:
            raise ValueError(f"rows: expected several seeds of {r['row']} on {r['data']}, got one")
        means = {o: {rate: fmean(of[o][rate] for of in others) for rate in at} for o, at in r['optimizers'].items()}
        r['chosen'] = {o: at[max(at, key=means[o].get)] for o, at in r['optimizers'].items()}


def _mark(name: str, content: dict, rules: list[Outdated]) -> None:
    """Write `outdated` into a file's rows, and into the file itself if it has none, or if one of
    its rows counts no more; and how strong a row is, where it does not say so itself."""
    made = content.get('made_with', {}).get('time', '')
    rows = content['rows'] if isinstance(content.get('rows'), list) else []
    for r in rows:
        time = r.get('made_with', {}).get('time', made)
        r['outdated'] = why_outdated(name, r, time, rules)
        r.setdefault('strength', STRENGTH.get(name, 'M'))
    whys = dict.fromkeys(r['outdated'] for r in rows if r['outdated'])
    content['outdated'] = '; '.join(whys) if rows else why_outdated(name, content, made, rules)


# --- what a row of each table of runs says: (place, row, score) ---

def _gradient(r: dict) -> Iterator[Entry]:
    yield f"{r['data']}, ipc {r['ipc']}", r['name'], r['mean']


def _statistics(r: dict) -> Iterator[Entry]:
    for k in ('soft', 'hard'):
        yield f"{r['data']}, {k} labels", r['row'], r[f'{k}_mean']


def _statistics_colour(r: dict) -> Iterator[Entry]:
    yield "cifar10 with the paper's networks, soft labels", r['row'], r['soft_mean']


def _ogm(r: dict) -> Iterator[Entry]:
    images = f"{r['data']}, {r['row']} images"
    if r['what'] != 'labels':
        yield images, r['what'], r['hard']
        return
    for k in ('soft', 'hard'):
        yield f"{r['data']}, {k} labels", r['row'], r[k]
    yield images, 'adamw', r['hard']


def _flow(r: dict) -> Iterator[Entry]:
    mean = {k: fmean(v) for k, v in r['accuracy'].items()}
    place, net = f"{r['data']}, ipc {r['ipc']}", r['net']
    yield f'{place}, {net}', r['row'], mean[f'{net} normal']
    yield f'{place}, {net}: flow', r['row'], r['flow_cosine']
    for k, v in mean.items():
        target, mode = k.split()
        yield f"{place}, {r['row']} from {net} on {target}", mode, v


def _labels(r: dict) -> Iterator[Entry]:
    place = f"{r['data']}, {r['row']}"
    for loss, v in r['losses'].items():
        yield place, loss, v
    for optimiser, losses in r.get('optimizers', {}).items():
        for loss, v in losses.items():
            yield f'{place}, {optimiser}', loss, v
    for network, losses in r.get('networks', {}).items():
        for loss, v in losses.items():
            yield f'{place} on {network}', loss, v
    for gamma, v in r.get('gamma', {}).items():
        yield f'{place}, gamma', f'{float(gamma):g}', v


def _protocol(r: dict) -> Iterator[Entry]:
    for loss, v in r['losses'].items():
        yield f"{r['data']}, {r['row']}, as the paper trains", loss, v


def _colour(r: dict) -> Iterator[Entry]:
    for k in ('soft', 'hard'):
        yield f'cifar10 with a trained teacher, {k} labels', r['method'], r[k]


def _gift_colour(r: dict) -> Iterator[Entry]:
    place = f"{r['data']}, {r['row']} with a trained teacher"
    for loss, v in r['losses'].items():
        yield place, loss, v
    for optimiser, losses in r['optimizers'].items():
        for loss, v in losses.items():
            yield f'{place}, {optimiser}', loss, v


def _muon_colour(r: dict) -> Iterator[Entry]:
    for optimiser, v in r['chosen'].items():
        yield f"{r['data']}, {r['row']} images in colour", optimiser, v


def _continual(r: dict) -> Iterator[Entry]:
    "Mean over the steps from two classes on; five steps are every second of ten."
    for loss, v in r['accuracy'].items():
        for n, at in ((5, v[1::2]), (10, v[1:])):
            yield f"{r['data']}, {r['row']}, {n} steps", loss, fmean(at)
            yield f"{r['data']}, {loss}, {n} steps", r['row'], fmean(at)


ENTRIES = dict(gradient_tables=_gradient, statistics_tables=_statistics, ogm_tables=_ogm,
               statistics_colour=_statistics_colour,
               flow_tables=_flow, flow_imagenette=_flow, label_tables=_labels, gift_protocol=_protocol,
               continual=_continual, colour=_colour, gift_colour=_gift_colour,
               muon_colour=_muon_colour)
# of a table's runs; of all others it is M
STRENGTH = dict(colour='R', gift_colour='R', muon_colour='R', statistics_colour='R',
                flow_imagenette='R')


def scores(
    results: dict,           # from `load_results`
    table: str,              # name of a table of runs
    outdated: bool = False,  # the rows that no longer count, instead of those that do
) -> Table:
    "One table of stored runs in a form that claims can be checked on."
    if table not in ENTRIES:
        raise ValueError(f"table: expected one of {', '.join(ENTRIES)}, got {table!r}")
    out: Table = {}
    for r in results.get(table, {}).get('rows', []):
        if bool(r.get('outdated')) != outdated:
            continue
        for place, row, v in ENTRIES[table](r):
            if v is not None:
                out.setdefault(place, {}).setdefault(row, {})[r['seed']] = v
    return out


def merged(new: Table, old: Table) -> Table:
    "Scores of both tables; where both have one, the newer."
    places: Table = {p: {} for p in (*old, *new)}
    for table in (old, new):
        for place, rows in table.items():
            for row, v in rows.items():
                places[place][row] = places[place].get(row, {}) | v
    return places
