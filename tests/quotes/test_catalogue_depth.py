"""Products in depth over gRPC: variants, units, bundles, lifecycle, families; and costs, which few may see."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date
from sfa.api.v1.resource_pb2 import RowResult
from sfa.quotes.v1 import costs_pb2, families_pb2
from sfa.quotes.v1 import products_pb2 as pb
from sfa.quotes.v1.costs_pb2_grpc import ProductCostServiceStub
from sfa.quotes.v1.events_pb2 import ProductCostChanged
from sfa.quotes.v1.families_pb2_grpc import ProductFamilyServiceStub

from chassis.ids import new_id
from tests.conftest import Join
from tests.eventually import eventually
from tests.quotes.service import Shop, euros, refusal
from tests.stack import Stack

if TYPE_CHECKING:
    from sfa.quotes.v1.costs_pb2_grpc import ProductCostServiceAsyncStub
    from sfa.quotes.v1.families_pb2_grpc import ProductFamilyServiceAsyncStub

Code = grpc.StatusCode
Unit = pb.ProductUnit
pytestmark = pytest.mark.caller(role="operations")


@pytest.fixture
async def running(shared: Join) -> Stack:
    """The catalogue asks nobody."""
    return await shared("quotes")


@pytest.fixture
def families(running: Stack) -> ProductFamilyServiceAsyncStub:
    return ProductFamilyServiceStub(running.channel("quotes"))


@pytest.fixture
def costs(running: Stack) -> ProductCostServiceAsyncStub:
    return ProductCostServiceStub(running.channel("quotes"))


def shirt(size: str, colour: str, **fields: object) -> pb.Product:
    said = [pb.ProductAttribute(name="size", value=size), pb.ProductAttribute(name="colour", value=colour)]
    values = {"code": f"S-{size}-{colour}", "name": f"Shirt {size} {colour}", **fields}
    return pb.Product(attributes=said, **values)  # type: ignore[arg-type]


async def parent(shop: Shop) -> pb.Product:
    options = [
        pb.ProductOption(name="size", values=["S", "M"]),
        pb.ProductOption(name="colour", values=["red", "blue"]),
    ]
    return await shop.product("S", options=options)


async def create(shop: Shop, product: pb.Product) -> pb.Product:
    return await shop.products.CreateProduct(pb.CreateProductRequest(product=product))


async def update(shop: Shop, product: pb.Product, *paths: str, **fields: object) -> pb.Product:
    return await shop.products.UpdateProduct(
        pb.UpdateProductRequest(
            id=product.id,
            product=pb.Product(**fields),  # type: ignore[arg-type]
            update_mask=FieldMask(paths=paths),
        )
    )


async def upsert(shop: Shop, *products: pb.Product) -> list[RowResult]:
    rows = [pb.BatchUpsertProductsRequest.Row(product=product) for product in products]
    answer = await shop.products.BatchUpsertProducts(pb.BatchUpsertProductsRequest(rows=rows))
    return list(answer.results)


async def test_a_product_is_answered_as_it_was_said(shop: Shop) -> None:
    other = await shop.product("C-0")
    said = pb.Product(
        code="C-1",
        name="Chair",
        family="Chairs",
        attributes=[pb.ProductAttribute(name="wood", value="oak")],
        base_unit="piece",
        units=[Unit(code="pair", numerator=2, denominator=1, step="1", rounding=Unit.REFUSE)],
        substitute_ids=[other.id],
        accessory_ids=[other.id],
        lifecycle=pb.Product.PHASING_OUT,
        active_from=Date(year=2020, month=1, day=1),
        phasing_out_from=Date(year=2021, month=1, day=1),
        tax_class="reduced",
        weight_kilograms="4.25",
        images=[pb.ProductImage(uri="https://cdn.example/c.jpg", description="From the left")],
        translations=[pb.ProductTranslation(language="pt-br", name="Cadeira")],
    )
    made = await create(shop, said)
    read = await shop.products.GetProduct(pb.GetProductRequest(id=made.id))
    assert read == made
    said.translations[0].language = "pt-BR"
    for field in said.DESCRIPTOR.fields:
        if field.name in {name.name for name, _ in said.ListFields()}:
            assert getattr(made, field.name) == getattr(said, field.name), field.name
    cleared = await update(
        shop,
        made,
        "units",
        "images",
        "translations",
        "weight_kilograms",
        "phasing_out_from",
        "substitute_ids",
    )
    left = {field.name for field, _ in cleared.ListFields()}
    assert left.isdisjoint(
        ("units", "images", "translations", "weight_kilograms", "phasing_out_from", "substitute_ids")
    )
    assert cleared.accessory_ids == [other.id]


async def test_variants_are_told_apart(shop: Shop) -> None:
    top = await parent(shop)
    small = await create(shop, shirt("S", "red", parent_id=top.id))
    taken = create(shop, shirt("S", "red", parent_id=top.id, code="S-2"))
    assert await refusal(taken) == (Code.ALREADY_EXISTS, "VARIANT_TAKEN", "product.attributes")
    results = await upsert(
        shop,
        shirt("M", "red", parent_id=top.id),
        shirt("M", "red", parent_id=top.id, code="S-3"),
        shirt("XL", "red", parent_id=top.id),
        shirt("M", "blue", parent_id=small.id),
        shirt("S", "red"),
    )
    assert [(each.outcome, each.reason) for each in results] == [
        (RowResult.CREATED, ""),
        (RowResult.REJECTED, "VARIANT_TAKEN"),
        (RowResult.REJECTED, "OPTION_VALUE_UNKNOWN"),
        (RowResult.REJECTED, "VARIANT_OF_NOTHING"),
        (RowResult.UNCHANGED, ""),
    ]
    page = await shop.products.ListProducts(
        pb.ListProductsRequest(filter=f'parent_id = "{top.id}"', order_by="code")
    )
    assert [each.code for each in page.products] == ["S-M-red", "S-S-red"]
    fewer = update(shop, top, "options", options=[pb.ProductOption(name="size", values=["M"])])
    assert (await refusal(fewer))[1] == "OPTION_IN_USE"
    assert (await refusal(update(shop, small, "attributes")))[1] == "OPTION_NOT_CHOSEN"
    alone = await update(shop, small, "parent_id")
    assert not alone.parent_id


async def test_a_variant_is_restored_only_where_its_place_is_free(shop: Shop) -> None:
    top = await parent(shop)
    first = await create(shop, shirt("S", "red", parent_id=top.id))
    await shop.products.DeleteProduct(pb.DeleteProductRequest(id=first.id))
    await create(shop, shirt("S", "red", parent_id=top.id, code="S-2"))
    again = shop.products.UndeleteProduct(pb.UndeleteProductRequest(id=first.id))
    assert (await refusal(again))[1] == "VARIANT_TAKEN"


async def test_a_parent_and_its_variants_may_come_in_one_batch(shop: Shop) -> None:
    id = str(new_id())
    options = [pb.ProductOption(name="size", values=["S"]), pb.ProductOption(name="colour", values=["red"])]
    rows = [
        pb.Product(id=id, code="S", name="Shirt", options=options),
        shirt("S", "red", parent_id=id),
        shirt("S", "red", parent_id=id, code="S-9"),
    ]
    expected = [RowResult.CREATED, RowResult.CREATED, RowResult.REJECTED]
    assert [each.outcome for each in await upsert(shop, *rows)] == expected
    again = [RowResult.UNCHANGED, RowResult.UNCHANGED, RowResult.REJECTED]
    assert [each.outcome for each in await upsert(shop, *rows)] == again


async def test_a_variant_costs_what_its_parent_does_until_it_has_a_price(shop: Shop) -> None:
    top = await parent(shop)
    variant = await create(shop, shirt("S", "red", parent_id=top.id))

    async def price() -> tuple[int, bool]:
        request = pb.FindPricesRequest(product_ids=[variant.id], currency="EUR")
        (found,) = (await shop.prices.FindPrices(request)).resolutions
        return found.unit_price.units, found.is_of_parent

    assert await price() == (10, True)
    await update(shop, variant, "list_price", list_price=euros(11))
    assert await price() == (11, False)


async def test_bundles_are_made_of_single_products(shop: Shop) -> None:
    part, other = await shop.product("C-1"), await shop.product("C-2")
    component = pb.ProductComponent(product_id=part.id, quantity="2")
    bundle = await shop.product("B", components=[component])
    assert bundle.components[0] == component
    nested = shop.product("D", components=[pb.ProductComponent(product_id=bundle.id, quantity="1")])
    field = "product.components[0].product_id"
    assert await refusal(nested) == (Code.FAILED_PRECONDITION, "BUNDLE_NESTED", field)
    backwards = update(
        shop, part, "components", components=[pb.ProductComponent(product_id=other.id, quantity="1")]
    )
    assert (await refusal(backwards))[1] == "BUNDLE_NESTED"
    missing = shop.product("D", components=[pb.ProductComponent(product_id=str(new_id()), quantity="1")])
    assert await refusal(missing) == (Code.NOT_FOUND, "NOT_FOUND", field)
    page = await shop.products.ListProducts(
        pb.ListProductsRequest(filter=f'components.product_id:"{part.id}"')
    )
    assert [each.code for each in page.products] == ["B"]


async def test_a_substitute_is_there(shop: Shop) -> None:
    gone = await shop.product("C-1")
    await shop.products.DeleteProduct(pb.DeleteProductRequest(id=gone.id))
    for field in ("substitute_ids", "accessory_ids"):
        status, _, path = await refusal(shop.product("C-2", **{field: [gone.id]}))
        assert (status, path) == (Code.NOT_FOUND, f"product.{field}[0]")


def on(moment: datetime) -> Date:
    return Date(year=moment.year, month=moment.month, day=moment.day)


async def test_a_product_moves_on_when_its_day_comes(shop: Shop) -> None:
    clock = shop.stack.clock
    begins, ends = clock.now() + timedelta(days=2), clock.now() + timedelta(days=5)
    made = await shop.product(
        lifecycle=pb.Product.PLANNED, active_from=on(begins), discontinued_from=on(ends)
    )
    assert (made.lifecycle, made.is_active) == (pb.Product.PLANNED, False)

    async def versions() -> list[pb.ProductVersion]:
        answer = await shop.products.ListProductVersions(pb.ListProductVersionsRequest(id=made.id))
        return list(answer.versions)

    for days, count in ((3, 2), (4, 3)):
        clock.move(timedelta(days=days))

        async def has_moved(count: int = count) -> bool:
            return len(await versions()) == count

        await eventually(has_moved)
    said = [(each.product.lifecycle, each.product.is_active, each.event) for each in await versions()]
    assert said == [
        (pb.Product.DISCONTINUED, False, "ProductUpdated"),
        (pb.Product.ACTIVE, True, "ProductUpdated"),
        (pb.Product.PLANNED, False, "ProductCreated"),
    ]


async def test_products_are_found_by_what_they_say(shop: Shop) -> None:
    await shop.product("C-1", tax_class="reduced", lifecycle=pb.Product.PHASING_OUT)
    await shop.product("C-2")
    for text in ('tax_class = "reduced"', "lifecycle = PHASING_OUT"):
        page = await shop.products.ListProducts(pb.ListProductsRequest(filter=text))
        assert [each.code for each in page.products] == ["C-1"], text


async def test_families_lie_in_each_other(families: ProductFamilyServiceAsyncStub) -> None:
    async def made(name: str, **fields: Any) -> families_pb2.ProductFamily:
        asked = families_pb2.ProductFamily(name=name, **fields)
        return await families.CreateProductFamily(
            families_pb2.CreateProductFamilyRequest(product_family=asked)
        )

    top = await made("Food", tax_class="reduced")
    leaf = await made("Drinks", parent_id=top.id)
    assert (await refusal(made("Food")))[1] == "FAMILY_NAME_TAKEN"
    assert (await refusal(made("Odd", parent_id=str(new_id()))))[2] == "product_family.parent_id"
    circle = families_pb2.UpdateProductFamilyRequest(
        id=top.id, product_family=families_pb2.ProductFamily(parent_id=leaf.id)
    )
    assert (await refusal(families.UpdateProductFamily(circle)))[1] == "FAMILY_IN_ITSELF"
    full = families_pb2.DeleteProductFamilyRequest(id=top.id)
    assert (await refusal(families.DeleteProductFamily(full)))[1] == "FAMILY_NOT_EMPTY"
    rows = [
        families_pb2.BatchUpsertProductFamiliesRequest.Row(
            product_family=families_pb2.ProductFamily(name="Drinks", description="Wet")
        ),
        families_pb2.BatchUpsertProductFamiliesRequest.Row(
            product_family=families_pb2.ProductFamily(name="Beer", parent_id=leaf.id)
        ),
        families_pb2.BatchUpsertProductFamiliesRequest.Row(
            product_family=families_pb2.ProductFamily(id=top.id, parent_id=leaf.id)
        ),
        families_pb2.BatchUpsertProductFamiliesRequest.Row(
            product_family=families_pb2.ProductFamily(description="Nameless")
        ),
    ]
    answer = await families.BatchUpsertProductFamilies(
        families_pb2.BatchUpsertProductFamiliesRequest(rows=rows)
    )
    assert [(each.outcome, each.reason) for each in answer.results] == [
        (RowResult.UPDATED, ""),
        (RowResult.CREATED, ""),
        (RowResult.REJECTED, "FAMILY_IN_ITSELF"),
        (RowResult.REJECTED, "FIELD_REQUIRED"),
    ]
    page = await families.ListProductFamilies(
        families_pb2.ListProductFamiliesRequest(filter=f'parent_id = "{leaf.id}"')
    )
    assert [each.name for each in page.product_families] == ["Beer"]
    versions = await families.ListProductFamilyVersions(
        families_pb2.ListProductFamilyVersionsRequest(id=leaf.id)
    )
    assert [each.changed_fields for each in versions.versions] == [["description"], []]
    await families.DeleteProductFamily(families_pb2.DeleteProductFamilyRequest(id=answer.results[1].id))
    assert (await made("Beer")).id != answer.results[1].id


def cost(product: pb.Product, amount: int, **fields: object) -> costs_pb2.BatchUpsertProductCostsRequest.Row:
    asked = costs_pb2.ProductCost(product_id=product.id, unit_cost=euros(amount), **fields)  # type: ignore[arg-type]
    return costs_pb2.BatchUpsertProductCostsRequest.Row(product_cost=asked)


async def test_costs_are_for_few_eyes(shop: Shop, costs: ProductCostServiceAsyncStub) -> None:
    product = await shop.product()
    request = costs_pb2.BatchUpsertProductCostsRequest(
        rows=[
            cost(product, 4),
            cost(product, 5, valid_from=Date(year=2026, month=1, day=1)),
            cost(product, -1, valid_from=Date(year=2027, month=1, day=1)),
            cost(pb.Product(id=str(new_id())), 1),
            cost(product, 6),
        ],
        request_id="once",
    )
    answer = await costs.BatchUpsertProductCosts(request)
    assert [(each.outcome, each.reason) for each in answer.results] == [
        (RowResult.CREATED, ""),
        (RowResult.CREATED, ""),
        (RowResult.REJECTED, "NEGATIVE_COST"),
        (RowResult.REJECTED, "NOT_FOUND"),
        (RowResult.UPDATED, ""),
    ]
    assert (await costs.BatchUpsertProductCosts(request)).results[0].id == answer.results[0].id
    listed = costs_pb2.ListProductCostsRequest(filter=f'product_id = "{product.id}"')
    page = await costs.ListProductCosts(listed)
    assert sorted(each.unit_cost.units for each in page.product_costs) == [5, 6]
    boss = ProductCostServiceStub(shop.stack.channel("quotes", "manager"))
    one = await boss.GetProductCost(costs_pb2.GetProductCostRequest(id=answer.results[0].id))
    assert one.unit_cost == euros(6)
    rep = ProductCostServiceStub(shop.stack.channel("quotes", "rep"))
    for call in (
        rep.ListProductCosts(listed),
        rep.GetProductCost(costs_pb2.GetProductCostRequest(id=one.id)),
        boss.BatchUpsertProductCosts(request),
    ):
        assert (await refusal(call))[0] is Code.PERMISSION_DENIED
    deleted = await costs.DeleteProductCost(costs_pb2.DeleteProductCostRequest(id=one.id))
    assert not deleted.HasField("unit_cost")
    assert len((await costs.ListProductCosts(listed)).product_costs) == 1


async def test_no_amount_of_a_cost_is_kept_where_others_look(
    shop: Shop, costs: ProductCostServiceAsyncStub
) -> None:
    product = await shop.product()
    rows = [cost(product, 7)]
    await costs.BatchUpsertProductCosts(costs_pb2.BatchUpsertProductCostsRequest(rows=rows))
    await shop.stack.settled()
    message = await (await shop.stack.events()).get_last_msg(
        "QUOTES", f"events.{shop.stack.tenant}.sfa.quotes.v1.ProductCostChanged"
    )
    assert message.data is not None
    event = ProductCostChanged.FromString(message.data)
    assert event.product_cost.product_id == product.id
    assert not event.product_cost.HasField("unit_cost")
