"""What the best combination of promotions costs to find: p50, p99 and the share proven, by size of quote and offer.

Run in this process, without the service around it, on the mix that `benchmarks.pricing_mix` states. Every
quote is priced with promotions of its own seed, explained only as far as naming goes; then one quantity of
it is changed and it is priced again with what was remembered.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.pricing_mix import a_document, the_promotions
from services.quotes.pricing.model import Document
from services.quotes.pricing.solver import Memory, best

SIZES = (10, 100, 500)
HARD = Path(__file__).parent / "promotions_hard"
_QUOTES = {10: 200, 100: 60, 500: 20}
_TARGETS = {(10, 10): 3.0, (100, 100): 25.0, (500, 500): 200.0}


@dataclass(frozen=True, slots=True)
class Measured:
    """Times in milliseconds, and how many answers were proven to be the best."""

    name: str
    times: tuple[float, ...]
    cpu: float  # a quote
    proven: int
    widest_gap: float  # of the total
    target: str = ""
    met: bool | None = None

    def quantile(self, share: float) -> float:
        """The time that this share of quotes was answered within."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(
    scale: float = 1.0, say: Callable[[dict[str, Any]], None] = lambda row: None
) -> list[dict[str, Any]]:
    """All sizes, then pricing again, then the hard set; rows as `sfa bench` prints them."""
    rows: list[dict[str, Any]] = []
    for measured in _all(scale):
        row = _row(measured)
        rows.append(row)
        say(row)
    return rows


def _all(scale: float) -> Iterator[Measured]:
    _price(0, 10, 10, 100)  # what is loaded at the first call is loaded
    for lines in SIZES:
        for promotions in SIZES:
            many = max(5, int(_QUOTES[max(lines, promotions)] * scale))
            most = _TARGETS.get((lines, promotions))
            yield _size(lines, promotions, many, most, 150 if lines == promotions == 500 else 1000)
    many = max(5, int(_QUOTES[500] * scale))
    yield _size(500, 500, many, None, 1000, share=0.99)
    for size in SIZES:
        yield _again(size, max(5, int(_QUOTES[size] * scale)))
    yield _hard()


def _size(
    lines: int, promotions: int, many: int, most: float | None, budget_ms: int, share: float | None = None
) -> Measured:
    times: list[float] = []
    proven = 0
    gap = 0.0
    started = time.process_time()
    for seed in range(many):
        spent, result = _price(seed, lines, promotions, budget_ms)
        times.append(spent)
        proven += result.proven
        gap = max(gap, (result.gap or 0) / max(1, result.totals.total))
    name = f"price {lines} lines × {promotions} promotions"
    name += f", within {budget_ms} ms" if lines == promotions == 500 else ""
    measured = Measured(name, tuple(times), (time.process_time() - started) * 1000 / many, proven, gap)
    if share is not None:
        return replace(measured, target=f"≥ {share:.0%} proven", met=proven >= share * many)
    if most is not None:
        return replace(measured, target=f"p99 < {most:g} ms", met=measured.quantile(0.99) < most)
    return measured


def _price(seed: int, lines: int, promotions: int, budget_ms: int) -> tuple[float, Any]:
    document = a_document(seed, lines)
    offered = the_promotions(seed, promotions, document)
    gc.collect()
    started = time.perf_counter()
    result = best(document, offered, budget_ms, detail=False)
    return (time.perf_counter() - started) * 1000, result


def _again(size: int, many: int) -> Measured:
    """One quantity changes: the same promotions, what was solved before remembered."""
    first: list[float] = []
    again: list[float] = []
    proven = 0
    started = time.process_time()
    for seed in range(many):
        document = a_document(seed, size)
        offered = the_promotions(seed, size, document)
        memory = Memory()
        gc.collect()
        before = time.perf_counter()
        best(document, offered, 1000, memory=memory, detail=False)
        between = time.perf_counter()
        result = best(_changed(document, seed), offered, 1000, memory=memory, detail=False)
        again.append((time.perf_counter() - between) * 1000)
        first.append((between - before) * 1000)
        proven += result.proven
    cpu = (time.process_time() - started) * 1000 / many
    share = sum(again) / sum(first)
    return Measured(
        f"price {size} × {size} again after one change ({share:.0%} of the first time)",
        tuple(again),
        cpu,
        proven,
        0.0,
        "≤ a third",
        share <= 1 / 3,
    )


def _changed(document: Document, seed: int) -> Document:
    place = seed % len(document.lines)
    line = document.lines[place]
    changed = replace(line, quantity=line.quantity + Decimal(1))
    return replace(document, lines=(*document.lines[:place], changed, *document.lines[place + 1 :]))


def _hard() -> Measured:
    from benchmarks.hard_cases import read

    times: list[float] = []
    proven = 0
    started = time.process_time()
    paths = sorted(HARD.glob("*.json"))
    for path in paths:
        document, offered = read(json.loads(path.read_text()))
        before = time.perf_counter()
        proven += best(document, offered, 1000, detail=False).proven
        times.append((time.perf_counter() - before) * 1000)
    return Measured(
        f"the hard set ({len(paths)} cases)",
        tuple(times),
        (time.process_time() - started) * 1000 / len(paths),
        proven,
        0.0,
    )


def _row(measured: Measured) -> dict[str, Any]:
    many = len(measured.times)
    gap = f", gap ≤ {measured.widest_gap:.2%}" if measured.proven < many and measured.widest_gap else ""
    return {
        "name": f"{measured.name}: {measured.proven / many:.1%} of {many} proven{gap}",
        "per_second": round(1000 * many / sum(measured.times), 1),
        "p50_ms": round(measured.quantile(0.5), 2),
        "p99_ms": round(measured.quantile(0.99), 2),
        "cpu_ms": round(measured.cpu, 2),
        "floor_ms": None,
        "ratio": None,
        "target": measured.target,
        "met": measured.met,
    }
