"""The queries about alerts, and about when deals are looked at again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.call import Call
from chassis.database import Prepared
from chassis.money import Money
from chassis.store import EntityStore
from services.opportunities.domain.alert_rules import FormerAmount
from services.opportunities.domain.alert_settings import AlertSettings
from services.opportunities.domain.alerts import Alert
from services.opportunities.tables.alerts import ALERT, ALERT_SETTINGS, alerts, deal_watches
from services.opportunities.tables.metrics import deal_versions, stage_visits

_LOCK: Final = Prepared(
    sa.text("SELECT pg_advisory_xact_lock(hashtextextended(current_setting('app.tenant') || 'alerts', 2))")
)
_DUE: Final = Prepared(
    sa.text("SELECT kind, due_at FROM due_work WHERE kind = ANY(:kinds) AND parked_at IS NULL")
)
_MOST_VERSIONS: Final = 200
_UPSERT: Final = insert(deal_watches).values(deal_id=sa.bindparam("deal_id"), next_at=sa.bindparam("next_at"))
_KEEP: Final = Prepared(
    _UPSERT.on_conflict_do_update(
        index_elements=["tenant_id", "deal_id"], set_={"next_at": _UPSERT.excluded.next_at}
    )
)
_DEALS: Final[Any] = sa.bindparam("deals", type_=sa.ARRAY(sa.Uuid))
_FORGET: Final = Prepared(sa.delete(deal_watches).where(deal_watches.c.deal_id == sa.any_(_DEALS)))


def _past() -> Prepared:
    """When each deal came into its first stage, and into the one that it stands in."""
    visits = stage_visits.c
    wanted = sa.func.unnest(_DEALS).table_valued(sa.column("id", sa.Uuid)).render_derived("wanted")
    at = sa.bindparam("at", type_=sa.DateTime(timezone=True))

    def visit(*order: sa.ColumnElement[Any]) -> Any:
        return (
            sa.select(visits.entered_at)
            .where(visits.deal_id == wanted.c.id, visits.entered_at <= at)
            .order_by(*order)
            .limit(1)
            .scalar_subquery()
        )

    return Prepared(
        sa.select(
            wanted.c.id,
            visit(visits.entered_at, visits.version).label("booked_at"),
            visit(visits.entered_at.desc(), visits.version.desc()).label("entered_at"),
        )
    )


def _amounts() -> Prepared:
    """The last version of each deal before a time began, and those since."""
    versions = deal_versions.alias("versions")
    wanted = sa.func.unnest(_DEALS).table_valued(sa.column("id", sa.Uuid)).render_derived("wanted")
    begins = sa.bindparam("begins", type_=sa.DateTime(timezone=True))
    columns = (versions.c.amount, versions.c.currency, versions.c.effective_at, versions.c.version)
    latest = (versions.c.effective_at.desc(), versions.c.version.desc())
    of_deal = sa.select(*columns).where(versions.c.id == wanted.c.id).order_by(*latest)
    before = of_deal.where(versions.c.effective_at <= begins).limit(1)
    since = of_deal.where(versions.c.effective_at > begins).limit(_MOST_VERSIONS)
    both = sa.union_all(before, since).lateral("both")
    return Prepared(
        sa.select(wanted.c.id, both.c.amount, both.c.currency, both.c.effective_at)
        .select_from(wanted.join(both, sa.true()))
        .order_by(wanted.c.id, both.c.effective_at, both.c.version)
    )


_PAST: Final = _past()
_AMOUNTS: Final = _amounts()


@dataclass(frozen=True, slots=True)
class Past:
    """What of a deal's past its alerts depend on."""

    booked_at: datetime | None = None
    entered_stage_at: datetime | None = None


class AlertStore(EntityStore[Alert]):
    """The alerts."""

    type = ALERT

    async def of_deals(self, deals: Sequence[UUID]) -> dict[UUID, list[Alert]]:
        """All alerts of some deals."""
        if not deals:
            return {}
        found: dict[UUID, list[Alert]] = {}
        statement = self.select().where(
            alerts.c.opportunity_id == sa.any_(sa.literal(list(deals), sa.ARRAY(sa.Uuid)))
        )
        for alert in map(self._load, await self.tx.fetch(statement)):
            found.setdefault(alert.opportunity_id, []).append(alert)
        return found


class AlertSettingsStore(EntityStore[AlertSettings]):
    """The tenant's one resource of settings."""

    type = ALERT_SETTINGS

    async def current(self, etag: str = "") -> AlertSettings:
        """The settings that hold: those of the start where none were ever written.

        Raises:
            EtagMismatch: they are at another version than `etag` says.
        """
        id = uuid5(self.call.caller.tenant, "alert settings")
        if etag:
            return await self.get(id, etag)
        return await self.find(id) or AlertSettings(id=id)


class WatchStore:
    """When deals are looked at again, and what is looked at."""

    def __init__(self, call: Call) -> None:
        self.tx = call.tx

    async def lock(self) -> None:
        """Lets one transaction at a time look at the tenant's deals."""
        await self.tx.fetchval(_LOCK)

    async def due_at(self, *kinds: str) -> dict[str, datetime]:
        """When work of some kinds falls due."""
        return {row["kind"]: row["due_at"] for row in await self.tx.fetch(_DUE, {"kinds": list(kinds)})}

    async def due(self, at: datetime, most: int) -> list[UUID]:
        """The deals that are to be looked at by an instant."""
        watches = deal_watches.c
        rows = await self.tx.fetch(
            sa.select(watches.deal_id)
            .where(watches.next_at <= at)
            .order_by(watches.next_at, watches.deal_id)
            .limit(most)
        )
        return [row[0] for row in rows]

    async def next_at(self) -> datetime | None:
        """When the first of all deals is to be looked at."""
        at: datetime | None = await self.tx.fetchval(
            sa.select(deal_watches.c.next_at).order_by(deal_watches.c.next_at).limit(1)
        )
        return at

    async def keep(self, times: Mapping[UUID, datetime | None]) -> None:
        """Notes when each of some deals is to be looked at again; never where there is no time."""
        rows = [{"deal_id": deal, "next_at": at} for deal, at in times.items() if at is not None]
        await self.tx.executemany(_KEEP, rows)
        if over := [deal for deal, at in times.items() if at is None]:
            await self.tx.execute(_FORGET, {"deals": over})

    async def bring_forward(self, deal: UUID, at: datetime) -> None:
        """Notes that a deal is to be looked at by an instant."""
        first = insert(deal_watches).values(deal_id=deal, next_at=at)
        await self.tx.execute(
            first.on_conflict_do_update(
                index_elements=["tenant_id", "deal_id"],
                set_={"next_at": first.excluded.next_at},
                where=deal_watches.c.next_at > first.excluded.next_at,
            )
        )

    async def look_at_all(self, at: datetime, stages: Sequence[UUID] | None = None) -> None:
        """Has all open deals looked at again, or those that stand in some stages."""
        deals = sa.select(deal_versions.c.id, sa.literal(at, sa.DateTime(timezone=True))).where(
            deal_versions.c.state == "OPEN",
            deal_versions.c.recorded_until == sa.literal_column("'infinity'::timestamptz"),
            sa.not_(deal_versions.c.deleted),
        )
        if stages is not None:
            deals = deals.where(
                deal_versions.c.stage_id == sa.any_(sa.literal(list(stages), sa.ARRAY(sa.Uuid)))
            )
        first = insert(deal_watches).from_select(["deal_id", "next_at"], deals)
        await self.tx.execute(
            first.on_conflict_do_update(
                index_elements=["tenant_id", "deal_id"], set_={"next_at": first.excluded.next_at}
            )
        )

    async def past(self, deals: Sequence[UUID], at: datetime) -> dict[UUID, Past]:
        """Since when deals have been there, and stood in their stage, in business time."""
        rows = await self.tx.fetch(_PAST, {"deals": list(deals), "at": at})
        return {row["id"]: Past(row["booked_at"], row["entered_at"]) for row in rows}

    async def former_amounts(
        self, deals: Sequence[UUID], window: timedelta, at: datetime
    ) -> dict[UUID, tuple[FormerAmount, ...]]:
        """What each of some deals was worth when a time began, or at first, and whenever that changed since."""
        rows = await self.tx.fetch(_AMOUNTS, {"deals": list(deals), "begins": at - window})
        found: dict[UUID, list[FormerAmount]] = {}
        for row in rows:
            amount = Money(row["amount"], row["currency"]) if row["amount"] is not None else None
            known = found.setdefault(row["id"], [])
            if not known or known[-1].amount != amount:
                known.append(FormerAmount(amount, row["effective_at"]))
        return {deal: tuple(known) for deal, known in found.items()}
