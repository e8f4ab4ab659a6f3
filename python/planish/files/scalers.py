"""The scalers as JSON, and back. scikit-learn is not imported here: whoever has a scaler has it."""

import math
from collections.abc import Callable
from reprlib import repr as brief
from typing import Any, TypeAlias

import numpy as np

from planish.files.accumulators import ACCUMULATORS, MOST_BLOCKS
from planish.files.values import (
    NUMBERS,
    array_from_json,
    array_to_json,
    axes_from_json,
    axes_to_json,
    fields,
    number_from_json,
    number_of_axes,
    number_to_json,
    output_dtype,
    truth,
    whole,
)
from planish.images import inputs as inputs

Json: TypeAlias = dict[str, Any]
Shape: TypeAlias = tuple[int, ...]

#: What `fit` learns of each channel, by the class.
_LEARNED = {
    "StandardScaler": ("mean_", "var_", "scale_"),
    "MinMaxScaler": ("min_", "scale_", "data_min_", "data_max_", "data_range_"),
    "MaxAbsScaler": ("scale_", "max_abs_"),
    "RobustScaler": ("center_", "scale_"),
    "Normalizer": (),
    "LogScaler": (),
}
#: Classes that leave out, as None, what their parameters do not ask for.
_WITH_NONE = ("StandardScaler", "RobustScaler")
_NOT_NEGATIVE = ("var_", "data_range_", "max_abs_")
_SAMPLES = "n_samples_seen_"
#: Classes that have it.
_COUNTING = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler")
_EXACT = ("low", "divisor", "end")
#: The second word of the divisor, and what stands for both in results of fewer digits: files may lack them.
_EXACT_LATER = ("rest", "narrow")
#: Parameters that files may lack, since the class did not always have them.
_LATER = ("n_blocks",)
_OUTPUT = "_sklearn_output_config"
_CONTAINERS = ("default", "pandas", "polars")


def scaler_to_json(scaler: Any) -> Json:
    """Write the parameters of a scaler, and what it has learnt."""
    return {"parameters": parameters_to_json(scaler), "state": state_to_json(scaler)}


def parameters_to_json(scaler: Any) -> Json:
    """Write the parameters of a scaler."""
    values = scaler.get_params(deep=False)
    return {name: _PARAMETERS[name][0](name, value) for name, value in values.items()}


def scaler_from_json(cls: Any, document: Json) -> Any:
    """Read a scaler, which is one that works."""
    found = fields(f"a {cls.__name__}", document, ("parameters", "state"))
    names = cls._get_param_names()
    values = fields("parameters", found["parameters"], [name for name in names if name not in _LATER], names)
    parameters = {name: _PARAMETERS[name][1](name, value) for name, value in values.items()}
    if parameters.get("channel_axis") == -1:
        del parameters["channel_axis"]  # a file does not say whether the default was asked for
    scaler = cls(**parameters)
    # Not `_check_parameters`, which can be turned off.
    scaler._validate_params()
    if hasattr(scaler, "feature_range"):
        scaler._check_feature_range()
    low, high = getattr(scaler, "quantile_range", (0, 100))
    if not 0 <= low <= high <= 100:
        raise ValueError(f"quantile_range must ascend within 0 and 100; got {scaler.quantile_range}")
    if hasattr(scaler, "_check_constants"):
        scaler._check_constants()
    restore(scaler, found["state"])
    return scaler


# --- parameters ------------------------------------------------------------------------------------------------------


def _pair_to_json(name: str, value: Any) -> list[Any]:
    if not isinstance(value, tuple) or len(value) != 2:
        raise ValueError(f"{name} must be a tuple of two numbers; got {brief(value)}")
    return [number_to_json(name, number) for number in value]


def _pair_from_json(name: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{name} must be a list of two numbers; got {brief(value)}")
    pair = tuple(number_from_json(name, number) for number in value)
    if not all(map(math.isfinite, pair)):
        raise ValueError(f"{name} must be finite; got {pair}")
    return pair


def _dtype(name: str, value: Any) -> str | None:
    return None if value is None else inputs.output_dtype(value)


def _dtype_from_json(name: str, value: Any) -> str | None:
    return None if value is None else output_dtype(name, value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string; got {brief(value)}")
    return str(value)


def _blocks(name: str, value: Any) -> int | None:
    return None if value is None else whole(name, number_to_json(name, value), 1, MOST_BLOCKS)


def _base_to_json(name: str, value: Any) -> Any:
    return _text(name, value) if isinstance(value, str) else number_to_json(name, value)


def _base_from_json(name: str, value: Any) -> Any:
    return value if value == "e" else number_from_json(name, value)


def _constants_to_json(name: str, value: Any) -> Any:
    """Write a number, or numbers for channels, which come back as an array."""
    if isinstance(value, float | int | np.integer | np.floating):
        return number_to_json(name, value)
    return array_to_json(name, np.asarray(value), NUMBERS)


def _constants_from_json(name: str, value: Any) -> Any:
    return array_from_json(name, value, NUMBERS) if isinstance(value, dict) else number_from_json(name, value)


_TRUTH, _PAIR = (truth, truth), (_pair_to_json, _pair_from_json)
#: How each parameter is written and read.
_PARAMETERS: dict[str, tuple[Callable[[str, Any], Any], Callable[[str, Any], Any]]] = {
    **dict.fromkeys(
        ("copy", "clip", "with_mean", "with_std", "with_centering", "with_scaling", "unit_variance", "log1p"), _TRUTH
    ),
    **dict.fromkeys(("feature_range", "quantile_range"), _PAIR),
    "channel_axis": (lambda name, value: axes_to_json(value), lambda name, value: axes_from_json(value)),
    "dtype": (_dtype, _dtype_from_json),
    **dict.fromkeys(("norm", "invalid"), (_text, _text)),
    "base": (_base_to_json, _base_from_json),
    **dict.fromkeys(("offset", "scale"), (_constants_to_json, _constants_from_json)),
    "n_blocks": (_blocks, _blocks),
}


# --- what was learnt -------------------------------------------------------------------------------------------------


def books_to_json(scaler: Any) -> Json:
    """Write what scikit-learn keeps of every estimator."""
    known, state = vars(scaler), {}
    if "n_features_in_" in known:
        state["n_features_in_"] = number_to_json("n_features_in_", known["n_features_in_"])
    if "feature_names_in_" in known:
        state["feature_names_in_"] = [_text("a feature name", name) for name in known["feature_names_in_"]]
    columns = known.get("_columns")
    if columns is not None:
        names = isinstance(columns, np.ndarray)
        state["columns"] = [_text("a name of a column", name) for name in columns] if names else int(columns)
    if _OUTPUT in known:
        state["set_output"] = dict(known[_OUTPUT])
    return state


def state_to_json(scaler: Any) -> Json:
    """Write what a scaler has learnt."""
    known, state = vars(scaler), books_to_json(scaler)
    if "scale_" not in known:
        return state
    if _SAMPLES in known:
        count = known[_SAMPLES]
        is_numpy = isinstance(count, np.ndarray | np.generic)
        state[_SAMPLES] = array_to_json(_SAMPLES, count, NUMBERS) if is_numpy else number_to_json(_SAMPLES, count)
    for name in _LEARNED[type(scaler).__name__]:
        value = known.get(name)
        state[name] = None if value is None else array_to_json(name, value)
    # What `transform` of a MinMaxScaler uses as long as nobody has replaced an attribute.
    if "_exact" in known and known["_exact"][0] == scaler._attributes():
        forward = known["_exact"][1]
        values = (forward.shift, forward.scale, forward.offset, forward.rest, forward.narrow)
        exact = zip((*_EXACT, *_EXACT_LATER), values, strict=True)
        state["exact"] = {name: None if value is None else array_to_json(name, value) for name, value in exact}
    if "_half" in known:
        state["half"] = array_to_json("half", known["_half"])
    # Those that were taken over in part are of no use without the knowledge of which.
    if "_statistics" in known and not known.get("_unknown"):
        statistics = known["_statistics"]
        to_json, _ = _accumulator(statistics)
        state["statistics"] = to_json(statistics)
    return state


def restore(scaler: Any, document: Any) -> None:
    """Read what was learnt, where all of it agrees."""
    name = type(scaler).__name__
    learned = _LEARNED[name]
    books = ("n_features_in_", "feature_names_in_", "columns", "set_output")
    state = fields("state", document, (), (*books, *learned, _SAMPLES, "exact", "half", "statistics"))
    restore_books(scaler, state)
    if not state.keys() - set(books):
        return
    counts = name in _COUNTING
    extra: tuple[str, ...] = ("statistics",) if hasattr(scaler, "_empty") else ()
    extra += {"MinMaxScaler": ("exact",), "RobustScaler": ("half",)}.get(name, ())
    fields("state", state, (books[0], *learned, *((_SAMPLES,) if counts else ())), (*books, *extra))
    shapes: dict[str, Shape] = {}
    for attribute in learned:
        value = _channels(attribute, state[attribute], name in _WITH_NONE)
        setattr(scaler, attribute, value)
        if value is not None:
            shapes[attribute] = value.shape
    if "statistics" in state:
        _, from_json = _accumulator(scaler._empty())
        scaler._statistics = from_json(state["statistics"])
        scaler._check_streamable()
        shapes["statistics"] = np.shape(scaler._statistics.count)
    if "exact" in state:
        exact = fields("exact", state["exact"], _EXACT, (*_EXACT, *_EXACT_LATER))
        parts = (*_EXACT, *_EXACT_LATER)
        values = [_channels(part, exact.get(part), part not in _EXACT[:2]) for part in parts]
        shapes |= {part: value.shape for part, value in zip(parts, values, strict=True) if value is not None}
        scaler._use_maps(*values)
    if "half" in state:
        scaler._half = _channels("half", state["half"], False)
        shapes["half"] = scaler._half.shape
    if counts:
        samples = _samples(state[_SAMPLES], name == "StandardScaler")
        if np.ndim(samples) > 0:
            shapes[_SAMPLES] = samples.shape
        setattr(scaler, _SAMPLES, samples)
    _check_shapes(scaler, shapes)
    for affine in (scaler._forward, scaler._inverse):
        affine()  # a ValueError where a parameter asks for what was not learnt
    if hasattr(scaler, "_note_blocks"):
        scaler._note_blocks()


def restore_books(scaler: Any, state: Json) -> None:
    """Read what scikit-learn keeps of every estimator."""
    if "n_features_in_" in state:
        scaler.n_features_in_ = whole("n_features_in_", state["n_features_in_"])
    if "feature_names_in_" in state:
        names = state["feature_names_in_"]
        if not isinstance(names, list) or set(map(type, names)) != {str}:
            raise ValueError(f"feature_names_in_ must be a list of strings; got {brief(names)}")
        if len(names) != state.get("n_features_in_"):
            raise ValueError(f"feature_names_in_ has {len(names)} names; n_features_in_ must be equal to that")
        scaler.feature_names_in_ = np.array(names, dtype=object)
    if "columns" in state:
        scaler._columns = _columns(state["columns"])
    if "set_output" in state:
        config = fields("set_output", state["set_output"], (), ("transform",))
        if any(not isinstance(value, str) or value not in _CONTAINERS for value in config.values()):
            raise ValueError(f"set_output must name one of {', '.join(_CONTAINERS)}; got {brief(config)}")
        setattr(scaler, _OUTPUT, config)


def _columns(value: Any) -> Any:
    """Read the columns that `fit` saw where they were not the channels: their names, or how many."""
    if not isinstance(value, list):
        return whole("columns", value)
    if set(map(type, value)) != {str}:
        raise ValueError(f"columns must be a number or a list of strings; got {brief(value)}")
    return np.array(value, dtype=object)


def _accumulator(statistics: Any) -> Any:
    """Look up how statistics of this class are written and read."""
    name = type(statistics).__name__
    if name not in ACCUMULATORS:
        raise ValueError(f"statistics of the class {name} cannot be saved; those of {', '.join(ACCUMULATORS)} can")
    return ACCUMULATORS[name]


def _channels(name: str, value: Any, may_be_none: bool) -> Any:
    """Read one number for each channel."""
    if value is None and may_be_none:
        return None
    array = array_from_json(name, value)
    if name in _NOT_NEGATIVE and (array < 0).any():
        raise ValueError(f"{name} must not be negative")
    return array


def _samples(value: Any, may_differ: bool) -> Any:
    """Read a number of samples; for each channel where that `may_differ`."""
    samples = array_from_json(_SAMPLES, value, NUMBERS) if isinstance(value, dict) else whole(_SAMPLES, value)
    if not may_differ and (np.ndim(samples) > 0 or not isinstance(samples, int | np.integer)):
        raise ValueError(f"{_SAMPLES} must be one integer")
    if not (np.isfinite(samples) & (np.asarray(samples) >= 0)).all():
        raise ValueError(f"{_SAMPLES} must be finite and not negative")
    return samples


def _check_shapes(scaler: Any, shapes: dict[str, Shape]) -> None:
    """Everything describes the same channels."""
    axis = scaler.channel_axis
    first = next(iter(shapes.items()), None)
    for name, shape in shapes.items():
        if first is not None and shape != first[1]:
            raise ValueError(f"{name} has shape {shape} and {first[0]} has shape {first[1]}; they must be equal")
        if len(shape) != number_of_axes(axis):
            raise ValueError(f"{name} has shape {shape}, which does not suit channel_axis={axis}")
        if scaler.n_features_in_ != math.prod(shape):
            raise ValueError(f"{name} has shape {shape}, but n_features_in_ is {scaler.n_features_in_}")
