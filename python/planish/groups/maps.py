"""Maps of the rows of many groups, each with the parameters of its own scaler."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config

from planish import _core
from planish._border import check_out, is_same, map_masked, masked_like
from planish.groups.rows import Batch, Rows, gather, kept_axes
from planish.scalers._base import Affine, ChannelScaler
from planish.stats import Extrema

#: What scalers do themselves; a subclass may do something else.
_OWN = {name: getattr(ChannelScaler, name) for name in ("_apply", "transform", "inverse_transform")}


def is_affine(cls: Any) -> bool:
    """Tell whether `transform` of a scaler is the map of `_forward`, and no more."""
    return issubclass(cls, ChannelScaler) and all(getattr(cls, name) is method for name, method in _OWN.items())


def map_groups(
    X: Any,
    array: NDArray[Any],
    scalers: Sequence[Any],
    codes: NDArray[Any],
    rows: Rows | None,
    copy: bool | None,
    out: Any,
    *,
    inverse: bool,
    assume_finite: bool = False,
) -> Any:
    """Map the samples of `array`, which the caller passed as `X`, by the scaler of their group."""
    pattern = scalers[0]
    if isinstance(array, np.ma.MaskedArray):
        return _map_masked(array, scalers, codes, copy, out, inverse)
    keep = bool(pattern.copy if copy is None else copy) or not (isinstance(X, np.ndarray) and is_same(X, array))
    finite = assume_finite or get_config()["assume_finite"]
    method = "inverse_transform" if inverse else "transform"
    stacked = _stacked(scalers, inverse) if pattern._learned else None
    if stacked is not None:
        affine, limits = stacked
        ready = affine.ready(kept_axes(array, pattern), pattern.dtype, limits)
        return ready(array, out, keep, finite, np.ascontiguousarray(codes, np.uint32))
    dtype = result_dtype(pattern, array)
    if out is None:
        in_place = not keep and dtype == array.dtype and array.flags.writeable
        out = X if in_place else np.empty_like(array, dtype=dtype)
    check_out(out, array.shape, dtype, array)
    if not pattern._learned:
        # There is nothing in which groups differ.
        _map_one(getattr(pattern, method), array, out)
        return out
    if is_same(out, array) and not finite:
        Extrema(None)._update_as("Input X", array, False)  # an error leaves X as it was
    rows = Rows(codes, len(scalers), array[0].nbytes) if rows is None else rows
    map_each(array, out, rows, [getattr(scaler, method) for scaler in scalers])
    return out


def map_each(X: NDArray[Any], out: NDArray[Any], rows: Rows, methods: Sequence[Any]) -> None:
    """Map the rows of `X` into `out` by the method that `methods` has for their group."""

    def work(batch: Batch) -> None:
        for piece in rows.pieces(batch.index):
            x = gather(X, piece)
            y = np.empty_like(x, dtype=out.dtype)
            _map_one(methods[int(batch.groups[0])], x, y)
            out[piece] = y

    rows.for_each(work, rows.batches(1))


def _map_one(method: Any, X: NDArray[Any], out: NDArray[Any]) -> None:
    """Map `X` into `out`, which is an array whatever `set_output` says; a subclass's method need not know it."""
    result = method(X, out=out) if "out" in signature(method).parameters else method(X)
    if result is not out:
        out[...] = np.asarray(result)


def _map_masked(array: Any, scalers: Sequence[Any], codes: Any, copy: bool | None, out: Any, inverse: bool) -> Any:
    """Map the samples of a masked array; what is masked stays so."""
    pattern = scalers[0]
    if not pattern._learned:
        dtype = result_dtype(pattern, np.asarray(array.data))
        result = masked_like(array, np.empty(array.shape, dtype)) if out is None else out
        return (pattern.inverse_transform if inverse else pattern.transform)(array, out=result)
    others = [cls.__name__ for cls in set(map(type, scalers)) if not is_affine(cls)]
    if others:
        raise TypeError(f"X is a masked array, and the maps of {others[0]} are its own; plain arrays are accepted")

    def map_data(X: NDArray[Any], target: Any) -> NDArray[Any]:
        result: NDArray[Any] = map_groups(X, X, scalers, codes, None, copy, target, inverse=inverse, assume_finite=True)
        return result

    return map_masked(array, out, get_config()["assume_finite"], map_data)


def result_dtype(scaler: Any, X: NDArray[Any]) -> np.dtype[Any]:
    """Choose the dtype of results, by the rule of the scalers."""
    return _core.Map.affine(None, None, None, True, None, scaler.dtype)(X[:1], allow_infinity=True).dtype


def _stacked(scalers: Sequence[Any], inverse: bool) -> tuple[Affine, tuple[float, float] | None] | None:
    """Make one map of many, with a row of parameters for each, and its limits; None where they differ in kind."""
    if not all(map(is_affine, set(map(type, scalers)))):
        return None
    affines = [scaler._inverse() if inverse else scaler._forward() for scaler in scalers]
    limits = {None if inverse else scaler._limits() for scaler in scalers}
    if len(limits) > 1 or len({(*(part is None for part in affine), affine.divide) for affine in affines}) > 1:
        return None
    parts = zip(Affine._fields, zip(*affines, strict=True), strict=True)
    stacked: dict[str, Any] = {
        name: np.array(values, np.float64) for name, values in parts if values[0] is not None and name != "divide"
    }
    return affines[0]._replace(**stacked), limits.pop()
