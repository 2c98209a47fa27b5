"""A gateway over real HTTP, before a real gRPC server that answers what a test tells it to."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis.contract import rpc_of
from chassis.errors import Refusal
from chassis.status import status_of
from chassis.tokens import TokenVerifier
from gateway.contract import Contract, load
from gateway.service import Gateway
from gateway.settings import GatewaySettings
from tests.callers import Callers
from tests.clock import MovableClock

OPPORTUNITIES = "/sfa.opportunities.v1.OpportunityService/"
SERVICES = ("identity", "contacts", "leads", "opportunities", "quotes", "forecast")


@dataclass
class Seen:
    """One call that reached the server."""

    method: str
    request: Any
    metadata: dict[str, str]
    seconds_left: float | None


@dataclass
class Answering(grpc.GenericRpcHandler):
    """Answers every RPC: with what `on` says, else with an empty message."""

    seen: list[Seen] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    trailing: tuple[tuple[str, str], ...] = ()

    def on(self, method: str, answer: Any) -> None:
        """Answers a method (by its short name) with a message, a refusal, or what a function gives."""
        self.answers[method] = answer

    def forget(self) -> None:
        """As new."""
        self.seen.clear()
        self.answers.clear()
        self.trailing = ()

    @property
    def last(self) -> Seen:
        """The last call."""
        return self.seen[-1]

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        rpc = rpc_of(details.method)
        name = rpc.descriptor.name

        async def unary(request: Any, context: Any) -> Any:
            self.seen.append(
                Seen(name, request, dict(context.invocation_metadata()), context.time_remaining())
            )
            answer = self.answers.get(name, rpc.response_class())
            try:
                if callable(answer):
                    answer = answer(request)
                    if inspect.isawaitable(answer):
                        answer = await answer
                if isinstance(answer, Refusal):
                    raise answer
            except Refusal as refusal:
                await context.abort_with_status(status_of(refusal))
            context.set_trailing_metadata(self.trailing)
            return answer

        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            self.seen.append(
                Seen(name, request, dict(context.invocation_metadata()), context.time_remaining())
            )
            try:
                async for message in self.answers[name](request):
                    yield message
            except Refusal as refusal:
                await context.abort_with_status(status_of(refusal))

        codec = {
            "request_deserializer": rpc.request_class.FromString,
            "response_serializer": rpc.response_class.SerializeToString,
        }
        if rpc.descriptor.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, **codec)
        return grpc.unary_unary_rpc_method_handler(unary, **codec)


class Backend:
    """The gRPC server; it can be stopped, and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.address = f"unix:{folder / 'services.sock'}"
        self.answering = Answering()
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Nothing, where it runs."""
        if self._server is not None:
            return
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((self.answering,))
        self._server.add_insecure_port(self.address)
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
            self._server = None


@pytest.fixture(scope="session")
def clock() -> MovableClock:
    """One for all tests here: a gateway is shared by most of them."""
    return MovableClock()


@pytest.fixture(scope="session")
def callers(clock: MovableClock) -> Callers:
    """The same."""
    return Callers(clock)


@pytest.fixture(scope="session")
def contract() -> Contract:
    """The whole contract."""
    return load()


@pytest.fixture(scope="session")
async def shared_backend() -> AsyncIterator[Backend]:
    """A running server for all services."""
    with tempfile.TemporaryDirectory(prefix="sfa-") as folder:
        server = Backend(Path(folder))
        await server.start()
        yield server
        await server.stop()


@pytest.fixture
async def backend(shared_backend: Backend) -> Backend:
    """The server, running and with nothing told to it yet."""
    shared_backend.answering.forget()
    await shared_backend.start()
    return shared_backend


@pytest.fixture
def answering(backend: Backend) -> Answering:
    """What the server answers, and what it was asked."""
    return backend.answering


Start = Callable[..., Awaitable[httpx.AsyncClient]]


@asynccontextmanager
async def serving(
    backend: Backend, callers: Callers, contract: Contract, **settings: Any
) -> AsyncIterator[Gateway]:
    """A running gateway."""
    peers = dict.fromkeys(SERVICES, backend.address)
    made = GatewaySettings(port=0, peers=peers, **({"drain_seconds": 1} | settings))
    gateway = Gateway(made, contract, TokenVerifier(callers.keys, callers.clock))
    await gateway.start()
    yield gateway
    if not gateway.drain.has_begun:
        await gateway.stop()


def client_of(gateway: Gateway, callers: Callers, role: str | None) -> httpx.AsyncClient:
    """A client that speaks for somebody with a role; for nobody where there is none."""
    headers = {"authorization": f"Bearer {callers.token(callers.caller(role))}"} if role else {}
    return httpx.AsyncClient(base_url=gateway.address, headers=headers, timeout=10)


@pytest.fixture
async def start(backend: Backend, callers: Callers, contract: Contract) -> AsyncIterator[Start]:
    """Starts a gateway with settings of its own; gives a client that speaks for a rep."""
    async with AsyncExitStack() as stack:

        async def begin(role: str | None = "rep", **settings: Any) -> httpx.AsyncClient:
            gateway = await stack.enter_async_context(serving(backend, callers, contract, **settings))
            client = await stack.enter_async_context(client_of(gateway, callers, role))
            client.gateway = gateway  # type: ignore[attr-defined]  # so that a test can stop it
            client.verifier = gateway._verifier  # type: ignore[attr-defined]  # and revoke tokens
            return client

        yield begin


@pytest.fixture(scope="session")
async def gateway(shared_backend: Backend, callers: Callers, contract: Contract) -> AsyncIterator[Gateway]:
    """A gateway with default settings."""
    async with serving(shared_backend, callers, contract, anonymous_rate_burst=100_000) as running:
        yield running


@pytest.fixture
async def client(gateway: Gateway, backend: Backend, callers: Callers) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it that speaks for a rep."""
    async with client_of(gateway, callers, "rep") as speaking:
        yield speaking


@pytest.fixture
async def nobody(gateway: Gateway, backend: Backend, callers: Callers) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it that has not signed in."""
    async with client_of(gateway, callers, None) as silent:
        yield silent


def opportunity(**fields: Any) -> pb.Opportunity:
    """An opportunity as a service would answer it."""
    return pb.Opportunity(
        **({"id": "0198c0de-0000-7000-8000-000000000001", "etag": "3", "name": "Deal"} | fields)
    )
