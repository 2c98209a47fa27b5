"""What must hold for every RPC of a service, read off the descriptors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from buf.validate import validate_pb2
from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from sfa.api.v1 import annotations_pb2 as sfa

from chassis.contract import PUBLIC
from deploy.topology import SERVICES
from gateway import contract

CONTRACT = contract.load()
RIGHTS = {"read", "write", "admin", "audit"}
SUBJECTS = {
    *SERVICES,
    "pipelines",
    "products",
    "costs",
    "promotions",
    "approvals",
    "documents",
    "quotas",
    "competitors",
    "history",
    "events",
    "operations",
}
SEEN = {"sfa.quotes.v1.AcceptancePageService.SeeAcceptancePage"}
"""A picture by which it is known that somebody looked; a page without scripts has nothing else than GET."""
every_service = pytest.mark.parametrize("service", SERVICES)


def methods(service: str) -> list[MethodDescriptor]:
    found = [each for each in CONTRACT.services if each.full_name.startswith(f"sfa.{service}.v1.")]
    return [method for each in found for method in each.methods]


def verb(method: MethodDescriptor) -> str:
    """`get`, `post`, …; empty where REST does not serve it."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    return str(rule.WhichOneof("pattern") or "")


def is_repeatable(method: MethodDescriptor) -> bool:
    """Whether asking twice does as much as asking once, by its nature."""
    return bool(method.GetOptions().idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN)


def incoming(message: Descriptor, seen: frozenset[str] = frozenset()) -> Iterator[FieldDescriptor]:
    """Every field that a caller can set, however deep."""
    for field in message.fields:
        if field_behavior_pb2.OUTPUT_ONLY in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]:
            continue
        yield field
        inner = field.message_type
        if inner is not None and inner.full_name not in seen and inner.full_name.startswith("sfa."):
            yield from incoming(inner, seen | {inner.full_name})


def has_a_longest(text: validate_pb2.StringRules) -> bool:
    limits = any(text.HasField(limit) for limit in ("max_len", "len", "max_bytes", "pattern"))
    return limits or text.WhichOneof("well_known") is not None


@every_service
def test_an_rpc_states_a_permission_that_exists(service: str) -> None:
    found = {method.full_name: method.GetOptions().Extensions[sfa.permission] for method in methods(service)}
    assert found
    parts = {name: permission.partition(".") for name, permission in found.items() if permission != PUBLIC}
    assert not {
        name for name, (subject, _, right) in parts.items() if subject not in SUBJECTS or right not in RIGHTS
    }


@every_service
def test_what_is_got_by_get_changes_nothing(service: str) -> None:
    got = [method for method in methods(service) if verb(method) == "get" and method.full_name not in SEEN]
    reading = MethodOptions.NO_SIDE_EFFECTS
    assert not [method.full_name for method in got if method.GetOptions().idempotency_level != reading]


@every_service
def test_a_change_can_be_tried_again(service: str) -> None:
    changes = [method for method in methods(service) if verb(method) and not is_repeatable(method)]
    assert not [
        method.full_name for method in changes if "request_id" not in method.input_type.fields_by_name
    ]


@every_service
def test_text_that_comes_in_has_a_longest(service: str) -> None:
    unbounded = set()
    for field in (field for method in methods(service) for field in incoming(method.input_type)):
        rules = field.GetOptions().Extensions[validate_pb2.field]
        text = rules.repeated.items.string if field.is_repeated else rules.string
        if field.type == FieldDescriptor.TYPE_STRING and not has_a_longest(text):
            unbounded.add(field.full_name)
    assert not unbounded


@every_service
def test_lists_that_come_in_have_a_longest(service: str) -> None:
    unbounded = set()
    for field in (field for method in methods(service) for field in incoming(method.input_type)):
        rules = field.GetOptions().Extensions[validate_pb2.field]
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if field.is_repeated and not is_map and not rules.repeated.HasField("max_items"):
            unbounded.add(field.full_name)
    assert not unbounded
