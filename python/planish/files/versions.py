"""The version of the format, and how documents of older ones become documents of this one."""

from collections.abc import Callable
from reprlib import repr as brief
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

#: The version that is written: one number for whatever planish writes.
VERSION = 3


def current(document: Any) -> Json:
    """Take the version off a document, and make one of the present version of it."""
    if isinstance(document, dict) and "planish" not in document and {"planish stats", "mean"} <= document.keys():
        # What `planish stats --save` wrote had a version of its own, of which there was one.
        version = document.pop("planish stats")
        document = {"planish": version if version == 1 else None, "class": "survey", **document}
    if not isinstance(document, dict) or "planish" not in document:
        raise ValueError("it is no file of planish.save, and no text of planish.dumps")
    version = document.pop("planish")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ValueError(f"its format has version {brief(version)}; this planish reads 1 to {VERSION}")
    for step in range(version, VERSION):
        MIGRATIONS[step](document)
    return document


def _from_1(document: Json) -> None:
    """Fill in what format 1 did not always have, and rename what it called otherwise."""
    name, parameters, state = (document.get(field) for field in ("class", "parameters", "state"))
    if name == "dict" and isinstance(document.get("items"), dict):
        for item in document["items"].values():
            if isinstance(item, dict):
                _from_1(item)
    elif name == "survey":
        mean = document.get("mean")
        document.setdefault("count", [1] * len(mean) if isinstance(mean, list) else None)
    elif name == "Quantiles" and isinstance(state, dict):
        state.setdefault("unit", 0)
    elif name == "ImageNormalizer" and isinstance(state, dict) and "_divisor" in state:
        state["divisor"] = state.pop("_divisor")
    elif isinstance(parameters, dict):
        scaler = parameters.get("scaler")
        if name == "GroupedScaler" and isinstance(scaler, dict):
            _from_1(scaler)
            if isinstance(state, dict):
                groups = state.get("scalers")
                for part in (*(groups.values() if isinstance(groups, dict) else ()), state.get("global")):
                    _scaler_state_from_1(part)
        if name == "StandardScaler":
            parameters.setdefault("n_blocks", None)
        _scaler_state_from_1(state)


def _scaler_state_from_1(state: Any) -> None:
    if not isinstance(state, dict):
        return
    exact, statistics = state.get("exact"), state.get("statistics")
    if isinstance(exact, dict):
        # The second word of the divisor, and what stands for both in results of fewer digits.
        for name in ("rest", "narrow"):
            exact.setdefault(name, None)
    if isinstance(statistics, dict) and isinstance(statistics.get("state"), dict) and "coins" in statistics["state"]:
        statistics["state"].setdefault("unit", 0)


def _from_2(document: Any) -> None:
    """Make exact sums of the moments that format 2 had: of floats as means and deviations, of integers as sums."""
    for part in document.values() if isinstance(document, dict) else document if isinstance(document, list) else ():
        _from_2(part)
    if isinstance(document, dict) and {"weighted", "floats", "integers"} <= document.keys():
        from planish.stats._exact import of_moments

        document["sums"] = of_moments(document.pop("floats"), document.pop("integers"))


#: What makes a document of the next version of one of a version, in place.
MIGRATIONS: dict[int, Callable[[Json], None]] = {1: _from_1, 2: _from_2}
