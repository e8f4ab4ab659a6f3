"""Statistics of many files: read in parallel, joined in the order of the files."""

import hashlib
import itertools
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from planish._cli.sources import NotReadableError, batches, kind
from planish._core import Moments
from planish._saved_states import moments_from_json, moments_to_json
from planish._threads import num_threads
from planish._whole_files import write_whole

#: Seconds between two checkpoints.
_INTERVAL = 5.0
_VERSION = 2
#: Pictures that are handed to a thread at a time.
_PICTURES = 8

#: Moments by the column of a table (empty for pictures and arrays) and by what elements are divided by.
Statistics = dict[tuple[str, float], Moments]


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

    def run(self, threads: int, step: Callable[[], None], checkpoint: Path | None) -> None:
        """Read what is left on `threads` threads, calling `step` after each file; Ctrl-C ends it early."""
        pending: deque[Future[list[Statistics | NotReadableError]]] = deque()
        rest = _tasks(self.files[self.done :])
        saved = time.monotonic()
        pool = ThreadPoolExecutor(threads)
        try:
            while True:
                while len(pending) < 4 * threads and (paths := next(rest, None)) is not None:
                    pending.append(pool.submit(_read_each, paths, self.mode, self.channel_axis))
                if not pending:
                    break
                # Not taken off before it is done: Ctrl-C may come while it is waited for.
                results = pending[0].result()
                pending.popleft()
                for found in results:
                    self._take_in(found)
                    step()
                if checkpoint is not None and time.monotonic() - saved > _INTERVAL:
                    self.save(checkpoint)
                    saved = time.monotonic()
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if checkpoint is not None:
            self.save(checkpoint)

    def _take_in(self, found: "Statistics | NotReadableError") -> None:
        if not isinstance(found, NotReadableError):
            try:
                _check_channels(self.statistics, found)
            except NotReadableError as error:
                found = error
        if isinstance(found, NotReadableError):
            self.failed.append((str(self.files[self.done]), str(found)))
        else:
            joined = dict(self.statistics)
            for key, moments in found.items():
                joined[key] = joined[key] + moments if key in joined else moments
            self.statistics = joined
        self.done += 1

    # --- checkpoints -------------------------------------------------------------------------------------------------

    def _digest(self) -> str:
        """Fingerprint of what is surveyed, and how."""
        listed = [[str(path), *_stamp(path)] for path in self.files]
        text = json.dumps([listed, self.mode, self.channel_axis])
        return hashlib.sha256(text.encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write what is known to `path`, which is whole at any time."""
        state = {
            "planish checkpoint": _VERSION,
            "files": self._digest(),
            "done": self.done,
            "failed": self.failed,
            "statistics": [[*key, moments_to_json(moments)] for key, moments in self.statistics.items()],
        }
        write_whole(path, json.dumps(state))

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint; a ValueError says why that cannot be done."""
        try:
            state = json.loads(path.read_text())
            if state["planish checkpoint"] != _VERSION:
                raise ValueError("another version")
            same, done = state["files"] == self._digest(), state["done"]
            failed = [(str(name), str(why)) for name, why in state["failed"]]
            statistics = {
                (str(column), float(unit)): moments_from_json(part) for column, unit, part in state["statistics"]
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


def _read_each(paths: list[Path], mode: str, channel_axis: int) -> "list[Statistics | NotReadableError]":
    """Statistics of each of some files, or why there are none."""
    results: list[Statistics | NotReadableError] = []
    for path in paths:
        try:
            results.append(_read(path, mode, channel_axis))
        except NotReadableError as error:
            results.append(error)
    return results


def _read(path: Path, mode: str, channel_axis: int) -> Statistics:
    """Statistics of one file. Files are many: each is one thread's work."""
    found: Statistics = {}
    with num_threads(1):
        for batch in batches(path, mode, channel_axis):
            key = (batch.column, batch.unit)
            moments = found.setdefault(key, Moments(batch.channel_axis))
            try:
                moments._update_as(f"column {batch.column}" if batch.column else "it", batch.array)
            except (TypeError, ValueError) as error:
                raise NotReadableError(str(error)) from None
    if not found:
        raise NotReadableError("nothing in it is a number")
    return found


def _check_channels(before: Statistics, found: Statistics) -> None:
    """Pixels of different depths describe the same channels."""
    both = (*before.items(), *found.items())
    plain = {moments.count.size for (column, _), moments in both if not column}
    if len(plain) > 1:
        numbers = " and ".join(map(str, sorted(plain)))
        raise NotReadableError(f"it has other channels than the files before: {numbers}")


def channels(statistics: Statistics) -> Iterator[tuple[str, int, float, float, float]]:
    """Give name, count, mean, standard deviation and unit of every channel: in scaled units, over all depths."""
    columns = dict.fromkeys(column for column, _ in statistics)
    for column in columns:
        parts = [(unit, moments) for (name, unit), moments in statistics.items() if name == column]
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
