"""By which rules promotions add up, to and from the protos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from sfa.quotes.v1 import pricing_pb2 as pb

from chassis import convert
from services.quotes.domain.pricing_settings import STANDARD, PricingSettings
from services.quotes.pricing import model
from services.quotes.wire.benefits import decimal, member, text_of

_POLICIES: Final = {each: pb.PricingSettings.Policy.Value(each.name) for each in model.Policy}
_COMBINES: Final = {each: pb.PricingSettings.Combine.Value(each.name) for each in model.Combine}
_REMAINDERS: Final = {each: pb.PricingSettings.Remainder.Value(each.name) for each in model.Remainder}
_GROUPINGS: Final = {each: pb.PricingSettings.Grouping.Value(each.name) for each in model.UnitOrder}
_ROUNDINGS: Final = {each: pb.PricingSettings.Rounding.Value(each.name) for each in model.Rounding}
_ROUND_ATS: Final = {each: pb.PricingSettings.RoundAt.Value(each.name) for each in model.RoundAt}


def settings_to_proto(settings: PricingSettings) -> pb.PricingSettings:
    """The resource."""
    result = pb.PricingSettings(
        etag=str(settings.version),
        policy=_POLICIES[settings.policy],
        within_percent=text_of(settings.within_percent),
        combine=_COMBINES[settings.combine],
        remainder=_REMAINDERS[settings.remainder],
        grouping=_GROUPINGS[settings.grouping],
        rounding=_ROUNDINGS[settings.rounding],
        round_at=_ROUND_ATS[settings.round_at],
        record_zero_effect=settings.record_zero_effect,
        allows_zero_prices=settings.allows_zero_prices,
        budget_ms=settings.budget_ms,
        line_margin_floor=_floor(settings.line_margin_floor),
        document_margin_floor=_floor(settings.document_margin_floor),
    )
    if settings.updated_at is not None:
        convert.set_timestamp(result.update_time, settings.updated_at)
    return result


def _floor(percent: Decimal | None) -> str:
    return "" if percent is None else convert.decimal_text(percent)


def _floor_of(text: str) -> Decimal | None:
    return Decimal(text) if text else None


# How each field that a client may set is read; the names are those of the update mask.
FIELDS: Mapping[str, Callable[[pb.PricingSettings], Any]] = {
    "policy": lambda message: member(_POLICIES, message.policy, STANDARD.policy),
    "within_percent": lambda message: decimal(message.within_percent),
    "combine": lambda message: member(_COMBINES, message.combine, STANDARD.combine),
    "remainder": lambda message: member(_REMAINDERS, message.remainder, STANDARD.remainder),
    "grouping": lambda message: member(_GROUPINGS, message.grouping, STANDARD.grouping),
    "rounding": lambda message: member(_ROUNDINGS, message.rounding, STANDARD.rounding),
    "round_at": lambda message: member(_ROUND_ATS, message.round_at, STANDARD.round_at),
    "record_zero_effect": lambda message: message.record_zero_effect,
    "allows_zero_prices": lambda message: message.allows_zero_prices,
    "budget_ms": lambda message: message.budget_ms or STANDARD.budget_ms,
    "line_margin_floor": lambda message: _floor_of(message.line_margin_floor),
    "document_margin_floor": lambda message: _floor_of(message.document_margin_floor),
}
