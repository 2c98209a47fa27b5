"""What stands beside the lines: freight, surcharges and gifts."""

from __future__ import annotations

from decimal import Decimal

from services.quotes.pricing.computed import Computed
from services.quotes.pricing.limits import over_limit
from services.quotes.pricing.model import ChargeKind, Combine, Gift, ReasonKind
from services.quotes.pricing.pieces import Violation
from services.quotes.pricing.problem import Kind, Offer, Problem
from services.quotes.pricing.rounding import EXACT, digits, half_up, net_of_gross, ratio, scaled


def settle_charges(done: Computed) -> None:
    """Freight less what promotions take off it, and its tax."""
    problem = done.problem
    document = problem.document
    if not document.charges:
        return
    offers = [problem.offers[i] for i in done.choice.document if problem.offers[i].kind is Kind.SHIPPING]
    for charge in document.charges:
        quoted = half_up(scaled(charge.amount, problem.power), problem.tick)
        left = quoted
        for offer in offers:
            off = 0
            if charge.kind is ChargeKind.FREIGHT:
                entered = left if document.settings.combine is Combine.COMPOUND else quoted
                off = half_up(entered * offer.percent[0], offer.percent[1])
                off = _freight(done, offer, off, left)
            done.shipping.setdefault(offer.index, []).append(off)
            done.discounts[offer.index] = done.discounts.get(offer.index, 0) + off
            left -= off
        rate = charge.tax_rate
        if document.prices_include_tax:
            net = net_of_gross(left, rate)
            done.charges.append((left, net, left - net))
            done.total += left
        else:
            numerator, denominator = ratio(rate)
            tax = half_up(left * numerator, denominator)
            done.charges.append((left, left, tax))
            done.total += left + tax


def _freight(done: Computed, offer: Offer, off: int, left: int) -> int:
    most = left
    if offer.limit is not None:
        most = min(most, offer.limit // done.problem.tick - done.discounts.get(offer.index, 0))
    if off > most:
        if offer.truncatable:
            done.truncated.add(offer.index)
            return most
        if off > left:
            done.broken.append(
                Violation(kind=ReasonKind.ZERO, message="No freight is left.", code=offer.code)
            )
        else:
            done.broken.append(over_limit(offer))
    return off


def settle_gifts(done: Computed) -> None:
    """What is given: its worth and its cost."""
    for index in done.choice.document:
        benefit = done.problem.offers[index].benefit
        if isinstance(benefit, Gift):
            done.gift_value += gift_amount(done.problem, benefit.unit_value, benefit.quantity)
            done.gift_cost += gift_amount(done.problem, benefit.unit_cost, benefit.quantity)


def gift_amount(problem: Problem, unit: Decimal, quantity: Decimal) -> int:
    """Worth or cost of a gift in minor units."""
    exact = EXACT.multiply(unit, quantity)
    places = max(0, digits(exact) - problem.document.exponent)
    return half_up(scaled(exact, problem.document.exponent + places), 10**places)
