"""Orders, to the protos: nobody writes one but by accepting a quote."""

from __future__ import annotations

from typing import Any

from sfa.api.v1 import channels_pb2
from sfa.quotes.v1 import orders_pb2 as pb

from chassis import convert
from chassis.history import Version
from services.quotes.domain.fulfilment import Item
from services.quotes.domain.orders import Order, OrderState, PostalAddress
from services.quotes.wire.quotes import set_lines

_STATES = {state: pb.Order.State.Value(state.name) for state in OrderState}


def order_to_proto(order: Order) -> pb.Order:
    """The resource."""
    result = pb.Order()
    convert.set_head(result, order)
    result.state = _STATES[order.state]
    for name in (
        *("number", "currency", "purchase_order_number", "cancel_reason", "quote_number", "quote_revision"),
        *("prices_include_tax", "tax_region", "is_tax_exempt", "payment_days", "terms", "exchange_currency"),
        *("erp_order", "attention"),
    ):
        setattr(result, name, getattr(order, name))
    for name in ("quote_id", "opportunity_id", "owner_id", "account_id", "contact_id"):
        if (id := getattr(order, name)) is not None:
            setattr(result, name, str(id))
    set_lines(result.lines, order.lines)
    for item in order.items:
        _set_item(result.items.add(), item)
    _set_customer(result.customer, order)
    _set_sums(result, order)
    convert.set_timestamp(result.place_time, order.placed_at)
    if order.cancelled_at is not None:
        convert.set_timestamp(result.cancel_time, order.cancelled_at)
    if order.requested_date is not None:
        convert.set_date(result.requested_date, order.requested_date)
    _set_said(result, order)
    return result


def _set_customer(target: pb.OrderCustomer, order: Order) -> None:
    customer = order.customer
    target.name = customer.name
    for external_id in customer.external_ids:
        target.external_ids.add(system=external_id.system, id=external_id.id)
    billing, shipping = customer.address("BILLING", "MAIN"), customer.address("SHIPPING", "MAIN")
    if billing is not None:
        _set_address(target.billing_address, billing)
    if shipping is not None:
        _set_address(target.shipping_address, shipping)


def _set_address(target: channels_pb2.Address, address: PostalAddress) -> None:
    target.kind = channels_pb2.Address.Kind.Value(address.kind or "KIND_UNSPECIFIED")
    for name in ("street", "locality", "administrative_area", "postal_code", "country_code"):
        setattr(target, name, getattr(address, name))


def address_of(message: channels_pb2.Address) -> PostalAddress:
    """An address as the contacts service says it."""
    return PostalAddress(
        kind=channels_pb2.Address.Kind.Name(message.kind) if message.kind else "",
        street=message.street,
        locality=message.locality,
        administrative_area=message.administrative_area,
        postal_code=message.postal_code,
        country_code=message.country_code,
    )


def _set_sums(result: pb.Order, order: Order) -> None:
    for name in (
        "subtotal",
        "discount_total",
        "total",
        "tax_total",
        "payable_total",
        "invoiced_total",
        "paid_total",
    ):
        convert.set_money(getattr(result, name), order.money(getattr(order, name)))
    for applied in order.promotions:
        promotion = result.promotions.add(
            promotion_id=str(applied.promotion_id),
            code=applied.code,
            name=applied.name,
            count=applied.count,
            coupon_code=applied.coupon_code,
        )
        convert.set_money(promotion.discount, applied.discount)
    if order.discount_percent:
        result.discount_percent = convert.decimal_text(order.discount_percent)
    if order.discount_value:
        convert.set_money(result.discount_value, order.money(order.discount_value))
    for tax in order.taxes:
        amount = result.taxes.add(name=tax.name, percent=convert.decimal_text(tax.percent))
        convert.set_money(amount.base, order.money(tax.base))
        convert.set_money(amount.amount, order.money(tax.amount))
    for instalment in order.payment_schedule:
        part = result.payment_schedule.add(
            label=instalment.label, percent=convert.decimal_text(instalment.percent), days=instalment.days
        )
        convert.set_money(part.amount, order.money(instalment.amount))
    if order.exchange_rate is not None:
        result.exchange_rate = convert.decimal_text(order.exchange_rate)
    if order.exchange_date is not None:
        convert.set_date(result.exchange_date, order.exchange_date)


def _set_item(target: pb.OrderItem, item: Item) -> None:
    target.line_id = str(item.line_id)
    target.product_code = item.product_code
    for external_id in item.product_external_ids:
        target.product_external_ids.add(system=external_id.system, id=external_id.id)
    target.unit = item.unit
    target.ordered_quantity = convert.decimal_text(item.ordered)
    if item.confirmed is not None:
        target.confirmed_quantity = convert.decimal_text(item.confirmed)
    target.backordered_quantity = convert.decimal_text(item.backordered)
    target.shipped_quantity = convert.decimal_text(item.shipped)
    if item.delivery_on is not None:
        convert.set_date(target.delivery_date, item.delivery_on)
    for part in item.parts:
        target.parts.add(
            product_id=str(part.product_id),
            product_code=part.code,
            quantity=convert.decimal_text(part.quantity),
        )
    for each in item.reserved:
        reserved = target.reserved.add(
            warehouse=each.warehouse, product_code=each.product, quantity=convert.decimal_text(each.quantity)
        )
        convert.set_date(reserved.due_date, each.due_on)


def _set_said(result: pb.Order, order: Order) -> None:
    if order.standing is not None and order.standing.is_rejection:
        result.reject_reason = order.standing.reason
    elif order.standing is not None:
        convert.set_timestamp(result.confirm_time, order.standing.at)
    for shipment in order.shipments:
        sent = result.shipments.add(
            shipment=shipment.number,
            warehouse=shipment.warehouse,
            tracking_number=shipment.tracking_number,
            tracking_url=shipment.tracking_url,
        )
        convert.set_timestamp(sent.ship_time, shipment.shipped_at)
        for product in shipment.products:
            sent.products.add(product_code=product.code, quantity=convert.decimal_text(product.quantity))
    for invoice in order.invoices:
        written = result.invoices.add(invoice=invoice.number)
        convert.set_money(written.total, order.money(invoice.total))
        _set_date(written, "issue_date", invoice.issued_on)
        _set_date(written, "due_date", invoice.due_on)
    for payment in order.payments:
        received = result.payments.add(payment=payment.number, invoice=payment.invoice)
        convert.set_money(received.amount, order.money(payment.amount))
        _set_date(received, "receive_date", payment.received_on)


def _set_date(target: Any, field: str, day: Any) -> None:
    if day is not None:
        convert.set_date(getattr(target, field), day)


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
