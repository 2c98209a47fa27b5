"""Coupons, redemptions and usage, to and from the protos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from sfa.quotes.v1 import promotions_pb2 as pb

from chassis import convert
from chassis.money import Money
from services.quotes.domain.coupons import Coupon, CouponBatch
from services.quotes.domain.promotions import Promotion
from services.quotes.domain.redemptions import Redemption, RedemptionState, Usage

_STATES: Final = {state: pb.Redemption.State.Value(state.name) for state in RedemptionState}


def batch_to_proto(batch: CouponBatch) -> pb.CouponBatch:
    """The resource."""
    result = pb.CouponBatch(
        promotion_id=str(batch.promotion_id),
        name=batch.name,
        prefix=batch.prefix,
        count=batch.count,
        max_redemptions=batch.max_redemptions or 0,
        is_enabled=batch.is_enabled,
    )
    convert.set_head(result, batch)
    if batch.valid_from is not None:
        convert.set_date(result.valid_from, batch.valid_from)
    if batch.valid_to is not None:
        convert.set_date(result.valid_to, batch.valid_to)
    return result


# How each field of a new batch is read; its codes are read by the servicer.
BATCH_FIELDS: Mapping[str, Callable[[pb.CouponBatch], Any]] = {
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "name": lambda message: message.name,
    "prefix": lambda message: message.prefix,
    "max_redemptions": lambda message: message.max_redemptions or None,
    "valid_from": lambda message: (
        convert.date_of(message.valid_from, "coupon_batch.valid_from")
        if message.HasField("valid_from")
        else None
    ),
    "valid_to": lambda message: (
        convert.date_of(message.valid_to, "coupon_batch.valid_to") if message.HasField("valid_to") else None
    ),
}


def coupon_to_proto(coupon: Coupon) -> pb.Coupon:
    """The resource."""
    result = pb.Coupon(
        code=coupon.code,
        batch_id=str(coupon.batch_id),
        promotion_id=str(coupon.promotion_id),
        is_enabled=coupon.is_enabled,
    )
    convert.set_head(result, coupon)
    return result


def redemption_to_proto(redemption: Redemption) -> pb.Redemption:
    """The resource as it stands; a reservation that is past its time says so only when it is read."""
    result = pb.Redemption(
        promotion_id=str(redemption.promotion_id),
        promotion_code=redemption.promotion_code,
        quote_id=str(redemption.quote_id),
        account_id=str(redemption.account_id or ""),
        owner_id=str(redemption.owner_id),
        coupon_id=str(redemption.coupon_id or ""),
        coupon_code=redemption.coupon_code,
        count=redemption.count,
        state=_STATES[redemption.state],
    )
    convert.set_head(result, redemption)
    convert.set_money(result.discount, redemption.discount)
    convert.set_timestamp(result.expire_time, redemption.expires_at)
    if redemption.consumed_at is not None:
        convert.set_timestamp(result.consume_time, redemption.consumed_at)
    if redemption.released_at is not None:
        convert.set_timestamp(result.release_time, redemption.released_at)
    return result


def redemption_read(redemption: Redemption, now: datetime) -> pb.Redemption:
    """The resource as it is read at an instant."""
    result = redemption_to_proto(redemption)
    if redemption.is_past(now):
        result.state = pb.Redemption.EXPIRED
    return result


def usage_to_proto(promotion: Promotion, usage: Usage) -> pb.PromotionUsage:
    """What was redeemed of a promotion, and what is left."""
    left = usage.left_of(promotion.limits.in_all)
    result = pb.PromotionUsage(
        id=str(promotion.id), consumed_count=usage.consumed_count, reserved_count=usage.reserved_count
    )
    if left.count is not None:
        result.remaining_count = left.count
    if promotion.currency:
        convert.set_money(result.consumed_amount, Money(usage.consumed_amount, promotion.currency))
        convert.set_money(result.reserved_amount, Money(usage.reserved_amount, promotion.currency))
        if left.amount is not None:
            convert.set_money(result.remaining_budget, Money(left.amount, promotion.currency))
    return result
