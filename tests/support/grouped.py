"""A table, and labels for its rows."""

import numpy as np


def table(rows=600, columns=4, dtype=np.float32):
    rng = np.random.default_rng(0)
    return rng.normal([3, -50, 0.1, 7][:columns], [1, 20, 0.1, 3][:columns], size=(rows, columns)).astype(dtype)


def labels(rows=600, groups=7):
    return np.random.default_rng(1).integers(0, groups, rows)
