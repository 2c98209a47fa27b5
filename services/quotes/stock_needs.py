"""What the lines of a quote need of stock, in base units: chosen lines of products, bundles by what they
hold. Freight, surcharges and one-off items need none.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from uuid import UUID

import sqlalchemy as sa

from chassis.call import Call
from chassis.database import Prepared
from services.quotes.domain.availability import Need
from services.quotes.domain.products import Product
from services.quotes.domain.quotes import Quote
from services.quotes.tables.products import PRODUCT, products

_PRODUCTS = Prepared(
    PRODUCT.rows.select.where(products.c.id == sa.any_(sa.bindparam("ids", type_=sa.ARRAY(sa.Uuid))))
)
"""Composed once: holds are taken while others wait."""
_STEP = Decimal("0.000001")
_EXACT = Context(prec=60)


async def needs_of(call: Call, quote: Quote, day: date) -> list[Need]:
    """One for each line and product, all by the same day."""
    lines = [
        (index, line)
        for index, line in enumerate(quote.lines)
        if line.product_id is not None and line.counts and line.quantity > 0
    ]
    known = await _products(call, list({line.product_id for _, line in lines if line.product_id is not None}))
    inside = {part.product_id for product in known.values() for part in product.components}
    if inside - known.keys():
        known = known | await _products(call, inside - known.keys())
    needs = []
    for index, line in lines:
        product = known.get(line.product_id) if line.product_id is not None else None
        if product is None:
            continue
        quantity = product.in_base_units(line.quantity, line.unit)
        if not product.is_bundle:
            needs.append(Need(index, line.id, product.id, _decimal(quantity), day))
            continue
        for part in product.components:
            component = known.get(part.product_id)
            if component is not None:
                held = quantity * component.in_base_units(part.quantity, part.unit)
                needs.append(Need(index, line.id, component.id, _decimal(held), day))
    return needs


async def _products(call: Call, ids: Collection[UUID]) -> dict[UUID, Product]:
    rows = await call.tx.read(_PRODUCTS, {"ids": list(ids)}) if ids else []
    return {product.id: product for product in map(PRODUCT.rows.load, rows)}


def _decimal(quantity: Fraction) -> Decimal:
    """Six digits, rounded up: rather a little more than too little."""
    exact = _EXACT.divide(Decimal(quantity.numerator), Decimal(quantity.denominator))
    return exact.quantize(_STEP, ROUND_CEILING, _EXACT)
