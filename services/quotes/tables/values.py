"""How frozen dataclasses of plain values stand in a jsonb column, nested and in unions: each with its
class's name where it could be another, so that what is read is what was written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import orjson

from chassis.columns import Codec

_TAG: Final = "is"
_Load = Callable[[Any], Any]


def value(kind: Any) -> Codec:
    """A value of a type, which may be a union of dataclasses, as jsonb; fields at their defaults are left out."""
    load = loader(kind)
    return Codec(
        lambda item: None if item is None else orjson.dumps(dumped(item)).decode(),
        lambda text: None if text is None else load(orjson.loads(text)),
    )


def dumped(item: Any) -> Any:
    """Anything as what JSON knows."""
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        said = {
            field.name: dumped(got)
            for field in dataclasses.fields(item)
            if (got := getattr(item, field.name)) != field.default
        }
        return {_TAG: type(item).__name__, **said}
    if isinstance(item, Enum):
        return item.value
    if isinstance(item, frozenset):
        return sorted(map(dumped, item))
    if isinstance(item, tuple):
        return [dumped(each) for each in item]
    return str(item) if isinstance(item, Decimal | UUID | date) else item


@cache
def loader(kind: Any) -> _Load:
    """What makes a value of the type out of its JSON."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _one_of([each for each in get_args(kind) if each is not NoneType])
    if origin in (tuple, frozenset):
        each = loader(get_args(kind)[0])
        return lambda items: origin(map(each, items))
    if dataclasses.is_dataclass(kind):
        return _instance(kind)
    return kind.fromisoformat if kind is date else _as_is if kind in (str, bool, int) else kind


def _as_is(item: Any) -> Any:
    return item


def _one_of(kinds: list[Any]) -> _Load:
    if len(kinds) == 1:
        only = loader(kinds[0])
        return lambda item: None if item is None else only(item)
    loads = {kind.__name__: loader(kind) for kind in kinds}
    return lambda item: None if item is None else loads[item[_TAG]](item)


def _instance(kind: Any) -> _Load:
    hints = get_type_hints(kind)
    loads = {field.name: loader(hints[field.name]) for field in dataclasses.fields(kind)}
    return lambda item: kind(**{name: loads[name](got) for name, got in item.items() if name != _TAG})
