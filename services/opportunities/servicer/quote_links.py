"""What quotes and orders leave to be decided about a deal: one short method for each RPC."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid5

import grpc
from sfa.opportunities.v1 import opportunities_pb2 as pb
from sfa.quotes.v1 import quotes_pb2

from chassis.call import Call
from chassis.convert import uuid_of
from chassis.errors import Kind
from chassis.status import refusal_of
from services.opportunities import wire
from services.opportunities.domain import QuoteLinks
from services.opportunities.store import OpportunityStore

if TYPE_CHECKING:
    from sfa.quotes.v1.quotes_pb2_grpc import QuoteServiceAsyncStub


class QuoteLinksServicer:
    """The part of the deals' service that quotes and orders ask for."""

    quotes: QuoteServiceAsyncStub

    async def ConfirmQuote(self, request: pb.ConfirmQuoteRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        deal = await store.get(request.id, request.etag)
        await store.save(deal, deal.confirm_quote(uuid_of(request.quote_id)))
        return wire.opportunity_to_proto(deal)

    async def DismissQuote(self, request: pb.DismissQuoteRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        deal = await store.get(request.id, request.etag)
        await store.save(deal, deal.dismiss_quote())
        return wire.opportunity_to_proto(deal)

    async def CloseSiblingQuotes(self, request: pb.CloseSiblingQuotesRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        deal = await store.get(request.id, request.etag)
        ids = (deal.quote_links or QuoteLinks()).siblings(tuple(map(UUID, request.quote_ids)))
        store.changeable(deal)  # before quotes are cancelled, which nothing takes back
        for id in ids:
            await self._cancel(id, deal.id)
        await store.save(deal, deal.drop_siblings(ids))
        return wire.opportunity_to_proto(deal)

    async def KeepSiblingQuotes(self, request: pb.KeepSiblingQuotesRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        deal = await store.get(request.id, request.etag)
        await store.save(deal, deal.offer_siblings(()))
        return wire.opportunity_to_proto(deal)

    async def AcknowledgeOrder(self, request: pb.AcknowledgeOrderRequest, call: Call) -> pb.Opportunity:
        store = OpportunityStore(call)
        deal = await store.get(request.id, request.etag)
        await store.save(deal, deal.forget_order(UUID(request.order_id)))
        return wire.opportunity_to_proto(deal)

    async def _cancel(self, quote_id: UUID, deal_id: UUID) -> None:
        """Cancels a quote in the caller's name; one that was decided on meanwhile needs nothing."""
        key = str(uuid5(deal_id, f"close {quote_id}"))
        try:
            await self.quotes.CancelQuote(quotes_pb2.CancelQuoteRequest(id=str(quote_id), request_id=key))
        except grpc.aio.AioRpcError as error:
            refusal = refusal_of(error)
            if refusal is None or refusal.kind is not Kind.FAILED_PRECONDITION:
                raise
