"""Thread counts for a block of code."""

from contextvars import ContextVar
from types import TracebackType
from typing import Self

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
