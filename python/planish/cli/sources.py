"""Files to batches of elements.

A source is one file. Reading it gives batches: an array, the axis of its channels, and what its elements are divided
by. A batch of a table is a part of one column.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from planish import _border

#: Elements of a memory-mapped array that are read at a time.
_BATCH = 1 << 24
#: Bytes that are unpacked at a time; more than NumPy takes for a header; the first of every archive.
_BLOCK = 1 << 20
_HEADER = 1 << 14
_ZIP = b"PK"
#: Tables, by the ending of their names.
_TABLES = {".parquet", ".pq", ".csv"}
_ARRAYS = {".npy", ".npz"}
#: The pictures that most data sets are made of.
_USUAL = {".jpg", ".jpeg", ".png", ".bmp", ".gif"}


@dataclass(frozen=True)
class Batch:
    """Elements of some channels."""

    #: Column of a table; empty for pictures and arrays.
    column: str
    array: NDArray[Any]
    #: The axis of the channels; None for one channel.
    channel_axis: int | None
    #: What the elements are divided by.
    unit: float


class NotReadableError(Exception):
    """A file that is no picture, array or table, or a damaged one."""


def open_array(path: Path) -> NDArray[Any]:
    """Map the array of a .npy file into memory; a NotReadableError says why it cannot be."""
    try:
        with path.open("rb") as file:
            if file.read(len(_ZIP)) == _ZIP:
                raise NotReadableError("an archive of arrays; one .npy array is read")
            file.seek(0)
            _header(file, path.stat().st_size)
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise NotReadableError(error.strerror or str(error)) from None
    except (ValueError, EOFError):
        raise NotReadableError("no .npy file, or a damaged one") from None
    return array


def _header(file: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an array in a file of `size` bytes, which must hold what it speaks of.

    It gives shape, whether the order is Fortran's, and dtype. The file is left at the first element.
    """
    head = BytesIO(file.read(_HEADER))  # which may speak of gigabytes itself
    version = np.lib.format.read_magic(head)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(head)
    else:  # the third differs from the second in names of fields only, which numbers do not have
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(head)
    file.seek(head.tell())
    if dtype.hasobject:
        raise NotReadableError("an array of Python objects; numbers are read")
    if dtype.kind not in "biuf":
        raise NotReadableError(f"an array of dtype {dtype}; numbers are read")
    wanted, there = prod(shape) * dtype.itemsize, size - file.tell()
    if any(length < 0 for length in shape) or wanted > there:
        raise NotReadableError(f"damaged: an array of shape {shape} takes {wanted} bytes, and there are {there}")
    return shape, fortran, dtype


def kind(path: Path) -> str:
    """Say what a file is read as: 'picture', 'array' or 'table'."""
    suffix = path.suffix.lower()
    return "table" if suffix in _TABLES else "array" if suffix in _ARRAYS else "picture"


def find(paths: list[Path]) -> list[Path]:
    """List the files to read, in a fixed order: folders are searched for what their names say can be read."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            files = [file for file in path.rglob("*") if file.is_file()]
            known = _known({file.suffix.lower() for file in files})
            found += sorted(file for file in files if file.suffix.lower() in known)
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _known(suffixes: set[str]) -> set[str]:
    """Give the endings of files that can be read, as far as they are among `suffixes`."""
    known = _TABLES | _ARRAYS | _USUAL
    if suffixes <= known:
        return known
    from PIL import Image

    # Loads every format that Pillow has, which takes a while.
    return known | set(Image.registered_extensions())


def batches(path: Path, mode: str, channel_axis: int) -> Iterator[Batch | None]:
    """Read a file; a NotReadableError says why it cannot be. None says to forget what came before: it is read anew."""
    try:
        match kind(path):
            case "table":
                yield from _table(path)
            case "array":
                yield from _arrays(path, channel_axis)
            case _:
                yield _picture(path, mode)
    except NotReadableError:
        raise
    except MemoryError:
        raise NotReadableError("it does not fit into memory") from None
    except Exception as error:
        # Damaged files make their readers raise what they happen to meet.
        raise NotReadableError(f"{type(error).__name__}: {error}") from error


def native(array: NDArray[Any]) -> NDArray[Any]:
    """Give numbers in a dtype that is read as it is: in the byte order of this machine, of at most 64 bits."""
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return array.astype(np.float64)
    return _border.native(array)


def largest(dtype: np.dtype[Any]) -> float:
    """Give what pixels of a dtype are divided by."""
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else 1.0


# --- pictures --------------------------------------------------------------------------------------------------------


def _picture(path: Path, mode: str) -> Batch:
    """Read a picture in `mode` ('L', 'RGB' or 'RGBA').

    16-bit and floating-point greys keep their depth, which Pillow's own conversion would cut off, and stand for all
    three colours of RGB. What turns or mirrors a picture (EXIF) does not change its statistics, and is ignored.
    """
    from PIL import Image

    with Image.open(path) as image:
        if image.mode != "F" and not image.mode.startswith("I"):
            return Batch("", _bytes(image if image.mode == mode else image.convert(mode)), -1, 255.0)
        pixels = np.asarray(image)
        if image.mode == "I" and image.format in ("PNG", "PPM"):
            # 16 bits, which Pillow may hold in 32.
            pixels = pixels.astype(np.uint16)
    pixels = native(pixels)
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    channels = len(mode)
    if pixels.shape[2] != channels:
        if channels == 4:
            raise NotReadableError("a grey picture of 16 or 32 bits has no RGBA; --mode L or RGB reads it")
        pixels = np.broadcast_to(pixels, (*pixels.shape[:2], channels))
    return Batch("", pixels, -1, largest(pixels.dtype))


def _bytes(image: Any) -> NDArray[np.uint8]:
    """Give the pixels of an 8-bit picture: Pillow's own memory, where it lends that through Arrow's C interface."""
    import nanoarrow
    from PIL import Image

    image.load()
    channels = len(image.mode)
    stored = 4 if channels > 1 else 1
    # Large pictures lie in several blocks of memory, and some files are mapped into memory: Pillow before version 13
    # crashes when it is asked to lend those.
    block = Image.core.get_block_size()  # type: ignore[attr-defined]  # which Pillow documents, but does not export
    if image.readonly or 2 * image.width * image.height * stored > block:
        return np.asarray(image).reshape(-1, channels)
    pixels = nanoarrow.c_array(image)
    # Pixels of several channels are lists of four bytes, the last of which RGB leaves unused.
    values = pixels.child(0) if channels > 1 else pixels
    return np.frombuffer(values.view().buffer(1), np.uint8).reshape(-1, stored)[:, :channels]


# --- arrays ----------------------------------------------------------------------------------------------------------


def _arrays(path: Path, channel_axis: int) -> Iterator[Batch]:
    if path.suffix.lower() == ".npy":
        yield from _pieces(open_array(path), channel_axis)
        return
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as file:
                yield from _unpacked(file, member.file_size, channel_axis)


def _unpacked(file: IO[bytes], size: int, channel_axis: int) -> Iterator[Batch]:
    """Give an array of an archive: piece by piece, where pieces along its slowest axis have all of its channels."""
    shape, fortran, dtype = _header(file, size)
    ndim, slowest = len(shape), -1 if fortran else 0
    whole = ndim < 2 or not -ndim <= channel_axis < ndim or channel_axis % ndim == slowest % ndim or 0 in shape
    # In the order of memory, an array in Fortran's order is its transpose.
    length, *rest = (shape[::-1] if fortran else shape) or (1,)
    step = length if whole else max(1, _BATCH // prod(rest))
    for first in range(0, length, step) if length else [0]:
        piece = np.empty((min(step, length - first), *rest), dtype)
        memory = piece.reshape(-1).view(np.uint8).data
        for at in range(0, len(memory), _BLOCK):
            part = memory[at : at + _BLOCK]
            if file.readinto(part) != len(part):  # type: ignore[attr-defined]  # which all binary files have
                raise NotReadableError("damaged: it ends before the array does")
        yield from _pieces(piece.T if fortran else piece, channel_axis)


def _pieces(array: NDArray[Any], channel_axis: int) -> Iterator[Batch]:
    """Give an array along its first axis, or along its second where the channels lie along the first."""
    if array.dtype.kind not in "biuf":
        raise NotReadableError(f"an array of dtype {array.dtype}; numbers are read")
    if array.ndim < 2:
        array, channel_axis = array.reshape(-1, 1), -1
    if not -array.ndim <= channel_axis < array.ndim:
        raise NotReadableError(f"an array of shape {array.shape} has no axis {channel_axis}")
    axis = 1 if channel_axis % array.ndim == 0 else 0
    step = max(1, _BATCH * array.shape[axis] // max(array.size, 1))
    for first in range(0, array.shape[axis], step):
        piece = array[first : first + step] if axis == 0 else array[:, first : first + step]
        yield Batch("", native(piece), channel_axis, largest(array.dtype))


# --- tables ----------------------------------------------------------------------------------------------------------


def _table(path: Path) -> Iterator[Batch | None]:
    try:
        import pyarrow.parquet
    except ImportError:
        raise NotReadableError("tables need the package pyarrow: pip install pyarrow") from None
    if path.suffix.lower() == ".csv":
        yield from _csv(path)
        return
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield from _columns(batch)


def _csv(path: Path) -> Iterator[Batch | None]:
    """Read a CSV by the types that its first block has; where they do not hold, its integers are doubles."""
    import pyarrow as pa
    import pyarrow.csv

    with pyarrow.csv.open_csv(path) as reader:
        try:
            for batch in reader:
                yield from _columns(batch)
            return
        except pa.ArrowInvalid:
            guessed = reader.schema
    wider = {
        field.name: pa.float64() for field in guessed if pa.types.is_integer(field.type) or pa.types.is_null(field.type)
    }
    if not wider:
        raise NotReadableError("its columns change their type, or their number, from one line to another")
    yield None
    with pyarrow.csv.open_csv(path, convert_options=pyarrow.csv.ConvertOptions(column_types=wider)) as reader:
        for batch in reader:
            yield from _columns(batch)


def _columns(table: Any) -> Iterator[Batch]:
    """Give the columns of numbers of a part of a table; what is missing becomes NaN, which is left out."""
    import pyarrow.types as types

    # As pandas names what has no name, such as the index that it writes.
    names = [name or f"Unnamed: {index}" for index, name in enumerate(table.schema.names)]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise NotReadableError(f"several columns are named {', '.join(twice)}")
    for name, field, column in zip(names, table.schema, table.columns, strict=True):
        if types.is_integer(field.type) or types.is_floating(field.type) or types.is_boolean(field.type):
            values = column.to_numpy(zero_copy_only=False)
            if values.dtype == object:  # truth values with gaps
                values = values.astype(np.float64)
            yield Batch(name, values.reshape(-1, 1), -1, 1.0)
