"""What statistics, layers and maps take beside their input and output.

A process of its own, which prints a line for each case that takes more than it may.

The peak of the process is set back before each case (``/proc/self/clear_refs``) and read after it.
"""

import itertools
import sys
import warnings
from functools import partial

import numpy as np
import planish
from planish import MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler, layers
from planish.stats import Extrema, MedianOfMeans, Moments, Quantiles

MIB = 1 << 20
#: Tiles of two threads, and what the allocator and the interpreter hold.
USUAL = 5 * MIB
#: As many elements as two threads sort at a time, of eight bytes, and their counterparts.
SORTED = 24 * MIB
SHAPE = (1 << 19, 12)


def peak():
    """The largest size that the process has had, in bytes."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))


def extra(call):
    """How far the process grows in `call`."""
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
    before = peak()
    call()
    return peak() - before


def layouts(x):
    """The same elements in other orders, each in memory of its own only where that is the order of memory."""
    yield "C order", x
    yield "reversed", x[::-1, ::-1]
    yield "every other", x[::2, ::2]
    fortran = np.asfortranarray(x)
    yield "F order", fortran
    yield "F order, every other", fortran[::2]


def statistics(x, sorts):
    """Accumulators with every kind of weights and masks; those that sort, which takes longer, where that is wanted."""
    samples = len(x)
    rng = np.random.default_rng(1)
    by_sample = rng.integers(0, 4, samples).astype(float)
    fractions = rng.random(samples)
    weights = {
        "no weights": None,
        "weights": by_sample,
        "weights that are fractions": fractions,
        "weights of elements": np.broadcast_to(by_sample[:, np.newaxis], x.shape),
    }
    column = rng.random((samples, 1)) < 0.9
    masks = {"no mask": None, "mask": column, "mask of elements": np.broadcast_to(column, x.shape)}
    classes = {
        "Moments": (Moments, USUAL),
        "Extrema": (Extrema, USUAL),
        "MedianOfMeans": (lambda axis: MedianOfMeans(5, axis), USUAL),
        "Quantiles": (lambda axis: Quantiles(0.5, axis), SORTED),
    }
    for name, axis in itertools.product(classes, (-1, None)):
        make, most = classes[name]
        for (told, weight), (masked, mask) in itertools.product(weights.items(), masks.items()):
            if name == "Extrema" and weight is not None:
                continue
            few = axis is None or masked == "mask" or (told == "weights that are fractions" and mask is not None)
            if name == "Quantiles" and (not sorts or few):
                continue
            more = {} if name == "Extrema" else {"weights": weight}
            yield f"{name}({axis}), {told}, {masked}", partial(make(axis).update, x, mask=mask, **more), most


def scalers(x, out):
    """Fits and maps."""
    mask = np.broadcast_to(np.arange(len(x))[:, np.newaxis] % 10 > 0, x.shape)
    weight = np.arange(len(x)) % 4 / 3
    # scikit-learn compares weights with zero: a byte for each sample.
    most = USUAL + 2 * len(x)
    for scaler in (StandardScaler(), MinMaxScaler((-1, 1)), MaxAbsScaler(), StandardScaler(n_blocks=5)):
        yield f"{scaler}.fit", partial(scaler.fit, x), most
        yield f"{scaler}.fit with a mask", partial(scaler.fit, x, mask=mask), most
        yield f"{scaler}.transform", partial(scaler.transform, x, out=out), most
        yield f"{scaler}.inverse_transform", partial(scaler.inverse_transform, x, out=out), most
    yield "StandardScaler with weights", partial(StandardScaler().fit, x, sample_weight=weight), most + weight.nbytes
    yield "RobustScaler.partial_fit", partial(RobustScaler().partial_fit, x, mask=mask), SORTED
    for norm in ("l1", "l2", "max"):
        yield f"Normalizer({norm!r})", partial(Normalizer(norm).transform, x, out=out), most
        yield f"Normalizer({norm!r}) of columns", partial(Normalizer(norm, channel_axis=0).transform, x, out=out), most


def normalised(x, out):
    """Layers of pictures, the last axis that of the channels or not, with and without parameters."""
    channels = x.shape[-1]
    ones, zeros = np.ones(channels), np.zeros(channels)
    for gamma, beta in ((None, None), (ones, zeros)):
        told = "with parameters" if gamma is not None else "without parameters"
        yield f"batch_norm {told}", partial(layers.batch_norm, x, gamma, beta, channel_axis=-1, out=out), USUAL
        yield f"instance_norm {told}", partial(layers.instance_norm, x, gamma, beta, channel_axis=-1, out=out), USUAL
        yield f"group_norm {told}", partial(layers.group_norm, x, 4, gamma, beta, channel_axis=-1, out=out), USUAL
        yield f"layer_norm {told}", partial(layers.layer_norm, x, gamma, beta, out=out), USUAL
        first = np.moveaxis(x, -1, 1), np.moveaxis(out, -1, 1)
        yield (
            f"batch_norm, channels first, {told}",
            partial(layers.batch_norm, first[0], gamma, beta, out=first[1]),
            USUAL,
        )
        yield (
            f"gradients {told}",
            partial(layers.batch_norm_backward, x, x, gamma, channel_axis=-1, out=out),
            USUAL,
        )
    yield "standardize", partial(layers.standardize, x, None, out=out), USUAL


def report(what, cases):
    """Print the cases that take too much."""
    for name, call, most in cases:
        found = extra(call)
        if found > most:
            print(f"{what}: {name} takes {found / MIB:.1f} MiB; {most / MIB:.1f} MiB are enough", flush=True)


def main(part):
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    planish.set_num_threads(2)
    dtype = sys.argv[2]
    # Every layout with the smaller elements: what is taken for each element shows with either.
    narrow = dtype == "float32"
    x = (np.random.default_rng(0).standard_normal(SHAPE, np.float32) * 100).astype(dtype)
    if part == "statistics":
        orders = dict(layouts(x))
        for told in ("C order", "F order")[: 1 + narrow]:
            view = orders[told]
            # Once without being measured: threads start, and kernels find their place in memory.
            Moments().update(view)
            Quantiles(0.5).update(view)
            report(f"{dtype}, {told}", statistics(view, narrow))
    elif part == "scalers":
        for told, view in layouts(x):
            if not narrow and told not in ("C order", "F order"):
                continue
            out = np.zeros_like(view)
            StandardScaler().fit(view).transform(view, out=out)
            report(f"{dtype}, {told}", scalers(view, out))
    else:
        x = x.reshape(16, 256, -1, 12)
        for told, value in (("an infinity", np.inf), ("not a number", np.nan)):
            x[3, 2, 1, 0] = value
            for order, view in (
                ("C order", x),
                ("mirrored", x[:, ::-1, :, ::-1]),
                ("transposed", x.transpose(0, 2, 1, 3)),
            )[: 3 if narrow else 1]:
                out = np.zeros_like(x).transpose(0, 2, 1, 3) if order == "transposed" else np.zeros_like(x)
                layers.layer_norm(view, out=out)
                report(f"{dtype}, {told}, {order}", normalised(view, out))


if __name__ == "__main__":
    main(sys.argv[1])
