"""How each deal counts: the definitions of `domain/figures.py`, as SQL.

It is worked out in steps, each in a subquery of its own that PostgreSQL does not unfold (OFFSET 0): else
it would look a rate up once for every sum. To put a statement together costs more than to execute it,
so each shape of it is made once, and takes parameters.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

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
_TODAY = sa.bindparam("today", type_=sa.Date)
_TARGET = sa.bindparam("target", type_=sa.Text)
_REPORTING = sa.bindparam("reporting", type_=sa.Text)
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
    """Which of the deals are meant."""

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

    def within(self, visible: Collection[UUID] | None) -> "Choice":
        """Only those of them that somebody sees who sees the deals of `visible`, or of all."""
        if visible is None:
            return self
        owners = visible if self.owners is None else set(self.owners) & set(visible)
        return replace(self, owners=owners, unowned=False)


class Node(Enum):
    """What deals are added up by."""

    ALL = "all"
    OWNER = "owner"
    PRODUCT = "product"


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides how a statement is written: everything else is one of its parameters."""

    node: Node
    has_owners: bool
    has_unowned: bool
    has_others: bool
    is_crossing: bool
    """Whether the currency asked for is not the reporting currency."""

    @classmethod
    def of(cls, node: Node, selection: Selection, choice: Choice) -> "Shape":
        """The shape of a question."""
        return cls(
            node=node,
            has_owners=choice.owners is not None,
            has_unowned=choice.unowned,
            has_others=choice.others is not None,
            is_crossing=selection.currency != selection.reporting_currency,
        )


def parameters(selection: Selection, choice: Choice) -> dict[str, Any]:
    """The values of a statement."""
    return {
        "first_days": [period.start or date.max for period in selection.periods],
        "last_days": [period.end or date.max for period in selection.periods],
        "today": selection.today,
        "target": selection.currency,
        "reporting": selection.reporting_currency,
        "digits": -int(minor_unit(selection.currency).as_tuple().exponent),
        "owners": list(choice.owners or ()),
        "others": list(choice.others or ()),
    }


def valued(shape: Shape, *conditions: sa.ColumnElement[bool]) -> sa.Subquery:
    """The deals, or their parts, with what each adds, in the currency of the selection."""
    digits = sa.bindparam("digits", type_=sa.Integer)
    one = _counted(shape, *conditions).c

    def converted(amount: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.func.round(amount * one.factor, digits)

    def weighted(amount: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.func.round(converted(amount) * one.probability * PERCENT, digits)

    is_weighted = sa.and_(one.state == State.OPEN, one.category != Category.OMITTED)
    amount: sa.ColumnElement[Any] = one.upper
    value, weight = converted(one.upper), weighted(one.upper)
    if shape.node is Node.PRODUCT:
        amount = one.upper - one.lower
        value, weight = value - converted(one.lower), weight - weighted(one.lower)
    return (
        sa.select(
            *one,
            amount.label("amount"),
            value.label("converted"),
            sa.case((is_weighted, sa.func.coalesce(weight, 0)), else_=0).label("weighted"),
        )
        .offset(_FENCE)
        .subquery()
    )


def _counted(shape: Shape, *conditions: sa.ColumnElement[bool]) -> sa.Subquery:
    """The deals, or their parts, with how each counts and the factor that it is converted by."""
    part, period = _parts(), _periods()
    node = {Node.ALL: _NOTHING, Node.OWNER: DEAL.owner_id, Node.PRODUCT: part.c.product_id}[shape.node]
    day = sa.case((sa.or_(_IS_OPEN, DEAL.closes_on == date.max), _TODAY), else_=DEAL.closes_on)
    columns = [
        node.label("node"),
        period.c.place.label("period"),
        _CATEGORY.label("category"),
        sa.func.coalesce(stages.c.probability, 0).label("probability"),
        sa.and_(_IS_OPEN, DEAL.closes_on < _TODAY).label("overdue"),
        day.label("day"),
        _factor(shape, day).label("factor"),
        *(DEAL[name] for name in _IDENTITY),
    ]
    source = deals.join(period, DEAL.closes_on.between(period.c.first, period.c.last)).outerjoin(
        stages, stages.c.id == DEAL.stage_id
    )
    if shape.node is Node.PRODUCT:
        source = source.outerjoin(part, sa.true())
        place = sa.cast(part.c.place, sa.Integer)
        end = sa.func.coalesce(DEAL.product_ends[place], DEAL.amount)
        columns.append(sa.case((DEAL.amount.is_not(None), end)).label("upper"))
        columns.append(sa.func.coalesce(DEAL.product_ends[place - 1], 0).label("lower"))
    else:
        columns.append(DEAL.amount.label("upper"))
    return (
        sa.select(*columns)
        .select_from(source)
        .where(sa.not_(DEAL.deleted), _IS_WHOLE, *_of_owners(shape), *conditions)
        .offset(_FENCE)
        .subquery()
    )


def _of_owners(shape: Shape) -> Iterator[sa.ColumnElement[bool]]:
    def among(name: str) -> sa.ColumnElement[bool]:
        return DEAL.owner_id == sa.any_(sa.bindparam(name, type_=sa.ARRAY(sa.Uuid)))

    nobodys = DEAL.owner_id.is_(None)
    if shape.has_owners:
        yield sa.or_(among("owners"), nobodys) if shape.has_unowned else among("owners")
    if shape.has_others:
        yield sa.or_(nobodys, sa.not_(among("others")))


def _parts() -> Any:
    """A deal's products, numbered; as a part of FROM it belongs to the deal before it."""
    products = sa.func.unnest(DEAL.product_ids).table_valued(
        sa.column("product_id", sa.Uuid), with_ordinality="place", name="part"
    )
    return products.render_derived()


def _periods() -> Any:
    """The periods as a table, numbered; `undated` lies at infinity, as the deals in it do."""
    days = (sa.bindparam(name, type_=sa.ARRAY(sa.Date)) for name in ("first_days", "last_days"))
    columns = sa.column("first", sa.Date), sa.column("last", sa.Date)
    return (
        sa.func.unnest(*days).table_valued(*columns, with_ordinality="place", name="period").render_derived()
    )


def _factor(shape: Shape, day: sa.ColumnElement[date]) -> sa.ColumnElement[Decimal]:
    """What a deal's amount is multiplied by; null where a rate is missing (see `Rates.factor`)."""

    def to_reporting(currency: sa.ColumnElement[str]) -> sa.ColumnElement[Decimal]:
        return sa.case((currency == _REPORTING, _ONE), else_=_latest(currency, _REPORTING, day))

    factor = _latest(DEAL.currency, _TARGET, day)
    if shape.is_crossing:
        crossing = sa.cast(to_reporting(DEAL.currency), sa.Numeric(60, 24)) / sa.func.nullif(
            to_reporting(_TARGET), 0
        )
        factor = sa.func.coalesce(factor, sa.func.round(crossing, FACTOR_DIGITS))
    return sa.case((DEAL.currency == _TARGET, _ONE), else_=factor)


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


_NOTHING = sa.cast(sa.null(), sa.Uuid)
_ONE = sa.cast(sa.literal_column("1"), sa.Numeric)
_IDENTITY = ("id", "version", "name", "owner_id", "account_id", "stage_id", "state", "closes_on", "currency")
