"""Statistics as a table, as lines to paste and as JSON."""

import json
import math
from typing import Any

from planish.cli.survey import Survey, channels
from planish.files.surveys import CLASS
from planish.files.versions import VERSION

_COLOURS = {1: ["grey"], 3: ["red", "green", "blue"], 4: ["red", "green", "blue", "alpha"]}


def summary(survey: Survey, kinds: set[str]) -> dict[str, Any]:
    """Put together what `--json` prints and `--save` writes."""
    found = list(channels(survey.statistics))
    names = [name for name, *_ in found]
    if kinds == {"picture"} and len(names) in _COLOURS:
        names = _COLOURS[len(names)]
    return {
        "planish": VERSION,
        "class": CLASS,
        "kind": "table" if kinds == {"table"} else "pixels",
        "channels": names,
        "channel_axis": -1 if kinds != {"array"} else survey.channel_axis,
        "count": [count for _, count, *_ in found],
        # JSON has no word for what is not a number: a channel without elements.
        "mean": [None if math.isnan(mean) else mean for _, _, mean, _, _ in found],
        "std": [None if math.isnan(std) else std for *_, std, _ in found],
        "max_pixel_value": max((unit for *_, unit in found), default=1.0),
        "files": survey.done - len(survey.failed),
        "failed": [{"file": name, "reason": reason} for name, reason in survey.failed],
        "complete": not survey.interrupted,
    }


def to_json(result: dict[str, Any]) -> str:
    """Floats as they are: the shortest text that gives the same number back."""
    return json.dumps(result, indent=1)


def show(result: dict[str, Any]) -> None:
    """Print a table and what to paste."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table("channel", "count", "mean", "std")
    for column in table.columns[1:]:
        column.justify = "right"
    rows = zip(result["channels"], result["count"], result["mean"], result["std"], strict=True)
    for name, count, mean, std in rows:
        numbers = ("-" if value is None else str(_rounded(value, std)) for value in (mean, std))
        table.add_row(Text(name), f"{count:,}", *numbers)
    console.print(table)
    for line in to_paste(result):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def to_paste(result: dict[str, Any]) -> list[str]:
    """Lines of Python."""
    # A scaler knows what to do with a constant column; the others would divide by zero.
    if None in result["std"] or (result["kind"] == "pixels" and 0 in result["std"]):
        return ["A channel is empty or constant: there are no constants to paste."]
    mean, std = ([_rounded(*pair) for pair in zip(result[key], result["std"], strict=True)] for key in ("mean", "std"))
    if result["kind"] == "table":
        return [f"planish.StandardScaler.from_stats(mean={mean}, std={std})"]
    largest = result["max_pixel_value"]
    return [
        f"torchvision.transforms.Normalize(mean={mean}, std={std})",
        f"albumentations.Normalize(mean={mean}, std={std}, max_pixel_value={largest})",
        f"planish.ImageNormalizer(mean={mean}, std={std})",
    ]


def _rounded(value: float, std: float | None) -> float:
    """Round to nine digits, or as many more as make a billionth of the standard deviation."""
    if not std or not value or not math.isfinite(value / std):
        return value
    digits = 9 + max(0, math.ceil(math.log10(abs(value / std)))) if abs(value) > std else 9
    return float(f"{value:.{min(digits, 17)}g}")
