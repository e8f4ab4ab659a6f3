"""Poisoned data: a few absurd samples move mean and standard deviation anywhere, and medians of blocks hardly."""

import numpy as np
from planish import StandardScaler


def main():
    rng = np.random.default_rng(0)
    clean = rng.normal([20, 1013], [5, 10], size=(100_000, 2))  # a thermometer and a barometer
    poisoned = clean.copy()
    poisoned[rng.choice(len(clean), 4, replace=False)] = 1e8  # four readings that are none

    truth = StandardScaler().fit(clean)
    plain = StandardScaler().fit(poisoned)
    robust = StandardScaler(n_blocks=10)
    for batch in np.array_split(poisoned, 37):  # streamed, as any fit
        robust.partial_fit(batch)

    print("fit                            mean                   std    mean off by, in std")
    for name, scaler in [("clean data", truth), ("poisoned", plain), ("poisoned, n_blocks=10", robust)]:
        off = np.abs(scaler.mean_ - truth.mean_) / truth.scale_
        print(f"{name:22} {scaler.mean_.round(2)!s:>18} {scaler.scale_.round(2)!s:>22}    {off.round(3)}")
    assert (np.abs(plain.mean_ - truth.mean_) > 50 * truth.scale_).all()
    assert (np.abs(robust.mean_ - truth.mean_) < 0.05 * truth.scale_).all()
    assert np.allclose(robust.scale_, truth.scale_, rtol=0.05)


if __name__ == "__main__":
    main()
