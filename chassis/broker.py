"""The connection to NATS, and the stream that a service publishes its events to.

Services start in any order, so a broker that is away is waited for in the background: nothing that
a caller asks for depends on it. A service has one connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import nats.errors
import nats.js.errors
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from chassis.errors import Unavailable
from chassis.telemetry import log

OUTSIDE: Final = "erp"
"""What the systems are called together that send events from outside: also the package of their messages."""
OUTSIDE_SUBJECTS: Final = f"{OUTSIDE}.>"
KEPT_SECONDS: Final = 30 * 24 * 3600
_DEDUPLICATED_SECONDS: Final = 120
_RECONNECT_SECONDS: Final = 0.25

Handler = Callable[[Msg], Awaitable[None]]


class BrokerUnavailable(Unavailable):
    """The broker cannot be reached at the moment."""

    def __init__(self) -> None:
        super().__init__("The event broker is not available at the moment; try again shortly.")


def stream_of(service: str) -> str:
    """The stream with a service's events: its name in upper case."""
    return service.upper()


def stream_config(service: str, replicas: int = 1) -> StreamConfig:
    """What a service's stream should be: its own events of all tenants, for 30 days, on disk. What comes
    from outside has a stream alike."""
    return StreamConfig(
        name=stream_of(service),
        subjects=[OUTSIDE_SUBJECTS if service == OUTSIDE else f"events.*.sfa.{service}.>"],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        max_age=KEPT_SECONDS,
        duplicate_window=_DEDUPLICATED_SECONDS,
        num_replicas=replicas,
        allow_direct=True,
    )


class Broker:
    """One service's connection to NATS. The user may be said in the URL, or apart from it."""

    def __init__(
        self, url: str, name: str, *, user: str = "", password: str = "", tls: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(url.split(",")[0])
        self.name = name
        self._servers = url.split(",")
        user = user or unquote(parts.username or "")
        self._credentials = (
            {"user": user, "password": password or unquote(parts.password or "")} if user else {}
        )
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 4222
        self._inbox_prefix = f"_INBOX_{user}" if user else "_INBOX"  # the only one that a user may read
        self._tls = tls
        self._client = Client()
        self._connecting: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._closing = False
        self._is_established = False
        self._subscriptions: list[tuple[str, Handler]] = []
        self._reconnected: list[Callable[[], None]] = []
        self._last_complaint = ""

    @property
    def is_connected(self) -> bool:
        """Whether it is connected at this moment."""
        return self._client.is_connected

    @property
    def client(self) -> Client:
        """The connection.

        Raises:
            BrokerUnavailable: there is none at this moment.
        """
        if not self._client.is_connected:
            raise BrokerUnavailable
        return self._client

    def start(self) -> None:
        """Begins to connect, and goes on until it has."""
        self._connecting = asyncio.create_task(self._connect(), name=f"{self.name}: connect to the broker")

    async def connected(self) -> Client:
        """Waits until there is a connection, however long that takes."""
        await self._connected.wait()
        return self._client

    async def listen(self, subject: str, handler: Handler) -> None:
        """Calls `handler` for every message that passes while this process is connected.

        For hints: what passes while it is not connected is not heard. May be called at any time.
        """
        self._subscriptions.append((subject, handler))
        if self._client.is_connected or self._client.is_reconnecting:
            await self._client.subscribe(subject, cb=self._guarded(handler))

    def on_connected(self, hint: Callable[[], None]) -> None:
        """Calls `hint` whenever a connection has been made."""
        self._reconnected.append(hint)

    async def keep_stream(self, service: str, replicas: int = 1) -> None:
        """Makes the service's stream where there is none, and brings its settings up to date.

        Raises:
            BrokerUnavailable, nats.errors.Error: not possible now; to be tried again.
        """
        wanted = stream_config(service, replicas)
        management = self.client.jsm()
        try:
            there = (await management.stream_info(wanted.name or "")).config
        except nats.js.errors.NotFoundError:
            await management.add_stream(wanted)
            return
        if any(getattr(there, name) != getattr(wanted, name) for name in _OURS):
            await management.update_stream(wanted)

    async def close(self) -> None:
        """Sends what is waiting to be sent, and closes."""
        self._closing = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._client.is_connected:
            with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
                await asyncio.wait_for(self._client.flush(), 2)
        await self._let_go()

    async def _connect(self) -> None:
        while True:
            try:
                # nats-py sleeps two seconds after a first connection that is refused: see for ourselves
                _, writer = await asyncio.wait_for(asyncio.open_connection(self._host, self._port), 2)
                writer.close()
                await self._client.connect(**self._options())
                for subject, handler in self._subscriptions:
                    await self._client.subscribe(subject, cb=self._guarded(handler))
            except (OSError, TimeoutError, nats.errors.Error) as error:
                if not isinstance(error, OSError | TimeoutError):
                    log.warning("the broker refused the connection", service=self.name, error=str(error))
                await self._let_go()
                self._client = Client()
                await asyncio.sleep(_RECONNECT_SECONDS * (0.5 + random.random()))
            else:
                log.debug("connected to the broker", service=self.name)
                self._tell()
                return

    async def _let_go(self) -> None:
        if not self._client.is_closed:
            # nats-py asserts that it has been connected once
            with contextlib.suppress(nats.errors.Error, OSError, AssertionError):
                await self._client.close()

    def _options(self) -> dict[str, Any]:
        return {
            "servers": self._servers,
            **self._credentials,
            "name": self.name,
            "inbox_prefix": self._inbox_prefix,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": _RECONNECT_SECONDS,
            "connect_timeout": 2,
            "ping_interval": 10,
            "max_outstanding_pings": 2,
            "pending_size": 2 * 2**20,
            "allow_reconnect": True,
            **({"tls": self._tls} if self._tls else {}),
            "error_cb": self._complain,
            "disconnected_cb": self._lost,
            "reconnected_cb": self._back,
            "closed_cb": self._closed,
        }

    def _tell(self) -> None:
        self._is_established = True
        self._connected.set()
        for hint in self._reconnected:
            hint()

    async def _lost(self) -> None:
        self._connected.clear()
        if not self._closing:
            log.warning("the connection to the broker was lost", service=self.name)

    async def _back(self) -> None:
        log.info("connected to the broker again", service=self.name)
        self._tell()

    async def _closed(self) -> None:
        """nats-py gives up where it is refused, as while the broker's users change: begin anew."""
        if self._is_established and not self._closing:
            self._is_established = False
            self._connected.clear()
            self._client = Client()
            self.start()

    async def _complain(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        if text != self._last_complaint:  # while it is away, each attempt complains of the same
            self._last_complaint = text
            log.warning("the broker complains", service=self.name, error=text)

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(message: Msg) -> None:
            try:
                await handler(message)
            except Exception as error:  # noqa: BLE001  # a listener that fails must go on listening
                log.error("a listener failed", service=self.name, subject=message.subject, exc_info=error)

        return guarded


class Publisher:
    """Publishes to streams and hears the acknowledgements.

    nats-py's own `publish_async` keeps a slot of each publish that could not be sent, until none is
    left; a broker that is away for long would end it.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._prefix = client.new_inbox()
        self._number = 0
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> Publisher:
        self._subscription = await self._client.subscribe(f"{self._prefix}.*", cb=self._hear)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.forget()
        if self._subscription is not None and self._client.is_connected:
            with contextlib.suppress(nats.errors.Error):
                await self._subscription.unsubscribe()

    async def publish(self, subject: str, data: bytes, headers: dict[str, str]) -> asyncio.Future[int]:
        """Sends a message; the future gives its sequence in the stream once it is stored.

        Raises:
            BrokerUnavailable, nats.errors.Error: it could not be sent.
        """
        if not self._client.is_connected:
            raise BrokerUnavailable
        self._number += 1
        token = str(self._number)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
        try:
            await self._client.publish(subject, data, reply=f"{self._prefix}.{token}", headers=headers)
        except BaseException:
            del self._waiting[token]
            raise
        return future

    def forget(self) -> None:
        """Gives up on what has not been acknowledged."""
        for future in self._waiting.values():
            future.cancel()
        self._waiting.clear()

    async def _hear(self, message: Msg) -> None:
        future = self._waiting.pop(message.subject[len(self._prefix) + 1 :], None)
        if future is None or future.done():
            return
        if not message.data:  # nobody listens: no stream has the subject
            future.set_exception(nats.js.errors.NoStreamResponseError())
            return
        answer = orjson.loads(message.data)
        if "error" in answer:
            future.set_exception(nats.js.errors.APIError.from_error(answer["error"]))
        else:
            future.set_result(answer["seq"])


_OURS: Final = ("subjects", "max_age", "duplicate_window", "num_replicas", "allow_direct")
