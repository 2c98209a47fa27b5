"""Requests are checked against what their proto says (`buf.validate`) before anything looks at them."""

from collections.abc import Iterator

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from protovalidate import Validator

from chassis.errors import FieldViolation, InvalidArgument

_validator = Validator()


class InvalidRequest(InvalidArgument):
    """Fields break the rules that the proto states."""

    def __init__(self, violations: tuple[FieldViolation, ...]) -> None:
        first = violations[0]
        more = f" ({len(violations) - 1} more)" if len(violations) > 1 else ""
        super().__init__(f"{first.field}: {first.description}{more}", violations=violations)


def check(request: Message) -> None:
    """Raises InvalidRequest with every field that is wrong. No text holds U+0000: no database keeps it."""
    violations = tuple(_violation(item.proto) for item in _validator.collect_violations(request))
    # on the wire the byte stands for hardly anything else, so that most requests are not walked through
    if b"\0" in request.SerializeToString():
        violations += tuple(
            FieldViolation(path, "must not contain U+0000") for path in _texts_with_nul(request)
        )
    if violations:
        raise InvalidRequest(violations)


def _texts_with_nul(message: Message, prefix: str = "") -> Iterator[str]:
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue  # no contract has a map
        values = [(prefix + field.name, value)]
        if field.is_repeated:
            values = [(f"{prefix}{field.name}[{index}]", item) for index, item in enumerate(value)]
        for path, item in values:
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                yield from _texts_with_nul(item, f"{path}.")
            elif field.type == FieldDescriptor.TYPE_STRING and "\0" in item:
                yield path


def _violation(item: object) -> FieldViolation:
    path = ""
    for element in item.field.elements:  # type: ignore[attr-defined]  # protovalidate's message has no stub
        path += ("." if path else "") + element.field_name
        subscript = element.subscript
        if subscript is not None and getattr(subscript, "value", None) is not None:
            path += f"[{subscript.value}]"
    return FieldViolation(path, item.message)  # type: ignore[attr-defined]
