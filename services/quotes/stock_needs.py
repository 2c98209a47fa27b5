"""What the lines of a quote need of stock, in base units: chosen lines of products, bundles by what they
hold. Freight, surcharges and one-off items need none.
"""

from __future__ import annotations

from datetime import date
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction

from chassis.call import Call
from services.quotes.domain.availability import Need
from services.quotes.domain.quotes import Quote
from services.quotes.store.products import ProductStore

_STEP = Decimal("0.000001")
_EXACT = Context(prec=60)


async def needs_of(call: Call, quote: Quote, day: date) -> list[Need]:
    """One for each line and product, all by the same day."""
    lines = [
        (index, line)
        for index, line in enumerate(quote.lines)
        if line.product_id is not None and line.counts and line.quantity > 0
    ]
    store = ProductStore(call)
    products = await store.get_many(
        list({line.product_id for _, line in lines if line.product_id is not None})
    )
    inside = {part.product_id for product in products.values() for part in product.components}
    if inside - products.keys():
        products = products | await store.get_many(list(inside - products.keys()))
    needs = []
    for index, line in lines:
        product = products.get(line.product_id) if line.product_id is not None else None
        if product is None:
            continue
        quantity = product.in_base_units(line.quantity, line.unit)
        if not product.is_bundle:
            needs.append(Need(index, line.id, product.id, _decimal(quantity), day))
            continue
        for part in product.components:
            component = products.get(part.product_id)
            if component is not None:
                held = quantity * component.in_base_units(part.quantity, part.unit)
                needs.append(Need(index, line.id, component.id, _decimal(held), day))
    return needs


def _decimal(quantity: Fraction) -> Decimal:
    """Six digits, rounded up: rather a little more than too little."""
    exact = _EXACT.divide(Decimal(quantity.numerator), Decimal(quantity.denominator))
    return exact.quantize(_STEP, ROUND_CEILING, _EXACT)
