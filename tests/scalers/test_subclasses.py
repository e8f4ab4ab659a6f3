"""Subclasses, mixins and patches: an override is an override, for every scaler and every way in."""

import functools
import inspect
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import sklearn
from planish import (
    GroupedScaler,
    ImageNormalizer,
    LogScaler,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

pytestmark = pytest.mark.dependencies

SCALERS = [StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, Normalizer, LogScaler]
FITTED = [cls for cls in SCALERS if hasattr(cls, "merge")]
X = np.random.default_rng(0).uniform(1, 9, size=(40, 3))
G = np.arange(40) % 3
FRAME = pd.DataFrame(X, columns=list("abc"))


def times(cls, factor=100):
    class Times(cls):
        def transform(self, X):
            return super().transform(X) * factor

    return Times


class Doubled:
    """A mixin in front of a scaler."""

    def transform(self, X, copy=None, *, out=None):
        return super().transform(X, copy, out=out) * 2


@pytest.mark.parametrize("cls", SCALERS)
class TestTransform:
    def test_override(self, cls):
        plain, scaler = cls().fit(X), times(cls)().fit(X)
        for data in (X, X[:1], X.tolist(), X.astype(np.float32), np.asfortranarray(X)):
            np.testing.assert_array_equal(scaler.transform(data), plain.transform(data) * 100)
        np.testing.assert_array_equal(scaler.fit_transform(X), plain.transform(X) * 100)
        np.testing.assert_array_equal(make_pipeline(scaler).fit_transform(X), plain.transform(X) * 100)
        np.testing.assert_array_equal(clone(scaler).fit(X).transform(X), plain.transform(X) * 100)

    @pytest.mark.parametrize("container", ["pandas", "polars"])
    def test_set_output(self, cls, container):
        expected = cls().fit(X).transform(X) * 100
        scaler = times(cls)().set_output(transform=container)
        for result in (scaler.fit_transform(FRAME), scaler.transform(FRAME)):
            assert type(result).__module__.startswith(container)
            assert list(result.columns) == ["a", "b", "c"]
            np.testing.assert_array_equal(result.to_numpy(), expected)
        with sklearn.config_context(transform_output=container):
            assert list(times(cls)().fit(FRAME).transform(FRAME).columns) == ["a", "b", "c"]

    def test_mixin(self, cls):
        scaler = type("Mixed", (Doubled, cls), {})().fit(X)
        expected = cls().fit(X).transform(X)
        np.testing.assert_array_equal(scaler.transform(X), expected * 2)
        np.testing.assert_array_equal(scaler.transform(X, out=np.empty_like(X)), expected * 2)

    def test_out_is_given_back(self, cls):
        class Same(cls):
            def transform(self, X, copy=None, *, out=None):
                return super().transform(X, copy, out=out)

        for scaler in (cls(), Same()):
            scaler.set_output(transform="pandas").fit(FRAME)
            out = np.empty_like(X)
            assert scaler.transform(FRAME, out=out) is out
            assert isinstance(scaler.transform(FRAME), pd.DataFrame)

    def test_without_set_output(self, cls):
        class Alone(cls, auto_wrap_output_keys=None):
            pass

        assert not hasattr(Alone(), "set_output")
        with sklearn.config_context(transform_output="pandas"):
            assert type(Alone().fit(X).transform(X)) is np.ndarray

    def test_patches(self, cls, monkeypatch):
        scaler = cls().fit(X)
        expected = scaler.transform(X)
        with mock.patch.object(scaler, "transform", wraps=scaler.transform) as spy:
            np.testing.assert_array_equal(scaler.transform(X), expected)
        spy.assert_called_once_with(X)
        with mock.patch.object(cls, "transform", autospec=True, return_value="patched") as spy:
            assert scaler.transform(X) == scaler.fit_transform(X) == "patched"
        assert spy.call_count == 2
        monkeypatch.setattr(cls, "transform", lambda self, X: "by hand")
        assert scaler.transform(X) == "by hand"
        monkeypatch.undo()
        np.testing.assert_array_equal(functools.partial(cls.transform, scaler)(X), expected)
        assert list(inspect.signature(cls.transform).parameters) == ["self", "X", "copy", "out"]
        assert list(inspect.signature(scaler.transform).parameters) == ["X", "copy", "out"]

    def test_errors_of_an_override_pass(self, cls):
        class Failing(cls):
            def _validate(self, *arguments, **options):
                raise AttributeError("mine")

        scaler = cls().fit(X)
        scaler.__class__ = Failing
        with pytest.raises(AttributeError, match="mine"):
            scaler.transform(X.tolist())

    def test_in_groups(self, cls):
        plain = GroupedScaler(cls()).fit(X, groups=G).transform(X, groups=G)
        scaler = GroupedScaler(times(cls)()).fit(X, groups=G)
        np.testing.assert_array_equal(scaler.transform(X, groups=G), plain * 100)
        np.testing.assert_array_equal(GroupedScaler(times(cls)()).fit_transform(X, groups=G), plain * 100)


@pytest.mark.parametrize("cls", FITTED)
class TestFit:
    @pytest.mark.parametrize("signature", ["X", "X, y=None", "X, y=None, *, mask=None"])
    def test_partial_fit(self, cls, signature):
        calls = []
        space = {"cls": cls, "calls": calls}
        exec(
            f"class Counting(cls):\n    def partial_fit(self, {signature}):\n        calls.append(len(X))\n"
            "        return super().partial_fit(X)\n",
            space,
        )
        if signature == "X" and cls is not RobustScaler:
            pytest.skip("scikit-learn passes y, too")
        scaler = space["Counting"]().fit(X)
        np.testing.assert_array_equal(scaler.transform(X), cls().fit(X).transform(X))
        assert calls == ([] if cls is RobustScaler else [40])
        scaler = space["Counting"]().partial_fit(X)
        assert calls[-1] == 40

    def test_in_groups(self, cls):
        class Shifted(cls):
            def fit(self, X, y=None):
                return super().fit(X + 1)

            def partial_fit(self, X, y=None):
                return super().partial_fit(X + 1)

        expected = GroupedScaler(cls()).fit(X + 1, groups=G).transform(X, groups=G)
        for unseen in ("error", "global"):
            scaler = GroupedScaler(Shifted(), unseen=unseen).fit(X, groups=G)
            if cls is RobustScaler:
                np.testing.assert_allclose(scaler.transform(X, groups=G), expected, rtol=1e-12, atol=1e-12)
        pieces = GroupedScaler(cls()).partial_fit(X + 1, groups=G).transform(X, groups=G)
        scaler = GroupedScaler(Shifted()).partial_fit(X, groups=G)
        np.testing.assert_allclose(scaler.transform(X, groups=G), pieces, rtol=1e-12, atol=1e-12)

    def test_to_and_from_scikit_learn(self, cls):
        Mine = times(cls)
        theirs = Mine().fit(X).to_sklearn()
        assert type(theirs) is getattr(sklearn.preprocessing, cls.__name__)
        np.testing.assert_allclose(
            Mine.from_sklearn(theirs).transform(X), theirs.transform(X) * 100, rtol=1e-12, atol=1e-12
        )


def test_grouped_scaler():
    class Times(GroupedScaler):
        def transform(self, X, groups=None):
            return super().transform(X, groups) * 100

    class Shifted(GroupedScaler):
        def fit(self, X, y=None, groups=None):
            return super().fit(X + 1, y, groups)

    plain = GroupedScaler(StandardScaler()).fit(X, groups=G)
    expected = plain.transform(X, groups=G) * 100
    scaler = Times(StandardScaler())
    np.testing.assert_array_equal(scaler.fit_transform(X, groups=G), expected)
    np.testing.assert_array_equal(scaler.transform(X, groups=G), expected)
    shifted = GroupedScaler(StandardScaler()).fit(X + 1, groups=G).transform(X, groups=G)
    np.testing.assert_array_equal(Shifted(StandardScaler()).fit_transform(X, groups=G), shifted)
    with mock.patch.object(GroupedScaler, "transform", autospec=True, return_value="patched"):
        assert plain.fit_transform(X, groups=G) == "patched"


def test_image_normalizer():
    class Times(ImageNormalizer):
        def transform(self, X):
            return super().transform(X) * 100

    image = np.full((4, 4, 3), 7, np.uint8)
    expected = ImageNormalizer.zero_one()(image) * 100
    normalizer = Times.zero_one()
    for method in (normalizer, normalizer.transform, normalizer.fit_transform):
        np.testing.assert_array_equal(method(image), expected)
    assert normalizer.zero_one()(image, out=None).shape == (3, 4, 4)
