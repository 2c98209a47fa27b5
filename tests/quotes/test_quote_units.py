"""What a quote takes from the catalogue: units with their steps, what is sold on its day, how it is taxed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.type.date_pb2 import Date
from sfa.quotes.v1 import families_pb2, taxes_pb2
from sfa.quotes.v1 import products_pb2 as pb
from sfa.quotes.v1.families_pb2_grpc import ProductFamilyServiceStub
from sfa.quotes.v1.taxes_pb2_grpc import TaxServiceStub

from tests.quotes.service import Shop, euros, line, refusal

Code = grpc.StatusCode


async def test_a_quantity_is_what_its_unit_is_sold_in(shop: Shop, office: Shop) -> None:
    units = [
        pb.ProductUnit(code="box", numerator=12, step="1"),
        pb.ProductUnit(code="pallet", numerator=720, step="0.5", rounding=pb.ProductUnit.REFUSE),
    ]
    water = await office.product(units=units)
    deal = await shop.deal()
    quote = await shop.quote(deal.id, line(water, "2.5", unit="box"), line(water, "2.5"))
    assert [(each.quantity, each.unit_price) for each in quote.lines] == [
        ("3", euros(120)),
        ("2.5", euros(10)),
    ]
    assert quote.subtotal == euros(385)
    assert await refusal(shop.quote(deal.id, line(water, "1.7", unit="pallet"))) == (
        Code.FAILED_PRECONDITION,
        "QUANTITY_NOT_IN_STEPS",
        "quote.lines[0].quantity",
    )
    assert await refusal(shop.quote(deal.id, line(water, unit="crate"))) == (
        Code.INVALID_ARGUMENT,
        "UNIT_UNKNOWN",
        "quote.lines[0].unit",
    )


@pytest.mark.parametrize("lead", [0, 1])
async def test_a_product_is_quoted_from_its_day_on(shop: Shop, office: Shop, lead: int) -> None:
    begins = shop.stack.clock.now() + timedelta(days=lead)
    chair = await office.product(
        lifecycle=pb.Product.PLANNED,
        active_from=Date(year=begins.year, month=begins.month, day=begins.day),
    )
    quoting = shop.quote((await shop.deal()).id, line(chair))
    if lead == 0:
        assert (await quoting).lines[0].product_id == chair.id
    else:
        assert (await refusal(quoting))[1] == "PRODUCT_NOT_ACTIVE"


async def test_a_parent_is_quoted_by_its_variants(shop: Shop, office: Shop) -> None:
    size = pb.ProductOption(name="size", values=["S"])
    shirt = await office.product("S", options=[size])
    deal = await shop.deal()
    assert (await refusal(shop.quote(deal.id, line(shirt))))[1] == "PRODUCT_NOT_ACTIVE"
    asked = pb.Product(
        code="S-S",
        name="Shirt S",
        parent_id=shirt.id,
        attributes=[pb.ProductAttribute(name="size", value="S")],
    )
    small = await office.products.CreateProduct(pb.CreateProductRequest(product=asked))
    quote = await shop.quote(deal.id, line(small))
    assert quote.lines[0].unit_price == euros(10)


async def test_a_product_without_a_tax_class_is_taxed_as_its_family(shop: Shop, office: Shop) -> None:
    families: Any = ProductFamilyServiceStub(shop.stack.channel("quotes", "operations"))
    taxes: Any = TaxServiceStub(shop.stack.channel("quotes", "operations"))
    top = families_pb2.ProductFamily(name="Food", tax_class="reduced")
    made = await families.CreateProductFamily(families_pb2.CreateProductFamilyRequest(product_family=top))
    below = families_pb2.ProductFamily(name="Bread", parent_id=made.id)
    await families.CreateProductFamily(families_pb2.CreateProductFamilyRequest(product_family=below))
    for percent, tax_class in (("19", ""), ("7", "reduced"), ("0", "zero")):
        rate = taxes_pb2.TaxRate(region="DE", percent=percent, tax_class=tax_class)
        await taxes.CreateTaxRate(taxes_pb2.CreateTaxRateRequest(tax_rate=rate))
    products = [
        await office.product("B-1", family="Bread"),
        await office.product("B-2", family="Bread", tax_class="zero"),
        await office.product("B-3", family="Shelves"),
        await office.product("B-4"),
    ]
    quote = await shop.quote((await shop.deal()).id, *map(line, products), tax_region="DE")
    assert [each.tax_amount for each in quote.lines] == [
        euros(0, 70),
        euros(0),
        euros(1, 90),
        euros(1, 90),
    ]
