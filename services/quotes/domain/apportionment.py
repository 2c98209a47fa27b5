"""An amount shared out in whole minor units: by the largest remainder, so that the shares add up."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from chassis.money import minor_unit


def apportion(amount: Decimal, weights: Sequence[Decimal | Fraction], currency: str) -> list[Decimal]:
    """Shares of `amount`, which is whole minor units of `currency`, in proportion to `weights`.

    Everybody gets their exact share rounded towards zero; what is left goes, one unit each, to the
    largest remainders, of equal ones to the larger weight, then to the first (Hare's method): which shares
    come out does not depend on the order. Without any weight the first gets
    everything; without anybody there is nothing to share.
    """
    if not weights:
        return []
    unit = minor_unit(currency)
    units = int(abs(amount) / unit)
    whole = sum((Fraction(weight) for weight in weights), Fraction(0))
    exact = [Fraction(weight) * units / whole if whole else Fraction(0) for weight in weights]
    shares = [share.numerator // share.denominator for share in exact]
    left = units - sum(shares)
    if not whole:
        shares[0], left = units, 0
    by_remainder = sorted(
        range(len(weights)), key=lambda index: (shares[index] - exact[index], -weights[index], index)
    )
    for index in by_remainder[:left]:
        shares[index] += 1
    sign = -1 if amount < 0 else 1
    return [sign * share * unit for share in shares]


def half_away(amount: Fraction, currency: str) -> Decimal:
    """Rounded to the currency's minor unit, half away from zero."""
    unit = minor_unit(currency)
    units = abs(amount) / Fraction(unit)
    whole = (2 * units.numerator + units.denominator) // (2 * units.denominator)
    return (-whole if amount < 0 else whole) * unit
