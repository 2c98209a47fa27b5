"""Dated trees: who stood below whom, and when.

Somebody who sits under two managers one after the other has two positions, each a node of its own, so that
what closed under the former manager stays there and every node is what is below it and its own. A position
is the whole path down to somebody: two people below a manager who moved have two positions each, too.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid5

BEGINNING: Final = -(1 << 62)
END: Final = 1 << 62
TOP: Final = 0
"""The position of the root."""
_FORMER: Final = UUID("6f1d6a1e-6f0c-5f0e-9d3c-2f2f0f5b7a11")
_DEEPEST: Final = 60


@dataclass(frozen=True, slots=True)
class Link:
    """From one instant to another (microseconds since 1970), somebody stands below `above`."""

    start: int
    end: int
    above: UUID | None


@dataclass(frozen=True, slots=True)
class Position:
    """Where somebody stands: below another position."""

    member: UUID
    above: int
    depth: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """Where somebody stood: from each start on at the position of the same place."""

    starts: tuple[int, ...]
    positions: tuple[int, ...]

    def at(self, instant: int) -> int:
        """The position at an instant."""
        return self.positions[max(bisect_right(self.starts, instant) - 1, 0)]


@dataclass(slots=True)
class Hierarchy:
    """All positions that anybody ever had, as far as they were asked for.

    Positions are numbered as they are met, each after the one above; 0 is the root.
    """

    links: Mapping[UUID, Sequence[Link]]
    positions: list[Position | None] = field(default_factory=lambda: [None])
    _known: dict[tuple[int, UUID], int] = field(default_factory=dict)
    _timelines: dict[UUID, Timeline] = field(default_factory=dict)

    def timeline(self, member: UUID) -> Timeline:
        """Where somebody stood from the beginning on; somebody without a link stands at the top."""
        found = self._timelines.get(member)
        if found is None:
            starts: list[int] = []
            positions: list[int] = []
            for start, _, position in self._spans(member, BEGINNING, END, ()):
                if not positions or positions[-1] != position:
                    starts.append(start)
                    positions.append(position)
            found = self._timelines[member] = Timeline(tuple(starts), tuple(positions))
        return found

    def below(self, above: int, member: UUID) -> int:
        """The position of somebody below another position."""
        key = above, member
        found = self._known.get(key)
        if found is None:
            over = self.positions[above]
            found = self._known[key] = len(self.positions)
            self.positions.append(Position(member, above, over.depth + 1 if over else 1))
        return found

    def path(self, position: int) -> list[UUID]:
        """Who stands above a position, from the top down to itself."""
        found: list[UUID] = []
        while (at := self.positions[position]) is not None:
            found.append(at.member)
            position = at.above
        return found[::-1]

    def _spans(
        self, member: UUID, start: int, end: int, under: tuple[UUID, ...]
    ) -> Iterable[tuple[int, int, int]]:
        """The positions that somebody had between two instants, one after the other.

        Of a circle (two links may be heard in an order that makes one for a moment), whoever comes up
        again stands at the top.
        """
        if not under and (start, end) == (BEGINNING, END):
            whole = self._timelines.get(member)
            if whole is not None:
                ends = (*whole.starts[1:], END)
                return list(zip(whole.starts, ends, whole.positions, strict=True))
        found: list[tuple[int, int, int]] = []
        under = (*under, member)
        for link in _without_gaps(self.links.get(member, ()), start, end):
            above = link.above
            if above is None or above in under or len(under) > _DEEPEST:
                found.append((link.start, link.end, self.below(TOP, member)))
                continue
            for low, high, position in self._spans(above, link.start, link.end, under):
                found.append((low, high, self.below(position, member)))
        return found


def former_id(path: Iterable[UUID]) -> str:
    """The id of a position that is not the one in which somebody stands."""
    return str(uuid5(_FORMER, "/".join(map(str, path))))


def _without_gaps(links: Sequence[Link], start: int, end: int) -> list[Link]:
    """What holds between two instants, in order and without gap or overlap; of two links that overlap,
    the one that begins later ends the other."""
    ordered = sorted(links, key=lambda link: (link.start, link.end, str(link.above)))
    found: list[Link] = []
    at = start
    for place, link in enumerate(ordered):
        after = ordered[place + 1].start if place + 1 < len(ordered) else END
        low, high = max(link.start, at), min(link.end, after, end)
        if low >= high:
            continue
        if low > at:
            found.append(Link(at, low, None))
        found.append(Link(low, high, link.above))
        at = high
    if at < end:
        found.append(Link(at, end, None))
    return found
