"""JSON to messages, by a table of fields that is made once per message type.

What is accepted is what the OpenAPI document says, and every refusal names the field: unknown and
repeated names, wrong types, numbers out of range, NaN, `null`, U+0000, text that is not Unicode.
Strings are taken as they are.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from calendar import timegm
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from math import isfinite
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from gateway.to_json import WRAPPERS

MAX_DEPTH = 30
"""Of free-form JSON (`Struct`): the services refuse messages nested a hundred deep, three to a level."""

Convert = Callable[[Any], Any]
Fill = Callable[[Any, Any], None]
"""Puts a JSON value into a message: of the whole message, or of one of its fields."""

_F = FieldDescriptor
_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?([Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_DURATION = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,9}))?s")
_LONG = re.compile(r"-?[0-9]{1,20}")
_MASK_PATH = re.compile(r"[a-z][A-Za-z0-9]*(\.[a-z][A-Za-z0-9]*)*")
_MAX_SECONDS = 315_576_000_000


class MalformedJson(Exception):
    """The text is not JSON at all; says where."""


class BadField(Exception):
    """A value that its field cannot hold; the path grows while it travels up."""

    def __init__(self, detail: str, *path: str | int) -> None:
        super().__init__(detail)
        self.detail = detail
        self.path: list[str | int] = list(path)

    @property
    def field(self) -> str:
        """`rows[2].opportunity.amount.units`; `body` for the whole."""
        text = ""
        for step in self.path:
            text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
        return text or "body"


class _Repeated(dict[str, Any]):
    """An object in which a name stands twice."""

    name = ""


def read(body: bytes) -> Any:
    """The JSON value of a body.

    Bytes that are not UTF-8 pass as lone surrogates, so that the field that holds them is named.

    Raises:
        MalformedJson: with line and column where they are known.
    """
    try:
        return json.loads(
            body.decode("utf-8", "surrogateescape"), object_pairs_hook=_object, parse_constant=_no_constant
        )
    except json.JSONDecodeError as error:
        raise MalformedJson(f"{error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise MalformedJson("The JSON is nested too deep.") from None
    except ValueError:
        raise MalformedJson("A number has too many digits.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        result = _Repeated(pairs)
        seen: set[str] = set()
        result.name = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
    return result


class _Constant:
    """NaN or Infinity, which Python reads and JSON does not have: no field takes it."""


def _no_constant(_: str) -> _Constant:
    return _Constant()


class JsonReader:
    """Compiles message types as they are met, and keeps what it compiled."""

    def __init__(self) -> None:
        self._fills: dict[str, Fill] = {}

    def fill(self, descriptor: Descriptor, elsewhere: Mapping[str, str] | None = None) -> Fill:
        """The function that fills a message of this type from an object.

        Args:
            descriptor: The message type.
            elsewhere: Fields (by JSON name) that the object may not hold, and where they are given.
        """
        if elsewhere:
            return self._message(descriptor, elsewhere)
        fill = self._fills.get(descriptor.full_name)
        if fill is None:
            # A message may hold its own kind: what is met again while it is compiled is looked up later.
            def later(message: Any, value: Any) -> None:
                self._fills[descriptor.full_name](message, value)

            self._fills[descriptor.full_name] = later
            fill = self._fills[descriptor.full_name] = self._message(descriptor, {})
        return fill

    def field(self, field: FieldDescriptor) -> Fill:
        """The function that sets this field of a message."""
        if field.is_repeated:
            entry = field.message_type
            if entry is not None and entry.GetOptions().map_entry:
                return self._map(field.name, entry)
            return self._list(field)
        if field.message_type is not None:
            return self._one_message(field)
        return _scalar(field)

    def _message(self, descriptor: Descriptor, elsewhere: Mapping[str, str]) -> Fill:
        full_name = descriptor.full_name
        if known := _WELL_KNOWN.get(full_name):
            return known
        if full_name in WRAPPERS:
            return _scalar(descriptor.fields_by_name["value"])
        if full_name == "google.protobuf.Any":
            raise TypeError("A request cannot hold google.protobuf.Any.")
        setters = {
            field.json_name: self.field(field)
            for field in descriptor.fields
            if field.json_name not in elsewhere
        }
        originals = {
            field.name: field.json_name for field in descriptor.fields if field.name != field.json_name
        }

        def fill(message: Any, value: Any) -> None:
            if type(value) is not dict:
                raise _not_an_object(value)
            for name, item in value.items():
                setter = setters.get(name)
                if setter is None:
                    raise _unknown(name, originals, elsewhere)
                try:
                    setter(message, item)
                except BadField as error:
                    error.path.insert(0, name)
                    raise

        return fill

    def _one_message(self, field: FieldDescriptor) -> Fill:
        assert field.message_type is not None
        name, fill = field.name, self.fill(field.message_type)
        oneof = field.containing_oneof.name if field.containing_oneof else None

        def set_message(message: Any, value: Any) -> None:
            if oneof:
                _only_one(message, oneof)
            child = getattr(message, name)
            child.SetInParent()
            fill(child, value)

        return set_message

    def _list(self, field: FieldDescriptor) -> Fill:
        name = field.name
        if field.message_type is not None:
            fill = self.fill(field.message_type)

            def add_messages(message: Any, value: Any) -> None:
                items = getattr(message, name)
                for i, item in enumerate(_items(value)):
                    try:
                        fill(items.add(), item)
                    except BadField as error:
                        error.path.insert(0, i)
                        raise

            return add_messages
        convert = _converter(field)

        def add_values(message: Any, value: Any) -> None:
            items = getattr(message, name)
            for i, item in enumerate(_items(value)):
                try:
                    items.append(convert(item))
                except BadField as error:
                    error.path.insert(0, i)
                    raise

        return add_values

    def _map(self, name: str, entry: Descriptor) -> Fill:
        to_key = _map_key(entry.fields_by_name["key"])
        value_field = entry.fields_by_name["value"]
        fill = self.fill(value_field.message_type) if value_field.message_type is not None else None
        convert = _converter(value_field) if fill is None else None

        def set_map(message: Any, value: Any) -> None:
            if type(value) is not dict:
                raise _not_an_object(value)
            items = getattr(message, name)
            for key, item in value.items():
                try:
                    if fill is not None:
                        fill(items[to_key(key)], item)
                    elif convert is not None:
                        items[to_key(key)] = convert(item)
                except BadField as error:
                    error.path.insert(0, key)
                    raise

        return set_map


def _scalar(field: FieldDescriptor) -> Fill:
    name, convert = field.name, _converter(field)
    oneof = field.containing_oneof
    if oneof is None:
        return lambda message, value: setattr(message, name, convert(value))
    oneof_name = oneof.name

    def set_member(message: Any, value: Any) -> None:
        _only_one(message, oneof_name)
        setattr(message, name, convert(value))

    return set_member


def _converter(field: FieldDescriptor) -> Convert:
    if field.enum_type is not None:
        return _enum(field.enum_type)
    return _CONVERTERS[field.type]


def _only_one(message: Message, oneof: str) -> None:
    if message.WhichOneof(oneof) is not None:
        raise BadField(f"Only one of the fields of {oneof} can be given.")


def _items(value: Any) -> list[Any]:
    if type(value) is not list:
        raise BadField(f"Must be a list, not {_kind(value)}.")
    return value


def _not_an_object(value: Any) -> BadField:
    if isinstance(value, _Repeated):
        return BadField("Is given twice.", value.name)
    return BadField(f"Must be an object, not {_kind(value)}.")


def _unknown(name: str, originals: Mapping[str, str], elsewhere: Mapping[str, str]) -> BadField:
    if place := elsewhere.get(name):
        return BadField(f"Is given in {place}, not in the body.", name)
    if known := originals.get(name):
        return BadField(f"There is no such field; it is written {known}.", name)
    return BadField("There is no such field.", name)


def _kind(value: Any) -> str:
    if value is None:
        return "null; leave it out instead"
    if isinstance(value, _Constant):
        return "NaN or Infinity"
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return kinds.get(type(value), "an object")


# ── scalars ────────────────────────────────────────────────────────────────────────────────────────


def text(value: Any) -> str:
    """A string as it is; protobuf itself cannot hold what is not Unicode."""
    if type(value) is not str:
        raise BadField(f"Must be a string, not {_kind(value)}.")
    if "\x00" in value:
        raise BadField("Must not contain the character U+0000.")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadField("Is not valid Unicode text (UTF-8).") from None
    return value


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise BadField(f"Must be true or false, not {_kind(value)}.")
    return value


def _integer(low: int, high: int, *, long: bool = False) -> Convert:
    def convert(value: Any) -> int:
        if (type(value) is float and isfinite(value) and value.is_integer()) or (
            long and type(value) is str and _LONG.fullmatch(value)
        ):
            value = int(value)
        if type(value) is not int:
            raise BadField(
                f"Must be a whole number{' (as a string or a number)' if long else ''}, not {_kind(value)}."
            )
        if not low <= value <= high:
            raise BadField(f"Must be between {low} and {high}.")
        return value

    return convert


def _number(value: Any) -> float:
    if type(value) is not float and type(value) is not int:
        raise BadField(f"Must be a number, not {_kind(value)}.")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not isfinite(number):
        raise BadField("Is too large a number.")
    return number


def _single(value: Any) -> float:
    number = _number(value)
    if abs(number) > 3.4028234663852886e38:
        raise BadField("Is too large a number.")
    return number


def _bytes(value: Any) -> bytes:
    try:
        return b64decode(text(value), validate=True)
    except ValueError:
        raise BadField("Must be base64.") from None


def _enum(enum: EnumDescriptor) -> Convert:
    numbers = {value.name: value.number for value in enum.values}
    names = ", ".join(value.name for value in enum.values if value.number)

    def convert(value: Any) -> int:
        number = numbers.get(value) if type(value) is str else None
        if number is None:
            raise BadField(f"Must be one of {names}.")
        return number

    return convert


_INT32 = _integer(-(2**31), 2**31 - 1)
_UINT32 = _integer(0, 2**32 - 1)
_INT64 = _integer(-(2**63), 2**63 - 1, long=True)
_UINT64 = _integer(0, 2**64 - 1, long=True)
_CONVERTERS: dict[int, Convert] = {
    _F.TYPE_STRING: text,
    _F.TYPE_BYTES: _bytes,
    _F.TYPE_BOOL: _boolean,
    _F.TYPE_DOUBLE: _number,
    _F.TYPE_FLOAT: _single,
    **dict.fromkeys((_F.TYPE_INT32, _F.TYPE_SINT32, _F.TYPE_SFIXED32), _INT32),
    **dict.fromkeys((_F.TYPE_UINT32, _F.TYPE_FIXED32), _UINT32),
    **dict.fromkeys((_F.TYPE_INT64, _F.TYPE_SINT64, _F.TYPE_SFIXED64), _INT64),
    **dict.fromkeys((_F.TYPE_UINT64, _F.TYPE_FIXED64), _UINT64),
}


def _map_key(field: FieldDescriptor) -> Convert:
    if field.type == _F.TYPE_STRING:
        return text
    if field.type == _F.TYPE_BOOL:
        return lambda key: _boolean({"true": True, "false": False}.get(key, key))
    convert = _CONVERTERS[field.type]
    return lambda key: convert(int(key) if _LONG.fullmatch(key) else key)


# ── well-known types ───────────────────────────────────────────────────────────────────────────────


def fill_timestamp(message: Any, value: Any) -> None:
    """RFC 3339, with any offset and up to nine digits of a second."""
    message.seconds, message.nanos = _instant(text(value))


@lru_cache(8192)  # rows of one import have the same days over and over
def _instant(value: str) -> tuple[int, int]:
    found = _TIMESTAMP.fullmatch(value)
    try:
        if found is None:
            raise ValueError
        day, clock, fraction, _, sign, hours, minutes = found.groups()
        instant = datetime.fromisoformat(f"{day}T{clock}")
        if sign:
            if int(hours) > 23 or int(minutes) > 59:
                raise ValueError
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            instant = instant - offset if sign == "+" else instant + offset
    except (ValueError, OverflowError):
        raise BadField("Must be a time such as 2026-01-31T09:30:00Z.") from None
    return timegm(instant.timetuple()), int(fraction.ljust(9, "0")) if fraction else 0


def _fill_duration(message: Any, value: Any) -> None:
    found = _DURATION.fullmatch(text(value))
    if found is None or int(found[2]) > _MAX_SECONDS:
        raise BadField("Must be a number of seconds such as 3.5s.")
    sign = -1 if found[1] else 1
    message.seconds = sign * int(found[2])
    message.nanos = sign * int((found[3] or "").ljust(9, "0"))


def _fill_mask(message: Any, value: Any) -> None:
    for path in text(value).split(",") if value else ():
        if path != "*" and not _MASK_PATH.fullmatch(path):
            raise BadField("Must be field names such as name,closeDate.")
        message.paths.append(re.sub("[A-Z]", lambda capital: "_" + capital[0].lower(), path))


def _fill_struct(message: Any, value: Any, depth: int = 0) -> None:
    if type(value) is not dict:
        raise _not_an_object(value)
    for name, item in value.items():
        try:
            _fill_value(message.fields[text(name)], item, depth + 1)
        except BadField as error:
            error.path.insert(0, name)
            raise


def _fill_list(message: Any, value: Any, depth: int = 0) -> None:
    for i, item in enumerate(_items(value)):
        try:
            _fill_value(message.values.add(), item, depth + 1)
        except BadField as error:
            error.path.insert(0, i)
            raise


def _fill_value(message: Any, value: Any, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise BadField(f"Is nested deeper than {MAX_DEPTH}.")
    if value is None:
        message.null_value = 0
    elif type(value) is bool:
        message.bool_value = value
    elif type(value) is str:
        message.string_value = text(value)
    elif type(value) is list:
        message.list_value.SetInParent()
        _fill_list(message.list_value, value, depth)
    elif isinstance(value, dict):
        message.struct_value.SetInParent()
        _fill_struct(message.struct_value, value, depth)
    else:
        message.number_value = _number(value)


def _fill_empty(_: Any, value: Any) -> None:
    if type(value) is not dict:
        raise _not_an_object(value)
    for name in value:
        raise BadField("There is no such field.", name)


_WELL_KNOWN: dict[str, Fill] = {
    "google.protobuf.Timestamp": fill_timestamp,
    "google.protobuf.Duration": _fill_duration,
    "google.protobuf.FieldMask": _fill_mask,
    "google.protobuf.Struct": _fill_struct,
    "google.protobuf.Value": _fill_value,
    "google.protobuf.ListValue": _fill_list,
    "google.protobuf.Empty": _fill_empty,
}
