"""What an expression can know of a deal: the resource as CEL values, by the field names of the API.

Everything follows from the proto, so that a field that is added to it can be used in criteria at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, cast

from buf.validate import validate_pb2
from celpy import celtypes
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from sfa.opportunities.v1 import opportunities_pb2 as pb

OPPORTUNITY: Final = pb.Opportunity.DESCRIPTOR
VARIABLES: Final = frozenset({"opportunity", "now", "today"})
_FIRST_OWN_NUMBER: Final = 10
"""Below stand the fields that every resource has."""
_MANY: Final = 100
"""How many items a list is taken to have that says no limit."""


class Record(celtypes.MapType):
    """A message: what is set, by the names of its fields, and of which kind it is."""

    kind: Descriptor | None = None

    def holds(self, name: str) -> bool:
        """Whether the field is set to something."""
        return dict.__contains__(self, name)

    def value(self, name: str) -> Any:
        """What a field is set to."""
        values: dict[Any, Any] = self
        return dict.__getitem__(values, name)

    def default(self, name: str) -> Any:
        """What a field is that is not set; None where nothing can be said."""
        if self.kind is None:
            return _EMPTY_MONEY[name]
        return _default(self.kind.fields_by_name[name])


_EMPTY_MONEY: Final[Mapping[str, Any]] = {
    "value": celtypes.DoubleType(0.0),
    "currency_code": celtypes.StringType(""),
}


def message_of(field: FieldDescriptor) -> Descriptor:
    """The kind of message that a field is."""
    assert field.message_type is not None
    return field.message_type


def fields_of(kind: Descriptor) -> Mapping[str, FieldDescriptor]:
    """The fields of a message that can be named: a deal's own, and all of what it consists of."""
    least = _FIRST_OWN_NUMBER if kind is OPPORTUNITY else 0
    return {field.name: field for field in kind.fields if field.number >= least}


def is_filled(deal: pb.Opportunity, name: str) -> bool:
    """Whether a field of a deal is filled in."""
    field = OPPORTUNITY.fields_by_name[name]
    if field.is_repeated or not field.has_presence:
        return bool(getattr(deal, name))
    return deal.HasField(name)  # type: ignore[arg-type]  # by name


def facts(deal: pb.Opportunity, now: datetime, names: Collection[str]) -> dict[str, Any]:
    """The variables of an expression; of the deal the fields that are named."""
    record = Record()
    record.kind = OPPORTUNITY
    for name in names:
        if is_filled(deal, name):
            value = _value(OPPORTUNITY.fields_by_name[name], getattr(deal, name))
            dict.__setitem__(record, celtypes.StringType(name), value)
    return _variables(record, now)


@cache
def sample(*, is_large: bool) -> dict[str, Any]:
    """The variables of a deal with every field set: to each list one item, or as many as it may have."""
    return _variables(_sample(OPPORTUNITY, 0, is_large), datetime(2026, 1, 1, tzinfo=UTC))


def _variables(record: Record, now: datetime) -> dict[str, Any]:
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "opportunity": record,
        "now": celtypes.TimestampType(now),
        "today": celtypes.TimestampType(midnight),
    }


def _value(field: FieldDescriptor, value: Any) -> Any:
    convert = _converter(field)
    return celtypes.ListType([convert(item) for item in value]) if field.is_repeated else convert(value)


@cache
def _converter(field: FieldDescriptor) -> Callable[[Any], Any]:
    kind = field.type
    if kind == FieldDescriptor.TYPE_MESSAGE:
        return _SPECIAL.get(message_of(field).full_name, _record)
    if kind == FieldDescriptor.TYPE_ENUM:
        assert field.enum_type is not None
        names = field.enum_type.values_by_number
        return lambda number: celtypes.StringType(names[number].name)
    if kind == FieldDescriptor.TYPE_BOOL:
        return celtypes.BoolType
    if kind in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return celtypes.DoubleType
    if kind == FieldDescriptor.TYPE_STRING:
        return celtypes.StringType
    return celtypes.IntType


def _record(message: Message) -> Record:
    record = Record()
    record.kind = cast("Descriptor", message.DESCRIPTOR)
    for field, value in message.ListFields():
        dict.__setitem__(record, celtypes.StringType(field.name), _value(field, value))
    return record


def _money(message: Money) -> Record:
    record = Record()
    dict.__setitem__(
        record,
        celtypes.StringType("value"),
        celtypes.DoubleType(message.units + message.nanos / 1_000_000_000),
    )
    dict.__setitem__(record, celtypes.StringType("currency_code"), celtypes.StringType(message.currency_code))
    return record


def _date(message: Date) -> celtypes.TimestampType:
    return celtypes.TimestampType(datetime(message.year, message.month, message.day, tzinfo=UTC))


def _timestamp(message: Timestamp) -> celtypes.TimestampType:
    return celtypes.TimestampType(message.ToDatetime(UTC))


_SPECIAL: Final[Mapping[str, Callable[[Any], Any]]] = {
    "google.type.Money": _money,
    "google.type.Date": _date,
    "google.protobuf.Timestamp": _timestamp,
}
MONEY: Final = "google.type.Money"


def is_message(field: FieldDescriptor) -> bool:
    """Whether a field is a message whose fields can be named; a date or an instant is none."""
    return field.type == FieldDescriptor.TYPE_MESSAGE and (
        message_of(field).full_name not in _SPECIAL or message_of(field).full_name == MONEY
    )


def _default(field: FieldDescriptor) -> Any:
    if field.is_repeated:
        return celtypes.ListType([])
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        if not is_message(field):
            return None
        record = Record()
        record.kind = None if message_of(field).full_name == MONEY else message_of(field)
        return record
    if field.type == FieldDescriptor.TYPE_ENUM:
        return celtypes.StringType("")
    return _converter(field)(field.default_value)


def _sample(kind: Descriptor, depth: int, is_large: bool) -> Record:
    record = Record()
    record.kind = kind
    for name, field in fields_of(kind).items():
        if field.is_repeated:
            count = (_limit(field) if depth == 0 else 20) if is_large else 1
            value: Any = celtypes.ListType([_example(field, depth, is_large)] * count)
        else:
            value = _example(field, depth, is_large)
        dict.__setitem__(record, celtypes.StringType(name), value)
    return record


def _example(field: FieldDescriptor, depth: int, is_large: bool) -> Any:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        name = message_of(field).full_name
        if name == MONEY:
            return _money(Money(currency_code="EUR", units=1))
        if name == "google.type.Date":
            return _date(Date(year=2026, month=1, day=1))
        if name == "google.protobuf.Timestamp":
            return _timestamp(Timestamp())
        return _sample(message_of(field), depth + 1, is_large)
    if field.type == FieldDescriptor.TYPE_STRING:
        return celtypes.StringType("1")
    if field.type == FieldDescriptor.TYPE_ENUM:
        return celtypes.StringType("1")
    return _converter(field)(1)


def _limit(field: FieldDescriptor) -> int:
    rules = field.GetOptions().Extensions[validate_pb2.field]
    return min(rules.repeated.max_items, 500) or _MANY
