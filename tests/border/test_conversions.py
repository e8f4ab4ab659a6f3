"""What is made into arrays: tables of every kind, what stands in their columns, and the errors on the way."""

import subprocess
import sys
import threading
from decimal import Decimal

import numpy as np
import pandas as pd
import planish
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from planish import (
    GroupedScaler,
    ImageNormalizer,
    LogScaler,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
    layers,
)
from planish.stats import Extrema, MedianOfMeans, Moments, Quantiles

pytestmark = pytest.mark.dependencies

ACCUMULATORS = {"Moments": Moments, "Extrema": Extrema, "Quantiles": Quantiles, "median": lambda: MedianOfMeans(1)}
SCALERS = [StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, Normalizer, LogScaler]
NAN = float("nan")


def tables():
    for library, frame in (("pandas", pd.DataFrame), ("polars", pl.DataFrame), ("pyarrow", pa.table)):
        yield f"{library} mixed", frame({"a": [True, False], "b": [1, 2]}), [[1, 1], [0, 2]]
        yield f"{library} decimal", frame({"a": [Decimal("1.5"), Decimal(2)], "b": [1, 2]}), [[1.5, 1], [2, 2]]
        yield f"{library} floats", frame({"a": [1.5, 2.0], "b": [1, 2]}), [[1.5, 1], [2, 2]]
        yield f"{library} missing", frame({"a": [Decimal("1.5"), None], "b": [1, None]}), [[1.5, 1], [NAN, NAN]]
    for name, dtype in (("nullable", "Int64"), ("arrow", "int64[pyarrow]")):
        column = pd.array([1, None], dtype=dtype)
        yield f"pandas {name}", pd.DataFrame({"a": column, "b": [1, 2]}), [[1, 1], [NAN, 2]]
    logical = {"a": pd.array([True, None], dtype="boolean"), "b": pd.array([1.5, 2], dtype="Float64")}
    yield "pandas boolean", pd.DataFrame(logical), [[1, 1.5], [NAN, 2]]
    yield "pandas category", pd.DataFrame({"a": pd.Categorical([3, 4]), "b": [1, 2]}), [[3, 1], [4, 2]]
    yield "batch", pa.RecordBatch.from_pydict({"a": [True, False], "b": [1, 2]}), [[1, 1], [0, 2]]
    yield "list", [[None, 1.0], [2, 3]], [[NAN, 1], [2, 3]]
    yield "objects", np.array([[None, True], [Decimal(2), 3]], object), [[NAN, 1], [2, 3]]


TABLES = {name: (table, np.array(values, float)) for name, table, values in tables()}


@pytest.mark.parametrize("kind", list(TABLES))
@pytest.mark.parametrize("name", list(ACCUMULATORS))
def test_accumulators_take_what_scalers_take(name, kind):
    table, values = TABLES[kind]
    accumulator = ACCUMULATORS[name]().update(table)
    assert accumulator == ACCUMULATORS[name]().update(values)
    if name == "Moments":
        np.testing.assert_array_equal(accumulator.mean, StandardScaler().fit(table).mean_)


@pytest.mark.parametrize("name", list(ACCUMULATORS))
def test_columns_of_tables(name):
    accumulator = type(ACCUMULATORS[name]())(**({"n_blocks": 1} if name == "median" else {}), channel_axis=None)
    for column in (
        pd.Series([1, None], dtype="Int64"),
        pl.Series([1, None]),
        pa.array([1, None]),
        pa.chunked_array([[1, None]]),
    ):
        accumulator.update(column)
    assert accumulator.count == 4


@pytest.mark.parametrize("name", list(ACCUMULATORS))
@pytest.mark.parametrize("form", [scipy.sparse.csr_matrix, scipy.sparse.coo_array, scipy.sparse.csc_array])
def test_accumulators_say_of_sparse_what_scalers_say(name, form):
    with pytest.raises(TypeError, match="Sparse data was passed for X, but dense data is required") as theirs:
        LogScaler().fit(form(np.eye(2)))
    with pytest.raises(TypeError) as ours:
        ACCUMULATORS[name]().update(form(np.eye(2)))
    assert str(ours.value) == str(theirs.value).replace("for X", "for x")


def texts():
    columns = {"size": [1, 2], "city": ["Bern", "Oslo"]}
    yield "pandas", pd.DataFrame(columns), "'city'", "'Bern'"
    yield "strings", pd.DataFrame(columns | {"city": pd.array(["Bern", "Oslo"], "string")}), "'city'", "'Bern'"
    yield "category", pd.DataFrame(columns | {"city": pd.Categorical(["Bern", "Oslo"])}), "'city'", "'Bern'"
    yield "dates", pd.DataFrame({"size": [1, 2], "day": pd.to_datetime(["2020-01-01"] * 2)}), "'day'", "2020-01-01"
    yield "polars", pl.DataFrame(columns), "'city'", "'Bern'"
    yield "pyarrow", pa.table(columns), "'city'", "'Bern'"
    yield "objects", np.array([[1, "Bern"], [2, "Oslo"]], object), "1", "'Bern'"
    yield "late", pd.DataFrame({"size": ["1", "2"], 7: ["3", "x" * 10**6]}), "7", "'xxxx"


TEXTS = {kind: rest for kind, *rest in texts()}


@pytest.mark.parametrize("kind", list(TEXTS))
def test_errors_name_the_column(kind):
    table, column, value = TEXTS[kind]
    calls = [cls().fit for cls in SCALERS] + [cls().partial_fit for cls in SCALERS if hasattr(cls, "merge")]
    calls += [planish.scale, planish.normalize, planish.minmax_scale]
    calls += [lambda X: GroupedScaler(StandardScaler()).fit(X, groups=[1, 2])]
    for call in (*calls, *(make().update for make in ACCUMULATORS.values())):
        with pytest.raises((TypeError, ValueError), match=f"column {column} of [xX] holds .*{value}") as caught:
            call(table)
        assert len(str(caught.value)) < 2500


# --- errors of the process -------------------------------------------------------------------------------------------


class Raising:
    """An object that raises when NumPy asks it for an array."""

    def __init__(self, error, name="__array__"):
        self.error = error
        self.name = name

    def __getattr__(self, name):
        if name == self.__dict__.get("name"):
            return lambda *_, **__: self.fail()
        raise AttributeError(name)

    def fail(self):
        raise self.error


class RaisingArray(Raising):
    def __array__(self, dtype=None, copy=None):
        self.fail()


class RaisingCapsule(Raising):
    def __dlpack__(self, **_):
        self.fail()

    def __dlpack_device__(self):
        return (1, 0)


class RaisingIndex(Raising):
    def __index__(self):
        self.fail()


X = np.random.default_rng(0).uniform(1, 2, (6, 3))
IMAGE = np.zeros((4, 4, 3), np.uint8)
PLACES = {
    **{f"{cls.__name__}.fit": cls().fit for cls in SCALERS},
    **{f"{cls.__name__}.transform": cls().fit(X).transform for cls in SCALERS},
    **{f"{name}.update": lambda x, make=make: make().update(x) for name, make in ACCUMULATORS.items()},
    "mask": lambda x: Moments().update(X, mask=x),
    "weights": lambda x: Moments().update(X, weights=x),
    "median mask": lambda x: MedianOfMeans(2).update(X, mask=x),
    "median weights": lambda x: MedianOfMeans(2).update(X, x),
    "sample_weight": lambda x: StandardScaler().fit(X, sample_weight=x),
    "fit mask": lambda x: RobustScaler().fit(X, mask=x),
    "constants": lambda x: StandardScaler.from_stats(x, [1.0]),
    "moments": lambda x: Moments.from_stats(2, x, [1.0]),
    "q": lambda x: Quantiles(x),
    "scale": planish.scale,
    "normalize": planish.normalize,
    "layer_norm": layers.layer_norm,
    "gamma": lambda x: layers.layer_norm(X, x),
    "gradient": lambda x: layers.layer_norm_backward(X, x),
    "images": ImageNormalizer.imagenet(),
    "list of images": lambda x: ImageNormalizer.imagenet()([IMAGE, x]),
    "fit of images": ImageNormalizer().fit,
    "image constants": lambda x: ImageNormalizer(x, 1.0),
    "grouped": lambda x: GroupedScaler(StandardScaler()).fit(x, groups=[1, 2]),
    "groups": lambda x: GroupedScaler(StandardScaler()).fit(X, groups=x),
}
GRAVE = [KeyboardInterrupt, SystemExit, MemoryError, RecursionError, GeneratorExit]


@pytest.mark.parametrize("error", GRAVE)
@pytest.mark.parametrize("place", list(PLACES))
def test_errors_of_the_process_pass(place, error):
    raised = error("mine")
    with pytest.raises(error) as caught:
        PLACES[place](RaisingArray(raised))
    assert caught.value is raised


@pytest.mark.parametrize("error", GRAVE)
@pytest.mark.parametrize(
    "place", ["Moments.update", "median.update", "layer_norm", "images", "list of images", "fit of images"]
)
def test_errors_of_the_process_pass_dlpack(place, error):
    with pytest.raises(error, match="mine"):
        PLACES[place](RaisingCapsule(error("mine")))


@pytest.mark.parametrize("error", GRAVE)
def test_errors_of_the_process_pass_axes(error):
    for call in (Moments, Extrema, lambda axis: Moments((0, axis))):
        with pytest.raises(error, match="mine"):
            call(RaisingIndex(error("mine")))


@pytest.mark.parametrize("place", ["Moments.update", "median.update", "layer_norm", "images", "fit of images"])
def test_other_errors_name_the_argument(place):
    for error in (ValueError, TypeError, RuntimeError, BufferError, KeyError, OSError):
        with pytest.raises(TypeError, match=r"^(x|X|X\[0\]) is a RaisingArray that gives no array: .*mine") as caught:
            PLACES[place](RaisingArray(error("mine")))
        assert isinstance(caught.value.__cause__, error)


# --- quotes ----------------------------------------------------------------------------------------------------------

LONG = "long " * 1_000_000


@pytest.mark.parametrize(
    "call",
    [
        lambda: Moments(LONG),
        lambda: Moments((0,) * 1_000_000).update(X),
        lambda: Moments().update(np.zeros(3, [(f"field{i}", "f4") for i in range(50_000)])),
        lambda: Moments().update(RaisingArray(ValueError(LONG))),
        lambda: Quantiles([[0.5] * 1_000_000]),
        lambda: MedianOfMeans(LONG),
        lambda: layers.standardize(X, LONG),
        lambda: layers.standardize(X, (0,) * 1_000_000),
        lambda: layers.layer_norm(X, eps=LONG),
        lambda: ImageNormalizer(scale=LONG),
        lambda: ImageNormalizer(layout=LONG),
        lambda: ImageNormalizer(normalization=LONG),
        lambda: ImageNormalizer(clip=LONG),
        lambda: ImageNormalizer(dtype=LONG),
        lambda: ImageNormalizer(channel_axis=LONG),
        lambda: ImageNormalizer([LONG, LONG]),
        lambda: StandardScaler(copy=LONG).fit(X),
        lambda: StandardScaler(channel_axis=(0,) * 1_000_000).fit(X),
        lambda: StandardScaler.from_stats([1.0], [1.0], channel_axis=(0,) * 1_000_000),
        lambda: Normalizer(norm=LONG).fit(X),
        lambda: planish.normalize(X, norm=LONG),
        lambda: StandardScaler().fit([[LONG]]),
        lambda: GroupedScaler(LONG).fit(X, groups=[1] * 6),
        lambda: GroupedScaler(StandardScaler(), LONG).fit(pd.DataFrame(X)),
        lambda: GroupedScaler(StandardScaler()).fit(X, groups=["a"] * 6).transform(X, groups=[LONG] * 6),
        lambda: planish.set_num_threads(LONG),
        lambda: planish._core.simd_level(LONG),
    ],
)
def test_errors_quote_a_sane_length(call):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert len(str(caught.value)) < 3000


def documents():
    yield "class", f'{{"planish": 1, "class": "{LONG}"}}'
    yield "field", f'{{"planish": 1, "class": "StandardScaler", "{LONG}": 1}}'
    yield "word", f'{{"planish": 1, {LONG}}}'
    yield "version", f'{{"planish": "{LONG}"}}'
    yield "number", f'{{"planish": {"9" * 4000}}}'


@pytest.mark.parametrize(("kind", "text"), documents(), ids=lambda value: value if len(value) < 10 else "")
def test_errors_of_load_quote_a_sane_length(kind, text, tmp_path):
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="file.json") as caught:
        planish.load(path)
    assert len(str(caught.value)) < 2000


def test_any_value_of_a_saved_scaler_may_be_long(tmp_path):
    path = tmp_path / "file.json"
    planish.save(StandardScaler().fit(pd.DataFrame(X, columns=list("abc"))), path)
    text = path.read_text()
    for old in ("true", "-1", "null", '"StandardScaler"', '"mean_"', '"float64"', '"dtype"'):
        assert old in text
        path.write_text(text.replace(old, f'"{LONG}"', 1))
        with pytest.raises(ValueError, match="file.json") as caught:
            planish.load(path)
        assert len(str(caught.value)) < 2000


# --- threads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [0, 1])
def test_threads_that_cannot_be_started(monkeypatch, allowed):
    """What starts threads of Python goes on with those that there are."""
    start, started = threading.Thread.start, []

    def refuse(self):
        if len(started) >= allowed:
            raise RuntimeError("can't start new thread")
        started.append(self)
        start(self)

    table = np.random.default_rng(0).normal(size=(400_000, 4))
    groups = np.arange(400_000) % 4
    scaler = GroupedScaler(RobustScaler())
    with planish.num_threads(4):
        expected = scaler.fit(table, groups=groups).transform(table, groups=groups)
        logs = LogScaler().transform(np.exp(table))
        monkeypatch.setattr(threading.Thread, "start", refuse)
        np.testing.assert_array_equal(scaler.fit(table, groups=groups).transform(table, groups=groups), expected)
        np.testing.assert_array_equal(LogScaler().transform(np.exp(table)), logs)
    assert len(started) == allowed


def test_command_line_without_threads(tmp_path):
    for i in range(3):
        np.save(tmp_path / f"{i}.npy", np.full((10, 2), i, np.float32))
    code = f"""
import threading
def refuse(self): raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
from planish.cli.survey import Survey
from pathlib import Path
survey = Survey(sorted(Path({str(tmp_path)!r}).glob("*.npy")), "keep", -1)
survey.run(4, lambda: None, None)
(moments,) = survey.statistics.values()
print(moments.count.tolist(), moments.mean.tolist(), survey.failed)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "[30, 30] [1.0, 1.0] []\n", done.stderr


# --- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "shape", "hint"),
    [
        ("NHWC->NCHW", (3, 8, 8), "layout='NCHW->NCHW' or 'NCHW->NHWC'"),
        ("NHWC->NHWC", (2, 3, 8, 8), "layout='NCHW->NCHW' or 'NCHW->NHWC'"),
        ("NCHW->NCHW", (8, 8, 3), "layout='NHWC->NCHW' or 'NHWC->NHWC'"),
        ("NCHW->NHWC", (2, 8, 8, 3), "layout='NHWC->NCHW' or 'NHWC->NHWC'"),
    ],
)
def test_a_picture_of_another_layout(layout, shape, hint):
    image = np.zeros(shape, np.uint8)
    normalizer = ImageNormalizer.imagenet(layout=layout)
    right = np.moveaxis(image, -3, -1) if layout.startswith("NHWC") else np.moveaxis(image, -1, -3)
    learnt = ImageNormalizer(layout=layout).fit(right)
    calls = [
        normalizer,
        normalizer.transform,
        ImageNormalizer([0.0, 0, 0], layout=layout).fit,
        learnt.partial_fit,
        learnt,
    ]
    if len(shape) == 3:
        calls.append(lambda image: normalizer([image]))
    for call in calls:
        with pytest.raises(ValueError, match=hint):
            call(image)
    with pytest.raises(ValueError, match="layout="):
        normalizer.inverse_transform(
            np.moveaxis(normalizer(right), *((-3, -1) if layout.endswith("NCHW") else (-1, -3)))
        )
