"""What an ERP has to know of each line of an order to deliver it: the product by its code and by the ERP's own
number, what it takes out of stock, and what is reserved for it where.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from chassis.call import Call
from services.quotes.domain.fulfilment import Item, Part, Reserved
from services.quotes.domain.products import Product
from services.quotes.domain.quotes import Quote
from services.quotes.holds import Held
from services.quotes.stock_needs import needs_of
from services.quotes.store.products import ProductStore
from services.quotes.store.stock import WarehouseStore


async def items_of(call: Call, quote: Quote, held: Held) -> tuple[Item, ...]:
    """The lines that count of a quote that is accepted, with what was reserved for them."""
    lines = [line for line in quote.lines if line.counts]
    needs = await needs_of(call, quote, call.now.date())
    ids = {need.product_id for need in needs} | {line.product_id for line in lines if line.product_id}
    products = await ProductStore(call).get_many(sorted(ids))
    warehouses = {each.id: each.code for each in await WarehouseStore(call).all()} if held.promises else {}
    parts: dict[UUID, list[Part]] = {}
    for need in needs:
        code = products[need.product_id].code
        parts.setdefault(need.line_id, []).append(Part(need.product_id, code, need.quantity))
    reserved: dict[UUID, list[Reserved]] = {}
    for promise in held.promises:
        where, what = warehouses.get(promise.warehouse_id, ""), products[promise.product_id].code
        reserved.setdefault(promise.line_id, []).append(
            Reserved(where, what, promise.quantity, promise.due_on)
        )
    return tuple(
        Item(
            line_id=line.id,
            product_code=product.code if product is not None else "",
            product_external_ids=product.external_ids if product is not None else (),
            unit=line.unit or (product.base_unit if product is not None else ""),
            ordered=line.quantity,
            ships=any(_is_goods(part.product_id, products, held) for part in parts.get(line.id, ())),
            parts=tuple(parts.get(line.id, ())),
            reserved=tuple(reserved.get(line.id, ())),
        )
        for line in lines
        for product in (products.get(line.product_id) if line.product_id is not None else None,)
    )


def _is_goods(product_id: UUID, products: Mapping[UUID, Product], held: Held) -> bool:
    """Whether the product is kept somewhere, or weighs something."""
    return product_id not in held.unstocked or bool(products[product_id].weight_kilograms)
