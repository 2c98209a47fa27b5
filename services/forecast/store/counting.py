"""How each deal counts: the definitions of `domain/figures.py`, as SQL.

It is worked out in steps, each in a subquery of its own that PostgreSQL does not unfold (OFFSET 0): else
it would look a rate up once for every sum.
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
from services.forecast.domain.figures import PERCENT, Category, State
from services.forecast.domain.periods import Period
from services.forecast.tables import converting_leads, deals, exchange_rates, stages

DEAL = deals.c
_IS_OPEN = DEAL.state == State.OPEN


def _counts_as(category: Category) -> sa.ColumnElement[int]:
    return sa.literal(int(category), sa.SmallInteger)


_CATEGORY = sa.case(
    (DEAL.state == State.WON, _counts_as(Category.CLOSED)),
    (DEAL.state == State.LOST, _counts_as(Category.OMITTED)),
    (stages.c.category == Category.CLOSED, _counts_as(Category.COMMIT)),
    else_=sa.func.coalesce(stages.c.category, _counts_as(Category.PIPELINE)),
)
_CONVERTING = sa.select(converting_leads.c.id).where(converting_leads.c.converting)
_IS_WHOLE = sa.or_(DEAL.lead_id.is_(None), DEAL.lead_id.not_in(_CONVERTING))
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


def valued(
    call: Call,
    selection: Selection,
    node: sa.ColumnElement[UUID],
    part: Any = None,
    choice: Choice | None = None,
) -> sa.Subquery:
    """The deals, or their parts, with what each adds, in the currency of the selection."""
    digits = -int(minor_unit(selection.currency).as_tuple().exponent)
    counted = _counted(call, selection, node, part, choice)
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
    call: Call, selection: Selection, node: sa.ColumnElement[UUID], part: Any, choice: Choice | None
) -> sa.Subquery:
    """The deals, or their parts, with how each counts and the factor that it is converted by."""
    today = sa.literal(selection.today, sa.Date)
    period = _periods(selection.periods)
    day = sa.case((sa.or_(_IS_OPEN, DEAL.closes_on == date.max), today), else_=DEAL.closes_on)
    columns = [
        node.label("node"),
        period.c.place.label("period"),
        _CATEGORY.label("category"),
        sa.func.coalesce(stages.c.probability, 0).label("probability"),
        sa.and_(_IS_OPEN, DEAL.closes_on < today).label("overdue"),
        day.label("day"),
        _factor(selection, day).label("factor"),
        *(DEAL[name] for name in _IDENTITY),
    ]
    source = deals.join(period, DEAL.closes_on.between(period.c.first, period.c.last)).outerjoin(
        stages, stages.c.id == DEAL.stage_id
    )
    if part is None:
        columns.append(DEAL.amount.label("upper"))
    else:
        source = source.outerjoin(part, sa.true())
        place = sa.cast(part.c.place, sa.Integer)
        end = sa.func.coalesce(DEAL.product_ends[place], DEAL.amount)
        columns.append(sa.case((DEAL.amount.is_not(None), end)).label("upper"))
        columns.append(sa.func.coalesce(DEAL.product_ends[place - 1], 0).label("lower"))
    return (
        sa.select(*columns)
        .select_from(source)
        .where(sa.not_(DEAL.deleted), _IS_WHOLE, *_chosen(call, choice))
        .offset(_FENCE)
        .subquery()
    )


def _chosen(call: Call, choice: Choice | None) -> list[sa.ColumnElement[bool]]:
    visible = sight.condition(call, DEAL.owner_id)
    conditions = [visible] if visible is not None else []
    if choice is None:
        return conditions
    if choice.owners is not None:
        owned = _among(choice.owners)
        conditions.append(sa.or_(owned, DEAL.owner_id.is_(None)) if choice.unowned else owned)
    if choice.others is not None:
        conditions.append(sa.or_(DEAL.owner_id.is_(None), sa.not_(_among(choice.others))))
    if choice.after is not None:
        conditions.append(choice.after)
    return conditions


def _among(owners: Collection[UUID]) -> sa.ColumnElement[bool]:
    return DEAL.owner_id == sa.any_(sa.literal(list(owners), sa.ARRAY(sa.Uuid)))


def parts() -> Any:
    """A deal's products, numbered; as a part of FROM it belongs to the deal before it."""
    products = sa.func.unnest(DEAL.product_ids).table_valued(
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

    direct = _latest(DEAL.currency, target, day)
    if selection.currency != selection.reporting_currency:
        crossing = sa.cast(to_reporting(DEAL.currency), sa.Numeric(60, 24)) / sa.func.nullif(
            to_reporting(target), 0
        )
        direct = sa.func.coalesce(direct, sa.func.round(crossing, FACTOR_DIGITS))
    return sa.case((DEAL.currency == target, _ONE), else_=direct)


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


ZERO = Decimal(0)
NOTHING = sa.cast(sa.null(), sa.Uuid)
_ONE = sa.cast(sa.literal_column("1"), sa.Numeric)
_IDENTITY = ("id", "version", "name", "owner_id", "account_id", "stage_id", "state", "closes_on", "currency")
