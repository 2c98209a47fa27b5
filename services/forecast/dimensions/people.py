"""By whom deals are worked on: the owners side by side, and the teams by who reports to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt

from services.forecast.book.cells import Dimension, Membership
from services.forecast.book.reference import Interval, Tenant
from services.forecast.book.versions import UNDATED, Rows
from services.forecast.dimensions.axis import Axis, Numbers
from services.forecast.dimensions.credit import credited, is_whole, seen
from services.forecast.dimensions.question import Credit, Hierarchy, Question, first_day, opened
from services.forecast.dimensions.timelines import EARLIEST, Timelines
from services.forecast.dimensions.tree import ROOT, Stand, TreeBuilder
from services.forecast.domain.figures import State
from services.forecast.domain.hierarchies import Hierarchy as Positions
from services.forecast.domain.hierarchies import Link, former_id
from services.forecast.domain.trees import NodeKind

if TYPE_CHECKING:
    from services.forecast.book.book import Book

_HIDDEN: Final = -1


def dimension(credit: Credit) -> Dimension:
    """Deals by whose they are and whether they are closed: what is closed may stand elsewhere.

    The member is 2 · the user's code + 1, and one more for what is closed: -1 is what is open and nobody's.
    """

    def members(book: Book, rows: Rows, _: Tenant) -> Membership:
        closed = book.versions.state[rows] != State.OPEN
        if is_whole(book, rows, credit):
            return Membership(book.versions.owner[rows].astype(np.int64) * 2 + closed + 1)
        shares = credited(book, rows, credit)
        return Membership(shares.member.astype(np.int64) * 2 + closed[shares.index] + 1, shares)

    return Dimension(f"people by {credit.name}", members)


def users_of(member: Numbers) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """The user's code (-1 for nobody) of each member, and whether it is about closed deals."""
    return (member - 1) // 2, (member - 1) % 2 == 1


def owners(book: Book, question: Question) -> Axis:
    """The users with their deals, side by side."""
    tenant = book.at(question.organisation)
    builder, within = TreeBuilder(), question.within
    places = np.full(len(book.codes.users) + 1, _HIDDEN, np.int32)
    for id, name in tenant.users.items():
        if within is None or id in within:
            number = builder.add(id, Stand(str(id), name, NodeKind.USER))
            if (code := book.codes.users.code(id)) >= 0:
                places[code] = number
    _strays(book, question, builder, places)
    if within is None:
        places[-1] = builder.none()
    tree, place_of = builder.build()
    at = np.where(places < 0, _HIDDEN, place_of[places])

    def place(member: Numbers, _: Numbers) -> npt.NDArray[np.int32]:
        found: npt.NDArray[np.int32] = at[users_of(member)[0]]
        return found

    return Axis(tree, dimension(question.credit), place, may_share=_splits(book, question))


def teams(book: Book, question: Question) -> Axis:
    """Each user below whom the user reports to, with everyone below."""
    team = Team(book, book.at(question.organisation), question)
    at, closed_at = team.places, team.timelines

    def place(member: Numbers, day: Numbers) -> npt.NDArray[np.int32]:
        user, closed = users_of(member)
        found = at[user]
        if closed_at is not None:
            moved = np.flatnonzero(closed & (day != UNDATED) & team.has_moved[user])
            found[moved] = closed_at.at(user[moved], day[moved])
        return found

    days = tuple(closed_at.days) if closed_at is not None else ()
    return Axis(team.tree, dimension(question.credit), place, days, may_share=_splits(book, question))


class Team:
    """Who stands where: `places` by the user's code at the instant of the answer, the last for nobody;
    `timelines` where on other days, for those who moved."""

    def __init__(self, book: Book, tenant: Tenant, question: Question) -> None:
        self._book, self._question = book, question
        self._users = tenant.users
        self._positions = Positions(_links(tenant.lines))
        codes = book.codes.users
        everybody = {*self._users, *codes.ids(range(len(codes)))}
        within = question.within
        self._shown = everybody if within is None else everybody & within
        timelines = {user: self._positions.timeline(user) for user in self._shown}
        self._standing = {user: found.at(question.standing) for user, found in timelines.items()}
        moves = question.hierarchy is Hierarchy.BOOKED
        builder = TreeBuilder()
        numbers = self._numbers(builder)
        if within is None:
            builder.none()
        self.tree, place_of = builder.build()
        self.places = np.full(len(codes) + 1, _HIDDEN, np.int32)
        self.has_moved = np.zeros(len(codes) + 1, bool)
        moved: dict[int, list[tuple[int, int]]] = {}
        for user, timeline in timelines.items():
            code = codes.code(user)
            if code < 0:
                continue
            self.places[code] = place_of[numbers[self._standing[user]]]
            if moves and len(timeline.starts) > 1:
                self.has_moved[code] = True
                days = [EARLIEST, *(first_day(start, question.zone) for start in timeline.starts[1:])]
                at = [int(place_of[numbers[position]]) for position in timeline.positions]
                moved[code] = list(zip(days, at, strict=True))
        self.timelines = Timelines(moved) if moved else None
        if within is None:
            self.places[-1] = self.tree.place("none")

    def _numbers(self, builder: TreeBuilder) -> list[int]:
        """The number of each position's node. Whom the caller does not see has none: whoever stands below
        stands where that one does."""
        numbers = [ROOT]
        for position in range(1, len(self._positions.positions)):
            at = self._positions.positions[position]
            assert at is not None
            above, user = numbers[at.above], at.member
            if user not in self._shown:
                numbers.append(above)
                continue
            name = self._users.get(user, str(user))
            path = self._positions.path(position)
            stand = Stand(former_id(path), name, NodeKind.USER, above, str(user))
            numbers.append(builder.add((above, user), stand))
            if self._standing[user] == position:
                known = builder.nodes[numbers[-1]]
                known.id, known.subject = str(user), ""
        return numbers


def _links(lines: list[Interval]) -> dict[UUID, list[Link]]:
    found: dict[UUID, list[Link]] = {}
    for line in map(opened, lines):
        found.setdefault(line.user, []).append(Link(line.valid_from, line.valid_to, line.other))
    return found


def _strays(book: Book, question: Question, builder: TreeBuilder, places: npt.NDArray[np.int32]) -> None:
    """Users who have deals and have not been heard of are called by their ids."""
    visible = None if question.within is None else seen(book, question.within)
    for code in np.flatnonzero(places[:-1] < 0).tolist():
        if visible is None or visible[code]:
            id = book.codes.users.id(code)
            places[code] = builder.add(id, Stand(str(id), str(id), NodeKind.USER))


def _splits(book: Book, question: Question) -> bool:
    if question.credit is Credit.OVERLAY:
        return len(book.overlays) > 0
    return question.credit is Credit.REVENUE and len(book.splits) > 0


__all__ = ["Team", "dimension", "owners", "teams", "users_of"]
