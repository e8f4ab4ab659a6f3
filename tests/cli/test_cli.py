"""The command line: every kind of file against NumPy, damaged files, checkpoints, Ctrl-C, large arrays."""

import errno
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import planish
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from command import COMMAND, ENVIRONMENT, close, run, stats
from PIL import Image
from planish.cli import sources
from planish.cli.survey import Survey

pytestmark = pytest.mark.dependencies

rng = np.random.default_rng(0)


@pytest.fixture
def colours():
    return rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)


def test_folder_of_pictures(tmp_path, colours):
    shapes = [(30, 20), (64, 64), (1, 5)]
    pixels = []
    for i, (height, width) in enumerate(shapes * 5):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        folder = tmp_path / f"class {i % 2}" / "deep"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i}.{'png' if i % 3 else 'BMP'}")
        pixels.append(image.reshape(-1, 3) / 255)
    (tmp_path / "notes.txt").write_text("not a picture, and not asked to be one")
    result = stats(tmp_path)
    close(result, np.concatenate(pixels))
    assert result["files"] == 15
    assert result["channels"] == ["red", "green", "blue"]
    assert result["max_pixel_value"] == 255
    assert result["failed"] == []
    one = stats(tmp_path, "--threads", 1)
    assert one == result == stats(tmp_path / "class 0", tmp_path / "class 1", "--threads", 3)


@pytest.mark.parametrize(
    ("mode", "picture", "suffix"),
    [("L", "L", "png"), ("1", "1", "png"), ("P", "P", "gif"), ("RGBA", "RGBA", "png"), ("LA", "LA", "png"),
     ("CMYK", "CMYK", "tif"), ("PA", "RGBA", "webp")],
)  # fmt: skip
def test_every_mode_becomes_what_is_asked(tmp_path, colours, mode, picture, suffix):
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(colours).convert(picture).save(path, **({"lossless": True} if suffix == "webp" else {}))
    for wanted in ("RGB", "L", "RGBA"):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert(wanted)).reshape(-1, len(wanted)) / 255
        close(stats("--mode", wanted, path), pixels)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_picture_in_several_blocks_of_memory(tmp_path, mode):
    """Pillow lends its memory in one piece only up to a size."""
    block = 16 << 20
    width = 1000
    image = Image.fromarray(rng.integers(0, 256, (block // width + 10, width, 4), dtype=np.uint8)).convert(mode)
    image.save(tmp_path / "large.bmp" if mode != "RGBA" else tmp_path / "large.tif")
    # Channels side by side: NumPy's sums along rows lose digits.
    close(stats(tmp_path, "--mode", mode), np.asfortranarray(np.asarray(image).reshape(-1, len(mode)) / 255))


@pytest.mark.parametrize(
    ("mode", "suffix"), [("L", "pgm"), ("L", "tif"), ("RGBA", "tif"), ("RGB", "ppm"), ("L", "bmp")]
)
def test_a_picture_that_pillow_maps_into_memory(tmp_path, mode, suffix):
    image = Image.fromarray(rng.integers(0, 256, (64, 48, 4), dtype=np.uint8)).convert(mode)
    image.save(tmp_path / f"raw.{suffix}")
    close(stats(tmp_path, "--mode", mode), np.asarray(image).reshape(-1, len(mode)) / 255)


def test_deep_greys_keep_their_depth(tmp_path):
    words = rng.integers(0, 65536, (30, 40), dtype=np.uint16)
    for suffix in ("png", "tif"):
        path = tmp_path / f"x.{suffix}"
        Image.fromarray(words).save(path)
        close(stats(path), np.repeat(words.reshape(-1, 1), 3, axis=1) / 65535)
        result = stats("--mode", "L", path)
        close(result, words.reshape(-1, 1) / 65535)
        assert result["max_pixel_value"] == 65535
        assert "RGBA" in stats_of_nothing("--mode", "RGBA", path)
    floats = rng.random((30, 40)).astype(np.float32)
    Image.fromarray(floats).save(tmp_path / "f.tif")
    close(stats("--mode", "L", tmp_path / "f.tif"), floats.reshape(-1, 1).astype(float))


def stats_of_nothing(*arguments):
    result = run("stats", *arguments, code=1)
    assert "no file could be read" in result.output
    return result.output


def test_depths_mix(tmp_path, colours):
    words = rng.integers(0, 65536, (30, 40), dtype=np.uint16)
    Image.fromarray(words).save(tmp_path / "deep.png")
    Image.fromarray(colours).save(tmp_path / "flat.png")
    close(
        stats(tmp_path),
        np.concatenate([np.repeat(words.reshape(-1, 1), 3, axis=1) / 65535, colours.reshape(-1, 3) / 255]),
    )


def test_exif_orientation_changes_nothing(tmp_path, colours):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(colours).save(tmp_path / "turned.png", exif=exif)
    close(stats(tmp_path), colours.reshape(-1, 3) / 255)


def test_arrays(tmp_path, colours):
    batch = rng.integers(0, 256, (10, 8, 9, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", batch)
    close(stats(tmp_path), batch.reshape(-1, 3) / 255)
    channels_first = np.ascontiguousarray(np.moveaxis(batch, -1, 1))
    np.savez(tmp_path / "b.npz", one=channels_first[:4], two=channels_first[4:])
    close(stats("--channel-axis", 1, tmp_path / "b.npz"), batch.reshape(-1, 3) / 255)
    table = rng.normal(size=(1000, 5))
    np.save(tmp_path / "t.npy", np.asfortranarray(table))
    close(stats(tmp_path / "t.npy"), table)
    np.save(tmp_path / "first.npy", table.T)
    close(stats("--channel-axis", 0, tmp_path / "first.npy"), table)
    np.save(tmp_path / "line.npy", table[:, 0])
    close(stats(tmp_path / "line.npy"), table[:, :1])


def test_an_array_in_many_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("planish.cli.sources._BATCH", 100)
    table = rng.normal(size=(1000, 7))
    np.save(tmp_path / "t.npy", table)
    close(stats(tmp_path), table)
    np.save(tmp_path / "t.npy", table.T)
    close(stats(tmp_path, "--channel-axis", 0), table)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_tables(tmp_path, suffix):
    numbers = rng.normal(size=1000)
    table = pa.table(
        {
            "word": ["x"] * 1000,
            "age": pa.array([None, *range(999)], pa.int64()),
            "share": numbers,
            "yes": pa.array([True, None] * 500),
        }
    )
    write = pa.parquet.write_table if suffix == "parquet" else pa.csv.write_csv
    write(table.slice(0, 300), tmp_path / f"a.{suffix}")
    write(table.slice(300), tmp_path / f"b.{suffix}")
    result = stats(tmp_path)
    assert result["channels"] == ["age", "share", "yes"]
    assert result["count"] == [999, 1000, 500]
    np.testing.assert_allclose(result["mean"], [np.arange(999).mean(), numbers.mean(), 1], rtol=1e-12)
    np.testing.assert_allclose(result["std"], [np.arange(999).std(), numbers.std(), 0], rtol=1e-12)
    assert "planish.StandardScaler.from_stats(mean=[" in run("stats", tmp_path).stdout


def test_lines_to_paste(tmp_path):
    image = np.zeros((2, 2, 3), np.uint8)
    image[0] = 255
    Image.fromarray(image).save(tmp_path / "x.png")
    output = run("stats", tmp_path).stdout
    assert "torchvision.transforms.Normalize(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])" in output
    assert "albumentations.Normalize(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5], max_pixel_value=255.0)" in output
    line = next(line for line in output.splitlines() if line.startswith("planish."))
    assert eval(line) == planish.ImageNormalizer([0.5] * 3, [0.5] * 3)


# --- files that cannot be read ---------------------------------------------------------------------------------------


def test_bytes_in_another_order_and_long_floats(tmp_path):
    table = rng.normal(size=(100, 3))
    for dtype in (">f8", ">f4", "longdouble", ">i2"):
        np.save(tmp_path / "x.npy", (table * 100).astype(dtype))
        close(stats(tmp_path / "x.npy"), (table * 100).astype(dtype).astype(float))
        run("stats", tmp_path / "x.npy", "--save", tmp_path / "s.json")
        run("apply", tmp_path / "s.json", tmp_path / "x.npy", tmp_path / "y.npy", "--dtype", "float64")
        expected = (table * 100).astype(dtype).astype(float)
        expected = (expected - expected.mean(axis=0)) / expected.std(axis=0)
        np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, atol=1e-12)


def test_32_bits_are_taken_as_they_are(tmp_path):
    for i, value in enumerate((60000, 70000)):
        Image.fromarray(np.full((4, 4), value, np.int32)).save(tmp_path / f"{i}.tif")
    assert stats(tmp_path, "--mode", "L")["mean"] == [65000]


def test_columns(tmp_path):
    (tmp_path / "twice.csv").write_text("a,a\n1,100\n")
    assert "several columns are named a" in stats_of_nothing(tmp_path / "twice.csv")
    (tmp_path / "infinite.csv").write_text("a,b\n1,inf\n")
    assert "column b contains infinity" in stats_of_nothing(tmp_path / "infinite.csv")
    (tmp_path / "markup.csv").write_text("[/x],[bold]\n1,2\n3,5\n")
    output = run("stats", tmp_path / "markup.csv").stdout
    assert "[/x]" in output
    assert "[bold]" in output
    np.save(tmp_path / "constant.npy", np.ones((4, 2), np.uint8))
    assert "no constants to paste" in run("stats", tmp_path / "constant.npy").stdout


def test_a_file_counts_once(tmp_path, colours):
    Image.fromarray(colours).save(tmp_path / "x.png")
    close(stats(tmp_path, tmp_path / "x.png"), colours.reshape(-1, 3) / 255)


def test_where_results_are_written(tmp_path, colours):
    Image.fromarray(colours).save(tmp_path / "x.png")
    for option in ("--save", "--checkpoint"):
        assert "no folder" in run("stats", tmp_path, option, tmp_path / "none" / "s.json", code=1).output.replace(
            "\n", " "
        )
    (tmp_path / "real.json").write_text("")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    run("stats", tmp_path, "--save", tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())["files"] == 1


def test_damaged_files_are_listed(tmp_path, colours):
    good = tmp_path / "good.png"
    Image.fromarray(colours).save(good)
    data = good.read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "noise.tif").write_bytes(bytes(rng.integers(0, 256, 500, dtype=np.uint8)))
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY\x01\x00\xff\xff{")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    (tmp_path / "bad.npz").write_bytes(data)
    np.save(tmp_path / "other.npy", np.zeros((5, 2), np.uint8))
    np.save(tmp_path / "infinite.npy", np.full((5, 3), np.inf))
    result = stats(tmp_path)
    close(result, colours.reshape(-1, 3) / 255)
    assert result["files"] == 1
    names = {Path(failed["file"]).name for failed in result["failed"]}
    assert names == {path.name for path in tmp_path.iterdir()} - {"good.png"}
    assert all(failed["reason"] for failed in result["failed"])
    listed = run("stats", "--strict", tmp_path, code=1)
    assert listed.stderr.count("not read: ") == 9
    for name in ("bad.parquet", "bad.csv"):
        (tmp_path / name).write_bytes(data)
        stats_of_nothing(tmp_path / name)


def test_types_of_a_table_that_change(tmp_path):
    path = tmp_path / "x.csv"
    for first, last, mean in (("1\n", "2.5\n", 1 + 1.5 / 700_001), ("\n", "2.5\n", 2.5)):
        path.write_text("a,b\n" + f"{first.strip()},7\n" * 700_000 + f"{last.strip()},7\n")
        found = json.loads(run("stats", path, "--json").output)
        assert found["channels"] == ["a", "b"]
        np.testing.assert_allclose(found["mean"], [mean, 7], rtol=1e-14)
    path.write_text("a\n" + "1\n" * 700_000 + "x\n")
    assert "not read" in run("stats", path, code=1).output


def test_columns_without_a_name(tmp_path):
    pd.DataFrame(np.eye(3, 2)).to_csv(tmp_path / "x.csv")
    found = json.loads(run("stats", tmp_path / "x.csv", "--json").output)
    assert found["channels"] == ["Unnamed: 0", "0", "1"]


def test_lines_to_paste_tell_channels_apart(tmp_path):
    """As many digits as the standard deviation asks for."""
    (tmp_path / "x.csv").write_text("t\n1700000049.25\n1700000049.75\n")
    assert "from_stats(mean=[1700000049.5], std=[0.25])" in run("stats", tmp_path / "x.csv").output
    (tmp_path / "x.csv").write_text("a\n9007199254740992\n9007199254740996\n")
    assert "mean=[9007199254740994.0], std=[2.0]" in run("stats", tmp_path / "x.csv").output


def test_pixels_that_are_all_missing(tmp_path):
    np.save(tmp_path / "a.npy", np.full((5, 3), np.nan, np.float32))
    np.save(tmp_path / "b.npy", np.arange(15, dtype=np.uint8).reshape(5, 3))
    found = json.loads(run("stats", tmp_path, "--json").output)
    np.testing.assert_allclose(found["mean"], np.array([6, 7, 8]) / 255, rtol=1e-15)
    assert found["count"] == [5, 5, 5]


def test_nothing_to_read(tmp_path):
    assert "no file to read" in run("stats", tmp_path, code=1).output
    assert "does not exist" in run("stats", tmp_path / "none", code=2).output
    run("stats", code=2)
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "x.png")
    (tmp_path / "x.csv").write_text("a\n1\n")
    assert "one kind at a time" in run("stats", tmp_path, code=1).output


# --- checkpoints and Ctrl-C ------------------------------------------------------------------------------------------


def test_checkpoint_goes_on_with_the_same_bits(tmp_path):
    files = []
    for i in range(12):
        path = tmp_path / f"{i:02}.npy"
        np.save(path, rng.normal(i, 2, (100 + i, 3)).astype(np.float32))
        files.append(path)
    (tmp_path / "05.npy").write_bytes(b"damaged")
    whole = Survey(files, "RGB", -1)
    whole.run(2, lambda: None, None)
    checkpoint = tmp_path / "checkpoint.json"
    survey = Survey(files, "RGB", -1)

    def stop_after_seven():
        if survey.done == 7:
            signal.raise_signal(signal.SIGINT)

    survey.run(2, stop_after_seven, checkpoint)
    assert survey.interrupted
    assert survey.done == 7
    resumed = Survey(files, "RGB", -1)
    resumed.resume(checkpoint)
    assert resumed.done == 7
    resumed.run(3, lambda: None, checkpoint)
    assert resumed.statistics == whole.statistics
    assert resumed.failed == whole.failed
    assert [Path(name).name for name, _ in resumed.failed] == ["05.npy"]
    assert not list(tmp_path.glob(".*.tmp"))
    again = Survey(files, "RGB", -1)
    again.resume(checkpoint)
    again.run(1, lambda: pytest.fail("all files are done"), None)
    assert again.statistics == whole.statistics


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
@pytest.mark.parametrize("suffix", [".npy", ".csv"])
def test_ctrl_c_within_the_only_file(tmp_path, suffix, monkeypatch):
    """What has been read of it is shown, and in no checkpoint: a resumed run reads the file from its start."""
    path = tmp_path / f"x{suffix}"
    x = rng.normal(size=(400_000, 2))
    np.save(path, x) if suffix == ".npy" else pd.DataFrame(x, columns=["a", "b"]).to_csv(path, index=False)
    monkeypatch.setattr("planish.cli.sources._BATCH", 10_000)
    survey, read = Survey([path], "RGB", -1), sources.batches

    def interrupted(*given):
        for number, batch in enumerate(read(*given)):
            if number == 3:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.2)  # for the signal to reach the main thread
            yield batch

    monkeypatch.setattr("planish.cli.survey.batches", interrupted)
    survey.run(1, lambda: pytest.fail("no file is done"), tmp_path / "c.json")
    assert survey.interrupted
    assert survey.done == 0
    assert all(0 < moments.count.sum() < x.size for moments in survey.statistics.values())
    resumed = Survey([path], "RGB", -1)
    resumed.resume(tmp_path / "c.json")
    assert resumed.statistics == {}


def test_files_that_cannot_be_written(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, 3)))
    for option in ("--checkpoint", "--save"):
        output = run("stats", tmp_path / "a.npy", option, "/proc/x.json", code=1).output.replace("\n", " ")
        assert "/proc/x.json cannot be written" in output
        assert "None" not in output
    output = run("stats", tmp_path / "a.npy", "--save", tmp_path / "a.npy", code=1).output
    assert "one of the files to read" in output.replace("\n", " ")


def test_checkpoint_of_something_else(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, 3)))
    checkpoint = tmp_path / "c.json"
    run("stats", tmp_path / "a.npy", "--checkpoint", checkpoint)
    state = json.loads(checkpoint.read_text())
    np.save(tmp_path / "b.npy", np.zeros((5, 3)))
    output = run("stats", tmp_path / "b.npy", "--checkpoint", checkpoint, code=1).output
    assert "other files" in output
    for damaged in (
        "",
        "[]",
        "{",
        json.dumps({**state, "planish checkpoint": 99}),
        json.dumps({**state, "done": -1}),
        json.dumps({**state, "done": 10}),
        json.dumps({**state, "statistics": [["", 255.0, {}]]}),
        json.dumps({**state, "statistics": [["", 255.0, {**state["statistics"][0][2], "shape": [10**18]}]]}),
        json.dumps({**state, "failed": 3}),
        json.dumps({**state, "statistics": [["", "x", state["statistics"][0][2]]]}),
        json.dumps({**state, "statistics": [["", 0, state["statistics"][0][2]]]}),
        "[" * 100_000,
    ):
        checkpoint.write_text(damaged)
        assert str(checkpoint) in run("stats", tmp_path / "a.npy", "--checkpoint", checkpoint, code=1).output.replace(
            "\n", ""
        )


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_ctrl_c_prints_what_is_known(tmp_path):
    image = Image.fromarray(rng.integers(0, 256, (1500, 1500, 3), dtype=np.uint8))
    image.save(tmp_path / "0.jpg", quality=95)
    # So many that no machine reads them all before it is stopped.
    for i in range(1, 5000):
        os.link(tmp_path / "0.jpg", tmp_path / f"{i}.jpg")
    checkpoint = tmp_path / "c.json"
    arguments = ["stats", str(tmp_path), "--json", "--threads", "1", "--checkpoint", str(checkpoint)]
    pipe = subprocess.PIPE
    with subprocess.Popen([*COMMAND, *arguments], env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            # A signal while Python imports modules may get lost, and before the first file there is nothing to show.
            while process.poll() is None and not (checkpoint.exists() and json.loads(checkpoint.read_text())["done"]):
                time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, errors
    result = json.loads(output)
    assert not result["complete"]
    assert 0 < result["files"] < 5000
    assert result["count"] == [1500 * 1500 * result["files"]] * 3
    assert "interrupted after" in errors
    assert json.loads(checkpoint.read_text())["done"] == result["files"]


# --- apply -----------------------------------------------------------------------------------------------------------


def test_no_space_for_the_result(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    np.save(tmp_path / "x.npy", np.arange(12.0).reshape(4, 3))
    run("stats", tmp_path / "x.npy", "--save", tmp_path / "s.json")
    output = run("apply", tmp_path / "s.json", tmp_path / "x.npy", tmp_path / "y.npy", code=1).output
    assert "No space left on device" in output.replace("\n", " ")
    assert {path.name for path in tmp_path.iterdir()} == {"x.npy", "s.json"}
    output = run("apply", tmp_path / "s.json", tmp_path / "x.npy", tmp_path / "none" / "y.npy", code=1).output
    assert "there is no folder" in output.replace("\n", " ")
