"""A load generator that costs little: HTTP/1.1 over keep-alive connections, parsed by httptools.

What it costs is not counted, but on two cores it takes time away from what is measured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httptools
import orjson


class Answer:
    """One response."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[bytes, bytes], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def json(self) -> Any:
        """The body, parsed."""
        return orjson.loads(self.body)


class Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self._waiting: asyncio.Future[Answer] | None = None
        self._body: list[bytes] = []
        self._headers: dict[bytes, bytes] = {}
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error or ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        assert self._waiting is not None
        answer = Answer(self._parser.get_status_code(), self._headers, b"".join(self._body))
        waiting, self._waiting = self._waiting, None
        waiting.set_result(answer)

    async def send(self, request: bytes) -> Answer:
        """Sends the bytes of a request, waits for the response."""
        self._body, self._headers = [], {}
        self._parser = httptools.HttpResponseParser(self)
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    @property
    def is_closed(self) -> bool:
        """Whether either side has ended it."""
        return bool(self._transport.is_closing())

    def close(self) -> None:
        """Ends it."""
        self._transport.close()


@dataclass
class Client:
    """Requests of one caller to one server."""

    url: str
    token: str = ""
    _free: list[Connection] = field(default_factory=list)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Sends a request, on a connection of its own while it lasts."""
        data = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}", f"Content-Length: {len(data)}"]
        if data:
            lines.append("Content-Type: application/json")
        if self.token:
            lines.append(f"Authorization: Bearer {self.token}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        request = "\r\n".join((*lines, "", "")).encode() + data
        while self._free and self._free[-1].is_closed:
            self._free.pop()  # idle for too long
        connection = self._free.pop() if self._free else await self._connect()
        answer = await connection.send(request)
        self._free.append(connection)
        return answer

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The parsed body of a response that must be a success."""
        answer = await self.send(method, path, body, **headers)
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.body[:500]!r}")
        return answer.json() if answer.body else None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self._host, self._port)
        return connection

    def close(self) -> None:
        """Closes all connections."""
        for connection in self._free:
            connection.close()
        self._free.clear()


@dataclass(frozen=True, slots=True)
class Load:
    """What a load was answered with: seconds per request, and over all."""

    latencies: Sequence[float]
    seconds: float

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """The latency, in seconds, that `share` of the requests stayed within."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def closed_loop(request: Callable[[int], Awaitable[Any]], count: int, at_once: int = 8) -> Load:
    """Makes `count` requests, `at_once` at a time, each numbered."""
    latencies: list[float] = []
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            started = time.perf_counter()
            await request(number)
            latencies.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(at_once)))
    return Load(latencies, time.perf_counter() - started)


async def open_loop(request: Callable[[int], Awaitable[float]], per_second: float, seconds: float) -> Load:
    """Makes requests at a steady pace, whether or not earlier ones have been answered.

    `request` says what it measured, in seconds.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    tasks = []
    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, started + number / per_second - loop.time()))
        tasks.append(asyncio.ensure_future(request(number)))
    latencies = await asyncio.gather(*tasks)
    return Load(latencies, loop.time() - started)
