"""Trees that deals roll up in: teams, territories, and flat ones of owners and products."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from chassis.errors import NotFound
from services.forecast.domain.figures import NONE, Figures

ALL: Final = "all"
"""The root: everything that the caller sees."""

Cells = Mapping[str, Mapping[str, Figures]]
"""Figures by node, then by period."""


class NodeNotFound(NotFound):
    """The forecast that the caller sees has no such node."""

    def __init__(self, node: str) -> None:
        super().__init__(
            f"There is no node {node} in the forecast that you can see.",
            field="node_id",
        )


class NodeKind(IntEnum):
    """What a node stands for; the numbers are those of the proto's enum."""

    ALL = 1
    USER = 2
    TERRITORY = 3
    PRODUCT = 4
    NONE = 5
    PRODUCT_FAMILY = 6
    PIPELINE = 7
    SEGMENT = 8


@dataclass(frozen=True, slots=True)
class Member:
    """Something that can be a node, and what it stands below; below the root where `parent` is None."""

    id: str
    name: str
    kind: NodeKind
    parent: str | None = None


@dataclass(slots=True)
class Node:
    """A node with its own figures and those of everything below it, by period."""

    id: str
    name: str
    kind: NodeKind
    parent_id: str = ""
    depth: int = 0
    own: dict[str, Figures] = field(default_factory=dict)
    total: dict[str, Figures] = field(default_factory=dict)
    has_children: bool = False


def roll_up(
    members: Iterable[Member],
    own: Cells,
    root_total: Mapping[str, Figures] | None = None,
) -> list[Node]:
    """The tree with the figures of all nodes: the root first, children after their parent by name.

    A member whose parent is not among the members stands below the root, and so does one of a circle
    (two reporting lines may be heard in an order that makes one for a moment). What has figures and
    is no member gets a node called by its id. `root_total` replaces the sum at the root: by product a
    deal with two products is one deal.
    """
    nodes, parents = _nodes(members, own)
    children: dict[str, list[Node]] = {}
    for node in nodes.values():
        children.setdefault(parents[node.id], []).append(node)
    root = Node(ALL, "All", NodeKind.ALL)
    ordered: list[Node] = []
    pending = [root]
    while pending:
        node = pending.pop()
        ordered.append(node)
        below = sorted(children.get(node.id, ()), key=_by_name, reverse=True)
        node.has_children = bool(below)
        for child in below:
            child.parent_id, child.depth = node.id, node.depth + 1
        pending.extend(below)
    for node in reversed(ordered):  # children before their parents
        node.own = dict(own.get(node.id, {}))
        for period, figures in node.own.items():
            _add(node.total, period, figures)
        if node.parent_id:
            parent = root if node.parent_id == ALL else nodes[node.parent_id]
            for period, figures in node.total.items():
                _add(parent.total, period, figures)
    if root_total is not None:
        root.total = dict(root_total)
    return ordered


def below(nodes: list[Node], node_id: str, depth: int | None = None) -> list[Node]:
    """A node with what is below it, `depth` levels deep.

    Raises:
        NodeNotFound: it is not among the nodes.
    """
    top = next((node for node in nodes if node.id == node_id), None)
    if top is None:
        raise NodeNotFound(node_id)
    kept = {top.id}
    for node in nodes:  # parents come before their children
        if node.parent_id in kept and (depth is None or node.depth - top.depth <= depth):
            kept.add(node.id)
    return [node for node in nodes if node.id in kept]


def pruned(nodes: list[Node], keep: frozenset[str] = frozenset()) -> list[Node]:
    """Without the nodes that have neither deals nor anything below that has, but for those to keep."""
    wanted = {ALL} | keep
    for node in reversed(nodes):
        if node.total or node.id in wanted:
            wanted |= {node.id, node.parent_id}
    return [node for node in nodes if node.id in wanted]


def _nodes(members: Iterable[Member], own: Cells) -> tuple[dict[str, Node], dict[str, str]]:
    known = {member.id: member for member in members}
    nodes, parents = {}, {}
    for member in known.values():
        nodes[member.id] = Node(member.id, member.name, member.kind)
        parents[member.id] = member.parent if member.parent in known and not _circular(member, known) else ALL
    for stray in own.keys() - nodes.keys() - {ALL}:
        kind = NodeKind.NONE if stray == NONE else NodeKind.USER
        nodes[stray] = Node(stray, "None" if stray == NONE else stray, kind)
        parents[stray] = ALL
    return nodes, {child: parent or ALL for child, parent in parents.items()}


def _circular(member: Member, known: Mapping[str, Member]) -> bool:
    seen, above = {member.id}, member.parent
    while above is not None and above in known:
        if above == member.id:
            return True
        if above in seen:
            return False  # a circle further up, which its own members break
        seen.add(above)
        above = known[above].parent
    return False


def _by_name(node: Node) -> tuple[bool, str, str]:
    return node.kind is NodeKind.NONE, node.name.casefold(), node.id


def _add(cells: dict[str, Figures], period: str, figures: Figures) -> None:
    cells[period] = cells.get(period) or Figures()
    cells[period] += figures
