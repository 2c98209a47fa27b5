"""Exact arithmetic on arrays of amounts: int64 where everything fits, Python integers where it does not."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Amounts = npt.NDArray[Any]
"""int64, or Python integers (dtype object) where one would not fit."""
Int64 = npt.NDArray[np.int64]

_SAFE: Final = 2**62
_GUESSED: Final = 2.0**50
"""Up to which result a float is off by less than one or two units."""
_DIVISOR: Final = 2**60


def scaled(amount: Amounts, factor: Amounts, divisor: Amounts) -> Amounts:
    """amount · factor / divisor, each rounded half away from zero; no factor below zero, all divisors above."""
    others = np.flatnonzero(factor != divisor)
    if len(others) == len(amount):
        return _scaled(amount, factor, divisor)
    if not len(others):
        return amount
    part = _scaled(amount[others], factor[others], divisor[others])
    result = amount.astype(object) if object in (part.dtype, amount.dtype) else amount.copy()
    result[others] = part
    return result


def percent(amount: Amounts, chance: npt.NDArray[np.int8]) -> Amounts:
    """So many hundredths of each amount, rounded half away from zero."""
    if amount.dtype == object or _largest(amount) >= _SAFE // 400:
        return _scaled(amount, chance.astype(np.int64), np.full(len(amount), 100, np.int64))
    doubled = amount * chance * 2
    result: Amounts = np.where(doubled < 0, -((100 - doubled) // 200), (doubled + 100) // 200)
    return result


def _scaled(amount: Amounts, factor: Amounts, divisor: Amounts) -> Amounts:
    if object in (amount.dtype, factor.dtype, divisor.dtype):
        return _narrowed(_slowly(amount, factor, divisor))
    if 2 * _largest(amount) * _largest(factor) + _largest(divisor) < _SAFE:
        rounded = (np.abs(amount) * (2 * factor) + divisor) // (2 * divisor)
        result: Amounts = np.where(amount < 0, -rounded, rounded)
        return result
    return _guessed(amount, factor, divisor)


def _guessed(amount: Int64, factor: Int64, divisor: Int64) -> Amounts:
    """Where the product may not fit: a float guesses the quotient, and its remainder, computed modulo 2⁶⁴
    where it always fits, says by how much the guess is off. What is too large for that is computed with
    Python's integers."""
    with np.errstate(over="ignore"):
        quotient = amount * (factor / divisor)
        fits = (np.abs(quotient) < _GUESSED) & (divisor < _DIVISOR)
        guess = np.rint(np.where(fits, quotient, 0)).astype(np.int64)
        rest = amount * factor - guess * divisor
        # off by d units, the rest is off by d divisors: bring it to [-divisor, divisor]
        shift = np.rint(rest / divisor).astype(np.int64)
        guess += shift
        rest -= shift * divisor
        away = np.sign(guess) + (guess == 0) * np.sign(rest)
        # half a unit or more towards `away`, or more than half a unit the other way
        guess += np.where(2 * rest * away >= divisor, away, 0)
        guess -= np.where(-2 * rest * away > divisor, away, 0)
    if fits.all():
        return guess
    result = guess.astype(object)
    rest_of = ~fits
    result[rest_of] = _slowly(amount[rest_of], factor[rest_of], divisor[rest_of])
    return _narrowed(result)


def _largest(amounts: Amounts) -> int:
    return max(int(amounts.max()), -int(amounts.min())) if len(amounts) else 0


def _slowly(amount: Amounts, factor: Amounts, divisor: Amounts) -> Amounts:
    result = np.empty(len(amount), object)
    for place, (one, by, over) in enumerate(
        zip(amount.tolist(), factor.tolist(), divisor.tolist(), strict=True)
    ):
        whole = (2 * abs(one) * by + over) // (2 * over)
        result[place] = whole if one >= 0 else -whole
    return result


def _narrowed(amounts: Amounts) -> Amounts:
    if all(abs(amount) < _SAFE for amount in amounts):
        return amounts.astype(np.int64)
    return amounts


def addable(amounts: Amounts, count: int | None = None) -> Amounts:
    """The same, so that any `count` of them add up without overflow."""
    if amounts.dtype == object or not len(amounts):
        return amounts
    return amounts if _largest(amounts) * (count or len(amounts)) < _SAFE else amounts.astype(object)


def total(amounts: Amounts) -> int:
    """The sum."""
    return int(addable(amounts).sum())


def sums(places: npt.NDArray[Any], amounts: Amounts, length: int) -> Amounts:
    """For each of 0 … length - 1 the sum of the amounts at that place."""
    amounts = addable(amounts)
    result = np.zeros(length, amounts.dtype)
    np.add.at(result, places, amounts)
    return result
