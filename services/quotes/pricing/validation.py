"""Promotions that cannot mean what they say are refused when they are written, never when a quote is priced."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from chassis.errors import InvalidArgument
from services.quotes.pricing.model import (
    AmountOff,
    Benefit,
    BundlePrice,
    BuyGet,
    Conditions,
    Document,
    FixedPrice,
    FreeShipping,
    Gift,
    Graduated,
    Per,
    PercentOff,
    Promotion,
    Reach,
    Stacking,
    Tiered,
    UsesUp,
)

MAX_PERCENT_DIGITS = 4
MAX_COMPONENTS = 8
MAX_TIERS = 50
MAX_PHASE = 100
_HUNDRED = Decimal(100)


class PercentOutOfRange(InvalidArgument):
    """A percentage that takes nothing, or more than there is."""

    def __init__(self, field: str, *, zero: bool = False) -> None:
        least = "0 or more" if zero else "above 0"
        super().__init__(
            f"A percentage is {least}, at most 100, with at most {MAX_PERCENT_DIGITS} digits.", field=field
        )


class AmountNotPositive(InvalidArgument):
    """An amount or price that is zero or less."""

    def __init__(self, field: str) -> None:
        super().__init__("An amount must be above zero.", field=field)


class NegativeValue(InvalidArgument):
    """A value that may be zero, but not less."""

    def __init__(self, field: str) -> None:
        super().__init__("This must not be below zero.", field=field)


class CurrencyMissing(InvalidArgument):
    """An amount without saying of which currency."""

    def __init__(self) -> None:
        super().__init__(
            "A promotion that states amounts holds for exactly one currency: name it.",
            field="conditions.currencies",
        )


class QuantityNotPositive(InvalidArgument):
    """A quantity of nothing."""

    def __init__(self, field: str) -> None:
        super().__init__("A quantity must be above zero, and whole where units are counted.", field=field)


class TiersNotAscending(InvalidArgument):
    """Tiers or steps that are missing, repeated or out of order."""

    def __init__(self, field: str) -> None:
        super().__init__(f"Give 1 to {MAX_TIERS} tiers, each starting above the one before.", field=field)


class TiersOverlap(InvalidArgument):
    """Tiers whose benefits work on different things."""

    def __init__(self) -> None:
        super().__init__("A tier's benefit has no limited reach and no groups.", field="benefit.tiers")


class BundleTooSmall(InvalidArgument):
    """A bundle of one unit, or of too many parts."""

    def __init__(self) -> None:
        super().__init__(
            f"A bundle has two units or more, in at most {MAX_COMPONENTS} parts.", field="benefit.components"
        )


class ReachNotAllowed(InvalidArgument):
    """A limit on units where the benefit does not work on units."""

    def __init__(self) -> None:
        super().__init__("Only benefits on units can be limited in units.", field="benefit.reach")


class PerNotAllowed(InvalidArgument):
    """A percentage off something that percentages cannot be taken off."""

    def __init__(self) -> None:
        super().__init__("A percentage is off units or off the document.", field="benefit.per")


class StackingIncomplete(InvalidArgument):
    """A way of stacking that lacks its group or its set."""

    def __init__(self, field: str) -> None:
        super().__init__("Say which group it is exclusive in, or what it can be combined with.", field=field)


class UnitsNotUsedUp(InvalidArgument):
    """A promotion for some units that leaves them to others like it."""

    def __init__(self) -> None:
        super().__init__(
            "A promotion in groups or with a limited reach uses up at least the units it rewards.",
            field="uses_up",
        )


class DatesReversed(InvalidArgument):
    """A promotion that ends before it starts."""

    def __init__(self) -> None:
        super().__init__("The last day must not be before the first.", field="conditions.ends_on")


class UnknownWeekday(InvalidArgument):
    """A weekday that there is not."""

    def __init__(self) -> None:
        super().__init__("Weekdays are 1 (Monday) to 7 (Sunday).", field="conditions.weekdays")


class PhaseOutOfRange(InvalidArgument):
    """A phase too far out."""

    def __init__(self) -> None:
        super().__init__(f"A phase is from -{MAX_PHASE} to {MAX_PHASE}.", field="phase")


class CodeMissing(InvalidArgument):
    """A promotion without a code, or one that others have too."""

    def __init__(self) -> None:
        super().__init__("Every promotion has a code of its own.", field="code")


class KeysRepeated(InvalidArgument):
    """Lines or charges that cannot be told apart."""

    def __init__(self) -> None:
        super().__init__("Every line and every charge has a key of its own.", field="lines")


def check(promotion: Promotion) -> None:
    """Refuse a definition that cannot be meant.

    Raises:
        InvalidArgument: one of the refusals of this module, with the field in the model's terms.
    """
    if not promotion.code:
        raise CodeMissing
    if not -MAX_PHASE <= promotion.phase <= MAX_PHASE:
        raise PhaseOutOfRange
    _benefit(promotion.benefit, "benefit")
    _conditions(promotion.conditions)
    _stacking(promotion)
    for name in ("max_discount", "remaining_budget", "remaining_redemptions", "remaining_for_customer"):
        value = getattr(promotion, name)
        if value is not None and value < 0:
            raise NegativeValue(name)
    _percent(promotion.funding_percent, "funding_percent", zero=True)
    states_amounts = promotion.max_discount is not None or promotion.remaining_budget is not None
    if (states_amounts or _has_amounts(promotion)) and len(promotion.conditions.currencies) != 1:
        raise CurrencyMissing


def check_document(document: Document, promotions: Iterable[Promotion] = ()) -> None:
    """Refuse a document that cannot be priced.

    Raises:
        KeysRepeated, CodeMissing, NegativeValue, QuantityNotPositive, PercentOutOfRange.
    """
    keys = [line.key for line in document.lines] + [charge.key for charge in document.charges]
    if len(set(keys)) < len(keys):
        raise KeysRepeated
    codes = [promotion.code for promotion in promotions]
    if len(set(codes)) < len(codes):
        raise CodeMissing
    for index, line in enumerate(document.lines):
        path = f"lines[{index}]"
        if line.quantity <= 0:
            raise QuantityNotPositive(f"{path}.quantity")
        for name in ("unit_price", "list_price", "cost", "price_floor", "tax_rate"):
            value = getattr(line, name)
            if value is not None and value < 0:
                raise NegativeValue(f"{path}.{name}")
        _percent(line.manual.percent, f"{path}.manual.percent", zero=True)
        if line.manual.amount < 0:
            raise NegativeValue(f"{path}.manual.amount")
    for index, charge in enumerate(document.charges):
        if charge.amount < 0 or charge.tax_rate < 0:
            raise NegativeValue(f"charges[{index}]")
    _percent(document.manual.percent, "manual.percent", zero=True)
    if document.manual.amount < 0:
        raise NegativeValue("manual.amount")


def _percent(percent: Decimal, field: str, *, zero: bool = False) -> None:
    too_small = percent < 0 or (not zero and percent == 0)
    if too_small or percent > _HUNDRED or percent != round(percent, MAX_PERCENT_DIGITS):
        raise PercentOutOfRange(field, zero=zero)


def _positive(amount: Decimal, field: str) -> None:
    if amount <= 0:
        raise AmountNotPositive(field)


def _count(number: int | Decimal | None, field: str) -> None:
    if number is not None and number < 1:
        raise QuantityNotPositive(field)


def _benefit(benefit: Benefit, path: str) -> None:
    match benefit:
        case PercentOff(percent=percent, per=per, reach=reach):
            _percent(percent, f"{path}.percent")
            if per not in (Per.UNIT, Per.DOCUMENT):
                raise PerNotAllowed
            _reach(reach, on_units=per is Per.UNIT)
        case AmountOff(amount=amount, per=per, reach=reach, group_size=size, max_groups=most):
            _positive(amount, f"{path}.amount")
            _reach(reach, on_units=per is Per.UNIT)
            _count(size, f"{path}.group_size")
            _count(most, f"{path}.max_groups")
        case FixedPrice(price=price, reach=reach):
            _positive(price, f"{path}.price")
            _reach(reach, on_units=True)
        case Tiered():
            _tiered(benefit, path)
        case Graduated(steps=steps, max_units_per_line=most):
            starts = [step.from_unit for step in steps]
            if not starts or len(starts) > MAX_TIERS or starts != sorted(set(starts)) or starts[0] < 1:
                raise TiersNotAscending(f"{path}.steps")
            for index, step in enumerate(steps):
                if step.amount < 0:
                    raise NegativeValue(f"{path}.steps[{index}].amount")
            _count(most, f"{path}.max_units_per_line")
        case BuyGet(buy_quantity=buy, get_quantity=get, percent=percent, max_repeats=most):
            _count(buy, f"{path}.buy_quantity")
            _count(get, f"{path}.get_quantity")
            _percent(percent, f"{path}.percent")
            _count(most, f"{path}.max_repeats")
        case BundlePrice(components=components, price=price, max_repeats=most):
            for index, component in enumerate(components):
                _count(component.quantity, f"{path}.components[{index}].quantity")
            if sum(component.quantity for component in components) < 2 or len(components) > MAX_COMPONENTS:
                raise BundleTooSmall
            _positive(price, f"{path}.price")
            _count(most, f"{path}.max_repeats")
        case Gift(quantity=quantity, unit_value=value, unit_cost=cost):
            if quantity <= 0:
                raise QuantityNotPositive(f"{path}.quantity")
            if value < 0 or cost < 0:
                raise NegativeValue(f"{path}.unit_value")
        case FreeShipping(percent=percent):
            _percent(percent, f"{path}.percent")


def _tiered(benefit: Tiered, path: str) -> None:
    starts = [tier.least for tier in benefit.tiers]
    if not starts or len(starts) > MAX_TIERS or starts != sorted(set(starts)) or starts[0] < 0:
        raise TiersNotAscending(f"{path}.tiers")
    for index, tier in enumerate(benefit.tiers):
        _benefit(tier.benefit, f"{path}.tiers[{index}].benefit")
        grouped = isinstance(tier.benefit, AmountOff) and tier.benefit.per is Per.GROUP
        if tier.benefit.reach.is_limited or grouped:
            raise TiersOverlap


def _reach(reach: Reach, *, on_units: bool) -> None:
    _count(reach.max_units, "benefit.reach.max_units")
    _count(reach.max_units_per_line, "benefit.reach.max_units_per_line")
    _count(reach.step, "benefit.reach.step")
    if reach.is_limited and not on_units:
        raise ReachNotAllowed


def _conditions(conditions: Conditions) -> None:
    if conditions.starts_on and conditions.ends_on and conditions.ends_on < conditions.starts_on:
        raise DatesReversed
    if not conditions.weekdays <= frozenset(range(1, 8)):
        raise UnknownWeekday
    for index, requirement in enumerate(conditions.requirements):
        if requirement.min_quantity < 0 or requirement.min_spend < 0:
            raise NegativeValue(f"conditions.requirements[{index}]")


def _stacking(promotion: Promotion) -> None:
    if promotion.stacking is Stacking.EXCLUSIVE_IN_GROUP and not promotion.stacking_group:
        raise StackingIncomplete("stacking_group")
    if promotion.stacking is Stacking.ONLY_WITH and not promotion.combinable_with:
        raise StackingIncomplete("combinable_with")
    benefit = promotion.benefit
    limited = isinstance(benefit, PercentOff | AmountOff | FixedPrice) and benefit.reach.is_limited
    grouped = isinstance(benefit, BuyGet | BundlePrice) or (
        isinstance(benefit, AmountOff) and benefit.per is Per.GROUP
    )
    if (limited or grouped) and promotion.uses_up is UsesUp.NOTHING:
        raise UnitsNotUsedUp


def _has_amounts(promotion: Promotion) -> bool:
    benefit = promotion.benefit
    if any(requirement.min_spend for requirement in promotion.conditions.requirements):
        return True
    if isinstance(benefit, Tiered):
        return benefit.measure.value == "spend" or any(
            isinstance(tier.benefit, AmountOff | FixedPrice) for tier in benefit.tiers
        )
    if isinstance(benefit, Gift):
        return bool(benefit.unit_value or benefit.unit_cost)
    return isinstance(benefit, AmountOff | FixedPrice | Graduated | BundlePrice)
