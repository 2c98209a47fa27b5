"""Deals that stand at a node with several parts: by how much counts of deals would be too high.

A deal counts once at a node, however many of its products, splits or territories lie there or below. Adding
its parts up counts it once for each; what is too much is added up by itself, kept like any other sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from services.forecast.book.cells import Dimension, Membership
from services.forecast.book.parts import Shares
from services.forecast.book.reference import Tenant
from services.forecast.book.versions import Rows
from services.forecast.dimensions import Axis, Tree

if TYPE_CHECKING:
    from services.forecast.book.book import Book

Numbers = npt.NDArray[np.int64]


def repeats(axis: Axis) -> Dimension:
    """Each repetition of a deal at a node as a part without an amount. The member is twice the node's place
    for those of the node with everything below, and one more for those of the node itself."""

    def members(book: Book, rows: Rows, tenant: Tenant) -> Membership:
        several = np.flatnonzero(_has_parts(book, axis, rows))
        chosen = rows[several]
        membership = axis.dimension.members(book, chosen, tenant)
        shares = membership.shares
        if shares is None:
            return _parts(np.empty(0, np.int64), np.empty(0, np.int64))
        parts = np.flatnonzero(np.bincount(shares.index, minlength=len(chosen))[shares.index] > 1)
        index = shares.index[parts]
        days = book.versions.closes_on[chosen[index]].astype(np.int64)
        place = axis.place(np.asarray(membership.member, np.int64)[parts], days)
        again, node = repeated(axis.tree, index, place)
        return _parts(several[index[again]], node)

    return Dimension(f"repeats {axis.number}", members)


def repeated(tree: Tree, index: npt.NDArray[Any], place: npt.NDArray[Any]) -> tuple[Numbers, Numbers]:
    """Which parts repeat their deal (`index`) at a node, and at which: twice its place, and one more for
    the node itself. Parts at no place, -1, are none."""
    parts = np.flatnonzero(place >= 0)
    deal, at = index[parts].astype(np.int64), place[parts].astype(np.int64)
    own, own_at = _again(tree, parts, deal, at)
    pairs = []
    while len(parts):
        pairs.append((parts, deal, at))
        at = tree.above[at].astype(np.int64)
        inside = at >= 0
        parts, deal, at = parts[inside], deal[inside], at[inside]
    if not pairs:
        return own, own_at
    every, every_at = _again(tree, *(np.concatenate(column) for column in zip(*pairs, strict=True)))
    return np.concatenate([every, own]), np.concatenate([every_at * 2, own_at * 2 + 1])


def _again(tree: Tree, parts: Numbers, deal: Numbers, at: Numbers) -> tuple[Numbers, Numbers]:
    """All but the first of each deal at each node."""
    _, first = np.unique(deal * len(tree) + at, return_index=True)
    again = np.ones(len(parts), bool)
    again[first] = False
    return parts[again], at[again]


def _has_parts(book: Book, axis: Axis, rows: Rows) -> npt.NDArray[np.bool_]:
    """Which versions may have several parts."""
    several = np.zeros(len(rows), bool)
    for parts in (book.product_lines, book.splits, book.overlays):
        if len(parts):
            several |= parts.count[rows] > (axis.sharing is None)
    if axis.sharing is not None:
        owner = book.versions.owner[rows]
        several |= axis.sharing[np.where(owner < len(axis.sharing) - 1, owner, -1)]
    return several


def _parts(index: Numbers, node: Numbers) -> Membership:
    nothing = np.zeros(len(index), np.int64)
    return Membership(node, Shares(index.astype(np.int32), node.astype(np.int32), nothing, nothing))
