"""How far a service has taken in what the others wrote: one position per source, proven by heartbeats.

A relay says how far it has published everything; whoever has applied the stream up to there has
everything. Events alone cannot say that: the last one may be of a type nobody here listens to, and
silence is not freshness.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import nats.errors
import orjson
from nats.aio.msg import Msg

from chassis.broker import Broker, BrokerUnavailable, stream_of
from chassis.call import Caller
from chassis.errors import InvalidArgument, Unavailable

_POLL_SECONDS: Final = 0.02
_LONGEST_POLL_SECONDS: Final = 0.25
_WAITING: Final = 64
_SILENCE_SECONDS: Final = 30.0
_SIGHT_SECONDS: Final = 0.5


class ConsistencyTokenInvalid(InvalidArgument):
    """The consistency token was not given out by this system."""

    def __init__(self) -> None:
        super().__init__("The consistency token cannot be read: send it as it came, or leave it out.")


class NotYetSeen(Unavailable):
    """The write that a consistency token names has not arrived here."""

    def __init__(self) -> None:
        super().__init__(
            "The write that the consistency token names has not arrived here yet; try again shortly."
        )


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything of transactions below `position` is there, which is all that was recorded up to `time`."""

    position: int
    time: datetime | None


@dataclass(frozen=True, slots=True)
class Published:
    """How far a relay has published, and where in the stream that is."""

    incarnation: int
    mark: Mark
    sequence: int
    behind: dict[UUID, Mark]
    """Tenants of which more is waiting, and how far they have got."""

    def of(self, tenant: UUID) -> Mark:
        """How far this tenant has got."""
        return self.behind.get(tenant, self.mark)

    def encode(self) -> bytes:
        """As a message."""
        return orjson.dumps(
            {
                "incarnation": self.incarnation,
                "mark": self.mark,
                "sequence": self.sequence,
                "behind": {str(tenant): mark for tenant, mark in self.behind.items()},
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Published:
        """From a message."""
        value = orjson.loads(data)
        behind = {UUID(tenant): _mark(mark) for tenant, mark in value["behind"].items()}
        return cls(value["incarnation"], _mark(value["mark"]), value["sequence"], behind)


def published_subject(service: str) -> str:
    """Where a relay says how far it has published."""
    return f"hints.{service}.published"


def asking_subject(asking: str, service: str) -> str:
    """Where a service asks another's relay to say so at once; `*` stands for any."""
    return f"hints.{asking}.asking.{service}"


def encode_token(source: str, tenant: UUID, position: int) -> str:
    """A consistency token: what a later read has to wait for, in whatever service. Opaque to callers."""
    raw = tenant.bytes + position.to_bytes(8, "big") + source.encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_token(token: str) -> tuple[str, UUID, int]:
    """Source, tenant and position.

    Raises:
        ConsistencyTokenInvalid: it is not one.
    """
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        source = raw[24:].decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise ConsistencyTokenInvalid from error
    if not source.isidentifier():
        raise ConsistencyTokenInvalid
    return source, UUID(bytes=raw[:16]), int.from_bytes(raw[16:24], "big")


class Positions:
    """How far one service has applied each of its sources, in whichever of its replicas."""

    def __init__(self, service: str, broker: Broker, sources: Collection[str]) -> None:
        self.service = service
        self.sources = frozenset(sources)
        self._broker = broker
        self._heard: dict[str, tuple[Published, float]] = {}
        self._waiting: dict[str, deque[Published]] = {}
        """What was heard and has not been applied yet, as far as is known: the latest of each source."""
        self._applied: dict[str, Published] = {}
        self._checks: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Begins to listen to the sources' relays."""
        for source in sorted(self.sources):
            await self._broker.listen(published_subject(source), self._hear)

    async def stop(self) -> None:
        """Stops what is under way."""
        for task in self._checks.values():
            task.cancel()

    def applied(self, source: str, tenant: UUID) -> Mark | None:
        """The watermark: up to where everything of the tenant has been applied; None before it is known."""
        known = self._applied.get(source)
        return known.of(tenant) if known else None

    def incarnation(self, source: str) -> int:
        """Which life of the source's database `applied` is about; 0 before it is known."""
        known = self._applied.get(source)
        return known.incarnation if known else 0

    def silence(self, source: str) -> float:
        """For how many seconds nothing was heard from a source's relay."""
        heard = self._heard.get(source)
        return time.monotonic() - heard[1] if heard else float("inf")

    async def reached(self, tenant: UUID, source: str, position: int, timeout: float) -> bool:
        """Waits until the source's transaction `position` has been applied here; False at the timeout.

        What this service does not listen to, and what it wrote itself, need not be waited for.
        """
        if source not in self.sources or source == self.service:
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not self._has(tenant, source, position):
                    heard = self._heard.get(source)
                    if heard is None or heard[0].of(tenant).position <= position:
                        await self._ask(source)
                    else:
                        await self._check(source)
                    if not self._has(tenant, source, position):
                        await asyncio.sleep(_POLL_SECONDS)
        return self._has(tenant, source, position)

    async def wait_for(self, token: str, tenant: UUID, timeout: float) -> None:
        """Waits until the write that a consistency token names can be seen here.

        Raises:
            ConsistencyTokenInvalid: the token is not one, or of another tenant.
            NotYetSeen: the timeout passed.
        """
        source, of_tenant, position = decode_token(token)
        if of_tenant != tenant:
            raise ConsistencyTokenInvalid
        if not await self.reached(tenant, source, position, timeout):
            raise NotYetSeen

    def token(self, tenant: UUID, position: int) -> str:
        """A consistency token for a write of this service."""
        return encode_token(self.service, tenant, position)

    async def sight_is_current(self, caller: Caller) -> bool:
        """Whether what is known of reporting lines is as new as the caller's token, and fresh."""
        if "identity" not in self.sources:
            return True
        if self.silence("identity") > _SILENCE_SECONDS:
            return False
        return await self.reached(caller.tenant, "identity", caller.org_position, _SIGHT_SECONDS)

    def _has(self, tenant: UUID, source: str, position: int) -> bool:
        known = self._applied.get(source)
        return known is not None and known.of(tenant).position > position

    async def _ask(self, source: str) -> None:
        with contextlib.suppress(BrokerUnavailable, nats.errors.Error):
            await self._broker.client.publish(asking_subject(self.service, source))

    async def _hear(self, message: Msg) -> None:
        source = message.subject.split(".")[1]
        published = Published.decode(message.data)
        self._heard[source] = published, time.monotonic()
        known = self._applied.get(source)
        if known is not None and known.sequence == published.sequence:
            self._applied[source] = published
            return
        self._waiting.setdefault(source, deque(maxlen=_WAITING)).append(published)
        if source not in self._checks or self._checks[source].done():
            self._checks[source] = asyncio.create_task(
                self._catch_up(source), name=f"{self.service}: check {source}"
            )

    async def _catch_up(self, source: str) -> None:
        """Looks until everything that was heard has been applied: under load something newer always is."""
        pause = _POLL_SECONDS
        while self._waiting[source]:
            await self._check(source)
            if self._waiting[source]:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_POLL_SECONDS)

    async def _check(self, source: str) -> None:
        """Compares what was heard with what all replicas together have acknowledged, which they do after
        the commit."""
        waiting = self._waiting.get(source)
        if not waiting:
            return
        asked = tuple(waiting)  # what is heard meanwhile is not answered for
        try:
            info = await self._broker.client.jsm().consumer_info(stream_of(source), self.service)
        except (BrokerUnavailable, nats.errors.Error, TimeoutError):
            return
        floor = info.ack_floor.stream_seq if info.ack_floor else 0
        is_idle = not (info.num_pending or info.num_ack_pending)
        for published in asked:
            if not is_idle and published.sequence > floor:
                break
            with contextlib.suppress(ValueError):  # another look was faster
                waiting.remove(published)
                self._applied[source] = published


def _mark(value: Any) -> Mark:
    return Mark(value["position"], datetime.fromisoformat(value["time"]) if value["time"] else None)
