"""Our JSON is proto3 JSON: what is written equals what protobuf's own writer says, and is read back."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract import Contract, load
from gateway.from_json import BadField, JsonReader, read
from gateway.to_json import JsonWriter
from gateway.transcoding import routes_of

F = FieldDescriptor
KINDS = ("double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64",
         "sfixed32", "sfixed64", "bool", "string", "bytes")  # fmt: skip
KNOWN = ("Timestamp", "Duration", "FieldMask", "Struct", "Value", "ListValue", "Empty", "StringValue", "Int64Value",
         "BoolValue", "DoubleValue", "BytesValue")  # fmt: skip


def everything() -> Descriptor:
    """A message with a field of every kind: plain, optional, repeated, in a oneof, as a map's value."""
    file = descriptor_pb2.FileDescriptorProto(name="everything.proto", package="test", syntax="proto3")
    wanted = (any_pb2, duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
    pool = DescriptorPool()
    for module in wanted:
        copy = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(copy)
        pool.Add(copy)
        file.dependency.append(copy.name)
    colour = file.enum_type.add(name="Colour")
    for number, name in enumerate(("COLOUR_UNSPECIFIED", "RED", "BLUE")):
        colour.value.add(name=name, number=number)
    message = file.message_type.add(name="Everything")
    message.oneof_decl.add(name="choice")
    types = [(kind, getattr(F, f"TYPE_{kind.upper()}"), "") for kind in KINDS]
    types += [("colour", F.TYPE_ENUM, ".test.Colour"), ("itself", F.TYPE_MESSAGE, ".test.Everything")]
    types += [(f"wkt_{name.lower()}", F.TYPE_MESSAGE, f".google.protobuf.{name}") for name in KNOWN]
    number = 0

    def add(target: Any, name: str, kind: int, type_name: str, **more: Any) -> Any:
        nonlocal number
        number += 1
        label = more.pop("label", F.LABEL_OPTIONAL)
        field = target.field.add(name=name, number=number, type=kind, label=label, **more)
        if type_name:
            field.type_name = type_name
        return field

    for name, kind, type_name in types:
        add(message, f"one_{name}", kind, type_name)
        add(message, f"many_{name}", kind, type_name, label=F.LABEL_REPEATED)
        if name in ("string", "int64", "itself", "colour"):
            add(message, f"chosen_{name}", kind, type_name, oneof_index=0)
        entry = message.nested_type.add(name=f"Map{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=F.TYPE_STRING, label=F.LABEL_OPTIONAL)
        value = entry.field.add(name="value", number=2, type=kind, label=F.LABEL_OPTIONAL)
        if type_name:
            value.type_name = type_name
        add(message, f"map_{name}", F.TYPE_MESSAGE, f".test.Everything.{entry.name}", label=F.LABEL_REPEATED)
    optional = [(f"perhaps_{name}", kind) for name, kind, type_name in types if not type_name]
    for i, (name, kind) in enumerate(optional):
        add(message, name, kind, "", oneof_index=i + 1, proto3_optional=True)
        message.oneof_decl.add(name=f"_{name}")
    pool.Add(file)
    return pool.FindMessageTypeByName("test.Everything")


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
CONTRACT = load()


def _holds_content(descriptor: Descriptor) -> bool:
    """Whether it is, or has, content of its own kind, which is never JSON."""
    parts = [descriptor, *(field.message_type for field in descriptor.fields if field.message_type)]
    return any(part.full_name == "google.api.HttpBody" for part in parts)


MESSAGES = {
    descriptor.full_name: descriptor
    for route in routes_of(CONTRACT.services)
    for descriptor in (route.request, route.response)
    if not _holds_content(descriptor)
} | {"test.Everything": everything()}


A_MESSAGE = st.just("test.Everything") | st.sampled_from(sorted(MESSAGES))


def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    bits, signed = (64 if "64" in name(field) else 32), not name(field).startswith(("uint", "fixed"))
    if field.type == F.TYPE_STRING:
        return TEXT
    if field.type == F.TYPE_BYTES:
        return st.binary(max_size=9)
    if field.type == F.TYPE_BOOL:
        return st.booleans()
    if field.type in (F.TYPE_DOUBLE, F.TYPE_FLOAT):
        return st.floats(
            width=32 if field.type == F.TYPE_FLOAT else 64, allow_nan=False, allow_infinity=False
        )
    if field.enum_type is not None:
        return st.sampled_from(sorted(field.enum_type.values_by_number))
    return st.integers(-(2 ** (bits - 1)) if signed else 0, 2 ** (bits - 1 if signed else bits) - 1)


def name(field: FieldDescriptor) -> str:
    return next(kind for kind in (*KINDS, "enum") if getattr(F, f"TYPE_{kind.upper()}") == field.type)


def draw(data: st.DataObject, descriptor: Descriptor, depth: int = 0) -> Message:
    """A message with some of its fields set."""
    message: Any = GetMessageClass(descriptor)()
    known = _KNOWN.get(descriptor.full_name)
    if known is not None:
        known(data, message)
        return message  # type: ignore[no-any-return]
    fields = [field for field in descriptor.fields if depth < 3 or field.message_type is None]
    for field in data.draw(st.lists(st.sampled_from(fields), max_size=6, unique=True)) if fields else ():
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            value = entry.fields_by_name["value"]
            for key in data.draw(st.lists(TEXT, max_size=2, unique=True)):
                if value.message_type is not None:
                    getattr(message, field.name)[key].CopyFrom(draw(data, value.message_type, depth + 1))
                else:
                    getattr(message, field.name)[key] = data.draw(scalars(value))
        elif entry is not None and field.is_repeated:
            for _ in range(data.draw(st.integers(0, 2))):
                getattr(message, field.name).append(draw(data, entry, depth + 1))
        elif entry is not None:
            getattr(message, field.name).CopyFrom(draw(data, entry, depth + 1))
        elif field.is_repeated:
            getattr(message, field.name).extend(data.draw(st.lists(scalars(field), max_size=3)))
        else:
            setattr(message, field.name, data.draw(scalars(field)))
    return message  # type: ignore[no-any-return]


def _timestamp(data: st.DataObject, message: Any) -> None:
    message.seconds = data.draw(st.integers(-62135596800, 253402300799))
    message.nanos = data.draw(
        st.sampled_from([0, 1, 999, 1_000, 120_000, 1_000_000, 250_000_000, 999_999_999])
    )


def _duration(data: st.DataObject, message: Any) -> None:
    sign = data.draw(st.sampled_from([1, -1]))
    message.seconds, message.nanos = (
        sign * data.draw(st.integers(0, 10**11)),
        sign * data.draw(st.integers(0, 10**9 - 1)),
    )


def _value(data: st.DataObject, message: Any) -> None:
    leaf = st.none() | st.booleans() | TEXT | st.integers(-1000, 1000)
    json.loads(
        json.dumps(
            value := data.draw(st.recursive(leaf, lambda inner: st.lists(inner, max_size=2), max_leaves=4))
        )
    )
    JsonReader().fill(struct_pb2.Value.DESCRIPTOR)(message, value)


def _mask(data: st.DataObject, message: Any) -> None:
    message.paths.extend(
        data.draw(st.lists(st.sampled_from(["name", "close_date", "amount.currency_code"]), max_size=3))
    )


def _struct(data: st.DataObject, message: Any) -> None:
    for key in data.draw(st.lists(TEXT, max_size=2, unique=True)):
        _value(data, message.fields[key])


def _list_value(data: st.DataObject, message: Any) -> None:
    for _ in range(data.draw(st.integers(0, 2))):
        _value(data, message.values.add())


def _operation(data: st.DataObject, message: Any) -> None:
    message.name = data.draw(TEXT)
    if data.draw(st.booleans()):
        message.response.Pack(draw(data, MESSAGES["sfa.opportunities.v1.Opportunity"]))


_KNOWN: dict[str, Callable[[st.DataObject, Any], None]] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.Value": _value,
    "google.protobuf.Struct": _struct,
    "google.protobuf.ListValue": _list_value,
    "google.protobuf.FieldMask": _mask,
    "google.longrunning.Operation": _operation,
}
WRITER, READER = JsonWriter(), JsonReader()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_what_is_written_is_proto3_json(data: st.DataObject) -> None:
    descriptor = MESSAGES[data.draw(A_MESSAGE)]
    message = draw(data, descriptor)
    written = json.loads(WRITER.to_bytes(descriptor)(message))
    assert written == MessageToDict(message, always_print_fields_with_no_presence=True)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_what_is_written_can_be_read(data: st.DataObject) -> None:
    descriptor = MESSAGES[data.draw(A_MESSAGE)]
    if descriptor.full_name == "google.longrunning.Operation":
        return
    message = draw(data, descriptor)
    again = GetMessageClass(descriptor)()
    READER.fill(descriptor)(again, read(WRITER.to_bytes(descriptor)(message)))
    assert again == message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_is_read_is_taken_or_refused_by_field(data: st.DataObject) -> None:
    descriptor = MESSAGES[data.draw(A_MESSAGE)]
    fields = list(descriptor.fields)
    if not fields:
        return
    field = data.draw(st.sampled_from(fields))
    value = data.draw(JSON)
    if descriptor.full_name == "google.longrunning.Operation":
        return
    with suppress(BadField):
        try:
            READER.fill(descriptor)(GetMessageClass(descriptor)(), {field.json_name: value})
        except BadField as refused:
            named = refused.field.startswith(field.json_name)
            raise refused if named else AssertionError(refused.field) from refused


@pytest.mark.parametrize(
    ("text", "seconds", "nanos"),
    [
        ("1970-01-01T00:00:00Z", 0, 0),
        ("1970-01-01T01:00:00.5+01:00", 0, 500_000_000),
        ("1969-12-31T23:59:59.000000001z", -1, 1),
        ("0001-01-01t00:00:00Z", -62135596800, 0),
        ("9999-12-31T23:59:59.999999999Z", 253402300799, 999_999_999),
    ],
)
def test_times_are_read(text: str, seconds: int, nanos: int) -> None:
    message = timestamp_pb2.Timestamp()
    READER.fill(timestamp_pb2.Timestamp.DESCRIPTOR)(message, text)
    assert (message.seconds, message.nanos) == (seconds, nanos)


@pytest.mark.parametrize(
    "text",
    ["", "2017-01-01", "2017-01-01T00:00:00", "2017-13-01T00:00:00Z", "2017-01-01T24:00:00Z", "0000-01-01T00:00:00Z",
     "2017-01-01T00:00:60Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "2017-01-01T00:00:00+24:00",
     "2017-01-01T00:00:00.Z", "2017-01-01T00:00:00.0000000001Z", "٢٠١٧-01-01T00:00:00Z", "2017-01-01T00:00:00Z\n"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadField):
        READER.fill(timestamp_pb2.Timestamp.DESCRIPTOR)(timestamp_pb2.Timestamp(), text)


def test_two_of_a_oneof_are_refused() -> None:
    descriptor = MESSAGES["test.Everything"]
    with pytest.raises(BadField, match="Only one"):
        READER.fill(descriptor)(GetMessageClass(descriptor)(), {"chosenString": "a", "chosenInt64": "1"})


def test_free_form_json_has_a_depth_that_services_take() -> None:
    value: Any = 1
    for _ in range(200):
        value = [value]
    with pytest.raises(BadField, match="deeper"):
        READER.fill(struct_pb2.Value.DESCRIPTOR)(struct_pb2.Value(), value)


def test_every_service_is_in_the_contract() -> None:
    assert isinstance(CONTRACT, Contract)
    assert len(MESSAGES) > 100
