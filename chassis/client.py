"""Calls to other services: token, deadline and trace are put on by the channel, so that no caller can
forget them. A call that changes nothing, or that carries a request id, is tried again with jitter, as
long as the budget of retries lasts; a service that is dead is known to be so at once.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol, cast

import grpc

from chassis.call import Call, current_call
from chassis.contract import rpc_of

_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # A batch can be wrong in hundreds of fields: they are all named, in the metadata that trails.
    ("grpc.max_metadata_size", 512 * 1024),
    ("grpc.absolute_max_metadata_size", 512 * 1024),
    ("grpc.max_receive_message_length", 32 * 1024 * 1024),
    ("grpc.max_send_message_length", 32 * 1024 * 1024),
]
_ATTEMPTS = 3
_DEFAULT_TIMEOUT = 10.0


class CallAfterWrite(RuntimeError):
    """A programming error: another service was called while rows are locked by a write."""


class TokenSource(Protocol):
    """Where a process that acts for a service gets its token."""

    async def __call__(self, call: Call) -> str:
        """A token for the call's tenant."""
        ...


class RetryBudget:
    """Lets one call in ten be tried again, so that retries cannot double the load on what ails."""

    def __init__(self, share: float = 0.1, most: float = 10.0) -> None:
        self.share, self.most, self.credit = share, most, most

    def earn(self) -> None:
        """A call was made."""
        self.credit = min(self.most, self.credit + self.share)

    def spend(self) -> bool:
        """Whether one may be tried again."""
        if self.credit < 1:
            return False
        self.credit -= 1
        return True


class Peers:
    """Channels to the other services, opened when first used."""

    def __init__(self, addresses: Mapping[str, str], token_source: TokenSource | None = None) -> None:
        self.addresses = dict(addresses)
        self.token_source = token_source
        self._channels: dict[str, PeerChannel] = {}

    def channel(self, service: str) -> PeerChannel:
        """The channel to a service; generated stubs take it."""
        if service not in self._channels:
            channel = grpc.aio.insecure_channel(self.addresses[service], options=_OPTIONS)
            self._channels[service] = PeerChannel(channel, self)
        return self._channels[service]

    async def close(self) -> None:
        """Closes all channels."""
        for channel in self._channels.values():
            await channel.channel.close()
        self._channels.clear()


class PeerChannel:
    """A channel that knows on whose behalf it calls."""

    def __init__(self, channel: grpc.aio.Channel, peers: Peers) -> None:
        self.channel = channel
        self.peers = peers
        self.budget = RetryBudget()

    def unary_unary(self, method: str, request_serializer: Any = None, response_deserializer: Any = None,
                    _registered_method: bool | None = False) -> Callable[..., Awaitable[Any]]:  # fmt: skip
        """What a generated stub asks for."""
        call = self.channel.unary_unary(method, request_serializer, response_deserializer)

        async def invoke(request: Any, *, timeout: float | None = None, metadata: Any = None) -> Any:
            metadata = metadata if metadata is not None else await self._metadata()
            remaining = self._remaining()
            ends = time.monotonic() + (min(timeout, remaining) if timeout else remaining)
            repeatable = _repeatable(method, request)
            self.budget.earn()
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    return await call(request, timeout=ends - time.monotonic(), metadata=metadata)
                except grpc.aio.AioRpcError as error:
                    pause = random.uniform(0.5, 1.5) * 0.03 * 2**attempt  # jitter is no secret
                    late = time.monotonic() + pause > ends
                    if (
                        error.code() is not grpc.StatusCode.UNAVAILABLE
                        or not repeatable
                        or attempt == _ATTEMPTS
                        or late
                        or not self.budget.spend()
                    ):
                        raise
                    await asyncio.sleep(pause)
            raise AssertionError("unreachable")

        return invoke

    def unary_stream(self, method: str, request_serializer: Any = None, response_deserializer: Any = None,
                     _registered_method: bool | None = False) -> Callable[..., AsyncIterator[Any]]:  # fmt: skip
        """What a generated stub asks for."""
        call = self.channel.unary_stream(method, request_serializer, response_deserializer)

        async def invoke(
            request: Any, *, timeout: float | None = None, metadata: Any = None
        ) -> AsyncIterator[Any]:
            metadata = metadata if metadata is not None else await self._metadata()
            async for message in call(request, timeout=timeout, metadata=metadata):
                yield message

        return invoke

    def stream_unary(self, *_: Any, **__: Any) -> Any:
        """Not used by any contract."""

    def stream_stream(self, *_: Any, **__: Any) -> Any:
        """Not used by any contract."""

    async def _metadata(self) -> tuple[tuple[str, str], ...]:
        call = current_call.get()
        if call is None:
            return ()
        if call.tx.wrote:
            raise CallAfterWrite("call other services before the first write: its locks would wait for them")
        if call.deadline is not None:
            # An RPC that asks a service which hangs must not keep one of the few connections from the others.
            # What acts by itself keeps its own: its transaction holds the lock of its piece of work.
            await call.tx.rollback()
        token = call.caller.token
        if not token and self.peers.token_source is not None:
            token = await self.peers.token_source(call)
        metadata: tuple[tuple[str, str], ...] = (("authorization", f"Bearer {token}"),) if token else ()
        if call.traceparent:
            metadata = (*metadata, ("traceparent", call.traceparent))
        if call.caller.user_id is None and call.caller.via:
            metadata = (*metadata, ("sfa-via", call.caller.via))
        return metadata

    def _remaining(self) -> float:
        call = current_call.get()
        if call is None or call.deadline is None:
            return _DEFAULT_TIMEOUT
        return max(0.001, call.deadline - asyncio.get_running_loop().time())


def _repeatable(method: str, request: Any) -> bool:
    rpc = rpc_of(method)
    return rpc.reads or bool(cast("Any", request).request_id if rpc.takes_request_id else False)
