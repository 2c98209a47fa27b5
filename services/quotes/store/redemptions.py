"""Queries of redemptions, and the counting of them.

The row of a promotion's usage in all is its mutex: whoever counts locks it first, promotions in the order
of their ids, so that nobody waits for somebody who waits for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import asyncpg
import sqlalchemy as sa

from chassis.database import Prepared
from chassis.store import EntityStore
from services.quotes.domain.redemptions import IN_ALL, Bound, Redemption, RedemptionState, Usage
from services.quotes.tables.promotions import REDEMPTION, redemptions

Scope = tuple[UUID, UUID]
"""A promotion, and in all, a customer or a coupon."""

# Counts and compares in one statement: where a row is there already, its lock is waited for, and the
# condition is tested on what the one before left. A row that is new was tested by the caller.
_COUNT: Final = Prepared(
    sa.text(
        "INSERT INTO promotion_usage AS used"
        " (promotion_id, scope_id, reserved_count, reserved_amount, max_count, max_amount)"
        " SELECT promotion_id, scope_id, 1, amount, max_count, max_amount"
        " FROM unnest(CAST(:promotions AS uuid[]), CAST(:scopes AS uuid[]), CAST(:amounts AS numeric[]),"
        " CAST(:max_counts AS bigint[]), CAST(:max_amounts AS numeric[]))"
        " AS wanted (promotion_id, scope_id, amount, max_count, max_amount)"
        " ORDER BY promotion_id, scope_id"
        " ON CONFLICT (tenant_id, promotion_id, scope_id) DO UPDATE SET"
        " reserved_count = used.reserved_count + excluded.reserved_count,"
        " reserved_amount = used.reserved_amount + excluded.reserved_amount,"
        " max_count = excluded.max_count, max_amount = excluded.max_amount"
        " WHERE (excluded.max_count IS NULL"
        " OR used.reserved_count + used.consumed_count + excluded.reserved_count <= excluded.max_count)"
        " AND (excluded.max_amount IS NULL"
        " OR used.reserved_amount + used.consumed_amount + excluded.reserved_amount <= excluded.max_amount)"
        " RETURNING used.promotion_id, used.scope_id"
    )
)

_SCOPED: Final = (
    " SELECT promotion_id, scope.id AS scope_id, count(*) AS count, sum(discount) AS amount FROM taken,"
    f" LATERAL (VALUES (CAST('{IN_ALL}' AS uuid)), (account_id), (coupon_id)) AS scope (id)"
    " WHERE scope.id IS NOT NULL GROUP BY 1, 2"
)
_UNCOUNT: Final = (
    "WITH taken AS (UPDATE redemptions SET is_counted = false WHERE {which} AND state = 'reserved' AND is_counted"
    " RETURNING promotion_id, account_id, coupon_id, discount),"
    f" scoped AS ({_SCOPED})"
    " UPDATE promotion_usage AS used SET reserved_count = used.reserved_count - scoped.count,"
    " reserved_amount = used.reserved_amount - scoped.amount FROM scoped"
    " WHERE used.promotion_id = scoped.promotion_id AND used.scope_id = scoped.scope_id"
)
_UNCOUNT_EXPIRED: Final = Prepared(
    sa.text(_UNCOUNT.format(which="promotion_id = ANY(CAST(:promotions AS uuid[])) AND expires_at <= :now"))
)
_UNCOUNT_QUOTE: Final = Prepared(sa.text(_UNCOUNT.format(which="quote_id = CAST(:quote AS uuid)")))
_CONSUME_QUOTE: Final = Prepared(
    sa.text(
        "WITH taken AS (SELECT promotion_id, account_id, coupon_id, discount FROM redemptions"
        " WHERE quote_id = CAST(:quote AS uuid) AND state = 'reserved' AND is_counted),"
        f" scoped AS ({_SCOPED})"
        " UPDATE promotion_usage AS used SET reserved_count = used.reserved_count - scoped.count,"
        " reserved_amount = used.reserved_amount - scoped.amount,"
        " consumed_count = used.consumed_count + scoped.count,"
        " consumed_amount = used.consumed_amount + scoped.amount FROM scoped"
        " WHERE used.promotion_id = scoped.promotion_id AND used.scope_id = scoped.scope_id"
    )
)
_LOCK: Final = Prepared(
    sa.text(
        "SELECT promotion_id FROM promotion_usage"
        f" WHERE scope_id = '{IN_ALL}' AND promotion_id = ANY(ARRAY(SELECT promotion_id FROM redemptions"
        " WHERE quote_id = CAST(:quote AS uuid) AND state = :state)) ORDER BY promotion_id FOR UPDATE"
    )
)
_COUNT_CONSUMED: Final = (
    "WITH taken AS (SELECT promotion_id, account_id, coupon_id, discount FROM redemptions"
    " WHERE quote_id = CAST(:quote AS uuid) AND state = '{state}' AND consumed_at IS NOT NULL),"
    f" scoped AS ({_SCOPED.replace('{', '{{').replace('}', '}}')})"
    " UPDATE promotion_usage AS used SET consumed_count = used.consumed_count {sign} scoped.count,"
    " consumed_amount = used.consumed_amount {sign} scoped.amount FROM scoped"
    " WHERE used.promotion_id = scoped.promotion_id AND used.scope_id = scoped.scope_id"
)
_GIVE_BACK: Final = Prepared(sa.text(_COUNT_CONSUMED.format(state="consumed", sign="-")))
_TAKE_AGAIN: Final = Prepared(sa.text(_COUNT_CONSUMED.format(state="released", sign="+")))
_COUNT_AGAIN: Final = Prepared(
    sa.text("UPDATE redemptions SET is_counted = true WHERE id = ANY(CAST(:ids AS uuid[]))")
)
# What was reserved and is past its time is taken off as it is read.
_USAGE: Final = Prepared(
    sa.text(
        "SELECT scope_id, consumed_count, consumed_amount,"
        " reserved_count - past.count AS reserved_count, reserved_amount - past.amount AS reserved_amount"
        " FROM promotion_usage AS used, LATERAL (SELECT count(*) AS count, coalesce(sum(discount), 0) AS amount"
        " FROM redemptions WHERE redemptions.promotion_id = used.promotion_id AND state = 'reserved'"
        " AND is_counted AND expires_at <= :now) AS past"
        f" WHERE used.promotion_id = CAST(:promotion AS uuid) AND scope_id = '{IN_ALL}'"
    )
)


class RedemptionStore(EntityStore[Redemption]):
    """The redemptions."""

    type = REDEMPTION

    async def reserved_for(self, quote_id: UUID) -> list[tuple[Redemption, bool]]:
        """What is reserved for a quote, whoever may see it, and whether the usage still counts it.

        The promotions are locked until the call ends.
        """
        rows = await self._locked(quote_id, RedemptionState.RESERVED)
        return [(self._load(row), row["is_counted"]) for row in rows]

    async def consumed_for(self, quote_id: UUID) -> list[Redemption]:
        """What was consumed for a quote, whoever may see it. The promotions are locked until the call ends."""
        return [self._load(row) for row in await self._locked(quote_id, RedemptionState.CONSUMED)]

    async def given_back_for(self, quote_id: UUID) -> list[Redemption]:
        """What was consumed for a quote and then given back; locked likewise."""
        released = map(self._load, await self._locked(quote_id, RedemptionState.RELEASED))
        return [each for each in released if each.consumed_at is not None]

    async def _locked(self, quote_id: UUID, state: RedemptionState) -> Sequence[asyncpg.Record]:
        if not await self.tx.fetch(_LOCK, {"quote": quote_id, "state": state.value}):
            return []
        return await self.tx.fetch(
            sa.select(*self.type.rows.columns, redemptions.c.is_counted).where(
                redemptions.c.quote_id == quote_id, redemptions.c.state == state.value
            )
        )

    async def count(self, wanted: Sequence[Redemption], bounds: Mapping[Scope, Bound]) -> set[Scope]:
        """Counts what is wanted wherever the bounds allow it; answers where they do not.

        Whoever asks lets the call fail then, which takes back what was counted.
        """
        amounts = {
            (each.promotion_id, scope): each.discount.amount for each in wanted for scope in each.scopes
        }
        beyond = {scope for scope, amount in amounts.items() if not bounds[scope].allows(1, amount)}
        if beyond:  # what is not even possible alone: the statement compares with what is there only
            return beyond
        missing = amounts.keys() - await self._count(amounts, bounds)
        if missing:
            # once more, after reservations past their time were let go
            promotions = sorted({promotion for promotion, _ in missing})
            await self.tx.execute(_UNCOUNT_EXPIRED, {"promotions": promotions, "now": self.call.now})
            missing -= await self._count({scope: amounts[scope] for scope in missing}, bounds)
        return missing

    async def _count(self, amounts: Mapping[Scope, Decimal], bounds: Mapping[Scope, Bound]) -> set[Scope]:
        self.tx.wrote = True
        bound = [bounds[scope] for scope in amounts]
        rows = await self.tx.fetch(
            _COUNT,
            {
                "promotions": [promotion for promotion, _ in amounts],
                "scopes": [scope for _, scope in amounts],
                "amounts": list(amounts.values()),
                "max_counts": [each.count for each in bound],
                "max_amounts": [each.amount for each in bound],
            },
        )
        return {(row["promotion_id"], row["scope_id"]) for row in rows}

    async def counted_again(self, ids: Sequence[UUID]) -> None:
        """Marks reservations that had been let go as counted."""
        await self.tx.execute(_COUNT_AGAIN, {"ids": list(ids)})

    async def let_go(self, quote_id: UUID) -> None:
        """Takes what is reserved for a quote off the usage."""
        await self.tx.execute(_UNCOUNT_QUOTE, {"quote": quote_id})

    async def use_up(self, quote_id: UUID) -> None:
        """Turns what is reserved for a quote, and counted, into what is consumed."""
        await self.tx.execute(_CONSUME_QUOTE, {"quote": quote_id})

    async def give_back(self, quote_id: UUID) -> None:
        """Takes what was consumed for a quote off the usage."""
        await self.tx.execute(_GIVE_BACK, {"quote": quote_id})

    async def take_again(self, quote_id: UUID) -> None:
        """Puts what was given back for a quote on the usage again, whatever the limits."""
        await self.tx.execute(_TAKE_AGAIN, {"quote": quote_id})

    async def usage(self, promotion_id: UUID, now: datetime) -> Usage:
        """What was redeemed of a promotion in all."""
        row = await self.tx.fetchrow(_USAGE, {"promotion": promotion_id, "now": now})
        return Usage(promotion_id, **dict(row)) if row is not None else Usage(promotion_id)
