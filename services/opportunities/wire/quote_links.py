"""What quotes and orders leave to be decided about a deal, between the protos and the domain."""

from sfa.opportunities.v1 import opportunities_pb2 as pb
from sfa.quotes.v1.orders_pb2 import Order

from chassis import convert
from services.opportunities.domain import OrderNotice, OrderOutcome, QuoteLinks

_OUTCOMES = {each: pb.OrderNotice.Kind.Value(each.name) for each in OrderOutcome}


def add_quote_links(result: pb.Opportunity, links: QuoteLinks) -> None:
    """Writes what there is of it into the resource."""
    result.sibling_quote_ids.extend(map(str, links.sibling_quote_ids))
    for notice in links.order_notices:
        added = result.order_notices.add(
            order_id=str(notice.order_id),
            order_number=notice.order_number,
            quote_id=str(notice.quote_id),
            kind=_OUTCOMES[notice.kind],
            reason=notice.reason,
        )
        convert.set_timestamp(added.time, notice.at)
        convert.set_money(added.total, notice.total)


def notice_of(order: Order, kind: OrderOutcome) -> OrderNotice:
    """What is to be said of an order that came to nothing."""
    at = order.cancel_time if order.HasField("cancel_time") else order.update_time
    id, quote_id = convert.uuid_of(order.id), convert.uuid_of(order.quote_id)
    assert id is not None
    assert quote_id is not None
    reason = order.cancel_reason or order.reject_reason or order.attention
    total = convert.money_of(order.total, "total")
    return OrderNotice(
        id, order.number, quote_id, kind, convert.datetime_of(at), reason, total, int(order.etag)
    )
