"""What every table of runs needs: share the work, keep each finished run, never repeat one, collect them into one JSON.

A run counts as finished if it has a file under runs/ or a row in results/<name>.json that is not out of date (see
results/outdated.json), so a fresh clone continues where the committed table ends. `--merge` adds the new files to the
table and loses none of its rows; it refuses runs of two budgets in one table.
"""
import argparse
import json
import re
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from dd_lit.core import atomic_write, counted, progress, provenance
from verdicts import read_outdated, why_outdated

RESULTS = Path(__file__).parent/'results'


def git(*args: str) -> str:
    "What a git command in this checkout prints."
    done = subprocess.run(['git', '-C', str(RESULTS), *args], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def state_of_code() -> str | None:
    """The commit of this checkout, with a + if dd_lit or bench differ from it; None outside git.
    Rows of one table should agree."""
    try:
        changed = git('status', '--porcelain', '--', ':/dd_lit', ':/bench/*.py')
        return git('rev-parse', '--short', 'HEAD') + ('+' if changed else '')
    except (OSError, subprocess.CalledProcessError):
        return None


def typed(command: str) -> str:
    "A command as anybody can type it at the top of a checkout: no folder of the machine that ran it."
    words = shlex.split(command)
    if words and (RESULTS.parent/words[0]).is_file():
        words = ['python', f'bench/{words[0]}', *words[1:]]
    elsewhere = lambda word: word.rpartition('=')[2].startswith('/')
    kept, words = [], [w for w in words if not (w.startswith('--') and elsewhere(w))]
    for word in words:
        option = kept and kept[-1].startswith('--')
        if option and (kept[-1] == '--runs' or elsewhere(word)):
            kept.pop()
        else:
            kept.append(word)
    return shlex.join(kept)


def made_with(**more) -> dict:
    "What `provenance` says of a run, its command as anybody can type it."
    made = provenance()
    return made | dict(command=typed(made['command'])) | more


def file_name(task: dict) -> str:
    "The name of a run: the values of its task."
    values = (f'{k}{v}' if k == 'seed' else str(v) for k, v in task.items())
    return re.sub(r'[^\w.-]+', '_', '_'.join(values))


def own(budget, row: dict):
    "Of a budget that lists settings by method, or by data, what concerns this row."
    named = [v for v in row.values() if isinstance(v, str) and v in budget] if isinstance(budget, dict) else []
    return budget[named[0]] if named else budget


@dataclass
class Table:
    "A table of runs: its finished ones are in its file, or in a folder until they are merged."
    name: str        # results/<name>.json
    runs: Path       # folder
    keys: list[str]  # of a task; their values name the run

    @property
    def file(self) -> Path:
        return RESULTS/f'{self.name}.json'

    def key(self, row: dict) -> str:
        return file_name({k: row[k] for k in self.keys})

    def rows(self) -> dict[str, dict]:
        "Runs by name: those of the folder, and (before them) those of the file."
        old = json.loads(self.file.read_text())['rows'] if self.file.exists() else []
        return {self.key(r): r for r in old} | {f.stem: json.loads(f.read_text()) for f in self.runs.glob('*.json')}

    def finished(self, again: bool) -> set[str]:
        "Names of the runs that need not be made: those that are not out of date; `again`: only those of the folder."
        rules = read_outdated(RESULTS/'outdated.json')
        if again:
            return {f.stem for f in self.runs.glob('*.json')}
        made = {k: r.get('made_with', {}).get('time', '') for k, r in self.rows().items()}
        return {k for k, r in self.rows().items() if not why_outdated(self.name, r, made[k], rules)}

    def merge(self, what: str, about: dict) -> int:
        "Write all finished runs to the file; returns how many. ValueError for a run of another budget."
        found = self.rows()
        self._check_budgets(found, about)
        now = json.loads(json.dumps(about))
        same = lambda r: ('about',) if r['about'].keys() == now.keys() else ()   # the head of the file says it for them
        rows = [{k: v for k, v in found[n].items() if k not in same(found[n])} for n in sorted(found)]
        for made in (r['made_with'] for r in rows if 'command' in r.get('made_with', {})):
            made['command'] = typed(made['command'])
        atomic_write(self.file, json.dumps(dict(what=what, **about, rows=rows), indent=0))
        return len(found)

    def _check_budgets(self, found: dict[str, dict], about: dict) -> None:
        """Were all of these runs made with the budget of today? Rows from before rows said it have the head of
        their file, and keep it; of settings that were not written down in those days, nothing is known."""
        now = json.loads(json.dumps(about))
        head = json.loads(self.file.read_text()) if self.file.exists() else {}
        head = {k: v for k, v in head.items() if k not in ('what', 'rows')}
        for name, r in found.items():
            then = r.setdefault('about', head)
            odd = next((k for k in then if own(then[k], r) != own(now.get(k), r)), None)
            if odd is not None:
                raise ValueError(f"{self.file.name}: {name} was made with {odd} = {own(then[odd], r)}, now it is "
                                 f"{own(now.get(odd), r)}; make it again (--again), or a table of another name")

    def make(self, task: dict, run: Callable, commit: str | None, since: float, about: dict) -> None:
        "Do one run, and keep it in the folder, with the budget."
        f, t = self.runs/f'{self.key(task)}.json', time.perf_counter()
        out = run(**task)
        made = dict(seconds=round(time.perf_counter() - t, 1), made_with=made_with(commit=commit))
        atomic_write(f, json.dumps(task | out | dict(about=about) | made))
        numbers = (f'{k} {v:.1f}' for k, v in out.items() if isinstance(v, float))
        print(f'{time.time() - since:6.0f} s  {f.stem:52}', *numbers, flush=True)


def arguments(name: str, data, seeds: int) -> argparse.Namespace:
    ap = argparse.ArgumentParser()
    ap.add_argument('--data', nargs='+', default=list(data))
    ap.add_argument('--seeds', type=int, default=seeds)
    ap.add_argument('--rows', nargs='+', default=None, help='only these')
    ap.add_argument('--runs', default=f'runs/{name}')
    ap.add_argument('--worker', type=int, default=0)
    ap.add_argument('--of', type=int, default=1, help='so many processes share the work, one thread each')
    ap.add_argument('--minutes', type=float, default=1e9, help='start no run after so many')
    ap.add_argument('--merge', action='store_true', help='add the finished runs to the table')
    ap.add_argument('--todo', action='store_true', help='only say what is missing')
    ap.add_argument('--again', action='store_true', help='also make again what the committed table has')
    return ap.parse_args()


def run_table(
    name: str,        # results/<name>.json; runs are kept under runs/<name>
    what: str,        # one sentence for the result file
    tasks: Callable,  # (data names, seeds) -> list of dicts, the most telling first; their values name the run
    run: Callable,    # task -> dict of results
    data=('mnist', 'cifar10'), seeds: int = 3,
    rows: str = 'row',  # key of a task that `--rows` selects by
    **about,          # goes into the result file as it is (budgets)
) -> None:
    "The command line of a table."
    a, since = arguments(name, data, seeds), time.time()
    commit = state_of_code()                                    # at the start: that is what was imported
    todo = [t for t in tasks(a.data, range(a.seeds)) if a.rows is None or t[rows] in a.rows]
    table = Table(name, Path(a.runs), list(todo[0]))
    if a.merge:
        return print(table.merge(what, about), 'rows')
    done = table.finished(a.again)
    missing = [t for t in todo if table.key(t) not in done]
    if a.todo:
        counts = f"{counted(len(missing), 'run')} missing, {len(done)} there"
        return print(*map(table.key, missing), counts, sep='\n')
    if a.of > 1:
        torch.set_num_threads(1)
    mine = todo[a.worker::a.of]   # shared out before the finished ones are dropped: a restarted worker keeps its share
    for t in progress([t for t in mine if t in missing], 'runs'):
        late = time.time() - since > 60*a.minutes
        if not late and table.key(t) not in table.finished(a.again):    # another process may have made it
            table.make(t, run, commit, since, about)
