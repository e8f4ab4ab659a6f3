"""Objects in files: versioned JSON that people can read and no code can hide in."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import numpy as np

from planish._border import quoted
from planish.files import surveys
from planish.files.objects import check, from_json, to_json
from planish.files.text import check_structure, parsed, written
from planish.files.versions import VERSION, current
from planish.files.whole import write_whole

#: Bytes of the largest file: a million channels of a `StandardScaler` with statistics take about as much.
_LARGEST = 2**28


def save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Write a scaler, an accumulator, an `ImageNormalizer`, a `BatchNorm` or a dict of such to a file.

    The file is JSON that says by name what the object was made with and what it has learnt. `load` makes an object of
    it that gives the same bits and goes on with the same bits. If `path` exists it is replaced at once: whatever
    happens, it holds either what it did before or all of `obj`.

    Parameters
    ----------
    obj : scaler, accumulator, ImageNormalizer, BatchNorm or dict
        Fitted or not; a `GroupedScaler` with labels that are strings, numbers or truth values. Of the very class: what
        a subclass adds would be lost. A dict has strings as keys, and such objects, or dicts of them, as values.
    path : str or path-like
        Where to write.

    Raises
    ------
    TypeError
        If `obj` or a value in it is of another class, a key is no string, dicts are nested more than once, or `path` is
        no path.
    ValueError
        If a parameter or an attribute of `obj` has been set to what it cannot have, or the file would be larger than
        256 MiB, which is more than `load` reads.
    OSError
        If the file cannot be written. An old one is then as it was.

    See Also
    --------
    load : make an object of the file.
    dumps : the same as a str.

    Notes
    -----
    A `dtype` is saved by its name. Requests of metadata, callbacks and attributes that are not planish's are not saved.

    Examples
    --------
    >>> import tempfile
    >>> import planish
    >>> scaler = planish.StandardScaler().fit([[1.0, 10.0], [3.0, 30.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     planish.save(scaler, f"{folder}/scaler.json")
    ...     again = planish.load(f"{folder}/scaler.json")
    >>> again.partial_fit([[5.0, 50.0]]).mean_
    array([ 3., 30.])
    """
    path = _checked(path)
    write_whole(path, dumps(obj))


def dumps(obj: Any) -> str:
    """Write a scaler, an accumulator, an `ImageNormalizer`, a `BatchNorm` or a dict of such as text.

    It is the text of the file that `save` writes: for databases, messages and what else holds text.

    Parameters
    ----------
    obj : scaler, accumulator, ImageNormalizer, BatchNorm or dict
        As for `save`.

    Returns
    -------
    text : str
        JSON, which can be encoded as UTF-8.

    Raises
    ------
    TypeError, ValueError
        As `save` does.

    See Also
    --------
    loads : make an object of the text.
    save : write it to a file.

    Examples
    --------
    >>> import planish
    >>> text = planish.dumps(planish.StandardScaler().fit([[1.0, 10.0], [3.0, 30.0]]))
    >>> planish.loads(text).mean_
    array([ 2., 20.])
    """
    check("obj", obj)
    with refusal(f"this {type(obj).__name__} cannot be saved"):
        document = to_json(obj)
        with np.errstate(all="ignore"):
            from_json(document)  # whatever is written can be read
        text = written({"planish": VERSION, **document}) + "\n"
        check_structure(text)
        # Half a pair of surrogates has no UTF-8; JSON escapes it.
        data = text.encode("utf-8", "backslashreplace")
        if len(data) > _LARGEST:
            raise ValueError(f"it takes {len(data)} bytes; at most {_LARGEST} are accepted")
    return data.decode()


def load(path: str | os.PathLike[str]) -> Any:
    """Make an object of a file that `save` has written, or `planish stats --save`.

    Nothing in the file is run or imported, and every number is checked: files from strangers are safe to load.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    obj : scaler, accumulator, ImageNormalizer, BatchNorm or dict
        As it was saved. Of the statistics of `planish stats`, a fitted `StandardScaler`; an `ImageNormalizer` where
        pixels were divided by the largest that their dtype has.

    Raises
    ------
    TypeError
        If `path` is no path.
    ValueError
        If the file is damaged, no file of planish, of another version of the format, or larger than 256 MiB.
    OSError
        If the file cannot be read.

    See Also
    --------
    save : write the file.

    Examples
    --------
    >>> import tempfile
    >>> import planish
    >>> from planish.stats import Moments
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     planish.save(Moments().update([[1, 10], [3, 30]]), f"{folder}/monday.json")
    ...     planish.save(Moments().update([[5, 50]]), f"{folder}/tuesday.json")
    ...     both = planish.load(f"{folder}/monday.json") + planish.load(f"{folder}/tuesday.json")
    >>> both.mean
    array([ 3., 30.])
    """
    path = _checked(path)
    with refusal(f"{path} cannot be loaded"):
        return _object_of(read(path))


def loads(text: str) -> Any:
    """Make an object of text that `dumps` has written, or of that of a file that `save` has.

    Nothing in the text is run or imported, and every number is checked: text from strangers is safe to load.

    Parameters
    ----------
    text : str
        The text.

    Returns
    -------
    obj : scaler, accumulator, ImageNormalizer, BatchNorm or dict
        As it was written.

    Raises
    ------
    TypeError
        If `text` is no str.
    ValueError
        If the text is damaged, not of planish, of another version of the format, or longer than 256 MiB.

    See Also
    --------
    dumps : write the text.

    Examples
    --------
    >>> import planish
    >>> from planish.stats import Moments
    >>> monday, tuesday = (planish.dumps(Moments(None).update([day])) for day in (1.0, 3.0))
    >>> (planish.loads(monday) + planish.loads(tuesday)).mean
    np.float64(2.0)
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a str; got {brief(text)}")
    with refusal("the text cannot be loaded"):
        if len(text) > _LARGEST:
            raise ValueError(f"it has {len(text)} characters; at most {_LARGEST} are accepted")
        return _object_of(current(parsed(text)))


def _checked(path: Any) -> str:
    """Take a path, and no descriptor, which `open` would take too."""
    found = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(found, str):
        raise TypeError(f"path must be a str or a path-like object of one; got {brief(path)}")
    return found


@contextmanager
def refusal(what: str) -> Iterator[None]:
    """Say what cannot be done where the reason is in what a file or an object holds."""
    try:
        yield
    except RecursionError:
        raise ValueError(f"{what}: it is nested too deeply") from None
    except MemoryError:
        raise ValueError(f"{what}: it does not fit into memory") from None
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        raise ValueError(f"{what}: {quoted(error, 1000)}") from None


def read(path: str) -> dict[str, Any]:
    """Read the document of a file, of the present version."""
    mode = Path(path).stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ValueError("it is no regular file")  # to open a pipe may take for ever
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > _LARGEST:
            raise ValueError(f"it has {size} bytes; at most {_LARGEST} are accepted")
        data = file.read(size)
    return current(parsed(data.decode("utf-8")))


def _object_of(document: dict[str, Any]) -> Any:
    with np.errstate(all="ignore"):
        if document.get("class") == surveys.CLASS:
            return surveys.scaler(surveys.from_json(document))
        return from_json(document)
