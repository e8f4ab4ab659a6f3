"""Thread counts for a block of code, and work on several threads of Python."""

from collections.abc import Callable, Sequence
from threading import Lock, Thread
from types import TracebackType
from typing import Any

from planish._core import set_local_threads


class num_threads:  # noqa: N801 - used like a function
    """Context manager: the number of threads for calls made from this thread.

    Parameters
    ----------
    n : int or None
        Number of threads, at least 1; None takes an outer block's choice back.

    Examples
    --------
    >>> import planish
    >>> with planish.num_threads(1):
    ...     planish.get_num_threads()
    1
    """

    def __init__(self, n: int | None) -> None:
        self.n = n
        self._before: list[int | None] = []

    def __enter__(self) -> "num_threads":
        self._before.append(set_local_threads(self.n))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        set_local_threads(self._before.pop())


def spread(work: Callable[[Any], Any], items: Sequence[Any], threads: int) -> list[Any]:
    """Do `work` for each of `items`, in turn, on so many threads, or as many as the system gives; results in order.

    After an error no more work is begun; the first one is raised.
    """
    results: list[Any] = [None] * len(items)
    errors: list[BaseException] = []
    numbers, lock = iter(range(len(items))), Lock()

    def run() -> None:
        while True:
            with lock:
                number = None if errors else next(numbers, None)
            if number is None:
                return
            try:
                results[number] = work(items[number])
            except BaseException as error:
                errors.append(error)

    helpers: list[Thread] = []
    try:
        for _ in range(min(threads, len(items)) - 1):
            helper = Thread(target=run, daemon=True)
            try:
                helper.start()
            except (RuntimeError, MemoryError):  # no more threads: those that there are do it
                break
            helpers.append(helper)
        run()
    except BaseException as error:  # an interrupt, between two pieces of work
        errors.append(error)
    finally:
        for helper in helpers:
            helper.join()
    if errors:
        raise errors[0]
    return results
