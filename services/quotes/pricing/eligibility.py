"""Whether a promotion may be used on a document at all, and what would have to change so that it may.

Conditions look at the document as quoted: no promotion and no manual discount makes another eligible or
ineligible, so that eligibility is settled before anything is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from services.quotes.pricing.model import (
    AmountOff,
    BundlePrice,
    BuyGet,
    Conditions,
    Document,
    FixedPrice,
    FreeShipping,
    Graduated,
    Matching,
    Measure,
    Per,
    PercentOff,
    Promotion,
    Reason,
    ReasonKind,
    Requirement,
    Simple,
    Tier,
    Tiered,
)
from services.quotes.pricing.quoted import Quoted
from services.quotes.pricing.rounding import ceiling, scaled

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def obstacles(quoted: Quoted, promotion: Promotion) -> tuple[Reason, ...]:
    """Everything that stands between the document and the promotion; empty: it may be used.

    Whether it pays, goes together with others and leaves floors alone is not asked here.
    """
    reasons = [*_circumstances(quoted.document, promotion.conditions), *_limits(promotion)]
    for requirement in promotion.conditions.requirements:
        reasons.extend(lacking(quoted, requirement))
    reasons.extend(_benefit(quoted, promotion))
    return tuple(reasons)


def _circumstances(document: Document, asked: Conditions) -> Iterable[Reason]:
    day = document.day
    if asked.starts_on is not None and day < asked.starts_on:
        yield Reason(kind=ReasonKind.NOT_STARTED, message=f"Starts on {asked.starts_on}.")
    if asked.ends_on is not None and day > asked.ends_on:
        yield Reason(kind=ReasonKind.EXPIRED, message=f"Ended on {asked.ends_on}.")
    if asked.weekdays and day.isoweekday() not in asked.weekdays:
        days = " or ".join(_DAYS[number - 1] for number in sorted(asked.weekdays))
        yield Reason(kind=ReasonKind.WEEKDAY, message=f"Holds on {days} only.")
    if asked.currencies and document.currency not in asked.currencies:
        yield _one_of(ReasonKind.CURRENCY, "For quotes in", asked.currencies)
    if asked.customers and document.customer not in asked.customers:
        yield Reason(kind=ReasonKind.CUSTOMER, message="For other customers.", wanted=asked.customers)
    if asked.segments and not asked.segments & document.segments:
        yield _one_of(ReasonKind.SEGMENT, "For customers of segment", asked.segments)
    if asked.territories and not asked.territories & document.territories:
        yield _one_of(ReasonKind.TERRITORY, "For territory", asked.territories)
    if asked.channels and document.channel not in asked.channels:
        yield _one_of(ReasonKind.CHANNEL, "For channel", asked.channels)
    if asked.reps and document.rep not in asked.reps:
        yield Reason(kind=ReasonKind.REP, message="For quotes of other reps.", wanted=asked.reps)
    if asked.first_order and not document.first_order:
        yield Reason(kind=ReasonKind.FIRST_ORDER, message="For a customer's first order only.")
    if asked.coupons and not asked.coupons & document.coupons:
        yield Reason(kind=ReasonKind.COUPON, message="Needs a coupon code.", wanted=asked.coupons)


def _one_of(kind: ReasonKind, words: str, wanted: frozenset[str]) -> Reason:
    return Reason(kind=kind, message=f"{words} {' or '.join(sorted(wanted))} only.", wanted=wanted)


def _limits(promotion: Promotion) -> Iterable[Reason]:
    if promotion.remaining_redemptions is not None and promotion.remaining_redemptions < 1:
        yield Reason(kind=ReasonKind.REDEMPTIONS, message="Has been redeemed as often as it may be.")
    if promotion.remaining_for_customer is not None and promotion.remaining_for_customer < 1:
        yield Reason(
            kind=ReasonKind.CUSTOMER_LIMIT, message="This customer has redeemed it as often as they may."
        )
    if promotion.remaining_budget is not None and promotion.remaining_budget <= 0:
        yield Reason(kind=ReasonKind.BUDGET, message="Its budget is used up.")


def lacking(quoted: Quoted, requirement: Requirement) -> Iterable[Reason]:
    """What is missing for a requirement; nothing: it is met."""
    matching = requirement.matching
    if requirement.min_quantity > 0:
        missing = requirement.min_quantity - quoted.quantity(matching)
        if missing > 0:
            yield lacking_units(missing, matching)
    if requirement.min_spend > 0:
        short = ceiling_of(requirement.min_spend, quoted.document) - quoted.spend(matching)
        if short > 0:
            yield _lacking_spend(short, quoted.document, matching)


def ceiling_of(amount: Decimal, document: Document) -> int:
    """An amount in minor units, rounded up."""
    return ceiling(scaled(amount, document.exponent + 12), 10**12)


def lacking_units(missing: Decimal | int, matching: Matching) -> Reason:
    """ "2 more units of …" """
    missing = Decimal(missing)
    number = f"{missing.normalize():f}"
    unit = "unit" if missing == 1 else "units"
    return Reason(
        kind=ReasonKind.QUANTITY,
        message=f"{number} more {unit}{of(matching)}.",
        missing=missing,
        wanted=matching.products | matching.families,
    )


def _lacking_spend(short: int, document: Document, matching: Matching) -> Reason:
    missing = Decimal(short).scaleb(-document.exponent)
    return Reason(
        kind=ReasonKind.SPEND,
        message=f"{document.currency} {missing} more{of(matching)}.",
        missing=missing,
        wanted=matching.products | matching.families,
    )


def of(matching: Matching) -> str:
    """ " of …", where not everything matches."""
    names = sorted(matching.products) + sorted(matching.families)
    text = f" of {' or '.join(names)}" if names else ""
    excluded = sorted(matching.excluded_products) + sorted(matching.excluded_families)
    return f"{text} other than {' or '.join(excluded)}" if excluded else text


def _benefit(quoted: Quoted, promotion: Promotion) -> Iterable[Reason]:
    match promotion.benefit:
        case Tiered() as tiered:
            tier = reached(quoted, tiered)
            if tier is None:
                yield next_tier_reason(quoted, tiered, tiered.tiers[0])
            else:
                yield from _simple(quoted, tier.benefit)
        case BuyGet() as deal:
            yield from lacking_for(quoted, deal, 1)
        case BundlePrice() as bundle:
            yield from lacking_for(quoted, bundle, 1)
        case FreeShipping():
            if not any(charge.amount > 0 for charge in quoted.document.charges):
                yield Reason(kind=ReasonKind.NO_EFFECT, message="No freight is charged.")
        case PercentOff() | AmountOff() | FixedPrice() | Graduated() as benefit:
            yield from _simple(quoted, benefit)


def _simple(quoted: Quoted, benefit: Simple | Graduated) -> Iterable[Reason]:
    found = quoted.lines(benefit.target)
    lines = quoted.document.lines
    if not any(lines[index].discountable for index in found):
        yield Reason(
            kind=ReasonKind.NO_MATCHING_LINE,
            message=f"Nothing{of(benefit.target)} that may be discounted.",
            wanted=benefit.target.products | benefit.target.families,
        )
    elif isinstance(benefit, AmountOff) and benefit.per is Per.GROUP:
        yield from lacking_for(quoted, benefit, 1)
    elif not isinstance(benefit, Graduated) and benefit.reach.step > 1:
        missing = benefit.reach.step - discountable_units(quoted, benefit.target)
        if missing > 0:
            yield lacking_units(missing, benefit.target)


def discountable_units(quoted: Quoted, matching: Matching) -> int:
    """Whole units on matching lines that may be discounted."""
    return quoted.units(matching, discountable=True)


def lacking_for(quoted: Quoted, benefit: BuyGet | BundlePrice | AmountOff, groups: int) -> list[Reason]:
    """What is missing for so many groups: nothing bought twice, nothing both bought and rewarded."""
    if isinstance(benefit, AmountOff):
        missing = groups * benefit.group_size - discountable_units(quoted, benefit.target)
        return [lacking_units(missing, benefit.target)] if missing > 0 else []
    if isinstance(benefit, BundlePrice):
        return [
            lacking_units(missing, component.matching)
            for component in benefit.components
            if (missing := groups * component.quantity - discountable_units(quoted, component.matching)) > 0
        ]
    bought, got = groups * benefit.buy_quantity, groups * benefit.get_quantity
    if benefit.buy == benefit.get:
        missing = bought + got - quoted.units(benefit.buy)
        return [lacking_units(missing, benefit.buy)] if missing > 0 else []
    reasons: list[Reason] = []
    if (missing := bought - quoted.units(benefit.buy)) > 0:
        reasons.append(lacking_units(missing, benefit.buy))
    if (missing := got - discountable_units(quoted, benefit.get)) > 0:
        reasons.append(lacking_units(missing, benefit.get))
    if not reasons:
        both = set(quoted.lines(benefit.buy)) | set(quoted.lines(benefit.get))
        if (missing := bought + got - sum(quoted.whole[index] for index in both)) > 0:
            reasons.append(lacking_units(missing, benefit.get))
    return reasons


def reached(quoted: Quoted, tiered: Tiered) -> Tier | None:
    """The highest tier whose threshold the document as quoted has reached, inclusive."""
    best: Tier | None = None
    for tier in tiered.tiers:
        if _measured(quoted, tiered, tier):
            best = tier
    return best


def _measured(quoted: Quoted, tiered: Tiered, tier: Tier) -> bool:
    if tiered.measure is Measure.QUANTITY:
        return quoted.quantity(tiered.matching) >= tier.least
    return quoted.spend(tiered.matching) >= ceiling_of(tier.least, quoted.document)


def next_tier_reason(quoted: Quoted, tiered: Tiered, tier: Tier) -> Reason:
    """What is missing for a tier that is not reached."""
    if tiered.measure is Measure.QUANTITY:
        return lacking_units(tier.least - quoted.quantity(tiered.matching), tiered.matching)
    short = ceiling_of(tier.least, quoted.document) - quoted.spend(tiered.matching)
    return _lacking_spend(short, quoted.document, tiered.matching)
