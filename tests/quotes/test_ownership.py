"""What becomes of quotes and orders when their owner leaves."""

from __future__ import annotations

from sfa.api.v1 import ownership_pb2
from sfa.api.v1.ownership_pb2_grpc import OwnershipServiceStub
from sfa.quotes.v1 import quotes_pb2

from chassis.ids import new_id
from tests.quotes.service import Shop, line
from tests.stack import Stack


async def test_undecided_quotes_move_on_and_decided_ones_and_orders_stay(
    shop: Shop, office: Shop, running: Stack
) -> None:
    chair = await office.product()
    deal = await shop.deal()
    draft = await shop.quote(deal.id)
    sent = await shop.sent(deal.id, line(chair))
    accepted = await shop.sent(deal.id, line(chair))
    await shop.quotes.AcceptQuote(quotes_pb2.AcceptQuoteRequest(id=accepted.id))
    leaver, successor = str(running.callers.user()), str(running.callers.user("successor"))
    ownership = OwnershipServiceStub(running.channel("quotes", "administrator"))
    counted = await ownership.CountOwned(ownership_pb2.CountOwnedRequest(owner_id=leaver))
    counts = {count.entity: (count.open, count.closed, count.accepts_queue) for count in counted.counts}
    assert (counts.pop("quote"), counts.pop("order")) == ((2, 1, False), (0, 1, False))
    assert set(counts.values()) <= {(0, 0, False), (0, 0, True)}, counts
    moved = await ownership.TransferOwned(
        ownership_pb2.TransferOwnedRequest(
            operation_id=str(new_id()),
            entity="quote",
            from_owner_id=leaver,
            to_owner_id=successor,
            request_id="step 1",
        )
    )
    assert ({each.id for each in moved.moved}, moved.remaining) == ({draft.id, sent.id}, 0)
    theirs = await Shop(running, name="successor").quotes.ListQuotes(quotes_pb2.ListQuotesRequest())
    assert {quote.id for quote in theirs.quotes} == {draft.id, sent.id}
