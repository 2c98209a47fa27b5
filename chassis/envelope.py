"""How an event travels: a CloudEvent in binary mode on NATS, headers for what routes and dates it, the
message itself as protobuf.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from google.protobuf.message import Message

SPEC_VERSION: Final = "1.0"
CONTENT_TYPE: Final = "application/protobuf"


@dataclass(frozen=True, slots=True)
class Received:
    """One event as it arrived."""

    message: Any
    """The event, decoded: the class that `type` names."""
    type: str
    """The proto full name of `message`."""
    id: str
    """The same for every delivery of the same event."""
    source: str
    """The service that it happened in."""
    tenant: UUID
    entity: str
    entity_id: UUID
    version: int
    recorded_at: datetime
    effective_at: datetime
    actor: str
    via: str | None
    incarnation: int
    position: int
    """The transaction in the source's database that wrote it."""
    sequence: int
    """Where it stands in the source's stream; 0 for one that was read from history."""
    traceparent: str | None


class NotAnEvent(ValueError):
    """A message that is not an event of ours: its headers lack something or say nonsense."""


def subject(tenant: object, event_type: str) -> str:
    """Where an event is published."""
    return f"events.{tenant}.{event_type}"


def service_of(event_type: str) -> str:
    """The service that publishes a type: `sfa.leads.v1.LeadQualified` comes from `leads`."""
    return event_type.split(".", 2)[1]


def id_of(tenant: object, entity: str, entity_id: object, version: int, incarnation: int) -> str:
    """An event's id: what it is the version of. A version that a restore undid has another one."""
    return f"{tenant}.{entity}.{entity_id}.{version}.{incarnation}"


def headers(service: str, incarnation: int, row: Mapping[str, Any]) -> dict[str, str]:
    """The headers of the event of a row of `changes`, with `traceparent` beside it."""
    tenant, entity, entity_id = str(row["tenant_id"]), row["entity"], str(row["entity_id"])
    version = row["version"]
    id = id_of(tenant, entity, entity_id, version, incarnation)
    result = {
        "Nats-Msg-Id": id,
        "ce-specversion": SPEC_VERSION,
        "ce-id": id,
        "ce-type": row["event_type"],
        "ce-source": f"/services/{service}",
        "ce-subject": entity_id,
        "ce-time": _text(row["recorded_at"]),
        "ce-datacontenttype": CONTENT_TYPE,
        "ce-tenant": tenant,
        "ce-entity": entity,
        "ce-version": str(version),
        "ce-effectivetime": _text(row["effective_at"]),
        "ce-actor": row["actor"],
        "ce-incarnation": str(incarnation),
        "ce-position": str(row["position"]),
    }
    if row["via"]:
        result["ce-via"] = row["via"]
    if row["traceparent"]:
        result["traceparent"] = row["traceparent"]
    return result


def received(message: Message, fields: Mapping[str, str], sequence: int) -> Received:
    """An event from its headers and its decoded message.

    Raises:
        NotAnEvent: a header is missing or makes no sense.
    """
    try:
        return Received(
            message=message,
            type=fields["ce-type"],
            id=fields["ce-id"],
            source=fields["ce-source"].rpartition("/")[2],
            tenant=UUID(fields["ce-tenant"]),
            entity=fields["ce-entity"],
            entity_id=UUID(fields["ce-subject"]),
            version=int(fields["ce-version"]),
            recorded_at=time_of(fields["ce-time"]),
            effective_at=time_of(fields["ce-effectivetime"]),
            actor=fields["ce-actor"],
            via=fields.get("ce-via"),
            incarnation=int(fields["ce-incarnation"]),
            position=int(fields["ce-position"]),
            sequence=sequence,
            traceparent=fields.get("traceparent"),
        )
    except KeyError as error:
        raise NotAnEvent(f"The header {error.args[0]} is missing.") from None
    except ValueError as error:
        raise NotAnEvent(f"A header makes no sense: {error}.") from None


def _text(at: datetime) -> str:
    """RFC 3339 with microseconds, in UTC."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def time_of(text: str) -> datetime:
    """The instant that a header says.

    Raises:
        ValueError: it says none, or not in which offset.
    """
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return at
