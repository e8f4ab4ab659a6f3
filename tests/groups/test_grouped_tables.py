"""Labels in a column of a table, or handed on by pipelines."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from grouped import labels, table
from planish import GroupedScaler, Normalizer, RobustScaler, StandardScaler
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

pytestmark = pytest.mark.dependencies


class TestColumnOfLabels:
    X, Y = table(60, 3, np.float64), labels(60, 4)

    def frame(self, kind, column=None):
        column = [f"site {i}" for i in self.Y] if column is None else column
        columns = {"a": self.X[:, 0], "site": column, "b": self.X[:, 1], "c": self.X[:, 2]}
        return {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}[kind](columns)

    @pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
    @pytest.mark.parametrize("groups", ["site", 1, -3])
    def test_is_taken_off(self, kind, groups):
        frame = self.frame(kind)
        scaler = GroupedScaler(StandardScaler(), groups=groups).fit(frame)
        assert scaler.n_features_in_ == 4
        assert scaler.feature_names_in_.tolist() == ["a", "site", "b", "c"]
        assert scaler.get_feature_names_out().tolist() == ["a", "b", "c"]
        expected = GroupedScaler(StandardScaler()).fit_transform(self.X, groups=self.Y)
        np.testing.assert_array_equal(scaler.transform(frame), expected)
        one = scaler.scalers_["site 2"]
        assert one.n_features_in_ == 3
        assert one.feature_names_in_.tolist() == ["a", "b", "c"]
        back = scaler.inverse_transform(expected, groups=[f"site {i}" for i in self.Y])
        np.testing.assert_allclose(back, self.X, rtol=1e-14)
        out = np.empty((60, 3))
        assert scaler.set_output(transform="pandas").transform(frame, out=out) is out
        np.testing.assert_array_equal(out, expected)

    @pytest.mark.parametrize("container", ["pandas", "polars"])
    @pytest.mark.parametrize("kind", ["pandas", "polars"])
    def test_set_output(self, container, kind):
        frame = self.frame(kind)
        scaler = GroupedScaler(StandardScaler(), groups="site").set_output(transform=container)
        expected = GroupedScaler(StandardScaler()).fit_transform(self.X, groups=self.Y)
        for result in (scaler.fit_transform(frame), scaler.transform(frame)):
            assert type(result).__module__.startswith(container)
            assert list(result.columns) == ["a", "b", "c"]
            np.testing.assert_array_equal(result.to_numpy(), expected)
        with sklearn.config_context(transform_output=container):
            assert list(GroupedScaler(RobustScaler(), "site").fit_transform(frame).columns) == ["a", "b", "c"]
            assert GroupedScaler(Normalizer(), "site").fit_transform(frame).shape == (60, 3)

    def test_index_of_pandas_is_kept(self):
        frame = self.frame("pandas").set_index(np.arange(60)[::-1])
        result = GroupedScaler(StandardScaler(), groups="site").set_output(transform="pandas").fit_transform(frame)
        assert result.index.tolist() == frame.index.tolist()

    def test_categories(self):
        column = pd.Categorical([f"site {i}" for i in self.Y])
        scaler = GroupedScaler(StandardScaler(), groups="site").fit(self.frame("pandas", column))
        assert scaler.groups_.tolist() == [f"site {i}" for i in range(4)]

    def test_partial_fit_and_merge(self):
        frame = self.frame("pandas")
        whole = GroupedScaler(StandardScaler(), groups="site").fit(frame)
        parts = GroupedScaler(StandardScaler(), groups="site").partial_fit(frame[:30]).partial_fit(frame[30:])
        other = GroupedScaler(StandardScaler(), groups="site").fit(frame[30:])
        merged = GroupedScaler(StandardScaler(), groups="site").merge(
            GroupedScaler(StandardScaler(), groups="site").fit(frame[:30])
        )
        merged.merge(other)
        assert merged.feature_names_in_.tolist() == ["a", "site", "b", "c"]
        for scaler in (parts, merged):
            np.testing.assert_allclose(scaler.transform(frame), whole.transform(frame), rtol=1e-12)

    def test_errors(self):
        frame = self.frame("pandas")
        scaler = GroupedScaler(StandardScaler(), groups="site")
        with pytest.raises(TypeError, match="groups='site' is a column of a DataFrame; X is a ndarray"):
            scaler.fit(self.X)
        with pytest.raises(ValueError, match="labels cannot be passed as well"):
            scaler.fit(frame, groups=self.Y)
        with pytest.raises(ValueError, match="groups='site' must be one column of X; X has 0"):
            scaler.fit(frame.drop(columns="site"))
        with pytest.raises(ValueError, match="groups=4 is no column of X, which has 4"):
            GroupedScaler(StandardScaler(), groups=4).fit(frame)
        with pytest.raises(ValueError, match="feature names"):
            scaler.fit(frame).transform(frame.rename(columns={"a": "z"}))
        with pytest.raises(ValueError, match="feature names"):
            scaler.fit(frame).transform(frame[["site", "a", "b", "c"]])
        with pytest.raises(ValueError, match="groups is missing"):
            scaler.inverse_transform(self.X)


class TestRouting:
    X, Y, G = table(200), labels(200, 2), labels(200, 5)

    def scaler(self):
        scaler = GroupedScaler(StandardScaler())
        return scaler.set_fit_request(groups=True, sample_weight=False).set_transform_request(groups=True)

    def test_pipeline(self):
        expected = GroupedScaler(StandardScaler()).fit_transform(self.X, groups=self.G)
        with sklearn.config_context(enable_metadata_routing=True):
            pipeline = make_pipeline(self.scaler(), LogisticRegression()).fit(self.X, self.Y, groups=self.G)
            predicted = pipeline.predict_proba(self.X, groups=self.G)
        model = LogisticRegression().fit(expected, self.Y)
        np.testing.assert_allclose(predicted, model.predict_proba(expected), rtol=1e-6)

    def test_column_transformer(self):
        expected = GroupedScaler(StandardScaler()).fit_transform(self.X[:, :2], groups=self.G)
        with sklearn.config_context(enable_metadata_routing=True):
            columns = ColumnTransformer([("scale", self.scaler(), [0, 1])], remainder="passthrough")
            result = columns.fit_transform(self.X, groups=self.G)
            np.testing.assert_array_equal(columns.transform(self.X, groups=self.G), result)
        np.testing.assert_array_equal(result, np.hstack([expected, self.X[:, 2:]]))

    def test_column_of_labels_needs_none(self):
        frame = pd.DataFrame(self.X, columns=list("abcd")).assign(site=self.G)
        columns = ColumnTransformer([("scale", GroupedScaler(StandardScaler(), "site"), ["a", "b", "site"])])
        columns.set_output(transform="pandas")
        assert list(columns.fit_transform(frame).columns) == ["scale__a", "scale__b"]
        pipeline = make_pipeline(GroupedScaler(StandardScaler(), "site"), LogisticRegression())
        assert pipeline.fit(frame, self.Y).predict(frame).shape == (200,)
