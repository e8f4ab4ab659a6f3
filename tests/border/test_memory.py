"""Memory that cannot be had: always a MemoryError, and nothing else is lost."""

import os
import subprocess
import sys

import numpy as np
import planish
import pytest
from planish import layers
from planish.stats import Extrema, MedianOfMeans, Moments, Quantiles
from scipy import sparse

SCALERS = ["StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler"]
ACCUMULATORS = [Moments, Extrema, Quantiles]


def repeated(value, shape):
    """An array as large as wanted, in the memory of one element."""
    return np.broadcast_to(np.asarray(value), shape)


@pytest.mark.parametrize("kind", ACCUMULATORS)
@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "i4", "i8", "f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(1, 2**40), (3, 2**50), (0, 2**40), (0, 2**59), (2**25, 1, 2**25)])
def test_channels_beyond_all_memory(kind, dtype, shape):
    axes = (1,) if len(shape) == 2 else (0, 2)
    accumulator, before = kind(channel_axis=axes), kind(channel_axis=axes)
    with pytest.raises(MemoryError):
        accumulator.update(repeated(np.ones((), dtype), shape))
    assert accumulator == before


@pytest.mark.parametrize("kind", [Moments, Quantiles])
def test_channels_along_the_first_axis(kind):
    with pytest.raises(MemoryError):
        kind(channel_axis=0).update(repeated(np.float32(1), (2**50,)))
    with pytest.raises(MemoryError):
        kind().update(repeated(np.float32(1), (2, 2**40)), weights=[1.0, 0.5])
    with pytest.raises(MemoryError):
        kind().update(repeated(np.float32(1), (2, 2**40)), mask=np.array([[True], [False]]))


@pytest.mark.parametrize("name", SCALERS)
def test_scalers_of_wide_views(name):
    scaler = getattr(planish, name)()
    with pytest.raises(MemoryError):
        scaler.fit(repeated(np.uint8(1), (1, 2**40)))
    with pytest.raises(MemoryError):
        scaler.partial_fit(repeated(np.float32(1), (2, 2**40)))


@pytest.mark.parametrize("name", ["StandardScaler", "MaxAbsScaler"])
@pytest.mark.parametrize("number", [2**40, 2**50])
def test_sparse_matrices_of_many_columns(name, number):
    scaler = getattr(planish, name)(**({"with_mean": False} if name == "StandardScaler" else {}))
    indices, indptr = np.zeros(1, np.int64), np.array([0, 1], np.int64)
    wide = sparse.csr_array((np.ones(1), indices, indptr), shape=(1, number))
    with pytest.raises(MemoryError):
        scaler.fit(wide)


def test_groups_of_wide_views():
    codes = np.zeros(1, np.uint32)
    for kind in (Moments, Extrema):
        with pytest.raises(MemoryError):
            kind._of_groups("x", repeated(np.float32(1), (1, 2**40)), codes, 1, -1)
        with pytest.raises(MemoryError):
            kind._of_groups("x", np.ones((1, 3)), codes, 2**60, -1)


def test_layers_of_wide_views():
    with pytest.raises(MemoryError):
        layers.standardize(repeated(np.float32(1), (2, 2**40)), axis=0)
    # Nothing to hold: a result of nothing.
    assert layers.standardize(np.empty((0, 2**40), np.float32), axis=0).shape == (0, 2**40)


def test_median_of_means_of_wide_views():
    with pytest.raises(MemoryError):
        MedianOfMeans(3).update(repeated(np.float32(1), (6, 2**40)))


#: Calls over whose allocations a limit passes, and what must hold of a result.
CALLS = """
import numpy as np, planish, pickle
from planish import layers
from planish.stats import *
from scipy import sparse

rng = np.random.default_rng(0)
wide = rng.normal(size=(24, 20_000)).astype(np.float32)
odd = np.asfortranarray(wide.astype(np.float64))[::2, ::-1]
bytes_ = rng.integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
many = rng.normal(size=(50_000, 2)).astype(np.float32)
matrix = sparse.random(300, 20_000, density=0.02, random_state=0, format="csr")
labels = np.arange(24) % 5
gamma = np.ones(20_000, np.float32)
some = Moments().update(wide)
calls = {
    **{f"{kind.__name__}({name})": (lambda kind=kind, x=x: kind().update(x))
       for kind in (Moments, Extrema, Quantiles)
       for name, x in {"wide": wide, "odd": odd, "bytes": bytes_, "many": many, "int16": wide.astype("i2")}.items()},
    "weights": lambda: Moments().update(wide, weights=labels),
    "mask": lambda: Moments().update(wide, mask=wide > 0),
    "weighted quantiles": lambda: Quantiles().update(many, weights=np.arange(len(many)) % 7 * 0.25),
    "merge": lambda: some + some,
    "pickle": lambda: pickle.loads(pickle.dumps(some)),
    "median of means": lambda: MedianOfMeans(4).update(wide).mean,
    **{f"{name} fit": (lambda name=name: getattr(planish, name)().fit(wide).transform(odd))
       for name in ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler")},
    "partial_fit": lambda: planish.RobustScaler().partial_fit(wide).inverse_transform(wide),
    "normalize": lambda: planish.normalize(odd, axis=0),
    "Normalizer": lambda: planish.Normalizer("l1").transform(wide),
    "sparse": lambda: planish.StandardScaler(with_mean=False).fit(matrix).transform(matrix),
    "sparse quantiles": lambda: planish.RobustScaler(with_centering=False).fit(matrix.tocsc()),
    "sparse norms": lambda: planish.normalize(matrix, norm="l2"),
    "groups": lambda: planish.GroupedScaler(planish.StandardScaler()).fit_transform(wide, groups=labels),
    "images": lambda: planish.ImageNormalizer.imagenet()(bytes_),
    "own images": lambda: planish.ImageNormalizer(normalization="image_per_channel")(list(bytes_)),
    "layer_norm": lambda: layers.layer_norm(wide, gamma, gamma),
    "columns": lambda: layers.standardize(wide, axis=0),
    "save": lambda: planish.stats and some.__reduce_ex__(4),
}
"""

SWEEP = """
import resource, sys, time
threads, step = int(sys.argv[1]), int(sys.argv[2])
planish.set_num_threads(threads)

def size():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

errors = 0
for name, call in calls.items():
    call()
    done, extra = False, 0
    while not done:
        extra += step + extra // 16
        assert extra < 1 << 31, name
        resource.setrlimit(resource.RLIMIT_AS, (size() + extra, resource.RLIM_INFINITY))
        try:
            call()
            done = True
        except MemoryError:
            errors += 1
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    call()
print(errors)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_limit_at_every_allocation(threads):
    """Each allocation of a few kilobytes or more comes from the system, and so meets the limit at some step."""
    environment = {"MALLOC_MMAP_THRESHOLD_": "4096", "MALLOC_TOP_PAD_": "0", "MALLOC_ARENA_MAX": "1", "PATH": ""}
    environment["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
    done = subprocess.run(
        [sys.executable, "-c", CALLS + SWEEP, str(threads), str(1 << 16)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
    )
    assert done.returncode == 0, f"{done.returncode}\n{done.stderr[-2000:]}"
    assert int(done.stdout) > 100
