"""Why a rule asks: a quote's figures, held against the rule's condition.

Every condition that is met leaves a reason with the limit and the figure, so that whoever approves
knows what, and so that what was approved can be told from what has become worse since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import Enum
from typing import Final, Literal
from uuid import UUID

from services.quotes.domain.approval_rules import RANKS, ApprovalRule, Condition, DiscountBasis, Measure

NAMED_LINES: Final = 20
"""How many lines a reason names, the worst first."""
_CENT_OF_A_PERCENT: Final = Decimal("0.01")
_NO_MARGIN: Final = Decimal(-1000)
"""Stands for the margin of what is given away and costs something."""


@dataclass(frozen=True, slots=True)
class OfferedLine:
    """One line as approvals look at it; amounts are of the whole line, in the quote's currency."""

    id: UUID
    families: tuple[str, ...]
    """The product's family, and those above it."""
    full: Decimal
    """At list price, before any discount."""
    net: Decimal
    """What the customer pays for it, before tax."""
    manual: Decimal
    """What was taken off by hand."""
    cost: Decimal | None = None
    is_gift: bool = False
    is_below_floor: bool = False
    counts: bool = True
    """Whether it is part of the sums; an option that the customer may still choose is not, and is looked
    at line by line all the same."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A quote as approvals look at it."""

    currency: str
    total: Decimal
    """Before tax."""
    lines: tuple[OfferedLine, ...]
    payment_days: int | None = None
    payment_terms: str = ""
    is_below_floor: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """What an approver sees first."""

    total: Decimal
    manual_discount_percent: Decimal
    total_discount_percent: Decimal
    margin_percent: Decimal | None
    """Of the lines whose cost is known; None where none is."""
    is_cost_complete: bool
    payment_days: int | None


class ReasonKind(Enum):
    """Which condition was met."""

    ALWAYS = "always"
    DISCOUNT = "discount"
    MARGIN = "margin"
    COST_UNKNOWN = "cost_unknown"
    AMOUNT = "amount"
    PRODUCT_FAMILY = "product_family"
    PAYMENT_TERMS = "payment_terms"
    ROLE = "role"
    FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class Reason:
    """One condition that was met: the limit, the figure, and the lines that it is about."""

    kind: ReasonKind
    text: str
    limit: str = ""
    actual: str = ""
    line_ids: tuple[UUID, ...] = ()

    @property
    def without_cost(self) -> Reason:
        """The same for those who may not know what products cost, which a margin would tell."""
        if self.kind is not ReasonKind.MARGIN:
            return self
        return replace(self, text=f"The margin is below {self.limit} %.", actual="")


def plain(number: Decimal) -> str:
    """A decimal as people write it: without an exponent and without trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def figures_of(offer: Offer) -> Figures:
    """The figures of the whole quote."""
    lines = [line for line in offer.lines if line.counts]
    return Figures(
        total=offer.total,
        manual_discount_percent=_discount(lines, DiscountBasis.MANUAL),
        total_discount_percent=_discount(lines, DiscountBasis.TOTAL),
        margin_percent=_margin(lines),
        is_cost_complete=all(line.cost is not None for line in lines),
        payment_days=offer.payment_days,
    )


def why(rule: ApprovalRule, offer: Offer, roles: Collection[str]) -> tuple[Reason, ...] | None:
    """Why the rule asks about the offer of somebody with these roles; None where it does not."""
    condition = rule.condition
    lines = _lines_looked_at(condition, offer)
    if condition.product_families and not lines:
        return None
    reasons: list[Reason] = []
    for met in (_by_role, _by_amount, _by_payment, _by_family, _by_discount, _by_margin, _by_floor):
        found = met(condition, offer, lines, roles)
        if found is False:
            return None
        if found is not None:
            reasons.append(found)
    return tuple(reasons) or (Reason(ReasonKind.ALWAYS, "Every quote needs it."),)


def is_covered(now: Sequence[Reason], approved: Iterable[Reason]) -> bool:
    """Whether what was approved allows what is asked for now: the same conditions, no figure worse."""
    granted = {reason.kind: reason for reason in approved}
    if ReasonKind.COST_UNKNOWN in granted:
        granted.setdefault(ReasonKind.MARGIN, Reason(ReasonKind.MARGIN, "", actual=str(_NO_MARGIN)))
    return all(reason.kind in granted and _no_worse(reason, granted[reason.kind]) for reason in now)


def _no_worse(now: Reason, then: Reason) -> bool:
    if now.kind in (ReasonKind.DISCOUNT, ReasonKind.AMOUNT):
        one, other = now.actual.split(), then.actual.split()
        return one[1:] == other[1:] and Decimal(one[0]) <= Decimal(other[0])
    if now.kind is ReasonKind.MARGIN:
        return Decimal(now.actual) >= Decimal(then.actual)
    if now.kind is ReasonKind.PAYMENT_TERMS:
        return now.actual == then.actual or (
            now.actual.isdecimal() and then.actual.isdecimal() and int(now.actual) <= int(then.actual)
        )
    if now.kind is ReasonKind.FLOOR:  # the floor of a line is passed where just that line was allowed to
        return set(now.line_ids) <= set(then.line_ids)
    return True


# Each of these answers the reason, False where what is stated is not so, None where nothing is stated.


def _by_role(
    condition: Condition, offer: Offer, lines: Sequence[OfferedLine], roles: Collection[str]
) -> Reason | Literal[False] | None:
    if not condition.submitter_roles:
        return None
    weightiest = max(roles, key=lambda role: RANKS.get(role, 0), default="")
    if weightiest in RANKS and weightiest not in condition.submitter_roles:
        return False
    return Reason(ReasonKind.ROLE, f"It is offered by {weightiest or 'a service'}.", actual=weightiest)


def _by_amount(
    condition: Condition, offer: Offer, lines: Sequence[OfferedLine], roles: Collection[str]
) -> Reason | Literal[False] | None:
    if not condition.amounts_from:
        return None
    actual = f"{plain(offer.total)} {offer.currency}"
    for amount in condition.amounts_from:
        if amount.currency == offer.currency:
            if offer.total < amount.amount:
                return False
            limit = f"{plain(amount.amount)} {amount.currency}"
            return Reason(ReasonKind.AMOUNT, f"The total is {actual}, {limit} or more.", limit, actual)
    return Reason(
        ReasonKind.AMOUNT, f"The total is {actual}, and the rule states no amount in {offer.currency}.",
        actual=actual,
    )  # fmt: skip


def _by_payment(
    condition: Condition, offer: Offer, lines: Sequence[OfferedLine], roles: Collection[str]
) -> Reason | Literal[False] | None:
    limit = condition.payment_days_above
    if limit is None and not condition.payment_terms:
        return None
    if limit is not None and offer.payment_days is not None and offer.payment_days > limit:
        text = f"The customer pays within {offer.payment_days} days, more than {limit}."
        return Reason(ReasonKind.PAYMENT_TERMS, text, str(limit), str(offer.payment_days))
    if offer.payment_terms and offer.payment_terms in condition.payment_terms:
        text = f"The payment terms are {offer.payment_terms}."
        return Reason(ReasonKind.PAYMENT_TERMS, text, offer.payment_terms, offer.payment_terms)
    return False


def _by_family(
    condition: Condition, offer: Offer, lines: Sequence[OfferedLine], roles: Collection[str]
) -> Reason | Literal[False] | None:
    if not condition.product_families:
        return None
    named = (family for line in lines for family in line.families if family in condition.product_families)
    families = ", ".join(dict.fromkeys(named))
    text = f"It offers products of {families}."
    return Reason(ReasonKind.PRODUCT_FAMILY, text, actual=families, line_ids=_named(lines))


def _by_discount(
    condition: Condition, offer: Offer, lines: Sequence[OfferedLine], roles: Collection[str]
) -> Reason | Literal[False] | None:
    limit, basis = condition.discount_above, condition.discount_basis
    if limit is None:
        return None
    groups = _measured(condition, [line for line in lines if not line.is_gift])
    over = [(_discount(group, basis), group) for group in groups]
    over = sorted((item for item in over if item[0] > limit), key=lambda item: -item[0])
    if not over:
        return False
    what = "discount by hand" if basis is DiscountBasis.MANUAL else "discount in all"
    actual, bound = plain(over[0][0]), plain(limit)
    text = f"The {what} is {actual} %{_of_lines(condition, len(over))}, above {bound} %."
    return Reason(ReasonKind.DISCOUNT, text, bound, actual, _named_groups(condition, over))


def _by_margin(
    condition: Condition, offer: Offer, lines: Sequence[OfferedLine], roles: Collection[str]
) -> Reason | Literal[False] | None:
    limit = condition.margin_below
    if limit is None:
        return None
    groups = _measured(condition, lines if condition.measure is Measure.DOCUMENT else _not_given(lines))
    known = [(margin, group) for group in groups if (margin := _margin(group)) is not None]
    under = sorted((item for item in known if item[0] < limit), key=lambda item: item[0])
    if under:
        actual, bound = plain(under[0][0]), plain(limit)
        text = f"The margin is {actual} %{_of_lines(condition, len(under))}, below {bound} %."
        if under[0][0] == _NO_MARGIN:
            text = f"It is given away at a cost{_of_lines(condition, len(under))}."
        return Reason(ReasonKind.MARGIN, text, bound, actual, _named_groups(condition, under))
    unknown = [line for line in lines if line.cost is None]
    if condition.asks_where_cost_unknown and unknown:
        text = f"The cost of {len(unknown)} of its lines is not known, and so its margin."
        return Reason(ReasonKind.COST_UNKNOWN, text, plain(limit), line_ids=_named(unknown))
    return False


def _by_floor(
    condition: Condition, offer: Offer, lines: Sequence[OfferedLine], roles: Collection[str]
) -> Reason | Literal[False] | None:
    if not condition.below_floor:
        return None
    below = [line for line in lines if line.is_below_floor]
    if below:
        return Reason(
            ReasonKind.FLOOR, f"{len(below)} of its lines are below their floor.", line_ids=_named(below)
        )
    if offer.is_below_floor and not condition.product_families:
        return Reason(ReasonKind.FLOOR, "The quote as a whole is below its floor.")
    return False


def _lines_looked_at(condition: Condition, offer: Offer) -> Sequence[OfferedLine]:
    families = condition.product_families
    if not families:
        return offer.lines
    return [line for line in offer.lines if not set(families).isdisjoint(line.families)]


def _measured(condition: Condition, lines: Sequence[OfferedLine]) -> list[Sequence[OfferedLine]]:
    if condition.measure is Measure.LINE:
        return [[line] for line in lines]
    return [[line for line in lines if line.counts]]


def _not_given(lines: Sequence[OfferedLine]) -> list[OfferedLine]:
    return [line for line in lines if not line.is_gift]


def _discount(lines: Iterable[OfferedLine], basis: DiscountBasis) -> Decimal:
    lines = list(lines)
    full = sum((line.full for line in lines), Decimal(0))
    if basis is DiscountBasis.TOTAL:
        off = full - sum((line.net for line in lines), Decimal(0))
    else:
        off = sum((line.manual for line in lines), Decimal(0))
    return _percent(off, full, ROUND_CEILING)


def _margin(lines: Iterable[OfferedLine]) -> Decimal | None:
    known = [(line.net, line.cost) for line in lines if line.cost is not None]
    if not known:
        return None
    net = sum((net for net, _ in known), Decimal(0))
    cost = sum((cost for _, cost in known), Decimal(0))
    if net <= 0:
        return _NO_MARGIN if cost > 0 else Decimal(0)
    return max(_percent(net - cost, net, ROUND_FLOOR), _NO_MARGIN)


def _percent(part: Decimal, whole: Decimal, against: str) -> Decimal:
    """Rounded against the offer, so that 19.999 % is no margin of 20 %."""
    if whole <= 0:
        return Decimal(0)
    return (part * 100 / whole).quantize(_CENT_OF_A_PERCENT, against)


def _of_lines(condition: Condition, count: int) -> str:
    if condition.measure is Measure.DOCUMENT:
        return ""
    return " on a line" if count == 1 else f" at the worst of {count} lines"


def _named(lines: Iterable[OfferedLine]) -> tuple[UUID, ...]:
    return tuple(line.id for line in lines)[:NAMED_LINES]


def _named_groups(
    condition: Condition, groups: Iterable[tuple[Decimal, Sequence[OfferedLine]]]
) -> tuple[UUID, ...]:
    if condition.measure is Measure.DOCUMENT:
        return ()
    return _named(line for _, group in groups for line in group)
