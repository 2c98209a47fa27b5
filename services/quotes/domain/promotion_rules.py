"""What makes no sense in a promotion's benefit and conditions, by the field that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from services.quotes.pricing.model import (
    AmountOff,
    Benefit,
    BundlePrice,
    BuyGet,
    Conditions,
    FixedPrice,
    FreeShipping,
    Gift,
    Graduated,
    Matching,
    Per,
    PercentOff,
    Reach,
    Requirement,
    Simple,
    Tiered,
)

_Fault = tuple[str, str]
_PERCENT = "A percentage lies above 0 and is at most 100."
_AMOUNT = "An amount must be above zero."
_PRICE = "A price must be above zero: what costs nothing is a gift."
_COUNT = "It takes one or more."
_MOST_GIFTS, _MOST_WORTH = 1000, 10**9


def faults_of(benefit: Benefit, conditions: Conditions) -> dict[str, str]:
    """Every field that is wrong, relative to the promotion, and what to do about it."""
    faults = dict(_benefit(benefit))
    for index, requirement in enumerate(conditions.requirements):
        faults |= dict(_requirement(f"conditions.requirements[{index}]", requirement))
    return faults


def products_of(benefit: Benefit | None, conditions: Conditions) -> dict[str, str]:
    """The products that it is about, by their ids, each with the field that names it first."""
    named: dict[str, str] = {}
    for where, matching in _matchings(benefit, conditions):
        for product in sorted(matching.products):
            named.setdefault(product, f"{where}.product_ids")
    if isinstance(benefit, Gift) and benefit.product:
        named.setdefault(benefit.product, "benefit.gift.product_id")
    return named


def _matchings(benefit: Benefit | None, conditions: Conditions) -> Iterator[tuple[str, Matching]]:
    match benefit:
        case PercentOff(target=target):
            yield "benefit.percent_off.target", target
        case AmountOff(target=target):
            yield "benefit.amount_off.target", target
        case FixedPrice(target=target):
            yield "benefit.fixed_price.target", target
        case Graduated(target=target):
            yield "benefit.graduated.target", target
        case Tiered(matching=matching, tiers=tiers):
            yield "benefit.tiered.matching", matching
            for index, tier in enumerate(tiers):
                for where, target in _matchings(tier.benefit, Conditions()):
                    yield where.replace("benefit", f"benefit.tiered.tiers[{index}]"), target
        case BuyGet(buy=buy, get=get):
            yield "benefit.buy_get.buy", buy
            yield "benefit.buy_get.get", get
        case BundlePrice(components=components):
            for index, component in enumerate(components):
                yield f"benefit.bundle_price.components[{index}].matching", component.matching
    for index, requirement in enumerate(conditions.requirements):
        yield f"conditions.requirements[{index}].matching", requirement.matching


def _benefit(benefit: Benefit) -> Iterator[_Fault]:
    match benefit:
        case PercentOff() | AmountOff() | FixedPrice():
            yield from _simple("benefit", benefit)
        case Tiered():
            yield from _tiered(benefit)
        case Graduated():
            yield from _graduated(benefit)
        case BuyGet():
            yield from _buy_get(benefit)
        case BundlePrice():
            yield from _bundle(benefit)
        case Gift():
            yield from _gift(benefit)
        case FreeShipping(percent=percent):
            yield from _percent("benefit.free_shipping.percent", percent)


def _simple(where: str, benefit: Simple) -> Iterator[_Fault]:
    match benefit:
        case PercentOff():
            where = f"{where}.percent_off"
            yield from _percent(f"{where}.percent", benefit.percent)
            if benefit.per not in (Per.UNIT, Per.DOCUMENT):
                yield f"{where}.per", "A percentage comes off units or off the document."
            yield from _reach(where, benefit.reach, of_units=benefit.per is Per.UNIT)
        case AmountOff():
            where = f"{where}.amount_off"
            yield from _above_zero(f"{where}.amount", benefit.amount, _AMOUNT)
            if (benefit.per is Per.GROUP) != (benefit.group_size > 1):
                yield f"{where}.group_size", "A group has two units or more, and GROUP alone has groups."
            if benefit.max_groups is not None and benefit.per is not Per.GROUP:
                yield f"{where}.max_groups", "GROUP alone has groups."
            yield from _reach(where, benefit.reach, of_units=benefit.per is Per.UNIT)
        case FixedPrice():
            where = f"{where}.fixed_price"
            yield from _above_zero(f"{where}.price", benefit.price, _PRICE)
            yield from _reach(where, benefit.reach, of_units=True)


def _reach(where: str, reach: Reach, *, of_units: bool) -> Iterator[_Fault]:
    if reach.is_limited and not of_units:
        yield f"{where}.reach", "Only what comes off units can be limited to some of them."


def _tiered(tiered: Tiered) -> Iterator[_Fault]:
    where = "benefit.tiered.tiers"
    if not tiered.tiers:
        yield where, "It takes a tier or more."
    for index, tier in enumerate(tiered.tiers):
        if index and tier.least <= tiered.tiers[index - 1].least:
            yield f"{where}[{index}].least", "Each tier begins above the one before it."
        yield from _simple(f"{where}[{index}]", tier.benefit)


def _graduated(graduated: Graduated) -> Iterator[_Fault]:
    where = "benefit.graduated.steps"
    if not graduated.steps:
        yield where, "It takes a step or more."
    for index, step in enumerate(graduated.steps):
        if step.from_unit < 1 or (index and step.from_unit <= graduated.steps[index - 1].from_unit):
            yield (
                f"{where}[{index}].from_unit",
                "Units count from 1, and each step begins after the one before it.",
            )
        if step.amount <= 0 and len(graduated.steps) == 1:
            yield f"{where}[{index}].amount", _AMOUNT


def _buy_get(deal: BuyGet) -> Iterator[_Fault]:
    where = "benefit.buy_get"
    if deal.buy_quantity < 1:
        yield f"{where}.buy_quantity", _COUNT
    if deal.get_quantity < 1:
        yield f"{where}.get_quantity", _COUNT
    yield from _percent(f"{where}.percent", deal.percent)


def _bundle(bundle: BundlePrice) -> Iterator[_Fault]:
    where = "benefit.bundle_price"
    yield from _above_zero(f"{where}.price", bundle.price, _PRICE)
    for index, component in enumerate(bundle.components):
        if component.quantity < 1:
            yield f"{where}.components[{index}].quantity", _COUNT
    if sum(component.quantity for component in bundle.components) < 2:
        yield f"{where}.components", "A bundle has two units or more."


def _gift(gift: Gift) -> Iterator[_Fault]:
    if not gift.product:
        yield "benefit.gift.product_id", "Say which product is given."
    yield from _above_zero("benefit.gift.quantity", gift.quantity, _COUNT)
    if gift.quantity > _MOST_GIFTS or max(gift.unit_value, gift.unit_cost) > _MOST_WORTH:
        yield (
            "benefit.gift.quantity",
            f"At most {_MOST_GIFTS} are given, each worth {_MOST_WORTH} at the most.",
        )


def _requirement(where: str, requirement: Requirement) -> Iterator[_Fault]:
    if requirement.min_quantity <= 0 and requirement.min_spend <= 0:
        yield where, "A requirement asks for a quantity or for spend."


def _percent(where: str, percent: Decimal) -> Iterator[_Fault]:
    if not 0 < percent <= 100:
        yield where, _PERCENT


def _above_zero(where: str, amount: Decimal, sentence: str) -> Iterator[_Fault]:
    if amount <= 0:
        yield where, sentence
