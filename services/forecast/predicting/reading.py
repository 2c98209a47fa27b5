"""Histories out of a book: every version of every deal, in one currency, by the tenant's days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from services.forecast.book import Book, day_number
from services.forecast.book.reference import Tenant
from services.forecast.book.valuing import EPOCH
from services.forecast.dimensions import Axis, GroupBy, Question
from services.forecast.domain.figures import State
from services.forecast.domain.periods import FiscalCalendar
from services.forecast.prediction.histories import (
    NEVER,
    UNKNOWN,
    UNPRICED,
    Calendar,
    Histories,
    Ints,
    Longs,
    Status,
)
from services.forecast.prediction.places import Places
from services.forecast.summing import value_of, whole_shares
from services.forecast.wire.heard import microseconds

ROW: Final = "_row"
"""The entry of the book that a state is, among the features; no model looks at it."""
_LARGEST: Final = 1 << 53
_QUARTER: Final = 3


@dataclass(frozen=True, slots=True)
class Record:
    """What a tenant's book says by an instant."""

    histories: Histories
    unconverted: int
    """How many open deals have an amount without a rate."""


def read(book: Book, question: Question, tenant: Tenant) -> Record:
    """The histories by what was recorded, and what was true, at the instant of a question."""
    versions = book.versions
    rows = versions.in_business_order()
    known = np.ones(len(rows), bool)
    if question.recorded is not None:
        known &= versions.recorded_at[rows] <= question.recorded
    if question.effective is not None:
        known &= versions.effective_at[rows] <= question.effective
    converting = book.codes.leads.codes(book.references.leads.at(question.recorded))
    if len(converting):
        known &= ~np.isin(versions.lead[rows], converting)
    rows = rows[known]
    values = value_of(book, rows, tenant, question, None)
    amount = np.clip(values.converted, 0, _LARGEST).astype(np.int64)
    amount = np.where(versions.has_amount[rows], amount, UNPRICED)
    state, deleted = versions.state[rows], versions.deleted[rows]
    status = np.full(len(rows), Status.OPEN, np.int8)
    status[state == State.WON], status[state == State.LOST] = Status.WON, Status.LOST
    status[deleted] = Status.GONE
    codes, deal = np.unique(versions.deal[rows], return_inverse=True)
    histories = Histories(
        deal.astype(np.int32),
        days_of(versions.effective_at[rows], question.zone),
        status,
        amount,
        np.minimum(versions.closes_on[rows], NEVER).astype(np.int32),
        {
            "owner": versions.owner[rows],
            "stage": versions.stage[rows],
            "pipeline": versions.pipeline[rows],
            "product": _products(book, rows),
            "segment": _segments(book, tenant, rows),
            ROW: rows.astype(np.int32),
        },
        len(codes),
    )
    last = histories.rows_at(int(histories.since.max(initial=0)))
    waiting = values.unconverted[last] & (status[last] == Status.OPEN)
    return Record(histories, int(waiting.sum()))


def days_of(instants: npt.NDArray[np.int64], zone: ZoneInfo) -> Ints:
    """The tenant's day of each instant (microseconds), as days since 1970."""
    if not len(instants):
        return np.empty(0, np.int32)
    first = EPOCH + timedelta(microseconds=int(instants.min()) - 86_400_000_000)
    last = EPOCH + timedelta(microseconds=int(instants.max()) + 2 * 86_400_000_000)
    days = [first + timedelta(number) for number in range((last - first).days + 1)]
    midnights = np.array([microseconds(datetime.combine(day, time(), zone)) for day in days], np.int64)
    place = np.searchsorted(midnights, instants, side="right") - 1
    return (place + day_number(first)).astype(np.int32)


def calendar_between(fiscal: FiscalCalendar, first: date, last: date) -> Calendar:
    """The fiscal months from the one of a day to that of another."""
    starts: list[int] = []
    phases: list[int] = []
    ends: list[int] = []
    for year in range(fiscal.year_of(first), fiscal.year_of(last) + 1):
        months = fiscal.months(year)
        for number, (start, after) in enumerate(pairwise(months)):
            if after > first and start <= last:
                starts.append(day_number(start))
                phases.append(number % _QUARTER)
                ends.append(day_number(after))
    return Calendar(np.array([*starts, ends[-1]], np.int32), np.array(phases, np.int8))


@dataclass(frozen=True, slots=True)
class Seats:
    """Where deals stand in one tree."""

    book: Book
    tenant: Tenant
    axis: Axis
    question: Question

    def __call__(self, histories: Histories, rows: Longs, owners: Ints | None) -> dict[str, Places]:
        """Deals in some states; or as they would stand, had others opened them."""
        of_book = histories.features[ROW][rows]
        if owners is not None and self.question.group_by in (GroupBy.OWNER, GroupBy.TEAM, GroupBy.TERRITORY):
            of_book = self._owned(histories, of_book, owners)
        places = self._places(of_book, np.asarray(histories.status[rows] != Status.OPEN) & (owners is None))
        if owners is not None and self.question.within is not None:
            seen = self._seen(owners)
            places = places.take(np.arange(len(rows)))
            hidden = ~seen[np.repeat(np.arange(len(rows)), places.count)]
            node = places.node.copy()
            node[hidden] = -1
            places = Places(node, places.low, places.high, places.start, places.count, places.nodes)
        return {TREE: places}

    def _places(self, rows: Ints, closed: npt.NDArray[np.bool_]) -> Places:
        membership = self.axis.dimension.members(self.book, rows, self.tenant)
        shares = whole_shares(self.book, rows, membership)
        day = np.where(closed, self.book.versions.closes_on[rows], NEVER).astype(np.int64)
        node = self.axis.place(np.asarray(membership.member, np.int64), day[shares.index])
        count = np.bincount(shares.index, minlength=len(rows)).astype(np.int32)
        start = np.cumsum(count) - count
        amount = self.book.versions.amount[rows][shares.index]
        has = self.book.versions.has_amount[rows][shares.index] & (amount != 0)
        ordinal = np.arange(len(shares.index)) - start[shares.index]
        many = np.maximum(count[shares.index], 1)
        whole = np.where(has, amount, 1)
        low = np.where(has, shares.start / whole, ordinal / many)
        high = np.where(has, shares.end / whole, (ordinal + 1) / many)
        return Places(node, low, high, start, count, len(self.axis.tree))

    def _owned(self, histories: Histories, rows: Ints, owners: Ints) -> Ints:
        """For each owner a deal that is all the owner's: new ones stand where it does."""
        versions = self.book.versions
        everything = histories.features[ROW]
        alone = everything[self.book.splits.count[everything] == 0] if len(self.book.splits) else everything
        width = len(self.book.codes.users) + 1
        example = np.full(width, -1, np.int64)
        example[versions.owner[alone]] = alone
        found = example[owners]
        return np.where(found >= 0, found, rows).astype(np.int32)

    def _seen(self, owners: Ints) -> npt.NDArray[np.bool_]:
        within = self.question.within or frozenset()
        seen = np.zeros(len(self.book.codes.users) + 1, bool)
        seen[self.book.codes.users.codes(within)] = True
        return np.asarray(seen[owners])


TREE: Final = "tree"
"""The name of the one tree that is asked about."""


def first_day_of(histories: Histories) -> date:
    """The first day that anything is known of."""
    return EPOCH + timedelta(int(histories.since.min(initial=0)))


def _products(book: Book, rows: npt.NDArray[Any]) -> Ints:
    """The first product of each version."""
    parts = book.product_lines
    has = parts.count[rows] > 0
    found = np.full(len(rows), UNKNOWN, np.int32)
    found[has] = parts.member[parts.start[rows[has]]]
    return found


def _segments(book: Book, tenant: Tenant, rows: npt.NDArray[Any]) -> Ints:
    names: dict[str, int] = {}
    segment = np.full(len(book.codes.accounts) + 1, UNKNOWN, np.int32)
    for id, content in tenant.of("account").items():
        if (name := content.get("segment")) and (code := book.codes.accounts.code(id)) >= 0:
            segment[code] = names.setdefault(name, len(names))
    return np.asarray(segment[book.versions.account[rows]])
