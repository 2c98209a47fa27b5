"""A tree as arrays: its nodes in the order in which they are answered, each after the one above."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from services.forecast.domain.figures import NONE
from services.forecast.domain.trees import ALL, NodeKind, NodeNotFound

ROOT: Final = 0
Numbers = npt.NDArray[np.int32]


@dataclass(slots=True)
class Stand:
    """What is known of a node before the tree is put in order."""

    id: str
    name: str
    kind: NodeKind
    above: int = ROOT
    subject: str = ""
    """Whose position it is, where it is a former one."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Nodes, each after the one above it, those below the same one by name; the root is the first."""

    nodes: tuple[Stand, ...]
    above: Numbers
    depth: Numbers
    after: Numbers
    """The place after everything that is below each."""
    places: dict[str, int]
    """Where each id is."""

    def __len__(self) -> int:
        return len(self.nodes)

    def place(self, id: str) -> int:
        """Where a node is.

        Raises:
            NodeNotFound: there is none of this id.
        """
        found = self.places.get(id)
        if found is None:
            raise NodeNotFound(id)
        return found

    def within(self, place: int, depth: int | None = None) -> Numbers:
        """A node and what is below it, at most so many levels deep."""
        places = np.arange(place, self.after[place], dtype=np.int32)
        if depth is None:
            return places
        shown: Numbers = places[self.depth[places] - self.depth[place] <= depth]
        return shown

    def has_children(self, place: int) -> bool:
        """Whether anything is below a node."""
        return bool(self.after[place] > place + 1)


@dataclass(slots=True)
class TreeBuilder:
    """Nodes in any order, but for the one above, which comes before; each is known by a key."""

    nodes: list[Stand] = field(default_factory=lambda: [Stand(ALL, "All", NodeKind.ALL, -1)])
    known: dict[Hashable, int] = field(default_factory=dict)

    def add(self, key: Hashable, stand: Stand) -> int:
        """The number of the node with a key, which is added where it is new."""
        number = self.known.get(key)
        if number is None:
            number = self.known[key] = len(self.nodes)
            self.nodes.append(stand)
        return number

    def none(self) -> int:
        """The node of what has no place."""
        return self.add(NONE, Stand(NONE, "None", NodeKind.NONE))

    def build(self) -> tuple[Tree, Numbers]:
        """The tree, and where each number is in it."""
        children: dict[int, list[int]] = {}
        for number, stand in enumerate(self.nodes[1:], 1):
            children.setdefault(stand.above, []).append(number)
        for below in children.values():
            below.sort(key=self._by_name, reverse=True)
        order = list(_before(children))
        place_of = np.zeros(len(order), np.int32)
        place_of[order] = np.arange(len(order), dtype=np.int32)
        above = np.full(len(order), -1, np.int32)
        depth = np.zeros(len(order), np.int32)
        after = np.arange(1, len(order) + 1, dtype=np.int32)
        for place, number in enumerate(order[1:], 1):
            above[place] = place_of[self.nodes[number].above]
            depth[place] = depth[above[place]] + 1
        for place in range(len(order) - 1, 0, -1):
            after[above[place]] = max(after[above[place]], after[place])
        nodes = tuple(self.nodes[number] for number in order)
        places = {stand.id: place for place, stand in reversed(list(enumerate(nodes)))}
        return Tree(nodes, above, depth, after, places), place_of

    def _by_name(self, number: int) -> tuple[bool, str, str]:
        stand = self.nodes[number]
        return stand.kind is NodeKind.NONE, stand.name.casefold(), stand.id


def _before(children: dict[int, list[int]]) -> Iterator[int]:
    """All numbers, each before what is below it."""
    pending = [ROOT]
    while pending:
        number = pending.pop()
        yield number
        pending.extend(children.get(number, ()))
