"""Messages to JSON: proto3 JSON, by a function that is written and compiled once per message type.

Walking descriptors for every message (`MessageToDict`) costs several times more. Fields without
presence are always there, also when empty, so that a reader needs no knowledge of defaults; fields
with presence (messages, `optional`, members of a oneof) are there when they are set.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from keyword import iskeyword
from math import isfinite
from typing import Any

import orjson
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.internal.type_checkers import ToShortestFloat
from google.protobuf.message import Message

ToValue = Callable[[Any], Any]
"""A message (or one value of a field) to what `orjson` writes."""

WRAPPERS = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)

_F = FieldDescriptor
_LONG = {_F.TYPE_INT64, _F.TYPE_UINT64, _F.TYPE_SINT64, _F.TYPE_FIXED64, _F.TYPE_SFIXED64}
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # whose text has no offset


def timestamp_text(timestamp: Any) -> str:
    """`2026-01-31T09:30:00.250Z`, with 0, 3, 6 or 9 digits of a second as proto3 JSON has it."""
    return _instant_text(timestamp.seconds, timestamp.nanos)


@lru_cache(8192)  # the times of one record are often the same, and pages are read more than once
def _instant_text(seconds: int, nanos: int) -> str:
    micros, rest = divmod(nanos, 1_000)
    text = (_EPOCH + timedelta(0, seconds, micros)).isoformat()
    if rest:
        return f"{text}{rest:03d}Z" if micros else f"{text}.{nanos:09d}Z"
    return f"{text[:-3]}Z" if micros and not micros % 1_000 else f"{text}Z"


class JsonWriter:
    """Compiles message types as they are met, and keeps what it compiled.

    Args:
        rewritten: How the texts of some fields (by full name) are written otherwise than they are.
    """

    def __init__(self, rewritten: Mapping[str, Callable[[str], str]] | None = None) -> None:
        self._names: dict[str, str] = {}
        self._scope: dict[str, Any] = {}
        self._rewritten = rewritten or {}

    def to_value(self, descriptor: Descriptor) -> ToValue:
        """The function from a message of this type to plain values."""
        self._function(descriptor)
        return self._scope[self._names[descriptor.full_name]]  # type: ignore[no-any-return]

    def to_bytes(self, descriptor: Descriptor) -> Callable[[Message], bytes]:
        """The function from a message of this type to JSON."""
        to_value, dumps = self.to_value(descriptor), orjson.dumps
        return lambda message: dumps(to_value(message))

    def _function(self, descriptor: Descriptor) -> str:
        """The name, in the compiled code, of the function for this type."""
        name = self._names.get(descriptor.full_name)
        if name is None:
            name = self._names[descriptor.full_name] = "m_" + descriptor.full_name.replace(".", "_")
            if known := _WELL_KNOWN.get(descriptor.full_name):
                self._scope[name] = known
            elif descriptor.full_name in WRAPPERS:
                self._define(name, f"return {self._value(descriptor.fields_by_name['value'], 'm.value')}")
            else:
                self._define(name, self._body(descriptor))
        return name

    def _define(self, name: str, body: str) -> None:
        source = f"def {name}(m):\n" + "\n".join("    " + line for line in body.splitlines())
        exec(compile(source, f"<json of {name}>", "exec"), self._scope)  # noqa: S102  # made of descriptors only

    def _body(self, descriptor: Descriptor) -> str:
        always, sometimes = [], []
        for field in descriptor.fields:
            read = f"getattr(m, {field.name!r})" if iskeyword(field.name) else f"m.{field.name}"
            if field.has_presence:
                value = self._value(field, read)
                sometimes.append(f"if m.HasField({field.name!r}): d[{field.json_name!r}] = {value}")
            else:
                always.append(f"{field.json_name!r}: {self._all(field, read)}")
        return "\n".join([f"d = {{{', '.join(always)}}}", *sometimes, "return d"])

    def _all(self, field: FieldDescriptor, read: str) -> str:
        """The expression for a field: a map, a list, or one value."""
        if not field.is_repeated:
            return self._value(field, read)
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
            name = "('true' if k else 'false')" if key.type == _F.TYPE_BOOL else "str(k)"
            return f"{{{name}: {self._value(value, 'v')} for k, v in {read}.items()}}"
        each = self._value(field, "v")
        items = "list(s)" if each == "v" else f"[{each} for v in s]"
        return f"({items} if (s := {read}) else [])"  # most lists are empty

    def _value(self, field: FieldDescriptor, read: str) -> str:
        """The expression for one value."""
        if field.full_name in self._rewritten:
            name = "r_" + field.full_name.replace(".", "_")
            self._scope[name] = self._rewritten[field.full_name]
            return f"{name}({read})"
        if field.message_type is not None:
            return f"{self._function(field.message_type)}({read})"
        if field.enum_type is not None:
            return self._enum(field.enum_type, read)
        if field.type in _LONG:
            return f"str({read})"
        if field.type == _F.TYPE_BYTES:
            self._scope["base64"] = lambda value: b64encode(value).decode()
            return f"base64({read})"
        if field.type in (_F.TYPE_DOUBLE, _F.TYPE_FLOAT):
            kind = "double" if field.type == _F.TYPE_DOUBLE else "single"
            self._scope[kind] = _double if kind == "double" else _single
            return f"{kind}({read})"
        return read

    def _enum(self, enum: EnumDescriptor, read: str) -> str:
        if enum.full_name == "google.protobuf.NullValue":
            return "None"
        name = "e_" + enum.full_name.replace(".", "_")
        self._scope[name] = {number: value.name for number, value in enum.values_by_number.items()}
        return f"{name}.get({read}, {read})" if read == "v" else f"{name}.get(n := {read}, n)"


def _double(value: float) -> float | str:
    return (
        value if isfinite(value) else ("NaN" if value != value else "Infinity" if value > 0 else "-Infinity")
    )


def _single(value: float) -> float | str:
    return ToShortestFloat(value) if isfinite(value) else _double(value)


def _struct(message: Any) -> Any:
    return {key: _any_value(value) for key, value in message.fields.items()}


def _any_value(message: Any) -> Any:
    which = message.WhichOneof("kind")
    if which == "struct_value":
        return _struct(message.struct_value)
    if which == "list_value":
        return _list(message.list_value)
    return None if which in (None, "null_value") else getattr(message, which)


def _list(message: Any) -> Any:
    return [_any_value(value) for value in message.values]


def _any(message: Any) -> Any:
    return json_format.MessageToDict(message, always_print_fields_with_no_presence=True)


_WELL_KNOWN: dict[str, ToValue] = {
    "google.protobuf.Timestamp": timestamp_text,
    "google.protobuf.Duration": lambda message: message.ToJsonString(),
    "google.protobuf.FieldMask": lambda message: message.ToJsonString(),
    "google.protobuf.Struct": _struct,
    "google.protobuf.Value": _any_value,
    "google.protobuf.ListValue": _list,
    "google.protobuf.Any": _any,
    "google.protobuf.Empty": lambda message: {},
}
