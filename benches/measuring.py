"""What the comparisons share: candidates that take turns, and the machine's own limits."""

import importlib
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import planish

THREADS = planish.get_num_threads()
POOL = ThreadPoolExecutor(THREADS)


def optional(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


cv2, torch = optional("cv2"), optional("torch")


def flat_bytes(x):
    order = "F" if x.flags.f_contiguous and not x.flags.c_contiguous else "C"
    return x.ravel(order=order).view(np.uint8)


def read(x):
    """Read every byte of a contiguous array once."""
    parts = np.array_split(flat_bytes(x), THREADS)
    return lambda: list(POOL.map(np.maximum.reduce, parts))


def copy(x, y):
    """Copy every byte once."""
    source, target = (np.array_split(a.reshape(-1), THREADS) for a in (x, y))
    return lambda: list(POOL.map(np.copyto, target, source))


def write(y):
    """Write every byte of a contiguous array once."""
    parts = np.array_split(flat_bytes(y), THREADS)
    return lambda: list(POOL.map(lambda part: part.fill(1), parts))


def measure(candidates, rounds, number=1):
    """Best and median seconds of each candidate, taking turns, `number` calls at a time."""
    times = {name: [] for name in candidates}
    for function in candidates.values():
        function()
    for _ in range(rounds):
        for name, function in candidates.items():
            # Threads of the one before spin for a while before they sleep.
            time.sleep(0.02)
            start = time.perf_counter()
            for _ in range(number):
                function()
            times[name].append((time.perf_counter() - start) / number)
    return {name: {"best": min(t), "median": statistics.median(t)} for name, t in times.items()}


def fastest(times):
    """Of candidates named ``peer: way``, the fastest way of each peer."""
    best = {}
    for name, result in times.items():
        peer = name.split(":")[0]
        if peer not in best or result["median"] < best[peer]["median"]:
            best[peer] = result
    return best


@contextmanager
def one_thread():
    """Everybody uses one thread."""
    if cv2 is not None:
        cv2.setNumThreads(1)
    if torch is not None:
        torch.set_num_threads(1)
    with planish.num_threads(1):
        yield
    if cv2 is not None:
        cv2.setNumThreads(THREADS)
    if torch is not None:
        torch.set_num_threads(THREADS)


@dataclass
class Job:
    """What planish does, the machine's limit for it, and who else does it."""

    name: str
    run: Callable[[], object]
    limit: tuple[str, Callable[[], object]] | None
    peers: dict[str, Callable[[], object]]
    bytes: int
    #: Calls at a time.
    number: int = 1
    #: Whether everybody uses one thread.
    alone: bool = False
