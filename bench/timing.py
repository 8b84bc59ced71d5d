"""Time and memory of variants of one computation, side by side in one process."""
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import nn

from dd_lit.core import PeakMemory

def rounds(names: Iterable[str], reps: int, warm: int = 1) -> Iterator[tuple[str, bool]]:
    """All names in turn, so that a drift of the machine hits all alike; and whether this one counts: the first `warm`
    rounds do not."""
    names = list(names)
    for r in range(reps + warm):
        for n in names:
            yield n, r >= warm


def in_turn(variants: dict[str, Callable], reps: int, warm: int = 1,
            clock: Callable[[], float] = time.perf_counter) -> dict[str, list[float]]:
    "Seconds of each function, `reps` times, in turn; `clock` is `time.process_time` where other work shares the core."
    seconds = {n: [] for n in variants}
    for n, counts in rounds(variants, reps, warm):
        t = clock()
        variants[n]()
        if counts:
            seconds[n].append(clock() - t)
    return seconds


def medians(seconds: dict[str, list[float]]) -> dict[str, float]:
    return {n: statistics.median(v) for n, v in seconds.items()}


def rounded(seconds: list[float], digits: int = 4) -> list[float]:
    return [round(x, digits) for x in seconds]


def step(method) -> None:
    "One iteration of a method that was set up, to its end."
    method.step()
    method.k += 1
    if method.device.type == 'cuda':
        torch.cuda.synchronize()


def saved_bytes(f: Callable) -> int:
    """Most bytes that autograd holds for the backward pass while f runs. What two operations save of one tensor
    lies in memory once, and counts once; the weights are there anyway."""
    holders, state = Counter(), dict(now=0, most=0)
    class Held:
        def __init__(self, t):
            self.t, where = t, t.untyped_storage()
            self.key, self.size = where.data_ptr(), where.nbytes()
            holders[self.key] += 1
            state['now'] += self.size*(holders[self.key] == 1)
            state['most'] = max(state['most'], state['now'])
        def __del__(self):
            holders[self.key] -= 1
            state['now'] -= self.size*(holders[self.key] == 0)
    def hold(t):
        return t if isinstance(t, nn.Parameter) else Held(t)
    with torch.autograd.graph.saved_tensors_hooks(hold, lambda h: h.t if isinstance(h, Held) else h):
        f()
    return state['most']


def measured(f) -> tuple:
    "Seconds, rise of memory in MB, and the result of f()."
    gpu = torch.cuda.is_available()
    wait = torch.cuda.synchronize if gpu else lambda: None
    wait()
    memory = PeakMemory('cuda' if gpu else 'cpu')
    t = time.perf_counter()
    r = f()
    wait()
    return time.perf_counter() - t, memory.bytes()/2**20, r
