"""Promotions, to and from the protos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sfa.quotes.v1 import promotions_pb2 as pb

from chassis import convert
from chassis.history import Version
from services.quotes.domain.promotions import Funding, Limits, Promotion, PromotionState, StackingRule
from services.quotes.pricing import model
from services.quotes.wire import benefits
from services.quotes.wire.benefits import decimal, member, text_of

_STATES: Final = {state: pb.Promotion.State.Value(state.name) for state in PromotionState}
_MODES: Final = {
    model.Stacking.ANY: pb.Stacking.ANY_OTHER,
    model.Stacking.EXCLUSIVE: pb.Stacking.EXCLUSIVE,
    model.Stacking.EXCLUSIVE_IN_GROUP: pb.Stacking.EXCLUSIVE_IN_GROUP,
    model.Stacking.ONLY_WITH: pb.Stacking.ONLY_WITH,
}
_USES_UP: Final = {
    None: pb.Stacking.USES_UP_UNSPECIFIED,
    model.UsesUp.NOTHING: pb.Stacking.NOTHING,
    model.UsesUp.REWARDED: pb.Stacking.REWARDED,
    model.UsesUp.ALL: pb.Stacking.ALL_UNITS,
}
_USES_UP_OF: Final = {number: each for each, number in _USES_UP.items()}


def promotion_to_proto(promotion: Promotion) -> pb.Promotion:
    """The resource."""
    result = pb.Promotion(
        code=promotion.code,
        name=promotion.name,
        description=promotion.description,
        state=_STATES[promotion.state],
        priority=promotion.priority,
        phase=promotion.phase,
        currency=promotion.currency,
        needs_coupon=promotion.needs_coupon,
        benefit=benefits.benefit_to_proto(promotion.benefit),
        conditions=benefits.conditions_to_proto(promotion.conditions),
        stacking=_stacking(promotion.stacking),
        limits=_limits(promotion.limits),
        funding=_funding(promotion.funding),
    )
    convert.set_head(result, promotion)
    if promotion.valid_from is not None:
        convert.set_date(result.valid_from, promotion.valid_from)
    if promotion.valid_to is not None:
        convert.set_date(result.valid_to, promotion.valid_to)
    if promotion.activated_at is not None:
        convert.set_timestamp(result.activate_time, promotion.activated_at)
    if promotion.ended_at is not None:
        convert.set_timestamp(result.end_time, promotion.ended_at)
    return result


def _stacking(rule: StackingRule) -> pb.Stacking | None:
    if rule == StackingRule():
        return None
    return pb.Stacking(
        mode=_MODES[rule.mode],
        group=rule.group,
        combinable_with=sorted(rule.combinable_with),
        uses_up=_USES_UP[rule.uses_up],
        truncatable=rule.truncatable,
    )


def _limits(limits: Limits) -> pb.Limits | None:
    if limits == Limits():
        return None
    return pb.Limits(
        max_redemptions=limits.max_redemptions or 0,
        max_redemptions_per_account=limits.max_redemptions_per_account or 0,
        budget=text_of(limits.budget or Decimal(0)),
        max_discount=text_of(limits.max_discount or Decimal(0)),
    )


def _funding(funding: Funding) -> pb.Funding | None:
    if funding == Funding():
        return None
    return pb.Funding(
        supplier=funding.supplier,
        supplier_account_id=str(funding.supplier_account_id or ""),
        percent=text_of(funding.percent),
    )


def _stacking_of(message: pb.Stacking) -> StackingRule:
    return StackingRule(
        mode=member(_MODES, message.mode, model.Stacking.ANY),
        group=message.group,
        combinable_with=frozenset(message.combinable_with),
        uses_up=_USES_UP_OF[message.uses_up],
        truncatable=message.truncatable,
    )


def _limits_of(message: pb.Limits) -> Limits:
    return Limits(
        max_redemptions=message.max_redemptions or None,
        max_redemptions_per_account=message.max_redemptions_per_account or None,
        budget=decimal(message.budget) or None,
        max_discount=decimal(message.max_discount) or None,
    )


def _funding_of(message: pb.Funding) -> Funding:
    return Funding(message.supplier, convert.uuid_of(message.supplier_account_id), decimal(message.percent))


# How each field that a client may set is read; the names are those of the update mask.
FIELDS: Mapping[str, Callable[[pb.Promotion], Any]] = {
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "code": lambda message: message.code,
    "name": lambda message: message.name,
    "description": lambda message: message.description,
    "priority": lambda message: message.priority,
    "phase": lambda message: message.phase,
    "currency": lambda message: message.currency,
    "valid_from": lambda message: (
        convert.date_of(message.valid_from, "promotion.valid_from")
        if message.HasField("valid_from")
        else None
    ),
    "valid_to": lambda message: (
        convert.date_of(message.valid_to, "promotion.valid_to") if message.HasField("valid_to") else None
    ),
    "needs_coupon": lambda message: message.needs_coupon,
    "benefit": lambda message: benefits.benefit_of(message.benefit),
    "conditions": lambda message: benefits.conditions_of(message.conditions),
    "stacking": lambda message: _stacking_of(message.stacking),
    "limits": lambda message: _limits_of(message.limits),
    "funding": lambda message: _funding_of(message.funding),
}


def products_of(message: pb.Promotion) -> frozenset[UUID]:
    """The products that a promotion as it is asked for is about."""
    return Promotion(
        benefit=benefits.benefit_of(message.benefit), conditions=benefits.conditions_of(message.conditions)
    ).products


def version_to_proto(version: Version) -> pb.PromotionVersion:
    """One version."""
    assert isinstance(version.resource, pb.Promotion)
    return pb.PromotionVersion(
        promotion=version.resource,
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )
