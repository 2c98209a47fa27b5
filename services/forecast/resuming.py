"""Going on where a stream broke off: what the caller missed, rather than everything once more.

A cursor says how often the forecast had changed, and marks the frame of what was sent: the tree, the
periods, the day. While only deals have changed since, what they did to each node follows from the versions
that came: no replica has to remember what it sent to whom.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt

from chassis.call import Call
from services.forecast.book.loading import read_progress
from services.forecast.book.versions import NONE
from services.forecast.dimensions import Tree
from services.forecast.store import HistoryStore
from services.forecast.summing import sums_of

if TYPE_CHECKING:
    from services.forecast.book import Book
    from services.forecast.rollup import RolledUp

MOST_MISSED: Final = 20_000
"""How many versions may have come since: where there are more, everything is sent."""
_CURSOR: Final = re.compile(r"(\d{1,18})-([0-9a-f]{16})-([0-9a-f]{16})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a stream stands."""

    count: int
    """How often the forecast had changed."""
    scope: str
    """What was asked for, and by whom."""
    frame: str
    """What all nodes had in common."""

    def __str__(self) -> str:
        return f"{self.count}-{self.scope}-{self.frame}"

    @classmethod
    def read(cls, text: str) -> Cursor | None:
        """A cursor as it was written; None for anything else."""
        match = _CURSOR.fullmatch(text)
        return cls(int(match[1]), match[2], match[3]) if match else None


@dataclass(frozen=True, slots=True)
class Frame:
    """What all nodes of a forecast have in common, and its mark."""

    tree: Tree | None = None
    rest: object = None
    mark: str = ""

    @classmethod
    def of(cls, forecast: RolledUp, rest: object, before: Frame) -> Frame:
        """The frame of a forecast; `before` where that is the same."""
        tree = forecast.axis.tree
        if tree is before.tree and rest == before.rest:
            return before
        nodes = "\n".join(f"{node.id} {node.subject} {node.name}" for node in tree.nodes)
        book, within = forecast.book, forecast.question.within
        seen = "" if within is None else " ".join(sorted(map(str, within)))
        said = f"{book.epoch} {rest} {seen}".encode()
        return cls(tree, rest, fingerprint(nodes.encode(), tree.above.tobytes(), said))


@dataclass(frozen=True, slots=True)
class Missed:
    """The nodes that changed meanwhile."""

    numbers: list[int]
    """Which of those that are shown."""
    gone: list[str]
    """The ids of those that are shown no longer."""

    def __bool__(self) -> bool:
        return bool(self.numbers or self.gone)


class Resumption:
    """What came since a cursor, read until it is all that a forecast was made of."""

    def __init__(self, count: int, call: Call) -> None:
        self.call, self.count = call, count
        self._until = count
        self._came: list[tuple[UUID, int]] = []

    async def missed(self, forecast: RolledUp) -> Missed | None:
        """What changed in a forecast since it had changed `count` times.

        None where more than deals has changed, or too much of them, or the cursor is of another time.

        Raises:
            Overtaken: the book has gone on since the forecast was made of it.
        """
        book, seen = forecast.book, forecast.book.seen
        if self.count > seen:
            return None
        if self._until < seen:
            if (await read_progress(self.call.tx)).reference_changes > self.count:
                return None
            most = MOST_MISSED + 1 - len(self._came)
            self._came += await HistoryStore(self.call).since(self._until, seen, most)
            self._until = seen
        if len(self._came) > MOST_MISSED:
            return None
        if book.seen != seen:
            raise Overtaken
        former, present = _versions(
            book, {(book.codes.deals.code(id), version) for id, version in self._came}
        )
        axis, question, shown = forecast.axis, forecast.question, forecast.shown
        was, now = (sums_of(book, axis, question, book.counting(rows)) for rows in (former, present))
        everywhere = np.arange(len(axis.tree), dtype=np.int32)
        differs = (was.total(everywhere) != now.total(everywhere)).any(axis=(1, 2))
        differs |= (was.own != now.own).any(axis=(1, 2))
        numbers = np.flatnonzero(differs[shown]).tolist()
        differs[shown] = False
        return Missed(numbers, [axis.tree.nodes[place].id for place in _below(forecast, differs)])


class Overtaken(Exception):
    """A book went on while the database was asked what had come to it."""


def _below(forecast: RolledUp, differs: npt.NDArray[np.bool_]) -> list[int]:
    """Which of the nodes that differ could be shown."""
    places = np.flatnonzero(differs)
    top = int(forecast.shown[0])
    inside = (places > top) & (places < forecast.axis.tree.after[top])
    return [int(place) for place in places[inside]]


def _versions(book: Book, came: set[tuple[int, int]]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Of each deal that some versions came of: the last version before, where there was one, and the last
    one now. Those of which both are the same are left out."""
    versions = book.versions
    former, present = [], []
    for deal in sorted({deal for deal, _ in came}):
        row = last = int(versions.last[deal])
        while row != NONE and (deal, int(versions.version[row])) in came:
            row = int(versions.before[row])
        if row != last:
            present.append(last)
            if row != NONE:
                former.append(row)
    return np.array(former, np.int32), np.array(present, np.int32)


def fingerprint(*parts: bytes) -> str:
    """A short digest."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
