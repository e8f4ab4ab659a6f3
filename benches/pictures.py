"""Pictures: from pixels to network input, statistics of a data set, loaders."""

import importlib
import io
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from measuring import THREADS, Job, cv2, optional, read, torch, write
from planish import ImageNormalizer
from sklearn.datasets import load_sample_images

numba, albumentations = optional("numba"), optional("albumentations")

MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
#: For every byte and channel the result.
TABLE = ((np.arange(256)[:, None] / 255 - MEAN) / STD).astype(np.float32)[None]


def torch_ways(x, out):
    """The ways of PyTorch that its users write, to CHW: with a new result, and into `out`."""
    if torch is None:
        return {}, {}
    pixels, result = torch.from_numpy(x), torch.from_numpy(out)
    mean, std = (torch.tensor(values * 255).view(3, 1, 1) for values in (MEAN, STD))
    order = (0, 3, 1, 2) if x.ndim == 4 else (2, 0, 1)
    new = {
        "PyTorch: float": lambda: pixels.permute(*order).float().sub_(mean).div_(std),
        "PyTorch: contiguous": lambda: pixels.permute(*order).contiguous().float().sub_(mean).div_(std),
        "PyTorch: addcmul": lambda: torch.addcmul(-mean / std, pixels.permute(*order).contiguous().float(), 1 / std),
    }
    into = {
        "PyTorch: copy_": lambda: result.copy_(pixels.permute(*order)).sub_(mean).div_(std),
        "PyTorch: sub": lambda: torch.sub(pixels.permute(*order), mean, out=result).div_(std),
    }
    return new, into


def numba_loop(x, out):
    """What one would write with numba: a loop over images, in parallel."""
    if numba is None:
        return {}

    @numba.njit(parallel=True, fastmath=True)
    def normalize(x, out, scale, shift):
        for n in numba.prange(x.shape[0]):
            for c in range(3):
                for i in range(x.shape[1]):
                    for j in range(x.shape[2]):
                        out[n, c, i, j] = x[n, i, j, c] * scale[c] + shift[c]

    scale, shift = (1 / (255 * STD)).astype(np.float32), (-MEAN / STD).astype(np.float32)
    numba.set_num_threads(THREADS)
    return {"numba": lambda: normalize(x, out, scale, shift)}


def batch_jobs(scale, rng):
    """A batch for training."""
    x = rng.integers(0, 256, (max(int(256 * scale), 4), 224, 224, 3), dtype=np.uint8)
    out = np.empty((len(x), 3, 224, 224), np.float32)
    normalize = ImageNormalizer.imagenet()
    new, into = torch_ways(x, out)

    def numpy():
        return np.ascontiguousarray(((x.astype(np.float32) / 255 - MEAN) / STD).transpose(0, 3, 1, 2))

    limit, size = ("write", write(out)), x.nbytes + out.nbytes
    peers = {"NumPy": numpy, **new, **into, **numba_loop(x, out)}
    yield Job("uint8 NHWC to float32 NCHW into out=", lambda: normalize(x, out=out), limit, peers, size)
    yield Job("uint8 NHWC to float32 NCHW, new array", lambda: normalize(x), limit, new, size)
    images = list(x)
    yield Job("the same from a list of images", lambda: normalize(images, out=out), limit, {}, size)


def image_jobs(rng):
    """One image at a time, on one thread: inside a loader's worker."""
    for side, number in ((1024, 5), (224, 100)):
        x = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        planes, pixels = np.empty((3, side, side), np.float32), np.empty(x.shape, np.float32)
        new, into = torch_ways(x, planes)
        to_planes, to_pixels = ImageNormalizer.imagenet(), ImageNormalizer.imagenet(layout="NHWC->NHWC")
        peers, same = {**new, **into}, {}
        if cv2 is not None:
            centre = tuple(float(value) for value in MEAN * 255)
            peers["cv2.LUT + transpose"] = lambda x=x: np.ascontiguousarray(cv2.LUT(x, TABLE).transpose(2, 0, 1))
            peers["blobFromImage"] = lambda x=x, m=centre: cv2.dnn.blobFromImage(x, 1 / 255, mean=m)
            same["cv2.LUT"] = lambda x=x, y=pixels: cv2.LUT(x, TABLE, y)
        size = x.nbytes + planes.nbytes
        run = partial(to_planes, x, out=planes)
        yield Job(f"one image of {side}, HWC to CHW, one thread", run, None, peers, size, number, alone=True)
        run = partial(to_pixels, x, out=pixels)
        yield Job(f"one image of {side}, HWC to HWC, one thread", run, None, same, size, number, alone=True)
    x = rng.integers(0, 256, (512, 512, 9), dtype=np.uint8)
    y, normalize = (
        np.empty(x.shape, np.float32),
        ImageNormalizer(np.tile(MEAN, 3), np.tile(STD, 3), layout="NHWC->NHWC"),
    )
    peers = {} if cv2 is None else {"cv2.LUT": lambda: cv2.LUT(x, np.tile(TABLE, 3), y)}
    name = "one image of 512, 9 channels, HWC to HWC, one thread"
    yield Job(name, lambda: normalize(x, out=y), None, peers, x.nbytes + y.nbytes, 5, alone=True)


def statistics_jobs(scale, rng):
    """Statistics of a data set, and of each image by itself."""
    images = list(rng.integers(0, 256, (max(int(256 * scale), 4), 224, 224, 3), dtype=np.uint8))
    batch = np.stack(images)
    peers = {"NumPy": lambda: (batch.mean(axis=(0, 1, 2)), batch.std(axis=(0, 1, 2)))}
    if cv2 is not None:
        peers["cv2.meanStdDev"] = lambda: [cv2.meanStdDev(image) for image in images]
    name = "statistics of images, one thread"
    yield Job(name, lambda: ImageNormalizer().fit(images), ("read", read(batch)), peers, batch.nbytes, alone=True)
    x, normalize = images[0], ImageNormalizer(normalization="image_per_channel", layout="NHWC->NHWC")
    peers = {}
    if albumentations is not None:
        theirs = albumentations.Normalize(normalization="image_per_channel")
        peers["albumentations"] = lambda: theirs(image=x)["image"]
    yield Job(
        "image_per_channel of one image of 224, one thread", lambda: normalize(x), None, peers, 5 * x.nbytes, 20, True
    )


#: A program that decodes the files of a folder on some threads, and does nothing else.
DECODE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from PIL import Image

def decode(path):
    with Image.open(path) as image:
        image.load()

list(ThreadPoolExecutor(int(sys.argv[2])).map(decode, Path(sys.argv[1]).iterdir()))
"""


class Loaded:
    """A data set of JPEG files for PyTorch's DataLoader."""

    def __init__(self, files, transform):
        self.files, self.transform = files, transform

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        from PIL import Image

        with Image.open(self.files[index]) as image:
            return self.transform(np.asarray(image))


def tensor_ops(pixels):
    """What torchvision's ToTensor and Normalize do."""
    mean, std = torch.from_numpy(MEAN).view(3, 1, 1), torch.from_numpy(STD).view(3, 1, 1)
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous().float().div_(255).sub_(mean).div_(std)


def folder_jobs(scale):
    """A folder of JPEG files made of the sample photographs."""
    image_module = optional("PIL.Image")
    if image_module is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        files, photographs = [], load_sample_images().images
        for i in range(max(int(2000 * scale), 20)):
            photograph = photographs[i % 2]
            top, left = i * 7 % 27, i * 11 % 40
            file = io.BytesIO()
            image_module.fromarray(photograph[top : top + 400, left : left + 600]).save(file, "jpeg", quality=90)
            files.append(Path(folder) / f"{i:05}.jpg")
            files[-1].write_bytes(file.getvalue())
        command = [sys.executable, "-c", "from planish.cli import main; main()", "stats", folder, "--json"]
        decode = [sys.executable, "-c", DECODE, folder, str(THREADS)]
        size = len(files) * 400 * 600 * 3
        with suppress(ImportError):
            importlib.import_module("click")
            run, alone = (partial(subprocess.run, line, check=True, capture_output=True) for line in (command, decode))
            yield Job(f"planish stats of {len(files)} JPEG files", run, ("decoding alone", alone), {}, size)
        if torch is not None:
            loaders = {
                name: torch.utils.data.DataLoader(Loaded(files[:500], transform), batch_size=32, num_workers=2)
                for name, transform in (("planish", ImageNormalizer.imagenet()), ("torchvision's way", tensor_ops))
            }
            runs = {name: lambda loader=loader: [len(x) for x in loader] for name, loader in loaders.items()}
            yield Job("DataLoader, 2 workers, JPEG to batches", runs.pop("planish"), None, runs, size)


def jobs(scale):
    """Every comparison of pictures."""
    rng = np.random.default_rng(0)
    yield from batch_jobs(scale, rng)
    yield from image_jobs(rng)
    yield from statistics_jobs(scale, rng)
    yield from folder_jobs(scale)
