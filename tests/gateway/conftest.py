"""A gateway over real HTTP, before a real gRPC server that answers what a test tells it to."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from sfa.identity.v1 import auth_pb2
from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis.contract import rpc_of
from chassis.errors import Refusal
from chassis.status import status_of
from chassis.tokens import TokenVerifier
from gateway.contract import Contract, comments_of, load
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
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((self.answering,))
        self._server.add_insecure_port(self.address)
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
            self._server = None


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    """A running server for all services."""
    server = Backend(tmp_path)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def answering(backend: Backend) -> Answering:
    """What the server answers, and what it was asked."""
    return backend.answering


@pytest.fixture(scope="session")
def contract() -> Contract:
    """The whole contract."""
    return load()


Start = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def start(
    backend: Backend, callers: Callers, clock: MovableClock, contract: Contract
) -> AsyncIterator[Start]:
    """Starts a gateway with settings of its own; gives a client that speaks for a rep."""
    running: list[tuple[Gateway, httpx.AsyncClient]] = []

    async def begin(role: str | None = "rep", **settings: Any) -> httpx.AsyncClient:
        peers = dict.fromkeys(SERVICES, backend.address)
        made = GatewaySettings(port=0, peers=peers, **({"drain_seconds": 1} | settings))
        gateway = Gateway(made, contract, TokenVerifier(callers.keys, clock))
        await gateway.start()
        headers = {"authorization": f"Bearer {callers.token(callers.caller(role))}"} if role else {}
        client = httpx.AsyncClient(base_url=gateway.address, headers=headers, timeout=10)
        client.gateway = gateway  # type: ignore[attr-defined]  # so that a test can stop it
        running.append((gateway, client))
        return client

    yield begin
    for gateway, client in running:
        await client.aclose()
        if not gateway.drain.has_begun:
            await gateway.stop()


@pytest.fixture
async def client(start: Start) -> httpx.AsyncClient:
    """A client of a gateway with default settings."""
    return await start()


def opportunity(**fields: Any) -> pb.Opportunity:
    """An opportunity as a service would answer it."""
    return pb.Opportunity(
        **({"id": "0198c0de-0000-7000-8000-000000000001", "etag": "3", "name": "Deal"} | fields)
    )


__all__ = ["Answering", "Backend", "Start", "asyncio", "auth_pb2", "comments_of", "opportunity"]
