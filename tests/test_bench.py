"""The benchmark runs, and the fast step's gradients are the plain step's. (Speed is not asserted: machines vary.)

And what the scripts of bench/ share: budgets, prepared sets, timing, tables of runs.
"""
import argparse
import ast
import json
import re
import runpy
import shlex
import statistics
import subprocess
import sys

import pytest
import torch
from conftest import ROOT

from dd_lit.cli import COMMANDS, parser
from dd_lit.method import list_methods
from dd_lit.reproduce import get_recipe
from dd_lit.settings import parse

sys.path.insert(0, str(ROOT/'bench'))
import budgets
import checks
import harness
import pages
import prepared
import timing

BENCH = sorted((ROOT/'bench').glob('*.py'))


def test_dc_step(tmp_path):
    options = ('--data', 'digits', '--batch', '48', '--reps', '1', '--width', '32', '--out', tmp_path/'x.json')
    subprocess.run([sys.executable, ROOT/'bench'/'dc_step.py', *options], check=True, capture_output=True)
    r = json.loads((tmp_path/'x.json').read_text())
    for ipc in ('1', '10'):
        ours = r['ipc'][ipc]['+ relu_pool (ours)']
        assert ours['error'] < 1e-4 and ours['image_error'] < 1e-4 and ours['median_s'] > 0


def test_dm_step(tmp_path):
    options = ('--data', 'digits', '--batch', '48', '--reps', '1', '--width', '32', '--out', tmp_path/'x.json')
    subprocess.run([sys.executable, ROOT/'bench'/'dm_step.py', *options], check=True, capture_output=True)
    r = json.loads((tmp_path/'x.json').read_text())
    for ipc in ('1', '10'):
        res = r['ipc'][ipc]
        assert res['ours']['error'] < 1e-4 and res['plain loop']['error'] < 1e-4 and res['ours']['median_s'] > 0


@pytest.mark.parametrize('name, ours', [('dc_step', '+ relu_pool (ours)'), ('dm_step', 'ours')])
def test_stored_run_is_exact_and_complete(name, ours):
    "The stored benchmarks of one step: gradients unchanged, and they say what made them."
    r = json.loads((ROOT/'bench'/'results'/f'{name}.json').read_text())
    for ipc in ('1', '10'):
        plain = r['ipc'][ipc]['plain loop']['error']         # 0 if it is the measure itself
        assert r['ipc'][ipc][ours]['error'] < max(1e-4, 2*plain)
    assert {'command', 'torch', 'cpu', 'time'} <= set(r['made_with'])


def test_speed(tmp_path):
    "The release's loops and ours do the same; what is measured again leaves the file's other jobs as they were."
    def run(*more, **how):
        options = ('--data', 'digits', '--small', '--reps', '1', '--out', tmp_path/'x.json', *more)
        return subprocess.run([sys.executable, ROOT/'bench'/'speed.py', *options], capture_output=True, **how)
    run('--jobs', 'DC, a step at IPC 1', 'a student', check=True)
    jobs = json.loads((tmp_path/'x.json').read_text())['jobs']
    step, student = (jobs[k]['sides'] for k in ('DC, a step at IPC 1', 'a student'))
    assert step['float32']['error'] < 1e-4 < step['bfloat16']['error'] < .1
    exact = student['float32']['result']
    assert student['float32, nothing kept']['result'] == exact        # to the last bit
    assert 0 < jobs['DC, a step at IPC 1']['gflop'] < 1 and 0 < jobs['a student']['gflop'] < 1
    assert abs(student['reference']['result'] - exact) < 1e-4*exact
    run('--jobs', 'testing', check=True)
    now = json.loads((tmp_path/'x.json').read_text())['jobs']
    assert list(now) == [*jobs, 'testing'] and now['a student'] == jobs['a student']
    refused = run('--reps', '2', '--jobs', 'testing')
    assert refused.returncode and b'measure all of them' in refused.stderr


@pytest.mark.parametrize('file', ['speed.json', 'speed_amx.json'])
def test_stored_speed_is_complete(file):
    "Every repeat is there, medians and ratios follow from them, and all sides compute the same."
    r = json.loads((ROOT/'bench'/'results'/file).read_text())
    assert r['size']['batch'] == 256 and r['size']['width'] == 128 and r['bfloat16_units'] and len(r['jobs']) == 9
    for name, job in r['jobs'].items():
        sides, exact = job['sides'], job['sides']['float32']
        assert {'command', 'torch', 'cpu', 'time', 'threads', 'commit'} <= set(job['made_with'])
        assert job['gflop'] > 0 or name == "DSA's operations"
        assert job['made_with']['threads'] == 1 and not str(job['made_with']['commit']).endswith('+')
        for v in sides.values():
            assert len(v['cpu']) == len(v['wall']) == r['reps'] >= 3
            each = sorted(a/b for a, b in zip(exact['cpu'], v['cpu'], strict=True))
            over = v['over float32']
            assert [over['low'], over['high']] == [round(each[0], 2), round(each[-1], 2)]
            assert over['median'] == round(statistics.median(each), 2)
        if 'float32, nothing kept' in sides:
            assert sides['float32, nothing kept']['result'] == exact['result'], name
        if 'error' in exact:
            assert exact['error'] < 1e-4 and sides['bfloat16']['error'] < .05
    same = [r['jobs'][k]['sides'] for k in ('a student', 'testing')]
    assert all(abs(s['reference']['result'] - s['float32']['result']) < 1e-3*s['float32']['result'] for s in same)


# --- tables of runs ---

@pytest.fixture
def table(tmp_path, monkeypatch):
    "The command line of a made-up table of three rows, its files in an empty folder."
    monkeypatch.setattr(harness, 'state_of_code', lambda: 'abc1234+')
    monkeypatch.setattr(harness, 'RESULTS', tmp_path)
    made = []
    def run(data, row, seed):
        made.append(row)
        return dict(hard=1.)
    def tasks(data, seeds):
        return [dict(data=d, row=r, seed=s) for d in data for s in seeds for r in ('a', 'b', 'c, d')]
    def command(*options, budget=7, **more):
        made.clear()
        argv = ['table.py', '--runs', str(tmp_path/'runs'), '--data', 'bit', '--seeds', '1', *options]
        monkeypatch.setattr(sys, 'argv', argv)
        harness.run_table('table', 'nothing', tasks, run, budget=budget, **more)
        return list(made)
    return command


def test_rows_say_which_code_made_them(table, tmp_path):
    "Rows of a table from two states of the code must be told apart."
    assert table('--rows', 'a') == ['a']
    row = json.loads((tmp_path/'runs'/'bit_a_seed0.json').read_text())
    assert row['hard'] == 1. and row['made_with']['commit'] == 'abc1234+'


def test_finished_runs_are_not_repeated(table, tmp_path, capsys):
    "Neither those in the folder nor those in the file; workers share; a merge loses nothing."
    assert table('--worker', '1', '--of', '2') == ['b']
    assert table() == ['a', 'c, d'] and table() == []
    table('--merge')
    stored = json.loads((tmp_path/'table.json').read_text())
    assert stored['what'] == 'nothing' and stored['budget'] == 7
    assert [r['row'] for r in stored['rows']] == ['a', 'b', 'c, d']
    for f in (tmp_path/'runs').glob('*.json'):
        f.unlink()
    assert table() == []
    capsys.readouterr()
    table('--todo', '--again')
    assert capsys.readouterr().out.split('\n')[:3] == ['bit_a_seed0', 'bit_b_seed0', 'bit_c_d_seed0']
    assert table('--again', '--rows', 'b') == ['b']
    table('--merge')
    assert len(json.loads((tmp_path/'table.json').read_text())['rows']) == 3


def test_what_is_out_of_date_is_missing(table, tmp_path, capsys):
    "A row of the file that no longer counts is made again, once; the others are not."
    table()
    table('--merge')
    stored = json.loads((tmp_path/'table.json').read_text())
    for r in stored['rows']:
        (tmp_path/'runs'/f"bit_{r['row'].replace(', ', '_')}_seed0.json").unlink()
        r['made_with']['time'] = '2000-01-01T00:00:00+00:00'
    (tmp_path/'table.json').write_text(json.dumps(stored))
    rule = dict(files=['table'], before='2001', where=dict(row=['b']), why='a mend')
    (tmp_path/'outdated.json').write_text(json.dumps([rule]))
    capsys.readouterr()
    table('--todo')
    assert capsys.readouterr().out.split('\n')[:2] == ['bit_b_seed0', '1 run missing, 2 there']
    assert table() == ['b'] and table() == []


def test_older_rows_keep_their_head(table, tmp_path):
    "What a row was made with is written into it when the head of its file is replaced."
    table()
    table('--merge')
    for f in (tmp_path/'runs').glob('*.json'):
        f.unlink()
    table('--merge', more=1)                             # a setting that nobody wrote down before
    table('--merge', more=1)
    now = json.loads((tmp_path/'table.json').read_text())
    assert now['more'] == 1 and now['rows'][1]['about'] == dict(budget=7)


def test_a_table_has_one_budget(table, tmp_path):
    "Runs of another budget are refused, those of the folder and those of the file, until they are made again."
    table('--rows', 'a')
    table('--merge')
    stored = json.loads((tmp_path/'table.json').read_text())
    assert stored['budget'] == 7 and 'about' not in stored['rows'][0]
    table('--rows', 'b', budget=9)
    for today in (7, 9):
        with pytest.raises(ValueError, match=f'budget = {16 - today}, now it is {today}'):
            table('--merge', budget=today)
    with pytest.raises(ValueError, match='bit_a_seed0 was made with budget = 7, now it is 9'):
        (tmp_path/'runs'/'bit_a_seed0.json').unlink()
        table('--merge', budget=9)
    table('--again', '--rows', 'a', budget=9)
    table('--merge', budget=9)
    assert json.loads((tmp_path/'table.json').read_text())['budget'] == 9


def test_a_budget_by_method_binds_its_own_rows(table, tmp_path):
    "Other settings for one method leave the runs of the others as they are, and refuse its own."
    table('--rows', 'a', 'b', budget=dict(a=1, b=1))
    table('--merge', budget=dict(a=1, b=1))
    table('--rows', 'c, d', budget={'a': 1, 'b': 1, 'c, d': 2})
    table('--merge', budget={'a': 1, 'b': 1, 'c, d': 2})
    stored = json.loads((tmp_path/'table.json').read_text())
    assert len(stored['rows']) == 3 and stored['budget'] == {'a': 1, 'b': 1, 'c, d': 2}
    assert not any('about' in r for r in stored['rows'])
    with pytest.raises(ValueError, match='bit_b_seed0 was made with budget = 1, now it is 3'):
        table('--merge', budget=dict(a=1, b=3))


def test_state_of_code():
    "The commit, and a plus where the code differs from it; None where there is no git."
    head = subprocess.run(['git', '-C', ROOT, 'rev-parse', 'HEAD'], capture_output=True, text=True).stdout.strip()
    s = harness.state_of_code()
    assert s is None if not head else len(s) >= 7 and head.startswith(s.removesuffix('+')), (s, head)


# --- what the scripts share ---

def test_no_script_imports_a_script():
    "A script is what `python bench/x.py` runs; what two of them need is in a module of its own."
    scripts = {f.stem for f in BENCH if "__name__ == '__main__'" in f.read_text()}
    shared = {'harness', 'budgets', 'prepared', 'timing', 'reference', 'ledger', 'claims'}
    assert len(scripts) > 15 and not scripts & shared
    for f in BENCH:
        nodes = list(ast.walk(ast.parse(f.read_text())))
        names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
        names |= {n.module for n in nodes if isinstance(n, ast.ImportFrom)}
        assert not names & scripts, f'{f.name} imports {names & scripts}'


def test_settings_and_budgets():
    "A method is given those settings of the budget that it has, and every row names a method."
    budget = budgets.BUDGET['mnist']['distill']
    assert prepared.settings_for('random', budget) == dict(iters=100)
    assert prepared.settings_for('sre2l', budget) == budget
    assert {m for m, _ in budgets.METHODS.values()} <= set(list_methods())
    assert budgets.squeezing('cifar10') == dict(epochs=2, augment='crop_flip', width=16)
    assert budgets.views('digits') == dict(crop=.5, flip=False, mix=False)


def test_timing():
    "Variants in turn, warm-up rounds not counted; what autograd keeps is counted to the byte."
    seen = []
    seconds = timing.in_turn(dict(a=lambda: seen.append('a'), b=lambda: seen.append('b')), reps=3, warm=2)
    assert ''.join(seen) == 'ab'*5 and {k: len(v) for k, v in seconds.items()} == dict(a=3, b=3)
    assert timing.medians(dict(a=[3., 1., 2.])) == dict(a=2.)
    x = torch.ones(1000, requires_grad=True)
    assert timing.saved_bytes(lambda: x.exp().sum().backward()) == 4000
    y = x.exp                                       # what three operations save is in memory once
    assert timing.saved_bytes(lambda: (y().square() + 0).sum().backward()) == 4000
    w = torch.nn.Parameter(torch.ones(1000))        # a weight is there anyway
    assert timing.saved_bytes(lambda: (w*x).sum().backward()) == 4000


def test_lines_of_a_page(capsys):
    "What is too long goes on below; means and deviations."
    pages.say('a'*60 + ' ' + 'b'*60, 3)
    assert capsys.readouterr().out == 'a'*60 + '\n   ' + 'b'*60 + '\n'
    assert pages.folded('more', 'text') == '<details><summary>more</summary>\n\ntext\n\n</details>'
    assert pages.spread([1., 3.]) == '2.0 ± 1.4' and pages.spread([1.]) == '-'
    assert pages.bold('x', True) == '**x**' and pages.bold('x', False) == 'x'
    assert pages.named(dict(lr=.1, flip=True)) == 'lr=0.1, flip=True'
    assert pages.code(pages.bold).data.startswith('```python\ndef bold')


def test_claims_as_a_table():
    "A row for each claim: the places that count in words, the others counted, no cell more than there are columns."
    found = checks.Finding('mnist', '2.0 against 1.0', 'reproduced')
    gone = checks.Finding('cifar10', '', 'out of date')
    claims = [dict(verdict='holds', text='A beats B', where='Table 1', says='2 | 1', places=[found, found, gone]),
              dict(verdict='not run', text='A is |B|', where='text', says='', places=[])]
    head, rule, first, second = pages.claims_table(claims).markdown().splitlines()
    told = 'mnist: 2.0 against 1.0, reproduced'
    assert first == rf'| A beats B | Table 1: 2 \| 1 | holds | {told}<br>{told} | 1 |'
    assert second == r'| A is \|B\| | text | not run |  | 0 |'
    assert all(len(re.findall(r'(?<!\\)\|', line)) == 6 for line in (head, rule, first, second))


def test_no_folder_of_a_machine_in_a_command():
    "A stored run says how it was made; where its maker kept files is nobody's business, and on no other machine."
    files = (ROOT/'bench'/'results').glob('*.json')
    assert not {f.name for f in files if re.search(r'"command": "[^"]* /\w', f.read_text())}


@pytest.mark.parametrize('words', ['--log /tmp/log', '--out=/tmp/x.json', '--runs runs/mine', '--runs /elsewhere',
                                   '--repo /work/main --log /tmp/a'])
def test_a_command_is_stored_without_the_folders_of_its_machine(words):
    assert harness.typed(f'stranger.py {words}') == 'python bench/stranger.py'
    assert harness.typed(f'python bench/x.py --fast {words} --seeds 3') == 'python bench/x.py --fast --seeds 3'


def test_every_script_stores_its_command_so():
    scripts = [f for f in (ROOT/'bench').glob('*.py') if f.name not in ('harness.py', 'recipe_cost.py')]
    assert not {f.name for f in scripts if 'provenance(' in f.read_text()}


# --- commands of stored runs ---

def commands(o) -> set[str]:
    "All commands in a file of results."
    below = o.values() if isinstance(o, dict) else o if isinstance(o, list) else ()
    own = {o['command']} if isinstance(o, dict) and isinstance(o.get('command'), str) else set()
    return own.union(*map(commands, below))


STORED = sorted({c for f in (ROOT/'bench'/'results').glob('*.json')
                 for c in commands(json.loads(f.read_text()))})


class _Understood(Exception):
    "What was typed can be read."


@pytest.fixture
def read(monkeypatch):
    "Type a command: its words are read by the parser of its script, and nothing is done."
    def table(name, what, tasks, run, data=('mnist', 'cifar10'), seeds=3, rows='row', **about):
        a = harness.arguments(name, data, seeds)
        known = {t[rows] for t in tasks(a.data, range(a.seeds))}
        assert set(a.rows or ()) <= known, f'no rows {set(a.rows) - known}'
        raise _Understood
    def parsed(self, args=None, namespace=None):
        assert not self.parse_known_args(args, namespace)[1], 'words that the script does not know'
        raise _Understood
    def type_in(command):
        words = shlex.split(command)
        if words[0] == 'dd_lit':
            cls = COMMANDS[words[1]]
            given = parse(cls, vars(parser(cls, 'dd_lit').parse_args(words[2:])), 'dd_lit')
            return [get_recipe(n) for n in given.names]
        assert words[0] == 'python' and words[1].startswith('bench/'), f'{command}: from where?'
        with monkeypatch.context() as m:
            m.setattr(sys, 'argv', words[1:])
            m.setattr(harness, 'run_table', table)
            if 'run_table' not in (ROOT/words[1]).read_text():
                m.setattr(argparse.ArgumentParser, 'parse_args', parsed)
            with pytest.raises(_Understood):
                runpy.run_path(str(ROOT/words[1]), run_name='__main__')
    return type_in


@pytest.mark.parametrize('command', STORED)
def test_a_stored_command_can_be_typed(command, read):
    """At the top of a checkout, as it stands: its script is there, takes these words, and has these rows. (Mend: made
    before commands were stored so, `harness.typed` writes them so; quote names of rows.)"""
    assert harness.typed(command) == command
    read(command)


@pytest.mark.parametrize('command', [
    'python bench/ogm_tables.py --rows ogm, no SVD', 'python bench/nowhere.py', 'ogm_tables.py',
    'python bench/dc_cost.py --rep 5 --nothing', 'dd_lit reproduce mnist/dc/ipc2', 'dd_lit reproduce --nothing'])
def test_a_wrong_command_is_seen(command, read):
    with pytest.raises((AssertionError, FileNotFoundError, ValueError, SystemExit)):
        read(command)
