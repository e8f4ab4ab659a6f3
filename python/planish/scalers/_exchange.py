"""Scalers taken over from scikit-learn and handed over to it."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from planish._border import shown
from planish.scalers._state import State


class ExchangeMixin:
    """A scaler of which scikit-learn has one of the same name."""

    channel_axis: int | tuple[int, ...] | None
    get_params: Any
    _learned: ClassVar[State]

    @classmethod
    def _sklearn_class(cls) -> Any:
        """Look up scikit-learn's class of the same name."""
        import sklearn.preprocessing

        # Of a subclass, that of the class of planish that it is made of.
        name = next(base.__name__ for base in cls.__mro__ if base.__module__.startswith("planish."))
        theirs = getattr(sklearn.preprocessing, name, None)
        if theirs is None:
            raise TypeError(f"scikit-learn has no {name}")
        return theirs

    @classmethod
    def from_sklearn(cls, scaler: Any) -> Self:
        """Take over a scaler of scikit-learn, fitted or not.

        Parameters
        ----------
        scaler : estimator
            An instance of the class of the same name in `sklearn.preprocessing`. It is not changed.

        Returns
        -------
        self : estimator
            With the same parameters and fitted attributes; its results are the same up to rounding.

        Raises
        ------
        TypeError
            If `scaler` is of another class.
        """
        theirs = cls._sklearn_class()
        if not isinstance(scaler, theirs):
            raise TypeError(f"scaler must be a sklearn.preprocessing.{cls.__name__}; got {type(scaler).__name__}")
        ours = cls(**{name: value for name, value in scaler.get_params(deep=False).items() if name in _names(cls)})
        cls._learned.copy(scaler, ours)
        ours._restore()
        return ours

    def to_sklearn(self) -> Any:
        """Hand over to scikit-learn: for code that asks for its classes, such as converters to ONNX.

        Returns
        -------
        scaler : estimator
            An instance of the class of the same name in `sklearn.preprocessing`, with the same parameters and fitted
            attributes; its results are the same up to rounding.

        Raises
        ------
        ValueError
            If this one does what scikit-learn's cannot: `channel_axis` other than the columns of a table, `dtype`, or
            what the installed scikit-learn does not have yet.
        """
        theirs = self._sklearn_class()
        usual = type(self)().get_params(deep=False)
        if is_columns(self.channel_axis):
            usual["channel_axis"] = self.channel_axis
        parameters = self.get_params(deep=False)
        names = _names(theirs)
        for name in parameters.keys() - names:
            if parameters[name] != usual[name]:
                raise ValueError(
                    f"scikit-learn's {type(self).__name__} has no {name}; this one has {name}={shown(parameters[name])}"
                )
        scaler = theirs(**{name: value for name, value in parameters.items() if name in names})
        self._learned.copy(self, scaler)
        return scaler

    def _restore(self) -> None:
        """Make what `partial_fit` goes on from of the fitted attributes, where that can be done."""


def is_columns(channel_axis: Any) -> bool:
    """Tell whether the channels of a table are its columns."""
    return isinstance(channel_axis, int | np.integer | tuple) and channel_axis in (-1, 1, (-1,), (1,))


def _names(cls: Any) -> list[str]:
    names: list[str] = cls._get_param_names()
    return names
