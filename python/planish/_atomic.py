"""Methods that leave their object as it was where they fail."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])


def all_or_nothing(method: _F) -> _F:
    """Have `method` put all attributes back where it raises, be it an interrupt.

    What the attributes refer to must be replaced, never changed, by the method.
    """

    @wraps(method)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = dict(self.__dict__)
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            self.__dict__ = before
            raise

    return run  # type: ignore[return-value]
