"""The histories of deals as answers: which fields a version changed, and how values stand in JSON."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value
from sfa.opportunities.v1 import history_pb2 as pb
from sfa.opportunities.v1 import opportunities_pb2

from chassis import convert
from chassis.errors import InvalidArgument
from services.opportunities.domain.deal_history import DateMove, Step, Visit, time_in_stages

_HEAD: Final = {"id", "etag", "create_time", "update_time", "effective_time"}
FIELDS: Final = {
    field.name: field for field in opportunities_pb2.Opportunity.DESCRIPTOR.fields if field.name not in _HEAD
}
"""What a version may change, in the resource's order."""

_COLUMNS: Final = {
    "close_time": ("closed_at",),
    "delete_time": ("deleted_at",),
    "splits": ("splits", "amount"),
    "closed_from_stage_id": ("closed_from",),
    "sibling_quote_ids": ("quote_links",),
    "order_notices": ("quote_links",),
}
"""Where a field stands in the changes under another name; what is in the details goes by its own name."""


class FieldUnknown(InvalidArgument):
    """A history was asked for of a field that opportunities do not have."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Opportunities have no field {name!r} with a history, but {', '.join(FIELDS)}.", field="fields"
        )


def columns_of(fields: Sequence[str]) -> list[str]:
    """Which columns tell that one of these fields may have changed.

    Raises:
        FieldUnknown: there is no such field.
    """
    result: list[str] = []
    for name in fields:
        if name not in FIELDS:
            raise FieldUnknown(name)
        result += _COLUMNS.get(name, (name,))
    return result


def field_changes(step: Step, fields: frozenset[str]) -> Iterator[pb.FieldChange]:
    """What a version changed, of some fields; of all where none is named."""
    before = _set(step.before) if step.before is not None else {}
    after = _set(step.after)
    for name in FIELDS:
        if fields and name not in fields:
            continue
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        change = pb.FieldChange(
            field=name,
            actor=step.actor,
            via=step.via,
            event=step.event_type.rpartition(".")[2],
            etag=str(step.version),
        )
        if old is not None and step.before is not None:
            change.old_value.CopyFrom(_value(step.before, name))
        if new is not None:
            change.new_value.CopyFrom(_value(step.after, name))
        convert.set_timestamp(change.recorded_time, step.recorded_at)
        convert.set_timestamp(change.effective_time, step.effective_at)
        yield change


def stage_visits_to_proto(
    found: Sequence[Visit], until: datetime, names: Mapping[UUID, str]
) -> pb.ListStageVisitsResponse:
    """The stages that a deal stood in; won and lost ones have no days."""
    result = pb.ListStageVisitsResponse()
    convert.set_timestamp(result.as_of, until)
    for visit in found:
        message = result.stage_visits.add(
            stage_id=str(visit.stage_id),
            stage_name=names.get(visit.stage_id, ""),
            days=_text(visit.days(until)),
            event=visit.event,
            actor=visit.actor,
        )
        convert.set_timestamp(message.enter_time, visit.entered_at)
        convert.set_timestamp(message.leave_time, visit.left_at)
    for stage, number, days in time_in_stages(found, until):
        result.time_in_stages.add(
            stage_id=str(stage), stage_name=names.get(stage, ""), visits=number, days=_text(days)
        )
    return result


def date_moves_to_proto(moves: Sequence[DateMove]) -> pb.ListCloseDateChangesResponse:
    """How the close date moved."""
    slips = [move for move in moves if move.is_slip]
    result = pb.ListCloseDateChangesResponse(
        slips=len(slips),
        slipped_days=sum(move.days for move in slips),
        slips_to_a_later_month=sum(move.is_to_a_later_month for move in slips),
    )
    for move in moves:
        message = result.close_date_changes.add(
            days=move.days, is_slip=move.is_slip, actor=move.by.actor, via=move.by.via
        )
        if move.old is not None:
            convert.set_date(message.old_date, move.old)
        if move.new is not None:
            convert.set_date(message.new_date, move.new)
        convert.set_timestamp(message.recorded_time, move.by.recorded_at)
        convert.set_timestamp(message.effective_time, move.by.effective_at)
    first = next((move.new for move in moves if move.new is not None), None)
    if first is not None:
        convert.set_date(result.first_date, first)
        last = moves[-1].new
        result.days_from_first = (last - first).days if last is not None else 0
    return result


def _set(deal: opportunities_pb2.Opportunity) -> dict[str, Any]:
    """The fields that are set; repeated ones as lists, which compare by what is in them."""
    return {
        field.name: list(value) if field.is_repeated else value
        for field, value in deal.ListFields()
        if field.name in FIELDS
    }


def _value(deal: opportunities_pb2.Opportunity, name: str) -> Value:
    """One field as JSON has it in the resource."""
    alone = opportunities_pb2.Opportunity()
    field = FIELDS[name]
    if field.is_repeated:
        getattr(alone, name).extend(getattr(deal, name))
    elif field.message_type is not None:
        getattr(alone, name).CopyFrom(getattr(deal, name))
    else:
        setattr(alone, name, getattr(deal, name))
    (found,) = json_format.MessageToDict(alone).values()
    result = Value()
    json_format.ParseDict(found, result)
    return result


def _text(days: Decimal | None) -> str:
    return "" if days is None else f"{days:f}"
