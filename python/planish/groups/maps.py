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
from planish.groups.rows import Batch, Rows, gather, kept_axes, scatter
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
    dtype = result_dtype(pattern, array)
    copy = bool(pattern.copy if copy is None else copy)
    mine = isinstance(X, np.ndarray) and is_same(X, array)
    if out is None and mine and not copy and dtype == array.dtype and array.flags.writeable:
        out = X
    result = np.empty_like(array, dtype=dtype) if out is None else out
    check_out(result, array.shape, dtype, array)
    finite = assume_finite or get_config()["assume_finite"]
    if not pattern._learned:
        # There is nothing in which groups differ.
        _map_one(pattern.inverse_transform if inverse else pattern.transform, array, result)
        return result
    if is_same(result, array) and not finite:
        Extrema(None)._update_as("Input X", array, False)  # an error leaves X as it was
        finite = True
    if rows is None:
        rows = Rows(codes, len(scalers), array[0].nbytes)
    if all(map(is_affine, set(map(type, scalers)))):
        affines = [
            (scaler._inverse(), None) if inverse else (scaler._forward(), scaler._limits()) for scaler in scalers
        ]
        map_affine(array, result, rows, kept_axes(array, pattern), affines, finite)
    else:
        map_each(array, result, rows, [one.inverse_transform if inverse else one.transform for one in scalers])
    return result


def map_affine(
    X: NDArray[Any],
    out: NDArray[Any],
    rows: Rows,
    axes: tuple[int, ...],
    affines: Sequence[tuple[Affine, tuple[float, float] | None]],
    allow_infinity: bool,
) -> None:
    """Map the rows of `X` into `out`, each with the map and the limits that `affines` has for its group.

    Groups of equal size are mapped as one more axis with its own parameters: by the same operations on the same numbers
    as the rows of one group alone, so that results are the same to the last bit.
    """
    stacked = _stacked(affines)
    stacked_axes = (0, *(axis + 1 for axis in axes))

    def work(batch: Batch) -> None:
        affine, limits = affines[int(batch.groups[0])]
        if isinstance(batch.index, slice):
            affine.map(X[batch.index], axes, out.dtype, out[batch.index], True, allow_infinity, limits)
            return
        if stacked is None:
            own = affine.each(lambda values: np.asarray(values)[None])
        else:
            own = stacked.each(lambda values: values[batch.groups])
        several = len(batch.groups) > 1
        for piece in [batch.index] if several else rows.pieces(batch.index):
            x = gather(X, piece).reshape(len(batch.groups), -1, *X.shape[1:])
            y = own.map(x, stacked_axes, out.dtype, None, True, allow_infinity, limits)
            scatter(y.reshape(-1, *X.shape[1:]), piece, out)

    rows.for_each(work, rows.batches(None if stacked is not None else 1))


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
    return _core.affine(X[:1], None, None, None, True, None, scaler.dtype, None, True, True).dtype


def _stacked(affines: Sequence[tuple[Affine, Any]]) -> Affine | None:
    """Make one map of many, with a row of parameters for each; None where they cannot be done in one call."""
    forms = {(*(value is None for value in affine), affine.divide, limits) for affine, limits in affines}
    if len(forms) > 1:
        return None
    columns = zip(Affine._fields, zip(*(affine for affine, _ in affines), strict=True), strict=True)
    parts: dict[str, Any] = {name: np.array(column, np.float64) for name, column in columns if column[0] is not None}
    return affines[0][0]._replace(**{**parts, "divide": affines[0][0].divide})
