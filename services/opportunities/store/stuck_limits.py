"""After how long deals count as stuck: learnt from deals that went on, and looked up."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from chassis.call import Call
from services.opportunities.domain.alert_settings import AlertSettings
from services.opportunities.domain.figures import Question, RatePolicy
from services.opportunities.domain.pipelines import Pipeline, State
from services.opportunities.store import scope
from services.opportunities.store.conversion import converted
from services.opportunities.store.tenant_settings import Tenant
from services.opportunities.tables.alerts import stuck_limits
from services.opportunities.tables.metrics import stage_visits

LEARNT_FROM: Final = timedelta(days=730)
MOST_VISITS: Final = 5_000
"""Of each stage the latest ones are learnt from."""
SIZES: Final = ("SMALL", "MEDIUM", "LARGE")


@dataclass(frozen=True, slots=True)
class Learnt:
    """A limit that was learnt, for deals from an amount up to below another, in the reporting currency."""

    pipeline_id: UUID
    stage_id: UUID
    size: str
    amount_from: Decimal | None
    amount_to: Decimal | None
    after: timedelta
    deals: int
    learnt_at: datetime

    @property
    def days(self) -> Decimal:
        """The limit in days, to one decimal."""
        return (Decimal(self.after // timedelta(seconds=1)) / 86_400).quantize(Decimal("0.1"))

    def fits(self, amount: Decimal | None) -> bool:
        """Whether it is for deals of an amount."""
        if not self.size:
            return True
        if amount is None:
            return False
        from_ok = self.amount_from is None or amount >= self.amount_from
        return from_ok and (self.amount_to is None or amount < self.amount_to)


class StuckLimitStore:
    """What was learnt."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.tx = call.tx

    async def of_stages(self, stages: Sequence[UUID]) -> dict[UUID, list[Learnt]]:
        """The limits of some stages, those for a size first."""
        if not stages:
            return {}
        rows = await self.tx.fetch(
            sa.select(stuck_limits)
            .where(stuck_limits.c.stage_id == sa.any_(sa.literal(list(stages), sa.ARRAY(sa.Uuid))))
            .order_by(stuck_limits.c.size.desc())
        )
        found: dict[UUID, list[Learnt]] = {}
        for row in rows:
            found.setdefault(row["stage_id"], []).append(_learnt(row))
        return found

    async def page(self, pipeline: UUID | None, after: tuple[UUID, str] | None, size: int) -> list[Learnt]:
        """Limits in the order of stage and size, after one of them."""
        limits = stuck_limits.c
        statement = sa.select(stuck_limits).order_by(limits.stage_id, limits.size).limit(size)
        if pipeline is not None:
            statement = statement.where(limits.pipeline_id == pipeline)
        if after is not None:
            place = sa.tuple_(sa.literal(after[0], sa.Uuid), sa.literal(after[1], sa.Text))
            statement = statement.where(sa.tuple_(limits.stage_id, limits.size) > place)
        return [_learnt(row) for row in await self.tx.read(statement)]

    async def learn(
        self, pipeline: Pipeline, settings: AlertSettings, tenant: Tenant, at: datetime
    ) -> list[Learnt]:
        """What is to be learnt of a pipeline's deals now; it only reads."""
        asked = Question(tenant.reporting_currency or "EUR", RatePolicy.TODAY, tenant.day(at), pipeline.id)
        cuts = await self._cuts(asked, tenant)
        return await self._limits(pipeline, asked, tenant, cuts, settings, at)

    async def replace(self, pipeline: Pipeline, found: Sequence[Learnt]) -> list[UUID]:
        """Takes over what was learnt; answers the stages whose limit is another now."""
        before = await self.of_stages([stage.id for stage in pipeline.stages])
        await self.tx.execute(sa.delete(stuck_limits).where(stuck_limits.c.pipeline_id == pipeline.id))
        await self.tx.executemany(
            sa.insert(stuck_limits).values({column.name: sa.bindparam(column.name) for column in stuck_limits.c}),
            [
                {
                    "pipeline_id": each.pipeline_id, "stage_id": each.stage_id, "size": each.size,
                    "amount_from": each.amount_from, "amount_to": each.amount_to,
                    "seconds": each.after // timedelta(seconds=1), "deals": each.deals, "learnt_at": each.learnt_at,
                }
                for each in found
            ],
        )  # fmt: skip
        known = {(each.stage_id, each.size): each.after for limits in before.values() for each in limits}
        new = {(each.stage_id, each.size): each.after for each in found}
        return sorted(
            {
                stage
                for stage, size in known.keys() | new.keys()
                if known.get((stage, size)) != new.get((stage, size))
            }
        )

    async def _cuts(self, asked: Question, tenant: Tenant) -> tuple[Decimal, Decimal] | None:
        """The amounts that part the pipeline's deals into thirds."""
        deals = self._deals(asked, tenant)
        thirds = [
            sa.func.percentile_disc(share).within_group(deals.c.converted.asc()) for share in (1 / 3, 2 / 3)
        ]
        row = await self.tx.fetchrow(sa.select(*thirds).where(deals.c.converted.is_not(None)))
        if row is None or row[0] is None or row[0] == row[1]:
            return None
        return row[0], row[1]

    async def _limits(
        self, pipeline: Pipeline, asked: Question, tenant: Tenant, cuts: tuple[Decimal, Decimal] | None,
        settings: AlertSettings, at: datetime,
    ) -> list[Learnt]:  # fmt: skip
        stays = self._stays(pipeline, self._deals(asked, tenant), cuts, at)
        rows = await self.tx.fetch(_quantiles(stays, settings.stuck_percent / 100))
        ranges: Mapping[str, tuple[Decimal | None, Decimal | None]] = {"": (None, None)}
        if cuts is not None:
            ranges = {**ranges, "SMALL": (None, cuts[0]), "MEDIUM": cuts, "LARGE": (cuts[1], None)}
        return [
            Learnt(
                pipeline.id, row["stage_id"], row["size"], *ranges[row["size"]],
                timedelta(seconds=int(row["seconds"])), row["deals"], at,
            )
            for row in rows
            if row["seconds"] is not None and row["deals"] >= settings.stuck_minimum_deals
        ]  # fmt: skip

    def _deals(self, asked: Question, tenant: Tenant) -> sa.CTE:
        statement, columns = scope.recorded(
            self.call, asked, ("id", "state", "amount", "currency", "close_date")
        )
        deals = scope.narrowed(statement, columns, asked).subquery("deals")
        unbooked = scope.with_booked(deals, tenant.zone.key, is_needed=False)
        return converted(unbooked, asked, tenant.reporting_currency)

    def _stays(
        self, pipeline: Pipeline, deals: sa.CTE, cuts: tuple[Decimal, Decimal] | None, at: datetime
    ) -> sa.CTE:
        """How long deals of each size stood in each open stage, and whether they went on from there."""
        order = sa.literal(pipeline.order(), sa.ARRAY(sa.Uuid))
        opened = [stage.id for stage in pipeline.stages if stage.kind is State.OPEN]
        each = (
            sa.func.unnest(sa.literal(opened, sa.ARRAY(sa.Uuid)))
            .table_valued(sa.column("stage_id", sa.Uuid))
            .render_derived("each_stage")
        )
        visits, later = stage_visits.alias("visits"), stage_visits.alias("later")
        latest = (
            sa.select(visits)
            .where(
                visits.c.pipeline_id == sa.literal(pipeline.id, sa.Uuid),
                visits.c.stage_id == each.c.stage_id,
                visits.c.entered_at >= at - LEARNT_FROM,
                visits.c.entered_at <= at,
            )
            .order_by(visits.c.entered_at.desc())
            .limit(MOST_VISITS)
            .lateral("latest")
        )
        following = (
            sa.select(later.c.stage_id, later.c.entered_at)
            .where(
                later.c.deal_id == latest.c.deal_id,
                sa.tuple_(later.c.entered_at, later.c.version)
                > sa.tuple_(latest.c.entered_at, latest.c.version),
            )
            .order_by(later.c.entered_at, later.c.version)
            .limit(1)
            .lateral("following")
        )
        lost = sa.literal(pipeline.of_kind(State.LOST), sa.ARRAY(sa.Uuid))
        went_on = sa.and_(
            following.c.stage_id != sa.all_(lost),
            sa.func.array_position(order, following.c.stage_id)
            > sa.func.array_position(order, latest.c.stage_id),
        )
        size: Any = sa.literal(None, sa.Text)
        if cuts is not None:
            amount = deals.c.converted
            size = sa.case(
                (amount.is_(None), None),
                (amount < cuts[0], SIZES[0]),
                (amount < cuts[1], SIZES[1]),
                else_=SIZES[2],
            )
        until = sa.func.coalesce(following.c.entered_at, at)
        return (
            sa.select(
                latest.c.stage_id,
                size.label("size"),
                sa.cast(sa.func.extract("epoch", until - latest.c.entered_at), sa.BigInteger).label(
                    "seconds"
                ),
                sa.func.coalesce(went_on, sa.false()).label("went_on"),
            )
            .select_from(
                each.join(latest, sa.true())
                .join(deals, deals.c.id == latest.c.deal_id)
                .outerjoin(following, sa.true())
            )
            .cte("stays")
        )


def _quantiles(stays: sa.CTE, share: float) -> Any:
    """By when `share` of the deals in each stage have gone on, for each size and for all (Kaplan and Meier).

    Those that were lost, went back or still stand there count for as long as they stood: deals are not left
    out for being slow.
    """
    columns = (stays.c.seconds, stays.c.went_on)
    grouped = sa.union_all(
        sa.select(stays.c.stage_id, sa.literal("", sa.Text).label("size"), *columns),
        sa.select(stays.c.stage_id, stays.c.size, *columns).where(stays.c.size.is_not(None)),
    ).subquery("grouped")
    group = (grouped.c.stage_id, grouped.c.size)
    counted = (
        sa.select(
            *group,
            grouped.c.seconds,
            sa.func.count().label("stood"),
            sa.func.count().filter(grouped.c.went_on).label("went"),
        )
        .group_by(*group, grouped.c.seconds)
        .subquery("counted")
    )
    group = (counted.c.stage_id, counted.c.size)
    at_risk = sa.func.sum(counted.c.stood).over(partition_by=group, order_by=counted.c.seconds.desc())
    exposed = sa.select(*counted.c, sa.cast(at_risk, sa.Double).label("at_risk")).subquery("exposed")
    group = (exposed.c.stage_id, exposed.c.size)
    log_left = sa.case(
        (exposed.c.went == exposed.c.at_risk, sa.literal_column("-1000::float8")),
        else_=sa.func.ln(1 - exposed.c.went / exposed.c.at_risk),
    )
    left = sa.func.sum(log_left).over(partition_by=group, order_by=exposed.c.seconds)
    surviving = sa.select(*exposed.c, left.label("log_left")).subquery("surviving")
    within = surviving.c.log_left <= sa.literal(math.log(1 - share) + 1e-9, sa.Double)
    return (
        sa.select(
            surviving.c.stage_id,
            surviving.c.size,
            sa.func.min(surviving.c.seconds).filter(within).label("seconds"),
            sa.cast(sa.func.sum(surviving.c.went), sa.Integer).label("deals"),
        )
        .group_by(surviving.c.stage_id, surviving.c.size)
        .order_by(surviving.c.stage_id, surviving.c.size)
    )


def _learnt(row: Any) -> Learnt:
    return Learnt(
        row["pipeline_id"], row["stage_id"], row["size"], row["amount_from"], row["amount_to"],
        timedelta(seconds=row["seconds"]), row["deals"], row["learnt_at"],
    )  # fmt: skip
