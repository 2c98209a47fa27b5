"""Reporting lines, territories and exchange rates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from uuid import UUID

import sqlalchemy as sa

from chassis.schema import changes
from chassis.store import EntityStore
from services.identity.domain.rates import ExchangeRate
from services.identity.domain.reporting import D, ReportingLine, Territory, TerritoryAssignment
from services.identity.store.locking import lock
from services.identity.tables import (
    EXCHANGE_RATE,
    REPORTING_LINE,
    TERRITORY,
    TERRITORY_ASSIGNMENT,
    exchange_rates,
    reporting_lines,
    territories,
    territory_assignments,
)


class ReportingLineStore(EntityStore[ReportingLine]):
    """Who reports to whom."""

    type = REPORTING_LINE

    async def all(self) -> list[ReportingLine]:
        """All of the tenant's, while nobody else changes any: whether they make a circle is a question
        about all of them."""
        await lock(self.tx, "reporting lines")
        rows = await self.tx.fetch(self.select().where(reporting_lines.c.deleted_at.is_(None)))
        return [self._load(row) for row in rows]

    async def reports_of(self, manager: UUID, day: date) -> int:
        """How many report to the manager on a day."""
        line = reporting_lines.c
        statement = sa.select(sa.func.count()).where(
            line.manager_id == manager,
            line.deleted_at.is_(None),
            sa.or_(line.start_date.is_(None), line.start_date <= day),
            sa.or_(line.end_date.is_(None), line.end_date > day),
        )
        return int(await self.tx.fetchval(statement))

    async def position(self) -> int:
        """The latest change of any of them: sight may not be older."""
        # As a number, so that the changes of this kind are read, not all changes from the newest back.
        position = sa.cast(sa.cast(changes.c.position, sa.Text), sa.BigInteger)
        statement = sa.select(sa.func.max(position)).where(changes.c.entity == REPORTING_LINE.name)
        return int(await self.tx.fetchval(statement) or 0)


class TerritoryStore(EntityStore[Territory]):
    """The territories."""

    type = TERRITORY

    async def parents(self) -> dict[UUID, UUID | None]:
        """What each territory is a part of, while nobody else changes any."""
        await lock(self.tx, "territories")
        statement = sa.select(territories.c.id, territories.c.parent_id).where(
            territories.c.deleted_at.is_(None)
        )
        return {row[0]: row[1] for row in await self.tx.fetch(statement)}


class TerritoryAssignmentStore(EntityStore[TerritoryAssignment]):
    """Who covers which territory."""

    type = TERRITORY_ASSIGNMENT

    async def all(self) -> list[TerritoryAssignment]:
        """All of the tenant's, while nobody else changes any."""
        await lock(self.tx, "territory assignments")
        rows = await self.tx.fetch(self.select().where(territory_assignments.c.deleted_at.is_(None)))
        return [self._load(row) for row in rows]

    async def covers(self, territory: UUID, from_day: date) -> bool:
        """Whether anybody covers the territory on a day, or will."""
        assigned = territory_assignments.c
        statement = sa.select(assigned.id).where(
            assigned.territory_id == territory,
            assigned.deleted_at.is_(None),
            sa.or_(assigned.end_date.is_(None), assigned.end_date > from_day),
        )
        return await self.tx.fetchrow(statement.limit(1)) is not None


class ExchangeRateStore(EntityStore[ExchangeRate]):
    """The rates."""

    type = EXCHANGE_RATE

    async def on_days(
        self, keys: Sequence[tuple[str, str, date]]
    ) -> dict[tuple[str, str, date], ExchangeRate]:
        """Those of these currencies and dates that there are."""
        await lock(self.tx, "exchange rates")
        rate = exchange_rates.c
        wanted = sa.func.unnest(
            sa.literal([key[0] for key in keys], sa.ARRAY(sa.Text)),
            sa.literal([key[1] for key in keys], sa.ARRAY(sa.Text)),
            sa.literal([key[2] for key in keys], sa.ARRAY(sa.Date)),
        ).table_valued("from_currency", "to_currency", "date")
        derived = wanted.render_derived("wanted")
        rows = await self.tx.fetch(
            self.select().where(
                rate.from_currency == derived.c.from_currency,
                rate.to_currency == derived.c.to_currency,
                rate.date == derived.c.date,
            )
        )
        found = [self._load(row) for row in rows]
        return {(each.from_currency, each.to_currency, each.date): each for each in found}

    async def latest(self, from_currency: str, to_currency: str, on: date) -> list[ExchangeRate]:
        """The latest on or before a day, if there is one."""
        rate = exchange_rates.c
        rows = await self.tx.fetch(
            self.select()
            .where(rate.from_currency == from_currency, rate.to_currency == to_currency, rate.date <= on)
            .order_by(rate.date.desc())
            .limit(1)
        )
        return [self._load(row) for row in rows]


def of_user(lines: Iterable[D], user: UUID) -> list[D]:
    """Those of one user."""
    return [line for line in lines if line.user_id == user]
