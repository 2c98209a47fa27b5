"""The model as JSON that any language reads: decimals as strings, sets as sorted lists, defaults left out.

A benefit says its kind: `{"kind": "percent_off", "percent": "10"}`. What is computed is in whole minor units.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from services.quotes.pricing.model import Benefit


def encode(value: Any) -> Any:
    """Any part of the model as JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        found = {"kind": _kind(type(value))} if type(value) in _benefits().values() else {}
        for field in fields(value):
            inner = getattr(value, field.name)
            default = field.default_factory() if field.default_factory is not MISSING else field.default
            if default is MISSING or inner != default:
                found[field.name] = encode(inner)
        return found
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal | date):
        return str(value)
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple | list):
        return [encode(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): encode(one) for key, one in value.items()}
    return value


def decode(kind: Any, data: Any) -> Any:
    """What `encode` made, as the model's `kind` again."""
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        unknown = set(data) - set(hints) - {"kind"}
        if unknown:
            raise KeyError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
        return kind(**{name: decode(hints[name], one) for name, one in data.items() if name in hints})
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        if isinstance(data, dict) and "kind" in data:
            return decode(_benefits()[data["kind"]], data)
        return None if data is None else decode(next(a for a in get_args(kind) if a is not type(None)), data)
    if origin is tuple:
        return tuple(decode(get_args(kind)[0], one) for one in data)
    if origin is frozenset:
        return frozenset(decode(get_args(kind)[0], one) for one in data)
    if kind is date:
        return date.fromisoformat(data)
    return kind(data) if isinstance(kind, type) and issubclass(kind, Enum | Decimal) else data


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


@cache
def _benefits() -> dict[str, Any]:
    return {_kind(one): one for one in get_args(Benefit)}


def _kind(one: type) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", one.__name__).lower()
