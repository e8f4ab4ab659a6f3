"""Batch normalisation that keeps its running statistics."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planish import _core
from planish._adding import Addable
from planish._border import as_array, floats
from planish.files import values
from planish.layers._axes import (
    epsilon,
    is_index,
)
from planish.layers._axes import number as real
from planish.layers._forward import batch_norm
from planish.layers._gradients import Gradients, batch_norm_backward
from planish.scalers._state import Parameters, State, Value, number, truth, whole

#: One more than there can be.
_MOST_CHANNELS = 1 << 48
#: Axes of an array at most, and so the numbers of one.
_MOST_AXES = 64


def _doubles_or_none(name: str) -> Value:
    """Describe an array of doubles, which may not be there."""

    def write(field: str, value: Any) -> dict[str, Any]:
        return values.array_to_json(field, np.asarray(value, dtype=np.float64), ("float64",))

    return Value(name, write, lambda field, value: values.array_from_json(field, value, ("float64",)), none=True)


class BatchNorm(Addable):
    """Batch normalisation [1]_ with parameters and running statistics.

    In training (`train`, from the start) each call normalises with the statistics of its batch and moves the running
    ones; in inference (`eval`) the running ones take their place.

    Parameters
    ----------
    num_channels : int
        Number of channels.
    eps : float, default=1e-5
        Added to the variance.
    momentum : float or None, default=0.1
        How far the running statistics move with each batch; None for their mean over all batches.
    affine : bool, default=True
        Whether there are gamma and beta.
    channel_axis : int, default=1
        The axis of the channels.

    Attributes
    ----------
    gamma, beta : ndarray of float64 of shape (num_channels,), or None
        Factors and summands: one and zero at first.
    running_mean, running_var : ndarray of float64 of shape (num_channels,)
        Zero and one at first. The variance is that of batches, unbiased.
    num_batches : int
        Batches that they are made of.
    training : bool
        Whether calls normalise with the statistics of their batch.

    References
    ----------
    .. [1] S. Ioffe, C. Szegedy, "Batch normalization", ICML 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from planish.layers import BatchNorm
    >>> norm = BatchNorm(2, momentum=None, eps=0.0)
    >>> norm(np.array([[1.0, 2.0], [3.0, 6.0]]))
    array([[-1., -1.],
           [ 1.,  1.]])
    >>> norm.eval()
    BatchNorm(2, eps=0.0, momentum=None, training=False)
    >>> norm(np.array([[2.0, 4.0]]))
    array([[0., 0.]])
    """

    _given: ClassVar[Parameters] = Parameters(
        number("eps"),
        number("momentum", none=True),
        whole("channel_axis", -_MOST_AXES, _MOST_AXES),
        truth("training"),
    )
    _learned: ClassVar[State] = State(
        *map(_doubles_or_none, ("gamma", "beta", "running_mean", "running_var")), whole("num_batches"), always=True
    )

    def __init__(
        self,
        num_channels: int,
        *,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        channel_axis: int = 1,
    ) -> None:
        for name, value in (("num_channels", num_channels), ("channel_axis", channel_axis)):
            if not is_index(value):
                raise TypeError(f"{name} must be an int; got {value!r:.80}")
        if not 1 <= num_channels < _MOST_CHANNELS:
            raise ValueError(f"num_channels must be from 1 to {_MOST_CHANNELS - 1}; got {num_channels}")
        if momentum is not None and not 0 <= real("momentum", momentum) <= 1:
            raise ValueError(f"momentum must be within 0 and 1, or None; got {momentum}")
        eps = epsilon(eps)
        self.num_channels, self.eps, self.momentum = int(num_channels), eps, momentum
        self.channel_axis, self.training, self.num_batches = channel_axis, True, 0
        self.gamma: NDArray[np.float64] | None = np.ones(num_channels) if affine else None
        self.beta: NDArray[np.float64] | None = np.zeros(num_channels) if affine else None
        self.running_mean: NDArray[np.float64] = np.zeros(num_channels)
        self.running_var: NDArray[np.float64] = np.ones(num_channels)

    def train(self, mode: bool = True) -> Self:
        """Normalise with the statistics of each batch from now on (or, with False, with the running ones).

        Parameters
        ----------
        mode : bool, default=True
            Whether to.

        Returns
        -------
        self : BatchNorm
            Itself.
        """
        self.training = bool(mode)
        return self

    def eval(self) -> Self:
        """Normalise with the running statistics from now on.

        Returns
        -------
        self : BatchNorm
            Itself.
        """
        return self.train(False)

    def __call__(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Normalise a batch.

        Parameters
        ----------
        x : array-like of float16, bfloat16, float32 or float64, of shape (n_samples, num_channels, *positions)
            The batch.
        out : ndarray, default=None
            Where to write: of the shape and dtype of `x`, which may be `x` itself.

        Returns
        -------
        ndarray of the shape and dtype of `x`
            As `batch_norm` gives it.

        Raises
        ------
        TypeError, ValueError
            As `batch_norm`. The running statistics stay as they were.
        """
        x = self._checked(x)
        # The mean over all batches moves by ever smaller steps.
        momentum = 1 / (self.num_batches + 1) if self.momentum is None else self.momentum
        y = batch_norm(
            x,
            self.gamma,
            self.beta,
            running_mean=self.running_mean,
            running_var=self.running_var,
            training=self.training,
            momentum=momentum,
            eps=self.eps,
            channel_axis=self.channel_axis,
            out=out,
        )
        # A batch without samples has no statistics.
        self.num_batches += self.training and x.size > 0
        return y

    def _checked(self, x: ArrayLike) -> NDArray[Any]:
        """Check the number of channels."""
        found = floats("x", x)
        axis = self.channel_axis
        if found.ndim > 1 and -found.ndim <= axis < found.ndim and found.shape[axis] != self.num_channels:
            raise ValueError(
                f"x has shape {found.shape}, with {found.shape[axis]} channels along axis {axis}; this BatchNorm has "
                f"{self.num_channels}"
            )
        return found

    def backward(self, dy: ArrayLike, x: ArrayLike, out: NDArray[Any] | None = None) -> Gradients:
        """Differentiate a call, as `batch_norm_backward` does.

        Parameters
        ----------
        dy : array-like of the shape and dtype of `x`
            The gradient of what the call gave.
        x : array-like of shape (n_samples, num_channels, *positions)
            What it was given.
        out : ndarray, default=None
            Where to write `dx`.

        Returns
        -------
        Gradients
            `dx`, `dgamma` and `dbeta`.
        """
        return batch_norm_backward(
            dy,
            self._checked(x),
            self.gamma,
            running_mean=self.running_mean,
            running_var=self.running_var,
            training=self.training,
            eps=self.eps,
            channel_axis=self.channel_axis,
            out=out,
        )

    # --- state -------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> dict[str, Any]:
        """Everything that it has learnt, as a dict of lists and numbers: `json` writes it and reads it back exactly.

        It can be assigned, which takes over what another one of as many channels has learnt.
        """
        learned = {name: getattr(self, name) for name in self._learned}
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in learned.items()}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        *names, last = self._learned
        if not isinstance(state, dict) or set(state) != {*names, last}:
            raise ValueError(f"a state has {', '.join(names)} and {last}; got {state!r:.80}")
        arrays: dict[str, Any] = {}
        for name in names:
            absent = state[name] is None and name in ("gamma", "beta")
            arrays[name] = None if absent else _doubles(name, state[name])
            if not absent and arrays[name].shape != (self.num_channels,):
                raise ValueError(f"{name} has shape {arrays[name].shape}; there are {self.num_channels} channels")
        if (arrays["running_var"] < 0).any():
            raise ValueError(f"running_var must not be negative; got {arrays['running_var'].min()}")
        batches = state["num_batches"]
        if isinstance(batches, bool) or not isinstance(batches, int) or batches < 0:
            raise ValueError(f"num_batches must be an int of at least 0; got {batches!r:.80}")
        for name, value in arrays.items():
            setattr(self, name, value)
        self.num_batches = batches

    @classmethod
    def _made(cls, parameters: dict[str, Any]) -> Self:
        """Make one of the parameters that a file has; how many channels there are is for `_take_in` to see."""
        training = parameters.pop("training")
        return cls(1, **parameters).train(training)

    def _known(self) -> dict[str, Any]:
        """Give the attributes that are worth saving."""
        return self.__dict__

    def _take_in(self, known: dict[str, Any]) -> None:
        """Take over what was learnt and saved."""
        mean = known["running_mean"]
        if mean is None or mean.ndim != 1 or not mean.size:
            raise ValueError("running_mean must have one value for each channel")
        self.num_channels = mean.size
        self.state = known

    def merge(self, other: BatchNorm) -> Self:
        """Change `self`: join the running statistics of one that was trained on other batches.

        Each counts by its batches. Gamma and beta, which are trained and not counted, stay. ``self + other`` makes a
        new one and changes neither.

        Parameters
        ----------
        other : BatchNorm
            Of as many channels. One that has seen no batch changes nothing.

        Returns
        -------
        self : BatchNorm
            Itself.

        Raises
        ------
        TypeError
            If `other` is no BatchNorm.
        ValueError
            If it has another number of channels.
        """
        if not isinstance(other, BatchNorm):
            raise TypeError(f"other must be a BatchNorm; got {type(other).__name__}")
        if other.num_channels != self.num_channels:
            raise ValueError(f"other has {other.num_channels} channels; this one has {self.num_channels}")
        total = self.num_batches + other.num_batches
        if other.num_batches:
            share = other.num_batches / total
            self.running_mean = (1 - share) * self.running_mean + share * other.running_mean
            self.running_var = (1 - share) * self.running_var + share * other.running_var
        self.num_batches = total
        return self

    def fold_into(
        self, weight: ArrayLike, bias: ArrayLike | None = None, *, output_axis: int = 0
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Give weight and bias of one layer that does what a linear or convolution layer and this one after it do.

        In inference normalising is an affine map of each channel with constants, and so can be part of the layer
        before it. The bias of that layer only shifts the mean, which is subtracted again: before batch normalisation
        it has no effect in training.

        Parameters
        ----------
        weight : array-like of floats of shape (num_channels, ...)
            Of a linear or convolution layer, whose outputs are the channels here.
        bias : array-like of shape (num_channels,), default=None
            Likewise; None for zero.
        output_axis : int, default=0
            The axis of the outputs in `weight`.

        Returns
        -------
        weight : ndarray of the shape and dtype of `weight`
            The folded weight.
        bias : ndarray of the dtype of `weight`, of shape (num_channels,)
            The folded bias.

        Raises
        ------
        TypeError
            If `weight` has no floating-point dtype.
        ValueError
            If it has another number of outputs.

        Examples
        --------
        >>> import numpy as np
        >>> from planish.layers import BatchNorm
        >>> norm = BatchNorm(1, eps=0.0).eval()
        >>> norm.running_mean[:], norm.running_var[:] = 3.0, 4.0
        >>> norm.fold_into(np.array([[2.0, 6.0]]), [1.0])
        (array([[1., 3.]]), array([-1.]))
        """
        weight = floats("weight", weight)
        if not is_index(output_axis):
            raise TypeError(f"output_axis must be an int; got {output_axis!r:.80}")
        outputs = weight.shape[output_axis] if -weight.ndim <= output_axis < weight.ndim else None
        if outputs != self.num_channels:
            raise ValueError(
                f"weight has shape {weight.shape}; there must be {self.num_channels} outputs along axis {output_axis}"
            )
        shift = np.zeros(self.num_channels) if bias is None else _doubles("bias", bias)
        if shift.shape != (self.num_channels,):
            raise ValueError(f"bias has shape {shift.shape}; it must have shape {(self.num_channels,)}")
        scale = 1 / np.sqrt(self.running_var + self.eps)
        if self.gamma is not None:
            scale = scale * self.gamma
        shift = (shift - self.running_mean) * scale
        if self.beta is not None:
            shift = shift + self.beta
        # Each rounded once, in one pass.
        folded = _core.Map.affine(None, scale, None, False, int(output_axis))(weight, allow_infinity=True)
        return folded, _core.Map.affine(None, None, None, False, 0, weight.dtype)(shift, allow_infinity=True)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BatchNorm):
            return NotImplemented
        return self._given.same(self, other) and self._learned.same(self, other)

    __hash__ = None  # type: ignore[assignment]  # It changes.

    def __repr__(self) -> str:
        changed = [f"eps={self.eps}", f"momentum={self.momentum}"]
        if self.gamma is None and self.beta is None:
            changed.append("affine=False")
        if self.channel_axis != 1:
            changed.append(f"channel_axis={self.channel_axis}")
        return f"BatchNorm({self.num_channels}, {', '.join(changed)}, training={self.training})"


def _doubles(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Copy real numbers to doubles."""
    found = as_array(name, values)
    if found.dtype.kind not in "biufV":
        raise ValueError(f"{name} must hold real numbers; got dtype {found.dtype}")
    return found.astype(np.float64)
