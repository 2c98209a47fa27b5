"""Adding deals up: the definitions of `domain/figures.py`, as SQL.

Deals are added up by owner or product, period and category in the database, and only the sums come
out. What each deal adds is worked out in steps, each in a subquery of its own that PostgreSQL does not
unfold (OFFSET 0): else it would look a rate up once for every sum.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from chassis import sight
from chassis.call import Call
from chassis.money import minor_unit
from services.forecast.domain.currencies import FACTOR_DIGITS
from services.forecast.domain.figures import NONE, PERCENT, Category, Figures, State, Sum
from services.forecast.domain.periods import Period
from services.forecast.tables import converting_leads, deals, exchange_rates, stages

_DEAL = deals.c
_IS_OPEN = _DEAL.state == State.OPEN


def _counts_as(category: Category) -> sa.ColumnElement[int]:
    return sa.literal(int(category), sa.SmallInteger)


_CATEGORY = sa.case(
    (_DEAL.state == State.WON, _counts_as(Category.CLOSED)),
    (_DEAL.state == State.LOST, _counts_as(Category.OMITTED)),
    (stages.c.category == Category.CLOSED, _counts_as(Category.COMMIT)),
    else_=sa.func.coalesce(stages.c.category, _counts_as(Category.PIPELINE)),
)
_CONVERTING = sa.select(converting_leads.c.id).where(converting_leads.c.converting)
_IS_WHOLE = sa.or_(_DEAL.lead_id.is_(None), _DEAL.lead_id.not_in(_CONVERTING))
_FENCE: Final[sa.ColumnElement[int]] = sa.literal_column("0")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deals are added up, and how."""

    periods: Sequence[Period]
    currency: str
    reporting_currency: str
    today: date


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of the deals are listed."""

    owners: Collection[UUID] | None = None
    """Only deals of these owners."""
    others: Collection[UUID] | None = None
    """Only deals of everybody but these, and those without an owner."""
    unowned: bool = False
    """Beside the deals of `owners`, those without an owner."""
    product: str | None = None
    """Only deals with this product, or with none, and only their share of it."""
    category: int = 0
    overdue: bool = False
    after: sa.ColumnElement[bool] | None = None


@dataclass(frozen=True, slots=True)
class Lacking:
    """A rate that some deals wait for."""

    currency: str
    day: date
    deals: int


@dataclass(frozen=True, slots=True)
class DealRow:
    """A deal as it is counted, or its share of a product."""

    id: UUID
    version: int
    name: str
    owner_id: UUID | None
    account_id: UUID | None
    stage_id: UUID | None
    state: int
    category: int
    probability: int
    closes_on: date
    overdue: bool
    amount: Decimal | None
    currency: str
    converted: Decimal | None
    weighted: Decimal


class FigureStore:
    """The sums over the deals that a caller may see."""

    def __init__(self, call: Call) -> None:
        self.call, self.tx = call, call.tx

    async def by_owner(
        self, selection: Selection, choice: Choice | None = None
    ) -> dict[str, dict[str, Figures]]:
        """Figures by owner, then period; deals without an owner are under `none`."""
        return await self._figures(selection, _DEAL.owner_id, choice=choice)

    async def by_product(self, selection: Selection) -> dict[str, dict[str, Figures]]:
        """Figures by product, then period; deals without one are under `none`."""
        part = _parts()
        return await self._figures(selection, part.c.product_id, part)

    async def in_all(self, selection: Selection) -> dict[str, Figures]:
        """Figures of all deals by period, each deal counted once."""
        return (await self._figures(selection, _NOTHING)).get(NONE, {})

    async def lacking(self, selection: Selection) -> list[Lacking]:
        """The rates that are missing."""
        one = self._valued(selection, _NOTHING).c
        statement = (
            sa.select(one.currency, one.day, sa.func.count(sa.distinct(one.id)))
            .where(one.amount.is_not(None), one.converted.is_(None))
            .group_by(one.currency, one.day)
            .order_by(one.currency, one.day)
        )
        return [Lacking(*row) for row in await self.tx.fetch(statement)]

    async def page(self, selection: Selection, choice: Choice, limit: int) -> list[DealRow]:
        """Deals in order of their ids."""
        part = _parts() if choice.product is not None else None
        node = part.c.product_id if part is not None else _NOTHING
        one = self._valued(selection, node, part, choice).c
        statement = sa.select(
            one.id, one.version, one.name, one.owner_id, one.account_id, one.stage_id, one.state, one.category,
            one.probability, one.closes_on, one.overdue, one.amount, one.currency, one.converted, one.weighted,
        )  # fmt: skip
        if choice.product is not None:
            wanted = UUID(choice.product) if choice.product != NONE else None
            statement = statement.where(one.node.is_not_distinct_from(sa.literal(wanted, sa.Uuid)))
        if choice.category:
            statement = statement.where(one.category == choice.category)
        if choice.overdue:
            statement = statement.where(one.overdue)
        return [DealRow(*row) for row in await self.tx.fetch(statement.order_by(one.id).limit(limit))]

    async def _figures(
        self,
        selection: Selection,
        node: sa.ColumnElement[UUID],
        part: Any = None,
        choice: Choice | None = None,
    ) -> dict[str, dict[str, Figures]]:
        one = self._valued(selection, node, part, choice).c
        missing = sa.func.count().filter(one.amount.is_not(None), one.converted.is_(None))
        unpriced = sa.func.count().filter(one.amount.is_(None), one.state == State.OPEN)
        kind = (one.node, one.period, one.category, one.state, one.overdue)
        statement = sa.select(
            *kind, sa.func.count(), sa.func.sum(one.converted), sa.func.sum(one.weighted), unpriced, missing
        ).group_by(*kind)
        periods = [period.id for period in selection.periods]
        cells: dict[str, dict[str, Figures]] = {}
        for row in await self.tx.fetch(statement):
            id, place, category, state, overdue, count, amount, weighted, without, unconverted = row
            of_node = cells.setdefault(str(id) if id else NONE, {})
            figures = of_node.get(periods[place - 1])
            if figures is None:
                figures = of_node[periods[place - 1]] = Figures()
            added = Sum(amount or _ZERO, count)
            counted = figures.of(category)
            counted += added
            if overdue:
                figures.overdue += added
            if state == State.LOST:
                figures.lost += added
            if weighted:
                figures.weighted += weighted
            figures.unpriced += without
            figures.unconverted += unconverted
        return cells

    def _valued(
        self,
        selection: Selection,
        node: sa.ColumnElement[UUID],
        part: Any = None,
        choice: Choice | None = None,
    ) -> sa.Subquery:
        """The deals, or their parts, with what each adds, in the currency of the selection."""
        digits = -int(minor_unit(selection.currency).as_tuple().exponent)
        counted = self._counted(selection, node, part, choice)
        one = counted.c

        def converted(amount: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
            return sa.func.round(amount * one.factor, digits)

        def weighted(amount: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
            return sa.func.round(converted(amount) * one.probability * PERCENT, digits)

        is_weighted = sa.and_(one.state == State.OPEN, one.category != Category.OMITTED)
        value, weight = converted(one.upper), weighted(one.upper)
        if part is not None:
            value, weight = value - converted(one.lower), weight - weighted(one.lower)
        return (
            sa.select(
                *one,
                (one.upper if part is None else one.upper - one.lower).label("amount"),
                value.label("converted"),
                sa.case((is_weighted, sa.func.coalesce(weight, 0)), else_=0).label("weighted"),
            )
            .offset(_FENCE)
            .subquery()
        )

    def _counted(
        self, selection: Selection, node: sa.ColumnElement[UUID], part: Any, choice: Choice | None
    ) -> sa.Subquery:
        """The deals, or their parts, with how each counts and the factor that it is converted by."""
        today = sa.literal(selection.today, sa.Date)
        period = _periods(selection.periods)
        day = sa.case((sa.or_(_IS_OPEN, _DEAL.closes_on == date.max), today), else_=_DEAL.closes_on)
        columns = [
            node.label("node"),
            period.c.place.label("period"),
            _CATEGORY.label("category"),
            sa.func.coalesce(stages.c.probability, 0).label("probability"),
            sa.and_(_IS_OPEN, _DEAL.closes_on < today).label("overdue"),
            day.label("day"),
            _factor(selection, day).label("factor"),
            *(_DEAL[name] for name in _IDENTITY),
        ]
        source = deals.join(period, _DEAL.closes_on.between(period.c.first, period.c.last)).outerjoin(
            stages, stages.c.id == _DEAL.stage_id
        )
        if part is None:
            columns.append(_DEAL.amount.label("upper"))
        else:
            source = source.outerjoin(part, sa.true())
            place = sa.cast(part.c.place, sa.Integer)
            end = sa.func.coalesce(_DEAL.product_ends[place], _DEAL.amount)
            columns.append(sa.case((_DEAL.amount.is_not(None), end)).label("upper"))
            columns.append(sa.func.coalesce(_DEAL.product_ends[place - 1], 0).label("lower"))
        return (
            sa.select(*columns)
            .select_from(source)
            .where(sa.not_(_DEAL.deleted), _IS_WHOLE, *self._chosen(choice))
            .offset(_FENCE)
            .subquery()
        )

    def _chosen(self, choice: Choice | None) -> list[sa.ColumnElement[bool]]:
        visible = sight.condition(self.call, _DEAL.owner_id)
        conditions = [visible] if visible is not None else []
        if choice is None:
            return conditions
        if choice.owners is not None:
            owned = _among(choice.owners)
            conditions.append(sa.or_(owned, _DEAL.owner_id.is_(None)) if choice.unowned else owned)
        if choice.others is not None:
            conditions.append(sa.or_(_DEAL.owner_id.is_(None), sa.not_(_among(choice.others))))
        if choice.after is not None:
            conditions.append(choice.after)
        return conditions


def _among(owners: Collection[UUID]) -> sa.ColumnElement[bool]:
    return _DEAL.owner_id == sa.any_(sa.literal(list(owners), sa.ARRAY(sa.Uuid)))


def _parts() -> Any:
    """A deal's products, numbered; as a part of FROM it belongs to the deal before it."""
    products = sa.func.unnest(_DEAL.product_ids).table_valued(
        sa.column("product_id", sa.Uuid), with_ordinality="place", name="part"
    )
    return products.render_derived()


def _periods(periods: Sequence[Period]) -> Any:
    """The periods as a table, numbered; `undated` lies at infinity, as the deals in it do."""
    return (
        sa.func.unnest(
            sa.literal([period.start or date.max for period in periods], sa.ARRAY(sa.Date)),
            sa.literal([period.end or date.max for period in periods], sa.ARRAY(sa.Date)),
        )
        .table_valued(
            sa.column("first", sa.Date), sa.column("last", sa.Date), with_ordinality="place", name="period"
        )
        .render_derived()
    )


def _factor(selection: Selection, day: sa.ColumnElement[date]) -> sa.ColumnElement[Decimal]:
    """What a deal's amount is multiplied by; null where a rate is missing (see `Rates.factor`)."""
    target, reporting = (
        sa.literal(code, sa.Text) for code in (selection.currency, selection.reporting_currency)
    )

    def to_reporting(currency: sa.ColumnElement[str]) -> sa.ColumnElement[Decimal]:
        return sa.case((currency == reporting, _ONE), else_=_latest(currency, reporting, day))

    direct = _latest(_DEAL.currency, target, day)
    if selection.currency != selection.reporting_currency:
        crossing = sa.cast(to_reporting(_DEAL.currency), sa.Numeric(60, 24)) / sa.func.nullif(
            to_reporting(target), 0
        )
        direct = sa.func.coalesce(direct, sa.func.round(crossing, FACTOR_DIGITS))
    return sa.case((_DEAL.currency == target, _ONE), else_=direct)


def _latest(
    currency: sa.ColumnElement[str], target: sa.ColumnElement[str], day: sa.ColumnElement[date]
) -> sa.ColumnElement[Decimal]:
    rate = exchange_rates.alias().c
    return (
        sa.select(rate.rate)
        .where(
            rate.from_currency == currency,
            rate.to_currency == target,
            rate.valid_from <= day,
            sa.not_(rate.deleted),
        )
        .order_by(rate.valid_from.desc())
        .limit(1)
        .scalar_subquery()
    )


_ZERO = Decimal(0)
_NOTHING = sa.cast(sa.null(), sa.Uuid)
_ONE = sa.cast(sa.literal_column("1"), sa.Numeric)
_IDENTITY = ("id", "version", "name", "owner_id", "account_id", "stage_id", "state", "closes_on", "currency")
