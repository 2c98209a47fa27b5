"""One tree for one question: the sums that it is made of, and at which node each of them stands."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from services.forecast.book.cells import Dimension
from services.forecast.dimensions.tree import Tree

Numbers = npt.NDArray[np.int64]
_NUMBERS = count()


@dataclass(frozen=True, slots=True)
class Axis:
    """A tree, and what stands where in it."""

    tree: Tree
    dimension: Dimension
    """By what the deals are added up before they are placed."""
    place: Callable[[Numbers, Numbers], npt.NDArray[np.int32]]
    """The node of each member of the dimension on each day (`UNDATED` for none); -1 where the caller does
    not see it."""
    days: tuple[int, ...] = ()
    """Days on which somebody comes to stand elsewhere: on two sides of one, a member has two nodes."""
    is_kept: bool = True
    """Whether the dimension is one for every caller, so that its sums are worth being kept."""
    may_share: bool = False
    """Whether a deal may have several parts, and counts once in each node above them."""
    sharing: npt.NDArray[np.bool_] | None = None
    """For each user's code (the last for nobody) whether a deal of the user's has several parts; only where
    that is for another reason than its splits and its products."""
    number: int = field(default_factory=_NUMBERS.__next__)
    """No other has the same."""


def by_code(places: npt.NDArray[Any]) -> Callable[[Numbers, Numbers], npt.NDArray[np.int32]]:
    """For members that stand at one node, whatever the day: `places` by code, the last for -1."""

    def place(member: Numbers, _: Numbers) -> npt.NDArray[np.int32]:
        found: npt.NDArray[np.int32] = places[member]
        return found

    return place
