"""Between proto messages and plain Python: times, money, ids, masks. Written for speed where rows of a
page go through it: the fields of a Timestamp are set one by one, and no datetime is parsed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money as MoneyProto

from chassis.entity import ExternalId
from chassis.errors import InvalidArgument
from chassis.money import Money

_NANO = Decimal(1_000_000_000)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_AMOUNT = Decimal(10) ** 15


class BadValue(InvalidArgument):
    """A value that is well-formed and makes no sense."""


def set_timestamp(target: Timestamp, at: datetime | None) -> None:
    """Writes an instant into a Timestamp field; nothing where there is none."""
    if at is None:
        return
    delta = at - _EPOCH
    target.seconds = delta.days * 86400 + delta.seconds
    target.nanos = delta.microseconds * 1000


def timestamp(at: datetime | None) -> Timestamp | None:
    """An instant as a Timestamp."""
    if at is None:
        return None
    result = Timestamp()
    set_timestamp(result, at)
    return result


def datetime_of(value: Timestamp) -> datetime:
    """A Timestamp as an aware datetime in UTC, to the microsecond."""
    return value.ToDatetime(UTC)


def set_date(target: Date, day: date) -> None:
    """Writes a date into a Date field."""
    target.year, target.month, target.day = day.year, day.month, day.day


def date_to_proto(day: date | None) -> Date | None:
    """A date as a google.type.Date."""
    return None if day is None else Date(year=day.year, month=day.month, day=day.day)


def date_of(value: Date, field: str) -> date:
    """A full google.type.Date as a date.

    Raises:
        BadValue: the date is not in the calendar, or is only a part of one.
    """
    try:
        return date(value.year, value.month, value.day)
    except ValueError:
        raise BadValue(
            f"{field} must be a full date of the calendar, with year, month and day.", field=field
        ) from None


def set_money(target: MoneyProto, money: Money) -> None:
    """Writes an amount into a Money field; digits beyond nanos are not representable."""
    units = int(money.amount)
    target.currency_code = money.currency
    target.units = units
    target.nanos = int((money.amount - units) * _NANO)


def money_to_proto(money: Money | None) -> MoneyProto | None:
    """An amount as a google.type.Money."""
    if money is None:
        return None
    result = MoneyProto()
    set_money(result, money)
    return result


def money_of(value: MoneyProto, field: str) -> Money:
    """A google.type.Money as an exact amount.

    Raises:
        BadValue: the currency is not three capital letters, the parts have different signs, or the
            amount is beyond 10^15.
    """
    code = value.currency_code
    if len(code) != 3 or not code.isascii() or not code.isalpha() or not code.isupper():
        raise BadValue(
            f"{field}.currency_code must be an ISO 4217 code such as EUR.", field=f"{field}.currency_code"
        )
    if abs(value.nanos) > 999_999_999 or value.units * value.nanos < 0:
        raise BadValue(
            f"{field}.nanos must be between -999999999 and 999999999 and have the sign of units.",
            field=f"{field}.nanos",
        )
    if abs(value.units) >= MAX_AMOUNT:
        raise BadValue(f"{field}.units must be below 10^15.", field=f"{field}.units")
    return Money(value.units + Decimal(value.nanos) / _NANO, code)


def decimal_of(text: str, field: str) -> Decimal:
    """A decimal number written as text.

    Raises:
        BadValue: it is not a finite number.
    """
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise BadValue(f"{field} must be a decimal number such as 12.5.", field=field)
    return number


def decimal_text(number: Decimal) -> str:
    """A decimal without an exponent and without trailing zeros: `2.5`, `100`."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def uuid_of(text: str) -> UUID | None:
    """An id; None for an empty one. The text was validated as a UUID before."""
    return UUID(text) if text else None


def external_ids_of(values: Any) -> tuple[ExternalId, ...]:
    """The external ids of a resource, each once, in order."""
    return tuple(sorted({ExternalId(value.system, value.id) for value in values}))


def set_head(target: Any, entity: Any) -> None:
    """Writes what every resource has: id, etag, times, external ids."""
    target.id = str(entity.id)
    target.etag = str(entity.version)
    set_timestamp(target.create_time, entity.created_at)
    set_timestamp(target.update_time, entity.updated_at)
    set_timestamp(target.effective_time, entity.effective_at)
    if entity.deleted_at is not None:
        set_timestamp(target.delete_time, entity.deleted_at)
    for external_id in entity.external_ids:
        target.external_ids.add(system=external_id.system, id=external_id.id)


class UnknownField(InvalidArgument):
    """An update mask names a field that is not there or cannot be changed."""

    def __init__(self, path: str, allowed: Mapping[str, Any]) -> None:
        super().__init__(
            f"update_mask names {path}, which cannot be changed here; it may name: {', '.join(sorted(allowed))}.",
            field="update_mask",
        )


def fields_to_change(
    message: Message, mask: Any, readers: Mapping[str, Callable[[Any], Any]], *, everything: bool = False
) -> dict[str, Any]:
    """What an update asks for, as field names and domain values.

    `readers` says which fields can be changed and how each is read off the message. Fields named by
    `mask.paths` are taken, set or not; without a mask those that are set, and with `everything` all.

    Raises:
        UnknownField: the mask names something else.
    """
    if mask is not None and mask.paths and list(mask.paths) != ["*"]:
        for path in mask.paths:
            if path not in readers:
                raise UnknownField(path, readers)
        names = list(dict.fromkeys(mask.paths))
    elif everything or (mask is not None and mask.paths):
        names = list(readers)
    else:
        present = {field.name for field, _ in message.ListFields()}
        names = [name for name in readers if name in present]
    return {name: readers[name](message) for name in names}
