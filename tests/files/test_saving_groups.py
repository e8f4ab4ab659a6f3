"""GroupedScaler in files: the same bits, and files that are damaged."""

import copy
import json
import time

import numpy as np
import pandas as pd
import planish
import pytest
from grouped import labels, table
from planish import GroupedScaler, LogScaler, MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler
from saved_objects import bits

pytestmark = pytest.mark.dependencies

SCALERS = [
    StandardScaler(),
    StandardScaler(n_blocks=3, with_mean=False),
    MinMaxScaler((-1, 2), clip=True),
    MaxAbsScaler(dtype="float32"),
    RobustScaler(),
    Normalizer("l1"),
    LogScaler(offset=np.array([1.0, 2.0, 3.0, 4.0]), invalid="nan"),
]
LABELS = {
    "int": lambda y: y - 3,
    "str": lambda y: np.array([f'"{i}\\ größe' for i in y]),
    "float": lambda y: y / 4,
    "bool": lambda y: y > 3,
}


def again(scaler, path):
    planish.save(scaler, path)
    return planish.load(path)


def assert_same(ours, theirs):
    assert type(ours) is type(theirs)
    a, b = ({name: value for name, value in vars(one).items() if name != "scaler"} for one in (ours, theirs))
    assert bits(a) == bits(b)
    assert repr(ours) == repr(theirs)
    assert [type(label) for label in getattr(ours, "scalers_", ())] == [type(label) for label in theirs.scalers_]


@pytest.mark.parametrize("scaler", SCALERS, ids=repr)
@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("unseen", ["error", "global"])
def test_the_same_bits(scaler, kind, unseen, tmp_path):
    X, y = np.abs(table()), LABELS[kind](labels())
    fitted = GroupedScaler(scaler, unseen=unseen).fit(X, groups=y)
    loaded = again(fitted, tmp_path / "groups.json")
    assert_same(loaded, fitted)
    assert loaded.transform(X, groups=y).tobytes() == fitted.transform(X, groups=y).tobytes()
    if hasattr(scaler, "partial_fit") and not isinstance(scaler, RobustScaler):
        for one in (fitted, loaded):
            one.partial_fit(X[:100] * 2, groups=y[:100]).merge(copy.deepcopy(one))
        assert_same(loaded, fitted)


def test_streamed_quantiles_go_on(tmp_path):
    X, y = table(5000), labels(5000)
    fitted = GroupedScaler(RobustScaler()).partial_fit(X, groups=y)
    loaded = again(fitted, tmp_path / "groups.json")
    for one in (fitted, loaded):
        one.partial_fit(X[::-1], groups=y)
    assert_same(loaded, fitted)


def test_columns_of_tables(tmp_path):
    frame = pd.DataFrame(table(), columns=list("abcd")).assign(site=labels())
    for groups in ("site", 4, -1):
        fitted = GroupedScaler(StandardScaler(), groups).fit(frame).set_output(transform="pandas")
        loaded = again(fitted, tmp_path / "groups.json")
        assert_same(loaded, fitted)
        pd.testing.assert_frame_equal(loaded.transform(frame), fitted.transform(frame))
        assert loaded.get_feature_names_out().tolist() == list("abcd")


def test_not_fitted_and_in_dicts(tmp_path):
    loaded = again({"radar": GroupedScaler(MinMaxScaler((0, 2)), "site", "global")}, tmp_path / "groups.json")["radar"]
    assert repr(loaded) == repr(GroupedScaler(MinMaxScaler((0, 2)), "site", "global"))
    assert not loaded.__sklearn_is_fitted__()


def test_pictures(tmp_path):
    X, y = np.random.default_rng(0).integers(0, 256, (30, 4, 5, 3), dtype=np.uint8), labels(30, 4)
    for axis in (-1, None, (1, 2)):
        fitted = GroupedScaler(StandardScaler(channel_axis=axis)).fit(X, groups=y)
        loaded = again(fitted, tmp_path / "groups.json")
        assert_same(loaded, fitted)
        assert loaded.transform(X, groups=y).tobytes() == fitted.transform(X, groups=y).tobytes()


def test_hostile_labels(tmp_path):
    """Time in proportion to the size of the file."""
    path = tmp_path / "groups.json"
    planish.save(GroupedScaler(StandardScaler()).fit(table(), groups=labels()), path)
    document = json.loads(path.read_text())
    document["state"]["labels"] = list(range(100_000))
    document["state"]["scalers"] = dict.fromkeys(map(str, range(100_000)), 0)
    path.write_text(json.dumps(document))
    start = time.perf_counter()
    with pytest.raises(ValueError, match="state must be an object; got 0"):
        planish.load(path)
    assert time.perf_counter() - start < 10


def test_many_groups(tmp_path):
    X = np.random.default_rng(1).normal(size=(6_000, 2))
    fitted = GroupedScaler(StandardScaler()).fit(X, groups=np.arange(6_000) // 2)
    assert_same(again(fitted, tmp_path / "groups.json"), fitted)


def test_labels_that_no_file_holds(tmp_path):
    fitted = GroupedScaler(StandardScaler()).fit(table(), groups=np.datetime64("2024-01-01") + labels())
    with pytest.raises(ValueError, match="labels can be saved that are"):
        planish.save(fitted, tmp_path / "groups.json")
    assert not list(tmp_path.iterdir())


def test_parameters_that_were_changed(tmp_path):
    fitted = GroupedScaler(StandardScaler()).fit(table(), groups=labels())
    fitted.scalers_[0].set_params(with_mean=False)
    with pytest.raises(ValueError, match="other parameters"):
        planish.save(fitted, tmp_path / "groups.json")


def change(path, value):
    """A change of the document at a path of keys."""

    def apply(document):
        *way, last = path
        for key in way:
            document = document[key]
        if value is ...:
            del document[last]
        else:
            document[last] = value(document[last]) if callable(value) else value

    return apply


DAMAGES = {
    "no labels": change(["state", "labels"], ...),
    "labels of two kinds": change(["state", "labels", 0], "a"),
    "labels not in order": change(["state", "labels"], lambda labels: labels[::-1]),
    "a label twice": change(["state", "labels", 1], 0),
    "a label that is a list": change(["state", "labels", 0], [0]),
    "labels no list": change(["state", "labels"], {"0": 1}),
    "a label more": change(["state", "labels"], lambda labels: [*labels, 99]),
    "a scaler less": change(["state", "scalers", "3"], ...),
    "a scaler more": change(["state", "scalers"], lambda scalers: scalers | {"99": {}}),
    "a scaler not fitted": change(["state", "scalers", "3"], {}),
    "a scaler of other channels": change(["state", "channels"], [5]),
    "impossible channels": change(["state", "channels"], [2**50]),
    "a column": change(["state", "column"], 1),
    "damaged mean": change(["state", "scalers", "2", "mean_", "values"], [1.0]),
    "another class": change(["parameters", "scaler", "class"], "ImageNormalizer"),
    "itself": change(["parameters", "scaler", "class"], "GroupedScaler"),
    "no class": change(["parameters", "scaler", "class"], ["StandardScaler"]),
    "unseen": change(["parameters", "unseen"], "ignore"),
    "groups": change(["parameters", "groups"], [1]),
    "an unknown field": change(["state"], lambda state: state | {"extra": 1}),
    "parameter": change(["parameters", "scaler", "parameters", "with_mean"], "yes"),
    "no state": change(["state"], 3),
    "global": change(["state"], lambda state: state | {"global": {}}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files(damage, tmp_path):
    path = tmp_path / "groups.json"
    planish.save(GroupedScaler(StandardScaler()).fit(table(), groups=labels()), path)
    document = json.loads(path.read_text())
    DAMAGES[damage](document)
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match="cannot be loaded"):
        planish.load(path)
