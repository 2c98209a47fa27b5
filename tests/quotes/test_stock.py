"""Warehouses and stock over gRPC: what the ERP says, what can be had, and from where."""

from __future__ import annotations

from datetime import timedelta

import grpc
import pytest
from google.type.date_pb2 import Date
from sfa.api.v1.resource_pb2 import RowResult
from sfa.erp.v1 import messages_pb2 as erp
from sfa.quotes.v1 import inventory_pb2 as pb

from tests.quotes.service import Shop, refusal
from tests.quotes.warehouse import BREMEN, HAMBURG, MUNICH, Depot, level, shipment


@pytest.fixture
def depot(shop: Shop) -> Depot:
    return Depot(shop)


def day(shop: Shop, ahead: int) -> Date:
    """So many days from today."""
    at = (shop.stack.clock.now() + timedelta(days=ahead)).date()
    return Date(year=at.year, month=at.month, day=at.day)


def receipt(
    number: str, version: int, quantity: object, due: Date, warehouse: str = "HH"
) -> erp.ReceiptScheduled:
    return erp.ReceiptScheduled(
        receipt=number,
        version=version,
        warehouse=warehouse,
        product="C-1",
        quantity=str(quantity),
        due_date=due,
    )


async def test_levels_are_absolute_and_the_highest_version_counts(office: Shop, depot: Depot) -> None:
    product, warehouse = await office.product(), await depot.warehouse()
    results = await depot.say(level("HH", "C-1", 2, 7), level("HH", "C-1", 1, 100), level("HH", "C-1", 2, 7))
    assert [each.outcome for each in results] == [
        RowResult.CREATED, RowResult.UNCHANGED, RowResult.UNCHANGED,
    ]  # fmt: skip
    item = await depot.item(product, warehouse)
    assert (item.on_hand, item.level_version, item.shipped) == ("7", 2, "0")
    assert (await depot.available(product, 7)).missing == "0"
    assert (await depot.available(product, 8)).missing == "1"


async def test_of_one_version_the_lower_level_counts(office: Shop, depot: Depot) -> None:
    product, warehouse = await office.product(), await depot.warehouse()
    await depot.say(level("HH", "C-1", 1, 5), level("HH", "C-1", 1, 3), level("HH", "C-1", 1, 4))
    assert (await depot.item(product, warehouse)).on_hand == "3"


async def test_a_report_of_something_unknown_is_refused_without_harm_to_the_others(
    office: Shop, depot: Depot
) -> None:
    await office.product()
    await depot.warehouse()
    unknown = await depot.say(level("B", "C-1", 1, 1), level("HH", "C-2", 1, 1), level("HH", "C-1", 1, 1))
    assert [each.reason for each in unknown] == ["WAREHOUSE_UNKNOWN", "REPORTED_PRODUCT_UNKNOWN", ""]
    assert [each.field for each in unknown] == ["warehouse", "product", ""]


async def test_a_shipment_is_subtracted_until_a_level_allows_for_it(office: Shop, depot: Depot) -> None:
    product, warehouse = await office.product(), await depot.warehouse()
    await depot.say(level("HH", "C-1", 1, 10), shipment("S1", 1, "HH", C_1=4))
    assert (await depot.item(product, warehouse)).shipped == "4"
    assert (await depot.available(product, 7)).missing == "1"
    await depot.say(level("HH", "C-1", 2, 6, included_shipments=["S1"]))
    item = await depot.item(product, warehouse)
    assert (item.on_hand, item.shipped) == ("6", "0")
    # and in the other order, as well as twice
    await depot.say(level("HH", "C-1", 3, 1, included_shipments=["S2"]), shipment("S2", 1, "HH", C_1=5))
    await depot.say(shipment("S2", 1, "HH", C_1=5), shipment("S1", 1, "HH", C_1=4))
    item = await depot.item(product, warehouse)
    assert (item.on_hand, item.shipped) == ("1", "0")


async def test_a_shipment_may_be_corrected_and_taken_back(office: Shop, depot: Depot) -> None:
    product, warehouse = await office.product(), await depot.warehouse()
    await depot.say(level("HH", "C-1", 1, 10), shipment("S1", 2, "HH", C_1=3), shipment("S1", 1, "HH", C_1=9))
    assert (await depot.item(product, warehouse)).shipped == "3"
    await depot.say(shipment("S1", 3, "HH"))
    assert (await depot.item(product, warehouse)).shipped == "0"


async def test_what_is_awaited_can_be_promised_from_its_day_on(
    office: Shop, depot: Depot, shop: Shop
) -> None:
    product, warehouse = await office.product(), await depot.warehouse()
    await depot.say(level("HH", "C-1", 1, 2), receipt("R1", 1, 10, day(shop, 5)))
    now = await depot.available(product, 5)
    assert (now.missing, now.earliest_date) == ("3", day(shop, 5))
    assert (await depot.available(product, 12, need_date=day(shop, 5))).missing == "0"
    await depot.say(receipt("R1", 3, 8, day(shop, 7)), receipt("R1", 2, 99, day(shop, 1)))
    assert (await depot.available(product, 5, need_date=day(shop, 6))).earliest_date == day(shop, 7)
    await depot.say(level("HH", "C-1", 2, 10, included_receipts=["R1"]))
    item = await depot.item(product, warehouse)
    assert (item.on_hand, item.incoming) == ("10", "0")


async def test_safety_stock_is_never_promised(office: Shop, depot: Depot) -> None:
    product, warehouse = await office.product(), await depot.warehouse()
    await depot.say(level("HH", "C-1", 2, 10, safety_stock="4"), level("HH", "C-1", 1, 10, safety_stock="1"))
    assert (await depot.available(product, 7)).missing == "1"
    await depot.say(level("HH", "C-1", 3, 10))
    assert (await depot.item(product, warehouse)).safety_stock == "4"


async def test_the_nearest_warehouse_that_has_all_of_it_gives_it(office: Shop, depot: Depot) -> None:
    product = await office.product()
    munich, hamburg = await depot.warehouse("M", MUNICH), await depot.warehouse("HH", HAMBURG)
    await depot.say(level("M", "C-1", 1, 10), level("HH", "C-1", 1, 4))
    few = await depot.available(product, 3, delivery_location=BREMEN)
    assert [(part.warehouse_id, part.quantity) for part in few.parts] == [(hamburg.id, "3")]
    assert 90 < few.parts[0].distance_kilometres < 100
    many = await depot.available(product, 8, delivery_location=BREMEN)
    assert [part.warehouse_id for part in many.parts] == [munich.id]
    most = await depot.available(product, 13, delivery_location=BREMEN)
    assert [(part.warehouse_id, part.quantity) for part in most.parts] == [
        (hamburg.id, "4"),
        (munich.id, "9"),
    ]
    whole = await depot.available(product, 13, delivery_location=BREMEN, in_whole=True)
    assert (whole.missing, len(whole.parts)) == ("13", 0)
    change = pb.UpdateWarehouseRequest(id=munich.id, warehouse=pb.Warehouse(is_active=False))
    await depot.inventory.UpdateWarehouse(change)
    assert (await depot.available(product, 13)).missing == "9"


async def test_what_cannot_be_had_has_substitutes(office: Shop, depot: Depot) -> None:
    other, third = await office.product("C-2"), await office.product("C-3")
    product = await office.product("C-1", substitute_ids=[third.id, other.id])
    await depot.warehouse()
    await depot.say(level("HH", "C-1", 1, 1), level("HH", "C-2", 1, 5), level("HH", "C-3", 1, 0))
    found = await depot.available(product, 2)
    assert [(each.product_id, each.available) for each in found.substitutes] == [(other.id, "5")]
    assert not (await depot.available(product, 1)).substitutes


async def test_what_no_warehouse_has_ever_had_needs_no_stock(office: Shop, depot: Depot) -> None:
    found = await depot.available(await office.product(), 5)
    assert (found.is_stocked, found.missing) == (False, "0")


async def test_many_products_are_one_question(office: Shop, depot: Depot, shop: Shop) -> None:
    products = [await office.product(f"C-{number}") for number in range(5)]
    await depot.warehouse()
    await depot.say(*(level("HH", f"C-{number}", 1, number) for number in range(5)))
    rows = [pb.FindAvailabilityRequest.Row(product_id=each.id, quantity="2") for each in products * 2]
    answer = await depot.inventory.FindAvailability(pb.FindAvailabilityRequest(rows=rows))
    assert [each.missing for each in answer.availabilities] == list("2100022210")


async def test_a_warehouse_needs_a_code_of_its_own_and_lies_on_earth(depot: Depot) -> None:
    await depot.warehouse()
    assert await refusal(depot.warehouse()) == (
        grpc.StatusCode.ALREADY_EXISTS, "WAREHOUSE_CODE_TAKEN", "warehouse.code",
    )  # fmt: skip
    assert (await refusal(depot.warehouse("")))[2] == "warehouse.code"
    moon = pb.Warehouse(code="X", name="X")
    moon.location.latitude = 91
    asked = pb.CreateWarehouseRequest(warehouse=moon)
    assert (await refusal(depot.inventory.CreateWarehouse(asked)))[1] == "NOT_ON_EARTH"


async def test_a_rep_reports_no_stock(shop: Shop) -> None:
    asked = Depot(shop, "rep").say(level("HH", "C-1", 1, 1))
    assert (await refusal(asked))[0] is grpc.StatusCode.PERMISSION_DENIED
