"""One running service: its database, its gRPC server, the relay that publishes what it wrote, and the
consumers of what others published. Everything starts whether or not the others are there yet."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from chassis import operations, telemetry
from chassis.client import Peers
from chassis.clock import Clock, SystemClock
from chassis.database import Database
from chassis.eventing import Eventing
from chassis.feed import FeedServicer
from chassis.operations import OperationServicer
from chassis.ownership import OwnershipServicer
from chassis.positions import Positions
from chassis.server import RpcServer, Verifier
from chassis.settings import ServiceSettings
from chassis.store import EntityType
from chassis.subscriptions import Subscriptions

_GRACE = 5.0
_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 32 * 1024 * 1024),
    ("grpc.max_send_message_length", 32 * 1024 * 1024),
    ("grpc.max_concurrent_streams", 1000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
]


@dataclass(frozen=True)
class ServiceContext:
    """What a service is built from."""

    settings: ServiceSettings
    database: Database
    peers: Peers
    clock: Clock
    positions: Callable[[], Positions]
    """How far the others' events have been taken in; to be asked once the service runs."""


@dataclass(frozen=True)
class Service:
    """What a service consists of; its `service.py` reads as a table of contents."""

    name: str
    servicers: Mapping[ServiceDescriptor, Any]
    entities: Sequence[EntityType[Any]] = ()
    subscriptions: Subscriptions = field(default_factory=Subscriptions)
    due: Mapping[str, Callable[..., Awaitable[None]]] = field(default_factory=dict)
    """What is done when work of a kind falls due: `handler(call, key, payload)`."""


Build = Callable[[ServiceContext], Service]


class RunningService:
    """A service in this process."""

    def __init__(
        self,
        build: Build,
        settings: ServiceSettings,
        verifier: Verifier,
        peers: Peers,
        clock: Clock | None = None,
    ) -> None:
        self.build = build
        self.settings = settings
        self.verifier = verifier
        self.peers = peers
        self.clock = clock or SystemClock()
        self.address = settings.listen
        self._stack = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Serves until `stop`. What is not there yet (database, broker, peers) is waited for later."""
        settings = self.settings
        self.database = await Database.connect(
            settings.database_url.get_secret_value(),
            connections=settings.database_connections,
            name=settings.service,
        )
        self._stack.push_async_callback(self.database.close)
        context = ServiceContext(
            settings, self.database, self.peers, self.clock, lambda: self.eventing.freshness
        )
        self.service = service = self.build(context)
        self.eventing = Eventing(service.name, settings, self.database, self.clock, self.verifier,
                                 service.subscriptions, service.due)  # fmt: skip
        await self.eventing.start()
        self._stack.push_async_callback(self.eventing.stop)
        rpcs = RpcServer(
            service.name,
            self.database,
            self.verifier,
            self.clock,
            list(service.entities),
            self.eventing.freshness,
        )
        self.server = grpc.aio.server(options=_OPTIONS)
        servicers = dict(service.servicers)
        ownership = OwnershipServicer(service.entities)
        if ownership.is_needed:
            servicers[ownership.SERVICE] = ownership
        if any(operations.is_step(kind) for kind in service.due):
            servicers[OperationServicer.SERVICE] = OperationServicer()
        servicers[FeedServicer.SERVICE] = FeedServicer(self.database, service.entities, service.servicers)
        self.server.add_generic_rpc_handlers(tuple(rpcs.handlers(servicers)))
        self.health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        names = [descriptor.full_name for descriptor in servicers]
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), self.server)
        port = self.server.add_insecure_port(settings.listen)
        if not settings.listen.startswith("unix:"):
            self.address = f"{settings.listen.rpartition(':')[0]}:{port}"
        await self.server.start()
        self._stack.push_async_callback(self._stop_serving)
        for name in ("", *names):
            await self.health.set(name, health_pb2.HealthCheckResponse.SERVING)
        telemetry.log.info("serving", service=service.name, address=self.address)

    async def _stop_serving(self) -> None:
        await self.health.enter_graceful_shutdown()
        await self.server.stop(_GRACE)

    async def stop(self) -> None:
        """Answers what was asked, publishes what was written, then stops."""
        await self._stack.aclose()

    async def __aenter__(self) -> RunningService:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def forever() -> None:
    """Until cancelled."""
    await asyncio.Event().wait()
