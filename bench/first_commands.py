"""What the first commands of the front page cost on a CPU, in seconds of one core: on 7000 photographs at 32 px.

    python bench/first_commands.py      # writes bench/results/first_commands.json
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from dd_lit.core import atomic_write
from harness import made_with

ROOT = Path(__file__).parent.parent
DATA = ['--size', '32']
COMMANDS = dict(distill=['distill', 'dc', *DATA, '--iters', '30', '--set', 'width=32'],
                evaluate=['evaluate', 'my_set', *DATA, '--set', 'width=32'],
                compare=['compare', 'my_set', 'random', *DATA, '--set', 'width=32'])


def spent() -> float:
    "Seconds that processes which have ended have computed, on all cores together."
    u = resource.getrusage(resource.RUSAGE_CHILDREN)
    return u.ru_utime + u.ru_stime


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--data', default='imagenette', help='a folder of pictures, below $DD_LIT_DATA')
    ap.add_argument('--out', default=str(ROOT/'bench'/'results'/'first_commands.json'))
    a = ap.parse_args()
    data = str((Path(os.environ.get('DD_LIT_DATA', 'data'))/a.data).resolve())
    seconds = {}
    with tempfile.TemporaryDirectory() as d:
        for name, words in COMMANDS.items():
            out = ['--out', 'my_set'] if name == 'distill' else []
            before = spent()
            env = dict(os.environ, OMP_NUM_THREADS='1')
            command = [sys.executable, '-m', 'dd_lit', *words, '--data', data, *out]
            subprocess.run(command, cwd=d, check=True, env=env)
            seconds[name] = round(spent() - before, 1)
    made = made_with(command='python bench/first_commands.py')
    atomic_write(a.out, json.dumps(dict(data=a.data, seconds=seconds, made_with=made), indent=1) + '\n')


if __name__ == '__main__':
    main()
