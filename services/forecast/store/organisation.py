"""The tenant as it is on a day: its settings, rates and stages, its people, territories and products."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from chassis.call import Call
from chassis.database import Prepared
from chassis.errors import Unavailable
from chassis.schema import sight_lines
from services.forecast import tables
from services.forecast.domain.currencies import Rate, Rates
from services.forecast.domain.figures import Category, Stage
from services.forecast.domain.periods import FiscalCalendar
from services.forecast.domain.trees import Member, NodeKind


class SettingsUnknown(Unavailable):
    """Identity's event about the tenant has not arrived yet."""

    def __init__(self) -> None:
        super().__init__(
            "The forecast has not heard the tenant's currency and calendar yet; try again shortly."
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """What the tenant has set for all its figures."""

    reporting_currency: str
    time_zone: ZoneInfo
    calendar: FiscalCalendar

    def day_of(self, instant: datetime) -> date:
        """The tenant's day at an instant."""
        return instant.astimezone(self.time_zone).date()


class OrganisationStore:
    """What the forecast has heard of the tenant, at the moment of one call."""

    def __init__(self, call: Call) -> None:
        self.tx, self.now = call.tx, call.now

    async def settings(self) -> Settings:
        """The tenant's settings.

        Raises:
            SettingsUnknown: they have not been heard.
        """
        row = await self.tx.fetchrow(_SETTINGS)
        if row is None:
            raise SettingsUnknown
        zone = ZoneInfo(row["time_zone"] or "UTC")
        return Settings(row["reporting_currency"], zone, FiscalCalendar(row["first_month"]))

    async def stages(self) -> dict[UUID, Stage]:
        """All stages of all pipelines."""
        rows = await self.tx.read(sa.select(tables.stages))
        return {
            row["id"]: Stage(row["id"], Category(row["category"]), row["probability"], row["name"])
            for row in rows
        }

    async def rates(self, reporting_currency: str) -> Rates:
        """All exchange rates."""
        kept = tables.exchange_rates.c
        columns = (kept.from_currency, kept.to_currency, kept.valid_from, kept.rate)
        rows = await self.tx.read(sa.select(*columns).where(sa.not_(kept.deleted)))
        return Rates(reporting_currency, (Rate(*row) for row in rows))

    async def converting_leads(self) -> frozenset[UUID]:
        """The leads whose conversion is under way."""
        leads = tables.converting_leads.c
        return frozenset(row[0] for row in await self.tx.read(sa.select(leads.id).where(leads.converting)))

    async def people(self, ids: Collection[str]) -> list[Member]:
        """The users with these ids, side by side."""
        rows = await self.tx.read(self._named(tables.users, ids))
        return [Member(str(row["id"]), row["name"], NodeKind.USER) for row in rows]

    async def team(self) -> list[Member]:
        """All users, each below the manager of the moment."""
        users, line = tables.users.c, sight_lines.c
        statement = sa.select(users.id, users.name, line.manager_id).select_from(
            tables.users.outerjoin(
                sight_lines,
                sa.and_(line.user_id == users.id, line.valid_from <= self.now, line.valid_to > self.now),
            )
        )
        return [
            Member(
                str(row["id"]),
                row["name"],
                NodeKind.USER,
                str(row["manager_id"]) if row["manager_id"] else None,
            )
            for row in await self.tx.read(statement)
        ]

    async def territories(self) -> list[Member]:
        """The tree of territories."""
        kept = tables.territories.c
        rows = await self.tx.read(sa.select(kept.id, kept.name, kept.parent_id).where(sa.not_(kept.deleted)))
        return [
            Member(
                str(row["id"]),
                row["name"],
                NodeKind.TERRITORY,
                str(row["parent_id"]) if row["parent_id"] else None,
            )
            for row in rows
        ]

    async def territory_of_owners(self) -> dict[UUID, UUID]:
        """Which territory each user covers at the moment."""
        assigned, kept = tables.territory_assignments.c, tables.territories.c
        statement = (
            sa.select(assigned.user_id, assigned.territory_id)
            .join(tables.territories, kept.id == assigned.territory_id)
            .where(assigned.valid_from <= self.now, assigned.valid_to > self.now, sa.not_(kept.deleted))
            .order_by(assigned.valid_from, assigned.id)
        )
        return {row["user_id"]: row["territory_id"] for row in await self.tx.read(statement)}

    async def products(self, ids: Collection[str]) -> list[Member]:
        """The products with these ids, side by side."""
        rows = await self.tx.read(self._named(tables.products, ids))
        return [Member(str(row["id"]), row["name"], NodeKind.PRODUCT) for row in rows]

    def _named(self, table: sa.Table, ids: Collection[str]) -> sa.Select[tuple[UUID, str]]:
        wanted = sa.any_(sa.literal([UUID(id) for id in ids if _UUID.fullmatch(id)], sa.ARRAY(sa.Uuid)))
        return sa.select(table.c.id, table.c.name).where(table.c.id == wanted)


_SETTINGS = Prepared(sa.select(tables.tenant_settings))
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""What a caller names a node by may be anything."""
