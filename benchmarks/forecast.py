"""What the forecast costs with a million open opportunities: `sfa bench --forecast`.

The deals are put into the forecast's database as their events would have left them; everything that is
measured is asked for from outside, through the gateway, but for the rebuild: there the events are put into
the opportunities service's history, and are read from it as ever.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import asyncpg

from benchmarks.forecast_company import ForecastCompany, history
from benchmarks.load import closed_loop
from benchmarks.operations import Result, freshness
from benchmarks.system import System

OPEN_DEALS: Final = 1_000_000
_HISTORY: Final = 100_000
_PATIENCE: Final = 300.0
Say = Callable[[dict[str, Any]], None]


async def measure(system: System, scale: float, row: Callable[[Any], dict[str, Any]], note: Say) -> None:
    """Fills, then measures one thing after the other."""
    company = ForecastCompany(system.tenant, max(1000, int(OPEN_DEALS * scale)), datetime.now(UTC).date())
    owner = await asyncpg.connect(system.installation.database_url("forecast", owner=True))
    started = time.perf_counter()
    versions = await company.fill(owner)
    await owner.close()
    note(
        _said(
            f"{company.size:,} open opportunities, {versions:,} versions: filled",
            time.perf_counter() - started,
        )
    )
    started = time.perf_counter()
    await _patiently(system, f"/v1/forecast?depth=0&periods={company.periods}")
    note(_said("first question after a start: everything is read", time.perf_counter() - started))
    resident = system.tree.pss_bytes() / 1e6
    note({"name": "memory (PSS) with the book", "value": f"{resident:.0f} MB", "target": "", "met": None})

    many = max(20, int(200 * min(1.0, scale * 2)))
    instants = random.Random(1)

    def instant() -> str:
        at = company.begun + timedelta(seconds=instants.uniform(0, 1) * 330 * 86_400)
        return quote(at.isoformat().replace("+00:00", "Z"))

    async def timed(name: str, path: Callable[[], str], count: int, most: float) -> None:
        await system.client.ask("GET", path())
        before = system.tree.cpu_seconds()
        load = await closed_loop(lambda _: system.client.ask("GET", path()), count, at_once=1)
        cpu = (system.tree.cpu_seconds() - before) * 1000 / count
        found = load.quantile(0.95)
        target = f"p95 {found * 1000:.1f} < {most * 1000:.0f} ms"
        note(row(Result(name, load, cpu, None, target, found < most)))

    await timed("roll-up at the root", lambda: f"/v1/forecast?depth=0&periods={company.periods}", many, 0.02)
    await timed(
        "roll-up as of any instant",
        lambda: f"/v1/forecast?depth=0&periods={company.periods}&asOf={instant()}",
        many // 4,
        0.3,
    )
    quarter = f"{company.today.year}-Q{(company.today.month + 2) // 3}"
    await timed(
        "waterfall of a quarter",
        lambda: f"/v1/forecast:changes?periodId={quarter}&depth=0&openingTime={instant()}",
        many // 4,
        0.5,
    )
    await _changes(system, max(3.0, 15 * scale), row, note)
    await _rebuild(system, company, max(20_000, int(_HISTORY * scale)), note)
    path = f"/v1/forecast/prediction?periods={quarter}"
    await _once(lambda: _patiently(system, path), "prediction for all nodes", 30, note)


async def _changes(system: System, seconds: float, row: Callable[[Any], dict[str, Any]], note: Say) -> None:
    target = "300/s, p99 < 100 ms"
    try:
        result = await freshness(system, 300, seconds)
    except TimeoutError:  # it falls further and further behind
        note(
            {
                "name": "commit → forecast at 300/s",
                "value": "not kept up with",
                "target": target,
                "met": False,
            }
        )
        return
    met = result.load.quantile(0.99) < 0.1 and result.load.per_second > 295
    note(row(Result(result.name, result.load, result.cpu, None, target, met)))


async def _rebuild(system: System, company: ForecastCompany, events: int, note: Say) -> None:
    url = system.installation.database_url("opportunities", owner=True)
    owner = await asyncpg.connect(url)
    await history(owner, company, events)
    await owner.close()
    started = time.perf_counter()
    operation = await system.client.ask("POST", "/v1/forecast:rebuild", {})
    path = f"/v1/forecast/rebuilds/{operation['name'].rpartition('/')[2]}"
    while not operation.get("done"):
        await asyncio.sleep(0.2)
        operation = await system.client.ask("GET", path)
    seconds = time.perf_counter() - started
    per_second = int(operation["response"]["events"]) / seconds
    note(
        {
            "name": f"rebuild from history, {int(operation['response']['events']):,} events",
            "value": f"{per_second:,.0f}/s",
            "target": "≥ 10,000/s",
            "met": per_second >= 10_000,
        }
    )


async def _once(ask: Callable[[], Awaitable[Any]], name: str, most: float, note: Say) -> None:
    started, value = time.perf_counter(), "no answer"
    seconds = float("inf")
    with suppress(RuntimeError):
        await ask()
        seconds = time.perf_counter() - started
        value = f"{seconds:.1f} s"
    note({"name": name, "value": value, "target": f"< {most:.0f} s", "met": seconds < most})


async def _patiently(system: System, path: str) -> Any:
    """Asks until there is an answer: the first one reads everything, which may take longer than a request."""
    until = time.monotonic() + _PATIENCE
    while (answer := await system.client.send("GET", path)).status in (408, 429, 499, 503, 504):
        if time.monotonic() > until:
            break
        await asyncio.sleep(0.1)
    if answer.status >= 300:
        raise RuntimeError(f"GET {path}: {answer.status} {answer.body[:500]!r}")
    return answer.json()


def _said(name: str, seconds: float) -> dict[str, Any]:
    return {"name": name, "value": f"{seconds:.1f} s", "target": "", "met": None}
