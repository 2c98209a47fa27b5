"""Messages as JSON schemas: texts from the protos' comments, constraints from `buf.validate`, what must
be given from both `field_behavior` and what validation says of an empty message."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from buf.validate import validate_pb2
from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from chassis.errors import InvalidArgument
from chassis.validation import check
from gateway.contract import Contract
from gateway.examples import example_text
from gateway.to_json import WRAPPERS

Schema = dict[str, Any]

_F = FieldDescriptor
_UUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_PATH = r"[a-z][A-Za-z0-9]*(\.[a-z][A-Za-z0-9]*)*"
_LONG = r"^-?(0|[1-9][0-9]{0,18})$"
_CODE = re.compile(r"`([a-z0-9]+(?:_[a-z0-9]+)+)`")
_WELL_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string", "pattern": rf"^(\*|{_PATH}(,{_PATH})*)?$"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Empty": {"type": "object", "additionalProperties": False},
    "google.protobuf.Any": {"type": "object", "properties": {"@type": {"type": "string"}}, "required": ["@type"]},
}  # fmt: skip
# Constraints that google's own types state in words only.
_COMMON: Mapping[str, Schema] = {
    "google.type.Money.currency_code": {"pattern": "^[A-Z]{3}$"},
    "google.type.Money.nanos": {"minimum": -999_999_999, "maximum": 999_999_999},
    "google.type.Date.year": {"minimum": 1, "maximum": 9999},
    "google.type.Date.month": {"minimum": 1, "maximum": 12},
    "google.type.Date.day": {"minimum": 1, "maximum": 31},
}
# Texts of messages whose comments are not in the descriptor set.
_TEXTS: Mapping[str, str] = {
    "google.longrunning.Operation": "Work that takes a while.",
    "google.longrunning.Operation.name": "What to ask for it by.",
    "google.longrunning.Operation.metadata": "How far it has come.",
    "google.longrunning.Operation.done": "Whether it has ended, in `response` or in `error`.",
    "google.longrunning.Operation.error": "Why it failed.",
    "google.longrunning.Operation.response": "What came of it.",
    "google.rpc.Status": "An error.",
    "google.rpc.Status.code": "The gRPC status code.",
    "google.rpc.Status.message": "What went wrong.",
    "google.rpc.Status.details": "More about it.",
}
_COMMON_REQUIRED: Mapping[str, Sequence[str]] = {
    "google.type.Money": ("currencyCode",),
    "google.type.Date": ("year", "month", "day"),
}


class Schemas:
    """The components of one document, made as they are referred to."""

    def __init__(self, contract: Contract) -> None:
        self._comments = contract.comments
        self._names: dict[str, str] = {}
        self.components: dict[str, Schema] = {}

    def text(self, full_name: str) -> str:
        """What a comment says, with field names as the JSON has them."""
        comment = _TEXTS.get(full_name) or self._comments.get(full_name, "")
        return _CODE.sub(lambda found: f"`{_camel(found[1])}`", comment).replace("\n", " ").strip()

    def message(self, message: Descriptor, *, partial: bool = False) -> Schema:
        """A message, by reference. `partial`: what changes something, and may leave out all that it keeps."""
        if (known := _known(message)) is not None:
            return dict(known)
        partial = partial and _differs_in_part(message)
        name = self._name(message.full_name) + ("Update" if partial else "")
        if name not in self.components:
            self.components[name] = {}  # it may hold its own kind
            self.components[name] = self.object(message, partial=partial)
        return {"$ref": f"#/components/schemas/{name}"}

    def object(
        self, message: Descriptor, *, partial: bool = False, without: frozenset[str] = frozenset()
    ) -> Schema:
        """A message in place, without some of its fields."""
        fields = [field for field in message.fields if field.name not in without]
        needed = _demanded(message) if partial else _demanded(message) | _required(message)
        required = [field.json_name for field in fields if field.name in needed]
        schema: Schema = {
            "type": "object",
            "properties": {field.json_name: self.field(field, partial=partial) for field in fields},
            "additionalProperties": False,
        }
        if description := self.text(message.full_name):
            schema["description"] = description
        if required := [*required, *_COMMON_REQUIRED.get(message.full_name, ())]:
            schema["required"] = required
        return schema

    def field(self, field: FieldDescriptor, *, partial: bool = False) -> Schema:
        """A field: its type, its constraints, what it means."""
        rules = field.GetOptions().Extensions[validate_pb2.field]
        schema = (
            self._repeated(field, rules, partial) if field.is_repeated else self._one(field, rules, partial)
        )
        if description := self.text(field.full_name):
            schema["description"] = description
        if field_behavior_pb2.OUTPUT_ONLY in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]:
            schema["readOnly"] = True
        return schema

    def enum(self, enum: EnumDescriptor) -> Schema:
        """An enum, by reference."""
        name = self._name(enum.full_name)
        if name not in self.components:
            values = [value.name for value in enum.values]
            lines = [self.text(enum.full_name), ""]
            lines += [f"- `{value}`: {self.text(f'{enum.full_name}.{value}')}" for value in values]
            self.components[name] = {
                "type": "string",
                "enum": values,
                "description": "\n".join(lines).strip(),
            }
        return {"$ref": f"#/components/schemas/{name}"}

    def _repeated(self, field: FieldDescriptor, rules: Any, partial: bool) -> Schema:
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            value = entry.fields_by_name["value"]
            entries: Schema = {
                "type": "object", "additionalProperties": self._one(value, rules.map.values, partial),
            }  # fmt: skip
            return entries | _given(
                {"minProperties": rules.map.min_pairs, "maxProperties": rules.map.max_pairs}
            )
        schema: Schema = {"type": "array", "items": self._one(field, rules.repeated.items, partial)}
        if rules.repeated.unique:
            schema["uniqueItems"] = True
        return schema | _given({"minItems": rules.repeated.min_items, "maxItems": rules.repeated.max_items})

    def _one(self, field: FieldDescriptor, rules: Any, partial: bool) -> Schema:
        if (message := field.message_type) is not None:
            if message.full_name in WRAPPERS:
                return self._one(message.fields_by_name["value"], rules, partial)
            return self.message(message, partial=partial)
        if field.enum_type is not None:
            return self._enum_field(field.enum_type, rules.enum)
        if field.type == _F.TYPE_STRING:
            return _string(field, rules)
        if field.type == _F.TYPE_BYTES:
            return {"type": "string", "contentEncoding": "base64"}
        if field.type == _F.TYPE_BOOL:
            return {"type": "boolean"}
        return _number(field, rules)

    def _enum_field(self, enum: EnumDescriptor, rules: Any) -> Schema:
        excluded = set(rules.not_in)
        if not excluded and not getattr(rules, "in"):
            return self.enum(enum)
        allowed = set(getattr(rules, "in")) or set(enum.values_by_number)
        values = [value for value in enum.values if value.number in allowed - excluded]
        return {"type": "string", "enum": [value.name for value in values]}

    def _name(self, full_name: str) -> str:
        """The short name where nothing else has it: `Opportunity`, `Stage.Kind`."""
        if full_name not in self._names:
            parts = full_name.split(".")
            first = next(i for i, part in enumerate(parts) if part[:1].isupper())
            short = ".".join(parts[first:])
            if short in self._names.values():
                short = f"{parts[1]}.{short}"
            self._names[full_name] = short
        return self._names[full_name]


def _known(message: Descriptor) -> Schema | None:
    return _WELL_KNOWN.get(message.full_name)


def _camel(name: str) -> str:
    return re.sub("_([a-z0-9])", lambda found: found[1].upper(), name)


def _given(limits: Mapping[str, int]) -> Schema:
    return {name: limit for name, limit in limits.items() if limit}


@lru_cache(maxsize=2000)
def _demanded(message: Descriptor) -> frozenset[str]:
    """The fields without which validation refuses a message."""
    if message.full_name.startswith("google."):
        return frozenset()
    try:
        check(GetMessageClass(message)())
    except InvalidArgument as refusal:
        return frozenset(violation.field.split(".")[0].split("[")[0] for violation in refusal.violations)
    return frozenset()


def _required(message: Descriptor) -> frozenset[str]:
    """The fields that are said to be required, whatever validation says."""
    return frozenset(
        str(field.name)
        for field in message.fields
        if field_behavior_pb2.REQUIRED in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    )


@lru_cache(maxsize=2000)
def _differs_in_part(message: Descriptor) -> bool:
    """Whether the message, or one within, may leave out more where it only changes something."""
    return _differs(message, frozenset())


def _differs(message: Descriptor, above: frozenset[str]) -> bool:
    if message.full_name in above or message.full_name.startswith("google."):
        return False
    if _required(message) - _demanded(message):
        return True
    inner = (field.message_type for field in message.fields if field.message_type is not None)
    return any(_differs(each, above | {str(message.full_name)}) for each in inner)


def _string(field: FieldDescriptor, rules: Any) -> Schema:
    string, may_be_empty = rules.string, rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE
    schema: Schema = {"type": "string"} | _COMMON.get(field.full_name, {})
    if string.uuid:
        schema |= {"pattern": f"^({_UUID})?$"} if may_be_empty else {"format": "uuid"}
    elif string.email and not may_be_empty:
        schema["format"] = "email"
    elif string.uri and not may_be_empty and not string.pattern:
        schema["format"] = "uri"
    if string.pattern:
        schema["pattern"] = _or_empty(string.pattern) if may_be_empty else string.pattern
    if string.min_len and not may_be_empty:
        schema["minLength"] = string.min_len
    if string.max_len:
        schema["maxLength"] = string.max_len
    if string.len:
        schema["minLength"] = schema["maxLength"] = string.len
    if getattr(string, "in"):
        schema["enum"] = [*getattr(string, "in"), *([""] if may_be_empty else [])]
    if (sample := example_text(field, string)) is not None:
        schema["examples"] = [sample]
    return schema


def _or_empty(pattern: str) -> str:
    """The pattern, or nothing at all."""
    return f"^$|{pattern}"


def _number(field: FieldDescriptor, rules: Any) -> Schema:
    kinds = {
        _F.TYPE_DOUBLE: "double", _F.TYPE_FLOAT: "float", _F.TYPE_INT32: "int32", _F.TYPE_SINT32: "sint32",
        _F.TYPE_SFIXED32: "sfixed32", _F.TYPE_UINT32: "uint32", _F.TYPE_FIXED32: "fixed32", _F.TYPE_INT64: "int64",
        _F.TYPE_SINT64: "sint64", _F.TYPE_SFIXED64: "sfixed64", _F.TYPE_UINT64: "uint64", _F.TYPE_FIXED64: "fixed64",
    }  # fmt: skip
    kind = kinds[field.type]
    schema: Schema = (
        {"type": "number"} if kind in ("double", "float") else {"type": "integer", "format": "int32"}
    )
    if kind.endswith("64"):
        schema = {"type": ["string", "integer"], "pattern": _LONG, "format": "int64"}
    limits = getattr(rules, kind)
    for rule, keyword in (
        ("gte", "minimum"), ("gt", "exclusiveMinimum"), ("lte", "maximum"), ("lt", "exclusiveMaximum"),
    ):  # fmt: skip
        if limits.HasField(rule):
            schema[keyword] = getattr(limits, rule)
    return schema | _COMMON.get(field.full_name, {})
