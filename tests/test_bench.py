"""The benchmark runs, and the fast step's gradients are the plain step's. (Speed itself is not asserted: CI machines vary.)"""
import json
import subprocess
import sys

from conftest import ROOT

def test_dc_step(tmp_path):
    subprocess.run([sys.executable, ROOT/'bench'/'dc_step.py', '--data', 'digits', '--batch', '48', '--reps', '1', '--width', '32', '--out', tmp_path/'x.json'], check=True, capture_output=True)
    r = json.loads((tmp_path/'x.json').read_text())
    for ipc in ('1', '10'):
        ours = r['ipc'][ipc]['+ relu_pool (ours)']
        assert ours['error'] < 1e-4 and ours['image_error'] < 1e-4 and ours['median_s'] > 0


def test_stored_run_is_exact_and_complete():
    "The stored benchmark of MNIST: gradients unchanged, and it says what made it."
    r = json.loads((ROOT/'bench'/'results'/'dc_step.json').read_text())
    for ipc in ('1', '10'):
        assert r['ipc'][ipc]['+ relu_pool (ours)']['error'] < 1e-4
    assert {'command', 'torch', 'cpu', 'time'} <= set(r['made_with'])


def test_rows_say_which_code_made_them(tmp_path, monkeypatch):
    "Rows of a table from two states of the code must be told apart."
    sys.path.insert(0, str(ROOT/'bench'))
    import harness
    monkeypatch.setattr(harness, 'state_of_code', lambda: 'abc1234+')
    monkeypatch.setattr(harness, 'RESULTS', tmp_path)
    monkeypatch.setattr(sys, 'argv', ['table.py', '--runs', str(tmp_path/'runs'), '--data', 'bit', '--seeds', '1'])
    harness.run_table('table', 'nothing', lambda data, seeds: [dict(data=d, row='a', seed=s) for d in data for s in seeds], lambda **t: dict(hard=1.))
    row = json.loads((tmp_path/'runs'/'bit_a_seed0.json').read_text())
    assert row['hard'] == 1. and row['made_with']['commit'] == 'abc1234+'


def test_state_of_code():
    "The commit, and a plus where the code differs from it; None where there is no git."
    sys.path.insert(0, str(ROOT/'bench'))
    import re

    from harness import state_of_code
    s = state_of_code()
    assert s is None or re.fullmatch(r'[0-9a-f]{7,}\+?', s)
