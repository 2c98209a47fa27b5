"""Examples for the OpenAPI document: what people would write into fields of well-known names."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

UUID = "0198c0de-7a10-7000-8000-5fa000000001"

_BY_NAME = {
    "display_name": "Ada Lovelace",
    "given_name": "Ada",
    "family_name": "Lovelace",
    "company_name": "Acme GmbH",
    "email": "ada@acme.example",
    "address": "ada@acme.example",
    "number": "+49 30 1234567",
    "website": "https://acme.example",
    "currency_code": "EUR",
    "currency": "EUR",
    "reporting_currency": "EUR",
    "from_currency": "USD",
    "to_currency": "EUR",
    "country_code": "DE",
    "region_code": "DE",
    "locality": "Berlin",
    "postal_code": "10115",
    "street": "Invalidenstraße 1",
    "language": "en",
    "time_zone": "Europe/Berlin",
    "quantity": "12",
    "rate": "1.0834",
    "system": "erp",
    "lost_reason": "Price",
    "next_step": "Call back on Monday",
    "code": "GTX-PRO",
}
_NAMES = {
    "Account": "Acme GmbH",
    "Opportunity": "Acme renewal 2026",
    "Pipeline": "Direct sales",
    "PriceBook": "List prices 2026",
    "Product": "GTX Pro",
    "Queue": "Inbound",
    "Stage": "Negotiation",
    "Territory": "West",
}


def example_text(field: FieldDescriptor, rules: Any) -> str | None:
    """An example of a string field that its own rules allow; None where nothing good is known."""
    if rules.uuid:
        return UUID
    owner = field.containing_type.name if field.containing_type is not None else ""
    sample = _NAMES.get(owner) if field.name == "name" else _BY_NAME.get(field.name)
    if field.name == "id" and owner == "ExternalId":
        sample = "4711"
    if sample is None or (rules.email and "@" not in sample):
        return None
    if rules.pattern and not re.search(rules.pattern, sample):
        return None
    too_long = rules.max_len and len(sample) > rules.max_len
    return None if too_long or len(sample) < rules.min_len else sample
