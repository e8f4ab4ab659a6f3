"""Thread counts for a block of code, and work on several threads of Python."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar, copy_context
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self

from planish._core import check_num_threads

#: The blocks that are open in this context, the innermost last, with their numbers. The core asks it, for large calls.
_BLOCKS: "ContextVar[tuple[tuple[num_threads, int | None], ...]]" = ContextVar("planish.num_threads", default=())


class num_threads:  # noqa: N801 - used like a function
    """Context manager: the number of threads for calls made in a block of code.

    Parameters
    ----------
    n : int or None
        Number of threads, at least 1; None takes an outer block's choice back.

    Raises
    ------
    ValueError
        If `n` is less than 1.

    Notes
    -----
    The number is kept in a context variable [1]_: it holds in the thread and in the asyncio task that opened the block,
    and in those that are started with a copy of their context, such as tasks and `asyncio.to_thread`; other threads and
    tasks do not see it. A generator has no context of its own: while it is suspended inside of a block, the number
    holds for whoever goes on in the same context, until the block ends. Functions under `contextlib.contextmanager` and
    fixtures rely on that.

    References
    ----------
    .. [1] PEP 567, "Context Variables".

    Examples
    --------
    >>> import planish
    >>> with planish.num_threads(1):
    ...     planish.get_num_threads()
    1
    """

    def __init__(self, n: int | None) -> None:
        self.n = n

    def __enter__(self) -> Self:
        _BLOCKS.set((*_BLOCKS.get(), (self, check_num_threads(self.n))))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Its own block, wherever that is: those of generators need not end in the order in which they began.
        blocks = _BLOCKS.get()
        for at in reversed(range(len(blocks))):
            if blocks[at][0] is self:
                _BLOCKS.set(blocks[:at] + blocks[at + 1 :])
                return


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
            helper = Thread(target=copy_context().run, args=(run,), daemon=True)
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
