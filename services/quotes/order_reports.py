"""What the ERP says of orders: confirmations, rejections, shipments, invoices, payments. Each paper is kept as
it was last said, and the orders that it speaks of are added up anew from all of theirs: so any order and any
number of the same messages end in the same state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from sfa.erp.v1 import messages_pb2 as erp

from chassis.call import Call
from chassis.convert import date_of, datetime_of, money_of
from chassis.errors import InvalidArgument, NotFound, Refusal
from services.quotes import consequences
from services.quotes.domain.fulfilment import Said
from services.quotes.domain.orders import Order, OrderRejected, OrderState
from services.quotes.reports import Effect, Outcome, Report
from services.quotes.store.orders import (
    INVOICE,
    PAYMENT,
    SHIPMENT,
    STANDING,
    OrderStore,
    Paper,
    keep,
    said_of,
)
from services.quotes.store.products import ProductStore


class ReportedOrderUnknown(NotFound):
    """The ERP speaks of an order that is none of ours."""

    def __init__(self, number: str) -> None:
        super().__init__(f"There is no order {number}.", field="order")


class ReportedCurrencyDiffers(InvalidArgument):
    """An invoice or a payment in another currency than the order's."""

    def __init__(self, order: Order, currency: str, field: str) -> None:
        super().__init__(f"Order {order.number} is in {order.currency}, not in {currency}.", field=field)


async def confirmations(call: Call, said: Sequence[Report]) -> list[Outcome]:
    """The ERP has booked orders."""

    def paper(report: Report, order: Order) -> Paper:
        message: erp.OrderConfirmed = report.message
        lines = [
            {
                "line_id": line.line_id,
                "confirmed": line.confirmed_quantity,
                "backordered": line.backordered_quantity or "0",
                "delivery_on": _day(line, "delivery_date", f"lines[{index}].delivery_date"),
            }
            for index, line in enumerate(message.lines)
        ]
        at = datetime_of(message.confirm_time) if message.HasField("confirm_time") else report.at
        content = _standing(message.erp_order, "", lines, is_rejection=False)
        return _paper(report, message.order, message.order, {**content, "at": at.isoformat()}, "1")

    return await _take(call, said, STANDING, paper)


async def rejections(call: Call, said: Sequence[Report]) -> list[Outcome]:
    """The ERP does not take orders: what they have of stock and promotions is given back."""

    def paper(report: Report, order: Order) -> Paper:
        message: erp.OrderRejected = report.message
        content = _standing("", message.reason, [], is_rejection=True)
        return _paper(report, message.order, message.order, {**content, "at": report.at.isoformat()}, "2")

    return await _take(call, said, STANDING, paper)


async def shipments(call: Call, said: Sequence[Report]) -> list[Outcome]:
    """Goods have left for customers; those for none of our orders are of no interest here."""
    codes = {line.product for report in said for line in report.message.lines}
    products = await ProductStore(call).by_code(list(codes))

    def paper(report: Report, order: Order | None) -> Paper:
        message: erp.ShipmentReported = report.message
        content = {
            "number": message.shipment,
            "warehouse": message.warehouse,
            "products": [
                {
                    "product_id": products[line.product].id if line.product in products else None,
                    "code": line.product,
                    "quantity": line.quantity,
                }
                for line in message.lines
            ],
            "shipped_at": datetime_of(message.ship_time).isoformat()
            if message.HasField("ship_time")
            else None,
            "tracking_number": message.tracking_number,
            "tracking_url": message.tracking_url,
        }
        return _paper(report, message.shipment, message.order, content)

    return await _take(call, said, SHIPMENT, paper, ours_only=False)


async def invoices(call: Call, said: Sequence[Report]) -> list[Outcome]:
    """Invoices were written, changed or taken back."""

    def paper(report: Report, order: Order) -> Paper:
        message: erp.InvoiceIssued = report.message
        total = money_of(message.total, "total")
        if total.currency != order.currency:
            raise ReportedCurrencyDiffers(order, total.currency, "total.currency_code")
        content = {
            "number": message.invoice,
            "total": str(total.amount),
            "issued_on": _day(message, "issue_date"),
            "due_on": _day(message, "due_date"),
        }
        return _paper(report, message.invoice, message.order, content)

    return await _take(call, said, INVOICE, paper)


async def payments(call: Call, said: Sequence[Report]) -> list[Outcome]:
    """Payments came in, or were corrected."""

    def paper(report: Report, order: Order) -> Paper:
        message: erp.PaymentReceived = report.message
        amount = money_of(message.amount, "amount")
        if amount.currency != order.currency:
            raise ReportedCurrencyDiffers(order, amount.currency, "amount.currency_code")
        content = {
            "number": message.payment,
            "amount": str(amount.amount),
            "invoice": message.invoice,
            "received_on": _day(message, "receive_date"),
        }
        return _paper(report, message.payment, message.order, content)

    return await _take(call, said, PAYMENT, paper)


async def _take(
    call: Call,
    said: Sequence[Report],
    kind: str,
    paper_of: Callable[[Report, Any], Paper],
    *,
    ours_only: bool = True,
) -> list[Outcome]:
    store = OrderStore(call)
    known = await store.by_number({report.message.order for report in said})
    outcomes: list[Outcome] = []
    papers: list[Paper | None] = []
    for report in said:
        number = report.message.order
        try:
            if ours_only and number not in known:
                raise ReportedOrderUnknown(number)
            papers.append(paper_of(report, known.get(number)))
            outcomes.append(Effect.UNCHANGED)
        except Refusal as refusal:
            papers.append(None)
            outcomes.append(refusal)
    best: dict[str, int] = {}
    for index, paper in enumerate(papers):
        if paper is not None and (paper.key not in best or _is_above(paper, papers[best[paper.key]])):
            best[paper.key] = index
    if not best:
        return outcomes
    chosen = [paper for index in best.values() if (paper := papers[index]) is not None]
    news, touched = await keep(call, kind, chosen)
    for key, index in best.items():
        if key in news:
            outcomes[index] = Effect.UPDATED
    await _add_up(call, store, touched)
    return outcomes


async def _add_up(call: Call, store: OrderStore, numbers: set[str]) -> None:
    """What has become of the orders, from all that was said of them."""
    found = await store.by_number(numbers)
    everything = await said_of(call, found)
    for number, order in sorted(found.items()):
        former = order.state
        event = order.take(everything.get(number, Said()))
        if event is None:
            continue
        if isinstance(event, OrderRejected):
            await consequences.called_off(call, order)
        elif former is OrderState.REJECTED and order.state is not former:
            await consequences.taken_up_again(call, order)
        store.stage(order, event)
        await store.flush()


def _paper(report: Report, key: str, order: str, content: dict[str, Any], rank: str = "") -> Paper:
    """Two that say different things under one version are told apart by what they say, whoever comes first."""
    digest = hashlib.sha256(report.message.SerializeToString(deterministic=True)).hexdigest()
    return Paper(key, order, report.message.version, rank + digest, content)


def _is_above(one: Paper, other: Paper | None) -> bool:
    return other is None or (one.version, one.rank) > (other.version, other.rank)


def _standing(
    erp_order: str, reason: str, lines: list[dict[str, Any]], *, is_rejection: bool
) -> dict[str, Any]:
    return {"is_rejection": is_rejection, "erp_order": erp_order, "reason": reason, "lines": lines}


def _day(message: Any, field: str, path: str = "") -> str | None:
    return date_of(getattr(message, field), path or field).isoformat() if message.HasField(field) else None
