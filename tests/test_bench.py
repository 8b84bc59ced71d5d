"""The benchmark runs, and the fast step's gradients are the plain step's. (Speed itself is not asserted: CI machines vary.)"""
import json, subprocess, sys
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
    for ipc in ('1', '10'): assert r['ipc'][ipc]['+ relu_pool (ours)']['error'] < 1e-4
    assert {'command', 'torch', 'cpu', 'time'} <= set(r['made_with'])
