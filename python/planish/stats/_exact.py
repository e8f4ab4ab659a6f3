"""Exact sums as the core keeps them, and as files have them: whole numbers times powers of two."""

from __future__ import annotations

import re
from fractions import Fraction
from reprlib import repr as brief
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planish.files.values import fields, numbers_from_json

#: A whole number, and the exponent of the power of two that it is multiplied by.
Exact: TypeAlias = tuple[int, int]

#: Bits of a limb, and the sums of a channel: of the weights, of the elements and of their squares.
_BITS, _SUMS = 64, 3
#: Exponents beyond which no sum of doubles, nor of their squares, has a bit; and bits of what is written in decimal.
_MOST, _DECIMAL = 1 << 13, 1024
#: What formats before 3 had of floats: sums of two doubles, of which the second is small.
_COLUMNS = ("weight", "weight_low", "mean", "mean_low", "m2", "m2_low")
_WHOLES = ("count", "sum", "sum_of_squares")
_TEXT = re.compile(r"(-?)0x([0-9a-f]{1,4096})p(-?[0-9]{1,5})")


def to_text(value: Exact) -> int | str:
    """Write a sum: a whole number as it is, any other as C writes floating-point numbers in hexadecimal."""
    number, exponent = _odd(value)
    if exponent >= 0 and number.bit_length() + exponent <= _DECIMAL:
        return number << exponent
    return f"{number:#x}p{exponent}"


def from_text(name: str, value: Any) -> Exact:
    """Read a sum."""
    if type(value) is int and value.bit_length() < _MOST:
        return value, 0
    found = _TEXT.fullmatch(value) if type(value) is str else None
    if found is None or abs(int(found[3])) > _MOST:
        raise ValueError(f"{name} must hold integers, or strings such as '-0x18p-3'; got {brief(value)}")
    return int(found[1] + found[2], 16), int(found[3])


def to_sums(table: NDArray[np.uint64]) -> list[list[Exact]]:
    """Give the sums of each channel, of each kind, from a table of the core."""
    kinds: list[list[Exact]] = [[] for _ in range(_SUMS)]
    width = 8 * (table.shape[1] // _SUMS - 2)
    places = np.ascontiguousarray(table[:, : 2 * _SUMS]).view(np.int64).tolist()
    limbs = np.ascontiguousarray(table[:, 2 * _SUMS :], "<u8").tobytes()
    for channel, own in enumerate(places):
        for kind, sums in enumerate(kinds):
            at = (channel * _SUMS + kind) * width
            data = limbs[at : at + 8 * own[2 * kind + 1]]
            sums.append((int.from_bytes(data, "little", signed=True), _BITS * own[2 * kind]))
    return kinds


def to_table(kinds: list[list[Exact]]) -> NDArray[np.uint64]:
    """Make a table of the core of the sums of each channel."""
    rows = [[_limbs(value) for value in channel] for channel in zip(*kinds, strict=True)]
    width = max((len(limbs) for row in rows for _, limbs in row), default=0)
    table = np.zeros((len(rows), _SUMS * (2 + width)), np.uint64)
    for row, channel in zip(table, rows, strict=True):
        for kind, (first, limbs) in enumerate(channel):
            row[2 * kind : 2 * kind + 2] = np.array([first, len(limbs)], np.int64).view(np.uint64)
            at = 2 * _SUMS + kind * width
            row[at : at + len(limbs)] = limbs
    return table


def is_possible(count: Exact, total: Exact, square: Exact) -> bool:
    """Tell whether elements can have these sums: by Cauchy and Schwarz."""
    least = min(2 * total[1], count[1] + square[1])
    squared = total[0] ** 2 << 2 * total[1] - least
    return (
        count[0] >= 0
        and squared <= count[0] * square[0] << count[1] + square[1] - least
        and bool(count[0] or not square[0])
    )


def is_count(value: Exact, most: int) -> bool:
    """Tell whether a sum of weights is a number of elements below `most`."""
    number, exponent = _odd(value)
    return exponent >= 0 and number << min(exponent, _DECIMAL) < most


def of_moments(floats: Any, integers: Any) -> dict[str, list[int | str]]:
    """Make sums of what formats before 3 had of each channel: means and deviations of floats, sums of integers."""
    doubles = [_doubles(floats, name) for name in ("weight", "mean", "m2")] if floats is not None else []
    wholes = [_wholes(integers, name) for name in _WHOLES] if integers is not None else []
    lengths = {len(column) for column in (*doubles, *wholes)}
    if len(lengths) > 1:
        raise ValueError(f"the moments must be of one length; got {sorted(lengths)}")
    kinds: list[list[Fraction]] = [[Fraction(0)] * max(lengths, default=0) for _ in range(_SUMS)]
    for channel, (weight, mean, m2) in enumerate(zip(*doubles, strict=True)):
        for kind, value in zip(kinds, (weight, weight * mean, weight * mean * mean + m2), strict=True):
            kind[channel] += value
    for channel, sums in enumerate(zip(*wholes, strict=True)):
        for kind, whole in zip(kinds, sums, strict=True):
            kind[channel] += whole
    texts = ([to_text((value.numerator, 1 - value.denominator.bit_length())) for value in kind] for kind in kinds)
    return dict(zip(_WHOLES, texts, strict=True))


def _odd(value: Exact) -> Exact:
    """Give the same number as an odd one times a power of two; zero as it is."""
    number, exponent = value
    if not number:
        return 0, 0
    zeros = (number & -number).bit_length() - 1
    return number >> zeros, exponent + zeros


def _limbs(value: Exact) -> tuple[int, list[int]]:
    """Give the place of the first limb of a number, and its limbs: no zeros below, and no more than the sign above."""
    number, exponent = _odd(value)
    if not number:
        return 0, []
    first = exponent // _BITS
    number <<= exponent - _BITS * first
    length = (number if number >= 0 else ~number).bit_length() // _BITS + 1
    return first, [number >> _BITS * i & ((1 << _BITS) - 1) for i in range(length)]


def _doubles(table: Any, name: str) -> list[Fraction]:
    """Read sums of two doubles; what has overflowed is out of the range of doubles here, too."""
    names = (name, f"{name}_low")
    found = [numbers_from_json(part, fields("floats", table, _COLUMNS)[part], "float64") for part in names]
    if len(found[0]) != len(found[1]):
        raise ValueError(f"{names[0]} and {names[1]} must be of one length")
    for high, low in zip(*found, strict=True):
        if np.isfinite(high) and not abs(low) <= abs(high):
            raise ValueError("floats holds a number whose second part is larger than its first")
    pairs = zip(*(column.tolist() for column in found), strict=True)
    beyond = Fraction(2) ** 4096
    return [Fraction(high) + Fraction(low) if np.isfinite([high, low]).all() else beyond for high, low in pairs]


def _wholes(table: Any, name: str) -> list[Fraction]:
    column = fields("integers", table, _WHOLES)[name]
    if not isinstance(column, list):
        raise ValueError("integers must hold lists of integers")
    for value in column:
        if type(value) is not int or abs(value) >= 1 << 128:
            raise ValueError(f"integers must hold lists of integers; got {brief(value)}")
    return list(map(Fraction, column))
