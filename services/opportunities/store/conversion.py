"""Amounts in one currency, in SQL: each deal is converted, rounded to the minor unit half away from zero, and only
then added. What has no rate is null, never converted at 1.

The rate is the one of exactly these two currencies, else the one by way of the reporting currency, to 12 places:
the same as the forecast's (docs/forecast.md, "Which currency").
"""

from datetime import UTC, date, datetime
from typing import Any, Final

import sqlalchemy as sa

from chassis.money import minor_unit
from services.opportunities.domain.figures import Question, RatePolicy
from services.opportunities.tables.metrics import exchange_rates

FACTOR_DIGITS: Final = 12
NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Later than anything is recorded, and earlier than infinity: as of now."""


def digits_of(currency: str) -> int:
    """How many decimals the currency has."""
    exponent = minor_unit(currency).as_tuple().exponent
    return -int(exponent)


def converted(deals: sa.FromClause, asked: Question, reporting_currency: str) -> sa.CTE:
    """The deals with columns more: `rate_day`, `factor`, and `converted`, the amount in the currency asked for.

    `deals` has amount, currency, state, close_date and booked_on.
    """
    today = sa.literal(asked.today, sa.Date)
    day: sa.ColumnElement[Any] = today
    if asked.policy is RatePolicy.BOOKING:
        day = sa.func.coalesce(deals.c.booked_on, today)
    elif asked.policy is RatePolicy.CLOSE:
        day = sa.case((deals.c.state == "OPEN", today), else_=sa.func.coalesce(deals.c.close_date, today))
    dated = sa.select(*deals.c, day.label("rate_day")).cte("dated")
    target = sa.literal(asked.currency, sa.Text)
    pairs = (
        sa.select(dated.c.currency, dated.c.rate_day)
        .where(dated.c.amount.is_not(None), dated.c.currency != target)
        .distinct()
        .cte("pairs")
    )
    recorded_by = asked.as_of or NEVER
    factor = _factor(pairs, asked.currency, reporting_currency, recorded_by)
    factors = sa.select(pairs.c.currency, pairs.c.rate_day, factor.label("factor")).cte("factors")
    factor = sa.case((dated.c.currency == target, sa.literal_column("1::numeric")), else_=factors.c.factor)
    joined = dated.outerjoin(
        factors, sa.and_(factors.c.currency == dated.c.currency, factors.c.rate_day == dated.c.rate_day)
    )
    value = in_minor_units(dated.c.amount * factor, asked.currency)
    statement = sa.select(*dated.c, factor.label("factor"), value.label("converted"))
    return statement.select_from(joined).cte("converted")


def in_minor_units(amount: sa.ColumnElement[Any], currency: str) -> sa.ColumnElement[Any]:
    """An amount rounded to the minor unit, half away from zero as PostgreSQL does it."""
    return sa.func.round(amount, digits_of(currency))


def _factor(pairs: sa.CTE, target: str, reporting: str, recorded_by: datetime) -> sa.ColumnElement[Any]:
    day = pairs.c.rate_day
    direct = _rate(pairs.c.currency, sa.literal(target, sa.Text), day, recorded_by)
    if not reporting or target == reporting:
        return direct
    one: sa.ColumnElement[Any] = sa.literal_column("1::numeric")
    to_reporting = sa.case(
        (pairs.c.currency == reporting, one),
        else_=_rate(pairs.c.currency, sa.literal(reporting, sa.Text), day, recorded_by),
    )
    divisor = _rate(sa.literal(target, sa.Text), sa.literal(reporting, sa.Text), day, recorded_by)
    # with forty decimals at hand the quotient is rounded once, and as exactly as by hand
    quotient = sa.cast(to_reporting, sa.Numeric(60, 40)) / sa.func.nullif(divisor, 0)
    return sa.func.coalesce(direct, sa.func.round(quotient, FACTOR_DIGITS))


def _rate(
    currency: sa.ColumnElement[Any],
    target: sa.ColumnElement[Any],
    day: sa.ColumnElement[Any],
    recorded_by: datetime,
) -> sa.ColumnElement[Any]:
    """The latest rate on or before a day, by what was recorded at an instant."""
    rates = exchange_rates.alias()
    at = sa.literal(recorded_by, sa.DateTime(timezone=True))
    return (
        sa.select(rates.c.rate)
        .where(
            rates.c.from_currency == currency,
            rates.c.to_currency == target,
            rates.c.valid_from <= day,
            rates.c.recorded_at <= at,
            rates.c.recorded_until > at,
            sa.not_(rates.c.deleted),
        )
        .order_by(rates.c.valid_from.desc(), rates.c.recorded_at.desc())
        .limit(1)
        .scalar_subquery()
    )


def factors(currencies: frozenset[str], target: str, day: date) -> sa.Select[Any]:
    """What amounts in some currencies are multiplied by on a day; null where there is no rate."""
    wanted = (
        sa.func.unnest(sa.literal(sorted(currencies), sa.ARRAY(sa.Text)))
        .table_valued(sa.column("currency", sa.Text))
        .render_derived("wanted")
    )
    pairs = sa.select(wanted.c.currency, sa.literal(day, sa.Date).label("rate_day")).cte("pairs")
    return sa.select(pairs.c.currency, _factor(pairs, target, target, NEVER).label("factor"))
