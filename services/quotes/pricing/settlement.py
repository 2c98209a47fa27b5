"""Lines after the last phase: floors, rounding once, discounts by hand, tax."""

from __future__ import annotations

from collections.abc import Sequence

from services.quotes.pricing.computed import Computed
from services.quotes.pricing.floors import least_subtotal
from services.quotes.pricing.model import BuyGet, ReasonKind
from services.quotes.pricing.pieces import Violation
from services.quotes.pricing.problem import LineFacts, Offer, after_manual, rounded
from services.quotes.pricing.rounding import apportion, half_up, scaled, spread
from services.quotes.pricing.taxes import taxes


def settle_lines(done: Computed) -> None:
    """Floors, then each line rounded once, then what was given by hand, then tax."""
    problem = done.problem
    touched: list[dict[int, int]] = [{} for _ in problem.lines]
    for index in sorted(done.taken):
        for line, ticks in done.taken[index].items():
            if ticks:
                touched[line][index] = ticks
    pieces = done.choice.pieces
    for facts in problem.lines:
        if not touched[facts.index]:
            done.subtotals.append(facts.quoted)
            done.before_header.append(facts.plain)
            done.shares.append({})
            continue
        now = sum(pieces[place].now for place in done.choice.by_line[facts.index])
        by_offer = touched[facts.index]
        now += _floored(done, facts, now, by_offer)
        subtotal = rounded(problem, facts, now)
        done.subtotals.append(subtotal)
        done.before_header.append(rounded(problem, facts, after_manual(problem, facts, now)))
        shares = apportion(facts.quoted - subtotal, list(by_offer.values()), problem.tick)
        done.shares.append(dict(zip(by_offer, shares, strict=True)))
    for shares_of_line in done.shares:
        for index, share in shares_of_line.items():
            done.discounts[index] = done.discounts.get(index, 0) + share
    _header_amount(done)
    _tax(done)


def _floored(done: Computed, facts: LineFacts, now: int, by_offer: dict[int, int]) -> int:
    """What truncatable promotions give back so that the line keeps its floor, in ticks."""
    problem = done.problem
    least = facts.least
    if least == 1 and not facts.floor and _all_given(done, facts.index):
        least = 0
    if rounded(problem, facts, after_manual(problem, facts, now)) >= least:
        return 0
    short = least_subtotal(problem, facts, least) * problem.tick - now
    given = 0
    for index in sorted(by_offer, key=lambda i: (problem.offers[i].phase, i), reverse=True):
        if problem.offers[index].truncatable and short > given:
            back = min(short - given, by_offer[index])
            by_offer[index] -= back
            done.taken[index][facts.index] -= back
            done.truncated.add(index)
            given += back
    if given < short:
        codes = tuple(problem.offers[index].code for index in sorted(by_offer))
        by_floor = facts.floor is not None and least == facts.floor
        done.broken.append(
            Violation(
                kind=ReasonKind.FLOOR if by_floor else ReasonKind.ZERO,
                message="Would break the line's floor." if by_floor else "Only gifts may cost nothing.",
                code=codes[-1],
                line=facts.key,
                against=codes[:-1],
            )
        )
    return given


def _all_given(done: Computed, line: int) -> bool:
    """Whether every unit of the line is a gift: rewarded whole by a buy-and-get promotion."""
    for place in done.choice.by_line[line]:
        if not any(_gives(done.problem.offers[index]) for index in done.choice.pieces[place].offers):
            return False
    return True


def _header_amount(done: Computed) -> None:
    problem = done.problem
    document = problem.document
    ties = [facts.tie for facts in problem.lines]
    done.amounts = list(done.before_header)
    wanted = half_up(scaled(document.manual.amount, problem.power), problem.tick)
    if wanted:
        wanted = min(wanted, sum(done.amounts))
        weights = [amount * facts.weight for amount, facts in zip(done.amounts, problem.lines, strict=True)]
        shares = spread(wanted, weights, ties, document.settings.remainder)
        shares = _within(shares, done.amounts, ties)
        done.amounts = [amount - share for amount, share in zip(done.amounts, shares, strict=True)]


def _tax(done: Computed) -> None:
    document = done.problem.document
    ties = [facts.tie for facts in done.problem.lines]
    inclusive = document.prices_include_tax
    rates = [line.tax_rate for line in document.lines]
    done.taxes = taxes(done.amounts, rates, ties, document.settings.tax_rounding, inclusive=inclusive)
    if inclusive:
        done.nets = [amount - tax for amount, tax in zip(done.amounts, done.taxes, strict=True)]
        done.total = sum(done.amounts)
    else:
        done.nets = done.amounts
        done.total = sum(done.amounts) + sum(done.taxes)


def _gives(offer: Offer) -> bool:
    return isinstance(offer.benefit, BuyGet) and offer.percent[0] == offer.percent[1]


def _within(shares: list[int], amounts: Sequence[int], ties: Sequence[int]) -> list[int]:
    """Shares that exceed what is there moved to where something is left."""
    over = 0
    for index, amount in enumerate(amounts):
        if shares[index] > amount:
            over += shares[index] - amount
            shares[index] = amount
    for index in sorted(range(len(amounts)), key=lambda i: ties[i]):
        if not over:
            break
        more = min(over, amounts[index] - shares[index])
        shares[index] += more
        over -= more
    return shares
