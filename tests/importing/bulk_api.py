"""A bulk API of a few lines that fails on demand: for what a real server does only on bad days."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import httpx
import orjson

Answer = httpx.Response | Exception | None


class BulkApi:
    """Keeps what it is sent, by external id; `trouble` may answer a request in its place."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.keys: list[str] = []
        self.sign_ins: list[str] = []
        self.trouble: Callable[[httpx.Request], Answer] = lambda _: None
        self._replays: dict[str, httpx.Response] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answers a request (as an `httpx.MockTransport` wants it)."""
        trouble = self.trouble(request)
        if isinstance(trouble, Exception):
            raise trouble
        if trouble is not None:
            return trouble
        path = request.url.path
        if path == "/v1/oauth/token":
            return self._token(parse_qs(request.content.decode()))
        if request.headers.get("authorization") != "Bearer good":
            return problem(401, "The token has ended.")
        if path == "/v1/me":
            return httpx.Response(200, json={"tenant": {"id": "tenant"}})
        collection, verb = path.removeprefix("/v1/").split(":")
        body = orjson.loads(request.content)
        if verb == "batchGet":
            wanted = [each["id"] for each in body["externalIds"]]
            return httpx.Response(
                200, json={collection: [self.records[key] for key in wanted if key in self.records]}
            )
        key = request.headers["idempotency-key"]
        self.keys.append(key)
        if key not in self._replays:
            results = [self._upsert(row, body["validateOnly"]) for row in body["rows"]]
            self._replays[key] = httpx.Response(200, json={"results": results})
        return self._replays[key]

    def _token(self, form: dict[str, list[str]]) -> httpx.Response:
        self.sign_ins.append(form["grant_type"][0])
        if form.get("password", ["right"]) != ["right"]:
            return httpx.Response(
                400, json={"error": "invalid_grant", "error_description": "User or password is wrong."}
            )
        return httpx.Response(200, json={"access_token": "good", "refresh_token": "again", "expires_in": 300})

    def _upsert(self, row: dict[str, Any], validate_only: bool) -> dict[str, Any]:
        (resource,) = (value for value in row.values() if isinstance(value, dict) and "externalIds" in value)
        key = resource["externalIds"][0]["id"]
        if resource.get("name") == "bad":
            return {"outcome": "REJECTED", "error": "Not that one.", "reason": "BAD", "field": "deal.name"}
        before = self.records.get(key)
        after = {**(before or {"id": f"id-{key}"}), **resource}
        outcome = "CREATED" if before is None else "UNCHANGED" if before == after else "UPDATED"
        if not validate_only:
            self.records[key] = after
        return {"outcome": outcome, "id": after["id"], "etag": "1"}


def problem(status: int, detail: str, **more: Any) -> httpx.Response:
    """A problem document."""
    return httpx.Response(status, json={"status": status, "detail": detail, **more})
