"""Promotions, their coupons, what was redeemed, and by which rules promotions add up."""

from sfa.quotes.v1 import events_pb2
from sqlalchemy import BigInteger, Boolean, Column, Date, Integer, Numeric, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from chassis.columns import enumerated
from chassis.fields import Field
from chassis.schema import entity_table, timestamp_column
from chassis.store import EntityType
from services.quotes.domain.coupons import Coupon, CouponBatch, CouponCodeTaken
from services.quotes.domain.pricing_settings import PricingSettings
from services.quotes.domain.promotions import (
    Funding,
    Limits,
    Promotion,
    PromotionCodeTaken,
    PromotionState,
    StackingRule,
)
from services.quotes.domain.redemptions import Redemption, RedemptionState
from services.quotes.pricing import model
from services.quotes.tables.base import metadata
from services.quotes.tables.values import value
from services.quotes.wire import pricing_settings as settings_wire
from services.quotes.wire import promotions as wire
from services.quotes.wire import redemptions as redemptions_wire

promotions = entity_table(
    "promotions",
    metadata,
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("state", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("phase", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("valid_from", Date),
    Column("valid_to", Date),
    Column("needs_coupon", Boolean, nullable=False),
    Column("benefit", JSONB),
    Column("conditions", JSONB),
    Column("stacking", JSONB),
    Column("limits", JSONB),
    Column("funding", JSONB),
    timestamp_column("activated_at"),
    timestamp_column("ended_at"),
)

coupon_batches = entity_table(
    "coupon_batches",
    metadata,
    Column("promotion_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("max_redemptions", Integer),
    Column("valid_from", Date),
    Column("valid_to", Date),
    Column("is_enabled", Boolean, nullable=False),
)

coupons = entity_table(
    "coupons",
    metadata,
    Column("code", Text, nullable=False),
    Column("batch_id", Uuid, nullable=False),
    Column("promotion_id", Uuid, nullable=False),
    Column("is_enabled", Boolean, nullable=False),
)

redemptions = entity_table(
    "redemptions",
    metadata,
    Column("promotion_id", Uuid, nullable=False),
    Column("promotion_code", Text, nullable=False),
    Column("quote_id", Uuid, nullable=False),
    Column("account_id", Uuid),
    Column("owner_id", Uuid, nullable=False),
    Column("coupon_id", Uuid),
    Column("coupon_code", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("discount", Numeric, nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False),
    timestamp_column("expires_at"),
    timestamp_column("consumed_at"),
    timestamp_column("released_at"),
    # whether the usage has it; no field of the entity, as an expired one is no new version
    Column("is_counted", Boolean, nullable=False),
)

promotion_usage = Table(
    "promotion_usage",
    metadata,
    Column("tenant_id", Uuid),
    Column("promotion_id", Uuid, primary_key=True),
    Column("scope_id", Uuid, primary_key=True),
    Column("reserved_count", BigInteger),
    Column("reserved_amount", Numeric),
    Column("consumed_count", BigInteger),
    Column("consumed_amount", Numeric),
    Column("max_count", BigInteger),
    Column("max_amount", Numeric),
)
"""What was redeemed of a promotion: in all, by one customer, with one coupon."""

pricing_settings = entity_table(
    "pricing_settings",
    metadata,
    Column("policy", Text, nullable=False),
    Column("within_percent", Numeric, nullable=False),
    Column("combine", Text, nullable=False),
    Column("remainder", Text, nullable=False),
    Column("grouping", Text, nullable=False),
    Column("rounding", Text, nullable=False),
    Column("round_at", Text, nullable=False),
    Column("record_zero_effect", Boolean, nullable=False),
    Column("allows_zero_prices", Boolean, nullable=False),
    Column("budget_ms", Integer, nullable=False),
    Column("line_margin_floor", Numeric),
    Column("document_margin_floor", Numeric),
)

PROMOTION = EntityType(
    name="promotion",
    cls=Promotion,
    table=promotions,
    to_proto=wire.promotion_to_proto,
    events=events_pb2,
    fields={
        "code": Field.of(promotions.c.code, sortable=True),
        "name": Field.of(promotions.c.name, sortable=True),
        "state": Field.of(promotions.c.state, names={state.name: state.value for state in PromotionState}),
        "priority": Field.of(promotions.c.priority, sortable=True),
        "phase": Field.of(promotions.c.phase),
        "currency": Field.of(promotions.c.currency),
        "valid_from": Field.of(promotions.c.valid_from, sortable=True),
        "valid_to": Field.of(promotions.c.valid_to, sortable=True),
        "needs_coupon": Field.of(promotions.c.needs_coupon),
    },
    searched=("name", "code"),
    codecs={
        "state": enumerated(PromotionState),
        "benefit": value(model.Benefit),
        "conditions": value(model.Conditions),
        "stacking": value(StackingRule),
        "limits": value(Limits),
        "funding": value(Funding),
    },
    unique={"promotions_code": PromotionCodeTaken},
)

COUPON_BATCH = EntityType(
    name="coupon_batch",
    cls=CouponBatch,
    table=coupon_batches,
    to_proto=redemptions_wire.batch_to_proto,
    events=events_pb2,
    fields={
        "promotion_id": Field.of(coupon_batches.c.promotion_id),
        "name": Field.of(coupon_batches.c.name, sortable=True),
        "is_enabled": Field.of(coupon_batches.c.is_enabled),
    },
)

COUPON = EntityType(
    name="coupon",
    cls=Coupon,
    table=coupons,
    to_proto=redemptions_wire.coupon_to_proto,
    events=events_pb2,
    fields={
        "code": Field.of(coupons.c.code, sortable=True),
        "batch_id": Field.of(coupons.c.batch_id),
        "promotion_id": Field.of(coupons.c.promotion_id),
        "is_enabled": Field.of(coupons.c.is_enabled),
    },
    unique={"coupons_code": CouponCodeTaken},
)

REDEMPTION = EntityType(
    name="redemption",
    cls=Redemption,
    table=redemptions,
    to_proto=redemptions_wire.redemption_to_proto,
    events=events_pb2,
    owner="owner_id",
    is_open=lambda table: table.c.state == RedemptionState.RESERVED.value,
    fields={
        "promotion_id": Field.of(redemptions.c.promotion_id),
        "promotion_code": Field.of(redemptions.c.promotion_code),
        "quote_id": Field.of(redemptions.c.quote_id),
        "account_id": Field.of(redemptions.c.account_id),
        "owner_id": Field.of(redemptions.c.owner_id),
        "coupon_id": Field.of(redemptions.c.coupon_id),
        "coupon_code": Field.of(redemptions.c.coupon_code),
        "discount": Field.of(redemptions.c.discount, currency=redemptions.c.currency, sortable=True),
        "state": Field.of(redemptions.c.state, names={state.name: state.value for state in RedemptionState}),
        "expire_time": Field.of(redemptions.c.expires_at, sortable=True),
    },
    codecs={"state": enumerated(RedemptionState)},
    money={"discount": ("discount", "currency")},
)

PRICING_SETTINGS = EntityType(
    name="pricing_settings",
    cls=PricingSettings,
    table=pricing_settings,
    to_proto=settings_wire.settings_to_proto,
    events=events_pb2,
    codecs={
        "policy": enumerated(model.Policy),
        "combine": enumerated(model.Combine),
        "remainder": enumerated(model.Remainder),
        "grouping": enumerated(model.UnitOrder),
        "rounding": enumerated(model.Rounding),
        "round_at": enumerated(model.RoundAt),
    },
)
