"""An ERP on the broker: what it says is taken in once, what makes no sense is parked with the reason, and
it can neither say what is not its own nor hear anything."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import nats.errors
import pytest
from nats.aio.client import Client
from sfa.erp.v1 import messages_pb2 as erp
from sfa.quotes.v1 import inventory_pb2 as pb
from sfa.quotes.v1 import products_pb2, reports_pb2

from chassis import inbound
from chassis.ids import new_id
from deploy.engines.nats import Nats, sender_user, service_user
from tests.eventually import eventually
from tests.quotes.service import Shop, euros, refusal
from tests.quotes.warehouse import Depot, Erp, level, shipment


@pytest.fixture
def depot(shop: Shop) -> Depot:
    return Depot(shop)


@pytest.fixture
async def erp_system(shop: Shop) -> AsyncIterator[Erp]:
    async with Erp(shop.stack) as system:
        await eventually(lambda: _has_stream(system))
        yield system


async def _has_stream(system: Erp) -> bool:
    management = (await system.stack.events())._jsm  # somebody who may look
    with contextlib.suppress(Exception):
        await management.stream_info("ERP")
        return True
    return False


async def parked(depot: Depot) -> list[reports_pb2.ParkedReport]:
    answer = await depot.reports.ListParkedReports(reports_pb2.ListParkedReportsRequest())
    return list(answer.parked_reports)


def on_hand(depot: Depot, product: products_pb2.Product, wanted: str) -> Callable[[], Awaitable[bool]]:
    async def is_so() -> bool:
        asked = pb.ListStockItemsRequest(filter=f'product_id = "{product.id}"')
        return [each.on_hand for each in (await depot.inventory.ListStockItems(asked)).stock_items] == [
            wanted
        ]

    return is_so


async def test_events_are_taken_in_every_mode_once_and_in_any_order(
    office: Shop, depot: Depot, erp_system: Erp
) -> None:
    product, warehouse = await office.product(), await depot.warehouse()
    await erp_system.say(shipment("S1", 1, "HH", C_1=2), "json", id="one")
    await erp_system.say(shipment("S1", 1, "HH", C_1=2), "protobuf", id="one")
    await erp_system.say(level("HH", "C-1", 2, 10), "protobuf")
    await erp_system.say(level("HH", "C-1", 1, 50), "structured")
    await eventually(on_hand(depot, product, "10"))
    await erp_system.say(level("HH", "C-1", 3, 9), "json")
    await eventually(on_hand(depot, product, "9"))
    assert (await depot.item(product, warehouse)).shipped == "2"
    assert not await parked(depot)


async def test_what_cannot_be_applied_is_parked_with_its_reason_and_harms_nobody(
    office: Shop, depot: Depot, erp_system: Erp
) -> None:
    product = await office.product()
    await depot.warehouse()
    kind = "sfa.erp.v1.StockLevelReported"
    await erp_system.raw(kind, b"nonsense")
    await erp_system.say(level("HH", "C-9", 1, 4))
    await erp_system.say(level("HH", "C-1", 1, 4))
    await erp_system.raw("sfa.erp.v1.Unheard", b"{}")
    await eventually(on_hand(depot, product, "4"))
    await eventually(lambda: _number(depot, 3))
    reasons = [each.error for each in await parked(depot)]
    assert "no JSON" in reasons[0]
    assert "There is no product C-9" in reasons[1]
    assert "specversion" in reasons[2]
    # what was missing is made, and the report tried again
    late = await office.product("C-9")
    report = (await parked(depot))[1]
    assert '"C-9"' in report.content
    await depot.reports.RetryParkedReport(reports_pb2.RetryParkedReportRequest(id=report.id))
    await eventually(on_hand(depot, late, "4"))
    await eventually(lambda: _number(depot, 2))
    for each in await parked(depot):
        await depot.reports.DismissParkedReport(reports_pb2.DismissParkedReportRequest(id=each.id))
    assert not await parked(depot)
    again = reports_pb2.DismissParkedReportRequest(id=report.id)
    assert (await refusal(depot.reports.DismissParkedReport(again)))[0] is grpc.StatusCode.NOT_FOUND


async def _number(depot: Depot, wanted: int) -> bool:
    return len(await parked(depot)) == wanted


async def test_the_list_of_what_is_parked_has_pages(depot: Depot, erp_system: Erp) -> None:
    for _ in range(3):
        await erp_system.say(level("HH", "C-1", 1, 4))
    await eventually(lambda: _number(depot, 3))
    seen, token = [], ""
    while True:
        asked = reports_pb2.ListParkedReportsRequest(page_size=2, page_token=token)
        page = await depot.reports.ListParkedReports(asked)
        seen += [each.id for each in page.parked_reports]
        token = page.next_page_token
        if not token:
            break
    assert len(set(seen)) == len(seen) == 3


async def test_an_erp_says_what_is_its_own_and_hears_nothing(tmp_path: Path) -> None:
    tenant, own = new_id(), "sfa.erp.v1.StockLevelReported"
    users = [service_user("quotes", "secret", ("erp",)), sender_user("erp-one", "secret", str(tenant), [own])]
    server = Nats(folder=tmp_path / "nats", log=tmp_path / "nats.log", users=users, durable=False)
    async with server:
        refused: list[str] = []

        async def hear(error: Exception) -> None:
            refused.append(str(error))

        keeper, sender = Client(), Client()
        await keeper.connect(server.url("quotes"), inbox_prefix="_INBOX_quotes")
        await sender.connect(server.url("erp-one"), inbox_prefix="_INBOX_erp-one", error_cb=hear)
        try:
            await keeper.jetstream().add_stream(name="ERP", subjects=["erp.>"])
            stream = sender.jetstream()
            assert (await stream.publish(inbound.subject(tenant, own), b"{}")).seq == 1
            for subject in (
                inbound.subject(new_id(), own),
                inbound.subject(tenant, "sfa.erp.v1.CreditReported"),
                f"events.{tenant}.sfa.quotes.v1.QuoteAccepted",
                "$JS.API.STREAM.INFO.ERP",
                "$JS.API.STREAM.MSG.GET.ERP",
            ):
                with pytest.raises((nats.errors.Error, TimeoutError)):
                    await sender.request(subject, b"{}", timeout=0.2)
            assert len(refused) == 5
            for subject in ("erp.>", "events.>", "hints.>", "_INBOX_quotes.>"):
                before = len(refused)
                await sender.subscribe(subject)
                await sender.flush()
                await eventually(lambda before=before: _is_longer(refused, before))
            assert (await keeper.jetstream().stream_info("ERP")).state.messages == 1
        finally:
            await asyncio.gather(keeper.close(), sender.close())


async def _is_longer(refused: list[str], before: int) -> bool:
    return len(refused) > before


def test_every_message_of_an_erp_has_a_way_in_by_rest() -> None:
    by_rest = {
        rpc.input_type.fields_by_name["rows"].message_type.full_name  # type: ignore[union-attr]  # it is one
        for rpc in reports_pb2.DESCRIPTOR.services_by_name["ReportService"].methods
        if "rows" in rpc.input_type.fields_by_name
    }
    said = {
        message.full_name
        for message in erp.DESCRIPTOR.message_types_by_name.values()
        if "version" in message.fields_by_name
    }
    assert by_rest == said


async def test_prices_are_reported_in_any_order(office: Shop, depot: Depot) -> None:
    product = await office.product()

    def said(version: int, units: int, **fields: str) -> erp.PriceReported:
        return erp.PriceReported(product="C-1", version=version, unit_price=euros(units), **fields)

    rows = [said(2, 12), said(1, 99), said(3, 13), said(1, 1, price_book="Nowhere"), said(2, 12)]
    answer = await depot.reports.BatchUpsertReportedPrices(
        reports_pb2.BatchUpsertReportedPricesRequest(rows=rows)
    )
    assert [each.reason for each in answer.results] == ["", "", "", "PRICE_BOOK_UNKNOWN", ""]
    asked = products_pb2.FindPricesRequest(product_ids=[product.id], currency="EUR")
    (price,) = (await office.prices.FindPrices(asked)).price_book_entries
    assert price.unit_price.units == 13
