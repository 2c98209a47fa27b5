"""What a process needs of identity: the keys that tokens are verified with, tokens of its own for what it
does by itself, and word of what was revoked."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

import grpc
import nats.errors
import orjson
from google.protobuf.message import DecodeError, Message
from nats.aio.msg import Msg
from sfa.identity.v1 import auth_pb2, auth_pb2_grpc, events_pb2

from chassis import envelope
from chassis.broker import Broker, BrokerUnavailable, stream_of
from chassis.call import Call
from chassis.client import PeerChannel
from chassis.clock import Clock
from chassis.envelope import NotAnEvent, Received
from chassis.errors import Unavailable
from chassis.telemetry import log
from chassis.tokens import LEEWAY, MAX_LIFETIME, RemoteKeys, Revocations

_TIMEOUT: Final = 5.0
_REMEMBERED: Final = 5000
_REVOKING: Final[dict[str, type[Message]]] = {
    event.DESCRIPTOR.full_name: event for event in (events_pb2.SessionRevoked, events_pb2.UserDeactivated)
}
_PAGE: Final = 1000


class IdentityUnavailable(Unavailable):
    """Identity does not answer."""

    def __init__(self) -> None:
        super().__init__("The identity service is not available at the moment; try again shortly.")


def identity_keys(channel: PeerChannel) -> RemoteKeys:
    """The keys that identity publishes, fetched over a channel to it."""
    stub = auth_pb2_grpc.TokenServiceStub(cast("grpc.aio.Channel", channel))

    async def fetch() -> list[dict[str, str]]:
        answer: auth_pb2.GetJwksResponse = await stub.GetJwks(
            auth_pb2.GetJwksRequest(), timeout=_TIMEOUT, metadata=()
        )
        return [{"kty": key.kty, "crv": key.crv, "x": key.x, "kid": key.kid} for key in answer.keys]

    return RemoteKeys(fetch)


class ServiceTokens:
    """A service's own tokens, one for each tenant, taken anew when most of their time is over."""

    def __init__(self, channel: Callable[[], PeerChannel], service: str, secret: str, clock: Clock) -> None:
        self._channel = channel
        self._service = service
        self._secret = secret
        self._clock = clock
        self._tokens: OrderedDict[UUID, tuple[str, datetime]] = OrderedDict()
        self._locks: dict[UUID, asyncio.Lock] = {}

    async def __call__(self, call: Call) -> str:
        """The token for the call's tenant.

        Raises:
            IdentityUnavailable: it cannot be had now.
        """
        tenant = call.caller.tenant
        lock = self._locks.setdefault(tenant, asyncio.Lock())
        async with lock:
            token, good_until = self._tokens.get(tenant, ("", self._clock.now()))
            if good_until <= self._clock.now():
                token, good_until = await self._fetch(tenant)
                self._tokens[tenant] = token, good_until
                self._tokens.move_to_end(tenant)
                if len(self._tokens) > _REMEMBERED:
                    forgotten, _ = self._tokens.popitem(last=False)
                    self._locks.pop(forgotten, None)
        return token

    async def _fetch(self, tenant: UUID) -> tuple[str, datetime]:
        stub = auth_pb2_grpc.TokenServiceStub(cast("grpc.aio.Channel", self._channel()))
        asked_at = self._clock.now()
        try:
            answer: auth_pb2.IssueServiceTokenResponse = await stub.IssueServiceToken(
                auth_pb2.IssueServiceTokenRequest(
                    service=self._service, secret=self._secret, tenant_id=str(tenant)
                ),
                timeout=_TIMEOUT,
                metadata=(),
            )
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise IdentityUnavailable from error
            raise
        return answer.access_token, asked_at + timedelta(seconds=answer.expires_in * 0.8)


class RevocationFeed:
    """Hears of every revocation within milliseconds, in every process by itself.

    Events are heard as they pass; what passed before the process was connected, and may still matter,
    is read from identity's stream: as much of it as a token can be old.
    """

    def __init__(self, broker: Broker, revocations: Revocations, clock: Clock) -> None:
        self._broker = broker
        self._revocations = revocations
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._missed = asyncio.Event()
        self.caught_up = asyncio.Event()
        """Whether everything that was revoked before the last connection is known."""

    async def start(self) -> None:
        """Begins to listen; the broker may come later."""
        for name in _REVOKING:
            await self._broker.listen(envelope.subject("*", name), self._hear)
        self._broker.on_connected(self._missed.set)
        if self._broker.is_connected:
            self._missed.set()
        self._task = asyncio.create_task(self._catch_up(), name=f"{self._broker.name}: revocations")

    async def stop(self) -> None:
        """Stops listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _hear(self, message: Msg) -> None:
        self._take(message)

    def _take(self, message: Msg) -> None:
        headers = message.headers or {}
        event_class = _REVOKING.get(headers.get("ce-type", ""))
        if event_class is None:
            return
        try:
            event = envelope.received(event_class.FromString(message.data), headers, 0)
        except (NotAnEvent, DecodeError) as error:
            log.error("a revocation cannot be read", service=self._broker.name, error=str(error))
            return
        self._revoke(event)

    def _revoke(self, event: Received) -> None:
        if isinstance(event.message, events_pb2.SessionRevoked):
            self._revocations.revoke_session(event.tenant, event.message.session.id, event.recorded_at)
        else:
            self._revocations.revoke_user(event.tenant, event.message.user.id, event.recorded_at)

    async def _catch_up(self) -> None:
        while True:
            await self._missed.wait()
            self._missed.clear()
            try:
                for name in _REVOKING:
                    await self._read(envelope.subject("*", name))
                self.caught_up.set()
            except (BrokerUnavailable, nats.errors.Error, OSError, TimeoutError) as error:
                log.warning(
                    "revocations cannot be read yet", service=self._broker.name,
                    error=str(error) or type(error).__name__,
                )  # fmt: skip
                await asyncio.sleep(0.5)
                self._missed.set()

    async def _read(self, subject: str) -> None:
        """Reads what the stream has of a subject and is younger than any token."""
        client = self._broker.client
        since = self._clock.now() - MAX_LIFETIME - LEEWAY
        request: dict[str, Any] = {"start_time": since.isoformat().replace("+00:00", "Z")}
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox)
        try:
            while True:
                asked = {"batch": _PAGE, "next_by_subj": subject, **request}
                await client.publish(
                    f"$JS.API.DIRECT.GET.{stream_of('identity')}", orjson.dumps(asked), reply=inbox
                )
                last = await self._page(subscription)
                if last is None:
                    return
                request = {"seq": last + 1}
        finally:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()

    async def _page(self, subscription: Any) -> int | None:
        """Takes one page; answers the last sequence, None where there is no more."""
        last = None
        while True:
            message = await subscription.next_msg(timeout=_TIMEOUT)
            headers = message.headers or {}
            if status := headers.get("Status"):
                if status not in ("204", "404", "503"):  # end of the page, nothing there, no stream yet
                    raise nats.errors.Error(f"{status} {headers.get('Description', '')}")
                return last if int(headers.get("Nats-Num-Pending", 0)) else None
            self._take(message)
            last = int(headers["Nats-Sequence"])
