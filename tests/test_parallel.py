"""Two processes make what one makes, also when one of them is killed on the way."""
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import torch
from conftest import ROOT
from helpers import COUNTED, said_steps

from dd_lit.distill import load_checkpoint
from dd_lit.sets import DistilledSet

ENV = {k: v for k, v in os.environ.items() if k not in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')}
ENV |= dict(OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT), DD_LIT_PROGRESS='0')
TWO = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2']


def said(r):
    "What the processes said, without the launcher's own traceback: the cause stands before it."
    before, *_ = (r.stdout + r.stderr).split('torch.distributed.elastic.multiprocessing.api:failed')
    return before[-6000:] + r.stderr[-600:]


def test_killed_and_resumed(tmp_path):
    args = ['-m', 'dd_lit', 'distill', 'dc_md', '--iters', '12', '--device', 'cpu']
    args += ['--set', 'width=16', 'batch_real=64', '--out']
    subprocess.run([sys.executable, *args, tmp_path/'one'], check=True, capture_output=True, env=ENV)
    script, log = tmp_path/'counted.py', tmp_path/'log.txt'
    call = 'import sys\nfrom dd_lit.cli import main\nsys.exit(main(sys.argv[1:]))\n'
    script.write_text(COUNTED.format(method='dc_md') + call)
    two = [*TWO, script, *args[2:], tmp_path/'two']
    with log.open('w') as f:
        p = subprocess.Popen(two, env=ENV, stdout=f, stderr=subprocess.DEVNULL)
    # let them do some steps; a failing step leaves a checkpoint
    t = time.time()
    while 2 not in said_steps(log.read_text()):        # the first of the two speaks
        assert p.poll() is None and time.time() - t < 120
        time.sleep(.05)
    workers = [c for c in psutil.Process(p.pid).children(recursive=True) if script.name in ' '.join(c.cmdline())]
    assert len(workers) == 2
    workers[-1].send_signal(signal.SIGKILL)
    assert p.wait(120) != 0 and not (tmp_path/'two'/'data.safetensors').exists()
    left = load_checkpoint(tmp_path/'two'/'checkpoint.pt')['state']['k']
    again = subprocess.run(two, check=True, capture_output=True, text=True, env=ENV, timeout=300)
    assert 0 < left < 12 and said_steps(again.stdout) == [*range(left, 12)]
    a, b = (DistilledSet.load(tmp_path/n) for n in ('one', 'two'))
    assert torch.equal(a.images, b.images)


ENOUGH = """
import sys

from dd_lit.distill import distill
from dd_lit.parallel import first, start, stop

start()
def enough(seen):
    if seen.step == 2 and first():        # the others have not seen enough, and end as well
        seen.stop()
distill('dm', 'digits', 2, sys.argv[1], iters=5, width=8, batch_real=20, device='cpu', callback=enough)
stop()
"""


def test_mean_features_shared_and_ended_by_the_first(tmp_path):
    "DM shares out the classes, and sends their means; a run that the first process ends, ends for all."
    (tmp_path/'t.py').write_text(ENOUGH)
    for cmd, name in (([sys.executable], 'one'), (TWO, 'two')):
        r = subprocess.run([*cmd, tmp_path/'t.py', tmp_path/name], capture_output=True, text=True, env=ENV, timeout=600)
        assert r.returncode == 0, said(r)
    one, two = (DistilledSet.load(tmp_path/n) for n in ('one', 'two'))
    assert torch.equal(one.images, two.images) and one.meta['iterations'] == two.meta['iterations'] == 2


# a script of its own: each of the processes runs it
SHARED = '''
import json, os, sys
from pathlib import Path

from dd_lit.data import load_data
from dd_lit.distill import distill
from dd_lit.evaluate import evaluate
from dd_lit.labels.soft import relabel
from dd_lit.models import create_model
from dd_lit.parallel import first, start, stop, world

start()
out = Path(sys.argv[1])
d = load_data('digits')
ds = distill('random', d, 2)
t = create_model('mlp', 10, 1, d.size, seed=0).eval()
l = relabel(ds.images, [t], epochs=5, batch_size=10, chunk=2, path=out)
s = evaluate(ds, d, 'mlp', repeats=3, epochs=5, soft=l, loss='kl', device='cpu')
if first():
    sha = json.loads((out/'labels.json').read_text())['sha256']
    found = dict(n=world()[1], top1=s.top1, hard=s.hard, sha=sha, total=l.nbytes()['total'])
    (out/'out.json').write_text(json.dumps(found))
stop()
threads = [p.read_text() for p in Path('/proc/self/task').glob('*/comm')]
assert not any('gloo' in t for t in threads), "the group's threads outlive it: Python's end would abort the process"
'''


def test_labels_and_scores_shared(tmp_path):
    (tmp_path/'t.py').write_text(SHARED)
    out = []
    for cmd, n in (([sys.executable], 1), (TWO, 2)):
        cmd = [*cmd, tmp_path/'t.py', str(tmp_path/f'labels{n}')]
        r = subprocess.run(cmd, capture_output=True, text=True, env=ENV, timeout=300)
        assert r.returncode == 0, said(r)
        out.append(json.loads((tmp_path/f'labels{n}'/'out.json').read_text()))
    assert [o.pop('n') for o in out] == [1, 2] and out[0] == out[1] and len(out[0]['top1']) == 3


def test_what_travels_lies_where_the_backend_wants_it(monkeypatch):
    "NCCL moves tensors of the GPU only: what lies elsewhere goes there, travels, and comes back to where it is wanted."
    from pretend import PretendDevice

    import dd_lit.parallel as parallel
    with PretendDevice() as device:
        sent = []
        monkeypatch.setattr(parallel, '_there', lambda: torch.device(device), raising=False)
        monkeypatch.setattr(parallel.dist, 'broadcast', lambda t, source: sent.append(t.device.type))
        here, there = torch.ones(2), torch.ones(2, device=device)
        got = [parallel._send(t, 0, like) for t in (here, there, None) for like in (here, there)]
        there = torch.device(device).type
        assert sent == [there]*6 and [g.device.type for g in got] == ['cpu', there]*3
        assert got[0].tolist() == [1., 1.]
