"""What to offer the customer next: what more on the document would bring, and how far away it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from services.quotes.pricing.by_priority import by_priority
from services.quotes.pricing.computed import Computed
from services.quotes.pricing.eligibility import lacking, lacking_for, next_tier_reason
from services.quotes.pricing.evaluation import compute, plain_of
from services.quotes.pricing.model import (
    EVERYTHING,
    AmountOff,
    Benefit,
    BundlePrice,
    BuyGet,
    ChargeKind,
    Document,
    FixedPrice,
    FreeShipping,
    Gift,
    Graduated,
    Line,
    Matching,
    Per,
    PercentOff,
    Promotion,
    Reason,
    ReasonKind,
    Threshold,
    Tier,
    Tiered,
)
from services.quotes.pricing.problem import Problem, graduated, prepare

_MOST_WORK = 400  # lines times promotions whose gain is priced; beyond, it is that of the promotion alone
_MOST = 20
_LACKING = frozenset({ReasonKind.QUANTITY, ReasonKind.SPEND})


def thresholds(problem: Problem, computed: Computed, *, detail: bool) -> tuple[Threshold, ...]:
    """What more on the document would bring, the most worthwhile first."""
    found: list[Threshold] = []
    work = 0
    for promotion in problem.promotions:
        for reasons, relaxed, document in _nearly(problem, computed, promotion):
            work += len(problem.lines)
            if detail and work <= _MOST_WORK:
                gain = _gain(computed, relaxed, document)
            else:
                gain = _alone(problem, relaxed.benefit)
            if gain <= 0 or not _is_near(problem, promotion, reasons):
                continue
            found.append(
                Threshold(
                    code=promotion.code,
                    message=" and ".join(reason.message.rstrip(".") for reason in reasons)
                    + (f": {money(problem, gain)} off." if gain else "."),
                    missing_quantity=_missing(reasons, ReasonKind.QUANTITY),
                    missing_spend=_missing(reasons, ReasonKind.SPEND),
                    matching=_matching(problem, promotion),
                    gain=gain,
                )
            )
    found.sort(key=lambda one: (-one.gain, one.missing_spend, one.missing_quantity, one.code))
    return tuple(found[:_MOST])


def _missing(reasons: Sequence[Reason], kind: ReasonKind) -> Decimal:
    return sum((reason.missing or Decimal(0) for reason in reasons if reason.kind is kind), Decimal(0))


def _matching(problem: Problem, promotion: Promotion) -> Matching:
    """What more is asked of: the first requirement that is not met, else what the benefit counts."""
    for requirement in promotion.conditions.requirements:
        if any(lacking(problem.quoted, requirement)):
            return requirement.matching
    match promotion.benefit:
        case BuyGet(get=matching) | Tiered(matching=matching) | AmountOff(target=matching):
            return matching
    return EVERYTHING


def _is_near(problem: Problem, promotion: Promotion, reasons: Sequence[Reason]) -> bool:
    """Whether it is worth offering: half the way is gone, or one unit is missing, or a group has begun."""
    matching = _matching(problem, promotion)
    if _missing(reasons, ReasonKind.SPEND) > Decimal(problem.quoted.spend(matching)).scaleb(
        -problem.document.exponent
    ):
        return False
    units = _missing(reasons, ReasonKind.QUANTITY)
    if isinstance(promotion.benefit, BuyGet | BundlePrice) and not promotion.conditions.requirements:
        return True
    return units <= max(Decimal(1), problem.quoted.quantity(matching))


Nearly = tuple[Sequence[Reason], Promotion, Document]


def _nearly(problem: Problem, computed: Computed, promotion: Promotion) -> Iterable[Nearly]:
    """Reasons that are matters of more only, with the promotion and document as they would be then."""
    document = problem.document
    reasons = problem.obstacles.get(promotion.code)
    benefit = promotion.benefit
    if reasons is not None:
        if all(reason.kind in _LACKING for reason in reasons):
            if isinstance(benefit, Tiered):
                benefit = (_tier_above(problem, benefit) or benefit.tiers[0]).benefit
            relaxed = replace(
                promotion, benefit=benefit, conditions=replace(promotion.conditions, requirements=())
            )
            yield reasons, relaxed, _with_more(problem, relaxed, 1)
    elif isinstance(benefit, Tiered):
        tier = _tier_above(problem, benefit)
        if tier is not None:
            yield (
                [next_tier_reason(problem.quoted, benefit, tier)],
                replace(promotion, benefit=tier.benefit),
                document,
            )
    elif isinstance(benefit, BuyGet):
        index = problem.offer_index[promotion.code]
        got = sum(computed.choice.pieces[place].units for place in computed.choice.by_offer.get(index, ()))
        times = got // benefit.get_quantity + 1
        if got and (benefit.max_repeats is None or times <= benefit.max_repeats):
            lacking = lacking_for(problem.quoted, benefit, times)
            if lacking and _missing(lacking, ReasonKind.QUANTITY) <= benefit.get_quantity:
                yield lacking, promotion, _with_more(problem, promotion, times)


def _tier_above(problem: Problem, tiered: Tiered) -> Tier | None:
    for tier in tiered.tiers:
        reason = next_tier_reason(problem.quoted, tiered, tier)
        if reason.missing is not None and reason.missing > 0:
            return tier
    return None


def _with_more(problem: Problem, promotion: Promotion, times: int) -> Document:
    """The document with the units that so many groups lack, on lines that it has."""
    document, benefit = problem.document, promotion.benefit
    wanted: list[tuple[tuple[int, ...], int]] = []
    quoted = problem.quoted
    if isinstance(benefit, BuyGet):
        size = times * (benefit.buy_quantity + benefit.get_quantity)
        if benefit.buy == benefit.get:
            wanted.append((quoted.lines(benefit.buy), size))
        else:
            wanted.append((quoted.lines(benefit.buy), times * benefit.buy_quantity))
            wanted.append((quoted.lines(benefit.get), times * benefit.get_quantity))
    elif isinstance(benefit, BundlePrice):
        wanted += [(quoted.lines(part.matching), times * part.quantity) for part in benefit.components]
    elif isinstance(benefit, AmountOff) and benefit.per is Per.GROUP:
        wanted.append((quoted.lines(benefit.target), times * benefit.group_size))
    lines: list[Line] = list(document.lines)
    for matching, number in wanted:
        missing = number - sum(int(lines[i].quantity) for i in matching)
        if missing > 0 and matching:
            cheapest = min(matching, key=lambda i: (lines[i].unit_price, problem.lines[i].tie))
            lines[cheapest] = replace(lines[cheapest], quantity=lines[cheapest].quantity + missing)
    return replace(document, lines=tuple(lines))


def _gain(computed: Computed, promotion: Promotion, document: Document) -> int:
    """How much more promotions would take off then than they do now, at least. Minor units."""
    problem = computed.problem
    chosen = [
        problem.offers[i].promotion for i in computed.applied if problem.offers[i].code != promotion.code
    ]
    then = prepare(document, [*chosen, promotion])
    if promotion.code not in then.offer_index:
        return 0
    mine = then.offer_index[promotion.code]
    together = [i for i in range(len(then.offers)) if not then.conflict(mine, i)]
    total = min(compute(then, by_priority(then, among)).total for among in ([mine], together))
    off_then = plain_of(then).total - total
    off_now = plain_of(problem).total - computed.total
    return max(0, off_then - off_now)


def _alone(problem: Problem, benefit: Benefit) -> int:
    """What a benefit would take off the quoted prices by itself, in minor units; about, and cheap to say."""
    quoted, document = problem.quoted, problem.document
    unit = Decimal(10) ** document.exponent
    match benefit:
        case PercentOff(percent=percent, target=target) if not benefit.reach.is_limited:
            return int(quoted.spend(target) * percent / 100)
        case AmountOff(amount=amount, per=Per.UNIT, target=target) if not benefit.reach.is_limited:
            return min(int(amount * unit * quoted.quantity(target)), quoted.spend(target))
        case AmountOff(amount=amount, per=Per.LINE, target=target):
            return min(int(amount * unit) * len(quoted.lines(target)), quoted.spend(target))
        case AmountOff(amount=amount, per=Per.DOCUMENT, target=target):
            return min(int(amount * unit), quoted.spend(target))
        case AmountOff(amount=amount, per=Per.GROUP):
            return int(amount * unit)
        case PercentOff(percent=percent, target=target):
            return int(_cheapest(problem, target) * unit * percent / 100)
        case AmountOff(amount=amount, target=target):
            return int(min(amount, _cheapest(problem, target)) * unit)
        case FixedPrice(price=price, target=target):
            lines = (document.lines[i] for i in quoted.lines(target))
            return int(sum(max(Decimal(0), line.unit_price - price) * line.quantity for line in lines) * unit)
        case BuyGet(get=get, percent=percent, get_quantity=quantity):
            return int(_cheapest(problem, get) * quantity * unit * percent / 100)
        case BundlePrice(components=components, price=price):
            parts = sum((_cheapest(problem, one.matching) * one.quantity for one in components), Decimal(0))
            return int((parts - price) * unit)
        case Graduated(target=target):
            return int(sum(graduated(benefit, quoted.whole[i]) for i in quoted.lines(target)) * unit)
        case Gift(unit_value=value, quantity=quantity):
            return int(value * quantity * unit)
        case FreeShipping(percent=percent):
            freight = sum(charge.amount for charge in document.charges if charge.kind is ChargeKind.FREIGHT)
            return int(freight * percent / 100 * unit)
    return 0


def _cheapest(problem: Problem, matching: Matching) -> Decimal:
    lines = problem.document.lines
    return min((lines[i].unit_price for i in problem.quoted.lines(matching)), default=Decimal(0))


def money(problem: Problem, minor: int) -> str:
    document = problem.document
    return f"{document.currency} {Decimal(minor).scaleb(-document.exponent)}"
