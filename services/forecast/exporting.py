"""A forecast as a file: its figures, or the deals behind them, as CSV, Arrow or Parquet."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import numpy as np
from google.api.httpbody_pb2 import HttpBody
from sfa.api.v1.http_pb2 import HttpAnswer
from sfa.forecast.v1 import export_pb2 as pb

from chassis.call import Call
from chassis.convert import datetime_of
from chassis.errors import FailedPrecondition
from services.forecast.book import Books, exponent
from services.forecast.book.grid import DEALS, Measure
from services.forecast.domain.figures import Category, CountedDeal, State
from services.forecast.domain.periods import Period
from services.forecast.domain.trees import ALL, NodeKind
from services.forecast.edges import Edge
from services.forecast.lineage import Found
from services.forecast.rollup import RolledUp, RollUp
from services.forecast.store import HistoryStore

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS: Final = 200_000
MOST_BYTES: Final = 30_000_000
_CSV, _ARROW, _PARQUET = (
    pb.ExportForecastRequest.Format.CSV,
    pb.ExportForecastRequest.Format.ARROW,
    pb.ExportForecastRequest.Format.PARQUET,
)
_FILES: Final[Mapping[int, tuple[str, str]]] = {
    _CSV: ("csv", "text/csv; charset=utf-8"),
    _ARROW: ("arrow", "application/vnd.apache.arrow.file"),
    _PARQUET: ("parquet", "application/vnd.apache.parquet"),
}
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_SUREST_FIRST: Final = (Measure.CLOSED, Measure.COMMIT, Measure.BEST_CASE, Measure.PIPELINE)
_NAMES: Final = 1000


class ExportTooLarge(FailedPrecondition):
    """More than one file holds."""

    def __init__(self) -> None:
        super().__init__(
            f"The file would hold more than {MOST_ROWS} rows or {MOST_BYTES // 10**6} MB: ask for a node,"
            " for fewer periods, or for Parquet."
        )


class Export:
    """One export, for one caller."""

    def __init__(self, call: Call, books: Books, edge: Edge) -> None:
        self.call, self.books, self.edge = call, books, edge

    async def file(self, request: pb.ExportForecastRequest) -> HttpBody:
        """The file.

        Raises:
            PeriodUnknown, MonthsAreWeeks, PeriodRangeWrong, TooManyPeriods, NodeNotFound: the request is
                wrong.
            ExportTooLarge: the file would be.
        """
        roll_up = await RollUp.of(self.call, self.books)
        if request.content == pb.ExportForecastRequest.Content.DEALS:
            name, table = "deals", await self._deals(roll_up, request)
        else:
            name, table = "forecast", await asyncio.to_thread(figures_table, roll_up.answer(request))
        suffix, content_type = _FILES[request.format or _CSV]
        data = await asyncio.to_thread(written, self._marked(table), request.format or _CSV)
        if len(data) > MOST_BYTES:
            raise ExportTooLarge
        how = HttpAnswer(content_disposition=f'attachment; filename="{name}.{suffix}"')
        body = HttpBody(content_type=content_type, data=data)
        body.extensions.add().Pack(how)
        return body

    async def _deals(self, roll_up: RollUp, request: pb.ExportForecastRequest) -> pa.Table:
        question, node = roll_up.question(request, request.periods), request.node_id or ALL
        found = [
            (period, Found.of(roll_up.book, replace(question, periods=[period]), node))
            for period in question.periods
        ]
        if sum(len(each.rows) for _, each in found) > MOST_ROWS:
            raise ExportTooLarge
        deals = await asyncio.to_thread(_each, found)
        names: dict[UUID, str] = {}
        pairs = list({(deal.id, deal.version) for _, deal in deals})
        for start in range(0, len(pairs), _NAMES):
            names |= await HistoryStore(self.call).names(pairs[start : start + _NAMES])
        return await asyncio.to_thread(deals_table, deals, names, question.currency)

    def _marked(self, table: pa.Table) -> pa.Table:
        """With as of when it is, and whether it may still change; watermarks stand in the schema."""
        import pyarrow as pa

        edge, count = self.edge, table.num_rows
        for name, at in (("as_of", edge.as_of), ("effective_as_of", edge.effective_as_of)):
            table = table.append_column(name, pa.array([at] * count, pa.timestamp("us", "UTC")))
        table = table.append_column("is_open", pa.array([edge.is_open] * count, pa.bool_()))
        heard = {
            f"watermark {each.source}": datetime_of(each.recorded_time).isoformat()
            for each in edge.watermarks
            if each.HasField("recorded_time")
        }
        return table.replace_schema_metadata(heard)


def _each(found: Sequence[tuple[Period, Found]]) -> list[tuple[Period, CountedDeal]]:
    return [(period, deals.deal(int(place))) for period, deals in found for place in deals.places()]


def figures_table(forecast: RolledUp) -> pa.Table:
    """One row for each node, period and scope."""
    import pyarrow as pa

    tree, question = forecast.axis.tree, forecast.question
    count = len(question.periods)
    kept = [(number, "total") for number in range(len(forecast.shown))]
    kept += [
        (number, "own") for number, place in enumerate(forecast.shown.tolist()) if tree.has_children(place)
    ]
    kept.sort(key=lambda each: each[0])
    rows = np.array([number for number, _ in kept], np.int64)
    scopes = [scope for _, scope in kept]
    is_own = np.array([scope == "own" for scope in scopes], bool)
    measures = np.where(is_own[:, None, None], forecast.own[rows], forecast.totals[rows])
    has_deals = measures[:, :, DEALS].any(axis=2).reshape(-1)
    places = np.flatnonzero(has_deals)
    if len(places) > MOST_ROWS:
        raise ExportTooLarge
    measures = measures.reshape(len(rows) * count, -1)[places]
    whose, period = places // count, places % count
    nodes = [tree.nodes[int(forecast.shown[number])] for number in rows[whose]]
    above = [int(tree.above[int(forecast.shown[number])]) for number in rows[whose]]
    periods = [question.periods[number] for number in period.tolist()]
    columns: dict[str, Any] = {
        "node_id": _texts(node.id for node in nodes),
        "node_name": _texts(node.name for node in nodes),
        "parent_id": _texts(tree.nodes[place].id if place >= 0 else "" for place in above),
        "kind": _texts(NodeKind(node.kind).name for node in nodes),
        "depth": pa.array(tree.depth[forecast.shown[rows[whose]]], pa.int32()),
        "subject_id": _texts(node.subject for node in nodes),
        "is_former": pa.array([bool(node.subject) for node in nodes], pa.bool_()),
        "scope": _texts(scopes[number] for number in whose.tolist()),
        **_period_columns(periods),
        "currency": _texts([question.currency] * len(places)),
        **_measure_columns(measures, question.currency),
    }
    return pa.table(columns)


def _measure_columns(measures: Any, currency: str) -> dict[str, Any]:
    import pyarrow as pa

    def amounts(values: Any) -> Any:
        return _decimals(values, exponent(currency))

    columns: dict[str, Any] = {"deals": pa.array(measures[:, DEALS].sum(axis=1).astype(np.int64))}
    amount = deals = 0
    for measure in _SUREST_FIRST:
        name = measure.name.lower()
        alone, count = measures[:, measure], measures[:, measure + Measure.OMITTED_DEALS]
        amount, deals = amount + alone, deals + count
        columns[f"{name}_amount"] = amounts(alone)
        columns[f"{name}_deals"] = pa.array(count.astype(np.int64))
        columns[f"{name}_cumulative_amount"] = amounts(amount)
        columns[f"{name}_cumulative_deals"] = pa.array(np.asarray(deals).astype(np.int64))
    for measure in (Measure.OMITTED, Measure.OVERDUE, Measure.LOST):
        name = measure.name.lower()
        columns[f"{name}_amount"] = amounts(measures[:, measure])
        counts = measures[:, measure + Measure.OMITTED_DEALS]
        columns[f"{name}_deals"] = pa.array(counts.astype(np.int64))
    columns["weighted_amount"] = amounts(measures[:, Measure.WEIGHTED])
    for measure in (Measure.UNPRICED_DEALS, Measure.UNCONVERTED_DEALS):
        columns[measure.name.lower()] = pa.array(measures[:, measure].astype(np.int64))
    return columns


def deals_table(
    deals: Sequence[tuple[Period, CountedDeal]], names: Mapping[UUID, str], currency: str
) -> pa.Table:
    """One row for each deal and period."""
    import pyarrow as pa

    periods, counted = [period for period, _ in deals], [deal for _, deal in deals]
    digits = exponent(currency)

    def ids(name: str) -> Any:
        return _texts(str(getattr(deal, name) or "") for deal in counted)

    def amounts(name: str, scale: int) -> Any:
        return pa.array([_scaled(getattr(deal, name), scale) for deal in counted], pa.decimal128(38, scale))

    return pa.table(
        {
            "opportunity_id": ids("id"),
            "version": pa.array([deal.version for deal in counted], pa.int64()),
            "name": _texts(names.get(deal.id, "") for deal in counted),
            **_period_columns(periods),
            "owner_id": ids("owner_id"),
            "account_id": ids("account_id"),
            "pipeline_id": ids("pipeline_id"),
            "stage_id": ids("stage_id"),
            "state": _texts(State(deal.state).name for deal in counted),
            "category": _texts(Category(deal.category).name for deal in counted),
            "probability": pa.array([deal.probability for deal in counted], pa.int32()),
            "close_date": pa.array(
                [deal.closes_on if deal.closes_on < date.max else None for deal in counted], pa.date32()
            ),
            "overdue": pa.array([deal.overdue for deal in counted], pa.bool_()),
            "amount": amounts("amount", 4),
            "amount_currency": _texts(deal.currency for deal in counted),
            "converted_amount": amounts("converted", digits),
            "weighted_amount": amounts("weighted", digits),
            "currency": _texts([currency] * len(counted)),
        }
    )


def _period_columns(periods: Sequence[Period]) -> dict[str, Any]:
    import pyarrow as pa

    return {
        "period_id": _texts(period.id for period in periods),
        "period_start": pa.array([period.start for period in periods], pa.date32()),
        "period_end": pa.array([period.end for period in periods], pa.date32()),
    }


def _texts(values: Iterator[str] | Sequence[str]) -> Any:
    import pyarrow as pa

    return pa.array(list(values), pa.string())


def _scaled(amount: Decimal | None, digits: int) -> Decimal | None:
    return None if amount is None else amount.quantize(Decimal(1).scaleb(-digits))


def _decimals(minor: Any, digits: int) -> Any:
    """Amounts in minor units as decimal numbers."""
    import pyarrow as pa

    type_ = pa.decimal128(38, digits)
    if minor.dtype == object:
        return pa.array([Decimal(int(each)).scaleb(-digits) for each in minor], type_)
    halves = np.empty((len(minor), 2), np.int64)
    halves[:, 0], halves[:, 1] = minor, minor >> 63
    return pa.Array.from_buffers(type_, len(minor), [None, pa.py_buffer(halves.tobytes())])


def written(table: pa.Table, format: int) -> bytes:
    """A table as a file."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    target = io.BytesIO()
    if format == _CSV:
        pa.csv.write_csv(_harmless(table), target)
    elif format == _ARROW:
        with pa.ipc.new_file(target, table.schema) as writer:
            writer.write_table(table)
    else:
        pa.parquet.write_table(table, target)
    return target.getvalue()


def _harmless(table: pa.Table) -> pa.Table:
    """Without text that a spreadsheet would take for a formula."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if field.type == pa.string():
            values = table.column(place).to_pylist()
            safe = [f"'{value}" if value.startswith(_FORMULA) else value for value in values]
            table = table.set_column(place, field.name, _texts(safe))
    return table
