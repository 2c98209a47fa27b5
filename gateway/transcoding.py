"""From the protos' HTTP rules to routes: which RPC answers which method and path, and where each field
of its request comes from. Everything is read off the descriptors once; there is no code per resource.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from google.api import annotations_pb2 as http_annotations
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from chassis.contract import PUBLIC, Rpc, rpcs

IDEMPOTENCY_KEY, IF_MATCH, LAST_EVENT_ID = "Idempotency-Key", "If-Match", "Last-Event-ID"

HTTP_BODY, CLIENT = "google.api.HttpBody", "sfa.api.v1.Client"
"""Content that is not JSON, and who is at the other end of the connection."""

_VARIABLE = re.compile(r"\{([a-z_][a-z0-9_.]*)(?:=\*)?\}")
_LITERAL = re.compile(r"[A-Za-z0-9_.-]+")
_MUTATING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
WHOLE = "*"


class RuleError(Exception):
    """An HTTP rule in a proto that cannot be served; says which and why."""


@dataclass(frozen=True)
class Route:
    """One HTTP method on one path, and the RPC behind it."""

    rpc: Rpc
    method: str
    template: str
    """As in the proto: `/v1/opportunities/{id}:win`."""
    body: str
    """`*` where the body is the whole request, the name of the field that it is, or empty for none."""
    segments: tuple[str, ...] = field(repr=False)
    """The literals, with `{}` for variables."""
    verb: str
    variables: tuple[str, ...]
    """The paths of the fields that the path's variables fill, in their order."""
    item_template: str = ""
    """Where the created resource can be read: for create methods only."""

    @property
    def request(self) -> Descriptor:
        """The request message's type."""
        return self.rpc.descriptor.input_type

    @property
    def response(self) -> Descriptor:
        """The response message's type."""
        return self.rpc.descriptor.output_type

    @property
    def service(self) -> str:
        """The service that answers: the second part of its package, `opportunities`."""
        return str(self.rpc.descriptor.containing_service.file.package).split(".")[1]

    @property
    def is_public(self) -> bool:
        """Whether no token is asked for."""
        return self.rpc.permission == PUBLIC

    @property
    def streams(self) -> bool:
        """Whether the answer is a stream of events."""
        return bool(self.rpc.descriptor.server_streaming)

    @property
    def creates(self) -> bool:
        """Whether the answer is 201, with the place of what was created."""
        return bool(self.item_template)

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """Request fields that come in headers, by header; never in the query nor at the top of the body."""
        headers = {}
        names = self.request.fields_by_name
        if "request_id" in names and self.method in _MUTATING:
            headers[IDEMPOTENCY_KEY] = "request_id"
        if "etag" in names and self.method in _MUTATING:
            headers[IF_MATCH] = "etag"
        if self.streams and "cursor" in names:
            headers[LAST_EVENT_ID] = "cursor"
        return headers

    @cached_property
    def body_field(self) -> FieldDescriptor | None:
        """The field that the body is; None where it is the whole request, or where there is none."""
        return _field(self.request, self.body) if self.body not in ("", WHOLE) else None

    @property
    def takes_raw_body(self) -> bool:
        """Whether the body is taken as it is, whatever it is."""
        field = self.body_field
        return field is not None and field.message_type is not None and _is(field, HTTP_BODY)

    @property
    def answers_raw(self) -> bool:
        """Whether the answer is content of its own kind, and not a message as JSON."""
        return bool(self.response.full_name == HTTP_BODY)

    @cached_property
    def client_field(self) -> str:
        """The field that says who is at the other end; empty where there is none."""
        return next((str(field.name) for field in self.request.fields if _is(field, CLIENT)), "")

    @cached_property
    def query_fields(self) -> Sequence[FieldDescriptor]:
        """The request's fields that are given in the query: all that come from nowhere else."""
        if self.body == WHOLE:
            return ()
        taken = {variable.split(".")[0] for variable in self.variables} | set(self.headers.values())
        taken.add(self.client_field)
        if self.body_field is not None:
            taken.add(self.body_field.name)
        if LAST_EVENT_ID in self.headers:  # a browser's EventSource cannot set it when it begins
            taken.discard("cursor")
        return [field for field in self.request.fields if field.name not in taken]


def _is(field: FieldDescriptor, full_name: str) -> bool:
    return field.message_type is not None and field.message_type.full_name == full_name


def routes_of(services: Sequence[ServiceDescriptor]) -> list[Route]:
    """The routes of all HTTP rules.

    Raises:
        RuleError: a rule cannot be served, or two are the same.
        UndeclaredPermission: an RPC states no permission.
    """
    routes = [
        _route(rpc, rule) for service in services for rpc in rpcs(service) for rule in _rules(rpc.descriptor)
    ]
    readable = {route.template for route in routes if route.method == "GET"}
    return [_with_item(route, readable) for route in routes]


def _rules(method: MethodDescriptor) -> Iterator[HttpRule]:
    options = method.GetOptions()
    if options.HasExtension(http_annotations.http):
        rule = options.Extensions[http_annotations.http]
        yield rule
        yield from rule.additional_bindings


def _route(rpc: Rpc, rule: HttpRule) -> Route:
    kind = rule.WhichOneof("pattern")
    if kind is None or rule.response_body:
        raise RuleError(f"{rpc.name}: the rule has no path, or a response_body, which is not served")
    method, template = (
        (rule.custom.kind, rule.custom.path) if kind == "custom" else (kind.upper(), getattr(rule, kind))
    )
    path, _, verb = template.rpartition(":") if ":" in template.rpartition("/")[2] else (template, "", "")
    segments, variables = [], []
    for segment in path.removeprefix("/").split("/"):
        if variable := _VARIABLE.fullmatch(segment):
            segments.append("{}")
            variables.append(variable[1])
            _check_variable(rpc, variable[1])
        elif _LITERAL.fullmatch(segment):
            segments.append(segment)
        else:
            raise RuleError(f"{rpc.name}: {template} has a segment that is not served: {segment}")
    if rule.body and method not in _MUTATING:
        raise RuleError(f"{rpc.name}: {method} has no body")
    if rpc.descriptor.client_streaming or (rpc.descriptor.server_streaming and method != "GET"):
        raise RuleError(f"{rpc.name}: streams are served by GET, from the server only")
    route = Route(
        rpc=rpc, method=method, template=template, body=rule.body, segments=tuple(segments), verb=verb,
        variables=tuple(variables),
    )  # fmt: skip
    if route.body_field is not None and route.body_field.is_repeated:
        raise RuleError(f"{rpc.name}: the body cannot be a repeated field")
    return route


def _field(message: Descriptor, name: str) -> FieldDescriptor:
    found = message.fields_by_name.get(name) or message.fields_by_camelcase_name.get(name)
    if found is None:
        raise RuleError(f"{message.full_name} has no field {name}")
    return found


def _check_variable(rpc: Rpc, path: str) -> None:
    message = rpc.descriptor.input_type
    *parents, last = path.split(".")
    for name in parents:
        inner = _field(message, name).message_type
        if inner is None:
            raise RuleError(f"{rpc.name}: the path's {name} is no message")
        message = inner
    if _field(message, last).type != FieldDescriptor.TYPE_STRING:
        raise RuleError(f"{rpc.name}: the path's {path} is not a string")


def _with_item(route: Route, readable: set[str]) -> Route:
    item = f"{route.template}/{{id}}"
    creates = (
        route.method == "POST" and str(route.rpc.descriptor.name).startswith("Create") and item in readable
    )
    if not creates or "id" not in route.response.fields_by_name:
        return route
    return replace(route, item_template=item)


# ── finding the route of a request ─────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)
    verbs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What stands here, by verb (empty for none) and HTTP method."""


@dataclass(frozen=True, slots=True)
class Found:
    """What stands at a path: targets by HTTP method, and the still encoded values of its variables."""

    methods: Mapping[str, Any]
    values: tuple[str, ...]


class Table:
    """Finds what stands at a path in a few dictionary look-ups, however many routes there are."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, route: Route, target: Any) -> None:
        """Puts a target at a route's place.

        Raises:
            RuleError: another stands there.
        """
        node = self._root
        for segment in route.segments:
            node = node.children.setdefault(segment, _Node())
        methods = node.verbs.setdefault(route.verb, {})
        if route.method in methods:
            raise RuleError(f"{route.method} {route.template} is declared twice")
        methods[route.method] = target

    def find(self, path: str) -> Found | None:
        """What stands at a path (still encoded); None where nothing does."""
        segments = path[1:].split("/")
        last, _, verb = segments[-1].rpartition(":")
        if last:
            found = self._walk(self._root, [*segments[:-1], last], 0, verb, ())
            if found is not None:
                return found
        return self._walk(self._root, segments, 0, "", ())

    def _walk(
        self, node: _Node, segments: Sequence[str], at: int, verb: str, values: tuple[str, ...]
    ) -> Found | None:
        if at == len(segments):
            methods = node.verbs.get(verb)
            return Found(methods, values) if methods else None
        segment = segments[at]
        if (child := node.children.get(segment)) is not None and segment != "{}":
            found = self._walk(child, segments, at + 1, verb, values)
            if found is not None:
                return found
        if segment and (child := node.children.get("{}")) is not None:
            return self._walk(child, segments, at + 1, verb, (*values, segment))
        return None


def fill_variable(message: Message, path: str, value: str) -> None:
    """Sets the field that a variable of the path names: `id`, or `quote.id`."""
    *parents, last = path.split(".")
    for name in parents:
        message = getattr(message, name)
    setattr(message, last, value)
