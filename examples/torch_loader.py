"""A PyTorch DataLoader whose workers decode and normalise, with planish as `transform` and in `collate_fn`."""

import io

import numpy as np
import torch
from PIL import Image
from planish import ImageNormalizer
from sklearn.datasets import load_sample_images
from torch.utils.data import DataLoader, Dataset

normalize = ImageNormalizer.imagenet()


class Photographs(Dataset):
    """Crops of photographs, kept as JPEG."""

    def __init__(self, count, transform=None):
        self.count, self.transform = count, transform
        self.files = []
        for photograph in load_sample_images().images:
            file = io.BytesIO()
            Image.fromarray(photograph).save(file, "jpeg")
            self.files.append(file.getvalue())

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        pixels = np.asarray(Image.open(io.BytesIO(self.files[index % 2])))
        top, left = index * 7 % 200, index * 13 % 400
        crop = pixels[top : top + 224, left : left + 224]
        crop = crop[:, ::-1] if index % 3 else crop  # mirrored: a view, which costs nothing
        return (crop if self.transform is None else self.transform(crop)), index


def collate(samples):
    """Stack and normalise in one pass."""
    crops, labels = zip(*samples, strict=True)
    return torch.from_numpy(normalize(crops)), torch.tensor(labels)


def main():
    as_transform = DataLoader(Photographs(64, normalize), batch_size=16, num_workers=2)
    in_collate = DataLoader(Photographs(64), batch_size=16, num_workers=2, collate_fn=collate)
    for (x, labels), (same, _) in zip(as_transform, in_collate, strict=True):
        assert x.shape == (16, 3, 224, 224)
        assert torch.equal(x, same)
        print(f"samples {labels[0]}-{labels[-1]}: mean {x.mean():.4f}, std {x.std():.4f}")


if __name__ == "__main__":
    main()
