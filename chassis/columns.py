"""How an entity's fields stand in the columns of its table, and back: the one thin mapper."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from operator import attrgetter
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import Column, Select, Table, select

from chassis.entity import Entity, ExternalId
from chassis.money import Money

E = TypeVar("E", bound=Entity)


@dataclass(frozen=True, slots=True)
class Codec:
    """One field in one column of the same name: how it is written and read."""

    dump: Callable[[Any], Any]
    load: Callable[[Any], Any]


def enumerated(kind: type[Enum]) -> Codec:
    """An enum, by its value, as text."""
    members = {member.value: member for member in kind}
    return Codec(lambda value: None if value is None else value.value, members.get)


def listed(kind: type[Any], load: Callable[[dict[str, Any]], Any] | None = None) -> Codec:
    """A tuple of frozen dataclasses, as a jsonb list; UUIDs, decimals and dates stand there as text.

    `load` makes one item from its JSON object; without it the keys are the constructor's arguments.
    """
    names = [field.name for field in dataclasses.fields(kind)]
    take = load or (lambda item: kind(**item))

    def dump(items: tuple[Any, ...]) -> str:
        return orjson.dumps(
            [{name: getattr(item, name) for name in names} for item in items], default=_as_text
        ).decode()

    def load_all(text: str | None) -> tuple[Any, ...]:
        return () if not text or text == "[]" else tuple(take(item) for item in orjson.loads(text))

    return Codec(dump, load_all)


def document(load: Callable[[Any], Any]) -> Codec:
    """One value as jsonb."""
    return Codec(
        lambda value: None if value is None else orjson.dumps(value, default=_as_text).decode(),
        lambda text: None if text is None else load(orjson.loads(text)),
    )


def array(load: Callable[[Any], Any] = lambda item: item) -> Codec:
    """A tuple of plain values, as a PostgreSQL array."""
    return Codec(list, lambda items: tuple(load(item) for item in items or ()))


def _as_text(value: Any) -> Any:
    if isinstance(value, Decimal | UUID):  # asyncpg's UUIDs are a subclass that orjson does not know
        return str(value)
    if isinstance(value, Money):
        return {"amount": str(value.amount), "currency": value.currency}
    raise TypeError(f"{type(value).__name__} cannot stand in a jsonb column")


def money_of(item: Mapping[str, str] | None) -> Money | None:
    """A Money out of jsonb, as `listed` and `document` write it."""
    return Money(Decimal(item["amount"]), item["currency"]) if item else None


_EXTERNAL_IDS = listed(ExternalId)


class RowMapper(Generic[E]):
    """Between the fields of `cls` and the columns of `table`.

    A field stands in the column of its name. A field in `money` is a `Money | None` and stands in two
    columns, whose names are given: the amount's and the currency's.
    """

    def __init__(
        self, cls: type[E], table: Table, codecs: Mapping[str, Codec], money: Mapping[str, tuple[str, str]]
    ) -> None:
        self.cls = cls
        self.fields = tuple(field.name for field in dataclasses.fields(cls))
        self.values: Callable[[E], tuple[Any, ...]] = attrgetter(*self.fields)
        codecs = {"external_ids": _EXTERNAL_IDS, **codecs}
        self.columns: list[Column[Any]] = []
        self._dumps: list[Callable[[E], Any]] = []
        for name in self.fields:
            if name in money:
                self.columns += [table.c[column] for column in money[name]]
                self._dumps += [_amount_of(name), _currency_of(name)]
            else:
                codec = codecs.get(name)
                self.columns.append(table.c[name])
                self._dumps.append(_dump_of(name, codec.dump) if codec else attrgetter(name))
        self.names = [column.name for column in self.columns]
        self.select: Select[Any] = select(*self.columns)
        self.load: Callable[[asyncpg.Record], E] = _loader(cls, self.names, codecs, money)
        """The entity of a row that begins with `columns`, in their order."""

    def dump(self, entity: E) -> list[Any]:
        """The row's values, in the order of `columns`."""
        return [dump(entity) for dump in self._dumps]


def _loader(
    cls: type[E], names: list[str], codecs: Mapping[str, Codec], money: Mapping[str, tuple[str, str]]
) -> Callable[[asyncpg.Record], E]:
    """Written out and compiled, as it is called for every row of every page."""
    scope: dict[str, Any] = {"cls": cls, "Money": Money}
    place = {name: f"row[{index}]" for index, name in enumerate(names)}
    arguments = []
    for field in dataclasses.fields(cls):
        name = field.name
        if name in money:
            amount, currency = (place[column] for column in money[name])
            arguments.append(f"{name}=Money({amount}, {currency}) if {currency} else None")
        elif name in codecs:
            scope[f"load_{name}"] = codecs[name].load
            arguments.append(f"{name}=load_{name}({place[name]})")
        else:
            arguments.append(f"{name}={place[name]}")
    source = f"lambda row: cls({', '.join(arguments)})"
    return cast("Callable[[asyncpg.Record], E]", eval(source, scope))  # noqa: S307  # made of field names only


def _dump_of(name: str, dump: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda entity: dump(getattr(entity, name))


def _amount_of(name: str) -> Callable[[Any], Any]:
    return lambda entity: money.amount if (money := getattr(entity, name)) is not None else None


def _currency_of(name: str) -> Callable[[Any], Any]:
    return lambda entity: money.currency if (money := getattr(entity, name)) is not None else None
