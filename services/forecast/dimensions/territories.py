"""Where deals are made: the tree of territories, by which of them the deals' owners cover.

Who covers what is dated. Somebody may cover several territories at a time, each with a share; a deal is
then shared out to them by the largest remainder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt

from services.forecast.book.cells import Dimension, Membership
from services.forecast.book.parts import Shares
from services.forecast.book.reference import Interval, Tenant
from services.forecast.book.reference import Territory as Known
from services.forecast.book.versions import UNDATED, Rows
from services.forecast.dimensions.axis import Axis, Numbers
from services.forecast.dimensions.credit import credited, largest_remainder, seen
from services.forecast.dimensions.people import dimension as by_people
from services.forecast.dimensions.question import Credit, Hierarchy, Question, first_day, opened
from services.forecast.dimensions.timelines import EARLIEST, Timelines
from services.forecast.dimensions.tree import ROOT, Stand, TreeBuilder
from services.forecast.domain.figures import State
from services.forecast.domain.hierarchies import BEGINNING, END
from services.forecast.domain.trees import NodeKind

if TYPE_CHECKING:
    from services.forecast.book.book import Book

_UNIT: Final = 10**6
"""Shares are kept as millionths."""
Coverage = tuple[tuple[UUID, int], ...]
"""The territories that somebody covers, each with its share; none, one of 1, or some that sum to 1."""


def territories(book: Book, question: Question) -> Axis:
    """The tree of territories."""
    tenant = book.at(question.organisation)
    builder, known = TreeBuilder(), tenant.territories
    numbers = {id: _node(id, known, builder) for id in known}
    none = builder.none()
    tree, place_of = builder.build()
    covered = _Covered(book, tenant, question)
    # one row for each coverage, one column for each of its territories
    slots = max(1, *(len(coverage) for coverage in covered.all))
    at = np.full((len(covered.all), slots), place_of[none], np.int32)
    for row, coverage in enumerate(covered.all):
        for column, (territory, _) in enumerate(coverage):
            at[row, column] = place_of[numbers[territory]]
    visible = None if question.within is None else seen(book, question.within)

    def place(member: Numbers, day: Numbers) -> npt.NDArray[np.int32]:
        whose, slot = (member + 1) // slots - 1, (member + 1) % slots
        user, closed = (whose - 1) // 2, (whose - 1) % 2 == 1
        found = at[covered.of(user, closed, day), slot]
        return found if visible is None else np.where(visible[user], found, np.int32(-1))

    return Axis(
        tree,
        _dimension(question, covered, slots),
        place,
        tuple(covered.timelines.days) if covered.timelines else (),
        may_share=slots > 1 or question.credit is not Credit.OWNED,
        sharing=covered.sharing if slots > 1 else None,
    )


def _node(id: UUID, known: Mapping[UUID, Known], builder: TreeBuilder, under: tuple[UUID, ...] = ()) -> int:
    """The number of a territory's node; of a circle, whichever comes up again stands at the top."""
    territory = known[id]
    parent, under = territory.parent, (*under, id)
    is_below = parent is not None and parent in known and parent not in under
    above = _node(parent, known, builder, under) if parent is not None and is_below else ROOT
    return builder.add(id, Stand(str(id), territory.name, NodeKind.TERRITORY, above))


def _dimension(question: Question, covered: _Covered, slots: int) -> Dimension:
    """Deals by whose they are, whether they are closed, and to which of the territories a part belongs."""
    credit = question.credit
    if slots == 1:
        return by_people(credit)

    def members(book: Book, rows: Rows, _: Tenant) -> Membership:
        shares = credited(book, rows, credit)
        closed = (book.versions.state[rows] != State.OPEN)[shares.index]
        whose = shares.member.astype(np.int64) * 2 + closed + 1
        day = book.versions.closes_on[rows][shares.index].astype(np.int64)
        coverage = covered.of(shares.member.astype(np.int64), closed, day)
        of, slot, start, end = _shared_out(shares, coverage, covered.all)
        parts = Shares(shares.index[of], shares.member[of], start, end)
        return Membership((whose[of] + 1) * slots + slot - 1, parts)

    return Dimension(f"territories {covered.fingerprint} by {credit.name}", members)


def _shared_out(
    shares: Shares, coverage: Numbers, all_of_them: Sequence[Coverage]
) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Each part shared out to the territories of its coverage: of which part each is, the territory's
    place in the coverage, and from which running total to which it goes."""
    sizes = np.array([max(1, len(each)) for each in all_of_them], np.int64)
    counts = sizes[coverage]
    of = np.repeat(np.arange(len(coverage)), counts)
    slot = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
    start, end = shares.start[of], shares.end[of]
    for number in np.unique(coverage[counts > 1]).tolist():
        parts = np.flatnonzero(coverage == number)
        weights = [weight for _, weight in all_of_them[number]]
        ends = np.cumsum(largest_remainder((shares.end - shares.start)[parts], weights), axis=1)
        places = np.flatnonzero(coverage[of] == number).reshape(len(parts), len(weights))
        end[places] = shares.start[parts][:, None] + ends
        start[places[:, 1:]] = end[places[:, :-1]]
    return of, slot, start, end


class _Covered:
    """Which territories each user covers, and when: a number for each set of territories with shares."""

    def __init__(self, book: Book, tenant: Tenant, question: Question) -> None:
        self.all: list[Coverage] = [()]
        """All coverages that there are; the first is none."""
        self._number: dict[Coverage, int] = {(): 0}
        codes, known = book.codes.users, tenant.territories
        by_user: dict[int, list[Interval]] = {}
        for each in tenant.assignments:
            if each.other in known and (code := codes.code(each.user)) >= 0:
                by_user.setdefault(code, []).append(opened(each))
        self._now = np.zeros(len(codes) + 1, np.int64)
        self._has_moved = np.zeros(len(codes) + 1, bool)
        self.sharing = np.zeros(len(codes) + 1, bool)
        """Who covers, or covered, several territories at a time."""
        moves = question.hierarchy is Hierarchy.BOOKED
        moved: dict[int, list[tuple[int, int]]] = {}
        for code, intervals in by_user.items():
            self._now[code] = self._at(intervals, question.standing)
            starts = sorted({BEGINNING, *_changes(intervals)})
            at = [self._at(intervals, start) for start in starts]
            self.sharing[code] = any(len(self.all[number]) > 1 for number in at)
            if moves and len(set(at)) > 1:
                self._has_moved[code] = True
                days = [EARLIEST, *(first_day(start, question.zone) for start in starts[1:])]
                moved[code] = list(zip(days, at, strict=True))
        self.timelines = Timelines(moved) if moved else None
        covering = [(code, int(self._now[code])) for code in sorted(by_user)]
        self.fingerprint = hash((tuple(self.all), repr(covering), repr(sorted(moved.items()))))

    def of(self, user: Numbers, closed: npt.NDArray[np.bool_], day: Numbers) -> Numbers:
        """The number of each user's coverage: of what is closed on its day, of what is open now."""
        # users whom no version named when this was made cover nothing: as nobody does
        user = np.where(user < len(self._now) - 1, user, -1)
        found = self._now[user]
        if self.timelines is not None:
            places = np.flatnonzero(closed & (day != UNDATED) & self._has_moved[user])
            found[places] = self.timelines.at(user[places], day[places])
        return found

    def _at(self, intervals: Iterable[Interval], at: int) -> int:
        coverage = _coverage([each for each in intervals if each.valid_from <= at < each.valid_to])
        number = self._number.get(coverage)
        if number is None:
            number = self._number[coverage] = len(self.all)
            self.all.append(coverage)
        return number


def _coverage(holding: Sequence[Interval]) -> Coverage:
    """The territories that somebody covers by what holds at one time. Where shares do not sum to 1 (an
    assignment may be heard before the one that ends it) the last one is the only one."""
    if not holding:
        return ()
    shares = {each.other: int(Decimal(each.content.get("share") or 1) * _UNIT) for each in holding}
    if len(shares) == len(holding) and sum(shares.values()) == _UNIT:
        return tuple(sorted(shares.items()))
    last = max(holding, key=lambda each: (each.valid_from, each.id))
    return ((last.other, _UNIT),)


def _changes(intervals: Iterable[Interval]) -> Iterable[int]:
    for each in intervals:
        yield each.valid_from
        if each.valid_to < END:
            yield each.valid_to
