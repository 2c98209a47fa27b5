"""What the OpenAPI document says of the endpoints that no proto describes."""

from __future__ import annotations

from typing import Any

_FORM = "application/x-www-form-urlencoded"
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}


def paths() -> dict[str, Any]:
    """The paths."""
    return {
        "/v1/oauth/token": {"post": _token()},
        "/v1/oauth/revoke": {"post": _revoke()},
        "/.well-known/jwks.json": {"get": _keys()},
        "/livez": {"get": _probe("ReadLife", "Whether the process answers")},
        "/readyz": {"get": _probe("ReadReadiness", "Whether requests may be sent here")},
    }


def _token() -> dict[str, Any]:
    strings = {
        "username": ("The e-mail address, for `password`.", ["ada@acme.example"]),
        "password": ("The password, for `password`.", []),
        "tenant": ("The tenant's id, for `password` where the address is known to several.", []),
        "refresh_token": ("The refresh token, for `refresh_token`; good for one use.", []),
        "subject_token": ("The provider's token, for token exchange.", []),
        "subject_token_type": ("What it is, such as `urn:ietf:params:oauth:token-type:id_token`.", []),
    }
    properties: dict[str, Any] = {
        "grant_type": {
            "type": "string",
            "enum": ["password", "refresh_token", "urn:ietf:params:oauth:grant-type:token-exchange"],
        }
    }
    for name, (description, examples) in strings.items():
        properties[name] = {"type": "string", "description": description} | (
            {"examples": examples} if examples else {}
        )
    tokens = {
        "type": "object",
        "required": ["access_token", "token_type", "expires_in"],
        "properties": {
            "access_token": {"type": "string"},
            "token_type": {"type": "string", "const": "Bearer"},
            "expires_in": {"type": "integer", "description": "Seconds."},
            "refresh_token": {"type": "string", "description": "Good for one use."},
            "scope": {"type": "string", "description": "The permissions, separated by spaces."},
            "issued_token_type": {"type": "string", "description": "Token exchange only."},
        },
    }
    return {
        "operationId": "IssueToken",
        "tags": ["sign-in"],
        "summary": "Signs in",
        "description": "The OAuth 2 token endpoint (RFC 6749; token exchange by RFC 8693): an access token for a "
        "password, a refresh token, or a token of the tenant's own identity provider.",
        "security": [],
        "requestBody": {
            "required": True,
            "content": {
                _FORM: {"schema": {"type": "object", "required": ["grant_type"], "properties": properties}}
            },
        },
        "responses": {"200": _json("Tokens.", tokens)} | _errors(),
    }


def _revoke() -> dict[str, Any]:
    form = {
        "type": "object",
        "required": ["token"],
        "properties": {"token": {"type": "string", "minLength": 1}},
    }
    return {
        "operationId": "RevokeToken",
        "tags": ["sign-in"],
        "summary": "Revokes a refresh token and its session (RFC 7009)",
        "security": [],
        "requestBody": {"required": True, "content": {_FORM: {"schema": form}}},
        "responses": {"200": _json("Done; an unknown token is answered the same way.", {"type": "object"})}
        | _errors(),
    }


def _keys() -> dict[str, Any]:
    key = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in ("kty", "crv", "x", "kid", "alg")},
    }
    keys = {"type": "object", "required": ["keys"], "properties": {"keys": {"type": "array", "items": key}}}
    return {
        "operationId": "ReadKeys",
        "tags": ["sign-in"],
        "summary": "The keys that access tokens are signed with (RFC 7517)",
        "security": [],
        "responses": {"200": _json("The keys.", keys), "default": {"$ref": "#/components/responses/Problem"}},
    }


def _probe(operation: str, summary: str) -> dict[str, Any]:
    status = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}
    return {
        "operationId": operation,
        "tags": ["operations"],
        "summary": summary,
        "security": [],
        "responses": {
            "200": _json("It is so.", status),
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _errors() -> dict[str, Any]:
    """The errors of RFC 6749 section 5.2; what the router refuses is a problem as everywhere."""
    described = {
        "400": "The request or the proof is wrong.",
        "429": "Too many attempts; `Retry-After` says when to go on.",
        "503": "Nobody can be signed in at the moment.",
        "504": "It took too long.",
    }
    errors: dict[str, Any] = {status: _json(text, _ERROR) for status, text in described.items()}
    return errors | {"default": {"$ref": "#/components/responses/Problem"}}
