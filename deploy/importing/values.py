"""Values of a mapping, compiled once into functions from a row's cells to what the API takes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from deploy.importing.mapping import Condition, Mapping, Scalar, Spec, Value
from deploy.importing.troubles import MappingInvalid, RowRefused

MISSING: Final = type("Missing", (), {"__repr__": lambda _: "MISSING", "__bool__": lambda _: False})()
"""What a field is that the row says nothing about: it is left out."""

Cells = dict[str, str]


class Records(Protocol):
    """What a row can ask about other records."""

    def find(self, entity: str, key: str, field: str | None, currency: str | None) -> Any:
        """The id (or a field) of the record that an entity of the mapping knows by a key; None where unknown."""

    def stage(self, name: str, pipeline: str | None) -> str:
        """The id of a stage; RowRefused where there is none of this name."""


Getter = Callable[[Cells, Records], Any]


@dataclass(frozen=True, slots=True)
class Reference:
    """A look-up that a row may make: which entity, and the key of each row."""

    entity: str
    key: Getter
    field: str | None
    currency: str | None


class Compiler:
    """Makes functions of what a mapping says, and notes the columns and look-ups that they use."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self.columns: set[str] = set()
        self.references: list[Reference] = []
        self.uses_stages = False
        self._yes = {word.casefold(): True for word in mapping.yes} | {
            word.casefold(): False for word in mapping.no
        }

    def message(self, fields: dict[str, Spec], path: str) -> Getter:
        """A JSON object; fields without a value are left out, and an object without any is missing."""
        getters = [(name, self.value(spec, f"{path}.{name}")) for name, spec in fields.items()]

        def get(cells: Cells, records: Records) -> Any:
            made = {
                name: value for name, getter in getters if (value := getter(cells, records)) is not MISSING
            }
            return made or MISSING

        return get

    def value(self, spec: Spec, path: str) -> Getter:
        """One value; `path` names it in refusals."""
        if isinstance(spec, Value):
            return self._value(spec, path)
        if isinstance(spec, dict):
            return self.message(spec, path)
        if isinstance(spec, list):
            return self._list([self.value(each, f"{path}[{index}]") for index, each in enumerate(spec)])
        return self._template(spec) if isinstance(spec, str) else _constant(spec)

    def condition(self, when: Condition | None, unless: Condition | None = None) -> Callable[[Cells], bool]:
        """Whether a row is meant."""
        tests = [(column, _cells_test(wanted)) for column, wanted in (when or {}).items()]
        against = [(column, _cells_test(wanted)) for column, wanted in (unless or {}).items()]
        self.columns.update(column for column, _ in (*tests, *against))

        def holds(cells: Cells) -> bool:
            if not all(test(cells[column]) for column, test in tests):
                return False
            return not against or not all(test(cells[column]) for column, test in against)

        return holds

    def _list(self, getters: list[Getter]) -> Getter:
        def get(cells: Cells, records: Records) -> Any:
            return [item for getter in getters if (item := getter(cells, records)) is not MISSING] or MISSING

        return get

    def _value(self, spec: Value, path: str) -> Getter:
        getter = self._from(spec, path)
        applies = self.condition(spec.when, spec.unless) if spec.when or spec.unless else None
        default = MISSING if spec.default is None else spec.default

        def get(cells: Cells, records: Records) -> Any:
            if applies is not None and not applies(cells):
                return MISSING
            value = getter(cells, records)
            if value is MISSING:
                value = default
            if value is MISSING and spec.required:
                raise RowRefused(f"{path} is missing.", reason="VALUE_MISSING", field=path)
            return value

        return get

    def _from(self, spec: Value, path: str) -> Getter:
        if spec.first is not None:
            return self._first([self.value(each, path) for each in spec.first])
        if spec.lookup is not None and spec.key is not None:
            return self._lookup(spec, spec.lookup, spec.key, path)
        if spec.stage is not None:
            return self._stage(spec.stage, spec.pipeline, path)
        assert spec.source is not None
        text, convert, translate = self._template(spec.source), self._converter(spec, path), spec.translate

        def get(cells: Cells, records: Records) -> Any:
            value = text(cells, records)
            if translate is not None and value in translate:
                translated: Scalar = translate[value]
                if not isinstance(translated, str):
                    return MISSING if translated is None else translated
                value = translated
            return MISSING if value is MISSING else convert(value)

        return get

    def _first(self, getters: list[Getter]) -> Getter:
        def get(cells: Cells, records: Records) -> Any:
            return next(
                (value for getter in getters if (value := getter(cells, records)) is not MISSING), MISSING
            )

        return get

    def _lookup(self, spec: Value, entity: str, key_template: str, path: str) -> Getter:
        key, currency = self._template(key_template), spec.currency or self.mapping.currency
        field, system = spec.field, self.mapping.system_of(entity)
        self.references.append(Reference(entity, key, field, currency))

        def get(cells: Cells, records: Records) -> Any:
            text = key(cells, records)
            if text is MISSING:
                return MISSING
            found = records.find(entity, text, field, currency)
            if found is None:
                if spec.unknown == "omit":
                    return MISSING
                what = f"no {field} of {entity}" if field else f"nothing in {entity}"
                raise RowRefused(
                    f"There is {what} known as {system}:{text}.", reason="LOOKUP_FAILED", field=path
                )
            return found

        return get

    def _stage(self, spec: Spec, pipeline: str | None, path: str) -> Getter:
        self.uses_stages, name = True, self.value(spec, path)

        def get(cells: Cells, records: Records) -> Any:
            text = name(cells, records)
            return MISSING if text is MISSING else records.stage(text, pipeline)

        return get

    def _template(self, text: str) -> Getter:
        """`{column}`, `{column|slug}`; `{{` is a brace. Missing where all its columns are."""
        parts = _parts(text)
        names = [name for name, _ in parts if name is not None]
        self.columns.update(names)
        if not names:
            return _constant("".join(literal for _, literal in parts))
        if len(parts) == 1 and not parts[0][1]:
            only = names[0]
            return lambda cells, _: cells[only] or MISSING

        def get(cells: Cells, _: Records) -> Any:
            if not any(cells[name] for name in names):
                return MISSING
            return "".join(
                literal if name is None else _WORDS[literal](cells[name]) for name, literal in parts
            )

        return get

    def _converter(self, spec: Value, path: str) -> Callable[[str], Any]:
        zone, forms = ZoneInfo(self.mapping.time_zone), tuple(spec.dates or self.mapping.dates)

        def refuse(text: str, what: str) -> RowRefused:
            return RowRefused(f"{path}: {text!r} is not {what}.", reason="VALUE_INVALID", field=path)

        def number(text: str) -> Decimal:
            found = _number(text, self.mapping.numbers.decimal, self.mapping.numbers.thousands)
            if found is None:
                raise refuse(text, "a number")
            return found * spec.times if spec.times is not None else found

        def integer(text: str) -> int:
            found = number(text)
            if found != int(found):
                raise refuse(text, "a whole number")
            return int(found)

        def boolean(text: str) -> bool:
            if text.casefold() not in self._yes:
                raise refuse(text, f"one of {', '.join((*self.mapping.yes, *self.mapping.no))}")
            return self._yes[text.casefold()]

        def instant(text: str) -> datetime:
            found = _instant(text, forms)
            if found is None:
                raise refuse(text, f"a date of the form {' or '.join(forms)}")
            return found

        def date(text: str) -> dict[str, int]:
            found = instant(text)
            day = found.astimezone(zone) if found.tzinfo else found
            return {"year": day.year, "month": day.month, "day": day.day}

        def timestamp(text: str) -> str:
            found = instant(text)
            try:
                return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(_UTC).isoformat()
            except OverflowError:
                raise refuse(text, "within the calendar") from None

        def money(text: str) -> dict[str, str | int]:
            currency = spec.currency or self.mapping.currency
            if currency is None:
                raise MappingInvalid(
                    f"{path} is money: say its currency, there or at the top of the mapping."
                )
            amount = number(text)
            nanos = (amount - int(amount)) * 1_000_000_000
            if nanos != int(nanos):
                raise refuse(text, "an amount with at most nine decimals")
            return {"currencyCode": currency, "units": str(int(amount)), "nanos": int(nanos)}

        def decimal(text: str) -> str:
            return f"{number(text):f}"

        converters: dict[str, Callable[[str], Any]] = {
            "text": str, "integer": integer, "decimal": decimal, "boolean": boolean, "date": date,
            "timestamp": timestamp, "money": money,
        }  # fmt: skip
        return converters[spec.type]


_UTC = ZoneInfo("UTC")
_TEMPLATE = re.compile(r"\{\{|\}\}|\{([^{}|]+)(?:\|([a-z]+))?\}|[{}]|[^{}]+")


def slug(text: str) -> str:
    """A name as part of an address: `Mei-Mei Johns` becomes `mei-mei.johns`."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return ".".join(re.findall(r"[a-z0-9-]+", plain))


_WORDS: dict[str, Callable[[str], str]] = {
    "": str, "slug": slug, "lower": str.lower, "upper": str.upper, "trim": str.strip,
}  # fmt: skip


def _parts(text: str) -> list[tuple[str | None, str]]:
    """(column, word) and (None, literal text), in order."""
    parts: list[tuple[str | None, str]] = []
    for found in _TEMPLATE.finditer(text):
        column, word, piece = found[1], found[2] or "", found[0]
        if column is not None:
            if word not in _WORDS:
                raise MappingInvalid(
                    f"{text!r}: there is no word {word!r} for a column, but {', '.join(_WORDS)[2:]}."
                )
            parts.append((column, word))
        elif piece in ("{", "}"):
            raise MappingInvalid(
                f"{text!r}: a column stands as {{column}}, and a brace by itself is doubled."
            )
        else:
            parts.append((None, {"{{": "{", "}}": "}"}.get(piece, piece)))
    return parts or [(None, "")]


def _constant(value: Any) -> Getter:
    fixed = MISSING if value is None else value
    return lambda cells, records: fixed


def _cells_test(wanted: str | list[str]) -> Callable[[str], bool]:
    if wanted == "*":
        return bool
    accepted = frozenset([wanted] if isinstance(wanted, str) else wanted)
    return lambda cell: cell in accepted


@lru_cache(maxsize=100_000)
def _instant(text: str, forms: tuple[str, ...]) -> datetime | None:
    for form in forms:
        try:
            return datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)  # noqa: DTZ007  # the zone is the mapping's
        except ValueError:
            continue
    return None


def _number(text: str, mark: str, thousands: str) -> Decimal | None:
    if thousands and thousands in text:
        separator, decimal = re.escape(thousands), re.escape(mark)
        if not re.fullmatch(rf"[+-]?\d{{1,3}}({separator}\d{{3}})+({decimal}\d*)?", text):
            return None
        text = text.replace(thousands, "")
    if mark != ".":
        if "." in text:
            return None
        text = text.replace(mark, ".")
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found.adjusted()) < 20 and "_" not in text else None
