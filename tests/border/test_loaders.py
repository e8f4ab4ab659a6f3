"""Data loaders for real: processes of every kind, thread pools, PyTorch's DataLoader, Hugging Face's datasets."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import planish
import pytest
from planish import ImageNormalizer

METHODS = [m for m in ("fork", "spawn", "forkserver") if m in multiprocessing.get_all_start_methods()]
NORMALIZE = ImageNormalizer.imagenet()


def image(index, size=64):
    return np.random.default_rng(index).integers(0, 256, (size, size, 3), dtype=np.uint8)


def work(index):
    """What a worker does: one image and one large batch, and how many threads that takes."""
    batch = np.stack([image(index, 256)] * 12)
    y = NORMALIZE(batch)
    assert np.array_equal(y[3], NORMALIZE(batch[3]))
    return float(NORMALIZE(image(index)).sum(dtype=np.float64)), planish.get_num_threads()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes(method):
    expected = [work(index)[0] for index in range(6)]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        results = list(pool.map(work, range(6)))
    assert [total for total, _ in results] == expected
    if not {"PLANISH_NUM_THREADS", "RAYON_NUM_THREADS", "OMP_NUM_THREADS"} & set(os.environ):
        assert {threads for _, threads in results} == {1}


@pytest.mark.skipif("fork" not in METHODS, reason="this system does not fork")
def test_fork_while_kernels_run():
    """Children forked while other threads are inside kernels do their own work and end."""
    code = """
import os, threading, numpy as np, planish
planish.set_num_threads(4)
normalize = planish.ImageNormalizer.imagenet()
batch = np.random.default_rng(0).integers(0, 256, (32, 128, 128, 3), dtype=np.uint8)
expected, stop = normalize(batch), threading.Event()

def hammer():
    out = np.empty_like(expected)
    while not stop.is_set():
        normalize(batch, out=out)
        planish.ImageNormalizer().fit(batch)

threads = [threading.Thread(target=hammer) for _ in range(3)]
[thread.start() for thread in threads]
for _ in range(20):
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(normalize(list(batch)), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
[thread.join() for thread in threads]
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(planish.__file__).parents[1]), "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=environment)


def test_many_threads_at_once():
    images = [image(index, 96) for index in range(16)]
    expected = [NORMALIZE(x) for x in images]
    with planish.num_threads(2):
        with ThreadPoolExecutor(16) as pool:
            for _ in range(5):
                results = list(pool.map(NORMALIZE, images * 8))
        assert all(np.array_equal(y, expected[i % 16]) for i, y in enumerate(results))
    # Large ones, whose own threads come on top.
    batch = np.stack(images * 4)
    whole = NORMALIZE(batch)
    with ThreadPoolExecutor(8) as pool:
        assert all(np.array_equal(y, whole) for y in pool.map(NORMALIZE, [batch] * 24))


def test_the_interpreter_runs_on_meanwhile():
    """Another thread counts while a kernel runs: the GIL is let go."""
    batch = np.random.default_rng(0).integers(0, 256, (64, 224, 224, 3), dtype=np.uint8)
    counted, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        with planish.num_threads(1):
            before = counted[0]
            for _ in range(5):
                NORMALIZE(batch)
            assert counted[0] > before
    finally:
        stop.set()
        thread.join()


# --- PyTorch ---------------------------------------------------------------------------------------------------------


class Pictures:
    """A map-style data set, as PyTorch takes them."""

    def __init__(self, transform=None, count=10):
        self.transform, self.count = transform, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        picture = image(index, 48)
        return (picture if self.transform is None else self.transform(picture)), index


def collate(samples):
    import torch

    pictures, labels = zip(*samples, strict=True)
    return torch.from_numpy(NORMALIZE(pictures)), torch.tensor(labels)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("workers", "method"), [(0, None), *((2, method) for method in METHODS)])
@pytest.mark.parametrize("place", ["transform", "collate_fn"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_torch_data_loader(workers, method, place):
    torch = pytest.importorskip("torch")
    work(0)  # the parent has used its threads
    parameters = {"collate_fn": collate} if place == "collate_fn" else {}
    loader = torch.utils.data.DataLoader(
        Pictures(NORMALIZE if place == "transform" else None),
        batch_size=4,
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context=method,
        **parameters,
    )
    for _ in range(2):
        batches = list(loader)
        assert [len(labels) for _, labels in batches] == [4, 4, 2]
        y = torch.cat([pictures for pictures, _ in batches]).numpy()
        assert y.dtype == np.float32
        assert np.array_equal(y, NORMALIZE([image(index, 48) for index in range(10)]))


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    pixels = image(0)
    tensor = torch.from_numpy(pixels)
    assert np.array_equal(NORMALIZE(tensor), NORMALIZE(pixels))
    assert np.array_equal(NORMALIZE([tensor, tensor.flip(1)])[0], NORMALIZE(pixels))
    channels_first = ImageNormalizer.imagenet(layout="NCHW->NCHW")
    assert np.array_equal(channels_first(tensor.permute(2, 0, 1)), NORMALIZE(pixels))
    assert ImageNormalizer().fit(tensor) == ImageNormalizer().fit(pixels) == ImageNormalizer().fit([tensor])
    for dtype in (torch.float16, torch.float32, torch.float64, torch.int16):
        other = tensor.to(dtype)
        normalize = ImageNormalizer(0.5, 2.0)
        assert np.array_equal(normalize(other), normalize(other.numpy()))
    out = torch.empty(3, 64, 64)
    NORMALIZE(tensor, out=out.numpy())
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (NORMALIZE.mean_, NORMALIZE.std_))
    exact = (tensor.permute(2, 0, 1).double() / 255 - mean) / std
    torch.testing.assert_close(out, exact.float(), rtol=1.2e-7, atol=0)


def test_hugging_face_datasets():
    datasets = pytest.importorskip("datasets")
    from PIL import Image

    pictures = [Image.fromarray(image(index, 32)) for index in range(5)]
    dataset = datasets.Dataset.from_dict(
        {"image": pictures, "label": list(range(5))},
        features=datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")}),
    )
    dataset.set_transform(lambda batch: {"pixels": NORMALIZE(batch["image"]), "label": batch["label"]})
    batch = dataset[:5]
    assert batch["label"] == list(range(5))
    assert np.array_equal(batch["pixels"], NORMALIZE([image(index, 32) for index in range(5)]))


def test_pillow_images():
    image_module = pytest.importorskip("PIL.Image")
    picture = image_module.fromarray(image(0))
    assert np.array_equal(NORMALIZE(picture), NORMALIZE(image(0)))
    assert np.array_equal(NORMALIZE([picture, picture])[1], NORMALIZE(image(0)))
    assert ImageNormalizer().fit([picture]) == ImageNormalizer().fit(image(0))
    with pytest.raises(ValueError, match="grey"):
        NORMALIZE(picture.convert("L"))
