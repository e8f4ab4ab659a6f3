"""Thread counts for a block of code."""

from types import TracebackType

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
