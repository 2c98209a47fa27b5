"""The best combination of promotions with its explanation, computed where it keeps nobody waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from services.quotes.pricing import model
from services.quotes.pricing.explanation import explain
from services.quotes.pricing.problem import prepare
from services.quotes.pricing.solver.answer import solve


async def best_offer(document: model.Document, promotions: Sequence[model.Promotion]) -> model.Result:
    """The best selection for the document, priced and explained, in about the time that its settings give."""
    return await asyncio.to_thread(_best, document, promotions)


def _best(document: model.Document, promotions: Sequence[model.Promotion]) -> model.Result:
    started = time.perf_counter()
    solved = solve(prepare(document, promotions), started + document.settings.budget_ms / 1000)
    return replace(
        explain(solved.computed),
        proven=solved.gap == 0,
        bound=solved.bound,
        gap=solved.gap,
        solve_ms=(time.perf_counter() - started) * 1000,
    )
