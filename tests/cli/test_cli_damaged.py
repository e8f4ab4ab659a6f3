"""Files that speak of more than they hold: each is listed, with little memory, and the others are read all the same."""

import io
import json
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import planish
import pyarrow as pa
import pyarrow.parquet
import pytest
from command import COMMAND, ENVIRONMENT, close, run, stats
from PIL import Image
from planish.cli import sources

pytestmark = pytest.mark.dependencies

rng = np.random.default_rng(0)
HUGE = [(2**31, 3), (2**50, 3), (2**62, 3), (2**64, 3), (3, 2**40, 3), (2**40, 2**40, 3), (-1, 3), (-(2**40), -3)]


def npy(shape, descr="<f8", fortran=False, data=b"", version=1):
    """A file of an array with the header of another one."""
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}"
    width = 2 if version == 1 else 4
    text = text.ljust(-(-(9 + width + len(text)) // 64) * 64 - 9 - width) + "\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(width, "little") + text.encode() + data


def npz(members, compression=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def png(width, height, data=b""):
    """A picture of this size, of which `data` are the pixels, compressed."""

    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


DAMAGED = {
    **{f"huge{i}.npy": npy(shape, data=bytes(48)) for i, shape in enumerate(HUGE)},
    **{f"huge{i}.npz": npz({"a.npy": npy(shape, data=bytes(48))}) for i, shape in enumerate(HUGE)},
    **{f"fortran{i}.npz": npz({"a.npy": npy(shape, fortran=True)}, 0) for i, shape in enumerate(HUGE)},
    "second.npz": npz({"a.npy": npy((2, 3), data=bytes(48)), "b.npy": npy((2**40, 3), data=bytes(48))}),
    "one short.npy": npy((2, 3), data=bytes(47)),
    "one short.npz": npz({"a.npy": npy((2, 3), data=bytes(47))}),
    "scalar.npz": npz({"a.npy": npy((), fortran=True)}),
    "wide.npy": npy((1, 3), "<V1000000000000"),
    "wide.npz": npz({"a.npy": npy((1, 3), "<U1000000000")}),
    "objects.npz": npz({"a.npy": npy((2**40, 3), "|O")}),
    "long header.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{",
    "long header.npz": npz({"a.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{"}),
    "many axes.npz": npz({"a.npy": npy((1,) * 100, data=bytes(8))}),
    "no array.npz": npz({"notes.txt": b"not an array"}),
    "renamed.npz": npy((2, 3), data=bytes(48)),
    "renamed.npy": npz({"a.npy": npy((2, 3), data=bytes(48))}),
    "cut.npz": npz({"a.npy": npy((400, 3), data=rng.bytes(9600))})[:-300],
    "bomb.png": png(60_000, 60_000),
    "large.png": png(9_000, 9_000),
}


def test_what_they_speak_of_is_never_allocated(tmp_path):
    """With 3 GB of address space, of which the program itself takes a part."""
    colours = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "good.png")
    np.savez_compressed(tmp_path / "good.npz", colours)
    for name, data in DAMAGED.items():
        (tmp_path / name).write_bytes(data)
    limited = "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30));" + COMMAND[2]
    for threads in ("1", "3"):
        done = subprocess.run(
            [sys.executable, "-c", limited, "stats", "--json", "--threads", threads, str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=120,
            env=ENVIRONMENT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["files"] == 2
        close(result, np.concatenate([colours.reshape(-1, 3)] * 2) / 255)
        failed = {Path(failed["file"]).name: failed["reason"] for failed in result["failed"]}
        assert failed.keys() == DAMAGED.keys()
        assert all(failed.values())
        for name, reason in failed.items():
            if "huge" in name or "fortran" in name or "one short" in name:
                assert reason.startswith("damaged: an array of shape (")


def test_damaged_tables(tmp_path):
    table = pa.table({"a": rng.normal(size=5000), "b": rng.normal(size=5000)})
    pa.parquet.write_table(table, tmp_path / "good.parquet")
    data = (tmp_path / "good.parquet").read_bytes()
    bad = {
        "footer.parquet": b"PAR1" + bytes(100) + (2**31 - 1).to_bytes(4, "little") + b"PAR1",
        "pages.parquet": data[:4] + rng.bytes(2000) + data[2004:],
        "cut.parquet": data[:-2000],
        "columns.csv": b"a,b\n1,2\n3,4,5\n",
        "twice.csv": b"a,a\n1,2\n",
        "binary.csv": bytes(range(256)) * 100,
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    result = stats(tmp_path)
    assert (result["channels"], result["count"], result["files"]) == (["a", "b"], [5000, 5000], 1)
    assert {Path(one["file"]).name for one in result["failed"]} == bad.keys()


def test_memory_that_is_not_there_ends_nothing(tmp_path, monkeypatch):
    """Whoever runs out of it: the reader of a file, its statistics, or what joins them."""
    table = rng.normal(size=(50, 3))
    names = [f"{i}.npy" for i in range(5)]
    for i, name in enumerate(names):
        np.save(tmp_path / name, table + i)

    def failing(where, error):
        original = getattr(*where)

        def fail(*args):
            fail.calls += 1
            if fail.calls == 3:
                raise error
            return original(*args)

        fail.calls = 0
        return fail

    from planish.cli import survey

    for error in (MemoryError(), RuntimeError("anything"), OverflowError("sums")):
        for where in ((sources, "open_array"), (survey, "_read"), (survey.Survey, "_join")):
            with monkeypatch.context() as context:
                context.setattr(*where, failing(where, error))
                result = stats(tmp_path, "--threads", 1)
            assert result["files"] == 4
            ((name, reason),) = [(Path(one["file"]).name, one["reason"]) for one in result["failed"]]
            assert name == "2.npy"
            assert reason
            close(result, np.concatenate([table + i for i in (0, 1, 3, 4)]))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("channel_axis", [0, 1, -1])
def test_archives_are_read_in_pieces(tmp_path, monkeypatch, order, compress, channel_axis):
    monkeypatch.setattr(sources, "_BATCH", 100)
    monkeypatch.setattr(sources, "_BLOCK", 64)
    table = rng.normal(size=(6, 1000)) if channel_axis == 0 else rng.normal(size=(1000, 6))
    arrays = {"one": np.asarray(table[:, ::2] if channel_axis == 0 else table[::2], order=order), "two": table[:0]}
    arrays["two"] = np.asarray(table[:, 1::2] if channel_axis == 0 else table[1::2], ">f4", order=order)
    (np.savez_compressed if compress else np.savez)(tmp_path / "t.npz", **arrays)
    result = stats(tmp_path, "--channel-axis", channel_axis)
    rows = [array.astype(float).T if channel_axis == 0 else array.astype(float) for array in arrays.values()]
    close(result, np.concatenate(rows))
    images = np.asarray(rng.integers(0, 256, (7, 5, 4, 3), dtype=np.uint8), order=order)
    np.savez(tmp_path / "t.npz", images, images[:0])
    close(stats(tmp_path), images.reshape(-1, 3) / 255)


def test_small_archives(tmp_path):
    np.savez(tmp_path / "t.npz", np.float64(3.0), np.arange(3), np.empty(0), second=np.ones((2, 1)))
    result = stats(tmp_path)
    assert (result["count"], result["mean"]) == ([6], [8 / 6])
    np.savez(tmp_path / "t.npz", np.empty((0, 3)), np.empty((4, 0, 3)), np.ones((2, 3)))
    assert stats(tmp_path)["count"] == [2, 2, 2]


def test_apply_says_so_too(tmp_path):
    np.save(tmp_path / "x.npy", rng.normal(size=(9, 3)))
    run("stats", tmp_path / "x.npy", "--save", tmp_path / "x.json")
    for name, data in DAMAGED.items():
        if name.endswith(".npy"):
            (tmp_path / "bad.npy").write_bytes(data)
            result = run("apply", tmp_path / "x.json", tmp_path / "bad.npy", tmp_path / "out.npy", code=1)
            assert f"Error: {tmp_path / 'bad.npy'}: " in result.stderr
            assert not (tmp_path / "out.npy").exists()
    assert planish.get_num_threads() > 0
