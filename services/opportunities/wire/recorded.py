"""Events as the rows that are kept of them."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sfa.identity.v1 import finance_pb2, organisation_pb2
from sfa.opportunities.v1 import deals_pb2
from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis import convert
from chassis.money import shares
from chassis.subscriptions import Received

Row = dict[str, Any]


def version_row(event: Received) -> Row:
    """A version of a deal as columns."""
    deal: pb.Opportunity = event.message.opportunity
    money = convert.money_of(deal.amount, "amount") if deal.HasField("amount") else None
    products = _products(deal)
    parts = shares(money.amount, products, money.currency) if money is not None else {}
    credited = [split for split in deal.splits if split.type == deals_pb2.Split.REVENUE]
    return {
        "id": event.entity_id,
        "version": event.version,
        "recorded_at": event.recorded_at,
        "effective_at": event.effective_at,
        "name": deal.name,
        "account_id": convert.uuid_of(deal.account_id),
        "owner_id": convert.uuid_of(deal.owner_id),
        "pipeline_id": UUID(deal.pipeline_id),
        "stage_id": UUID(deal.stage_id),
        "closed_from": convert.uuid_of(deal.closed_from_stage_id)
        or (_came_from(event) if deal.state != pb.Opportunity.OPEN else None),
        "state": pb.Opportunity.State.Name(deal.state),
        "amount": money.amount if money is not None else None,
        "currency": money.currency if money is not None else None,
        "close_date": convert.date_of(deal.close_date, "close_date") if deal.HasField("close_date") else None,
        "lost_reason": deal.lost_reason,
        "is_from_lead": bool(deal.lead_id),
        "product_ids": list(products),
        "product_amounts": [parts[product] for product in products] if parts else [],
        "credited_ids": [UUID(split.user_id) for split in credited],
        "credited_amounts": [
            convert.money_of(split.amount, "amount").amount for split in credited if split.HasField("amount")
        ],
        "tags": sorted(deal.tags),
        "competitor_ids": _ids(each.competitor_id for each in deal.competitors),
        "lost_to": convert.uuid_of(deal.lost_to_competitor_id),
        "deleted": deal.HasField("delete_time"),
    }


def visit_row(event: Received) -> Row | None:
    """That a deal came into a stage with this version; None where it stayed."""
    deal: pb.Opportunity = event.message.opportunity
    came_from = _came_from(event)
    if event.version != 1 and (came_from is None or str(came_from) == deal.stage_id):
        return None
    return {
        "deal_id": event.entity_id,
        "version": event.version,
        "recorded_at": event.recorded_at,
        "entered_at": event.effective_at,
        "pipeline_id": UUID(deal.pipeline_id),
        "stage_id": UUID(deal.stage_id),
    }


def rate_row(event: Received) -> Row:
    """A version of an exchange rate."""
    rate: finance_pb2.ExchangeRate = event.message.exchange_rate
    return {
        "id": event.entity_id,
        "version": event.version,
        "recorded_at": event.recorded_at,
        "from_currency": rate.from_currency,
        "to_currency": rate.to_currency,
        "valid_from": convert.date_of(rate.date, "date"),
        "rate": convert.decimal_of(rate.rate, "rate"),
        "deleted": rate.HasField("delete_time"),
    }


def tenant_row(event: Received) -> Row:
    """A version of what the tenant has set."""
    tenant: organisation_pb2.Tenant = event.message.tenant
    return {
        "id": event.entity_id,
        "version": event.version,
        "recorded_at": event.recorded_at,
        "reporting_currency": tenant.reporting_currency,
        "time_zone": tenant.time_zone,
    }


def _came_from(event: Received) -> UUID | None:
    """The stage that the deal stood in before, where the event says one."""
    text = getattr(event.message, "from_stage_id", "")
    return UUID(text) if text else None


def _products(deal: pb.Opportunity) -> dict[UUID, Decimal]:
    """What the line items of each product come to."""
    result: dict[UUID, Decimal] = {}
    for item in deal.line_items:
        product, price = UUID(item.product_id), convert.money_of(item.unit_price, "unit_price")
        result[product] = result.get(product, Decimal(0)) + Decimal(item.quantity) * price.amount
    return result


def _ids(texts: Any) -> Sequence[UUID]:
    return [UUID(text) for text in dict.fromkeys(texts)]
