"""The OpenAPI 3.1 document, made of the same routes that are served: it cannot say anything else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from chassis.contract import PUBLIC
from gateway.contract import Contract
from gateway.oauth_document import paths as oauth_paths
from gateway.problems import TYPE_PREFIX
from gateway.reading import DATE, query_parameters
from gateway.schemas import Schema, Schemas
from gateway.settings import GatewaySettings
from gateway.streams import event_name
from gateway.transcoding import IDEMPOTENCY_KEY, IF_MATCH, LAST_EVENT_ID, WHOLE, Route

_ABOUT = """\
Everything that a sales force does with leads, customers, deals and quotes, and a live forecast of it.

- **Sign in** at `POST /v1/oauth/token`, and send the access token as `Authorization: Bearer …`.
- **JSON** is proto3 JSON: names in lowerCamelCase, 64-bit numbers as strings, times in RFC 3339. Texts,
  numbers, enums and lists are there also when they are empty; messages when they are set. Unknown fields
  are refused.
- **Retries** are safe with an `Idempotency-Key`.
- **Versions**: an answer's `ETag`, sent back as `If-Match`, changes exactly the version that you saw, else
  the answer is 412. Sent as `If-None-Match` to a read it gives 304 where nothing has changed.
- **Lists** come in pages: follow `Link: <…>; rel="next"`.
- **Reading your own writes**: send a write's `Consistency-Token` with a later request.
- **Errors** are problem documents (RFC 9457) that name the fields.
"""
_STATUSES = {
    400: "The body is not JSON.",
    401: "There is no token, or it does not hold.",
    403: "The caller may not do this.",
    404: "There is no such thing, or the caller may not know of it.",
    409: "The thing is not in a state in which this can be done, or somebody else was faster.",
    412: "The version sent as `If-Match` is no longer the current one.",
    413: "The body is too large.",
    415: "The body is not `application/json`.",
    422: "Something in the request is wrong; `errors` names the fields.",
    429: "Too many requests from this caller; `Retry-After` says when to go on.",
    503: "A service that is needed is away; `Retry-After` says when to try again.",
    504: "A service did not answer in time.",
}
_HEADERS: dict[str, Schema] = {
    "ETag": {"description": "The version, to be sent back as `If-Match`.", "schema": {"type": "string"}},
    "Link": {"description": "Where the next page is, as `rel=\"next\"`.", "schema": {"type": "string"}},
    "Location": {"description": "Where what was created can be read.", "schema": {"type": "string"}},
    "Consistency-Token": {
        "description": "Send it with a later read that has to see this write.", "schema": {"type": "string"},
    },
}  # fmt: skip


def document(contract: Contract, routes: Sequence[Route], settings: GatewaySettings) -> dict[str, Any]:
    """The document."""
    schemas = Schemas(contract)
    names = Counter(str(route.rpc.descriptor.name) for route in routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = _operation(route, schemas, unique=names[str(route.rpc.descriptor.name)] == 1)
        paths.setdefault(_path(route), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Sales force automation", "version": "1", "description": _ABOUT},
        "servers": [{"url": settings.public_url or "/"}],
        "tags": _tags(contract, routes, schemas),
        "paths": {path: paths[path] for path in sorted(paths)} | oauth_paths(),
        "components": {
            "schemas": {name: schemas.components[name] for name in sorted(schemas.components)}
            | {"Problem": _problem()},
            "responses": {f"Problem{code}": _problem_response(text) for code, text in _STATUSES.items()}
            | {"Problem": _problem_response("What went wrong.")},
            "securitySchemes": _security(routes),
        },
    }


_EVENT: Final = {
    "description": "Each event, by the names of its lines.",
    "type": "object",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}, "id": {"type": "string"}},
}


def _path(route: Route) -> str:
    return re.sub(r"\{([a-z_.0-9]+)[^}]*\}", lambda found: "{" + _camel(found[1]) + "}", route.template)


def _operation(route: Route, schemas: Schemas, *, unique: bool) -> dict[str, Any]:
    text = schemas.text(str(route.rpc.descriptor.full_name))
    sentence = re.split(r"(?<=[.:])\s", text, maxsplit=1)[0].rstrip(".:")
    service = str(route.rpc.descriptor.containing_service.name)
    needs = "No token is needed." if route.is_public else f"Needs the permission `{route.rpc.permission}`."
    operation: dict[str, Any] = {
        "operationId": str(route.rpc.descriptor.name) if unique else f"{service}.{route.rpc.descriptor.name}",
        "tags": [_tag(route)],
        "summary": sentence if len(sentence) <= 120 else sentence[:117] + "…",
        "description": f"{text}\n\n{needs}".strip(),
        "parameters": _parameters(route, schemas),
        "responses": _responses(route, schemas),
        "security": [] if route.is_public else [{"password": [route.rpc.permission]}, {"bearer": []}],
    }
    if (body := _body(route, schemas)) is not None:
        operation["requestBody"] = body
    return operation


def _tag(route: Route) -> str:
    return route.segments[1] if route.segments[1] != "{}" else route.segments[0]


def _tags(contract: Contract, routes: Sequence[Route], schemas: Schemas) -> list[dict[str, str]]:
    tags: dict[str, str] = {}
    for route in routes:
        tags.setdefault(_tag(route), schemas.text(str(route.rpc.descriptor.containing_service.full_name)))
    return [{"name": name, "description": tags[name]} for name in sorted(tags)] + [
        {"name": "sign-in", "description": "Tokens."}
    ]


def _parameters(route: Route, schemas: Schemas) -> list[dict[str, Any]]:
    parameters = [_path_parameter(route, variable, schemas) for variable in route.variables]
    for name, _, field in query_parameters(route.query_fields):
        schema = _query_schema(field, schemas)
        parameter: dict[str, Any] = {"name": name, "in": "query", "schema": schema}
        if description := schema.pop("description", ""):
            parameter["description"] = description
        demanded = schemas.object(route.request).get("required", ())
        if name in demanded:
            parameter["required"] = True
        parameters.append(parameter)
    parameters += [_header_parameter(header) for header in route.headers]
    if route.method == "GET" and "etag" in route.response.fields_by_name:
        parameters.append(
            {
                "name": "If-None-Match", "in": "header", "schema": {"type": "string"},
                "description": "An `ETag`: where it is still the current version, the answer is 304 without a body.",
            }
        )  # fmt: skip
    if not route.is_public:
        parameters.append(
            {
                "name": "Consistency-Token", "in": "header", "schema": {"type": "string", "maxLength": 1000},
                "description": "The token of a write: this read waits until it sees that.",
            }
        )  # fmt: skip
    return parameters


def _path_parameter(route: Route, variable: str, schemas: Schemas) -> dict[str, Any]:
    first, *rest = variable.split(".")
    field = route.request.fields_by_name[first]
    for name in rest:
        assert field.message_type is not None  # the rule was checked
        field = field.message_type.fields_by_name[name]
    schema = schemas.field(field)
    description = schema.pop("description", "")
    return {
        "name": _camel(variable), "in": "path", "required": True, "schema": schema, "description": description,
    }  # fmt: skip


def _query_schema(field: FieldDescriptor, schemas: Schemas) -> Schema:
    schema = schemas.field(field)
    if field.message_type is not None and field.message_type.full_name == DATE:
        date = {"type": "string", "format": "date"}
        schema = {"type": "array", "items": date} if field.is_repeated else date
        schema["description"] = schemas.text(str(field.full_name))
    return schema


def _header_parameter(header: str) -> dict[str, Any]:
    about = {
        IDEMPOTENCY_KEY: (
            (
                "Makes a retry safe: the same key gives the same outcome for 30 days, and is refused for another body. "
                "Made by the gateway where it is left out."
            ),
            {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        ),
        IF_MATCH: (
            "The `ETag` of the version that is to be changed; 412 where it is no longer the current one.",
            {"type": "string", "pattern": r'^(\*|(W/)?"[ !#-~]*"|[!#-+\--~]+)$', "examples": ['"3"']},
        ),
        LAST_EVENT_ID: (
            "The `id` of the last event received: the stream goes on after it.",
            {"type": "string", "maxLength": 200, "pattern": "^[!-~]*$"},
        ),
    }
    description, schema = about[header]
    return {"name": header, "in": "header", "description": description, "schema": schema}


def _body(route: Route, schemas: Schemas) -> dict[str, Any] | None:
    if not route.body:
        return None
    if route.takes_raw_body:
        return {"required": False, "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
    partial = route.method == "PATCH" or ":batchUpsert" in route.template
    if (field := route.body_field) is not None and field.message_type is not None:
        schema = schemas.message(field.message_type, partial=partial)
    else:
        without = {variable.split(".")[0] for variable in route.variables} | set(route.headers.values())
        without.add(route.client_field)
        schema = schemas.object(route.request, partial=partial, without=frozenset(without))
        if not schema["properties"]:
            return None
    content: dict[str, Any] = {"schema": schema}
    required = route.body != WHOLE or bool(schema.get("required"))
    return {"required": required, "content": {"application/json": content}}


def _responses(route: Route, schemas: Schemas) -> dict[str, Any]:
    response = route.response
    if route.streams:
        schema = schemas.message(response)
        name = event_name(route).decode()
        ok: dict[str, Any] = {
            "description": f"Events named `{name}`, whose `data` is this message as JSON and whose `id` is its cursor; "
            "comments in between as a sign of life; an event `problem` where the stream ends for a reason.",
            "content": {"text/event-stream": {"schema": _EVENT, "x-event-schema": schema}},
        }
    elif response.full_name == "google.protobuf.Empty":
        ok = {"description": "Done."}
    elif route.answers_raw:
        binary = {"schema": {"type": "string", "format": "binary"}}
        ok = {
            "description": "The content itself, as what its `Content-Type` says.",
            "content": {"*/*": binary},
        }
        ok["headers"] = {"ETag": _HEADERS["ETag"]}
    else:
        ok = {
            "description": schemas.text(str(response.full_name)) or "Done.",
            "content": {"application/json": {"schema": schemas.message(response)}},
        }
        headers = [
            *(["ETag"] if "etag" in response.fields_by_name else []),
            *(["Link"] if "next_page_token" in response.fields_by_name and route.method == "GET" else []),
            *(["Location"] if route.creates else []),
            *(["Consistency-Token"] if not route.rpc.reads else []),
        ]
        if headers:
            ok["headers"] = {name: _HEADERS[name] for name in headers}
    status = "201" if route.creates else "204" if "content" not in ok else "200"
    responses: dict[str, Any] = {status: ok}
    if "etag" in response.fields_by_name and route.method == "GET":
        responses["304"] = {"description": "The version sent as `If-None-Match` is still the current one."}
    for code in _STATUSES:
        if code in (400, 413, 415) and not route.body:
            continue
        if (code == 412 and IF_MATCH not in route.headers) or (code in (401, 403) and route.is_public):
            continue
        responses[str(code)] = {"$ref": f"#/components/responses/Problem{code}"}
    if route.answers_raw and route.is_public:
        responses |= _pages()
    return responses | {"default": {"$ref": "#/components/responses/Problem"}}


def _pages() -> dict[str, Any]:
    """What a page may say by its status: the service's page, or the gateway's problem."""
    said = {
        "303": "Done: go on at `Location`.",
        "404": "A page that says that there is nothing here.",
        "409": "A page that says what stands against it.",
        "410": "A page that says what has ended.",
        "422": "A page that says what is wrong, or a problem.",
    }
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    content = {"*/*": {"schema": {"type": "string", "format": "binary"}}} | problem
    return {status: {"description": text, "content": content} for status, text in said.items()}


def _problem_response(description: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": description, "content": content}


def _problem() -> Schema:
    return {
        "type": "object",
        "description": "What went wrong (RFC 9457).",
        "required": ["type", "title", "status", "detail", "reason", "traceId"],
        "properties": {
            "type": {"type": "string", "format": "uri", "examples": [TYPE_PREFIX + "etag-mismatch"]},
            "title": {"type": "string", "description": "The HTTP status in words."},
            "status": {"type": "integer", "description": "The HTTP status."},
            "detail": {"type": "string", "description": "One sentence for people."},
            "reason": {
                "type": "string", "description": "A constant name for programs.", "examples": ["ETAG_MISMATCH"],
            },
            "errors": {
                "type": "array",
                "description": "The fields, parameters or headers that are wrong.",
                "items": {
                    "type": "object",
                    "required": ["field", "detail"],
                    "properties": {
                        "field": {
                            "type": "string",
                            "description": "The path of the field in the request message, or the header's name.",
                            "examples": ["opportunity.amount.units", "If-Match"],
                        },
                        "detail": {"type": "string", "description": "What is wrong with it."},
                    },
                },
            },
            "facts": {
                "type": "object", "description": "What the sentence speaks of, for programs.",
                "additionalProperties": {"type": "string"},
            },
            "traceId": {"type": "string", "description": "Where it is in the logs and traces."},
        },
    }  # fmt: skip


def _security(routes: Sequence[Route]) -> dict[str, Any]:
    scopes = sorted({route.rpc.permission for route in routes} - {PUBLIC})
    flow = {
        "tokenUrl": "/v1/oauth/token",
        "refreshUrl": "/v1/oauth/token",
        "scopes": dict.fromkeys(scopes, ""),
    }
    return {
        "password": {
            "type": "oauth2",
            "description": "E-mail address and password. The scopes are the permissions that your roles include.",
            "flows": {"password": flow},
        },
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token.",
        },
    }


def _camel(name: str) -> str:
    return re.sub("_([a-z0-9])", lambda found: found[1].upper(), name)
