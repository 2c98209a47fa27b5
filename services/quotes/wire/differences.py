"""What differs between two quotes, or two versions of one, as a person reads it: field by field, and line by
line by the lines' ids, which revisions keep."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.message import Message
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from sfa.quotes.v1 import quotes_pb2 as pb

from chassis import convert
from chassis.errors import FailedPrecondition, FieldViolation
from services.quotes.domain.availability import Shortage
from services.quotes.domain.quotes import Quote
from services.quotes.wire.quotes import quote_to_proto

_BOOKKEEPING = frozenset({"id", "etag", "create_time", "update_time", "effective_time", "lines"})
_Difference = pb.CompareQuotesResponse.Difference
_LineDifference = pb.CompareQuotesResponse.LineDifference


class QuoteChanged(FailedPrecondition):
    """Since a quote was last priced, what it is priced by has changed.

    Every difference is a violation; the facts are `confirm`, with which the same request takes them, and
    what the customer would pay before and after.
    """

    def __init__(
        self, quote: Quote, now: pb.Quote, violations: tuple[FieldViolation, ...], confirm: str
    ) -> None:
        super().__init__(
            _what_changed(quote, now),
            violations=violations,
            confirm=confirm,
            payable_total_before=f"{quote.payable_total:f}",
            payable_total=_text(now.payable_total),
        )


def _what_changed(quote: Quote, now: pb.Quote) -> str:
    total = _text(now.payable_total)
    if total == _text(quote_to_proto(quote).payable_total):
        return f"Quote {quote.number} is not as it was: look at what has changed, and confirm or change it."
    return (
        f"Quote {quote.number} comes to {total} as of now, not to {quote.payable_total:f} {quote.currency}:"
        " look at what has changed, and confirm or change it."
    )


def must_be_confirmed(quote: Quote, now: Quote, shortages: Sequence[Shortage], confirm: str) -> None:
    """Raises a refusal that names every difference, unless `confirm` is for just these; `shortages` is what
    of it cannot be had in time.

    Raises:
        QuoteChanged: the differences are not confirmed.
    """
    before, after = quote_to_proto(quote), quote_to_proto(now)
    short = [_short(after, each) for each in shortages]
    said = "".join(f"{each.field} {each.description}\n" for each in short)
    token = hashlib.sha256(after.SerializeToString(deterministic=True) + said.encode()).hexdigest()[:32]
    if confirm == token:
        return
    places = {line.id: index for index, line in enumerate(after.lines)}
    compared = compare(before, after)
    violations = [_violation(each.field, each) for each in compared.differences]
    for line in compared.lines:
        path = f"lines[{places[line.line_id]}]" if line.line_id in places else f"lines[id={line.line_id}]"
        if line.change == _LineDifference.CHANGED:
            violations += [_violation(f"{path}.{each.field}", each) for each in line.differences]
        else:
            violations.append(FieldViolation(path, _line_sentence(line)))
    violations += short
    raise QuoteChanged(quote, after, tuple(violations), token)


def _short(quote: pb.Quote, shortage: Shortage) -> FieldViolation:
    when = f"; all of it from {shortage.earliest} on" if shortage.earliest else ""
    return FieldViolation(
        f"lines[{shortage.index}].quantity",
        f"{quote.lines[shortage.index].description}: {convert.decimal_text(shortage.missing)} of"
        f" {convert.decimal_text(shortage.wanted)} cannot be had in time{when}",
    )


def compare(one: pb.Quote, other: pb.Quote) -> pb.CompareQuotesResponse:
    """What differs from `one` to `other`."""
    result = pb.CompareQuotesResponse(differences=_differences(one, other, _BOOKKEEPING))
    former = {line.id: line for line in one.lines}
    latter = {line.id: line for line in other.lines}
    moved = _moved([id for id in former if id in latter], [id for id in latter if id in former])
    for line in other.lines:
        if line.id not in former:
            result.lines.append(
                _line(line, _LineDifference.ADDED, _differences(pb.QuoteLine(), line, {"id"}))
            )
        elif found := _differences(former[line.id], line, {"id"}):
            result.lines.append(_line(line, _LineDifference.CHANGED, found))
        elif line.id in moved:
            result.lines.append(_line(line, _LineDifference.MOVED, []))
    for line in one.lines:
        if line.id not in latter:
            result.lines.append(
                _line(line, _LineDifference.REMOVED, _differences(line, pb.QuoteLine(), {"id"}))
            )
    result.sentences.extend(_sentence(each) for each in result.differences)
    result.sentences.extend(_line_sentence(line) for line in result.lines)
    return result


def _moved(before: Sequence[str], after: Sequence[str]) -> set[str]:
    """Those that left the longest row of lines that are still in their old order."""
    place = {id: index for index, id in enumerate(before)}
    runs: list[list[str]] = []  # by length: the row that ends earliest in the old order
    for id in after:
        fitting = next((n for n, run in enumerate(runs) if place[run[-1]] > place[id]), len(runs))
        row = [*runs[fitting - 1], id] if fitting else [id]
        runs[fitting : fitting + 1] = [row]
    return set(after) - set(runs[-1] if runs else ())


def _line(line: pb.QuoteLine, change: Any, found: list[Any]) -> Any:
    return _LineDifference(line_id=line.id, description=line.description, change=change, differences=found)


def _differences(one: Message, other: Message, without: Iterable[str]) -> list[Any]:
    found = []
    for field in one.DESCRIPTOR.fields:
        if field.name in without:
            continue
        before, after = _value(one, field), _value(other, field)
        if before != after:
            found.append(_Difference(field=field.name, before=before, after=after))
    return found


def _value(message: Message, field: Any) -> str:
    value = getattr(message, field.name)
    if field.is_repeated:
        return "; ".join(_text(item) for item in value)
    if field.message_type is not None:
        return _text(value) if message.HasField(field.name) else ""
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name if value else ""
    return _text(value)


def _text(value: Any) -> str:
    """A value as a person reads it; empty for one that is not set."""
    if isinstance(value, Money):
        if not value.currency_code:
            return ""
        money = convert.money_of(value, "amount")
        digits = (
            money.rounded().amount if money.rounded().amount == money.amount else money.amount.normalize()
        )
        return f"{digits:f} {money.currency}"
    if isinstance(value, Date):
        return f"{value.year:04d}-{value.month:02d}-{value.day:02d}"
    if isinstance(value, Message):
        if value.DESCRIPTOR.full_name == "google.protobuf.Timestamp":
            return convert.datetime_of(value).isoformat().replace("+00:00", "Z")  # type: ignore[arg-type]
        return ", ".join(text for field in value.DESCRIPTOR.fields if (text := _value(value, field)))
    if isinstance(value, bool):
        return "yes" if value else ""
    return str(value) if value else ""


def _violation(path: str, difference: Any) -> FieldViolation:
    return FieldViolation(path, _sentence(difference))


def _sentence(difference: Any) -> str:
    name = difference.field.replace("_", " ")
    if not difference.before:
        return f"{name}: {difference.after}"
    if not difference.after:
        return f"{name}: no longer {difference.before}"
    return f"{name}: {difference.before} became {difference.after}"


def _line_sentence(line: Any) -> str:
    by_field = {each.field: each for each in line.differences}
    if line.change == _LineDifference.MOVED:
        return f"{line.description}: at another place"
    if line.change == _LineDifference.CHANGED:
        return f"{line.description}: " + ", ".join(_sentence(each) for each in line.differences)
    added = line.change == _LineDifference.ADDED
    said = [by_field[name] for name in ("quantity", "total") if name in by_field]
    what = " for ".join((each.after if added else each.before) for each in said)
    return f"{line.description}: {'added' if added else 'removed'}, {what}" if what else line.description
