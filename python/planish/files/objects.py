"""Objects as documents, and back, by the descriptions of their classes."""

from importlib import import_module
from reprlib import repr as brief
from typing import Any

from planish.files.values import fields
from planish.stats._state import FORMS, form

#: The modules whose public classes can be saved; in another order, so that scikit-learn is imported only for its kind.
_MODULES = ("planish", "planish.layers", "planish.stats")
_LIGHT_FIRST = ("planish.stats", "planish", "planish.layers")
#: How many dicts an object may be in.
_NESTED = 2


def find(name: Any) -> Any:
    """Look up a public class of planish that has a description; None where there is none of that name."""
    if isinstance(name, str):
        for module in map(import_module, _LIGHT_FIRST):
            if name in module.__all__:
                cls = getattr(module, name)
                return cls if cls in FORMS or hasattr(cls, "_given") else None
    return None


def names() -> list[str]:
    """List the classes that can be saved, scalers first."""
    public = [name for module in map(import_module, _MODULES) for name in getattr(module, "_LAZY", module.__all__)]
    return [name for name in public if name[0].isupper() and find(name) is not None]


def check(what: str, obj: Any, depth: int = 0) -> None:
    """Check that `obj` can be saved, for `what` it is, as far as its class says."""
    if type(obj) is dict and depth < _NESTED:
        for key, value in obj.items():
            if type(key) is not str:
                raise TypeError(f"the keys of {what} must be strings; got {brief(key)}")
            check(f"{what}[{brief(key)}]", value, depth + 1)
        return
    if find(type(obj).__name__) is not type(obj):
        kinds = [*names(), *(["a dict of them"] if depth < _NESTED else [])]
        raise TypeError(
            f"{what} must be one of planish's {', '.join(kinds)}; got a {type(obj).__module__}.{type(obj).__qualname__}"
        )


def to_json(obj: Any) -> dict[str, Any]:
    """Write an object as a document with a class."""
    if type(obj) is dict:
        return {"class": "dict", "items": {key: to_json(value) for key, value in obj.items()}}
    cls = type(obj)
    if cls in FORMS:
        return {"class": cls.__name__, **form(cls).to_json(obj)}
    return {"class": cls.__name__, "parameters": cls._given.to_json(obj), "state": state_to_json(obj)}


def from_json(document: Any, depth: int = 0) -> Any:
    """Read an object from a document with a class."""
    name = document.get("class") if isinstance(document, dict) else None
    if name == "dict" and depth < _NESTED:
        items = fields("a dict", document, ("class", "items"))["items"]
        if not isinstance(items, dict):
            raise ValueError(f"items must be an object; got {brief(items)}")
        return {key: from_json(value, depth + 1) for key, value in items.items()}
    cls = find(name)
    if cls is None:
        raise ValueError(f"its class {brief(name)} is none of {', '.join(names())}")
    found = fields("it", document, ("class", "parameters", "state"))
    if cls in FORMS:
        return form(cls).from_json(cls, {field: found[field] for field in ("parameters", "state")})
    return take_in(cls._made(cls._given.from_json(found["parameters"])), found["state"])


def state_to_json(obj: Any) -> dict[str, Any]:
    """Write what an object has learnt."""
    state: dict[str, Any] = obj._learned.to_json(obj._known())
    return state


def take_in(obj: Any, document: Any) -> Any:
    """Have an object take in what it has learnt."""
    obj._take_in(obj._learned.from_json(document, obj))
    return obj
