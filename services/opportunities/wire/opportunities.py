"""Deals between the protos and the domain."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from sfa.opportunities.v1 import opportunities_pb2 as pb
from sfa.quotes.v1.quotes_pb2 import Quote

from chassis import convert
from chassis.history import Version
from chassis.money import Money
from services.opportunities.domain import (
    PLAIN,
    LineItem,
    Opportunity,
    QuoteProposal,
    State,
)
from services.opportunities.wire.details import DETAIL_FIELDS, add_details
from services.opportunities.wire.quote_links import add_quote_links

_STATES = {state: pb.Opportunity.State.Value(state.name) for state in State}


def opportunity_to_proto(deal: Opportunity) -> pb.Opportunity:
    """The resource."""
    result = pb.Opportunity()
    convert.set_head(result, deal)
    result.name = deal.name
    if deal.account_id is not None:
        result.account_id = str(deal.account_id)
    if deal.owner_id is not None:
        result.owner_id = str(deal.owner_id)
    result.pipeline_id = str(deal.pipeline_id)
    result.stage_id = str(deal.stage_id)
    result.state = _STATES[deal.state]
    if deal.amount is not None:
        convert.set_money(result.amount, deal.amount)
    _add_lines(result.line_items, deal.line_items)
    if deal.close_date is not None:
        convert.set_date(result.close_date, deal.close_date)
    if deal.closed_at is not None:
        convert.set_timestamp(result.close_time, deal.closed_at)
    if deal.closed_from is not None:
        result.closed_from_stage_id = str(deal.closed_from)
    result.lost_reason = deal.lost_reason
    result.next_step = deal.next_step
    if deal.next_step_date is not None:
        convert.set_date(result.next_step_date, deal.next_step_date)
    result.description = deal.description
    if deal.lead_id is not None:
        result.lead_id = str(deal.lead_id)
    if deal.contact_ids:
        result.contact_ids.extend(map(str, deal.contact_ids))
    if deal.primary_quote_id is not None:
        result.primary_quote_id = str(deal.primary_quote_id)
    if (proposal := deal.quote_proposal) is not None:
        result.quote_proposal.quote_id = str(proposal.quote_id)
        result.quote_proposal.quote_etag = str(proposal.version)
        convert.set_money(result.quote_proposal.amount, proposal.amount)
        _add_lines(result.quote_proposal.line_items, proposal.line_items)
    if deal.quote_links is not None:
        add_quote_links(result, deal.quote_links)
    if deal.details is not PLAIN:
        add_details(result, deal)
    return result


def _add_lines(target: Any, lines: Sequence[LineItem]) -> None:
    for line in lines:
        item = target.add(product_id=str(line.product_id), quantity=convert.decimal_text(line.quantity))
        convert.set_money(item.unit_price, line.unit_price)


def _line_items(message: pb.Opportunity) -> tuple[LineItem, ...]:
    return tuple(
        LineItem(
            UUID(item.product_id),
            convert.decimal_of(item.quantity, f"opportunity.line_items[{index}].quantity"),
            convert.money_of(item.unit_price, f"opportunity.line_items[{index}].unit_price"),
        )
        for index, item in enumerate(message.line_items)
    )


# How each field that a client may set is read; the names are those of the update mask.
FIELDS: Mapping[str, Callable[[pb.Opportunity], Any]] = {
    "name": lambda message: message.name,
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "account_id": lambda message: convert.uuid_of(message.account_id),
    "owner_id": lambda message: convert.uuid_of(message.owner_id),
    "amount": lambda message: (
        convert.money_of(message.amount, "opportunity.amount") if message.HasField("amount") else None
    ),
    "line_items": _line_items,
    "close_date": lambda message: (
        convert.date_of(message.close_date, "opportunity.close_date")
        if message.HasField("close_date")
        else None
    ),
    "lost_reason": lambda message: message.lost_reason,
    "next_step": lambda message: message.next_step,
    "description": lambda message: message.description,
    "contact_ids": lambda message: tuple(dict.fromkeys(map(UUID, message.contact_ids))),
    "next_step_date": lambda message: (
        convert.date_of(message.next_step_date, "opportunity.next_step_date")
        if message.HasField("next_step_date")
        else None
    ),
    **DETAIL_FIELDS,
}

# A new one may also say which lead it comes from.
NEW_FIELDS = {**FIELDS, "lead_id": lambda message: convert.uuid_of(message.lead_id)}


def version_to_proto(version: Version) -> pb.OpportunityVersion:
    """One version."""
    return pb.OpportunityVersion(
        opportunity=cast("pb.Opportunity", version.resource),
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )


def proposal_of(quote: Quote) -> QuoteProposal:
    """What a quote would set: its total, and its lines at what a unit costs after discount.

    Its total counts whatever the quote charges for; as line items stand the products among them, without
    those that the customer has not chosen.
    """
    lines = []
    for line in quote.lines:
        if not line.product_id or not (line.is_chosen or not (line.is_optional or line.alternative_group)):
            continue
        quantity = Decimal(line.quantity)
        price = convert.money_of(line.total, "total")
        # nine decimals are what a unit price can carry: the lines add up again to the cent
        unit = Money(round(price.amount / quantity, 9) if quantity else price.amount, price.currency)
        lines.append(LineItem(UUID(line.product_id), quantity, unit))
    amount = convert.money_of(quote.total, "total")
    return QuoteProposal(UUID(quote.id), int(quote.etag), amount, tuple(lines))
