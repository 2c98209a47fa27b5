"""Sign-in: the OAuth 2 token endpoint (RFC 6749, token exchange by RFC 8693), revocation (RFC 7009) and
the public keys. What the protos cannot say, since its requests are forms and its errors its own."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import orjson
from sfa.identity.v1 import auth_pb2
from starlette.requests import Request
from starlette.responses import Response

from chassis.contract import Rpc, rpc_of
from chassis.errors import Kind, Refusal
from gateway.endpoint import Gate
from gateway.exchange import Exchange, read_body
from gateway.from_json import BadField, text
from gateway.problems import Problem
from gateway.settings import GatewaySettings
from gateway.upstream import Metadata, Unary, Upstream

TOKEN_PATH, REVOKE_PATH, KEYS_PATH = "/v1/oauth/token", "/v1/oauth/revoke", "/.well-known/jwks.json"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  # a name, no secret
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  # the same

_SERVICE = "/sfa.identity.v1.TokenService"
_FORM = "application/x-www-form-urlencoded"
_MOST_BYTES = 64 * 1024
_NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
_ERRORS = {
    Kind.UNAUTHENTICATED: (400, "invalid_grant"),
    Kind.PERMISSION_DENIED: (400, "unauthorized_client"),
    Kind.NOT_FOUND: (400, "invalid_grant"),
    Kind.FAILED_PRECONDITION: (400, "invalid_grant"),
    Kind.RESOURCE_EXHAUSTED: (429, "temporarily_unavailable"),
    Kind.UNAVAILABLE: (503, "temporarily_unavailable"),
    Kind.DEADLINE_EXCEEDED: (504, "temporarily_unavailable"),
}


class OAuthError(Exception):
    """An error as RFC 6749 section 5.2 wants it."""

    def __init__(self, error: str, description: str, status: int = 400, retry_after: str = "") -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status
        self.retry_after = retry_after


def oauth_rpcs() -> list[Rpc]:
    """The RPCs that are called from here."""
    return [rpc_of(f"{_SERVICE}/{name}") for name in ("IssueToken", "RevokeToken", "GetJwks")]


class PublicKeys:
    """Identity's public keys: for whoever asks, and for the gateway's own verification."""

    def __init__(self, upstream: Upstream, settings: GatewaySettings) -> None:
        *_, self._call = (upstream.unary(rpc) for rpc in oauth_rpcs())
        self._seconds = settings.call_seconds

    async def fetch(self, traceparent: str = "") -> list[dict[str, str]]:
        """The keys as they are now."""
        metadata = (("traceparent", traceparent),) if traceparent else ()
        answer, _ = await self._call(auth_pb2.GetJwksRequest(), metadata, self._seconds)
        return [{field.name: value for field, value in key.ListFields()} for key in answer.keys]


class OAuth:
    """The endpoints; each is a Starlette endpoint."""

    def __init__(self, upstream: Upstream, keys: PublicKeys, gate: Gate, settings: GatewaySettings) -> None:
        self._issue, self._revoke, _ = (upstream.unary(rpc) for rpc in oauth_rpcs())
        self._keys = keys
        self._gate = gate
        self._settings = settings

    async def token(self, request: Request) -> Response:
        """`POST /v1/oauth/token`."""
        exchange: Exchange = request.scope["sfa.exchange"]
        exchange.route = TOKEN_PATH
        try:
            form = await self._form(request, exchange)
            grant = form.get("grant_type", "")
            issue = _grant(grant, form)
            issue.client_address = exchange.client[:64]
            issue.user_agent = "".join(filter(str.isprintable, exchange.header(b"user-agent")))[:500]
            answer = await self._call(self._issue, issue, exchange)
        except OAuthError as error:
            return _refused(error, exchange)
        document = {
            "access_token": answer.access_token,
            "token_type": "Bearer",
            "expires_in": answer.expires_in,
            "refresh_token": answer.refresh_token,
            "scope": answer.scope,
        }
        if grant == TOKEN_EXCHANGE:
            document["issued_token_type"] = ACCESS_TOKEN
        return _answer(200, document, exchange)

    async def revoke(self, request: Request) -> Response:
        """`POST /v1/oauth/revoke`."""
        exchange: Exchange = request.scope["sfa.exchange"]
        exchange.route = REVOKE_PATH
        try:
            form = await self._form(request, exchange)
            await self._call(
                self._revoke, auth_pb2.RevokeTokenRequest(token=_needed(form, "token")), exchange
            )
        except OAuthError as error:
            return _refused(error, exchange)
        return _answer(200, {}, exchange)

    async def keys(self, request: Request) -> Response:
        """`GET /.well-known/jwks.json`."""
        exchange: Exchange = request.scope["sfa.exchange"]
        exchange.route = KEYS_PATH
        self._gate.anonymous(exchange)
        response = _answer(200, {"keys": await self._keys.fetch(exchange.traceparent)}, exchange)
        response.headers["cache-control"] = "public, max-age=60"
        del response.headers["pragma"]
        return response

    async def _form(self, request: Request, exchange: Exchange) -> dict[str, str]:
        try:
            self._gate.anonymous(exchange)
        except Problem as problem:
            retry = next((value.decode() for name, value in problem.headers if name == b"retry-after"), "")
            raise OAuthError("temporarily_unavailable", problem.detail, 429, retry) from None
        if exchange.header(b"content-type").partition(";")[0].strip().lower() != _FORM:
            raise OAuthError("invalid_request", f"The body must be {_FORM}.")
        body = await read_body(request.receive, exchange, _MOST_BYTES, self._settings.body_seconds)
        try:
            pairs = parse_qsl(
                body.decode("ascii"), keep_blank_values=True, errors="surrogateescape", max_num_fields=50
            )
        except ValueError:
            raise OAuthError("invalid_request", "The body is no form.") from None
        form = dict(pairs)
        if len(form) != len(pairs):
            raise OAuthError("invalid_request", "A parameter is given twice.")
        for name, value in pairs:
            try:
                text(name), text(value)
            except BadField as error:
                printable = name.encode("utf-8", "backslashreplace").decode()
                raise OAuthError("invalid_request", f"{printable}: {error.detail}") from None
        return form

    async def _call(self, unary: Unary, request: Any, exchange: Exchange) -> Any:
        metadata: Metadata = (("traceparent", exchange.traceparent),)
        try:
            answer, _ = await unary(request, metadata, self._settings.call_seconds)
        except Refusal as refusal:
            status, error = _ERRORS.get(refusal.kind, (400, "invalid_request"))
            retry = refusal.facts.get("retry_after", "1" if status >= 429 else "")
            raise OAuthError(error, str(refusal), status, retry) from None
        return answer


def _grant(kind: str, form: dict[str, str]) -> Any:
    request = auth_pb2.IssueTokenRequest()
    if kind == "password":
        request.password.username = _needed(form, "username")
        request.password.password = _needed(form, "password")
        request.password.tenant_id = form.get("tenant", "")
    elif kind == "refresh_token":
        request.refresh.refresh_token = _needed(form, "refresh_token")
    elif kind == TOKEN_EXCHANGE:
        request.token_exchange.subject_token = _needed(form, "subject_token")
        request.token_exchange.subject_token_type = _needed(form, "subject_token_type")
        if form.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
            raise OAuthError("invalid_request", f"requested_token_type: only {ACCESS_TOKEN} is given.")
    elif kind:
        raise OAuthError(
            "unsupported_grant_type", f"grant_type must be password, refresh_token or {TOKEN_EXCHANGE}."
        )
    else:
        raise OAuthError("invalid_request", "grant_type is missing.")
    return request


def _needed(form: dict[str, str], name: str) -> str:
    value = form.get(name, "")
    if not value:
        raise OAuthError("invalid_request", f"{name} is missing.")
    return value


def _refused(error: OAuthError, exchange: Exchange) -> Response:
    response = _answer(error.status, {"error": error.error, "error_description": error.description}, exchange)
    if error.retry_after:
        response.headers["retry-after"] = error.retry_after
    return response


def _answer(status: int, document: Any, exchange: Exchange) -> Response:
    response = Response(orjson.dumps(document), status, _NO_STORE, "application/json")
    response.raw_headers.extend(exchange.answer_headers)
    return response
