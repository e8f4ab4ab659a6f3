"""Thread counts, the GIL, and `fork` in every state of the parent's pool, in processes with a time limit."""

import asyncio
import contextvars
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import planish
import pytest
from planish.stats import Moments

LIMIT = 60


def run(code, **environment):
    """Run Python code in a fresh process; its output."""
    env = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")} | environment
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env=env,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SHOW = "import planish; print(planish.get_num_threads())"


def test_order_of_thread_counts():
    cpus = str(len(os.sched_getaffinity(0)))
    assert run(SHOW) in (cpus, str(os.cpu_count()), "1", "2")
    assert run(SHOW, OMP_NUM_THREADS="5,2") == "5"
    assert run(SHOW, OMP_NUM_THREADS="5", RAYON_NUM_THREADS="4") == "4"
    assert run(SHOW, OMP_NUM_THREADS="5", RAYON_NUM_THREADS="4", PLANISH_NUM_THREADS="3") == "3"
    assert run(SHOW, PLANISH_NUM_THREADS="zero", OMP_NUM_THREADS="6") == "6"
    chosen = "import planish; planish.set_num_threads(7); print(planish.get_num_threads())"
    assert run(chosen, PLANISH_NUM_THREADS="3") == "7"


def test_affinity_is_respected():
    assert run("import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); " + SHOW) == "1"


def test_setting_and_taking_back():
    default = planish.get_num_threads()
    planish.set_num_threads(3)
    try:
        assert planish.get_num_threads() == 3
        with planish.num_threads(2) as two:
            assert planish.get_num_threads() == 2
            with two, planish.num_threads(None):
                assert planish.get_num_threads() == 3
            assert planish.get_num_threads() == 2
            others = []
            thread = threading.Thread(target=lambda: others.append(planish.get_num_threads()))
            thread.start()
            thread.join()
            assert others == [3]
        assert planish.get_num_threads() == 3
    finally:
        planish.set_num_threads(None)
    assert planish.get_num_threads() == default
    for bad in (0, -1):
        with pytest.raises(ValueError, match="positive integer"):
            planish.set_num_threads(bad)
        with pytest.raises(ValueError, match="positive integer"), planish.num_threads(bad):
            pass


def test_tasks_see_only_their_own_blocks():
    default = planish.get_num_threads()
    seen = {}

    async def task(name, number):
        with planish.num_threads(number):
            await asyncio.sleep(0)
            seen[name] = planish.get_num_threads()
            # What it starts has its number.
            assert await asyncio.to_thread(planish.get_num_threads) == number
            assert await asyncio.create_task(asyncio.sleep(0, planish.get_num_threads())) == number
            await asyncio.sleep(0)
            assert planish.get_num_threads() == number
        assert planish.get_num_threads() == default

    async def plain():
        for _ in range(6):
            assert planish.get_num_threads() == default
            await asyncio.sleep(0)

    async def main():
        await asyncio.gather(task("a", 5), plain(), task("b", 6), plain())

    asyncio.run(main())
    assert seen == {"a": 5, "b": 6}
    assert planish.get_num_threads() == default


def test_blocks_of_generators_end_in_any_order():
    default = planish.get_num_threads()

    def numbers(block):
        with block:
            yield planish.get_num_threads()

    first, second = numbers(planish.num_threads(5)), numbers(planish.num_threads(6))
    assert [next(first), next(second)] == [5, 6]
    assert next(first, None) is None
    assert planish.get_num_threads() == 6
    second.close()
    assert planish.get_num_threads() == default
    # The same block twice, and one that ends in another thread than it began in.
    block = planish.num_threads(7)
    first, second = numbers(block), numbers(block)
    assert [next(first), next(second), next(first, None)] == [7, 7, None]
    assert planish.get_num_threads() == 7
    assert [next(second, None), planish.get_num_threads()] == [None, default]
    elsewhere = numbers(block)
    context = contextvars.copy_context()
    assert context.run(next, elsewhere) == 7
    thread = threading.Thread(target=elsewhere.close)
    thread.start()
    thread.join()
    assert planish.get_num_threads() == default


def test_a_context_is_what_counts():
    """Large calls, too: the core asks for the number where the call is made."""
    context = contextvars.copy_context()
    context.run(planish.num_threads(5).__enter__)
    assert context.run(planish.get_num_threads) == 5
    assert planish.get_num_threads() != 5
    x = np.random.default_rng(0).normal(size=(200_000, 8))
    assert context.run(Moments().update, x) == Moments().update(x)


def test_threads_of_planish_inherit_the_context(monkeypatch):
    """Rows of groups are gathered in threads with a copy of the caller's context."""
    mark = contextvars.ContextVar("mark", default=None)
    seen = []
    from planish.groups import rows as _group_rows

    def spy(X, index):
        seen.append((threading.current_thread() is threading.main_thread(), mark.get()))
        return gather(X, index)

    gather = _group_rows.gather
    monkeypatch.setattr("planish.groups.fits.gather", spy)
    X = np.random.default_rng(0).normal(size=(100_000, 40))
    mark.set("ours")
    with planish.num_threads(3):
        planish.GroupedScaler(planish.RobustScaler()).partial_fit(X, groups=np.arange(len(X)) % 3)
    assert not all(main for main, _ in seen)
    assert {value for _, value in seen} == {"ours"}


PARENT = """
    import os, sys, threading, time
    import numpy as np
    import planish
    from planish.stats import Moments
    planish.set_num_threads(3)
    x = np.random.default_rng(0).normal(size=(500_000, 16))
    expected = Moments().update(x)

    def child(check):
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(0 if check() else 3)
            except BaseException:
                os._exit(4)
        return pid

    def works():
        return Moments().update(x) == expected

    def wait(pid, limit=20):
        end = time.monotonic() + limit
        while time.monotonic() < end:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        os.kill(pid, 9)
        return "hung"
"""


def test_fork_after_use():
    code = PARENT + "\n    print([wait(child(works)) for _ in range(3)], works())"
    assert run(code) == "[0, 0, 0] True"


def test_fork_of_a_fork():
    code = PARENT + "\n    print(wait(child(lambda: works() and wait(child(works)) == 0)), works())"
    assert run(code) == "0 True"


def test_fork_while_another_thread_is_in_a_kernel():
    code = (
        PARENT
        + """
    stop = threading.Event()
    def busy():
        while not stop.is_set():
            works()
    threads = [threading.Thread(target=busy) for _ in range(2)]
    [t.start() for t in threads]
    codes = set()
    for _ in range(20):
        codes.add(wait(child(works)))
    stop.set()
    [t.join() for t in threads]
    print(codes, works())
    """
    )
    assert run(code) == "{0} True"


def worker_threads(queue):
    queue.put((planish.get_num_threads(), Moments().update(np.ones((300_000, 8))).count.tolist()))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_multiprocessing_child_uses_one_thread(method):
    Moments().update(np.ones((300_000, 8)))
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=worker_threads, args=(queue,))
    process.start()
    threads, count = queue.get(timeout=LIMIT)
    process.join(LIMIT)
    asked = next(
        (os.environ[k] for k in ("PLANISH_NUM_THREADS", "RAYON_NUM_THREADS", "OMP_NUM_THREADS") if k in os.environ),
        "1",
    )
    assert (threads, count) == (int(asked), [300_000] * 8)


def test_the_gil_is_released():
    """While one thread is in a kernel, another runs Python code."""
    x = np.ones((3_000_000, 16))
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0005)

    switch = sys.getswitchinterval()
    thread = threading.Thread(target=tick)
    thread.start()
    try:
        sys.setswitchinterval(10)  # no thread is ever interrupted: only a released GIL lets the other run
        with planish.num_threads(1):
            inside = []
            for _ in range(5):
                start = time.perf_counter()
                Moments().update(x)
                end = time.perf_counter()
                inside.append(sum(start < t < end for t in ticks))
    finally:
        sys.setswitchinterval(switch)
        done.set()
        thread.join()
    assert max(inside) >= 3


def test_many_threads_at_once():
    x = np.random.default_rng(1).normal(size=(200_000, 8)).astype(np.float32)
    expected = Moments().update(x)
    shared, results = Moments(), []

    def work():
        for _ in range(5):
            results.append(Moments().update(x) == expected)
            shared.update(x)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert results == [True] * 40
    assert shared.count.tolist() == [40 * 200_000] * 8


def test_import_is_light():
    code = """
    import sys, numpy
    before = set(sys.modules)
    import planish, planish.stats
    planish.stats.Moments().update(numpy.ones((2, 2)))
    loaded = {m.split(".")[0] for m in set(sys.modules) - before}
    print(sorted(loaded - {"planish"} - set(sys.stdlib_module_names)))
    """
    assert run(code) == "[]"
