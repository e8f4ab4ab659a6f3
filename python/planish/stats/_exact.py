"""Exact sums as the core keeps them, and as files have them: whole numbers times powers of two."""

from __future__ import annotations

import re
from fractions import Fraction
from reprlib import repr as brief
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.files.values import fields, numbers_from_json

#: Bits of a limb, and the sums of a channel: of the weights, of the elements and of their squares.
_BITS, _SUMS = 64, 3
#: Exponents beyond which no sum of doubles, nor of their squares, has a bit.
_MOST = 1 << 14
#: What formats before 3 had of floats: sums of two doubles, of which the second is small.
_COLUMNS = ("weight", "weight_low", "mean", "mean_low", "m2", "m2_low")
_TEXT = re.compile(r"(-?)0x([0-9a-f]{1,4096})p(-?[0-9]{1,5})")


def to_text(value: Fraction) -> int | str:
    """Write a sum: a whole number as it is, any other as C writes floating-point numbers in hexadecimal."""
    if value.denominator == 1:
        return value.numerator
    return f"{value.numerator:#x}p{1 - value.denominator.bit_length()}"


def from_text(name: str, value: Any) -> Fraction:
    """Read a sum."""
    if type(value) is int and abs(value) < 1 << _MOST:
        return Fraction(value)
    found = _TEXT.fullmatch(value) if type(value) is str else None
    if found is None or abs(int(found[3])) > _MOST:
        raise ValueError(f"{name} must hold integers, or strings such as '-0x18p-3'; got {brief(value)}")
    return Fraction(int(found[1] + found[2], 16)) * Fraction(2) ** int(found[3])


def to_sums(table: NDArray[np.uint64]) -> list[list[Fraction]]:
    """Give the sums of each channel, of each kind, from a table of the core."""
    width = table.shape[1] // _SUMS - 2
    places = table[:, : 2 * _SUMS].view(np.int64).reshape(len(table), _SUMS, 2).tolist()
    limbs = table[:, 2 * _SUMS :].reshape(len(table), _SUMS, width).tolist()
    kinds: list[list[Fraction]] = [[] for _ in range(_SUMS)]
    for own_places, own_limbs in zip(places, limbs, strict=True):
        for kind, (first, length), parts in zip(kinds, own_places, own_limbs, strict=True):
            data = b"".join(part.to_bytes(8, "little") for part in parts[:length])
            kind.append(Fraction(int.from_bytes(data, "little", signed=True)) * Fraction(2) ** (_BITS * first))
    return kinds


def to_table(kinds: list[list[Fraction]]) -> NDArray[np.uint64]:
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


def _limbs(value: Fraction) -> tuple[int, list[int]]:
    """Give the place of the first limb of a number, and its limbs: no zeros below, and no more than the sign above."""
    if not value:
        return 0, []
    exponent = 1 - value.denominator.bit_length()
    first = exponent // _BITS
    number = value.numerator << (exponent - _BITS * first)
    while not number % (1 << _BITS):
        number, first = number >> _BITS, first + 1
    length = (number if number >= 0 else ~number).bit_length() // _BITS + 1
    return first, [number >> _BITS * i & ((1 << _BITS) - 1) for i in range(length)]


def of_moments(floats: Any, integers: Any) -> dict[str, list[int | str]]:
    """Make sums of what formats before 3 had of each channel: means and deviations of floats, sums of integers."""
    names = ("weight", "mean", "m2")
    doubles = [_doubles(floats, name) for name in names] if floats is not None else []
    wholes = [_wholes(integers, name) for name in ("count", "sum", "sum_of_squares")] if integers is not None else []
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
    return dict(zip(("count", "sum", "sum_of_squares"), ([*map(to_text, kind)] for kind in kinds), strict=True))


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
    column = fields("integers", table, ("count", "sum", "sum_of_squares"))[name]
    if not isinstance(column, list):
        raise ValueError("integers must hold lists of integers")
    for value in column:
        if type(value) is not int or abs(value) >= 1 << 128:
            raise ValueError(f"integers must hold lists of integers; got {brief(value)}")
    return list(map(Fraction, column))
