"""The forecast over gRPC by every dimension, as of any instant, in each organisation, and as a file."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import grpc
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sfa.api.v1.http_pb2 import HttpAnswer
from sfa.forecast.v1 import export_pb2, export_pb2_grpc
from sfa.forecast.v1 import forecast_pb2 as pb
from sfa.identity.v1 import organisation_pb2

from chassis.convert import datetime_of, set_timestamp
from tests.clock import MovableClock
from tests.conftest import Join
from tests.forecast.company import Company, day_of, value

MIDSUMMER = datetime(2030, 6, 24, 12, tzinfo=UTC)
"""Today, in these tests."""
TREES = ("OWNER", "TEAM", "TERRITORY", "PRODUCT", "PRODUCT_FAMILY", "PIPELINE", "SEGMENT")
CREDITS = (pb.Forecast.REVENUE, pb.Forecast.OVERLAY, pb.Forecast.OWNED)


@pytest.fixture
async def today(shared: Join) -> AsyncIterator[Company]:
    """Head leads Ann and Bob; Ann leads Ray until May, Bob since. It is really today."""
    company = Company(await shared("opportunities", "forecast"))
    await company.start()
    for name, manager in (("head", ""), ("ann", "head"), ("bob", "head"), ("ray", "")):
        await company.user(name, manager)
    moved = datetime(2030, 5, 1, tzinfo=UTC)
    await company.reports("ray", "ann", until=moved)
    await company.reports("ray", "bob", since=moved)
    yield company
    await company.close()


@pytest.fixture
def company(midsummer: None, today: Company) -> Company:
    """The same, at midsummer."""
    return today


@pytest.fixture
def midsummer(clock: MovableClock) -> None:
    clock.move_to(MIDSUMMER)


async def variety(company: Company) -> None:
    """Deals that differ in every dimension."""
    for name in ("west", "east"):
        await company.territory(name)
    await company.covers("ray", west="0.25", east="0.75")
    await company.family("Machines")
    await company.family("Small machines", "Machines")
    await company.product("Drill", "Small machines")
    await company.product("Press", "Machines")
    await company.product("Course")
    await company.account("Big Ltd", "Enterprise")
    lines = [("Drill", "1", "30"), ("Press", "1", "50"), ("Course", "1", "20.01")]
    splits = [("ray", "REVENUE", "60"), ("ann", "REVENUE", "40"), ("bob", "OVERLAY", "80")]
    june = date(2030, 6, 30)
    first = await company.deal("ray", lines=lines, splits=splits, account="Big Ltd", close=june)
    await company.win(first, date(2030, 4, 10))
    await company.deal("ray", "10.01", close=june, stage="Closing")
    await company.deal("bob", "5", close=june)
    await company.deal("head", "7")
    await company.settled()


def named(forecast: Any, period: str = "") -> dict[str, Decimal]:
    """What each node has that counts, alone or below it."""
    asked = period or forecast.answer.periods[0].id
    found: dict[str, Decimal] = {}
    for node in forecast.answer.nodes:
        cells = [cell.total for cell in node.cells if cell.period_id == asked]
        if not cells:
            continue
        name = f"former {node.name}" if node.is_former else node.name
        found[name] = value(cells[0].cumulative.pipeline.amount)
    return found


async def test_deals_roll_up_by_family_segment_pipeline_and_shared_territory(company: Company) -> None:
    await variety(company)
    families = named(await company.ask("2030-Q2", by="PRODUCT_FAMILY"))
    assert families == {
        "All": Decimal("115.02"), "Machines": 80, "Small machines": 30, "None": Decimal("35.02"),
    }  # fmt: skip
    segments = named(await company.ask("2030-Q2", by="SEGMENT"))
    assert (segments["Enterprise"], segments["None"]) == (Decimal("100.01"), Decimal("15.01"))
    (pipeline,) = (await company.ask("2030-Q2", by="PIPELINE")).answer.nodes[1:]
    assert (pipeline.name, pipeline.kind) == (company.pipeline.name, pb.ForecastNode.PIPELINE)
    # a quarter of Ray's 60.01 and 10.01: 15.00 and 2.50; Ann and Bob cover nothing
    territories = named(await company.ask("2030-Q2", by="TERRITORY"))
    assert territories == {
        "All": Decimal("115.02"), "East": Decimal("52.52"), "West": Decimal("17.50"), "None": 45,
    }  # fmt: skip


async def test_every_figure_opens_down_to_the_deals_that_make_it(company: Company) -> None:
    await variety(company)
    for tree in TREES:
        for credit in CREDITS:
            forecast = await company.ask("2030-Q2", by=tree, credit=credit)
            for node in forecast.answer.nodes:
                for cell in node.cells:
                    request = pb.ListForecastDealsRequest(
                        period_id=cell.period_id,
                        group_by=pb.Forecast.GroupBy.Value(tree),
                        node_id=node.id,
                        credit=credit,
                    )
                    deals = (await company.forecast().ListForecastDeals(request)).deals
                    assert len(deals) == cell.total.deals, (tree, node.name)
                    amounts = sum(value(deal.converted_amount) for deal in deals)
                    assert amounts == value(cell.total.cumulative.pipeline.amount), (tree, node.name)


async def test_credit_is_by_revenue_splits_or_overlay_or_the_owner(company: Company) -> None:
    await variety(company)
    by_credit = [named(await company.ask("2030-Q2", by="OWNER", credit=credit)) for credit in CREDITS]
    assert by_credit == [
        {"All": Decimal("115.02"), "Ann": 40, "Bob": 5, "Ray": Decimal("70.02")},
        {"All": Decimal("80.01"), "Bob": Decimal("80.01")},
        {"All": Decimal("115.02"), "Bob": 5, "Ray": Decimal("110.02")},
    ]


async def test_the_audit_recounts_every_tree(company: Company) -> None:
    await variety(company)
    audit = await company.forecast().AuditForecast(pb.AuditForecastRequest())
    assert audit.consistent, audit.differences


async def test_closed_deals_stay_with_the_former_manager_and_open_ones_move_along(company: Company) -> None:
    await variety(company)
    booked = named(await company.ask("2030-Q2", by="TEAM"))
    assert booked == {
        "All": Decimal("115.02"), "Head": Decimal("115.02"), "Ann": Decimal("100.01"),
        "former Ray": Decimal("60.01"), "Bob": Decimal("15.01"), "Ray": Decimal("10.01"),
    }  # fmt: skip
    for hierarchy in (pb.Forecast.AS_OF, pb.Forecast.CURRENT):
        forecast = await company.ask("2030-Q2", by="TEAM", hierarchy=hierarchy)
        assert forecast.answer.hierarchy == hierarchy
        assert named(forecast) == {
            "All": Decimal("115.02"), "Head": Decimal("115.02"), "Ann": 40, "Bob": Decimal("75.02"),
            "Ray": Decimal("70.02"),
        }  # fmt: skip
    # a former position is a node that can be opened by itself
    (former,) = [node for node in (await company.ask("2030-Q2")).answer.nodes if node.is_former]
    assert former.subject_id == company.id("ray")
    alone = await company.ask("2030-Q2", node_id=former.id)
    assert value(alone.answer.nodes[0].cells[0].total.alone.closed.amount) == Decimal("60.01")


async def test_a_manager_sees_the_reports_of_today_wherever_their_deals_were_closed(company: Company) -> None:
    await variety(company)
    for tree in TREES:
        forecast = await company.ask("2030-Q2", by=tree, role="manager", name="bob")
        assert value(forecast.figures().cumulative.pipeline.amount) == Decimal("75.02"), tree
    team = named(await company.ask("2030-Q2", role="manager", name="bob"))
    assert team == {
        "All": Decimal("75.02"), "Bob": Decimal("15.01"), "Ray": Decimal("10.01"),
        "former Ray": Decimal("60.01"),
    }  # fmt: skip


def stamp(at: datetime) -> Timestamp:
    result = Timestamp()
    set_timestamp(result, at)
    return result


async def test_an_answer_as_of_an_instant_never_changes(today: Company) -> None:
    company, day = today, datetime.now(UTC).date()
    year = f"FY{day.year}"
    deal = await company.deal("ray", "100", close=day, stage="Closing")
    other = await company.deal("bob", "50", close=day)
    await company.settled()
    at = stamp(datetime.now(UTC))
    await company.heard()
    then = [await company.ask(year, by=tree, as_of=at, require_final=True) for tree in TREES]
    assert not any(forecast.answer.is_open for forecast in then)
    await company.win(deal, day, "90")
    await company.lose(other, day)
    await company.reports("bob", "ann")
    await company.rate("USD", "EUR", date(2020, 1, 1), "0.5")
    await company.settled()
    for tree, before in zip(TREES, then, strict=True):
        after = await company.ask(year, by=tree, as_of=at)
        assert list(after.answer.nodes) == list(before.answer.nodes)
        assert after.answer.as_of == at
        assert value(after.figures().alone.commit.amount) == 100
        live = await company.ask(year, by=tree)
        assert live.answer.is_open
        assert value(live.figures().alone.closed.amount) == 90
        assert live.figures().lost.deals == 1
    deals = await company.forecast().ListForecastDeals(pb.ListForecastDealsRequest(period_id=year, as_of=at))
    assert sorted(value(each.amount) for each in deals.deals) == [50, 100]
    assert deals.as_of == at
    assert not deals.is_open


async def refused(call: Awaitable[Any]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return f"{caught.value.code().name}: {caught.value.details()}"


async def test_what_may_still_change_is_refused_where_only_final_answers_serve(company: Company) -> None:
    await company.settled()
    await company.heard()
    now = await refused(company.ask("2030-Q2", require_final=True))
    assert now.startswith("FAILED_PRECONDITION")
    later = stamp(datetime.now(UTC) + timedelta(days=1))
    assert (await refused(company.ask("2030-Q2", as_of=later, require_final=True))).startswith("FAILED")
    assert (await company.ask("2030-Q2", as_of=later)).answer.is_open
    heard = [datetime_of(each.recorded_time) for each in (await company.ask("2030-Q2")).answer.watermarks]
    past = stamp(min(heard) - timedelta(seconds=1))
    assert not (await company.ask("2030-Q2", as_of=past, require_final=True)).answer.is_open
    current: dict[str, Any] = {"as_of": past, "hierarchy": pb.Forecast.CURRENT}
    assert (await company.ask("2030-Q2", **current)).answer.is_open
    assert (await refused(company.ask("2030-Q2", **current, require_final=True))).startswith("FAILED")


async def test_business_time_counts_what_was_true_whenever_it_was_recorded(company: Company) -> None:
    deal = await company.deal("ray", "100", close=date(2030, 6, 30), stage="Closing")
    await company.win(deal, date(2030, 6, 1))
    await company.settled()
    before, after = stamp(MIDSUMMER - timedelta(days=1)), stamp(MIDSUMMER + timedelta(days=1))
    assert (await company.ask("2030-Q2", effective_as_of=before)).figures().deals == 0
    forecast = await company.ask("2030-Q2", effective_as_of=after)
    assert value(forecast.figures().alone.closed.amount) == 100
    assert forecast.answer.HasField("effective_as_of")


async def test_periods_are_those_of_a_calendar_of_weeks(company: Company) -> None:
    event_calendar = organisation_pb2.FiscalCalendar(
        start_month=2, pattern=organisation_pb2.FiscalCalendar.WEEKS_4_5_4
    )
    await company.tenant(calendar=event_calendar)
    won = await company.deal("ray", "10", close=date(2030, 2, 3))
    await company.win(won, date(2030, 2, 3))
    await company.deal("ray", "5", close=date(2030, 3, 2))
    await company.settled()
    forecast = await company.ask("2031-P01..2031-P03", "2031-Q1")
    periods = {period.id: (period.start_date, period.end_date) for period in forecast.answer.periods}
    assert periods["2031-P01"] == (day_of(date(2030, 2, 3)), day_of(date(2030, 3, 2)))
    assert value(forecast.figures(period="2031-P01").cumulative.pipeline.amount) == 15
    assert value(forecast.figures(period="2031-Q1").cumulative.pipeline.amount) == 15
    assert "2017-P03" in await refused(company.ask("2030-03"))


def read(body: Any, format: str) -> pa.Table:
    if format == "CSV":
        return pa.csv.read_csv(io.BytesIO(body.data))
    if format == "ARROW":
        return pa.ipc.open_file(io.BytesIO(body.data)).read_all()
    return pyarrow.parquet.read_table(io.BytesIO(body.data))


@pytest.mark.parametrize("format", ["CSV", "ARROW", "PARQUET"])
async def test_a_forecast_is_exported_to_the_cent(company: Company, format: str) -> None:
    await variety(company)
    await company.deal("ray", "1", name="=1+1", close=date(2030, 6, 30))
    await company.settled()
    stub = export_pb2_grpc.ForecastExportServiceStub(company.stack.channel("forecast", "operations"))
    request = export_pb2.ExportForecastRequest(
        periods=["2030-Q2"], format=export_pb2.ExportForecastRequest.Format.Value(format)
    )
    body = await stub.ExportForecast(request)
    how = HttpAnswer()
    body.extensions[0].Unpack(how)
    assert how.content_disposition.startswith('attachment; filename="forecast.')
    rows = read(body, format).to_pylist()
    in_quarter = [row for row in rows if row["period_id"] == "2030-Q2"]
    (root,) = [row for row in in_quarter if row["node_id"] == "all" and row["scope"] == "total"]
    assert Decimal(str(root["pipeline_cumulative_amount"])) == Decimal("116.02")
    assert root["is_open"]
    above = {row["parent_id"] for row in rows}
    parts = [
        Decimal(str(row["pipeline_cumulative_amount"]))
        for row in in_quarter
        if row["scope"] == "own" or row["node_id"] not in above
    ]
    assert sum(parts) == Decimal("116.02")
    request.content = export_pb2.ExportForecastRequest.DEALS
    deals = read(await stub.ExportForecast(request), format).to_pylist()
    assert len(deals) == 5
    assert sum(Decimal(str(row["converted_amount"])) for row in deals) == Decimal("123.02")  # undated too
    assert ("'=1+1" if format == "CSV" else "=1+1") in {row["name"] for row in deals}
