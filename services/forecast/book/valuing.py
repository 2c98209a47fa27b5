"""What each deal adds to the figures: its category, its amount in the currency asked for, its weight.

The same definitions as `domain/figures.py` has for one deal, for arrays of them; tests and the audit
hold the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from chassis.money import minor_unit
from services.forecast.book import exact
from services.forecast.book.exact import Amounts
from services.forecast.book.interning import Currencies
from services.forecast.book.parts import Shares
from services.forecast.book.reference import Tenant
from services.forecast.book.versions import UNDATED, Rows
from services.forecast.domain.figures import Category, State

if TYPE_CHECKING:
    from services.forecast.book.book import Book

EPOCH: Final = date(1970, 1, 1)
_LARGEST: Final = 2**62
_DENSE: Final = 1 << 23


def day_number(day: date) -> int:
    """A day as days since 1970."""
    return (day - EPOCH).days


def date_of(number: int) -> date | None:
    """The day of a number; None for `UNDATED`."""
    return None if number == UNDATED else EPOCH + timedelta(int(number))


def exponent(currency: str) -> int:
    """How many decimal places the minor unit of a currency has."""
    return -int(minor_unit(currency).as_tuple().exponent)


@dataclass(frozen=True, slots=True)
class Valued:
    """What some versions, or parts of versions, add; one entry for each."""

    category: npt.NDArray[np.int8]
    probability: npt.NDArray[np.int8]
    converted: Amounts
    """In minor units of the currency asked for; 0 where there is no amount, or no rate."""
    weighted: Amounts
    overdue: npt.NDArray[np.bool_]
    lost: npt.NDArray[np.bool_]
    unpriced: npt.NDArray[np.bool_]
    """Open without an amount."""
    unconverted: npt.NDArray[np.bool_]
    """With an amount, and without a rate."""
    day: npt.NDArray[np.int32]
    """Whose rate each is converted at."""


@dataclass(frozen=True, slots=True)
class Factors:
    """What each amount is multiplied by and divided by; `known` where there is a rate."""

    by: npt.NDArray[Any]
    over: npt.NDArray[Any]
    known: npt.NDArray[np.bool_]


def value(
    book: Book,
    rows: Rows,
    tenant: Tenant,
    currency: str,
    today: date,
    *,
    shares: Shares | None = None,
    rate_day: npt.NDArray[np.int32] | None = None,
) -> Valued:
    """What the versions at `rows` add, in `currency`; with `shares`, what each of their parts adds.

    A closed deal is converted at the rate of its close date, an open one at today's, unless `rate_day`
    says for each row which day's (days since 1970). Converted parts are differences of converted running
    totals: so they add up to the converted deal to the minor unit.
    """
    versions, now = book.versions, day_number(today)
    state, closes_on = versions.state[rows], versions.closes_on[rows]
    is_open = state == State.OPEN
    category, probability = categories_of(book, rows, tenant)
    if rate_day is None:
        rate_day = np.where(is_open | (closes_on == UNDATED), np.int32(now), closes_on)
    factors = factors_of(tenant, versions.currency[rows], rate_day, currency)
    has_amount = versions.has_amount[rows]
    overdue, lost = is_open & (closes_on < now), state == State.LOST
    counts = has_amount & factors.known
    chance = np.where(is_open & (category != Category.OMITTED), probability, np.int8(0))
    if shares is None:
        end = np.where(counts, versions.amount[rows], 0)
        converted = exact.scaled(end, factors.by, factors.over)
        weighted = exact.percent(converted, chance)
        index: Any = slice(None)
    else:
        index = shares.index
        counted = counts[index]
        by, over, chance = factors.by[index], factors.over[index], chance[index]
        high = exact.scaled(np.where(counted, shares.end, 0), by, over)
        low = exact.scaled(np.where(counted, shares.start, 0), by, over)
        converted = high - low
        weighted = exact.percent(high, chance) - exact.percent(low, chance)
    return Valued(
        category=category[index],
        probability=probability[index],
        converted=converted,
        weighted=weighted,
        overdue=overdue[index],
        lost=lost[index],
        unpriced=(is_open & ~has_amount)[index],
        unconverted=(has_amount & ~factors.known)[index],
        day=rate_day[index],
    )


def categories_of(
    book: Book, rows: Rows, tenant: Tenant
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    """Category and probability: what is won is closed, what is lost omitted; what is open counts as its
    owner says, else as its stage does, and as pipeline at 0 % while the stage is not known."""
    category, probability = _by_stage(book, tenant)
    stages, state, said = (
        column[rows] for column in (book.versions.stage, book.versions.state, book.versions.category)
    )
    of_open = np.where(said, said, category[stages])
    of_open[state == State.WON] = Category.CLOSED
    of_open[state == State.LOST] = Category.OMITTED
    return of_open, probability[stages]


def _by_stage(book: Book, tenant: Tenant) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    """Category and probability by the stage's code; the last are for no stage: -1."""
    count = len(book.codes.stages)
    if tenant.by_stage is not None and len(tenant.by_stage[0]) == count + 1:
        return tenant.by_stage
    category = np.full(count + 1, Category.PIPELINE, np.int8)
    probability = np.zeros(count + 1, np.int8)
    for id, stage in tenant.stages.items():
        code = book.codes.stages.code(id)
        if code >= 0:
            is_closed = stage.category is Category.CLOSED
            category[code] = Category.COMMIT if is_closed else stage.category
            probability[code] = stage.probability
    tenant.by_stage = category, probability
    return tenant.by_stage


def factors_of(
    tenant: Tenant,
    currencies: npt.NDArray[np.int16],
    days: npt.NDArray[np.int32],
    currency: str,
) -> Factors:
    """What amounts of some currencies are multiplied by at the rates of some days."""
    count = len(currencies)
    by, over, known = np.ones(count, np.int64), np.ones(count, np.int64), np.ones(count, bool)
    target = Currencies.code(currency)
    other = np.flatnonzero((currencies != target) & (currencies >= 0))
    if not len(other):
        return Factors(by, over, known)
    distinct, inverse = _pairs(currencies[other], days[other])
    found = [_factor(tenant, source, day, currency) for source, day in distinct]
    values = [ratio or (1, 1) for ratio in found]
    fits = all(one < _LARGEST and two < _LARGEST for one, two in values)
    dtype: npt.DTypeLike = np.int64 if fits else object
    if not fits:
        by, over = by.astype(object), over.astype(object)
    by[other] = np.array([one for one, _ in values], dtype)[inverse]
    over[other] = np.array([two for _, two in values], dtype)[inverse]
    known[other] = np.array([ratio is not None for ratio in found])[inverse]
    return Factors(by, over, known)


def _pairs(
    currencies: npt.NDArray[np.int16], days: npt.NDArray[np.int32]
) -> tuple[list[tuple[int, int]], npt.NDArray[Any]]:
    """The distinct pairs of currency and day, and for each entry which of them it has."""
    first, last = int(days.min()), int(days.max())
    span, few = last - first + 1, int(currencies.max()) + 1
    keys = currencies.astype(np.int64) * span + (days.astype(np.int64) - first)
    if span * few > _DENSE:
        distinct, place = np.unique(keys, return_inverse=True)
    else:
        there = np.zeros(span * few, bool)
        there[keys] = True
        distinct = np.flatnonzero(there)
        places = np.zeros(span * few, np.int32)
        places[distinct] = np.arange(len(distinct))
        place = places[keys]
    return [(key // span, key % span + first) for key in distinct.tolist()], place


def _factor(tenant: Tenant, source: int, day: int, currency: str) -> tuple[int, int] | None:
    """What one amount in minor units is multiplied by, and divided by; None where there is no rate."""
    key = source, day, currency
    if key not in tenant.factors:
        name = Currencies.id(source)
        factor = tenant.rates.factor(name, currency, date_of(day) or date.max)
        ratio = None if factor is None else _ratio(factor, exponent(currency) - exponent(name))
        tenant.factors[key] = ratio
    return tenant.factors[key]


def _ratio(factor: Decimal, digits: int) -> tuple[int, int]:
    """A factor between amounts as one between minor units: so much, divided by so much."""
    with localcontext(prec=100):
        return factor.scaleb(digits).as_integer_ratio()
