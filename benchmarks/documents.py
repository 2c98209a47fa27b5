"""Documents: how long the pages of a quote take to set, in this process, without the service around them.

Every document is of another content, since what was set before is remembered; the fonts have been looked
through before, as they have in a running service.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from statistics import quantiles
from typing import Any

from chassis.ids import new_id
from chassis.money import Money
from services.quotes.documents.content import Content, content_of
from services.quotes.documents.language import language_of
from services.quotes.documents.parties import Party
from services.quotes.documents.typesetting import set_pages
from services.quotes.domain.document_templates import DocumentTemplate
from services.quotes.domain.lines import QuoteLine
from services.quotes.domain.quotes import Quote

_AT = datetime(2026, 3, 1, tzinfo=UTC)
_MOST_SECONDS = 0.3


def measure(scale: float = 1.0) -> Iterator[dict[str, Any]]:
    """One page, 300 lines, and the rate of two threads; rows as `sfa bench` prints them."""
    set_pages(_content(5), None, _AT)
    yield _row("document, one page", 5, max(10, int(40 * scale)), _MOST_SECONDS)
    yield _row("document, 300 lines", 300, max(3, int(8 * scale)), None)
    yield _rate(max(20, int(80 * scale)))


def _row(name: str, lines: int, many: int, most: float | None) -> dict[str, Any]:
    took = []
    cpu = time.process_time()
    for _ in range(many):
        content = _content(lines)
        began = time.perf_counter()
        set_pages(content, None, _AT)
        took.append(time.perf_counter() - began)
    cpu = (time.process_time() - cpu) / many
    cuts = quantiles(took, n=100, method="inclusive")
    met = None if most is None else cuts[98] < most
    target = "" if most is None else f"p99 < {most * 1000:.0f} ms"
    return _figures(name, many / sum(took), cuts[49], cuts[98], cpu, target, met)


def _rate(many: int) -> dict[str, Any]:
    contents = [_content(5) for _ in range(many)]
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda content: set_pages(content, None, _AT), contents))
    seconds = time.perf_counter() - began
    return _figures("documents, two threads", many / seconds, None, None, None, "", None)


def _figures(
    name: str,
    rate: float,
    p50: float | None,
    p99: float | None,
    cpu: float | None,
    target: str,
    met: bool | None,
) -> dict[str, Any]:
    def milliseconds(seconds: float | None) -> float | None:
        return None if seconds is None else round(seconds * 1000, 1)

    return {
        "name": name, "per_second": round(rate, 1), "p50_ms": milliseconds(p50), "p99_ms": milliseconds(p99),
        "cpu_ms": milliseconds(cpu), "floor_ms": None, "ratio": None, "target": target, "met": met,
    }  # fmt: skip


def _content(lines: int) -> Content:
    someone = new_id()
    quote = Quote(
        number=f"Q-{str(someone)[-6:]}", opportunity_id=someone, owner_id=someone, price_book_id=someone,
        currency="EUR", valid_until=date(2026, 3, 31), terms="Net 14 days.",
    )  # fmt: skip
    quote.create(
        tuple(
            QuoteLine(
                id=new_id(), product_id=None, description=f"Article {str(new_id())[-8:]}, {number} of {lines}",
                quantity=Decimal(number), unit_price=Money(Decimal("19.90"), "EUR"), list_price=None,
                discount_percent=Decimal(number % 3),
            )
            for number in range(1, lines + 1)
        )
    )  # fmt: skip
    template = DocumentTemplate(
        name="Bench", sender_name="Sonne", terms="General terms.", footer=("One", "Two")
    )
    return content_of(quote, template, language_of("de"), Party("Muster KG", "Hauptstraße 1"), _AT)
