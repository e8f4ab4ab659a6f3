"""Print a digest of every result of the public API over arrays of many kinds: equal bits give equal digests.

Run as a script; it prints one object of JSON. `PLANISH_LEVEL` and `PLANISH_NUM_THREADS` say how it computes.
"""

import hashlib
import json
import warnings

import ml_dtypes
import numpy as np
import planish
from arrays import DTYPES, FLOATS, fill
from planish import layers, stats
from scipy.sparse import csc_array, csr_array

#: A name for each shape, and the axes that keep their own statistics.
SHAPES = {
    "table": ((700, 13), -1),
    "long": ((40_011, 3), -1),
    "wide": ((5, 3001), -1),
    "column": ((9001, 1), -1),
    "nhwc": ((5, 17, 19, 3), -1),
    "nchw": ((5, 3, 17, 19), -3),
    "pixels": ((9, 7, 5, 3), (-3, -2, -1)),
    "all": ((31, 33), None),
}
#: Ways to see an array.
VIEWS = {
    "plain": lambda x: x,
    "fortran": np.asfortranarray,
    "flipped": lambda x: x[::-1, ..., ::-1],
    "gaps": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "turned": lambda x: np.ascontiguousarray(x.swapaxes(0, -1)).swapaxes(0, -1),
}


def digest(value):
    """Hash the bits of arrays, numbers, and lists and dicts of them. NaN is one value."""
    sha = hashlib.sha256()

    def add(value):
        if isinstance(value, dict):
            for key in sorted(value):
                sha.update(str(key).encode())
                add(value[key])
        elif isinstance(value, list | tuple):
            for item in value:
                add(item)
        elif value is None:
            sha.update(b"None")
        elif hasattr(value, "tocsr"):
            add([value.data, value.indices, value.indptr])
        else:
            array = np.array(value)
            sha.update(f"{array.dtype.name}{array.shape}".encode())
            if array.dtype in FLOATS:
                array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
            sha.update(array.tobytes())

    add(value)
    return sha.hexdigest()[:16]


def fitted(scaler):
    """Collect the fitted attributes of a scaler."""
    names = [name for name in vars(scaler) if name.endswith("_") and not name.startswith("_")]
    return {name: getattr(scaler, name) for name in names if name != "scalers_"}


def scalers(axis):
    """Make one scaler of each kind."""
    yield "standard", planish.StandardScaler(channel_axis=axis)
    yield "blocks", planish.StandardScaler(channel_axis=axis, n_blocks=3)
    yield "minmax", planish.MinMaxScaler((-0.3, 0.7), channel_axis=axis)
    yield "clipped", planish.MinMaxScaler(clip=True, channel_axis=axis, dtype="float32")
    yield "maxabs", planish.MaxAbsScaler(channel_axis=axis)
    yield "robust", planish.RobustScaler(channel_axis=axis)
    for norm in ("l1", "l2", "max"):
        if axis is not None:
            yield norm, planish.Normalizer(norm, channel_axis=axis)
    for base, log1p in (("e", False), (2, True), (10, False), (0.7, True)):
        options = {"log1p": log1p, "invalid": "nan", "channel_axis": axis}
        yield f"log {base} {log1p}", planish.LogScaler(base, 0.7, 1.3, **options)


def of_arrays(results):
    """Scalers and accumulators."""
    for name, (shape, axis) in SHAPES.items():
        for dtype in DTYPES:
            for nan in (False, True):
                if nan and dtype not in FLOATS:
                    continue
                base = fill(shape, dtype, 7, nan=nan)
                # What is missing is missing wherever it lies.
                views = VIEWS if name in ("table", "nhwc", "nchw") and not nan else {"plain": VIEWS["plain"]}
                for view, see in views.items():
                    x = see(base)
                    key = f"{name} {dtype.name} {'nan ' if nan else ''}{view}"
                    for kind, scaler in scalers(axis):
                        if nan and kind in ("l1", "l2", "max"):
                            continue
                        y = scaler.fit(x).transform(x)
                        back = [scaler.inverse_transform(y)] if hasattr(scaler, "inverse_transform") else []
                        results[f"{key} {kind}"] = digest([fitted(scaler), y, back])
                    half = x.shape[0] // 2
                    mask = np.random.default_rng(1).random(x.shape) < 0.8
                    weights = np.random.default_rng(2).random(x.shape)
                    for kind in ("Moments", "Extrema", "Quantiles", "MedianOfMeans"):
                        make = getattr(stats, kind)
                        first = {"Quantiles": ([0.1, 0.5],), "MedianOfMeans": (2,)}.get(kind, ())
                        one, two = (make(*first, channel_axis=axis) for _ in range(2))
                        one.update(x[:half]).update(x[half:])
                        two.update(x, mask=mask)
                        both = one + two
                        if kind in ("Moments", "Quantiles"):
                            both.update(x, weights=weights)
                        if kind == "Moments" and axis == -1:
                            both.update(x, weights[(slice(None), *[0] * (x.ndim - 1))], mask)
                        names = ("count", "mean", "var", "scale", "min", "max", "quantiles")
                        results[f"{key} {kind}"] = digest([getattr(both, name, 0) for name in names])


def of_layers(results):
    """Normalisation layers, forward and backward."""
    for dtype in FLOATS:
        x, dy = (fill((4, 6, 9, 11), dtype, seed) for seed in (3, 4))
        gamma, beta = np.linspace(0.5, 2, 6), np.linspace(-1, 1, 6)
        for view, see in VIEWS.items():
            a, b = see(x), see(dy)
            key = f"{dtype.name} {view}"
            calls = {
                "layer": lambda f, *rest: f(*rest),
                "rms": lambda f, *rest: f(*rest),
                "instance": lambda f, *rest: f(*rest),
                "group": lambda f, *rest: f(*rest, 3),
            }
            for kind, call in calls.items():
                forward, backward = getattr(layers, f"{kind}_norm"), getattr(layers, f"{kind}_norm_backward")
                results[f"{kind} {key}"] = digest([call(forward, a), call(backward, b, a)])
            y = layers.batch_norm(a, gamma, beta)
            known = layers.batch_norm(a, gamma, beta, running_mean=beta, running_var=gamma, training=False)
            results[f"batch {key}"] = digest([y, known, layers.batch_norm_backward(b, a, gamma)])
            for axis in (-1, (2, 3), (0, 2, 3), None):
                results[f"standardize {axis} {key}"] = digest(layers.standardize(a, axis, eps=1e-5))
    net, (a, b) = layers.BatchNorm(5), (fill((8, 5, 7), np.dtype("f4"), seed) for seed in (5, 6))
    results["BatchNorm"] = digest([net(a), net.eval()(b)])


def of_pictures(results):
    """Pictures of every dtype and layout."""
    for dtype in DTYPES:
        x = fill((3, 20, 22, 3), dtype, 8)
        x = np.abs(x) if dtype in FLOATS else x
        for out in ("float16", "bfloat16", "float32", "float64"):
            for layout in ("NHWC->NCHW", "NHWC->NHWC"):
                normalizer = planish.ImageNormalizer([0.4, 0.5, 0.6], [0.2, 0.3, 0.1], layout=layout, dtype=out)
                y = normalizer(x)
                results[f"pictures {dtype.name} {out} {layout}"] = digest([y, normalizer(x[:, ::-1, 2:, ::-1])])
        learnt = planish.ImageNormalizer().fit(x)
        results[f"pictures {dtype.name} fitted"] = digest([learnt.mean_, learnt.std_])


def of_the_rest(results):
    """Sparse matrices, groups, functions."""
    rng = np.random.default_rng(9)
    for dtype in ("f4", "f8"):
        dense = np.where(rng.random((300, 17)) < 0.2, rng.normal(size=(300, 17)), 0).astype(dtype)
        for make in (csr_array, csc_array):
            x = make(dense)
            for scaler in (
                planish.StandardScaler(with_mean=False),
                planish.MaxAbsScaler(),
                planish.RobustScaler(with_centering=False),
                planish.Normalizer(),
            ):
                y = scaler.fit(x).transform(x)
                results[f"sparse {make.__name__} {dtype} {type(scaler).__name__}"] = digest([fitted(scaler), y])
    for dtype in ("u1", "i4", "f4", "f8"):
        x = fill((5000, 7), np.dtype(dtype), 11)
        groups = rng.integers(0, 9, 5000)
        for scaler in (planish.StandardScaler(), planish.MinMaxScaler(), planish.RobustScaler()):
            grouped = planish.GroupedScaler(scaler).fit(x, groups=groups)
            y = grouped.transform(x, groups=groups)
            back = grouped.inverse_transform(y, groups=groups)
            results[f"grouped {dtype} {type(scaler).__name__}"] = digest([y, back])
        for name in ("scale", "minmax_scale", "maxabs_scale", "robust_scale", "normalize"):
            results[f"{name} {dtype}"] = digest(getattr(planish, name)(x.astype("f8") if dtype == "i4" else x))


def every_result():
    """Digest everything."""
    results = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for part in (of_arrays, of_layers, of_pictures, of_the_rest):
            part(results)
    return results


if __name__ == "__main__":
    assert ml_dtypes  # gives NumPy the name of bfloat16
    print(json.dumps(every_result()))
