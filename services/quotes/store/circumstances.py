"""What a price depends on besides the promotions themselves, in one round trip: the tenant's epoch, what is
left of limits, what the coupons given open, and whether the customer has ordered before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import orjson
import sqlalchemy as sa

from chassis.call import Call
from chassis.database import Prepared
from services.quotes.domain.coupons import Coupon, CouponBatch
from services.quotes.domain.redemptions import IN_ALL, Usage

# Reservations that are past their time are taken off as they are read, whether or not anybody has let them go.
_PAST: Final = (
    "LATERAL (SELECT count(*) AS count, coalesce(sum(discount), 0) AS amount FROM redemptions"
    " WHERE redemptions.promotion_id = used.promotion_id AND state = 'reserved' AND is_counted"
    f" AND expires_at <= :now AND (used.scope_id = '{IN_ALL}' OR account_id = used.scope_id"
    " OR coupon_id = used.scope_id)) AS past"
)
_FACTS: Final = Prepared(
    sa.text(
        "SELECT (SELECT epoch FROM promotion_epochs) AS epoch,"
        " (SELECT jsonb_agg(jsonb_build_object('promotion_id', promotion_id, 'scope_id', scope_id,"
        " 'reserved_count', reserved_count - past.count,"
        " 'reserved_amount', CAST(reserved_amount - past.amount AS text),"
        " 'consumed_count', consumed_count, 'consumed_amount', CAST(consumed_amount AS text)))"
        f" FROM promotion_usage AS used, {_PAST}"
        " WHERE used.promotion_id = ANY(CAST(:limited AS uuid[]))"
        " AND used.scope_id = ANY(CAST(:scopes AS uuid[]))) AS usage,"
        " (SELECT jsonb_agg(jsonb_build_object('id', coupons.id, 'code', coupons.code,"
        " 'batch_id', coupons.batch_id, 'promotion_id', coupons.promotion_id,"
        " 'is_enabled', coupons.is_enabled AND batches.is_enabled, 'max_redemptions', batches.max_redemptions,"
        " 'valid_from', batches.valid_from, 'valid_to', batches.valid_to, 'used',"
        " coalesce((SELECT reserved_count + consumed_count - past.count FROM promotion_usage AS used,"
        f" {_PAST} WHERE used.promotion_id = coupons.promotion_id AND used.scope_id = coupons.id), 0)))"
        " FROM coupons JOIN coupon_batches AS batches ON batches.id = coupons.batch_id"
        " WHERE coupons.code = ANY(CAST(:codes AS text[])) AND coupons.deleted_at IS NULL) AS coupons,"
        " EXISTS (SELECT FROM orders WHERE account_id = CAST(:account AS uuid)"
        " AND orders.state NOT IN ('cancelled', 'rejected') AND orders.deleted_at IS NULL) AS has_ordered"
    )
)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What was found."""

    epoch: int
    usage: Mapping[tuple[UUID, UUID], Usage]
    """By promotion and scope."""
    coupons: Mapping[str, tuple[Coupon, CouponBatch, Usage]]
    """By code."""
    has_ordered: bool


async def circumstances(
    call: Call, limited: Sequence[UUID], account_id: UUID | None, codes: Sequence[str]
) -> Circumstances:
    """What the price of a customer's document depends on; `limited` are the promotions that have limits."""
    row = await call.tx.fetchrow(
        _FACTS,
        {
            "limited": list(limited),
            "scopes": [IN_ALL, *([account_id] if account_id is not None else [])],
            "codes": list(codes),
            "account": account_id,
            "now": call.now,
        },
    )
    assert row is not None
    usage = [_usage(item) for item in orjson.loads(row["usage"] or "[]")]
    coupons = [_coupon(item) for item in orjson.loads(row["coupons"] or "[]")]
    return Circumstances(
        epoch=row["epoch"] or 0,
        usage={(each.promotion_id, each.scope_id): each for each in usage},
        coupons={found[0].code: found for found in coupons},
        has_ordered=row["has_ordered"],
    )


def _usage(item: dict[str, Any]) -> Usage:
    return Usage(
        promotion_id=UUID(item["promotion_id"]),
        scope_id=UUID(item["scope_id"]),
        reserved_count=item["reserved_count"],
        reserved_amount=Decimal(item["reserved_amount"]),
        consumed_count=item["consumed_count"],
        consumed_amount=Decimal(item["consumed_amount"]),
    )


def _coupon(item: dict[str, Any]) -> tuple[Coupon, CouponBatch, Usage]:
    promotion_id = UUID(item["promotion_id"])
    coupon = Coupon(
        id=UUID(item["id"]),
        code=item["code"],
        batch_id=UUID(item["batch_id"]),
        promotion_id=promotion_id,
        is_enabled=item["is_enabled"],
    )
    batch = CouponBatch(
        id=coupon.batch_id,
        promotion_id=promotion_id,
        count=1,
        max_redemptions=item["max_redemptions"],
        valid_from=_day(item["valid_from"]),
        valid_to=_day(item["valid_to"]),
    )
    return coupon, batch, Usage(promotion_id, coupon.id, consumed_count=item["used"])


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
