"""Events from outside: what a company's own systems, above all its ERP, send in as CloudEvents on the
subject `erp.<tenant>.<type>`, in binary or in structured mode, with their data as protobuf or protobuf JSON.

They differ from ours in what can be believed: the tenant and the type are those of the subject, which the
broker lets a sender publish to or not; what they are about is in the data alone.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote
from uuid import UUID

import orjson
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from chassis import validation
from chassis.broker import OUTSIDE
from chassis.envelope import CONTENT_TYPE, SPEC_VERSION, NotAnEvent, Received, time_of
from chassis.errors import Refusal

SOURCE: Final = OUTSIDE
_JSON: Final = "application/json"
_STRUCTURED: Final = "application/cloudevents"
_LONGEST: Final = 255
_NO_ID: Final = UUID(int=0)

ClassOf = Callable[[str], type[Message] | None]


@dataclass(frozen=True, slots=True)
class _Envelope:
    """The attributes of a CloudEvent, and its data."""

    attributes: Mapping[str, str]
    data: bytes


def subject(tenant: object, event_type: str) -> str:
    """Where a system outside publishes."""
    return f"{SOURCE}.{tenant}.{event_type}"


def received(
    on: str, headers: Mapping[str, str], data: bytes, class_of: ClassOf, sequence: int, stored_at: datetime
) -> Received:
    """The event in a message on the subject `on`, which the stream took in at `stored_at`.

    Raises:
        NotAnEvent: it is no CloudEvent, of another type than its subject, of a type that nobody takes, or
            its data break the rules that its proto states.
    """
    _, _, rest = on.partition(".")
    tenant, _, event_type = rest.partition(".")
    lower = {name.lower(): value for name, value in headers.items()}
    envelope = _binary(lower, data) if "ce-specversion" in lower else _structured(lower, data)
    attributes = envelope.attributes
    if attributes.get("specversion") != SPEC_VERSION:
        raise NotAnEvent(f"specversion has to be {SPEC_VERSION}.")
    for name in ("id", "source", "type"):
        if not 0 < len(attributes.get(name, "")) <= _LONGEST or "\0" in attributes[name]:
            raise NotAnEvent(f"The attribute {name} is missing, or longer than {_LONGEST} characters.")
    if attributes["type"] != event_type:
        raise NotAnEvent(f"The type is {attributes['type']}, the subject's is {event_type}.")
    message_class = class_of(event_type)
    if message_class is None:
        raise NotAnEvent(f"Nobody here takes events of the type {event_type}.")
    message = _message(message_class, envelope.data, attributes.get("datacontenttype", ""))
    try:
        effective_at = min(time_of(attributes["time"]), stored_at) if "time" in attributes else stored_at
        return Received(
            message=message,
            type=event_type,
            id=f"{attributes['source']} {attributes['id']}",
            source=SOURCE,
            tenant=UUID(tenant),
            entity=message_class.DESCRIPTOR.name,
            entity_id=_NO_ID,
            version=getattr(message, "version", 0),
            recorded_at=stored_at,
            effective_at=effective_at,
            actor=f"{SOURCE}:{attributes['source']}",
            via=None,
            incarnation=0,
            position=sequence,
            sequence=sequence,
            traceparent=attributes.get("traceparent"),
        )
    except ValueError as error:
        raise NotAnEvent(f"An attribute makes no sense: {error}.") from None


def stored_at(reply: str) -> datetime:
    """When the stream took a message in, off the subject that it is acknowledged on."""
    return datetime.fromtimestamp(int(reply.split(".")[-2]) / 1_000_000_000, UTC)


def _binary(headers: Mapping[str, str], data: bytes) -> _Envelope:
    attributes = {
        name.removeprefix("ce-"): unquote(value) for name, value in headers.items() if name.startswith("ce-")
    }
    if "content-type" in headers:
        attributes["datacontenttype"] = headers["content-type"]
    if "traceparent" in headers:
        attributes["traceparent"] = headers["traceparent"]
    return _Envelope(attributes, data)


def _structured(headers: Mapping[str, str], data: bytes) -> _Envelope:
    kind = headers.get("content-type", f"{_STRUCTURED}+json")
    if not kind.startswith(_STRUCTURED):
        raise NotAnEvent("The header ce-specversion is missing, and it is no structured CloudEvent.")
    try:
        envelope: Any = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise NotAnEvent(f"It is no JSON: {error}.") from None
    if not isinstance(envelope, dict):
        raise NotAnEvent("A structured CloudEvent is a JSON object.")
    attributes = {
        name: value
        for name, value in envelope.items()
        if isinstance(value, str) and name not in ("data", "data_base64")
    }
    if isinstance(envelope.get("data_base64"), str):
        try:
            content = base64.b64decode(envelope["data_base64"], validate=True)
        except binascii.Error as error:
            raise NotAnEvent(f"data_base64 cannot be read: {error}.") from None
        attributes.setdefault("datacontenttype", CONTENT_TYPE)
        return _Envelope(attributes, content)
    attributes["datacontenttype"] = _JSON
    return _Envelope(attributes, orjson.dumps(envelope.get("data", {})))


def _message(message_class: type[Message], data: bytes, content_type: str) -> Message:
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == CONTENT_TYPE:
            message = message_class.FromString(data)
        elif kind == _JSON or kind.endswith("+json"):
            message = json_format.Parse(data, message_class())
        else:
            raise NotAnEvent(f"The content type has to be {_JSON} or {CONTENT_TYPE}, not {kind or 'unsaid'}.")
        validation.check(message)
    except (json_format.ParseError, DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotAnEvent(f"The data are no {message_class.DESCRIPTOR.name}: {error}") from None
    except Refusal as refusal:
        raise NotAnEvent(f"The data break a rule: {refusal}") from None
    return message
