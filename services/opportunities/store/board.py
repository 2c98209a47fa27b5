"""The queries of the pipeline board: all sums in one statement, and what is shown of the largest deals in another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by

from chassis.call import Call
from services.opportunities.domain.figures import Column, Missing, Question, RatePolicy
from services.opportunities.domain.pipelines import Pipeline, State
from services.opportunities.store import scope
from services.opportunities.store.conversion import NEVER, converted, in_minor_units
from services.opportunities.store.tenant_settings import Tenant
from services.opportunities.tables.alerts import alerts
from services.opportunities.tables.metrics import stage_visits


@dataclass(frozen=True, slots=True)
class Shown:
    """Which deals of a pipeline the board shows."""

    close_from: date | None = None
    close_to: date | None = None
    closed_days: int = 30
    top: int = 5


class BoardStore:
    """The board of one pipeline, as one call may see it."""

    def __init__(self, call: Call, tenant: Tenant) -> None:
        self.call = call
        self.tx = call.tx
        self._tenant = tenant

    async def columns(
        self, pipeline: Pipeline, asked: Question, shown: Shown
    ) -> tuple[dict[UUID, Column], list[Missing]]:
        """What stands in each stage, and which rates are missing."""
        deals = scope.with_booked(
            self._deals(asked, shown, scope.COUNTED),
            self._tenant.zone.key,
            is_needed=asked.policy is RatePolicy.BOOKING,
        )
        deals = converted(deals, asked, self._tenant.reporting_currency)
        # a deal that still stands in a stage which was taken out counts where that stage's deals go
        known = {
            stage.id: pipeline.standing(stage.id) for stage in (*pipeline.stages, *pipeline.retired_stages)
        }
        standing = _table(
            "standing",
            stood_in=(list(known), sa.Uuid),
            counts_in=([stage.id for stage in known.values()], sa.Uuid),
            probability=(
                [stage.probability if stage.kind is State.OPEN else 0 for stage in known.values()],
                sa.Integer,
            ),
        )
        column = sa.func.coalesce(standing.c.counts_in, deals.c.stage_id).label("column")
        place = sa.func.row_number().over(
            partition_by=column, order_by=(deals.c.converted.desc().nulls_last(), deals.c.id)
        )
        placed = (
            sa.select(*deals.c, column, standing.c.probability, place.label("place"))
            .select_from(deals.outerjoin(standing, standing.c.stood_in == deals.c.stage_id))
            .subquery("placed")
        )
        each = placed.c
        has_no_rate = sa.and_(each.amount.is_not(None), each.converted.is_(None))
        weighted = in_minor_units(
            each.converted * each.probability / sa.literal_column("100.0"), asked.currency
        )
        is_top = each.place <= sa.literal(shown.top, sa.Integer)

        def top(value: sa.ColumnElement[Any]) -> Any:
            return sa.func.array_agg(aggregate_order_by(value, each.place)).filter(is_top)

        rows = await self.tx.read(
            sa.select(
                each.column.label("stage_id"),
                each.currency,
                sa.func.count().label("deals"),
                sa.func.count(each.amount).label("priced"),
                sa.func.sum(each.amount).label("own_amount"),
                sa.func.sum(each.converted).label("amount"),
                sa.func.sum(weighted).label("weighted"),
                sa.func.count().filter(has_no_rate).label("unconverted"),
                sa.func.min(each.rate_day).filter(has_no_rate).label("missing_day"),
                sa.func.count()
                .filter(each.state == "OPEN", each.close_date < sa.literal(asked.today, sa.Date))
                .label("overdue"),
                top(each.place).label("places"),
                top(each.id).label("ids"),
                top(each.converted).label("amounts"),
            )
            .select_from(placed)
            .group_by(each.column, each.currency)
        )
        return _gathered(rows)

    async def details(
        self, ids: Sequence[UUID], asked: Question, shown: Shown
    ) -> dict[UUID, Mapping[str, Any]]:
        """What is shown of some deals."""
        if not ids:
            return {}
        deals = self._deals(asked, shown, scope.SHOWN, ids)
        visits = stage_visits.alias()
        entered = (
            sa.select(visits.c.entered_at)
            .where(
                visits.c.deal_id == deals.c.id,
                visits.c.stage_id == deals.c.stage_id,
                visits.c.recorded_at <= sa.literal(asked.as_of or NEVER, sa.DateTime(timezone=True)),
                visits.c.entered_at
                <= sa.literal(asked.effective_as_of or asked.as_of or NEVER, sa.DateTime(timezone=True)),
            )
            .order_by(visits.c.entered_at.desc(), visits.c.version.desc())
            .limit(1)
            .scalar_subquery()
        )
        active: Any = sa.literal(0, sa.Integer)
        if _is_live(asked):  # alerts are kept as they are
            active = (
                sa.select(sa.func.count())
                .select_from(alerts)
                .where(alerts.c.opportunity_id == deals.c.id, alerts.c.state == "ACTIVE")
                .scalar_subquery()
            )
        rows = await self.tx.read(
            sa.select(
                *(deals.c[name] for name in scope.SHOWN),
                entered.label("entered_at"),
                active.label("active_alerts"),
                scope.slips_of(f"{deals.name}.id", asked.as_of, asked.effective_as_of).label("slips"),
            )
        )
        return {row["id"]: dict(row) for row in rows}

    def _deals(self, asked: Question, shown: Shown, names: Sequence[str], ids: Sequence[UUID] = ()) -> Any:
        """The open deals of the pipeline and those that were closed of late."""
        if _is_live(asked):
            statement, columns = scope.live(self.call, names)
        else:
            statement, columns = scope.recorded(self.call, asked, names)
        statement = scope.narrowed(statement, columns, asked)
        since = asked.today - min(timedelta(days=shown.closed_days), asked.today - date.min)
        statement = statement.where(
            sa.or_(columns.state == "OPEN", columns.close_date >= sa.literal(since, sa.Date))
        )
        if shown.close_from is not None:
            statement = statement.where(columns.close_date >= sa.literal(shown.close_from, sa.Date))
        if shown.close_to is not None:
            statement = statement.where(columns.close_date <= sa.literal(shown.close_to, sa.Date))
        if ids:
            statement = statement.where(columns.id == scope.any_of(ids))
        return statement.subquery("deals")


def _is_live(asked: Question) -> bool:
    return asked.as_of is None and asked.effective_as_of is None


def _table(name: str, **columns: tuple[Sequence[Any], Any]) -> Any:
    """A few values as a table."""
    arrays = [sa.literal(list(values), sa.ARRAY(kind)) for values, kind in columns.values()]
    names = [sa.column(column, kind) for column, (_, kind) in columns.items()]
    return sa.func.unnest(*arrays).table_valued(*names).render_derived(name)


def _gathered(rows: Sequence[Any]) -> tuple[dict[UUID, Column], list[Missing]]:
    columns: dict[UUID, Column] = {}
    missing: dict[str, Missing] = {}
    for row in rows:
        column = columns.setdefault(row["stage_id"], Column())
        column.deals += row["deals"]
        column.unpriced += row["deals"] - row["priced"]
        column.amount += row["amount"] or 0
        column.weighted += row["weighted"] or 0
        column.unconverted += row["unconverted"]
        column.overdue += row["overdue"]
        if row["priced"]:
            column.by_currency[row["currency"]] = row["own_amount"], row["priced"]
        column.top += zip(row["places"] or (), row["ids"] or (), row["amounts"] or (), strict=True)
        if row["unconverted"]:
            lacking = missing.setdefault(row["currency"], Missing(row["currency"], row["missing_day"], 0))
            lacking.deals += row["unconverted"]
            lacking.day = min(lacking.day, row["missing_day"])
    for column in columns.values():
        column.top.sort(key=lambda item: item[0])
    return columns, sorted(missing.values(), key=lambda lacking: lacking.currency)
