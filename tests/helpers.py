"""What several tests ask: the state of the global generators, and the steps that a run has made."""
import random

import numpy as np
import torch

def generators() -> tuple:
    "The state of every global generator."
    _, words, place, *_ = np.random.get_state()
    return torch.random.get_rng_state().tolist(), words.tolist(), place, random.getstate()


def disturb(k: int) -> None:
    "Somebody else has drawn before."
    torch.manual_seed(k)
    np.random.seed(k)
    random.seed(k)


COUNTED = """
from dd_lit.method import get_method
cls = get_method({method!r})
step = cls.step
def counted(self):
    print('step', self.k, flush=True)
    return step(self)
cls.step = counted
"""    # before a command in a process of its own: each step says its number


def said_steps(out: str) -> list[int]:
    "The numbers of the steps that a process with `COUNTED` has made."
    return [int(line.split()[1]) for line in out.splitlines() if line.startswith('step ')]
