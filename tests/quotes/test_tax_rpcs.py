"""Tax over gRPC: rates, exemptions and settings, what quotes make of them, and a service outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from typing import Any, cast

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date
from sfa.quotes.v1 import quotes_pb2, taxes_pb2
from sfa.quotes.v1.taxes_pb2_grpc import TaxServiceStub

from chassis.call import Call
from chassis.ids import new_id
from services.quotes.domain.taxation import TaxableLine, TaxQuestion
from services.quotes.tax_calculators import (
    OutsideTax,
    OutsideTaxSettings,
    TaxServiceAnswerUnusable,
    TaxServiceAway,
    TaxServiceNotSet,
)
from tests.quotes.service import Shop, euros, line, refusal
from tests.stack import Stack

Code = grpc.StatusCode


@pytest.fixture
def taxes(running: Stack) -> Any:
    """The tax service as sales operations see it."""
    return TaxServiceStub(running.channel("quotes", "operations"))


async def rate(taxes: Any, percent: str, **fields: Any) -> taxes_pb2.TaxRate:
    asked = taxes_pb2.TaxRate(percent=percent, **{"region": "DE", **fields})
    made: taxes_pb2.TaxRate = await taxes.CreateTaxRate(taxes_pb2.CreateTaxRateRequest(tax_rate=asked))
    return made


async def settle(taxes: Any, **fields: Any) -> taxes_pb2.TaxSettings:
    settings = taxes_pb2.TaxSettings(**{"default_region": "DE", **fields})
    request = taxes_pb2.UpdateTaxSettingsRequest(tax_settings=settings)
    changed: taxes_pb2.TaxSettings = await taxes.UpdateTaxSettings(request)
    return changed


async def test_a_quote_has_the_tax_of_its_region_on_top(shop: Shop, office: Shop, taxes: Any) -> None:
    await rate(taxes, "19")
    await rate(taxes, "7", tax_class="reduced")
    await settle(taxes)
    chair, book = await office.product(), await office.product("B-1", tax_class="reduced")
    deal = await shop.deal()
    freight = quotes_pb2.QuoteLine(
        kind=quotes_pb2.QuoteLine.FREIGHT, description="Freight", quantity="1", unit_price=euros(5)
    )
    quote = await shop.quote(deal.id, line(chair), line(book, "2"), freight)
    assert [each.tax_amount for each in quote.lines] == [euros(1, 90), euros(1, 40), euros(0, 95)]
    assert (quote.total, quote.tax_total, quote.payable_total) == (euros(35), euros(4, 25), euros(39, 25))
    assert [(tax.name, tax.percent, tax.base, tax.amount) for tax in quote.taxes] == [
        ("VAT", "19", euros(15), euros(2, 85)),
        ("VAT", "7", euros(20), euros(1, 40)),
    ]
    elsewhere = shop.quote(deal.id, line(chair), tax_region="FR")
    assert await refusal(elsewhere) == (
        Code.FAILED_PRECONDITION, "TAX_RATE_MISSING", "quote.lines[0].tax_class",
    )  # fmt: skip


async def test_prices_may_include_tax_and_tax_may_be_rounded_once(
    shop: Shop, office: Shop, taxes: Any
) -> None:
    await rate(taxes, "10")
    await settle(taxes, rounding=taxes_pb2.TaxSettings.PER_DOCUMENT, prices_include_tax=True)
    pen = await office.product("P-1", euros(0, 5))
    deal = await shop.deal()
    quote = await shop.quote(deal.id, line(pen), line(pen), line(pen))
    assert quote.prices_include_tax
    assert (quote.total, quote.tax_total, quote.payable_total) == (euros(0, 15), euros(0, 1), euros(0, 15))
    changed = await shop.quotes.UpdateQuote(
        quotes_pb2.UpdateQuoteRequest(
            id=quote.id, quote=quotes_pb2.Quote(), update_mask=FieldMask(paths=["prices_include_tax"])
        )
    )
    assert (changed.tax_total, changed.payable_total) == (euros(0, 2), euros(0, 17))


async def test_an_exempt_customer_pays_none_while_it_holds(shop: Shop, office: Shop, taxes: Any) -> None:
    await rate(taxes, "19")
    await settle(taxes)
    account = str(new_id())
    today = shop.stack.clock.now().date()
    exemption = await taxes.CreateTaxExemption(
        taxes_pb2.CreateTaxExemptionRequest(
            tax_exemption=taxes_pb2.TaxExemption(
                account_id=account, certificate="X-1", valid_to=Date(year=today.year + 1, month=1, day=1)
            )
        )
    )
    chair = await office.product()
    deal = await shop.deal(account_id=account)
    quote = await shop.quote(deal.id, line(chair))
    assert (quote.is_tax_exempt, quote.payable_total) == (True, euros(10))
    await taxes.DeleteTaxExemption(taxes_pb2.DeleteTaxExemptionRequest(id=exemption.id))
    sending = shop.quotes.SendQuote(quotes_pb2.SendQuoteRequest(id=quote.id))
    assert (await refusal(sending))[1] == "QUOTE_CHANGED"


async def test_rates_are_kept_as_every_resource(shop: Shop, taxes: Any) -> None:
    made = await rate(taxes, "19", valid_from=Date(year=2026, month=1, day=1))
    assert (made.tax_class, made.name) == ("standard", "VAT")
    assert (await refusal(rate(taxes, "20", valid_from=made.valid_from)))[1] == "TAX_RATE_TAKEN"
    assert (await refusal(rate(taxes, "20", region="")))[1:] == ("FIELD_REQUIRED", "tax_rate.region")
    changed = await taxes.UpdateTaxRate(
        taxes_pb2.UpdateTaxRateRequest(id=made.id, etag=made.etag, tax_rate=taxes_pb2.TaxRate(percent="16"))
    )
    assert (await taxes.GetTaxRate(taxes_pb2.GetTaxRateRequest(id=made.id))) == changed
    listed = await taxes.ListTaxRates(taxes_pb2.ListTaxRatesRequest(filter='region = "DE"'))
    assert list(listed.tax_rates) == [changed]
    await taxes.DeleteTaxRate(taxes_pb2.DeleteTaxRateRequest(id=made.id))
    assert not (await taxes.ListTaxRates(taxes_pb2.ListTaxRatesRequest())).tax_rates
    rep = TaxServiceStub(shop.stack.channel("quotes", "rep"))
    assert (await refusal(rate(rep, "19")))[0] is Code.PERMISSION_DENIED


async def test_without_an_outside_service_a_tenant_that_wants_one_is_told(
    shop: Shop, office: Shop, taxes: Any
) -> None:
    await settle(taxes, calculator=taxes_pb2.TaxSettings.OUTSIDE)
    chair = await office.product()
    refused = await refusal(shop.quote((await shop.deal()).id, line(chair)))
    assert refused[:2] == (Code.FAILED_PRECONDITION, "TAX_SERVICE_NOT_SET")


@asynccontextmanager
async def served(answer: Any, status: str = "200 OK") -> AsyncIterator[tuple[str, list[Any]]]:
    """A tax service on a free port that always answers the same; None for one that never does."""
    asked: list[Any] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        asked.append(json.loads(await reader.readexactly(length)))
        if answer is None:
            await reader.read()  # until the other side has had enough
        else:
            body = json.dumps(answer(asked[-1]) if callable(answer) else answer).encode()
            head_out = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            writer.write(head_out.encode() + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/tax", asked


QUESTION = TaxQuestion(
    (TaxableLine(new_id(), Decimal("10.00"), "standard"),), "EUR", "US-CA", date(2026, 5, 4), new_id()
)


def due(question: Any, amount: str = "0.89") -> dict[str, Any]:
    return {
        "lines": [{"id": each["id"], "percent": "8.875", "amount": amount} for each in question["lines"]],
        "taxes": [{"name": "Sales tax", "percent": "8.875", "base": "10.00", "amount": "0.89"}],
    }


async def ask(url: str, timeout: float = 5) -> Any:
    class OneCall:
        request_id = "once"

    settings = OutsideTaxSettings(url=url, timeout_seconds=timeout)
    return await OutsideTax(settings).calculate(cast("Call", OneCall()), QUESTION)


async def test_an_outside_service_is_asked_all_it_has_to_know() -> None:
    async with served(due) as (url, asked):
        taxation = await ask(url)
    (only,) = QUESTION.lines
    assert taxation.lines[only.id].amount == Decimal("0.89")
    assert taxation.taxes[0].name == "Sales tax"
    assert asked[0]["lines"] == [
        {"id": str(only.id), "amount": "10.00", "tax_class": "standard", "product_id": ""}
    ]
    assert (asked[0]["region"], asked[0]["date"], asked[0]["id"]) == ("US-CA", "2026-05-04", "once")


async def test_an_outside_service_that_is_away_slow_or_broken_is_a_clear_refusal() -> None:
    with pytest.raises(TaxServiceNotSet):
        await ask("")
    async with served(None) as (url, _):
        with pytest.raises(TaxServiceAway, match="none within"):
            await ask(url, timeout=0.2)
    with pytest.raises(TaxServiceAway, match="ConnectError"):
        await ask(url)  # it is gone
    async with served({}, "503 Service Unavailable") as (url, _):
        with pytest.raises(TaxServiceAway, match="status 503"):
            await ask(url)


async def test_an_outside_answer_that_does_not_add_up_is_not_used() -> None:
    unusable: list[Any] = [
        "tax",
        {"lines": [], "taxes": []},
        lambda question: due(question, amount="0.88"),
        lambda question: due(question, amount="0.895"),
        lambda question: due(question, amount="NaN"),
        lambda question: {**due(question), "lines": [{"id": "x"}]},
    ]
    for answer in unusable:
        async with served(answer) as (url, _):
            with pytest.raises(TaxServiceAnswerUnusable):
                await ask(url)
