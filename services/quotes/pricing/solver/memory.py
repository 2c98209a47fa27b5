"""What was solved before, for the next time that nearly the same is asked.

A cell is known by its content: what its lines cost and may cost, and which offers stand on it. After one
changed line all other cells answer from memory, as long as the promotions are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.quotes.pricing.problem import Problem
from services.quotes.pricing.solver.allocation import Allocated

Content = tuple[object, ...]
_MOST_CELLS = 4000


@dataclass(slots=True)
class Solved:
    """What is known of a cell: costs by choice, the units behind them, and whether offers are in no one's way."""

    costs: dict[int, tuple[int, int] | None] = field(default_factory=dict)
    allocated: dict[int, Allocated | None] = field(default_factory=dict)
    shares: dict[int, tuple[int, ...]] = field(default_factory=dict)
    is_simple: bool | None = None


class Memory:
    """Solved cells of one quote that is being worked on; not for several threads at once."""

    def __init__(self) -> None:
        self._offers: Content = ()
        self._cells: dict[Content, Solved] = {}

    def __len__(self) -> int:
        return len(self._cells)

    def enter(self, problem: Problem, minor: int) -> None:
        """Forget all unless the same offers meet a document of the same kind."""
        document = problem.document
        offers: Content = (
            tuple((offer.code, offer.kind, offer.amount, offer.limit) for offer in problem.offers),
            problem.promotions,
            problem.tick,
            minor,
            document.prices_include_tax,
            document.manual,
            document.settings,
            document.exponent,
        )
        if offers != self._offers or len(self._cells) > _MOST_CELLS:
            self._offers = offers
            self._cells = {}

    def cell(self, content: Content, shares: dict[int, tuple[int, ...]]) -> Solved:
        """What is known of a cell, to be read and added to; `shares` by offer, which other lines decide, too."""
        found = self._cells.get(content)
        if found is None:
            found = self._cells[content] = Solved(shares=shares)
        elif found.shares != shares:
            changed = 0
            for index in found.shares.keys() | shares.keys():
                if found.shares.get(index) != shares.get(index):
                    changed |= 1 << index
            found.costs = {mask: known for mask, known in found.costs.items() if not mask & changed}
            found.allocated = {mask: known for mask, known in found.allocated.items() if not mask & changed}
            found.shares = shares
            found.is_simple = None
        return found
