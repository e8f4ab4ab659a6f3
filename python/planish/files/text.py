"""JSON in strict terms: text to documents, and back."""

import json
import re
from reprlib import repr as brief
from typing import Any, NoReturn

#: Objects, lists and fields: far more than any object needs.
_MOST_PARTS = 100_000
#: Characters for each part where there are more: files of many groups have them.
_PART = 14
#: Characters that are looked at at a time for them; what is escaped in a string; strings without that.
_WINDOW = 1 << 20
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_STRING = re.compile(r'"[^"]*"?')


def written(value: Any, indent: str = "") -> str:
    """Write JSON with a line for each field: lists stay on the line of theirs."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    inner = indent + " "
    lines = (f"{inner}{json.dumps(name, ensure_ascii=False)}: {written(part, inner)}" for name, part in value.items())
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def parsed(text: str) -> Any:
    """Read JSON that has no field twice, no constant that is none of JSON's, and no more parts than it should."""
    check_structure(text)
    return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)


def check_structure(text: str) -> None:
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
