"""The best combination: against trying all, and what must hold of it whatever the case."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from services.quotes.pricing.model import Document, Promotion
from services.quotes.pricing.solver import best
from tests.quotes.pricing import oracle
from tests.quotes.pricing.small import documents, offered

few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@few
@given(document=documents(), promotions=offered(3))
def test_is_what_trying_all_finds(document: Document, promotions: tuple[Promotion, ...]) -> None:
    lowest = oracle.best(document, promotions)
    found = best(document, promotions, 5000)
    assert found.bound is not None
    assert found.bound <= lowest.total <= found.totals.total
    if found.proven:
        assert (found.totals.total, -found.totals.gift_value) == (lowest.total, -lowest.gift_value)
