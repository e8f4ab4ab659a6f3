"""Mean and variance of five hard columns: what libraries say, and the exact value.

Prints a table in Markdown, with the relative error of each variance. Libraries that are not installed are left out.
"""

from fractions import Fraction
from functools import partial
from importlib import import_module

import numpy as np
import sklearn.preprocessing
from planish.stats import Moments


def columns():
    """Five columns of float64, or of float32 where it is said."""
    random = np.random.default_rng(0)
    yield "mean 1e9, deviation 1", 1e9 + random.normal(size=100_000)
    yield "one outlier of 1e12", np.concatenate([[1e12], random.normal(size=99_999), [-1e12]])
    yield "deviations of 1e-170", 1e-170 * random.normal(size=1000)
    yield "lognormal(0, 6)", np.exp(6 * random.normal(size=100_000))
    yield "float32 pixels, 0 to 255", random.integers(256, size=4_000_000).astype(np.float32)


def libraries():
    """Functions that give the variance."""
    yield "NumPy", np.var
    yield "scikit-learn", lambda x: sklearn.preprocessing.StandardScaler().fit(x[:, np.newaxis]).var_[0]
    for name, module, var in (
        ("pandas", "pandas", lambda pandas, x: pandas.Series(x).var(ddof=0)),
        ("polars", "polars", lambda polars, x: polars.Series(x).var(ddof=0)),
        ("PyTorch", "torch", lambda torch, x: torch.from_numpy(x).var(correction=0).item()),
    ):
        try:
            library = import_module(module)
        except ImportError:
            continue
        yield name, partial(var, library)
    yield "planish", lambda x: Moments(None).update(x).var


def exact(x):
    """The variance as a fraction."""
    values, counts = np.unique(x, return_counts=True)
    numbers = list(zip(map(Fraction, values.tolist()), counts.tolist(), strict=True))
    total = sum(count * number for number, count in numbers)
    squares = sum(count * number * number for number, count in numbers)
    return (len(x) * squares - total * total) / len(x) ** 2


def main():
    """Print the table."""
    known = list(libraries())
    print("| column | exact variance |", " | ".join(name for name, _ in known), "|")
    print("|---|---|" + "---|" * len(known))
    for label, x in columns():
        truth, cells = exact(x), []
        for _, var in known:
            found = float(var(x))
            off = abs(Fraction(found) - truth) / truth if np.isfinite(found) else None
            right = found == float(truth)
            cells.append("exact" if right else "no number" if off is None else f"off by {float(off):.0e}")
        print(f"| {label} | {float(truth)!r} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
