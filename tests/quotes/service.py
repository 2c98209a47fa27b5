"""What the tests of the quotes service share: a running service, and short ways to ask it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.type.money_pb2 import Money
from grpc_status import rpc_status
from sfa.opportunities.v1 import opportunities_pb2 as deals_pb
from sfa.opportunities.v1.opportunities_pb2_grpc import OpportunityServiceStub
from sfa.quotes.v1 import products_pb2, quotes_pb2
from sfa.quotes.v1.orders_pb2_grpc import OrderServiceStub
from sfa.quotes.v1.products_pb2_grpc import PriceBookServiceStub, ProductServiceStub
from sfa.quotes.v1.quotes_pb2_grpc import QuoteServiceStub

from tests.stack import Stack

if TYPE_CHECKING:
    from sfa.opportunities.v1.opportunities_pb2_grpc import OpportunityServiceAsyncStub
    from sfa.quotes.v1.orders_pb2_grpc import OrderServiceAsyncStub
    from sfa.quotes.v1.products_pb2_grpc import PriceBookServiceAsyncStub, ProductServiceAsyncStub
    from sfa.quotes.v1.quotes_pb2_grpc import QuoteServiceAsyncStub


def euros(units: int, cents: int = 0) -> Money:
    """An amount in EUR."""
    return Money(currency_code="EUR", units=units, nanos=cents * 10_000_000)


class Shop:
    """The services as one caller sees them: the test's own, or somebody with another role or name."""

    def __init__(self, stack: Stack, role: str | None = None, **claims: Any) -> None:
        self.stack = stack
        channel = stack.channel("quotes", role, **claims)
        self.products: ProductServiceAsyncStub = ProductServiceStub(channel)
        self.prices: PriceBookServiceAsyncStub = PriceBookServiceStub(channel)
        self.quotes: QuoteServiceAsyncStub = QuoteServiceStub(channel)
        self.orders: OrderServiceAsyncStub = OrderServiceStub(channel)
        deals = stack.channel("opportunities", role, **claims)
        self.deals: OpportunityServiceAsyncStub = OpportunityServiceStub(deals)

    async def product(
        self, code: str = "C-1", price: Money | None = None, **fields: Any
    ) -> products_pb2.Product:
        """A new product, at ten euros unless said otherwise."""
        asked = products_pb2.Product(
            code=code, name=f"Product {code}", list_price=price or euros(10), **fields
        )
        return await self.products.CreateProduct(products_pb2.CreateProductRequest(product=asked))

    async def deal(self, name: str = "Roof", **fields: Any) -> deals_pb.Opportunity:
        """A new deal, of 100 euros unless said otherwise."""
        asked = deals_pb.Opportunity(name=name, **{"amount": euros(100), **fields})
        return await self.deals.CreateOpportunity(deals_pb.CreateOpportunityRequest(opportunity=asked))

    async def quote(self, deal: str, *lines: quotes_pb2.QuoteLine, **fields: Any) -> quotes_pb2.Quote:
        """A new draft for a deal."""
        asked = quotes_pb2.Quote(opportunity_id=deal, lines=lines, **fields)
        return await self.quotes.CreateQuote(quotes_pb2.CreateQuoteRequest(quote=asked))

    async def sent(self, deal: str, *lines: quotes_pb2.QuoteLine, **fields: Any) -> quotes_pb2.Quote:
        """A quote that the customer has."""
        draft = await self.quote(deal, *lines, **fields)
        return await self.quotes.SendQuote(quotes_pb2.SendQuoteRequest(id=draft.id))


def line(product: products_pb2.Product, quantity: str = "1", **fields: Any) -> quotes_pb2.QuoteLine:
    """A line of a quote."""
    return quotes_pb2.QuoteLine(product_id=product.id, quantity=quantity, **fields)


async def refusal(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str, str]:
    """The status, the reason and the first field that a call is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    reason = field = ""
    status = rpc_status.from_call(caught.value)
    for detail in status.details if status is not None else ():
        info, bad = ErrorInfo(), BadRequest()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(bad) and bad.field_violations:
            field = bad.field_violations[0].field
    return caught.value.code(), reason, field
