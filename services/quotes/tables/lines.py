"""How a quote's or order's lines stand in their column."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from chassis.columns import listed, money_of
from services.quotes.domain.lines import LineKind, QuoteLine


def _line(item: dict[str, Any]) -> QuoteLine:
    unit_price = money_of(item["unit_price"])
    assert unit_price is not None
    product_id, tax_rate, manual = item["product_id"], item.get("tax_rate"), item.get("manual")
    return QuoteLine(
        id=UUID(item["id"]),
        product_id=UUID(product_id) if product_id else None,
        description=item["description"],
        quantity=Decimal(item["quantity"]),
        unit_price=unit_price,
        list_price=money_of(item["list_price"]),
        discount_percent=Decimal(item["discount_percent"]),
        kind=LineKind(item.get("kind", "item")),
        is_price_manual=item.get("is_price_manual", False),
        is_optional=item.get("is_optional", False),
        alternative_group=item.get("alternative_group", ""),
        is_chosen=item.get("is_chosen", False),
        discount_value=money_of(item.get("discount_value")),
        tax_class=item.get("tax_class", ""),
        unit=item.get("unit", ""),
        promotion=Decimal(item.get("promotion", 0)),
        discount_share=Decimal(item.get("discount_share", 0)),
        tax_rate=Decimal(tax_rate) if tax_rate is not None else None,
        tax=Decimal(item.get("tax", 0)),
        is_gift=item.get("is_gift", False),
        manual=Decimal(manual) if manual is not None else None,
    )


LINES = listed(QuoteLine, _line)
