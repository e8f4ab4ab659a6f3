"""The scalers where scikit-learn's users have them."""

import numpy as np
import pandas as pd
import planish
import polars as pl
import pyarrow as pa
import pytest
import sklearn
import sklearn.preprocessing
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from threadpoolctl import threadpool_limits

pytestmark = pytest.mark.dependencies

NAMES = ["StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "Normalizer"]
X, Y = load_breast_cancer(return_X_y=True)
COLUMNS = [f"c{i}" for i in range(X.shape[1])]


def frames():
    yield "numpy", X
    yield "pandas", pd.DataFrame(X, columns=COLUMNS)
    yield "polars", pl.DataFrame(dict(zip(COLUMNS, X.T, strict=True)))
    yield "pyarrow", pa.table(dict(zip(COLUMNS, X.T, strict=True)))


FRAMES = dict(frames())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", list(FRAMES))
def test_before_a_classifier(name, kind):
    frame = FRAMES[kind]

    def predictions(library):
        scaler = getattr(library, name)()
        return make_pipeline(scaler, LogisticRegression(max_iter=2000)).fit(frame, Y).predict_proba(frame)

    np.testing.assert_allclose(predictions(planish), predictions(sklearn.preprocessing), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_before_gradient_boosting(name):
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0)
    with threadpool_limits(1, user_api="openmp"):  # its threads wait for one another in loops that keep a core busy
        ours = make_pipeline(getattr(planish, name)(), model).fit(X, Y)
        assert ours.score(X, Y) > 0.98


@pytest.mark.parametrize("name", NAMES)
def test_cross_validation_in_processes(name):
    def scores(library):
        pipeline = make_pipeline(getattr(library, name)(), LogisticRegression(max_iter=2000))
        return cross_val_score(pipeline, X, Y, cv=4, n_jobs=2)

    np.testing.assert_allclose(scores(planish), scores(sklearn.preprocessing), atol=0.02)


def test_grid_search_over_the_parameters():
    pipeline = Pipeline([("scale", planish.RobustScaler()), ("model", LogisticRegression(max_iter=2000))])
    grid = [
        {
            "scale": [planish.RobustScaler()],
            "scale__quantile_range": [(25.0, 75.0), (10.0, 90.0)],
            "model__C": [0.1, 1.0],
        },
        {"scale": [planish.MinMaxScaler()], "scale__feature_range": [(0, 1), (-1, 1)]},
        {"scale": [planish.StandardScaler()], "scale__dtype": [None, "float32"]},
    ]
    search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(X, Y)
    assert search.best_score_ > 0.95
    assert len(search.cv_results_["params"]) == 8


@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_column_transformer(output, kind):
    frame = FRAMES[kind]

    def transformed(library):
        steps = [(name, getattr(library, name)(), COLUMNS[5 * i : 5 * i + 5]) for i, name in enumerate(NAMES)]
        return ColumnTransformer(steps).set_output(transform=output).fit(frame, Y)

    ours, theirs = transformed(planish), transformed(sklearn.preprocessing)
    a, b = ours.transform(frame), theirs.transform(frame)
    assert type(a) is type(b)
    assert list(ours.get_feature_names_out()) == list(theirs.get_feature_names_out())
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-11, atol=1e-11)


def test_metadata_routing():
    weights = np.random.default_rng(0).random(len(X))
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = planish.StandardScaler().set_fit_request(sample_weight=True)
        model = LogisticRegression(max_iter=2000).set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, model).fit(X, Y, sample_weight=weights)
    expected = planish.StandardScaler().fit(X, sample_weight=weights)
    np.testing.assert_array_equal(pipeline[0].mean_, expected.mean_)
