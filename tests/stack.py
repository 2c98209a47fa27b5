"""Services running in the test's own process, on real engines: a database each, one broker, gRPC over
unix sockets, and callers whose tokens they believe."""

from __future__ import annotations

import asyncio
import copy
import importlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import grpc
from nats.aio.client import Client
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError
from nats.js.manager import JetStreamManager
from pydantic import SecretStr

from chassis.broker import stream_of
from chassis.call import Caller
from chassis.client import Peers
from chassis.service import Build, RunningService
from chassis.settings import ServiceSettings
from chassis.tokens import TokenVerifier
from deploy.engines.nats import Nats
from deploy.topology import CONNECTIONS, SERVICES
from tests.callers import CallerChannel, Callers
from tests.clock import MovableClock
from tests.engines import PASSWORD, Databases, TestDatabase

_PATIENCE: Final = 20.0
_POLL: Final = 0.01


class Stack:
    """What a test started. `tenant` is the test's own, `caller` who calls where a test says nobody else."""

    def __init__(
        self,
        postgres: Databases,
        broker: Nats,
        callers: Callers,
        clock: MovableClock,
        caller: Callable[[], Caller],
    ) -> None:
        self.postgres = postgres
        self.nats = broker
        self.callers = callers
        self.clock = clock
        self.databases: dict[str, TestDatabase] = {}
        self.services: dict[str, RunningService] = {}
        self._caller = caller
        self._folder = Path(tempfile.mkdtemp(prefix="sfa-stack-"))
        self._channels: list[grpc.aio.Channel] = []
        self._peers: dict[str, Peers] = {}
        self._watcher: Client | None = None
        self._is_shared = False

    @property
    def tenant(self) -> UUID:
        return self.callers.tenant

    async def start(self, *services: str, build: Build | None = None) -> None:
        """Starts services, each on a migrated database of its own; one that was stopped goes on with its own.

        `build` is for a service that has no code under `services/`: call it `blank`.
        """
        await asyncio.gather(*(self._start(service, build or _build(service)) for service in services))

    async def stop(self, *services: str) -> None:
        """Drains and stops services; their databases stay."""
        assert not self._is_shared, "other tests need it: start a stack of your own"
        for service in services:
            await self.services.pop(service).stop()
            await self._peers.pop(service).close()

    def address(self, service: str) -> str:
        """Where a service is or would be."""
        return f"unix:{self._folder / service}.sock"

    def channel(
        self,
        service: str,
        role: str | None = None,
        *,
        caller: Caller | None = None,
        name: str | None = None,
        **claims: Any,
    ) -> grpc.aio.Channel:
        """A channel to a service that speaks for somebody: the test's caller, a given one, or a role.

        `name` tells one rep from another; `claims` are fields of `Caller`, such as `tenant`.
        """
        channel = grpc.aio.insecure_channel(self.address(service))
        self._channels.append(channel)

        def make() -> Caller:
            if caller is not None:
                return caller
            if role is None and name is None and not claims:
                return self._caller()
            return self.callers.caller(role or "rep", name=name, **claims)

        return CallerChannel.of(channel, self.callers, make)

    def bare_channel(self, service: str) -> grpc.aio.Channel:
        """A channel without a token, for tests that bring their own or none."""
        channel = grpc.aio.insecure_channel(self.address(service))
        self._channels.append(channel)
        return channel

    async def connect(self, service: str, *, as_owner: bool = False) -> asyncpg.Connection[asyncpg.Record]:
        """A connection to a service's database, to look or to meddle; the test closes it."""
        database = self.databases[service]
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
            database.owner_url if as_owner else database.url
        )
        return connection

    async def events(self) -> JetStreamContext:
        """The streams, as somebody who may read all of them."""
        return (await self._watching()).jetstream()

    async def settled(self) -> None:
        """Waits until all that was written has been published, and applied by whoever listens.

        What applying it caused to be written counts too.
        """
        async with asyncio.timeout(_PATIENCE):
            quiet = 0
            while quiet < 2:  # twice, since what is applied last may cause another write
                quiet = quiet + 1 if await self._is_quiet() else 0
                await asyncio.sleep(_POLL)

    def joined(self, callers: Callers, caller: Callable[[], Caller]) -> Stack:
        """The same services, as another test sees them; it leaves when it ends."""
        view = copy.copy(self)
        view.callers, view._caller, view._channels, view._is_shared = callers, caller, [], True
        return view

    async def leave(self) -> None:
        """Closes the test's own channels; everything goes on."""
        for channel in self._channels:
            await channel.close()

    async def close(self) -> None:
        """Stops everything and takes the databases away."""
        await self.leave()
        await asyncio.gather(*(self.stop(service) for service in list(self.services)))
        if self._watcher is not None:
            await self._watcher.close()
        await asyncio.gather(*(self.postgres.drop(database) for database in self.databases.values()))
        shutil.rmtree(self._folder)

    async def _start(self, service: str, build: Build) -> None:
        if service not in self.databases:
            self.databases[service] = await self.postgres.clone(service)
        peers = Peers(
            {peer: self.address(peer) for peer in SERVICES}, token_source=self.callers.token_source(service)
        )
        verifier = TokenVerifier(self.callers.keys, self.clock)
        running = RunningService(build, self.settings(service), verifier, peers, self.clock)
        self.services[service] = running
        self._peers[service] = peers
        await running.start()

    def settings(self, service: str) -> ServiceSettings:
        """What a service of the stack is told of its surroundings."""
        return ServiceSettings(
            service=service,
            database_url=SecretStr(self.databases[service].url),
            database_connections=CONNECTIONS,
            nats_url=self.nats.url(),
            nats_user=service,
            nats_password=SecretStr(PASSWORD),
            listen=self.address(service),
            peers={peer: self.address(peer) for peer in SERVICES},
            key_ring=SecretStr("c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlIC4="),
            secret=SecretStr(PASSWORD),
            bootstrap_secret=SecretStr(PASSWORD),
            service_secrets={each: SecretStr(PASSWORD) for each in SERVICES},
            plain_http=True,
        )

    async def _is_quiet(self) -> bool:
        for service in self.services:
            database = await self.connect(service, as_owner=True)
            try:
                if await database.fetchval("SELECT EXISTS (SELECT FROM app.outbox)"):
                    return False
            finally:
                await database.close()
        management = await self._management()
        for source in self.services:
            try:
                consumers = await management.consumers_info(stream_of(source))
            except NotFoundError:
                return False  # its relay has not made it yet
            listeners = {
                name for name, each in self.services.items() if source in each.service.subscriptions.sources
            }
            if not listeners <= {each.name for each in consumers}:
                return False  # somebody who listens has not begun to
            if any(
                each.name in self.services and (each.num_pending or each.num_ack_pending)
                for each in consumers
            ):
                return False
        return True

    async def _management(self) -> JetStreamManager:
        return (await self._watching()).jsm()

    async def _watching(self) -> Client:
        if self._watcher is None:
            self._watcher = Client()
            await self._watcher.connect(self.nats.url("watcher"), inbox_prefix="_INBOX_watcher")
        return self._watcher


def _build(service: str) -> Build:
    build: Build = importlib.import_module(f"services.{service}.service").build
    return build
