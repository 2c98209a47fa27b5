"""Exact numbers as integers: ticks (fractions of a minor unit), rounding once, and spreading without loss."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from functools import lru_cache

from services.quotes.pricing.model import Remainder

EXACT = Context(prec=400)  # more digits than any sum of quantities, prices and percentages has
_HUNDRED = Decimal(100)


@lru_cache(maxsize=20_000)
def digits(number: Decimal) -> int:
    """How many digits it has behind the point, trailing zeros aside."""
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent >= 0:
        return 0
    exponent = number.normalize(EXACT).as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def power_of_ten(number: int) -> int:
    """10^number."""
    return int(10**number)


def scaled(number: Decimal, power: int) -> int:
    """number × 10^power as an integer; what lies beyond is cut off."""
    return int(EXACT.scaleb(number, power))


@lru_cache(maxsize=5_000)
def ratio(percent: Decimal) -> tuple[int, int]:
    """A percentage as numerator and denominator."""
    places = digits(percent)
    return scaled(percent, places), 100 * 10**places


def half_up(number: int, unit: int) -> int:
    """number / unit, half away from zero."""
    if number < 0:
        return -((-2 * number + unit) // (2 * unit))
    return (2 * number + unit) // (2 * unit)


def ceiling(number: int, unit: int) -> int:
    """number / unit, rounded up."""
    return -(-number // unit)


def spread(total: int, weights: Sequence[int], ties: Sequence[int], remainder: Remainder) -> list[int]:
    """`total` whole units in proportion to the weights, which are not negative; they add up to it.

    What rounding down leaves over goes one each to the largest remainders, equal ones by `ties` (lower
    first), or all to the last that has a weight.
    """
    whole = sum(weights)
    if not whole or not total:
        return [0] * len(weights)
    shares = [total * weight // whole for weight in weights]
    left = total - sum(shares)
    if left:
        if remainder is Remainder.LAST_LINE:
            last = max(index for index, weight in enumerate(weights) if weight)
            shares[last] += left
        else:
            order = sorted(
                (index for index, weight in enumerate(weights) if weight),
                key=lambda index: (-(total * weights[index] % whole), ties[index]),
            )
            for index in order[:left]:
                shares[index] += 1
    return shares


def spread_ticks(
    total: int, tick: int, quantum: int, weights: Sequence[int], ties: Sequence[int], remainder: Remainder
) -> list[int]:
    """`total` ticks in whole minor units (`tick` ticks each); what is less than one goes where one more would."""
    minor, rest = divmod(total, tick)
    shares = [share * tick for share in spread(minor, weights, ties, remainder)]
    if rest:
        fine = spread(total // quantum, weights, ties, remainder)
        short = max(
            (index for index, weight in enumerate(weights) if weight),
            key=lambda index: (fine[index] * quantum - shares[index], -ties[index]),
        )
        shares[short] += rest
    return shares


def apportion(total: int, exact: Sequence[int], tick: int) -> list[int]:
    """Whole minor units nearest to exact amounts in ticks, which add up to `total`; equal remainders: first come."""
    shares = [amount // tick for amount in exact]
    left = total - sum(shares)
    if left and shares:
        order = sorted(range(len(exact)), key=lambda index: -(exact[index] % tick))
        if left < 0:
            order.reverse()
        step = 1 if left > 0 else -1
        many, few = divmod(abs(left), len(order))
        for place, index in enumerate(order):
            shares[index] += step * (many + (1 if place < few else 0))
    return shares


def tax_on_net(net: int, rate: Decimal) -> int:
    """Tax on top of a net amount, half away from zero."""
    numerator, denominator = ratio(rate)
    return half_up(net * numerator, denominator)


def tax_in_gross(gross: int, rate: Decimal) -> int:
    """Tax inside a gross amount: gross less the net, half away from zero."""
    return gross - net_of_gross(gross, rate)


def net_of_gross(gross: int, rate: Decimal) -> int:
    """What is left of a gross amount without its tax, half away from zero."""
    numerator, denominator = ratio(rate)
    return half_up(gross * denominator, denominator + numerator)
