"""The main job on real data: stream the statistics of photographs, normalise them, standardise tables; check, compare.

Run it with ``make demo``. The photographs and tables are those that scikit-learn ships.
"""

import time

import numpy as np
import sklearn.preprocessing
from planish import StandardScaler
from planish.stats import Moments
from sklearn.datasets import load_breast_cancer, load_digits, load_sample_images


def best_ms(function, repeats=7):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def show(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print(
            "  ".join(
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
        )
    print()


def photographs():
    """Per-channel mean and std of photographs, streamed in strips; then the photographs normalised."""
    images = load_sample_images().images
    moments = Moments()
    for image in images:
        for strip in np.array_split(image, 16):
            moments.update(strip)
    batch = np.stack(images)
    scaler = StandardScaler(dtype="float32").fit(batch)
    normalised = scaler.transform(batch)

    pixels = batch.reshape(-1, 3).astype(np.float64)
    # NumPy adds the pixels one after the other: its own error may reach n times the precision.
    rtol = len(pixels) * np.finfo(np.float64).eps
    np.testing.assert_allclose(moments.mean, pixels.mean(axis=0), rtol=rtol)
    np.testing.assert_allclose(moments.std, pixels.std(axis=0), rtol=rtol)
    np.testing.assert_array_equal(moments.mean, scaler.mean_)
    expected = (pixels - pixels.mean(axis=0)) / pixels.std(axis=0)
    np.testing.assert_allclose(normalised.reshape(-1, 3), expected, atol=1e-6)

    after = Moments().update(normalised)
    rows = [
        (
            "photographs, " + " x ".join(map(str, batch.shape)),
            "mean before",
            "std before",
            "mean after",
            "std after",
        )
    ]
    for c, name in enumerate(("red", "green", "blue")):
        rows.append((name, *(f"{v[c]:.4f}" for v in (moments.mean, moments.std, abs(after.mean), after.std))))
    show(rows)

    def numpy_way():
        x = batch.astype(np.float32)
        return (x - x.mean(axis=(0, 1, 2))) / x.std(axis=(0, 1, 2))

    flat = batch.reshape(-1, 3)
    return (
        "photographs, fit + transform",
        best_ms(lambda: scaler.fit(batch).transform(batch)),
        best_ms(numpy_way),
        best_ms(lambda: sklearn.preprocessing.StandardScaler().fit_transform(flat)),
    )


def table(name, X):
    """Fit and transform a table; the same numbers as NumPy's and scikit-learn's."""
    ours, theirs = StandardScaler(), sklearn.preprocessing.StandardScaler()
    y = ours.fit_transform(X)
    np.testing.assert_allclose(ours.mean_, X.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(ours.var_, X.var(axis=0), rtol=1e-12)
    np.testing.assert_allclose(y, theirs.fit_transform(X), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(ours.inverse_transform(y), X, atol=1e-9)
    varied = X.std(axis=0) > 0

    def numpy_way():
        std = X.std(axis=0)
        return (X - X.mean(axis=0)) / np.where(std == 0, 1, std)

    rows = [(f"{name}, {X.shape[0]} x {X.shape[1]}", "before", "after")]
    rows.append(
        (
            "means, from .. to",
            f"{X.mean(0).min():.3g} .. {X.mean(0).max():.4g}",
            f"{abs(y.mean(0)).max():.1e} at most",
        )
    )
    rows.append(
        (
            "stds, from .. to",
            f"{X.std(0)[varied].min():.3g} .. {X.std(0).max():.4g}",
            f"1 within {abs(y[:, varied].std(0) - 1).max():.1e}",
        )
    )
    show(rows)
    return (
        f"{name}, fit + transform",
        best_ms(lambda: ours.fit(X).transform(X), 30),
        best_ms(numpy_way, 30),
        best_ms(lambda: theirs.fit(X).transform(X), 30),
    )


def main():
    timings = [
        photographs(),
        table("breast cancer", load_breast_cancer().data),
        table("digits", load_digits().data),
    ]
    rows = [("best time, milliseconds", "planish", "NumPy", "scikit-learn")]
    rows += [(name, *(f"{ms:.3f}" for ms in times)) for name, *times in timings]
    show(rows)
    print("All results agree with NumPy in float64.")


if __name__ == "__main__":
    main()
