"""Sparse matrices whose buffers another thread changes: a result or a ValueError, and nothing out of bounds."""

import contextlib
import threading

import numpy as np
import planish
import pytest
from planish import MaxAbsScaler, Normalizer, RobustScaler, StandardScaler
from scipy import sparse

CALLS = {
    "std": lambda x: StandardScaler(with_mean=False).fit(x).transform(x),
    "weights": lambda x: StandardScaler(with_mean=False).fit(x, sample_weight=np.ones(x.shape[0])),
    "maxabs": lambda x: MaxAbsScaler().fit(x).transform(x),
    "robust": lambda x: RobustScaler(with_centering=False).fit(x).transform(x),
    "normalizer": lambda x: Normalizer().transform(x),
    "scale": lambda x: planish.scale(x, with_mean=False),
    "normalize": lambda x: planish.normalize(x, norm="max", return_norm=True),
}
#: The formats that are read as they are: where SciPy converts first, it trusts the indices.
READ = [(name, "csr") for name in ("std", "weights", "maxabs", "normalizer", "normalize")]
READ += [(name, "csc") for name in ("std", "weights", "maxabs", "robust", "scale")]
#: What the other thread writes: far out of range, negative, and what is there for another entry.
WRITTEN = [2**31 - 1, -1, -(2**31), 0, 7]


@pytest.mark.parametrize(("name", "form"), READ)
@pytest.mark.parametrize("buffer", ["indices", "indptr"])
def test_another_thread_writes(name, form, buffer):
    x = sparse.random(3000, 200, density=0.2, random_state=0, format=form)
    target = getattr(x, buffer)
    right, done = target.copy(), threading.Event()

    def write():
        rng = np.random.default_rng(1)
        while not done.is_set():
            place = rng.integers(0, len(target), 50)
            target[place] = WRITTEN[rng.integers(len(WRITTEN))]
            target[place] = right[place]

    other = threading.Thread(target=write)
    other.start()
    try:
        for _ in range(12):
            try:
                result = CALLS[name](x)
            except ValueError:
                continue
            if sparse.issparse(result):
                # What SciPy is handed was looked at.
                assert 0 <= result.indices.min() <= result.indices.max() < result.shape[0 if form == "csc" else 1]
    finally:
        done.set()
        other.join()


@pytest.mark.parametrize(("name", "form"), READ)
@pytest.mark.parametrize("value", [2**31 - 1, -1, -(2**31), 200, 3000])
def test_damaged_indices_everywhere(name, form, value):
    """Every place in turn, which is what a change at that moment leaves."""
    for place in (0, 1, 17, -2, -1):
        for buffer in ("indices", "indptr"):
            x = sparse.random(300, 200, density=0.1, random_state=0, format=form)
            getattr(x, buffer)[place] = value
            with contextlib.suppress(ValueError):
                CALLS[name](x)
