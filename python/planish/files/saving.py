"""Objects in files: versioned JSON that people can read and no code can hide in."""

import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from reprlib import repr as brief
from typing import Any, NamedTuple, NoReturn

import numpy as np

from planish._border import quoted
from planish.files.accumulators import ACCUMULATORS
from planish.files.groups import grouped_from_json, grouped_to_json
from planish.files.images import images_from_json, images_to_json
from planish.files.layers import batch_norm_from_json, batch_norm_to_json
from planish.files.scalers import scaler_from_json, scaler_to_json
from planish.files.values import fields
from planish.files.whole import write_whole

#: Version of the format: what is read is of this one.
_VERSION = 1
#: Bytes of the largest file: a million channels of a `StandardScaler` with statistics take about as much.
_LARGEST = 2**28
#: Objects, lists and fields: far more than any object needs.
_MOST_PARTS = 100_000
#: Characters for each part where there are more: files of many groups have them.
_PART = 14
#: How many dicts an object may be in.
_NESTED = 2
#: Characters that are looked at at a time for them; what is escaped in a string; strings without that.
_WINDOW = 1 << 20
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_STRING = re.compile(r'"[^"]*"?')


class _Kind(NamedTuple):
    """How objects of a class are saved."""

    #: The module that has the class. It is imported when an object of it is saved or loaded.
    module: str
    to_json: Callable[[Any], dict[str, Any]]
    from_json: Callable[[Any, dict[str, Any]], Any]


def _scaler(module: str) -> _Kind:
    return _Kind(module, scaler_to_json, scaler_from_json)


def _read_accumulator(name: str, cls: Any, document: dict[str, Any]) -> Any:
    return ACCUMULATORS[name][1](document)


def _read_grouped(cls: Any, document: dict[str, Any]) -> Any:
    return grouped_from_json(cls, document, _class_of_scaler)


#: All that can be saved, by the name of the class.
_KINDS: dict[str, _Kind] = {
    "StandardScaler": _scaler("planish.scalers.standard"),
    "MinMaxScaler": _scaler("planish.scalers.minmax"),
    "MaxAbsScaler": _scaler("planish.scalers.maxabs"),
    "RobustScaler": _scaler("planish.scalers.robust"),
    "Normalizer": _scaler("planish.scalers.normalizer"),
    "LogScaler": _scaler("planish.scalers.log"),
    "GroupedScaler": _Kind("planish.groups.grouped", grouped_to_json, _read_grouped),
    "ImageNormalizer": _Kind("planish.images.normalizer", images_to_json, images_from_json),
    "BatchNorm": _Kind("planish.layers._batch_norm", batch_norm_to_json, batch_norm_from_json),
    **{
        name: _Kind("planish.stats", to_json, partial(_read_accumulator, name))
        for name, (to_json, _) in ACCUMULATORS.items()
    },
}


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
    _check_kind("obj", obj)
    with _refusal(f"this {type(obj).__name__} cannot be saved"):
        document = _to_json(obj)
        with np.errstate(all="ignore"):
            _from_json(document)  # whatever is written can be read
        text = _text({"planish": _VERSION, **document}) + "\n"
        _check_structure(text)
        # Half a pair of surrogates has no UTF-8; JSON escapes it.
        data = text.encode("utf-8", "backslashreplace")
        if len(data) > _LARGEST:
            raise ValueError(f"it takes {len(data)} bytes; at most {_LARGEST} are accepted")
    return data.decode()


def load(path: str | os.PathLike[str]) -> Any:
    """Make an object of a file that `save` has written.

    Nothing in the file is run or imported, and every number is checked: files from strangers are safe to load.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    obj : scaler, accumulator, ImageNormalizer, BatchNorm or dict
        As it was saved.

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
    with _refusal(f"{path} cannot be loaded"):
        return _object_of(_read(path))


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
    with _refusal("the text cannot be loaded"):
        if len(text) > _LARGEST:
            raise ValueError(f"it has {len(text)} characters; at most {_LARGEST} are accepted")
        return _object_of(text)


def _checked(path: Any) -> str:
    """Take a path, and no descriptor, which `open` would take too."""
    found = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(found, str):
        raise TypeError(f"path must be a str or a path-like object of one; got {brief(path)}")
    return found


def _class(name: str) -> Any:
    return getattr(import_module(_KINDS[name].module), name)


def _class_of_scaler(name: Any) -> Any:
    """Look up a class of scalers by its name."""
    if not isinstance(name, str) or name not in _KINDS or _KINDS[name].to_json is not scaler_to_json:
        raise ValueError(f"its class {brief(name)} is none of a scaler")
    return _class(name)


@contextmanager
def _refusal(what: str) -> Iterator[None]:
    """Say what cannot be done where the reason is in what a file or an object holds."""
    try:
        yield
    except RecursionError:
        raise ValueError(f"{what}: it is nested too deeply") from None
    except MemoryError:
        raise ValueError(f"{what}: it does not fit into memory") from None
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        raise ValueError(f"{what}: {quoted(error, 1000)}") from None


# --- objects ---------------------------------------------------------------------------------------------------------


def _check_kind(what: str, obj: Any, depth: int = 0) -> None:
    """Check that `obj` can be saved, for `what` it is, as far as its class says."""
    if type(obj) is dict and depth < _NESTED:
        for key, value in obj.items():
            if type(key) is not str:
                raise TypeError(f"the keys of {what} must be strings; got {brief(key)}")
            _check_kind(f"{what}[{brief(key)}]", value, depth + 1)
        return
    name = type(obj).__name__
    if name not in _KINDS or type(obj) is not _class(name):
        kinds = [*_KINDS, *(["a dict of them"] if depth < _NESTED else [])]
        raise TypeError(
            f"{what} must be one of planish's {', '.join(kinds)}; got a {type(obj).__module__}.{type(obj).__qualname__}"
        )


def _to_json(obj: Any) -> dict[str, Any]:
    """Write an object as a document with a class."""
    if type(obj) is dict:
        return {"class": "dict", "items": {key: _to_json(value) for key, value in obj.items()}}
    name = type(obj).__name__
    return {"class": name, **_KINDS[name].to_json(obj)}


def _from_json(document: Any, depth: int = 0) -> Any:
    """Read an object from a document with a class."""
    name = document.get("class") if isinstance(document, dict) else None
    if name == "dict" and depth < _NESTED:
        items = fields("a dict", document, ("class", "items"))["items"]
        if not isinstance(items, dict):
            raise ValueError(f"items must be an object; got {brief(items)}")
        return {key: _from_json(value, depth + 1) for key, value in items.items()}
    if not isinstance(name, str) or name not in _KINDS:
        raise ValueError(f"its class {brief(name)} is none of {', '.join(_KINDS)}")
    body = fields("it", document, ("class", "parameters", "state"))
    return _KINDS[name].from_json(_class(name), {field: body[field] for field in ("parameters", "state")})


# --- text ------------------------------------------------------------------------------------------------------------


def _text(value: Any, indent: str = "") -> str:
    """JSON with a line for each field: lists stay on the line of theirs."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    inner = indent + " "
    lines = (f"{inner}{json.dumps(name, ensure_ascii=False)}: {_text(part, inner)}" for name, part in value.items())
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _read(path: str) -> str:
    """Read a file of a size that can be right."""
    mode = Path(path).stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ValueError("it is no regular file")  # to open a pipe may take for ever
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > _LARGEST:
            raise ValueError(f"it has {size} bytes; at most {_LARGEST} are accepted")
        data = file.read(size)
    return data.decode("utf-8")


def _object_of(text: str) -> Any:
    document = _parse(text)
    with np.errstate(all="ignore"):
        return _from_json(document)


def _parse(text: str) -> dict[str, Any]:
    """Read JSON in strict terms, and take off what says that it is planish's."""
    _check_structure(text)
    document = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    if not isinstance(document, dict) or "planish" not in document:
        raise ValueError("it is no file of planish.save, and no text of planish.dumps")
    version = document.pop("planish")
    if type(version) is not int or version != _VERSION:
        raise ValueError(f"its format has version {brief(version)}; this planish reads {_VERSION}")
    return document


def _check_structure(text: str) -> None:
    """Refuse what would take far more memory as objects than as text, before there are objects."""
    most, found, at, inside = max(_MOST_PARTS, len(text) // _PART), 0, 0, False
    while at < len(text):
        window = text[at : at + _WINDOW]
        if (len(window) - len(window.rstrip("\\"))) % 2:
            window = text[at : at + _WINDOW + 1]  # what a backslash escapes is not cut off from it
        at += len(window)
        window = _ESCAPED.sub("", window)
        if inside:
            window = '"' + window
        inside = window.count('"') % 2 == 1
        structure = _STRING.sub("", window)
        found += sum(map(structure.count, "[{:"))
        if found > most:
            raise ValueError("it is nested too deeply or has too many parts")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has the field {brief(next(n for n in names if names.count(n) > 1))} twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f'it holds {name}, which is no JSON; "nan", "inf" and "-inf" are accepted')
