"""Orders, to the protos: nobody writes one but by accepting a quote."""

from sfa.quotes.v1 import orders_pb2 as pb

from chassis import convert
from chassis.history import Version
from services.quotes.domain.orders import Order, OrderState
from services.quotes.wire.quotes import set_lines

_STATES = {state: pb.Order.State.Value(state.name) for state in OrderState}


def order_to_proto(order: Order) -> pb.Order:
    """The resource."""
    result = pb.Order()
    convert.set_head(result, order)
    result.number = order.number
    result.state = _STATES[order.state]
    result.currency = order.currency
    result.purchase_order_number = order.purchase_order_number
    result.cancel_reason = order.cancel_reason
    result.quote_id = str(order.quote_id)
    result.opportunity_id = str(order.opportunity_id)
    result.owner_id = str(order.owner_id)
    if order.account_id is not None:
        result.account_id = str(order.account_id)
    if order.contact_id is not None:
        result.contact_id = str(order.contact_id)
    set_lines(result.lines, order.lines)
    convert.set_money(result.subtotal, order.money(order.subtotal))
    convert.set_money(result.discount_total, order.money(order.discount_total))
    convert.set_money(result.total, order.money(order.total))
    convert.set_timestamp(result.place_time, order.placed_at)
    if order.cancelled_at is not None:
        convert.set_timestamp(result.cancel_time, order.cancelled_at)
    return result


def order_version_to_proto(version: Version) -> pb.OrderVersion:
    """One version."""
    assert isinstance(version.resource, pb.Order)
    return pb.OrderVersion(
        order=version.resource,
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )
