"""The public REST API as an importer uses it: signed in, several requests at once, patient.

Requests that change something carry an Idempotency-Key, so every one of them may be repeated: after
a lost connection, an answer that says "later", or a crash of our own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import httpx
import orjson
from rich.console import Console

from deploy.importing.troubles import ServerRefused

TOKEN_PATH = "/v1/oauth/token"  # noqa: S105  # a path
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
PATIENCE = 60.0
_LONGEST_PAUSE = 5.0
_SILENT_SECONDS = 2.0
MAX_ROWS = 500
MAX_BYTES = 3_000_000


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who imports: a token, or a user with a password."""

    token: str = ""
    user: str = ""
    password: str = ""


class Problem(Exception):
    """What the server refused, as its problem document says it."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        self.status = status
        self.document = document
        super().__init__(str(document.get("detail") or document.get("title") or f"HTTP {status}"))

    @property
    def errors(self) -> list[tuple[str, str]]:
        """(field, what is wrong with it)"""
        return [
            (str(each.get("field", "")), str(each.get("detail", "")))
            for each in self.document.get("errors") or []
        ]


class _Later(Exception):
    """An answer that says that asking again may help."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.answer = answer


class Api:
    """A signed-in client of one installation.

    `patience` is for how many seconds a request is repeated while the server cannot take it.
    """

    def __init__(
        self,
        url: str,
        sign_in: SignIn,
        *,
        patience: float = PATIENCE,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._sign_in = sign_in
        self._token, self._refresh_token, self._expires_at = sign_in.token, "", float("inf")
        self._signing_in = asyncio.Lock()
        self.patience = patience
        self._errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
        self._has_said = False
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/"),
            timeout=httpx.Timeout(60, connect=5),
            transport=transport,
            headers={"user-agent": "sfa-import"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def get(self, path: str, **parameters: str) -> Any:
        """The JSON at a path."""
        return await self._call("GET", path, params=parameters)

    async def post(self, path: str, body: Any, *, key: str | None = None) -> Any:
        """What the server answers to a JSON body; `key` makes repeating it harmless."""
        headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
        return await self._call("POST", path, content=orjson.dumps(body), headers=headers)

    async def all(self, path: str, collection: str) -> list[dict[str, Any]]:
        """Every resource of a list, page by page."""
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            page = await self.get(path, pageSize="500", **({"pageToken": token} if token else {}))
            found += page.get(collection) or []
            token = page.get("nextPageToken") or ""
            if not token:
                return found

    async def events(self, path: str, **parameters: Any) -> AsyncIterator[Any]:
        """The messages of a server stream (Server-Sent Events), until it ends."""
        headers = {
            "authorization": f"Bearer {await self._access_token()}", "accept": "text/event-stream",
        }  # fmt: skip
        timeout = httpx.Timeout(None, connect=5)
        try:
            async with self._http.stream(
                "GET", path, params=parameters, headers=headers, timeout=timeout
            ) as answer:
                if not answer.is_success:
                    await answer.aread()
                    raise _problem(answer)
                kind = ""
                async for line in answer.aiter_lines():
                    name, _, value = line.partition(": ")
                    kind = value if name == "event" else kind
                    if name == "data" and kind == "problem":
                        return
                    if name == "data":
                        yield orjson.loads(value)
        except httpx.ConnectError as error:
            raise ServerRefused(f"{self._http.base_url} cannot be reached ({type(error).__name__})") from None
        except httpx.TransportError:
            return  # cut off: the caller goes on from the last cursor

    async def _call(self, method: str, path: str, **arguments: Any) -> Any:
        answer = await self._patiently(method, path, **arguments)
        if answer.status_code == 401 and not self._sign_in.token:
            self._expires_at = 0.0  # revoked or ended before its time: sign in once more
            answer = await self._patiently(method, path, **arguments)
        if answer.status_code == 401:
            raise ServerRefused(f"The server does not accept the sign-in: {_problem(answer)}")
        if not answer.is_success:
            raise _problem(answer)
        return orjson.loads(answer.content) if answer.content else {}

    async def _patiently(
        self, method: str, path: str, headers: dict[str, str] | None = None, **arguments: Any
    ) -> httpx.Response:
        """The answer, once there is one that does not say "later"; ServerRefused where patience ends."""
        began, pause, where = time.monotonic(), 0.1, self._http.base_url
        while True:
            wait = 0.0
            try:
                authorization = {"authorization": f"Bearer {await self._access_token()}"}
                answer = await self._http.request(
                    method, path, headers=authorization | (headers or {}), **arguments
                )
                if answer.status_code not in _RETRIED:
                    return answer
                raise _Later(answer)
            except httpx.TransportError as error:
                trouble = f"{where} cannot be reached ({type(error).__name__})"
            except _Later as later:
                trouble = f"{where} answers {later.answer.status_code}: {_problem(later.answer)}"
                wait = _seconds(later.answer.headers.get("retry-after"))
            if time.monotonic() + wait > began + self.patience:
                raise ServerRefused(trouble)
            if not self._has_said and time.monotonic() + wait > began + _SILENT_SECONDS:
                self._has_said = True
                self._errors.print(f"{trouble}; trying again for up to {self.patience:.0f} s.", style="dim")
            # Full jitter, so that requests that failed together do not come back together.
            await asyncio.sleep(max(wait, random.uniform(0, pause)))
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _access_token(self) -> str:
        async with self._signing_in:
            if time.monotonic() < self._expires_at and self._token:
                return self._token
            if self._refresh_token:
                form = {"grant_type": "refresh_token", "refresh_token": self._refresh_token}
                answer = await self._http.post(TOKEN_PATH, data=form)
                if answer.is_success:
                    return self._remember(answer.json())
            form = {
                "grant_type": "password",
                "username": self._sign_in.user,
                "password": self._sign_in.password,
            }
            answer = await self._http.post(TOKEN_PATH, data=form)
            if answer.status_code in (400, 401, 403):
                raise ServerRefused(f"{self._sign_in.user or 'Nobody'} cannot sign in: {_problem(answer)}")
            if not answer.is_success:
                raise _Later(answer)
            return self._remember(answer.json())

    def _remember(self, document: dict[str, Any]) -> str:
        self._token, self._refresh_token = document["access_token"], document.get("refresh_token", "")
        # Half a minute early, so that it does not end on the way.
        self._expires_at = time.monotonic() + max(float(document.get("expires_in", 300)) - 30, 5)
        return self._token


def batches(rows: Sequence[bytes]) -> Iterator[slice]:
    """Parts of the rows (as JSON) that the server takes in one request."""
    begin = size = 0
    for index, row in enumerate(rows):
        if index > begin and (index - begin >= MAX_ROWS or size + len(row) > MAX_BYTES):
            yield slice(begin, index)
            begin, size = index, 0
        size += len(row) + 1
    if len(rows) > begin:
        yield slice(begin, len(rows))


def _problem(answer: httpx.Response) -> Problem:
    try:
        document = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        document = {"detail": f"HTTP {answer.status_code} {answer.reason_phrase}"}
    if "detail" not in document and "error_description" in document:  # OAuth's own form (RFC 6749)
        document["detail"] = document["error_description"]
    return Problem(answer.status_code, document)


def _seconds(header: str | None) -> float:
    try:
        return min(max(float(header or 0), 0.0), 60.0)
    except ValueError:
        return 0.0
