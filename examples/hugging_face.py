"""A data set of Hugging Face whose pictures are normalised when they are asked for."""

import datasets
import numpy as np
from PIL import Image
from planish import ImageNormalizer
from sklearn.datasets import load_sample_images


def main():
    crops = [
        photograph[i : i + 96, i : i + 96] for photograph in load_sample_images().images for i in range(0, 240, 60)
    ]
    dataset = datasets.Dataset.from_dict(
        {"image": [Image.fromarray(crop) for crop in crops], "label": list(range(len(crops)))},
        features=datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")}),
    )
    normalize = ImageNormalizer().fit(row["image"] for row in dataset)
    print(normalize)
    dataset.set_transform(lambda batch: {"pixels": normalize(batch["image"]), "label": batch["label"]})
    pixels = np.stack(dataset[:]["pixels"])
    assert pixels.shape == (8, 3, 96, 96)
    assert np.abs(pixels.mean(axis=(0, 2, 3))).max() < 1e-5
    print(f"{len(dataset)} pictures, mean {pixels.mean():.1e}, std {pixels.std():.4f}")


if __name__ == "__main__":
    main()
