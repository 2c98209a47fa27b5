"""Queries of promotions, of their coupons, and of the rules by which promotions add up."""

from collections.abc import Sequence
from datetime import date
from typing import Final
from uuid import UUID, uuid5

import sqlalchemy as sa

from chassis.call import Call
from chassis.database import Prepared
from chassis.store import EntityStore
from services.quotes.domain.coupons import Coupon, CouponBatch
from services.quotes.domain.pricing_settings import PricingSettings
from services.quotes.domain.promotions import Promotion, PromotionState
from services.quotes.store.base import any_of
from services.quotes.tables.promotions import (
    COUPON,
    COUPON_BATCH,
    PRICING_SETTINGS,
    PROMOTION,
    promotions,
)

_RAISE: Final = Prepared(
    sa.text(
        "INSERT INTO promotion_epochs AS kept (epoch) VALUES (1)"
        " ON CONFLICT (tenant_id) DO UPDATE SET epoch = kept.epoch + 1"
    )
)


async def raise_epoch(call: Call) -> None:
    """Has everybody who keeps the live promotions read them again."""
    await call.tx.execute(_RAISE)


class PromotionStore(EntityStore[Promotion]):
    """The promotions. Every write raises the tenant's epoch."""

    type = PROMOTION

    async def by_code(self, codes: Sequence[str]) -> dict[str, Promotion]:
        """Those that are not deleted, by code."""
        if not codes:
            return {}
        rows = await self.tx.fetch(
            self.select().where(any_of(promotions.c.code, codes, sa.Text), promotions.c.deleted_at.is_(None))
        )
        return {promotion.code: promotion for promotion in map(self._load, rows)}

    async def live(self, since: date) -> list[Promotion]:
        """Those that take part in prices and whose last day is not before `since`."""
        rows = await self.tx.fetch(
            self.select().where(
                promotions.c.state == sa.literal_column(f"'{PromotionState.ACTIVE.value}'"),
                promotions.c.deleted_at.is_(None),
                sa.func.coalesce(promotions.c.valid_to, sa.literal_column("'infinity'")) >= since,
            )
        )
        return [self.type.rows.load(row) for row in rows]

    async def flush(self, *, alone: bool = False) -> None:
        """Writes what was staged, never alone: the epoch is raised with it."""
        staged = bool(self.staged_arguments())
        await super().flush(alone=alone and not staged)
        if staged:
            await raise_epoch(self.call)


class CouponBatchStore(EntityStore[CouponBatch]):
    """The batches of coupons."""

    type = COUPON_BATCH


class CouponStore(EntityStore[Coupon]):
    """The coupons."""

    type = COUPON


class PricingSettingsStore(EntityStore[PricingSettings]):
    """The tenant's one resource of rules by which promotions add up."""

    type = PRICING_SETTINGS

    async def current(self, etag: str = "") -> PricingSettings:
        """The rules that hold: those of the start where none were ever written.

        Raises:
            EtagMismatch: they are at another version than `etag` says.
        """
        id: UUID = uuid5(self.call.caller.tenant, "pricing settings")
        if etag:
            return await self.get(id, etag)
        return await self.find(id) or PricingSettings(id=id)

    async def flush(self, *, alone: bool = False) -> None:
        """Writes what was staged, never alone: the epoch is raised with it."""
        staged = bool(self.staged_arguments())
        await super().flush(alone=alone and not staged)
        if staged:
            await raise_epoch(self.call)
