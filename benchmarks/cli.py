"""`sfa bench`: starts a system of its own, drives it from outside, prints what everything costs."""

from __future__ import annotations

import asyncio
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

console = Console()


def bench(
    scale: Annotated[float, typer.Option(help="How many requests, as a share of the usual number.")] = 1.0,
    processes: Annotated[str, typer.Option(help="one or each: whether the services share a process.")] = "",
    maven: Annotated[Path | None, typer.Option(help="The Maven CRM folder, to import it too.")] = None,
    holds: Annotated[bool, typer.Option("--holds", help="Only holds of stock on one hot product.")] = False,
    forecast: Annotated[
        bool, typer.Option(help="Only the forecast, of a million open opportunities.")
    ] = False,
    pricing: Annotated[bool, typer.Option(help="Only how quotes are priced, without a system.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Measure speed: requests/s, latency, CPU of all processes per request, beside the floor."""
    import uvloop

    progress = Console(stderr=True)

    def say(row: dict[str, Any]) -> None:
        progress.print(row["name"], row.get("value", ""), style="dim")

    if pricing:
        rows = _pricing(scale, say)
    elif forecast:
        rows = uvloop.run(_measure_forecast(scale, processes or None, say))
    else:
        rows = uvloop.run(
            _measure_holds(scale, processes or None, say)
            if holds
            else _measure(scale, processes or None, maven, say)
        )
    if as_json:
        console.print_json(json.dumps(rows))
    else:
        console.print(_table(rows))
        console.print(
            f"[dim]{platform.processor() or platform.machine()}, Python {platform.python_version()}[/]"
        )
    if any(row["met"] is False for row in rows):
        raise typer.Exit(1)


def _pricing(scale: float, say: Callable[[dict[str, Any]], None]) -> list[dict[str, Any]]:
    from benchmarks.pricing import measure

    return measure(scale, say)


async def _measure(
    scale: float, processes: str | None, maven: Path | None, say: Callable[[dict[str, Any]], None]
) -> list[dict[str, Any]]:
    from benchmarks import documents, importing, operations
    from benchmarks.system import system

    def many(count: int) -> int:
        return max(20, int(count * scale))

    rows: list[dict[str, Any]] = []
    for row in documents.measure(scale):  # in this process, before a system runs beside it
        rows.append(row)
        say(row)

    def note(row: dict[str, Any]) -> None:
        rows.append(row)
        say(row)

    async with system(processes) as running:
        note(_figure("start on an existing database", running.start_seconds, "s", 4))
        await asyncio.sleep(2)  # idle
        note(_figure("memory (PSS), idle", running.tree.pss_bytes() / 1e6, "MB", 900))
        async with operations.floor(running) as least:
            for operation in (operations.create, operations.get, operations.list_50):
                note(_row(await operation(running, least, many(1000))))
        note(_row(await operations.move(running, many(1000))))
        note(_row(await operations.convert(running, many(100))))
        note(_row(await operations.bulk(running, max(4, int(20 * scale)))))
        note(_row(await operations.freshness(running, 200, max(3.0, 15 * scale))))
        if maven is not None:
            note(_figure("import of the Maven folder", await importing.maven(running, maven), "s", 20))
    return rows


async def _measure_forecast(
    scale: float, processes: str | None, say: Callable[[dict[str, Any]], None]
) -> list[dict[str, Any]]:
    from benchmarks import forecast
    from benchmarks.system import system

    rows: list[dict[str, Any]] = []

    def note(row: dict[str, Any]) -> None:
        rows.append(row)
        say(row)

    async with system(processes) as running:
        await forecast.measure(running, scale, _row, note)
    return rows


async def _measure_holds(
    scale: float, processes: str | None, say: Callable[[dict[str, Any]], None]
) -> list[dict[str, Any]]:
    from benchmarks.holds import hot_product
    from benchmarks.system import system

    async with system(processes) as running:
        row = _row(await hot_product(running, max(20, int(1000 * scale))))
    say(row)
    return [row]


def _figure(name: str, value: float, unit: str, most: float) -> dict[str, Any]:
    return {"name": name, "value": f"{value:.1f} {unit}", "target": f"< {most} {unit}", "met": value < most}


def _row(result: Any) -> dict[str, Any]:
    return {
        "name": result.name,
        "per_second": round(result.load.per_second, 1),
        "p50_ms": round(result.load.quantile(0.5) * 1000, 2),
        "p99_ms": round(result.load.quantile(0.99) * 1000, 2),
        "cpu_ms": round(result.cpu, 3),
        "floor_ms": None if result.floor is None else round(result.floor, 3),
        "ratio": None if result.ratio is None else round(result.ratio, 2),
        "target": result.target,
        "met": result.met,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("operation", "per s", "p50 ms", "p99 ms", "CPU ms", "floor ms", "× floor", "target", "")
    for row in rows:
        if "value" in row:
            cells = ["", "", "", row["value"], "", ""]
        else:
            names = ("per_second", "p50_ms", "p99_ms", "cpu_ms", "floor_ms", "ratio")
            cells = ["" if row[name] is None else str(row[name]) for name in names]
        mark = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[row["met"]]
        table.add_row(row["name"], *cells, row["target"], mark)
    return table
