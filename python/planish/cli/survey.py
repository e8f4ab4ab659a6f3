"""Statistics of many files: read in parallel, joined in the order of the files."""

import itertools
import json
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from planish._core import Moments
from planish._threads import num_threads
from planish.cli.sources import NotReadableError, batches, kind
from planish.files.versions import VERSION
from planish.files.whole import write_whole
from planish.stats._state import form

#: Seconds between two checkpoints.
_INTERVAL = 5.0
#: Pictures that are handed to a thread at a time.
_PICTURES = 8

#: Moments by the column of a table (empty for pictures and arrays) and by what elements are divided by.
Statistics = dict[tuple[str, float], Moments]


@dataclass(frozen=True)
class Whole:
    """Statistics of a file."""

    statistics: Statistics


@dataclass(frozen=True)
class Partial:
    """Statistics of the part of a file that had been read when there was no more time."""

    statistics: Statistics


#: What comes of reading a file.
Found: TypeAlias = Whole | Partial | NotReadableError


@dataclass
class Survey:
    """What has been learnt of the files so far."""

    files: list[Path]
    mode: str
    channel_axis: int
    #: Files that have been read or found not to be readable: the first of the list.
    done: int = 0
    statistics: Statistics = field(default_factory=dict)
    #: Files that could not be read, and why.
    failed: list[tuple[str, str]] = field(default_factory=list)
    interrupted: bool = False
    #: Why a checkpoint could not be written.
    unsaved: str = ""

    def run(self, threads: int, step: Callable[[], None], checkpoint: Path | None) -> None:
        """Read what is left on `threads` threads, calling `step` after each file.

        Ctrl-C ends it early: what has been read of the first file that is not finished counts too. An OSError says that
        there can be no checkpoint.
        """
        pending: deque[Future[list[Found]]] = deque()
        rest = _tasks(self.files[self.done :])
        stop, unfinished = threading.Event(), None
        with _stopped_by_ctrl_c(stop), ThreadPoolExecutor(threads) as pool:
            try:
                if checkpoint is not None:
                    self.save(checkpoint)
                saved = time.monotonic()
                while unfinished is None:
                    while not stop.is_set() and len(pending) < 4 * threads and (paths := next(rest, None)) is not None:
                        pending.append(_submit(pool, partial(_read_each, paths, self.mode, self.channel_axis, stop)))
                    if not pending:
                        break
                    for found in pending.popleft().result():
                        if isinstance(found, Partial):
                            unfinished = found
                            break
                        self._take_in(found)
                        step()
                        if stop.is_set():
                            unfinished = Partial({})
                            break
                    if checkpoint is not None and time.monotonic() - saved > _INTERVAL:
                        self._try_to_save(checkpoint)
                        saved = time.monotonic()
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)
        self.interrupted = self.done < len(self.files)
        if checkpoint is not None:
            self._try_to_save(checkpoint)
        # No file of its own, and so in no checkpoint.
        if unfinished is not None and _conflict(self.statistics, unfinished.statistics) is None:
            self._join(unfinished.statistics)

    def _try_to_save(self, checkpoint: Path) -> None:
        """Write a checkpoint; a disk that is full must not cost what has been read."""
        try:
            self.save(checkpoint)
        except OSError as error:
            self.unsaved = str(error)

    def _take_in(self, found: Whole | NotReadableError) -> None:
        reason = found if isinstance(found, NotReadableError) else _conflict(self.statistics, found.statistics)
        if reason is None and isinstance(found, Whole):
            try:
                self._join(found.statistics)
            except Exception as error:  # no file is worth the others
                reason = NotReadableError(f"{type(error).__name__}: {error}")
        if reason is not None:
            self.failed.append((str(self.files[self.done]), str(reason)))
        self.done += 1

    def _join(self, statistics: Statistics) -> None:
        joined = dict(self.statistics)
        for key, moments in statistics.items():
            joined[key] = joined[key] + moments if key in joined else moments
        self.statistics = joined

    # --- checkpoints -------------------------------------------------------------------------------------------------

    def _digest(self) -> str:
        """Fingerprint of what is surveyed, and how."""
        import hashlib  # OpenSSL, which takes a while to load and which only checkpoints need

        listed = [[str(path), *_stamp(path)] for path in self.files]
        text = json.dumps([listed, self.mode, self.channel_axis])
        return hashlib.sha256(text.encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write what is known to `path`, which is whole at any time."""
        state = {
            "planish checkpoint": VERSION,
            "files": self._digest(),
            "done": self.done,
            "failed": self.failed,
            "statistics": [[*key, form(Moments).to_json(moments)] for key, moments in self.statistics.items()],
        }
        write_whole(path, json.dumps(state))

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint; a ValueError says why that cannot be done."""
        try:
            state = json.loads(path.read_text())
            if state["planish checkpoint"] != VERSION:
                raise ValueError("another version")
            same, done = state["files"] == self._digest(), state["done"]
            failed = [(str(name), str(why)) for name, why in state["failed"]]
            statistics = {
                (str(column), float(unit)): form(Moments).from_json(Moments, part)
                for column, unit, part in state["statistics"]
            }
            if not isinstance(done, int) or done < 0 or not all(1 <= unit < np.inf for _, unit in statistics):
                raise ValueError("a number is out of range")
        except OSError as error:
            raise ValueError(f"{path}: {error}") from None
        except Exception:  # a damaged file can be anything
            raise ValueError(f"{path} is no checkpoint of planish, or damaged; without it all starts anew") from None
        if not same or done > len(self.files):
            raise ValueError(f"{path} belongs to other files or options; without it all starts anew")
        self.done, self.statistics, self.failed = done, statistics, failed


@contextmanager
def _stopped_by_ctrl_c(stop: threading.Event) -> Iterator[None]:
    """Have Ctrl-C say so, instead of an exception wherever this thread may be; a second one ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _submit(pool: ThreadPoolExecutor, work: "Callable[[], list[Found]]") -> "Future[list[Found]]":
    """Hand work to the pool; where the system gives it no thread, this one does it."""
    done: Future[list[Found]] = Future()
    claimed = threading.Lock()

    def run() -> None:
        if not claimed.acquire(blocking=False):
            return
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    try:
        pool.submit(run)
    except (RuntimeError, MemoryError):
        run()  # and no thread of the pool, which has it in its queue
    return done


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of the last change of a file; what shows that it is another one."""
    try:
        status = path.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _tasks(files: list[Path]) -> Iterator[list[Path]]:
    """Group files for the threads: pictures are so short work that handing each over would cost a tenth of it."""
    for is_picture, group in itertools.groupby(files, lambda path: kind(path) == "picture"):
        while paths := list(itertools.islice(group, _PICTURES if is_picture else 1)):
            yield paths


def _read_each(paths: list[Path], mode: str, channel_axis: int, stop: threading.Event) -> "list[Found]":
    """Statistics of each of some files, or why there are none; up to the first that is not read to its end."""
    results: list[Found] = []
    for path in paths:
        try:
            results.append(_read(path, mode, channel_axis, stop))
        except NotReadableError as error:
            results.append(error)
        except MemoryError:
            results.append(NotReadableError("its statistics do not fit into memory"))
        except Exception as error:  # no file is worth the others
            results.append(NotReadableError(f"{type(error).__name__}: {error}"))
        if isinstance(results[-1], Partial):
            break
    return results


def _read(path: Path, mode: str, channel_axis: int, stop: threading.Event) -> "Whole | Partial":
    """Statistics of one file. Files are many: each is one thread's work."""
    found: Statistics = {}
    if stop.is_set():
        return Partial(found)
    with num_threads(1):
        for batch in batches(path, mode, channel_axis):
            if stop.is_set():
                return Partial(found)
            if batch is None:
                found = {}
                continue
            key = (batch.column, batch.unit)
            moments = found.setdefault(key, Moments(batch.channel_axis))
            try:
                moments._update_as(f"column {batch.column}" if batch.column else "it", batch.array)
            except (TypeError, ValueError) as error:
                raise NotReadableError(str(error)) from None
    if not found:
        raise NotReadableError("there is no number in it")
    return Whole(found)


def _conflict(before: Statistics, found: Statistics) -> NotReadableError | None:
    """Pixels of different depths describe the same channels."""
    both = (*before.items(), *found.items())
    plain = {moments.count.size for (column, _), moments in both if not column}
    if len(plain) <= 1:
        return None
    numbers = " and ".join(map(str, sorted(plain)))
    return NotReadableError(f"it has other channels than the files before: {numbers}")


def channels(statistics: Statistics) -> Iterator[tuple[str, int, float, float, float]]:
    """Give name, count, mean, standard deviation and unit of every channel: in scaled units, over all depths."""
    columns = dict.fromkeys(column for column, _ in statistics)
    for column in columns:
        parts = [(unit, moments) for (name, unit), moments in statistics.items() if name == column]
        # What has no element says nothing.
        parts = [part for part in parts if part[1].count.any()] or parts[:1]
        if len(parts) == 1:
            unit, moments = parts[0]
            count, mean, std = moments.count, moments.mean / unit, moments.std / unit
        else:
            total = Moments(parts[0][1].channel_axis)
            for unit, moments in parts:
                axis = moments.channel_axis
                total += Moments.from_stats(moments.count, moments.mean / unit, moments.var / unit**2, axis)
            count, mean, std = total.count, total.mean, total.std
        unit = max(parts, key=lambda part: part[1].count.sum())[0]
        for index, values in enumerate(zip(count.tolist(), mean.tolist(), std.tolist(), strict=True)):
            yield (column or str(index), int(values[0]), values[1], values[2], unit)
