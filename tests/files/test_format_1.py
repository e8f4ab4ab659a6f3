"""Files of format 1, which people have: they load for ever, and give the results that are beside them.

These are as format 1 gave them, but for counts beyond 2^53, which were rounded, and one last digit of a mean.
"""

import json
import random
import warnings
from pathlib import Path

import numpy as np
import planish
import pytest
from planish.files.versions import VERSION
from planish.layers import BatchNorm
from planish.stats import Extrema, MedianOfMeans, Moments, Quantiles

FOLDER = Path(__file__).parent / "format_1"
FILES = sorted(path for path in FOLDER.glob("*.json") if not path.name.endswith(".results.json"))
#: What `planish stats --save` wrote.
SURVEYS = sorted((FOLDER / "stats").glob("*.json"))
ATTRIBUTES = (
    *("mean_", "var_", "scale_", "min_", "data_min_", "data_max_", "data_range_", "max_abs_", "center_", "std_"),
    *("n_samples_seen_", "n_features_in_", "n_pixels_seen_", "groups_", "running_mean", "running_var", "num_batches"),
    *("gamma", "beta", "count", "mean", "var", "std", "scale", "min", "max", "quantiles", "n_blocks", "ddof", "q"),
)


def written(value):
    """A value as JSON: every bit but those of NaN."""
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.name == "bfloat16":
            array = array.astype(np.float32)
        return [array.dtype.name, list(array.shape), [written(part) for part in array.reshape(-1).tolist()]]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return [written(part) for part in value] if isinstance(value, list | tuple) else value


def known(obj):
    """What an object says of itself."""
    found = {"repr": repr(obj)}
    for name in ATTRIBUTES:
        try:
            value = getattr(obj, name)
        except (AttributeError, ValueError):
            continue
        found[name] = written(value)
    for label, scaler in getattr(obj, "scalers_", {}).items():
        found[f"scaler of {label!r}"] = known(scaler)
    return found


def data(shape, dtype="f8"):
    """Numbers that go up and down, all above zero."""
    return (np.arange(np.prod(shape, dtype=int)) * 37 % 101 + 0.5).reshape(shape).astype(dtype)


def batch_for(obj, dtype):
    """An array with the channels of an object."""
    if isinstance(obj, planish.ImageNormalizer):
        shape = [4, 5, 3]
        if np.size(getattr(obj, "mean_", 0)) == 60:
            shape = [4, 5, 3]
        elif obj.layout.startswith("NCHW"):
            shape = [3, 4, 5]
        return data((2, *shape), dtype)
    if isinstance(obj, BatchNorm):
        return data((6, obj.num_channels), "f8")
    axis = -1 if isinstance(obj, planish.GroupedScaler) else obj.channel_axis
    axes = () if axis is None else axis if isinstance(axis, tuple) else (axis,)
    channels = ()
    for name in ("scale_", "center_", "mean_", "count", "offset"):
        try:
            channels = channels or np.shape(getattr(obj, name))
        except (AttributeError, ValueError):
            continue
    channels = channels or (getattr(obj, "n_features_in_", 4),) * len(axes)
    ndim = max(len(axes) + 1, 2, *(-axis if axis < 0 else axis + 1 for axis in axes), 0)
    lengths = [6] + [2] * (ndim - 1)
    for at, length in zip(sorted(axis % ndim for axis in axes), channels, strict=True):
        lengths[at] = length
    return data(lengths, dtype)


def results(obj):
    """What an object says, what it makes of data, and what it says after more of them."""
    if isinstance(obj, dict):
        return {name: results(part) for name, part in obj.items()}
    found = [known(obj)]
    groups = {}
    if isinstance(obj, planish.GroupedScaler):
        labels = getattr(obj, "groups_", np.arange(2)).tolist()
        groups = {"groups": [labels[i % len(labels)] for i in range(6)]}
    for dtype in ("f8", "f4", "u1"):
        X = batch_for(obj, dtype)
        if isinstance(obj, BatchNorm):
            found.append(written(obj(X)))
            continue
        if hasattr(obj, "set_output"):
            obj.set_output(transform="default")
        for name in ("transform", "inverse_transform"):
            if hasattr(obj, name):
                try:
                    more = groups if getattr(obj, "groups", None) is None or name != "transform" else None
                    if more is not None:
                        found.append(written(getattr(obj, name)(X, **more)))
                except (AttributeError, TypeError, ValueError) as error:
                    found.append(type(error).__name__)
        if isinstance(obj, Extrema | MedianOfMeans | Moments | Quantiles):
            found.append(known(obj.update(X)))
            found.append(known(obj + obj))
        elif hasattr(obj, "partial_fit") and getattr(obj, "groups", None) is None:
            try:
                found.append(known(obj.partial_fit(X, **groups)))
            except ValueError as error:
                found.append(type(error).__name__)
    return found


def quietly(function, *args):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(*args)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_of_format_1(path):
    expected = json.loads(path.with_suffix(".results.json").read_text("utf-8"))
    found = quietly(results, planish.load(path))
    assert json.loads(json.dumps(found)) == expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_they_are_the_same_in_the_present_format(path):
    text = planish.dumps(planish.load(path))
    assert json.loads(text)["planish"] == VERSION
    expected = json.loads(path.with_suffix(".results.json").read_text("utf-8"))
    assert json.loads(json.dumps(quietly(results, planish.loads(text)))) == expected


@pytest.mark.parametrize("path", SURVEYS, ids=lambda path: path.stem)
def test_what_planish_stats_saved(path, tmp_path):
    """`planish apply` maps as it did, and `planish.load` makes a scaler that does about the same."""
    CliRunner = pytest.importorskip("click.testing").CliRunner
    pytest.importorskip("nanoarrow")
    from planish.cli.commands import planish as command

    source, expected = path.with_suffix(".source.npy"), np.load(path.with_suffix(".results.npy"))
    call = [command, ["apply", str(path), str(source), str(tmp_path / "y.npy"), "--dtype", "float64"]]
    assert CliRunner().invoke(*call).exit_code == 0
    assert np.load(tmp_path / "y.npy").tobytes() == expected.tobytes()
    scaler, X = planish.load(path), np.load(source)
    if isinstance(scaler, planish.ImageNormalizer):
        assert scaler.mean_.tobytes() == np.float64(json.loads(path.read_text())["mean"]).tobytes()
        return
    np.testing.assert_allclose(quietly(scaler.transform, X.astype("f8")), expected, rtol=1e-12, atol=1e-12)


def test_there_are_files_of_every_class():
    """Of those that format 1 had."""
    scalers = ["StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "Normalizer", "LogScaler"]
    statistics = ["Moments", "Extrema", "Quantiles", "MedianOfMeans"]
    known = {*scalers, *statistics, "GroupedScaler", "ImageNormalizer", "BatchNorm", "dict"}
    assert {json.loads(path.read_text("utf-8"))["class"] for path in FILES} == known
    assert SURVEYS


NASTY = [None, True, "", "nan", [], {}, [[]], {"a": 1}, -1, 0, 2**64, 0.5, "exact", [1, 2]]


def places(value):
    """Every container in a document with each of its keys."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from places(part)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_files_of_format_1(seed):
    """Whatever is damaged is a ValueError, whichever step meets it."""
    chance = random.Random(seed)
    texts = [path.read_text("utf-8") for path in (*FILES, *SURVEYS)]
    loaded = 0
    for _ in range(1500):
        document = json.loads(chance.choice(texts))
        found = [place for place in places(document) if place[1] != "planish"]
        container, key = chance.choice(found if chance.random() < 0.5 else found[: len(document) * 4])
        if chance.random() < 0.2:
            del container[key]
        else:
            container[key] = chance.choice(NASTY)
        try:
            quietly(planish.loads, json.dumps(document))
            loaded += 1
        except ValueError as error:
            if not str(error).startswith("the text cannot be loaded: "):
                raise
    assert loaded < 1200
