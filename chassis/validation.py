"""Requests are checked against what their proto says (`buf.validate`) before anything looks at them."""

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
    """Raises InvalidRequest with every field that is wrong."""
    violations = _validator.collect_violations(request)
    if violations:
        raise InvalidRequest(tuple(_violation(item.proto) for item in violations))


def _violation(item: object) -> FieldViolation:
    path = ""
    for element in item.field.elements:  # type: ignore[attr-defined]  # protovalidate's message has no stub
        path += ("." if path else "") + element.field_name
        subscript = element.subscript
        if subscript is not None and getattr(subscript, "value", None) is not None:
            path += f"[{subscript.value}]"
    return FieldViolation(path, item.message)  # type: ignore[attr-defined]
