"""From an HTTP request to the request message of an RPC: path, query, headers and body, each to the
fields that the route says. Every refusal names the field, parameter or header."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from chassis.ids import new_id
from gateway.exchange import Exchange
from gateway.from_json import BadField, Fill, JsonReader, MalformedJson, read, text
from gateway.problems import Problem, of_field
from gateway.to_json import WRAPPERS
from gateway.transcoding import IDEMPOTENCY_KEY, IF_MATCH, LAST_EVENT_ID, Route, fill_variable

DATE = "google.type.Date"
_TEXT_TYPES = frozenset(
    {"google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"}
)
_MOST_PARAMETERS = 300
_NESTING = 2
_MOST_ADDRESS, _MOST_USER_AGENT, _MOST_MEDIA_TYPE = 64, 500, 200

_F = FieldDescriptor
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?")
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_ETAG = re.compile(r'(?:W/)?"([^"]*)"|([^",\s]+)')
_MEDIA_TYPE = re.compile(rb"application/json\s*(;\s*charset\s*=\s*\"?utf-8\"?\s*)?", re.IGNORECASE)

Loose = Callable[[str], Any]
"""A text of the query to the JSON value that it stands for."""


class RequestReader:
    """Reads the requests of one route."""

    def __init__(self, route: Route, json: JsonReader) -> None:
        self.route = route
        self._new: type[Message] = route.rpc.request_class
        self._headers = route.headers
        self._parameters = query_parameters(route.query_fields)
        self._fills = {
            name: (fill, parents)
            for name, parents, field in self._parameters
            for fill in (json.field(field),)
        }
        self._loose = {name: (_loose(field), field.is_repeated) for name, _, field in self._parameters}
        self._fill_body = None if route.takes_raw_body else self._body_filler(json)

    def _body_filler(self, json: JsonReader) -> Fill | None:
        route = self.route
        if not route.body:
            return None
        if (field := route.body_field) is not None:
            return json.field(field)
        elsewhere = {_camel(variable): "the path" for variable in route.variables if "." not in variable}
        names = route.request.fields_by_name
        elsewhere |= {names[name].json_name: f"the header {header}" for header, name in route.headers.items()}
        if route.client_field:
            elsewhere[names[route.client_field].json_name] = "the connection"
        return json.fill(route.request, elsewhere)

    def read(self, values: Sequence[str], query: bytes, body: bytes, exchange: Exchange) -> tuple[Any, bool]:
        """The request message, and whether it is conditional on a version.

        Raises:
            Problem: 400 where the body is no JSON, 415 where it is said to be something else, 422 for
                a field that is wrong.
        """
        message = self._new()
        try:
            if self.route.takes_raw_body:
                self._take_body(message, body, exchange)
            elif body:
                self._read_body(message, body, exchange)
            for path, value in zip(self.route.variables, values, strict=True):
                self._read_variable(message, path, value)
            if query:
                self._read_query(message, query)
        except BadField as error:
            raise of_field(_printable(error.field), error.detail) from None
        if self.route.client_field:
            client = getattr(message, self.route.client_field)
            client.address = exchange.client[:_MOST_ADDRESS]
            client.user_agent = exchange.header(b"user-agent")[:_MOST_USER_AGENT]
        return message, self._read_headers(message, exchange)

    def _take_body(self, message: Message, body: bytes, exchange: Exchange) -> None:
        _refuse_encoded(exchange)
        field = self.route.body_field
        assert field is not None, "a raw body has a field"
        content = getattr(message, field.name)
        content.content_type = exchange.header(b"content-type")[:_MOST_MEDIA_TYPE]
        content.data = body

    def _read_body(self, message: Message, body: bytes, exchange: Exchange) -> None:
        if self._fill_body is None:
            return
        content_type = exchange.headers.get(b"content-type", b"")
        if content_type != b"application/json" and not _MEDIA_TYPE.fullmatch(content_type.strip()):
            raise _unsupported(
                "Content-Type", "The body must be application/json.", b"accept", b"application/json"
            )
        _refuse_encoded(exchange)
        try:
            value = read(body)
        except MalformedJson as error:
            detail = f"This is not JSON: {error}"
            raise Problem(400, "MALFORMED_JSON", detail, [{"field": "body", "detail": str(error)}]) from None
        if (field := self.route.body_field) is None:
            self._fill_body(message, value)
            return
        try:
            self._fill_body(message, value)
        except BadField as error:
            error.path.insert(0, field.json_name)
            raise

    def _read_variable(self, message: Message, path: str, value: str) -> None:
        try:
            fill_variable(
                message, path, text(unquote(value, errors="surrogateescape")) if "%" in value else value
            )
        except BadField as error:
            error.path.insert(0, _camel(path))
            raise

    def _read_query(self, message: Message, query: bytes) -> None:
        try:
            pairs = parse_qsl(
                query.decode("latin-1"), keep_blank_values=True, errors="surrogateescape",
                max_num_fields=_MOST_PARAMETERS,
            )  # fmt: skip
        except ValueError:
            raise of_field("query", f"There are more than {_MOST_PARAMETERS} parameters.") from None
        given: dict[str, list[str]] = {}
        for name, value in pairs:
            given.setdefault(name, []).append(value)
        for name, values in given.items():
            if name not in self._fills:
                raise BadField("There is no such parameter here.", name)
            fill, parents = self._fills[name]
            loose, repeated = self._loose[name]
            target: Any = message
            for parent in parents:
                target = getattr(target, parent)
            try:
                if repeated:
                    fill(target, [loose(value) for value in values])
                elif len(values) > 1:
                    raise BadField("Can be given only once.")
                else:
                    fill(target, loose(values[0]))
            except BadField as error:
                error.path.insert(0, name)
                raise

    def _read_headers(self, message: Any, exchange: Exchange) -> bool:
        headers = self._headers
        if IDEMPOTENCY_KEY in headers:
            key = exchange.headers.get(b"idempotency-key")
            message.request_id = str(new_id()) if key is None else _idempotency_key(key.decode("latin-1"))
        if LAST_EVENT_ID in headers and (cursor := exchange.headers.get(b"last-event-id")):
            message.cursor = _header_text("Last-Event-ID", cursor.decode("utf-8", "surrogateescape"))
        match = exchange.header(b"if-match")
        if b"if-match" not in exchange.headers or self.route.method in ("GET", "HEAD"):
            return False
        if IF_MATCH not in headers:
            raise of_field(IF_MATCH, "This request cannot be made conditional on a version.")
        if match.strip() != "*":
            message.etag = _etag(match)
        return True


def _refuse_encoded(exchange: Exchange) -> None:
    if exchange.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise _unsupported(
            "Content-Encoding", "The body must not be compressed.", b"accept-encoding", b"identity"
        )


def query_parameters(
    fields: Sequence[FieldDescriptor], parents: tuple[FieldDescriptor, ...] = ()
) -> list[tuple[str, tuple[str, ...], FieldDescriptor]]:
    """The parameters that these fields can be given by: name (`amount.units`), parents, field.

    A field of a message within is given by its path; lists of messages cannot be given in a query.
    """
    parameters = []
    for field in fields:
        inner = field.message_type
        if inner is None or inner.full_name in _TEXT_TYPES | WRAPPERS | {DATE}:
            name = ".".join(item.json_name for item in (*parents, field))
            parameters.append((name, tuple(str(parent.name) for parent in parents), field))
        elif (
            not field.is_repeated
            and len(parents) < _NESTING
            and not inner.full_name.startswith("google.protobuf")
        ):
            parameters += query_parameters(inner.fields, (*parents, field))
    return parameters


def _loose(field: FieldDescriptor) -> Loose:
    kind = field
    if field.message_type is not None:
        if field.message_type.full_name == DATE:
            return _date
        if field.message_type.full_name not in WRAPPERS:
            return str
        kind = field.message_type.fields_by_name["value"]
    if kind.type in (_F.TYPE_STRING, _F.TYPE_BYTES, _F.TYPE_ENUM):
        return str
    if kind.type == _F.TYPE_BOOL:
        return lambda value: {"true": True, "false": False}.get(value, value)
    if kind.type in (_F.TYPE_DOUBLE, _F.TYPE_FLOAT):
        return lambda value: float(value) if _NUMBER.fullmatch(value) else value
    return lambda value: int(value) if _WHOLE_NUMBER.fullmatch(value) else value


def _date(value: str) -> dict[str, int]:
    found = _DATE.fullmatch(value)
    if found is None:
        raise BadField("Must be a date such as 2026-01-31.")
    return dict(zip(("year", "month", "day"), map(int, found.groups()), strict=True))


def _idempotency_key(value: str) -> str:
    """The key, in quotes (a structured field) or bare."""
    value = value.strip()
    if quoted := _QUOTED.fullmatch(value):
        value = re.sub(r"\\(.)", r"\1", quoted[1])
    if not value:
        raise of_field(IDEMPOTENCY_KEY, "Must not be empty.")
    return _header_text(IDEMPOTENCY_KEY, value)


def _etag(value: str) -> str:
    found = _ETAG.fullmatch(value.strip())
    if found is None:
        raise of_field(IF_MATCH, 'Must be one ETag as it was received, such as "3".')
    return _header_text(IF_MATCH, found[1] if found[1] is not None else found[2])


def _header_text(name: str, value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise of_field(name, "Must be printable ASCII.")
    return value


def _unsupported(field: str, detail: str, header: bytes, value: bytes) -> Problem:
    return Problem(
        415, "UNSUPPORTED_MEDIA_TYPE", detail, [{"field": field, "detail": detail}], headers=[(header, value)]
    )


def _camel(path: str) -> str:
    return re.sub("_([a-z0-9])", lambda found: found[1].upper(), path)


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def accepts(exchange: Exchange, media_type: bytes) -> bool:
    """Whether the client takes this media type."""
    accept = exchange.headers.get(b"accept")
    if not accept or b"*/*" in accept:
        return True
    return media_type in accept.lower() or media_type.split(b"/")[0] + b"/*" in accept
