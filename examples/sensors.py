"""Lidar by its range, camera by constants, radar by statistics: one dict, fitted in batches and saved as one file."""

import tempfile
from pathlib import Path

import numpy as np
import planish
from planish import ImageNormalizer, MinMaxScaler, StandardScaler


def drive(rng, samples):
    """Recordings of a few sensors, of different shapes and dtypes."""
    for _ in range(samples):
        yield {
            "lidar": rng.uniform(0.5, 150, size=(64, 900)).astype(np.float32),  # metres
            "camera": rng.integers(0, 256, size=(96, 128, 3), dtype=np.uint8),
            "radar": rng.normal([30, 5], [20, 3], size=(200, 2)).astype(np.float32),  # metres, metres per second
        }


def main():
    scalers = {
        "lidar": MinMaxScaler.from_stats(0, 120, channel_axis=None, clip=True),
        "camera": ImageNormalizer.imagenet(),
        "radar": StandardScaler(),
    }
    for sample in drive(np.random.default_rng(0), 50):
        scalers["radar"].partial_fit(sample["radar"])

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sensors.json"
        planish.save(scalers, path)
        print(f"{path.name}: {path.stat().st_size} bytes for {', '.join(scalers)}")
        scalers = planish.load(path)

    sample = next(drive(np.random.default_rng(1), 1))
    normalised = {name: scalers[name].transform(x) for name, x in sample.items()}
    print("sensor  shape            dtype     least  largest   mean")
    for name, y in normalised.items():
        print(f"{name:7} {y.shape!s:16} {y.dtype!s:8} {y.min():6.2f}   {y.max():6.2f} {y.mean():6.2f}")
    assert normalised["lidar"].min() >= 0
    assert normalised["lidar"].max() == 1  # clipped at 120 m
    assert normalised["camera"].shape == (3, 96, 128)
    assert np.allclose(normalised["radar"].mean(axis=0), 0, atol=0.3)


if __name__ == "__main__":
    main()
