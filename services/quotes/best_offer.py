"""The best combination of promotions with its explanation, computed where it keeps nobody waiting.

What was solved of a quote is kept for the next time that nearly the same is asked: while somebody works on a
quote, one changed line is one cell to be solved again. Kept are the quotes asked for last, so many and no more.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from threading import Lock
from typing import Final

from services.quotes.pricing import model
from services.quotes.pricing.explanation import explain
from services.quotes.pricing.problem import prepare
from services.quotes.pricing.solver import Memory
from services.quotes.pricing.solver.answer import solve

_MOST_QUOTES: Final = 64
_MOST_CELLS: Final = 5000
"""Of all quotes together: a cell is a line, or lines whose units promotions want, of some kilobytes."""


class Memories:
    """What is known of the quotes priced last, each lent to one thread at a time."""

    def __init__(self, most_quotes: int = _MOST_QUOTES, most_cells: int = _MOST_CELLS) -> None:
        self._kept: OrderedDict[Hashable, Memory] = OrderedDict()
        self._most_quotes = most_quotes
        self._most_cells = most_cells
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def lend(self, whose: Hashable) -> Memory:
        """What is known of a quote; nothing where it is new, or being priced elsewhere at this moment."""
        with self._lock:
            known = self._kept.pop(whose, None)
        return Memory() if known is None else known

    def keep(self, whose: Hashable, memory: Memory) -> None:
        """Take it back, and let go what was asked for longest ago."""
        with self._lock:
            self._kept[whose] = memory
            self._kept.move_to_end(whose)
            cells = sum(map(len, self._kept.values()))
            while self._kept and (len(self._kept) > self._most_quotes or cells > self._most_cells):
                _, gone = self._kept.popitem(last=False)
                cells -= len(gone)


_memories = Memories()


async def best_offer(
    document: model.Document, promotions: Sequence[model.Promotion], whose: Hashable = None
) -> model.Result:
    """The best selection for the document, priced and explained, in about the time that its settings give.

    `whose` names the quote among all of all tenants, so that what is solved of it is there when it is asked
    for again.
    """
    return await asyncio.to_thread(_best, document, promotions, whose)


def _best(
    document: model.Document, promotions: Sequence[model.Promotion], whose: Hashable = None
) -> model.Result:
    memory = None if whose is None else _memories.lend(whose)
    result = solved_with(memory, document, promotions)
    if memory is not None:
        _memories.keep(whose, memory)
    return result


def solved_with(
    memory: Memory | None, document: model.Document, promotions: Sequence[model.Promotion]
) -> model.Result:
    """The best selection, priced and explained; where time is over, losses are named and not priced."""
    started = time.perf_counter()
    deadline = started + document.settings.budget_ms / 1000
    solved = solve(prepare(document, promotions), deadline, memory)
    return replace(
        explain(solved.computed, until=deadline),
        proven=solved.gap == 0,
        bound=solved.bound,
        gap=solved.gap,
        solve_ms=(time.perf_counter() - started) * 1000,
    )
