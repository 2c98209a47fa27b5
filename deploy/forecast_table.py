"""The forecast as tables: one for each period, a row for each node, indented by its depth."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import orjson
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from chassis.money import minor_unit
from deploy.importing.client import Api, SignIn

Document = Mapping[str, Any]

_CATEGORIES: Final = ("closed", "commit", "bestCase", "pipeline", "omitted")
_HEADINGS: Final = ("Closed", "Commit", "Best case", "Pipeline", "Omitted")
_STALE_SECONDS: Final = 5.0
_WIDTH: Final = 120
_AGAIN_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for."""

    periods: tuple[str, ...] = ()
    group_by: str = "TEAM"
    currency: str = ""
    node: str = ""
    depth: int | None = None
    hierarchy: str = ""
    credit: str = ""
    as_of: datetime | None = None
    in_business_time: bool = False

    def parameters(self) -> dict[str, Any]:
        """As the query of a request."""
        at = self.as_of.astimezone(UTC).isoformat().replace("+00:00", "Z") if self.as_of else ""
        wanted = {
            "hierarchy": self.hierarchy,
            "credit": self.credit,
            "effectiveAsOf" if self.in_business_time else "asOf": at,
            "periods": list(self.periods),
            "groupBy": self.group_by,
            "currency": self.currency,
            "nodeId": self.node,
            "depth": None if self.depth is None else str(self.depth),
        }
        return {name: value for name, value in wanted.items() if value}


async def ask(url: str, sign_in: SignIn, question: Question, *, alone: bool, as_json: bool) -> None:
    """Prints the forecast once."""
    async with Api(url, sign_in) as api:
        forecast = await api.get("/v1/forecast", **question.parameters())
    if as_json:
        _write(forecast)
    else:
        wide_console().print(render(forecast, alone=alone))


async def follow(url: str, sign_in: SignIn, question: Question, *, alone: bool, as_json: bool) -> None:
    """Prints the forecast, and again whenever it changes, until it is interrupted."""
    forecast: dict[str, Any] = {}
    async with Api(url, sign_in) as api:
        with Live(console=wide_console(), auto_refresh=False, screen=False, transient=False) as live:
            async for change in _changes(api, question):
                forecast = applied(forecast, change)
                if as_json:
                    live.stop()
                    _write(change, indented=False)
                else:
                    live.update(render(forecast, alone=alone), refresh=True)


async def run_audit(url: str, sign_in: SignIn, question: Question, *, as_json: bool) -> bool:
    """Prints what an audit finds; whether that is nothing."""
    async with Api(url, sign_in) as api:
        audit = await api.post(
            "/v1/forecast:audit", {"currency": question.currency} if question.currency else {}
        )
    if as_json:
        _write(audit)
    else:
        Console().print(render_audit(audit))
    return bool(audit.get("consistent"))


def wide_console() -> Console:
    """A console with room for the figures: in a narrow window lines wrap, and nothing is cut off."""
    return Console(width=max(Console().width, _WIDTH))


def render(forecast: Document, *, alone: bool = False) -> RenderableType:
    """The forecast as tables, with what has to be known beside them."""
    parts: list[RenderableType] = []
    for period in forecast.get("periods", ()):
        rows = list(_rows(forecast, period["id"], alone=alone))
        if rows or period["id"] != "undated":
            parts.append(_table(forecast, period, rows))
    return Group(*parts, *_remarks(forecast))


def applied(forecast: Mapping[str, Any], change: Document) -> dict[str, Any]:
    """The forecast after a change of the stream."""
    new = change.get("forecast", {})
    if change.get("reset"):
        return dict(new)
    gone = set(change.get("removedNodeIds", ()))
    nodes = {node["id"]: node for node in forecast.get("nodes", ()) if node["id"] not in gone}
    nodes |= {node["id"]: node for node in new.get("nodes", ())}
    return {**forecast, "nodes": list(_ordered(nodes)), "watermarks": new.get("watermarks", ())}


def render_audit(audit: Document) -> RenderableType:
    """What an audit found."""
    compared = f"{audit.get('deals', 0)} deals and {audit.get('figures', 0)} figures were compared"
    if audit.get("consistent"):
        return Text(f"{compared}: there is no difference.", style="green")
    count = audit.get("differenceCount", 0)
    table = Table(title=f"{compared}: {count} differences", title_style="red", title_justify="left")
    for heading in ("What", "Where", "Field", "Recomputed", "Forecast"):
        table.add_column(heading, overflow="fold")
    for each in audit.get("differences", ()):
        names = ("opportunityId", "stageId", "groupBy", "nodeId", "periodId")
        where = " ".join(each[name] for name in names if each.get(name))
        table.add_row(
            each["kind"], where, each.get("field", ""), each.get("recomputed", ""), each.get("forecast", "")
        )
    return table


def _table(forecast: Document, period: Document, rows: list[tuple[str, ...]]) -> Table:
    table = Table(
        title=f"{period['name']} · {forecast['currency']}",
        title_justify="left",
        title_style="bold",
        pad_edge=False,
    )
    table.add_column(forecast.get("groupBy", "TEAM").title(), min_width=14)
    for heading in (*_HEADINGS, "Weighted", "Overdue", "Deals"):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, row in enumerate(rows):
        table.add_row(*row, style="bold" if number == 0 else None)
    return table


def _rows(forecast: Document, period: str, *, alone: bool) -> Iterator[tuple[str, ...]]:
    nodes = forecast.get("nodes", ())
    top = nodes[0].get("depth", 0) if nodes else 0
    for node in nodes:
        cell = next((cell for cell in node.get("cells", ()) if cell["periodId"] == period), None)
        if cell is None:
            continue
        total = cell["total"]
        sums = total["alone" if alone else "cumulative"]
        overdue = total.get("overdue", {})
        yield (
            "  " * (node.get("depth", 0) - top)
            + node["name"]
            + (" (former)" if node.get("isFormer") else ""),
            *(amount(sums[category]["amount"]) for category in _CATEGORIES),
            amount(total["weighted"]),
            amount(overdue["amount"]) if int(overdue.get("deals", 0)) else "",
            str(total.get("deals", 0)),
        )


def _remarks(forecast: Document) -> Iterator[Text]:
    for missing in forecast.get("missingRates", ()):
        day = missing["date"]
        yield Text(
            f"{missing['deals']} deals are not in the amounts: no rate from {missing['currency']} to"
            f" {missing['target']} on or before {day['year']}-{day['month']:02}-{day['day']:02}.",
            style="yellow",
        )
    for mark in forecast.get("watermarks", ()):
        age = mark.get("heartbeatAge")
        seconds = float(age.rstrip("s")) if age else None
        if mark.get("position") and (seconds is None or seconds > _STALE_SECONDS):
            silence = f"for {seconds:.0f} seconds" if seconds is not None else "since the forecast started"
            yield Text(f"Nothing was heard from {mark['source']} {silence}.", style="yellow")


def amount(money: Document) -> str:
    """An amount with its thousands apart, and its minor unit where there is any."""
    value = int(money.get("units", 0)) + Decimal(money.get("nanos", 0)) / 10**9
    if value == value.to_integral_value():
        return f"{value:,.0f}"
    return f"{value.quantize(minor_unit(money['currencyCode'])):,f}"


def _ordered(nodes: Mapping[str, Document]) -> Iterator[Document]:
    """Each node before what is below it, those with the same parent by name."""
    below: dict[str, list[Document]] = {}
    for node in nodes.values():
        parent = node.get("parentId", "")
        below.setdefault(parent if parent in nodes else "", []).append(node)
    pending = [""]
    while pending:
        parent = pending.pop()
        if parent:
            yield nodes[parent]
        children = sorted(
            below.get(parent, ()), key=lambda node: (node["kind"] == "NONE", node["name"].casefold())
        )
        pending.extend(node["id"] for node in reversed(children))


async def _changes(api: Api, question: Question) -> AsyncIterator[Document]:
    """The stream's messages; a stream that ends, with its token or otherwise, goes on from its cursor."""
    cursor = ""
    while True:
        async for event in api.events("/v1/forecast:stream", cursor=cursor, **question.parameters()):
            cursor = event.get("cursor", cursor)
            yield event
        await asyncio.sleep(_AGAIN_SECONDS)


def _write(document: Document, *, indented: bool = True) -> None:
    sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 if indented else None) + b"\n")
    sys.stdout.buffer.flush()
