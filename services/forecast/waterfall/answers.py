"""Answering what changed, for one caller: the bars of each node, and the deals behind a bar."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.forecast.book import UNDATED, Book, date_of, day_number
from services.forecast.book.exact import Amounts, sums
from services.forecast.book.interning import Currencies
from services.forecast.book.parts import Shares
from services.forecast.book.valuing import categories_of
from services.forecast.book.versions import Rows
from services.forecast.dimensions.axes import axis_of
from services.forecast.dimensions.axis import Axis
from services.forecast.dimensions.credit import credited, whole
from services.forecast.dimensions.question import Credit, GroupBy
from services.forecast.dimensions.rates import rate_days
from services.forecast.domain.currencies import Lacking
from services.forecast.domain.figures import State
from services.forecast.waterfall.asked import Asked
from services.forecast.waterfall.attribution import Bools, Codes, Measure, attributed
from services.forecast.waterfall.bars import Bars, Level, added_up, levels, opened
from services.forecast.waterfall.history import History, Instant
from services.forecast.waterfall.places import Places, Shown
from services.forecast.waterfall.reasons import Reason
from services.forecast.waterfall.standings import Compared, Comparison, Placing, Question

_OF_PEOPLE: Final = (GroupBy.OWNER, GroupBy.TEAM, GroupBy.TERRITORY)


@dataclass(frozen=True, slots=True)
class Answer:
    """A waterfall: of each node the opening, the bars and the closing."""

    nodes: list[Shown]
    opening: Level
    bars: Bars
    closing: Level
    lacking: list[Lacking]

    def shown(self) -> list[int]:
        """The nodes that have anything, and the first."""
        has = (self.opening.deals > 0) | (self.closing.deals > 0)
        for bar in self.bars.by_reason.values():
            has |= bar.deals > 0
        has[0] = True
        return [int(place) for place in np.flatnonzero(has)]


@dataclass(frozen=True, slots=True)
class Behind:
    """The deals behind bars: one entry for each deal and reason, in order of the deals' ids."""

    deal: Codes
    reason: NDArray[np.int8]
    total: Amounts
    open: Amounts
    closed: Amounts
    opening: Rows
    """The version that each stood in at the opening; -1 where there was none."""
    closing: Rows
    opening_amount: Amounts
    """What each deal added to the node's figure at the opening."""
    closing_amount: Amounts


@dataclass(frozen=True, slots=True)
class Stood:
    """How a deal stood at one end."""

    row: int
    category: int
    amount: int | None
    """In minor units; of a lost deal, what it was when it was last open."""
    currency: str


class Waterfall:
    """What changed between two instants, as a caller sees it."""

    def __init__(self, book: Book, asked: Asked) -> None:
        self.book, self.asked = book, asked
        opening, closing = (asked.instant(each, book) for each in (asked.opening, asked.closing))
        self.history = History(book, opening, closing)

    def answer(self, node_id: str, depth: int | None, *, path: bool) -> Answer:
        """The bars of a node and of what is below it, `depth` levels deep.

        Raises:
            NodeNotFound: there is no such node at either instant.
        """
        places = self._places(node_id, depth)
        comparison = Comparison(self.history, self._question(places))
        within = places.within()
        compared = comparison.at_once()
        categories = self.asked.categories
        opening, closing = levels(compared.pairs, compared.portions, categories, within)
        if path:
            compared = comparison.by_event()
        changed = compared.changed()
        changes = attributed(compared.pairs, changed, categories)
        bars = added_up(changes, compared.pairs, changed, within)
        return Answer(places.shown, opening, bars, closing, _counted(comparison.lacking))

    def behind(self, node_id: str, reason: Reason | None, *, path: bool) -> Behind:
        """The deals behind a bar of a node, or behind all of its bars.

        Raises:
            NodeNotFound: there is no such node at either instant.
        """
        places = self._places(node_id, 0)
        comparison = Comparison(self.history, self._question(places))
        within = places.within()
        ends = comparison.at_once()
        compared = comparison.by_event() if path else ends
        changed = compared.changed()
        changes = attributed(compared.pairs, changed, self.asked.categories)
        parts = [
            part
            for part in opened(changes, compared.pairs, changed, within)
            if reason is None or part.reason is reason
        ]
        keys = [part.deal.astype(np.int64) * 32 + part.reason for part in parts]
        distinct, inverse = np.unique(
            np.concatenate(keys) if keys else np.empty(0, np.int64), return_inverse=True
        )
        deal = (distinct // 32).astype(np.int32)
        halves = self.book.codes.deals.halves(deal)
        order = np.lexsort((distinct % 32, halves[:, 1], halves[:, 0]))

        def total(columns: Iterable[Amounts]) -> Amounts:
            amounts = list(columns)
            added = (
                sums(inverse, np.concatenate(amounts), len(distinct)) if amounts else np.empty(0, np.int64)
            )
            ordered: Amounts = added[order]
            return ordered

        deal = deal[order]
        was, now = self._standing(ends, deal)
        return Behind(
            deal,
            (distinct % 32).astype(np.int8)[order],
            total(part.total for part in parts),
            total(part.open for part in parts),
            total(part.closed for part in parts),
            comparison.opening[deal],
            comparison.closing[deal],
            was,
            now,
        )

    def _standing(self, ends: Compared, deal: Codes) -> tuple[Amounts, Amounts]:
        """What some deals add to the figure at either end."""
        measure, pairs, portions = Measure.of(self.asked.categories), ends.pairs, ends.portions
        place = np.zeros(len(self.book.codes.deals), np.int64)
        place[pairs.deal] = np.arange(1, len(pairs.deal) + 1)
        found = []
        for standing, amount in ((pairs.opening, portions.opening), (pairs.closing, portions.closing)):
            counted = amount * measure.gate(standing, portions.pair).total
            by_pair = sums(portions.pair + 1, counted, len(pairs.deal) + 1)
            found.append(by_pair[place[deal]])
        return found[0], found[1]

    def stood(self, rows: Rows, at_opening: bool) -> list[Stood | None]:
        """How deals stood in some versions, at one end; None where there was none, or none that is seen."""
        asked = self.asked.opening if at_opening else self.asked.closing
        instant = self.history.opening if at_opening else self.history.closing
        there = np.flatnonzero(rows >= 0)
        if asked.within is not None:
            seen = credited(self.book, rows[there], Credit.REVENUE, asked.within).index
            there = there[np.unique(seen)]
        known = rows[there]
        versions, is_lost = self.book.versions, self.book.versions.state[known] == State.LOST
        money = np.where(is_lost, self.history.last_open(known), known)
        categories = categories_of(self.book, known, instant.tenant)[0]
        found: list[Stood | None] = [None] * len(rows)
        for place, row, of_money, category in zip(
            there.tolist(), known.tolist(), money.tolist(), categories.tolist(), strict=True
        ):
            if versions.deleted[row]:
                continue
            amount = int(versions.amount[of_money]) if versions.has_amount[of_money] else None
            found[place] = Stood(row, category, amount, Currencies.id(int(versions.currency[of_money])))
        return found

    # Where deals stand

    @cached_property
    def _axes(self) -> tuple[Axis, Axis]:
        return axis_of(self.book, self.asked.opening), axis_of(self.book, self.asked.closing)

    def _places(self, node_id: str, depth: int | None) -> Places:
        opening, closing = self._axes
        return Places.of(opening.tree, closing.tree, node_id, depth)

    def _question(self, places: Places) -> Question:
        asked, (opening, closing) = self.asked, self._axes
        first, last = UNDATED, UNDATED
        if asked.period.start is not None and asked.period.end is not None:
            first, last = day_number(asked.period.start), day_number(asked.period.end)
        of_people = asked.closing.group_by in _OF_PEOPLE and (
            asked.closing.credit is Credit.OVERLAY
            or (asked.closing.credit is Credit.REVENUE and len(self.book.splits) > 0)
        )
        return Question(
            first_day=first,
            last_day=last,
            currency=asked.closing.currency,
            categories=asked.categories,
            rate_days=self._rate_days,
            opening=self._placing(opening, places.opening, self.history.opening),
            closing=self._placing(closing, places.closing, self.history.closing),
            owner=self._owners(places) if of_people else None,
            is_split=self._is_split if of_people else None,
        )

    def _is_split(self, rows: Rows) -> Bools:
        if self.asked.closing.credit is Credit.OVERLAY:
            return np.ones(len(rows), bool)
        split: Bools = self.book.splits.count[rows] > 0
        return split

    def _owners(self, places: Places) -> Placing:
        """Where the whole of a deal stands with its owner at the closing."""
        axis = axis_of(self.book, replace(self.asked.closing, credit=Credit.OWNED))
        return self._placing(axis, places.codes_of(axis.tree), self.history.closing)

    def _placing(self, axis: Axis, codes: Codes, instant: Instant) -> Placing:
        book = self.book

        def place(rows: Rows) -> Shares:
            membership = axis.dimension.members(book, rows, instant.tenant)
            shares = membership.shares or whole(book, rows, membership.member)
            days = book.versions.closes_on[rows][shares.index].astype(np.int64)
            node = axis.place(np.asarray(membership.member, np.int64), days)
            places = np.where(node >= 0, codes[node], np.int32(-1))
            return Shares(shares.index, places, shares.start, shares.end)

        return place

    def _rate_days(self, rows: Rows, instant: Instant) -> NDArray[np.int32]:
        asked = self.asked.opening if instant is self.history.opening else self.asked.closing
        days = rate_days(self.book, rows, asked)
        if days is not None:
            return days
        closes_on, state = self.book.versions.closes_on[rows], self.book.versions.state[rows]
        today = np.int32(day_number(instant.today))
        found: NDArray[np.int32] = np.where((state == State.OPEN) | (closes_on == UNDATED), today, closes_on)
        return found


def _counted(lacking: Collection[tuple[int, int]]) -> list[Lacking]:
    """The rates that are missing, with how many deals wait for each."""
    found = [
        Lacking(Currencies.id(currency), day, deals)
        for (currency, number), deals in Counter(lacking).items()
        if (day := date_of(number)) is not None
    ]
    return sorted(found, key=lambda each: (each.currency, each.day))
