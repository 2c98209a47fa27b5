"""Between the protos and the domain."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis import convert
from chassis.history import Version
from chassis.ids import new_id
from services.opportunities.domain import ForecastCategory, LineItem, Opportunity, Pipeline, Stage, State

_STATES = {state: pb.Opportunity.State.Value(state.name) for state in State}
_KINDS = {state: pb.Stage.Kind.Value(state.name) for state in State}
_CATEGORIES = {category: pb.ForecastCategory.Value(category.name) for category in ForecastCategory}
_STATE_OF_KIND = {number: state for state, number in _KINDS.items()}
_CATEGORY_OF = {number: category for category, number in _CATEGORIES.items()}


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
    for line in deal.line_items:
        item = result.line_items.add(
            product_id=str(line.product_id), quantity=convert.decimal_text(line.quantity)
        )
        convert.set_money(item.unit_price, line.unit_price)
    if deal.close_date is not None:
        convert.set_date(result.close_date, deal.close_date)
    if deal.closed_at is not None:
        convert.set_timestamp(result.close_time, deal.closed_at)
    result.lost_reason = deal.lost_reason
    result.next_step = deal.next_step
    result.description = deal.description
    if deal.lead_id is not None:
        result.lead_id = str(deal.lead_id)
    if deal.contact_ids:
        result.contact_ids.extend(map(str, deal.contact_ids))
    if deal.primary_quote_id is not None:
        result.primary_quote_id = str(deal.primary_quote_id)
    return result


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
        convert.date_of(message.close_date, "opportunity.close_date") if message.HasField("close_date") else None
    ),
    "lost_reason": lambda message: message.lost_reason,
    "next_step": lambda message: message.next_step,
    "description": lambda message: message.description,
    "contact_ids": lambda message: tuple(dict.fromkeys(map(UUID, message.contact_ids))),
}

# A new one may also say which lead it comes from.
NEW_FIELDS = {**FIELDS, "lead_id": lambda message: convert.uuid_of(message.lead_id)}


def version_to_proto(version: Version) -> pb.OpportunityVersion:
    """One version."""
    return pb.OpportunityVersion(
        opportunity=version.resource,
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )


def pipeline_to_proto(pipeline: Pipeline) -> pb.Pipeline:
    """The resource."""
    result = pb.Pipeline(id=str(pipeline.id), etag=str(pipeline.version), name=pipeline.name)
    convert.set_timestamp(result.create_time, pipeline.created_at)
    convert.set_timestamp(result.update_time, pipeline.updated_at)
    result.is_default = pipeline.is_default
    for stage in pipeline.stages:
        result.stages.add(
            id=str(stage.id),
            name=stage.name,
            probability=stage.probability,
            forecast_category=_CATEGORIES[stage.forecast_category],
            kind=_KINDS[stage.kind],
        )
    return result


def _stages(message: pb.Pipeline) -> tuple[Stage, ...]:
    return tuple(
        Stage(
            convert.uuid_of(stage.id) or new_id(),
            stage.name,
            stage.probability,
            _CATEGORY_OF[stage.forecast_category],
            _STATE_OF_KIND[stage.kind],
        )
        for stage in message.stages
    )


PIPELINE_FIELDS: Mapping[str, Callable[[pb.Pipeline], Any]] = {
    "name": lambda message: message.name,
    "is_default": lambda message: message.is_default,
    "stages": _stages,
}
