"""Where deals stand in a waterfall: the nodes of two trees, that of the opening and that of the closing.

A node is the same in both where its id is. What a place is, is said by the nodes asked for that hold it:
so a deal that goes from one to another of two people who are shown as one has not moved.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from services.forecast.dimensions.tree import ROOT, Stand, Tree
from services.forecast.domain.trees import NodeNotFound
from services.forecast.waterfall.attribution import Codes
from services.forecast.waterfall.bars import Within

OUTSIDE = -1
"""The place of what stands in none of the nodes asked for."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A node asked for, and how far below the root it is."""

    stand: Stand
    above: str
    depth: int


@dataclass(slots=True)
class Places:
    """The places of both trees, with one numbering."""

    shown: list[Shown]
    opening: Codes
    """The place of each node of the opening's tree."""
    closing: Codes
    """The place of each node of the closing's tree."""
    _known: dict[tuple[int, ...], int] = field(default_factory=dict)

    @classmethod
    def of(cls, opening: Tree, closing: Tree, node_id: str, depth: int | None) -> "Places":
        """The places below a node, `depth` levels deep; all levels where that is None.

        Raises:
            NodeNotFound: neither of the trees has the node.
        """
        shown = _shown(closing, node_id, depth)
        _insert(shown, _shown(opening, node_id, depth))
        if not shown:
            raise NodeNotFound(node_id)
        places = cls(shown, np.empty(0, np.int32), np.empty(0, np.int32))
        places.opening = places.codes_of(opening)
        places.closing = places.opening if closing is opening else places.codes_of(closing)
        return places

    def within(self) -> Within:
        """Which of the nodes shown hold each place."""
        deepest = max(map(len, self._known), default=0)
        nodes = np.full((len(self._known), max(deepest, 1)), OUTSIDE, np.int32)
        for path, place in self._known.items():
            nodes[place, : len(path)] = path
        return Within(nodes, len(self.shown))

    def codes_of(self, tree: Tree) -> Codes:
        """The place of each node of a tree, known or new; to be asked before `within`."""
        numbers = {each.stand.id: number for number, each in enumerate(self.shown)}
        paths: list[tuple[int, ...]] = []
        codes = np.empty(len(tree), np.int32)
        for node, above in enumerate(tree.above.tolist()):
            number = numbers.get(tree.nodes[node].id)
            path = paths[above] if node != ROOT else ()
            paths.append(path if number is None else (*path, number))
            codes[node] = self._known.setdefault(paths[node], len(self._known)) if paths[node] else OUTSIDE
        return codes


def _shown(tree: Tree, node_id: str, depth: int | None) -> list[Shown]:
    top = tree.places.get(node_id)
    if top is None:
        return []
    return [
        Shown(
            tree.nodes[node],
            tree.nodes[tree.above[node]].id if node != ROOT else "",
            int(tree.depth[node]),
        )
        for node in tree.within(top, depth).tolist()
    ]


def _insert(shown: list[Shown], former: Iterable[Shown]) -> None:
    """Puts those that are gone since after what is below the node above them."""
    known = {each.stand.id for each in shown}
    for each in former:
        if each.stand.id in known:
            continue
        known.add(each.stand.id)
        above = next((place for place, other in enumerate(shown) if other.stand.id == each.above), None)
        if above is None:
            shown.append(each)
            continue
        place = above + 1
        while place < len(shown) and shown[place].depth > shown[above].depth:
            place += 1
        shown.insert(place, Shown(each.stand, each.above, shown[above].depth + 1))
