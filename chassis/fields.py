"""What a list can be filtered and ordered by: one `Field` for each name, and how a constant that a
caller writes becomes a value of the field's type. Filters and page tokens both read constants here.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum, EnumMeta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

Condition = sa.ColumnElement[bool]


class FieldType(Enum):
    """How a field's constants are written; the value is how a refusal describes one."""

    STRING = 'a text such as "Acme"'
    NUMBER = "a number such as 12 or 2.5"
    MONEY = 'an amount such as 1000 or "1000 EUR"'
    TIMESTAMP = 'an instant such as "2017-03-01T00:00:00Z"'
    DATE = 'a date such as "2017-03-01"'
    ENUM = "one of the names"
    UUID = "a UUID"
    BOOL = "true or false"
    EXTERNAL_IDS = 'an external id such as "erp:4711"'


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A name that a caller may filter or order by.

    `names` are an enum's names and what is stored for each; `currency` is the column beside an
    amount. Where `repeated`, the column is an array, or a JSON list in which `path` leads to the
    value (`("product_id",)` for a list of line items). A list that stands in a JSON object with others
    says where by `within`, the object's column and its key there: an index over the whole object serves it.
    """

    column: sa.ColumnElement[Any]
    type: FieldType
    names: Mapping[str, Any] = field(default_factory=dict)
    currency: sa.ColumnElement[Any] | None = None
    repeated: bool = False
    path: tuple[str, ...] = ()
    within: tuple[sa.ColumnElement[Any], str] | None = None
    nullable: bool = True
    sortable: bool = False

    @classmethod
    def of(
        cls,
        column: sa.Column[Any],
        *,
        names: Mapping[str, Any] | EnumMeta | None = None,
        currency: sa.ColumnElement[Any] | None = None,
        nullable: bool | None = None,
        sortable: bool = False,
    ) -> "Field":
        """The field that the column's own type says it is; what is stated besides overrules that.

        `names` maps an enum's names to what is stored, and `currency` makes an amount of a number.
        A sortable field that is never null should say so: its pages then come from one index range.
        """
        kind = column.type
        repeated = isinstance(kind, ARRAY | sa.ARRAY)
        if isinstance(names, EnumMeta):
            names = {member.name: member.value for member in names}  # type: ignore[var-annotated]
        return cls(
            column=column,
            type=_type_of(kind.item_type if isinstance(kind, ARRAY | sa.ARRAY) else kind, names, currency),
            names=names or {},
            currency=currency,
            repeated=repeated,
            nullable=bool(column.nullable) if nullable is None else nullable,
            sortable=sortable,
        )

    @property
    def is_list(self) -> bool:
        """Whether a record has any number of these."""
        return self.repeated or self.type is FieldType.EXTERNAL_IDS

    @property
    def expected(self) -> str:
        """What a constant of this field looks like."""
        if self.type is FieldType.ENUM:
            return "one of " + ", ".join(self.names)
        return str(self.type.value)

    def read(self, text: str) -> Any:
        """The value that a constant stands for; ValueError where it is none of this type."""
        return _READERS[self.type](self, text)

    def write(self, value: Any) -> str:
        """The constant that stands for a value of this field: the inverse of `read`."""
        if self.type is FieldType.ENUM:
            return {stored: name for name, stored in self.names.items()}[value]
        if isinstance(value, datetime | date):
            return value.isoformat()
        return "true" if value is True else "false" if value is False else str(value)


def field_named(fields: Mapping[str, Field], name: str) -> Field | None:
    """The field by its name in snake_case or camelCase; `amount.currency_code` is an amount's currency."""
    for candidate in (name, snake_case(name)):
        if candidate in fields:
            return fields[candidate]
        owner, _, member = candidate.rpartition(".")
        if member == "currency_code" and owner in fields:
            currency = fields[owner].currency
            return None if currency is None else Field(currency, FieldType.STRING)
    return None


def snake_case(name: str) -> str:
    """`closeDate` becomes `close_date`."""
    return "".join(f"_{letter.lower()}" if "A" <= letter <= "Z" else letter for letter in name)


def contains(target: Field, value: Any) -> Condition:
    """The repeated field has the value among its members, by a condition that a GIN index serves."""
    if isinstance(target.column.type, ARRAY | sa.ARRAY):
        # The array's own operator, not SQLAlchemy's ANY, which no index serves.
        return target.column.op("@>", is_comparison=True)(sa.literal([value], target.column.type))
    member: Any = value
    if target.type is FieldType.EXTERNAL_IDS:
        member = {"system": value[0], "id": value[1]}
    elif not isinstance(value, bool | int | str):
        member = target.write(value)
    for step in reversed(target.path):
        member = {step: member}
    column, content = target.column, [member]
    if target.within is not None:
        column, content = target.within[0], {target.within[1]: [member]}  # type: ignore[assignment]
    document = sa.cast(sa.literal(json.dumps(content, ensure_ascii=False), sa.Text), JSONB)
    return column.op("@>", is_comparison=True)(document)


def is_present(target: Field) -> Condition:
    """The field is set: not null, not an empty text, not an empty list."""
    column = target.column
    if isinstance(column.type, ARRAY | sa.ARRAY):
        return sa.func.cardinality(column) > 0
    if target.is_list:
        return sa.func.jsonb_array_length(column) > 0
    return column != "" if target.type is FieldType.STRING else column.is_not(None)


def is_absent(target: Field) -> Condition:
    """The opposite of `is_present`, in a form that an index serves where the field is one value."""
    if target.is_list:
        return is_present(target).is_not(sa.true())
    empty = target.column.is_(None)
    return sa.or_(target.column == "", empty) if target.type is FieldType.STRING else empty


def bound(target: Field, value: Any) -> sa.ColumnElement[Any]:
    """The value as a bind parameter that the column can be compared with."""
    kind = target.column.type
    if isinstance(value, Decimal) and isinstance(kind, sa.Integer):
        # A fraction or a number beyond the column's range is compared as a decimal: never an overflow.
        bits = 15 if isinstance(kind, sa.SmallInteger) else 63 if isinstance(kind, sa.BigInteger) else 31
        if value == value.to_integral_value() and -(2**bits) <= value < 2**bits:
            return sa.literal(int(value), kind)
        return sa.literal(value, sa.Numeric())
    return sa.literal(value, kind)


def _type_of(
    kind: sa.types.TypeEngine[Any], names: Mapping[str, Any] | None, currency: sa.ColumnElement[Any] | None
) -> FieldType:
    if names is not None:
        return FieldType.ENUM
    if currency is not None:
        return FieldType.MONEY
    known: tuple[tuple[type[sa.types.TypeEngine[Any]], FieldType], ...] = (
        (sa.Uuid, FieldType.UUID),
        (sa.Boolean, FieldType.BOOL),
        (sa.DateTime, FieldType.TIMESTAMP),
        (sa.Date, FieldType.DATE),
        (sa.Integer, FieldType.NUMBER),
        (sa.Numeric, FieldType.NUMBER),
        (JSONB, FieldType.EXTERNAL_IDS),
        (sa.String, FieldType.STRING),
    )
    for sql_type, field_type in known:
        if isinstance(kind, sql_type):
            return field_type
    raise TypeError(f"a column of type {kind!r} needs its Field written out")


def _text(_: Field, text: str) -> str:
    if "\0" in text:
        raise ValueError("U+0000 is in no text")
    text.encode()  # a lone surrogate is in none either
    return text


def _number(_: Field, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError("not a number") from None
    if (
        not number.is_finite()
        or "_" in text
        or abs(number.adjusted()) > 40
        or len(number.as_tuple().digits) > 60
    ):
        raise ValueError("not a number of reasonable size")
    return number


def _instant(_: Field, text: str) -> datetime:
    instant = datetime.fromisoformat(text.upper())
    if instant.tzinfo is None:
        if len(text) > len("2017-03-01"):
            raise ValueError("an instant needs its offset from UTC, such as Z")
        instant = instant.replace(tzinfo=UTC)
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("beyond the calendar") from None


def _date(_: Field, text: str) -> date:
    return date.fromisoformat(text)


def _enum(target: Field, text: str) -> Any:
    if text not in target.names:
        raise ValueError("no such name")
    return target.names[text]


def _uuid(_: Field, text: str) -> UUID:
    if len(text) != 36:
        raise ValueError("not a UUID")
    return UUID(text)


def _bool(_: Field, text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("neither true nor false")
    return text == "true"


def _external_id(_: Field, text: str) -> tuple[str, str]:
    system, colon, identifier = text.partition(":")
    if not (system and colon and identifier) or "\0" in text:
        raise ValueError("not of the form system:id")
    return system, identifier


_READERS: dict[FieldType, Callable[[Field, str], Any]] = {
    FieldType.STRING: _text,
    FieldType.NUMBER: _number,
    FieldType.MONEY: _number,
    FieldType.TIMESTAMP: _instant,
    FieldType.DATE: _date,
    FieldType.ENUM: _enum,
    FieldType.UUID: _uuid,
    FieldType.BOOL: _bool,
    FieldType.EXTERNAL_IDS: _external_id,
}
