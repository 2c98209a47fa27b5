"""Calls to the services, on channels of the gateway's own.

Unlike a service's, these calls belong to no transaction, and the metadata that comes back (the
consistency token) goes on to the client. What can be repeated is repeated by gRPC itself, with
jitter, while its budget lasts: reads, and everything that carries a request id. A service that is
dead is refused at once; its channel finds back by itself within a second.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import grpc
import orjson
from google.protobuf.message import Message

from chassis.contract import Rpc
from chassis.errors import Refusal, Unavailable
from chassis.status import refusal_of
from gateway.transcoding import Route

Metadata = tuple[tuple[str, str], ...]

_RETRY = {
    "maxAttempts": 3,
    "initialBackoff": "0.05s",
    "maxBackoff": "0.5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_receive_message_length", 32 * 1024 * 1024),
    ("grpc.max_send_message_length", 32 * 1024 * 1024),
]


class ServiceFailed(Exception):
    """A service answered with an error that no rule wrote: nothing of it is told to the client."""


class PeerUnknown(Exception):
    """The settings name no address for a service that routes need."""


class ServiceAway(Unavailable):
    """A service does not answer."""


class Upstream:
    """One channel to each service; opened at once, connected when first used."""

    def __init__(self, peers: Mapping[str, str], rpcs: Iterable[Rpc]) -> None:
        """
        Raises:
            PeerUnknown: a service has no address.
        """
        by_service: dict[str, list[Rpc]] = {}
        for rpc in {rpc.name: rpc for rpc in rpcs}.values():
            by_service.setdefault(_service(rpc), []).append(rpc)
        if missing := sorted(set(by_service) - set(peers)):
            raise PeerUnknown(f"No address is set for: {', '.join(missing)} (SFA_PEERS).")
        self._channels = {
            service: grpc.aio.insecure_channel(
                peers[service], options=[*_OPTIONS, ("grpc.service_config", _service_config(its))]
            )
            for service, its in by_service.items()
        }

    def unary(self, rpc: Rpc) -> Any:
        """What calls an RPC; see `call`."""
        return self._channels[_service(rpc)].unary_unary(
            rpc.path,
            request_serializer=rpc.request_class.SerializeToString,
            response_deserializer=rpc.response_class.FromString,
        )

    def stream(self, rpc: Rpc) -> Any:
        """What opens a stream; see `stream`."""
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


async def call(callable_: Any, request: Message, metadata: Metadata, seconds: float) -> tuple[Any, Metadata]:
    """Calls, and gives the answer with the metadata that trails it.

    Raises:
        Refusal: the service refused, was away, or was too late.
        ServiceFailed: it failed.
    """
    calling = callable_(request, timeout=seconds, metadata=metadata)
    try:
        return await calling, await calling.trailing_metadata() or ()
    except grpc.aio.AioRpcError as error:
        raise translated(error) from None


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


def _service_config(rpcs: Iterable[Rpc]) -> str:
    repeatable = [rpc for rpc in rpcs if rpc.reads or rpc.takes_request_id]
    names = [
        {"service": rpc.descriptor.containing_service.full_name, "method": rpc.descriptor.name}
        for rpc in repeatable
    ]
    return orjson.dumps(
        {
            "methodConfig": [{"name": names, "retryPolicy": _RETRY}] if names else [],
            # One retry for ten calls that went well; none while more than half of the budget is spent.
            "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.1},
        }
    ).decode()
