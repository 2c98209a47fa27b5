"""How a quote's or order's lines stand in their column."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from chassis.columns import listed, money_of
from services.quotes.domain.lines import QuoteLine


def _line(item: dict[str, Any]) -> QuoteLine:
    unit_price = money_of(item["unit_price"])
    assert unit_price is not None
    return QuoteLine(
        id=UUID(item["id"]),
        product_id=UUID(item["product_id"]),
        description=item["description"],
        quantity=Decimal(item["quantity"]),
        unit_price=unit_price,
        list_price=money_of(item["list_price"]),
        discount_percent=Decimal(item["discount_percent"]),
    )


LINES = listed(QuoteLine, _line)
