"""What identity says of currencies, as rows."""

from typing import Any
from uuid import UUID

from sfa.identity.v1 import finance_pb2

from chassis import convert


def rate_row(rate: finance_pb2.ExchangeRate, version: int) -> dict[str, Any]:
    """An exchange rate."""
    return {
        "id": UUID(rate.id),
        "version": version,
        "from_currency": rate.from_currency,
        "to_currency": rate.to_currency,
        "valid_from": convert.date_of(rate.date, "date"),
        "rate": convert.decimal_of(rate.rate, "rate"),
        "deleted": rate.HasField("delete_time"),
    }
