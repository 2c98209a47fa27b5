"""The queries of win rates, cycles, lost deals and stage conversion. Each is one statement over the deals asked for."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from chassis.call import Call
from services.opportunities.domain.figures import (
    Dimension,
    Lost,
    Missing,
    Question,
    RatePolicy,
    StageOutcomes,
    Sums,
)
from services.opportunities.domain.pipelines import Pipeline, State
from services.opportunities.store import scope
from services.opportunities.store.conversion import NEVER, converted, in_minor_units
from services.opportunities.store.tenant_settings import Tenant
from services.opportunities.tables.competitors import customers
from services.opportunities.tables.metrics import stage_visits

_DAY: Final = timedelta(days=1)
_NO_KEY: Final[Any] = sa.literal_column("''::text")
_MANY: Final = {Dimension.TAG: "tags", Dimension.COMPETITOR: "competitor_ids"}
"""Of what a deal has any number, each with the whole of it."""
_SHARED: Final = {
    Dimension.PRODUCT: ("product_ids", "product_amounts"),
    Dimension.CREDIT: ("credited_ids", "credited_amounts"),
}
"""Of what a deal has any number, each with a share of its amount."""


class MetricsStore:
    """The pipeline in figures, as one call may see it."""

    def __init__(self, call: Call, tenant: Tenant) -> None:
        self.call = call
        self.tx = call.tx
        self._tenant = tenant

    async def sums(
        self, asked: Question, first: date, last: date, by: Dimension | None, most: int
    ) -> tuple[Sums, list[Sums], list[Missing]]:
        """What was won and lost in a period and what is open: the total, then by key one more than `most`."""
        statement, columns = self._deals(asked)
        is_open = scope.with_booked(
            statement.where(columns.state == "OPEN").subquery("open_deals"),
            self._tenant.zone.key,
            is_needed=asked.policy is RatePolicy.BOOKING,
        )
        both = sa.union_all(sa.select(self._closed(asked, first, last)), sa.select(is_open)).subquery("deals")
        deals = converted(both, asked, self._tenant.reporting_currency)
        order: Any = sa.literal_column("won_amount DESC NULLS LAST"), sa.literal_column("count(*) DESC, key")
        total: Any = None
        rows: list[Any] = []
        if by in (*_MANY, *_SHARED):  # the total is less than the sum of the groups
            (key,), source, amount = _keys(deals, (by,), asked)
            statement = _sums(deals, key, source, amount).group_by(sa.literal_column("1"))
            rows = await self.tx.read(statement.order_by(*order).limit(most + 1))
            by = None
        if by is None:
            (total,) = await self.tx.read(_sums(deals, _NO_KEY, deals, deals.c.converted))
        else:
            (key,), source, amount = _keys(deals, (by,), asked)
            inner = sa.select(*deals.c, key.label("key")).select_from(source).cte("keyed")
            statement = _sums(inner, inner.c.key, inner, inner.c.converted)
            sets = sa.func.grouping_sets(sa.tuple_(inner.c.key), sa.text("()"))
            is_total = sa.func.grouping(inner.c.key)
            statement = statement.add_columns(is_total.label("is_total")).group_by(sets)
            total, *rows = await self.tx.read(statement.order_by(is_total.desc(), *order).limit(most + 2))
        result = _sum_of(total)
        result.key = ""
        missing = await self._missing(deals) if result.unconverted else []
        return result, [_sum_of(row) for row in rows], missing

    async def lost(
        self, asked: Question, first: date, last: date, by: Sequence[Dimension], most: int
    ) -> tuple[Lost, list[Lost], list[Missing]]:
        """What was lost in a period: the total, then by keys one more than `most`."""
        closed = self._closed(asked, first, last, "LOST")
        deals = converted(closed, asked, self._tenant.reporting_currency)
        total = await self.tx.read(_lost(deals, [], deals, deals.c.converted))
        keys, source, amount = _keys(deals, by, asked)
        places: list[Any] = [sa.literal_column(str(place)) for place in range(1, len(keys) + 1)]
        rows = await self.tx.read(
            _lost(deals, keys, source, amount)
            .group_by(*places)
            .order_by(sa.literal_column("deals DESC"), sa.literal_column("amount DESC NULLS LAST"), *places)
            .limit(most + 1)
        )
        result = _lost_of(total[0], 0)
        missing = await self._missing(deals) if result.unconverted else []
        return result, [_lost_of(row, len(keys)) for row in rows], missing

    async def outcomes(
        self, pipeline: Pipeline, first: date, last: date, owners: Sequence[UUID], as_of: datetime | None
    ) -> dict[UUID, StageOutcomes]:
        """What became of the deals that entered each stage in a period."""
        at = sa.literal(as_of or NEVER, sa.DateTime(timezone=True))
        begin, end = self._instants(first, last)
        if as_of is None:
            deal, columns = scope.live(self.call, ("id",))
        else:
            asked = Question("", RatePolicy.TODAY, last, as_of=as_of)
            deal, columns = scope.recorded(self.call, asked, ("id",))
        deal = deal.where(columns.id == stage_visits.c.deal_id)
        if owners:
            deal = deal.where(columns.owner_id == scope.any_of(owners))
        way: dict[str, Any] = {
            "partition_by": stage_visits.c.deal_id,
            "order_by": (stage_visits.c.entered_at, stage_visits.c.version),
        }
        visits = (
            sa.select(
                stage_visits.c.pipeline_id,
                stage_visits.c.stage_id,
                stage_visits.c.entered_at,
                sa.func.lead(stage_visits.c.stage_id).over(**way).label("next_id"),
                sa.func.lead(stage_visits.c.entered_at).over(**way).label("left_at"),
            )
            .where(stage_visits.c.entered_at >= begin, stage_visits.c.recorded_at <= at, deal.exists())
            .subquery("visits")
        )
        places = [stage.id for stage in pipeline.stages]
        order = sa.literal(pipeline.order(), sa.ARRAY(sa.Uuid))
        is_won = visits.c.next_id == scope.any_of(pipeline.of_kind(State.WON))
        is_lost = visits.c.next_id == scope.any_of(pipeline.of_kind(State.LOST))
        is_later = sa.func.array_position(order, visits.c.next_id) > sa.func.array_position(
            order, visits.c.stage_id
        )
        advanced = sa.or_(is_won, sa.and_(is_later, sa.not_(is_lost)))
        found = (
            sa.select(
                visits.c.stage_id,
                visits.c.next_id,
                sa.func.coalesce(advanced, sa.false()).label("advanced"),
                sa.func.extract("epoch", visits.c.left_at - visits.c.entered_at).label("seconds"),
            )
            .where(
                visits.c.pipeline_id == sa.literal(pipeline.id, sa.Uuid),
                visits.c.stage_id == scope.any_of(places),
                visits.c.entered_at < end,
            )
            .cte("found")
        )
        each = found.c
        went_on = each.advanced
        quantile = [
            sa.func.percentile_disc(share).within_group(each.seconds.asc()).filter(went_on)
            for share in (0.5, 0.8)
        ]
        rows = await self.tx.read(
            sa.select(
                each.stage_id,
                each.next_id,
                sa.func.grouping(each.next_id).label("is_total"),
                sa.func.count().label("deals"),
                sa.func.count().filter(went_on).label("advanced"),
                sa.func.avg(each.seconds).filter(went_on).label("average"),
                quantile[0].label("median"),
                quantile[1].label("p80"),
            ).group_by(
                sa.func.grouping_sets(sa.tuple_(each.stage_id, each.next_id), sa.tuple_(each.stage_id))
            )
        )
        return _outcomes(rows, pipeline)

    def _deals(self, asked: Question) -> tuple[sa.Select[Any], Any]:
        statement, columns = scope.recorded(self.call, asked)
        return scope.narrowed(statement, columns, asked), columns

    def _closed(self, asked: Question, first: date, last: date, *states: str) -> Any:
        statement, columns = self._deals(asked)
        statement = statement.where(
            columns.state == sa.any_(sa.literal(list(states or ("WON", "LOST")), sa.ARRAY(sa.Text))),
            columns.state != "OPEN",  # what the index is made for
            columns.close_date >= sa.literal(first, sa.Date),
            columns.close_date <= sa.literal(last, sa.Date),
        )
        return scope.with_booked(statement.subquery("closed_deals"), self._tenant.zone.key)

    def _instants(self, first: date, last: date) -> tuple[datetime, datetime]:
        zone = self._tenant.zone
        # a day from where the calendar begins and ends, as an instant there may be none of UTC's
        first, last = max(first, date.min + _DAY), min(last, date.max - _DAY)
        return datetime.combine(first, time(), zone), datetime.combine(last + _DAY, time(), zone)

    async def _missing(self, deals: sa.CTE) -> list[Missing]:
        rows = await self.tx.read(
            sa.select(
                deals.c.currency, sa.func.min(deals.c.rate_day).label("day"), sa.func.count().label("deals")
            )
            .where(deals.c.amount.is_not(None), deals.c.converted.is_(None))
            .group_by(deals.c.currency)
            .order_by(deals.c.currency)
        )
        return [Missing(row["currency"], row["day"], row["deals"]) for row in rows]


def _keys(deals: sa.CTE, by: Sequence[Dimension], asked: Question) -> tuple[list[Any], Any, Any]:
    """The keys of each deal in some dimensions, what to select them from, and the amount that counts there: where a
    deal is shared out, the share, converted and rounded by itself."""
    keys: list[Any] = []
    source: Any = deals
    amount: Any = deals.c.converted
    is_shared = sum(dimension in _SHARED for dimension in by) == 1
    key: Any
    for dimension in by:
        if (pair := _SHARED.get(dimension)) is not None:
            shares = (
                sa.func.unnest(*(deals.c[name] for name in pair))
                .table_valued(sa.column("member", sa.Uuid), sa.column("share", sa.Numeric))
                .render_derived(f"shares_{len(keys)}")
            )
            source = source.outerjoin(shares, sa.true())
            owner = deals.c.owner_id if dimension is Dimension.CREDIT else None
            key = sa.cast(sa.func.coalesce(shares.c.member, owner), sa.Text)
            if is_shared:
                own = in_minor_units(shares.c.share * deals.c.factor, asked.currency)
                amount = sa.case((shares.c.member.is_(None), deals.c.converted), else_=own)
        elif (name := _MANY.get(dimension)) is not None:
            member = sa.cast(sa.func.unnest(deals.c[name]), sa.Text).label("member")
            members = sa.select(member).distinct().correlate(deals).lateral(f"each_{name}")
            source = source.outerjoin(members, sa.true())
            key = members.c.member
        else:
            key = _key(deals, dimension)
            if dimension is Dimension.SLIPS:
                slips = scope.slips_of_all(deals, asked.as_of, asked.effective_as_of)
                source = source.outerjoin(slips, slips.c.id == deals.c.id)
        keys.append(sa.func.coalesce(key, "").label(f"key_{len(keys)}"))
    return keys, source, amount


def _key(deals: sa.CTE, dimension: Dimension) -> Any:
    each = deals.c
    match dimension:
        case Dimension.STAGE:
            closed_from = sa.func.coalesce(each.closed_from, each.stage_id)
            return sa.cast(sa.case((each.state == "OPEN", each.stage_id), else_=closed_from), sa.Text)
        case Dimension.CURRENCY:
            return each.currency
        case Dimension.LOST_REASON:
            return each.lost_reason
        case Dimension.SIZE:
            return sa.case(
                (each.converted.is_(None), None), (each.converted < 10_000, "SMALL"),
                (each.converted < 100_000, "MEDIUM"), else_="LARGE",
            )  # fmt: skip
        case Dimension.MONTH:
            return sa.func.to_char(each.close_date, "YYYY-MM")
        case Dimension.QUARTER:
            return sa.func.to_char(each.close_date, 'YYYY"-Q"Q')
        case Dimension.SOURCE:
            return sa.case((each.is_from_lead, "LEAD"), else_="DIRECT")
        case Dimension.SEGMENT | Dimension.INDUSTRY:
            return (
                sa.select(customers.c[dimension.value.lower()])
                .where(customers.c.id == each.account_id)
                .correlate(deals)
                .scalar_subquery()
            )
        case Dimension.SLIPS:
            slips = sa.literal_column("coalesce(slips.slips, 0)", sa.Integer)
            return sa.case((slips >= 3, "3+"), else_=sa.cast(slips, sa.Text))
        case _:
            column: Any = {
                Dimension.OWNER: each.owner_id,
                Dimension.ACCOUNT: each.account_id,
                Dimension.PIPELINE_ID: each.pipeline_id,
                Dimension.LOST_TO: each.lost_to,
            }[dimension]
            return sa.cast(column, sa.Text)


def _days(deals: sa.CTE) -> Any:
    """From the day of booking to the close date; nothing is closed before it was booked."""
    return sa.func.greatest(deals.c.close_date - deals.c.booked_on, 0)


def _sums(deals: sa.CTE, key: Any, source: Any, amount: Any) -> Any:
    each = deals.c

    def of(state: str) -> tuple[Any, Any]:
        return (
            sa.func.count().filter(each.state == state).label(state.lower()),
            sa.func.sum(amount).filter(each.state == state).label(f"{state.lower()}_amount"),
        )

    return sa.select(
        key.label("key"),
        *of("WON"),
        *of("LOST"),
        *of("OPEN"),
        sa.func.count(amount).filter(each.state == "WON").label("won_priced"),
        sa.func.sum(_days(deals)).filter(each.state == "WON").label("won_days"),
        sa.func.sum(_days(deals)).filter(each.state == "LOST").label("lost_days"),
        sa.func.count().filter(each.amount.is_not(None), each.converted.is_(None)).label("unconverted"),
    ).select_from(source)


def _sum_of(row: Any) -> Sums:
    result = Sums()
    for name in Sums.__dataclass_fields__:
        if row[name] is not None:  # the sum of nothing
            setattr(result, name, row[name])
    return result


def _lost(deals: sa.CTE, keys: Sequence[Any], source: Any, amount: Any) -> Any:
    each = deals.c
    return sa.select(
        *keys,
        sa.func.count().label("deals"),
        sa.func.sum(amount).label("amount"),
        sa.func.sum(_days(deals)).label("days"),
        sa.func.count().filter(each.amount.is_(None)).label("unpriced"),
        sa.func.count().filter(each.amount.is_not(None), each.converted.is_(None)).label("unconverted"),
    ).select_from(source)


def _lost_of(row: Any, keys: int) -> Lost:
    found = tuple(row[f"key_{place}"] for place in range(keys))
    none = Decimal(0)
    return Lost(
        found, row["deals"], row["amount"] or none, row["days"] or none, row["unpriced"], row["unconverted"]
    )


def _outcomes(rows: Sequence[Any], pipeline: Pipeline) -> dict[UUID, StageOutcomes]:
    result = {stage.id: StageOutcomes() for stage in pipeline.stages}
    won, lost = pipeline.of_kind(State.WON), pipeline.of_kind(State.LOST)
    for row in rows:
        outcome, deals, went_to = result[row["stage_id"]], row["deals"], row["next_id"]
        if row["is_total"]:
            outcome.entered, outcome.advanced = deals, row["advanced"]
            outcome.average, outcome.median, outcome.p80 = row["average"], row["median"], row["p80"]
            continue
        if went_to is None:
            outcome.standing += deals
            continue
        outcome.to[went_to] = deals
        outcome.won += deals if went_to in won else 0
        outcome.lost += deals if went_to in lost else 0
        if went_to not in lost and not row["advanced"]:
            outcome.returned += deals
    return result
