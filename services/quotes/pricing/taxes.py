"""Tax on the lines of a document, rounded line by line or once per rate."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from services.quotes.pricing.model import Remainder, TaxRounding
from services.quotes.pricing.rounding import half_up, ratio, spread


def taxes(
    amounts: Sequence[int],
    rates: Sequence[Decimal],
    ties: Sequence[int],
    rounding: TaxRounding,
    *,
    inclusive: bool,
) -> list[int]:
    """Each line's tax. Rounded by document, the lines of a rate share its tax by largest remainder."""
    cached = {rate: ratio(rate) for rate in set(rates)}
    if rounding is TaxRounding.LINE:
        found: list[int] = []
        for amount, rate in zip(amounts, rates, strict=True):
            numerator, denominator = cached[rate]
            if inclusive:
                found.append(amount - half_up(amount * denominator, denominator + numerator))
            else:
                found.append(half_up(amount * numerator, denominator) if numerator else 0)
        return found
    found = [0] * len(amounts)
    for rate, (numerator, denominator) in cached.items():
        places = [index for index, other in enumerate(rates) if other == rate]
        whole = sum(amounts[index] for index in places)
        if inclusive:
            total = whole - half_up(whole * denominator, denominator + numerator)
        else:
            total = half_up(whole * numerator, denominator)
        shares = spread(total, [amounts[i] for i in places], [ties[i] for i in places], Remainder.LARGEST)
        for index, share in zip(places, shares, strict=True):
            found[index] = share
    return found
