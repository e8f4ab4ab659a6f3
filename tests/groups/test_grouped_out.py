"""Where a `GroupedScaler` writes its results."""

import numpy as np
import pandas as pd
import pytest
from grouped import labels, table
from planish import GroupedScaler, StandardScaler


class TestOut:
    X, Y = table(), labels()

    def scaler(self):
        return GroupedScaler(StandardScaler()).fit(self.X, groups=self.Y)

    def test_into_memory_of_the_caller(self):
        expected = self.scaler().transform(self.X, groups=self.Y)
        for out in (np.empty_like(self.X), np.empty((600, 4), "f4", order="F"), np.empty((1200, 8), "f4")[::-2, ::2]):
            assert self.scaler().transform(self.X, groups=self.Y, out=out) is out
            np.testing.assert_array_equal(out, expected)
        assert np.isfortran(self.scaler().transform(np.asfortranarray(self.X), self.Y))

    def test_in_place(self):
        for y in (self.Y, np.sort(self.Y), np.zeros(600, int)):
            scaler = GroupedScaler(StandardScaler()).fit(self.X, groups=y)
            expected = scaler.transform(self.X, groups=y)
            for keywords in ({"copy": False}, {}):
                X = self.X.copy()
                keywords = keywords or {"out": X}
                assert scaler.transform(X, groups=y, **keywords) is X
                np.testing.assert_array_equal(X, expected)
        X = self.X.copy()
        X[-1, 0] = np.inf
        before = X.copy()
        with pytest.raises(ValueError, match="Input X contains infinity"):
            self.scaler().transform(X, groups=self.Y, copy=False)
        np.testing.assert_array_equal(X, before)
        frame = pd.DataFrame(self.X)
        GroupedScaler(StandardScaler(copy=False)).fit(frame, groups=self.Y).transform(frame, self.Y)
        np.testing.assert_array_equal(frame, self.X)

    @pytest.mark.parametrize(
        ("out", "error", "match"),
        [
            (np.empty((600, 3), "f4"), ValueError, r"out has shape \(600, 3\); the result has shape \(600, 4\)"),
            (np.empty((600, 4)), TypeError, "out has dtype float64; the result has dtype float32"),
            (np.broadcast_to(np.empty(4, "f4"), (600, 4)), ValueError, "read-only"),
            (np.lib.stride_tricks.as_strided(np.empty(700, "f4"), (600, 4), (4, 4)), ValueError, "same memory"),
            ([[0.0]], TypeError, "out must be a NumPy array; got list"),
        ],
    )
    def test_that_does_not_fit(self, out, error, match):
        with pytest.raises(error, match=match):
            self.scaler().transform(self.X, groups=self.Y, out=out)

    def test_overlap(self):
        memory = np.zeros((601, 4), "f4")
        with pytest.raises(ValueError, match="overlaps"):
            self.scaler().transform(memory[1:], groups=self.Y, out=memory[:-1])
        wide = np.tile(self.X, 2)
        expected = self.scaler().transform(self.X, groups=self.Y)
        np.testing.assert_array_equal(self.scaler().transform(wide[:, :4], self.Y, out=wide[:, 4:]), expected)
