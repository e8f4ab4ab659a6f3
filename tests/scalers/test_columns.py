"""Columns of tables: kept, named and checked for every `channel_axis`."""

import numpy as np
import pandas as pd
import planish
import polars as pl
import pytest
import sklearn
from planish import GroupedScaler, MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, make_pipeline

pytestmark = pytest.mark.dependencies

SCALERS = [StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, Normalizer]
COLUMNS = [-1, 1, (-1,), (1,)]
OTHERS = [None, (), 0, (0, 1)]
X = np.random.default_rng(0).uniform(1, 9, size=(12, 3))
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
FRAMES = {"pandas": FRAME, "polars": pl.DataFrame(FRAME)}


def takes(cls, axis):
    return cls is not Normalizer or axis not in (None, ())


@pytest.mark.parametrize("axis", COLUMNS, ids=str)
@pytest.mark.parametrize("cls", SCALERS)
class TestColumnsAreChannels:
    def test_names(self, cls, axis):
        scaler = cls(channel_axis=axis).fit(FRAME)
        assert scaler.feature_names_in_.tolist() == ["a", "b", "c"]
        assert scaler.n_features_in_ == 3
        assert scaler.get_feature_names_out().tolist() == ["a", "b", "c"]
        np.testing.assert_array_equal(scaler.transform(FRAME), cls().fit(X).transform(X))
        with pytest.raises(ValueError, match="feature names should match"):
            scaler.transform(FRAME.rename(columns={"a": "z"}))
        with pytest.raises(ValueError, match="feature names should match"):
            scaler.transform(FRAME[["b", "a", "c"]])
        with pytest.warns(UserWarning, match="valid feature names"):
            scaler.transform(X)

    def test_widths(self, cls, axis):
        scaler = cls(channel_axis=axis).fit(X)
        message = f"X has 2 features, but {cls.__name__} is expecting 3 features as input"
        methods = [scaler.transform, scaler.inverse_transform] if cls is not Normalizer else [scaler.transform]
        for method in methods:
            for wrong in (X[:, :2], X[:, :2].tolist(), FRAME[["a", "b"]].to_numpy()):
                with pytest.raises(ValueError, match=message):
                    method(wrong)

    def test_inverse(self, cls, axis, recwarn):
        if cls is Normalizer:
            pytest.skip("has none")
        scaler = cls(channel_axis=axis).fit(FRAME)
        np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(FRAME)), X, rtol=1e-13)
        assert not recwarn.list  # arrays are what `transform` gives
        with pytest.raises(ValueError, match="feature names should match"):
            scaler.inverse_transform(FRAME.rename(columns={"a": "z"}))
        with pytest.raises(ValueError, match="X has 2 features"):
            scaler.inverse_transform(X[:, :2])

    def test_more_axes_are_no_table(self, cls, axis):
        images = np.random.default_rng(1).random((2, 3, 4, 3))
        scaler = cls(channel_axis=axis).fit(images)
        assert scaler.transform(images).shape == images.shape
        np.testing.assert_array_equal(cls(channel_axis=axis).fit(images).transform(images), scaler.transform(images))
        if axis in (1, (1,)):
            np.testing.assert_array_equal(scaler.transform(images.tolist()), scaler.transform(images))


@pytest.mark.parametrize("kind", list(FRAMES))
@pytest.mark.parametrize("container", ["pandas", "polars"])
@pytest.mark.parametrize("axis", [*COLUMNS, *OTHERS], ids=str)
@pytest.mark.parametrize("cls", SCALERS)
def test_set_output_gives_the_columns_back(cls, axis, container, kind):
    if not takes(cls, axis):
        pytest.skip("vectors need an axis")
    frame = FRAMES[kind]
    expected = cls(channel_axis=axis).fit_transform(X)
    scaler = cls(channel_axis=axis).set_output(transform=container)
    results = [scaler.fit_transform(frame), scaler.transform(frame)]
    with sklearn.config_context(transform_output=container):
        results.append(cls(channel_axis=axis).fit(frame).transform(frame))
    for result in results:
        assert type(result).__module__.startswith(container)
        assert list(result.columns) == ["a", "b", "c"]
        np.testing.assert_array_equal(result.to_numpy(), expected)
    bare = cls(channel_axis=axis).set_output(transform=container)
    assert list(bare.fit_transform(X).columns) == ["x0", "x1", "x2"]
    assert list(bare.transform(X).columns) == ["x0", "x1", "x2"]
    assert scaler.get_feature_names_out().tolist() == ["a", "b", "c"]
    assert scaler.get_feature_names_out(["a", "b", "c"]).tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="input_features"):
        bare.get_feature_names_out(["a", "b"])


@pytest.mark.parametrize("axis", [*COLUMNS, *OTHERS], ids=str)
@pytest.mark.parametrize("cls", SCALERS)
def test_composed(cls, axis):
    if not takes(cls, axis):
        pytest.skip("vectors need an axis")
    make = lambda: cls(channel_axis=axis)  # noqa: E731
    transformer = ColumnTransformer([("s", make(), ["a", "c"])], remainder="passthrough")
    transformer.set_output(transform="pandas").fit(FRAME)
    names = ["s__a", "s__c", "remainder__b"]
    assert list(transformer.transform(FRAME).columns) == transformer.get_feature_names_out().tolist() == names
    # Memory in another order is summed in another order: a few last digits.
    expected = make().fit_transform(X[:, [0, 2]])
    np.testing.assert_allclose(transformer.transform(FRAME).to_numpy()[:, :2], expected, rtol=1e-14, atol=1e-14)
    pipeline = make_pipeline(make(), make()).fit(FRAME)
    assert pipeline.get_feature_names_out().tolist() == ["a", "b", "c"]
    union = FeatureUnion([("p", make()), ("q", make())]).set_output(transform="pandas").fit(FRAME)
    assert list(union.transform(FRAME).columns) == [f"{name}__{c}" for name in "pq" for c in "abc"]


@pytest.mark.parametrize("axis", [None, ()], ids=str)
def test_other_columns_where_they_are_no_channels(axis):
    scaler = StandardScaler(channel_axis=axis).set_output(transform="pandas").fit(FRAME)
    other = pd.DataFrame(X[:, :2], columns=["p", "q"])
    assert list(scaler.transform(other).columns) == ["p", "q"]
    assert list(scaler.transform(X[:, :2]).columns) == ["x0", "x1"]
    assert scaler.n_features_in_ == 1
    assert not hasattr(scaler, "feature_names_in_")
    assert list(scaler.fit(other).get_feature_names_out()) == ["p", "q"]


@pytest.mark.parametrize("axis", [None, (), -1, 1, (1,), (-1,)], ids=str)
@pytest.mark.parametrize("container", ["pandas", "polars"])
@pytest.mark.parametrize("kind", list(FRAMES))
def test_groups(axis, container, kind):
    groups = np.arange(12) % 2
    table = FRAME.assign(site=groups)[["a", "site", "b", "c"]]
    table = table if kind == "pandas" else pl.DataFrame(table)
    expected = GroupedScaler(StandardScaler(channel_axis=axis)).fit_transform(X, groups=groups)
    scaler = GroupedScaler(StandardScaler(channel_axis=axis), "site").set_output(transform=container)
    for result in (scaler.fit_transform(table), scaler.transform(table)):
        assert list(result.columns) == ["a", "b", "c"]
        # Memory in another order is summed in another order: a few last digits.
        np.testing.assert_allclose(result.to_numpy(), expected, rtol=1e-14, atol=1e-14)
    assert scaler.get_feature_names_out().tolist() == ["a", "b", "c"]
    columns = ColumnTransformer([("s", clone_of(scaler), ["a", "c", "site"])]).set_output(transform=container)
    assert list(columns.fit_transform(table).columns) == ["s__a", "s__c"]
    back = scaler.inverse_transform(expected, groups=groups)
    np.testing.assert_allclose(back, X, rtol=1e-12)
    if axis not in (None, ()):
        with pytest.raises(ValueError, match="X has 2 features, but GroupedScaler is expecting 3 features"):
            scaler.inverse_transform(X[:, :2], groups=groups)
        with pytest.raises(ValueError, match="feature names should match"):
            scaler.inverse_transform(FRAME[["b", "a", "c"]], groups=groups)


def clone_of(scaler):
    return sklearn.base.clone(scaler)


@pytest.mark.parametrize("frame", [FRAME, X], ids=["names", "none"])
@pytest.mark.parametrize("axis", [None, 0], ids=str)
def test_columns_are_saved_and_merged(axis, frame, tmp_path):
    scaler = StandardScaler(channel_axis=axis).set_output(transform="pandas").fit(frame)
    planish.save(scaler, tmp_path / "scaler.json")
    names = scaler.get_feature_names_out().tolist()
    for other in (planish.load(tmp_path / "scaler.json"), StandardScaler(channel_axis=axis).merge(scaler)):
        assert other.get_feature_names_out().tolist() == names
    if axis is None and frame is FRAME:
        grouped = GroupedScaler(scaler, "site").fit(FRAME.assign(site=1))
        planish.save(grouped, tmp_path / "grouped.json")
        for other in (planish.load(tmp_path / "grouped.json"), GroupedScaler(scaler, "site").merge(grouped)):
            assert other.get_feature_names_out().tolist() == names
