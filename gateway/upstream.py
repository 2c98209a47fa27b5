"""Calls to the services, on channels of the gateway's own.

Unlike a service's, these calls belong to no transaction, and the metadata that comes back (the
consistency token) goes on to the client. What can be repeated is repeated with jitter while the
budget of its service lasts: reads, and everything that carries a request id. (gRPC's own retries
cost every call a tenth of its CPU, also those that go well.) A service that is dead is refused at
once; its channel finds back by itself within a second.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Mapping
from time import monotonic
from typing import Any

import grpc
from google.protobuf.message import Message

from chassis.client import RetryBudget
from chassis.contract import Rpc
from chassis.errors import Refusal
from chassis.status import refusal_of
from gateway.transcoding import Route

Metadata = tuple[tuple[str, str], ...]

_ATTEMPTS = 3
_PAUSE = 0.03
_OPTIONS = [
    ("grpc.enable_retries", 0),
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


class ServiceFailed(Exception):
    """A service answered with an error that no rule wrote: nothing of it is told to the client."""


class PeerUnknown(Exception):
    """The settings name no address for a service that routes need."""


class Upstream:
    """One channel to each service; opened at once, connected when first used."""

    def __init__(self, peers: Mapping[str, str], rpcs: Iterable[Rpc]) -> None:
        """
        Raises:
            PeerUnknown: a service has no address.
        """
        needed = {_service(rpc) for rpc in rpcs}
        if missing := sorted(needed - set(peers)):
            raise PeerUnknown(f"No address is set for: {', '.join(missing)} (SFA_PEERS).")
        self._channels = {
            service: grpc.aio.insecure_channel(peers[service], options=_OPTIONS) for service in needed
        }
        self._budgets = {service: RetryBudget() for service in needed}

    def unary(self, rpc: Rpc) -> Unary:
        """What calls an RPC."""
        service = _service(rpc)
        callable_ = self._channels[service].unary_unary(
            rpc.path,
            request_serializer=rpc.request_class.SerializeToString,
            response_deserializer=rpc.response_class.FromString,
        )
        return Unary(callable_, self._budgets[service], repeatable=rpc.reads or rpc.takes_request_id)

    def stream(self, rpc: Rpc) -> Any:
        """What opens a stream; see `events`."""
        return self._channels[_service(rpc)].unary_stream(
            rpc.path,
            request_serializer=rpc.request_class.SerializeToString,
            response_deserializer=rpc.response_class.FromString,
        )

    def states(self) -> dict[str, str]:
        """The state of each channel, as gRPC names it."""
        return {service: channel.get_state().name.lower() for service, channel in self._channels.items()}

    async def close(self) -> None:
        """Closes all channels."""
        for channel in self._channels.values():
            await channel.close()


class Unary:
    """Calls one RPC, again where that may help."""

    def __init__(self, callable_: Any, budget: RetryBudget, *, repeatable: bool) -> None:
        self._call = callable_
        self._budget = budget
        self._attempts = _ATTEMPTS if repeatable else 1

    async def __call__(self, request: Message, metadata: Metadata, seconds: float) -> tuple[Any, Metadata]:
        """The answer, and the metadata that trails it.

        Raises:
            Refusal: the service refused, was away, or was too late.
            ServiceFailed: it failed.
        """
        self._budget.earn()
        ends = monotonic() + seconds
        for attempt in range(1, self._attempts + 1):
            calling = self._call(request, timeout=seconds, metadata=metadata)
            try:
                return await calling, await calling.trailing_metadata() or ()
            except grpc.aio.AioRpcError as error:
                pause = random.uniform(0.5, 1.5) * _PAUSE * 2**attempt
                seconds = ends - monotonic() - pause
                again = error.code() is grpc.StatusCode.UNAVAILABLE and attempt < self._attempts
                if not again or seconds <= 0 or not self._budget.spend():
                    raise translated(error) from None
            await asyncio.sleep(pause)
        raise AssertionError("unreachable")


async def events(calling: Any) -> AsyncIterator[Any]:
    """The messages of an open stream; raises as `call` does."""
    try:
        async for message in calling:
            yield message
    except grpc.aio.AioRpcError as error:
        raise translated(error) from None


def translated(error: grpc.aio.AioRpcError) -> Exception:
    """The refusal that a failed call carries, or that its status stands for."""
    refusal: Refusal | None = refusal_of(error)
    return refusal or ServiceFailed(f"{error.code().name}: {error.details()}")


def _service(rpc: Rpc) -> str:
    return str(rpc.descriptor.containing_service.file.package).split(".")[1]


def rpcs_of(routes: Iterable[Route]) -> list[Rpc]:
    """The RPCs behind routes."""
    return [route.rpc for route in routes]
