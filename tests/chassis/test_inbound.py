"""CloudEvents from outside, in every mode that they come in, and what is refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.message import Message
from sfa.erp.v1 import messages_pb2 as erp

from chassis import inbound
from chassis.envelope import NotAnEvent, Received
from chassis.ids import new_id

TENANT = new_id()
TYPE = "sfa.erp.v1.StockLevelReported"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEVEL = erp.StockLevelReported(warehouse="HH", product="C-1", version=3, on_hand="12.5")
ATTRIBUTES = {"specversion": "1.0", "id": "4711", "source": "/erp/one", "type": TYPE}
CONTENT = {"warehouse": "HH", "product": "C-1", "version": "3", "on_hand": "12.5"}


def class_of(name: str) -> type[Message] | None:
    return erp.StockLevelReported if name == TYPE else None


def read(headers: dict[str, str], data: bytes, on: str = "") -> Received:
    return inbound.received(on or inbound.subject(TENANT, TYPE), headers, data, class_of, 7, NOW)


def structured(**changed: Any) -> bytes:
    return json.dumps({**ATTRIBUTES, "data": CONTENT, **changed}).encode()


def binary(**changed: str) -> dict[str, str]:
    return {f"ce-{name}": value for name, value in {**ATTRIBUTES, **changed}.items()}


@pytest.mark.parametrize(
    ("headers", "data"),
    [
        ({"Content-Type": "application/cloudevents+json; charset=utf-8"}, structured()),
        ({}, structured()),
        (
            {},
            structured(data_base64=base64.b64encode(LEVEL.SerializeToString()).decode()),
        ),
        ({**binary(), "Content-Type": "application/json"}, json.dumps(CONTENT).encode()),
        (
            {name.upper(): value for name, value in binary().items()}
            | {"content-type": "application/protobuf"},
            LEVEL.SerializeToString(),
        ),
        (binary(datacontenttype="application/protobuf"), LEVEL.SerializeToString()),
    ],
)
def test_every_mode_says_the_same(headers: dict[str, str], data: bytes) -> None:
    event = read(headers, data)
    assert event.message == LEVEL
    assert (event.id, event.tenant, event.version, event.source) == ("/erp/one 4711", TENANT, 3, "erp")
    assert (event.actor, event.sequence, event.recorded_at) == ("erp:/erp/one", 7, NOW)


def test_it_was_true_when_it_says_so_but_never_later_than_it_came() -> None:
    earlier = NOW - timedelta(hours=1)
    assert read({}, structured(time=earlier.isoformat())).effective_at == earlier
    assert read({}, structured(time="2026-11-22T12:00:00.5Z")).effective_at == NOW
    assert read({}, structured(time="9999-12-31T00:00:00Z")).effective_at == NOW


@pytest.mark.parametrize(
    ("headers", "data", "why"),
    [
        ({}, b"nonsense", "no JSON"),
        ({}, b"[]", "JSON object"),
        ({}, structured(specversion="0.3"), "specversion"),
        ({}, structured(id=""), "attribute id"),
        ({}, structured(id="x" * 256), "attribute id"),
        ({}, structured(source="a\0b"), "attribute source"),
        ({}, structured(type="sfa.erp.v1.ShipmentReported"), "the subject's is"),
        ({}, structured(time="yesterday"), "makes no sense"),
        ({}, structured(time="2026-11-22T12:00:00"), "no offset"),
        ({}, structured(data_base64="?"), "data_base64"),
        ({}, structured(data={**CONTENT, "colour": "red"}), "colour"),
        ({}, structured(data={**CONTENT, "version": 0}), "version"),
        ({}, structured(data={**CONTENT, "on_hand": "much"}), "on_hand"),
        ({}, structured(data="text"), "StockLevelReported"),
        ({"content-type": "text/plain"}, structured(), "ce-specversion"),
        (binary(), LEVEL.SerializeToString(), "content type"),
        (binary(datacontenttype="text/csv"), b"1;2", "text/csv"),
        (binary(datacontenttype="application/protobuf"), b"\xff\xff", "StockLevelReported"),
    ],
)
def test_what_is_no_event_says_why(headers: dict[str, str], data: bytes, why: str) -> None:
    with pytest.raises(NotAnEvent, match=why):
        read(headers, data)


def test_a_type_that_nobody_takes_is_refused() -> None:
    other = "sfa.erp.v1.Unheard"
    with pytest.raises(NotAnEvent, match="Nobody here takes"):
        read({}, structured(type=other), inbound.subject(TENANT, other))


def test_a_subject_without_a_tenant_is_refused() -> None:
    with pytest.raises(NotAnEvent, match="makes no sense"):
        read({}, structured(), f"erp.acme.{TYPE}")
