"""What a promotion gives and asks for, to and from the protos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Final, TypeVar

from sfa.quotes.v1 import promotions_pb2 as pb

from chassis.convert import decimal_text
from services.quotes.pricing import model

_E = TypeVar("_E", bound=Enum)

PERS: Final = {each: pb.AmountOff.Per.Value(each.name) for each in model.Per}
_MEASURES: Final = {each: pb.Tiered.Measure.Value(each.name) for each in model.Measure}
_FREES: Final = {each: pb.BuyGet.Free.Value(each.name) for each in model.Free}


def member(by_member: Mapping[_E, int], number: int, otherwise: _E) -> _E:
    """The enum member behind a number; `otherwise` where nothing is said."""
    return next((each for each, known in by_member.items() if known == number), otherwise)


def decimal(text: str, otherwise: Decimal = Decimal(0)) -> Decimal:
    """A number that was validated as one; `otherwise` where nothing is said."""
    return Decimal(text) if text else otherwise


def text_of(number: Decimal) -> str:
    """A number; nothing for zero, which is what nothing is read as."""
    return decimal_text(number) if number else ""


# Domain to proto


def benefit_to_proto(benefit: model.Benefit | None) -> pb.Benefit | None:
    """What a promotion gives."""
    match benefit:
        case model.PercentOff():
            return pb.Benefit(percent_off=_percent_off(benefit))
        case model.AmountOff():
            return pb.Benefit(amount_off=_amount_off(benefit))
        case model.FixedPrice():
            return pb.Benefit(fixed_price=_fixed_price(benefit))
        case model.Tiered():
            return pb.Benefit(tiered=_tiered(benefit))
        case model.Graduated():
            return pb.Benefit(
                graduated=pb.Graduated(
                    steps=[
                        pb.Graduated.Step(from_unit=step.from_unit, amount=text_of(step.amount))
                        for step in benefit.steps
                    ],
                    target=matching_to_proto(benefit.target),
                    max_units_per_line=benefit.max_units_per_line or 0,
                )
            )
        case model.BuyGet():
            return pb.Benefit(
                buy_get=pb.BuyGet(
                    buy=matching_to_proto(benefit.buy),
                    buy_quantity=benefit.buy_quantity,
                    get=matching_to_proto(benefit.get),
                    get_quantity=benefit.get_quantity,
                    percent=text_of(benefit.percent),
                    free=_FREES[benefit.free],
                    max_repeats=benefit.max_repeats or 0,
                )
            )
        case model.BundlePrice():
            return pb.Benefit(
                bundle_price=pb.BundlePrice(
                    components=[
                        pb.BundlePrice.Component(
                            matching=matching_to_proto(each.matching), quantity=each.quantity
                        )
                        for each in benefit.components
                    ],
                    price=text_of(benefit.price),
                    max_repeats=benefit.max_repeats or 0,
                )
            )
        case model.Gift():
            return pb.Benefit(
                gift=pb.Gift(
                    product_id=benefit.product,
                    quantity=text_of(benefit.quantity),
                    unit_value=text_of(benefit.unit_value),
                    unit_cost=text_of(benefit.unit_cost),
                    description=benefit.description,
                )
            )
        case model.FreeShipping(percent=percent):
            return pb.Benefit(free_shipping=pb.FreeShipping(percent=text_of(percent)))
        case None:
            return None


def matching_to_proto(matching: model.Matching) -> pb.Matching | None:
    """Which lines; nothing for every line."""
    if matching == model.EVERYTHING:
        return None
    return pb.Matching(
        product_ids=sorted(matching.products),
        families=sorted(matching.families),
        excluded_product_ids=sorted(matching.excluded_products),
        excluded_families=sorted(matching.excluded_families),
    )


def conditions_to_proto(conditions: model.Conditions) -> pb.Conditions | None:
    """For whom and what; nothing where nothing is asked for."""
    if conditions == model.Conditions():
        return None
    return pb.Conditions(
        requirements=[
            pb.Conditions.Requirement(
                matching=matching_to_proto(each.matching),
                min_quantity=text_of(each.min_quantity),
                min_spend=text_of(each.min_spend),
            )
            for each in conditions.requirements
        ],
        account_ids=sorted(conditions.customers),
        segments=sorted(conditions.segments),
        territories=sorted(conditions.territories),
        channels=sorted(conditions.channels),
        rep_ids=sorted(conditions.reps),
        currencies=sorted(conditions.currencies),
        weekdays=sorted(conditions.weekdays),  # ISO's numbers are DayOfWeek's
        first_order=conditions.first_order,
    )


def _percent_off(benefit: model.PercentOff) -> pb.PercentOff:
    return pb.PercentOff(
        percent=text_of(benefit.percent),
        target=matching_to_proto(benefit.target),
        reach=_reach(benefit.reach),
        per=PERS[benefit.per],
    )


def _amount_off(benefit: model.AmountOff) -> pb.AmountOff:
    return pb.AmountOff(
        amount=text_of(benefit.amount),
        per=PERS[benefit.per],
        target=matching_to_proto(benefit.target),
        reach=_reach(benefit.reach),
        group_size=benefit.group_size if benefit.per is model.Per.GROUP else 0,
        max_groups=benefit.max_groups or 0,
    )


def _fixed_price(benefit: model.FixedPrice) -> pb.FixedPrice:
    return pb.FixedPrice(
        price=text_of(benefit.price), target=matching_to_proto(benefit.target), reach=_reach(benefit.reach)
    )


def _tiered(benefit: model.Tiered) -> pb.Tiered:
    tiered = pb.Tiered(measure=_MEASURES[benefit.measure], matching=matching_to_proto(benefit.matching))
    for tier in benefit.tiers:
        said = tiered.tiers.add(least=text_of(tier.least))
        match tier.benefit:
            case model.PercentOff():
                said.percent_off.CopyFrom(_percent_off(tier.benefit))
            case model.AmountOff():
                said.amount_off.CopyFrom(_amount_off(tier.benefit))
            case model.FixedPrice():
                said.fixed_price.CopyFrom(_fixed_price(tier.benefit))
    return tiered


def _reach(reach: model.Reach) -> pb.Reach | None:
    if not reach.is_limited:
        return None
    return pb.Reach(
        max_units=reach.max_units or 0,
        max_units_per_line=reach.max_units_per_line or 0,
        step=reach.step if reach.step > 1 else 0,
    )


# Proto to domain


def benefit_of(message: pb.Benefit) -> model.Benefit | None:
    """What a promotion gives; None where it is not said."""
    match message.WhichOneof("kind"):
        case "percent_off":
            return _percent_off_of(message.percent_off)
        case "amount_off":
            return _amount_off_of(message.amount_off)
        case "fixed_price":
            return _fixed_price_of(message.fixed_price)
        case "tiered":
            return _tiered_of(message.tiered)
        case "graduated":
            return model.Graduated(
                steps=tuple(
                    model.Step(step.from_unit, decimal(step.amount)) for step in message.graduated.steps
                ),
                target=matching_of(message.graduated.target),
                max_units_per_line=message.graduated.max_units_per_line or None,
            )
        case "buy_get":
            deal = message.buy_get
            return model.BuyGet(
                buy=matching_of(deal.buy),
                buy_quantity=deal.buy_quantity,
                get=matching_of(deal.get),
                get_quantity=deal.get_quantity,
                percent=decimal(deal.percent, Decimal(100)),
                free=member(_FREES, deal.free, model.Free.CHEAPEST),
                max_repeats=deal.max_repeats or None,
            )
        case "bundle_price":
            bundle = message.bundle_price
            return model.BundlePrice(
                components=tuple(
                    model.Component(matching_of(each.matching), each.quantity) for each in bundle.components
                ),
                price=decimal(bundle.price),
                max_repeats=bundle.max_repeats or None,
            )
        case "gift":
            gift = message.gift
            return model.Gift(
                product=gift.product_id.lower(),
                quantity=decimal(gift.quantity, Decimal(1)),
                unit_value=decimal(gift.unit_value),
                unit_cost=decimal(gift.unit_cost),
                description=gift.description,
            )
        case "free_shipping":
            return model.FreeShipping(percent=decimal(message.free_shipping.percent, Decimal(100)))
    return None


def matching_of(message: pb.Matching) -> model.Matching:
    """Which lines."""
    return model.Matching(
        products=_ids(message.product_ids),
        families=frozenset(message.families),
        excluded_products=_ids(message.excluded_product_ids),
        excluded_families=frozenset(message.excluded_families),
    )


def conditions_of(message: pb.Conditions) -> model.Conditions:
    """For whom and what."""
    return model.Conditions(
        requirements=tuple(
            model.Requirement(matching_of(each.matching), decimal(each.min_quantity), decimal(each.min_spend))
            for each in message.requirements
        ),
        customers=_ids(message.account_ids),
        segments=frozenset(message.segments),
        territories=frozenset(message.territories),
        channels=frozenset(message.channels),
        reps=_ids(message.rep_ids),
        currencies=frozenset(message.currencies),
        weekdays=frozenset(int(day) for day in message.weekdays),
        first_order=message.first_order,
    )


def _ids(values: Iterable[str]) -> frozenset[str]:
    return frozenset(value.lower() for value in values)


def _percent_off_of(message: pb.PercentOff) -> model.PercentOff:
    return model.PercentOff(
        percent=decimal(message.percent),
        target=matching_of(message.target),
        reach=_reach_of(message.reach),
        per=member(PERS, message.per, model.Per.UNIT),
    )


def _amount_off_of(message: pb.AmountOff) -> model.AmountOff:
    return model.AmountOff(
        amount=decimal(message.amount),
        per=member(PERS, message.per, model.Per.UNIT),
        target=matching_of(message.target),
        reach=_reach_of(message.reach),
        group_size=message.group_size or 1,
        max_groups=message.max_groups or None,
    )


def _fixed_price_of(message: pb.FixedPrice) -> model.FixedPrice:
    return model.FixedPrice(
        price=decimal(message.price), target=matching_of(message.target), reach=_reach_of(message.reach)
    )


def _tiered_of(message: pb.Tiered) -> model.Tiered:
    return model.Tiered(
        tiers=tuple(model.Tier(decimal(tier.least), _simple_of(tier)) for tier in message.tiers),
        measure=member(_MEASURES, message.measure, model.Measure.SPEND),
        matching=matching_of(message.matching),
    )


def _simple_of(tier: pb.Tiered.Tier) -> model.Simple:
    match tier.WhichOneof("benefit"):
        case "amount_off":
            return _amount_off_of(tier.amount_off)
        case "fixed_price":
            return _fixed_price_of(tier.fixed_price)
    return _percent_off_of(tier.percent_off)  # where nothing is said, its percentage is refused


def _reach_of(message: pb.Reach) -> model.Reach:
    return model.Reach(
        max_units=message.max_units or None,
        max_units_per_line=message.max_units_per_line or None,
        step=message.step or 1,
    )
