"""Process and thread pools: every worker normalises its own pictures, and their statistics are merged."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
from planish import ImageNormalizer
from sklearn.datasets import load_sample_images


def learn(crops):
    """What one worker learns of its share of the data set."""
    return ImageNormalizer().fit(crops)


def main():
    crops = [
        photograph[i : i + 128, i : i + 128] for photograph in load_sample_images().images for i in range(0, 280, 40)
    ]
    shares = [crops[i::4] for i in range(4)]
    with ProcessPoolExecutor(2) as pool:
        parts = list(pool.map(learn, shares))
    normalize = ImageNormalizer()
    for part in parts:
        normalize.merge(part)
    assert normalize == ImageNormalizer().fit(crops)  # to the last bit
    print(normalize)

    batch = np.empty((len(crops), 3, 128, 128), np.float32)
    with ThreadPoolExecutor(4) as pool:  # the GIL is let go while a picture is normalised
        list(pool.map(lambda i: normalize(crops[i], out=batch[i]), range(len(crops))))
    assert np.array_equal(batch, normalize(crops))
    print(f"{len(crops)} pictures, mean {batch.mean():.1e}, std {batch.std():.4f}")


if __name__ == "__main__":
    main()
