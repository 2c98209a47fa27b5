"""The whole system in the test's own process, as `sfa up` has it, but each part is started and stopped by
the test: engines, services and gateway, seen over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import httpx
from sfa.identity.v1 import organisation_pb2 as pb
from sfa.identity.v1 import organisation_pb2_grpc as stubs

from chassis import telemetry
from chassis.ids import new_id
from deploy.engines.nats import Nats
from deploy.engines.postgres import Postgres
from deploy.installation import Installation
from deploy.migrating import prepare
from deploy.serving import serving
from deploy.settings import Settings
from deploy.topology import GATEWAY, SERVICES, address
from gateway import contract
from gateway.transcoding import Route, routes_of
from tests.running import free_ports

PASSWORD: Final = "correct horse battery staple"
EVERYTHING: Final = (*SERVICES, GATEWAY.name)
CONTRACT: Final = contract.load()
ROUTES: Final[Sequence[Route]] = routes_of(CONTRACT.services)


def lists(service: str) -> list[str]:
    """Paths of a service that can be got as they are, the plainest first."""
    found = [
        route.template
        for route in ROUTES
        if route.service == service
        and route.method == "GET"
        and not (route.variables or route.verb or route.streams or route.is_public)
    ]
    return sorted(found, key=len)


class System:
    """Parts that run until they are stopped; what was written stays while the system lives."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data=folder, port=free_ports())
        self.installation = Installation(self.settings)
        self._parts: dict[str, AsyncExitStack] = {}
        self._held = ExitStack()
        self._held.enter_context(self.installation.held())

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator[System]:
        """Everything, up."""
        system = cls(folder)
        try:
            await system.start_engines()
            await system.start(*EVERYTHING)
            yield system
        finally:
            await system.close()

    @property
    def postgres(self) -> Postgres:
        assert self.installation.postgres is not None
        return self.installation.postgres

    @property
    def nats(self) -> Nats:
        assert self.installation.nats is not None
        return self.installation.nats

    @property
    def url(self) -> str:
        """Where the gateway is."""
        return self.installation.url

    def address(self, service: str) -> str:
        """Where a service is or would be."""
        return address(service, self.settings)

    async def start_engines(self) -> None:
        """Starts the engines, and makes the databases where there are none."""
        await asyncio.gather(self.postgres.start(), self.nats.start())
        await prepare(self.installation, list(SERVICES))

    async def start(self, *names: str) -> None:
        """Starts parts, each with channels, keys and revocations of its own, as in a process of its own."""
        await asyncio.gather(*(self._start(name) for name in names))

    async def stop(self, *names: str) -> None:
        """Stops parts."""
        await asyncio.gather(*(self._parts.pop(name).aclose() for name in names))

    async def close(self) -> None:
        """Stops everything."""
        with self._held:
            await self.stop(*(name for name in self._parts if name == GATEWAY.name))
            await self.stop(*self._parts)
            await asyncio.gather(self.postgres.stop(), self.nats.stop())

    async def company(self, name: str = "Acme") -> Company:
        """A new tenant with one administrator."""
        return await Company.founded(self.installation, name)

    async def _start(self, name: str) -> None:
        stack = AsyncExitStack()
        await stack.enter_async_context(serving((name,), self.installation))
        self._parts[name] = stack


class Company:
    """A tenant as its people reach it: over HTTP."""

    def __init__(self, url: str, made: pb.ProvisionTenantResponse) -> None:
        self.url = url
        self.tenant = made.tenant.id
        self.administrator = made.administrator

    @classmethod
    async def founded(cls, installation: Installation, name: str = "Acme") -> Company:
        """A new one, with one administrator, wherever the system runs."""
        request = pb.ProvisionTenantRequest(
            bootstrap_secret=installation.bootstrap_secret.get_secret_value(),
            tenant=pb.Tenant(id=str(new_id()), name=name, reporting_currency="EUR"),
            administrator=pb.User(
                display_name="Ada", email=f"ada@{name.lower()}.example", roles=[pb.ADMINISTRATOR]
            ),
            password=PASSWORD,
        )
        async with grpc.aio.insecure_channel(address("identity", installation.settings)) as channel:
            tenants = stubs.TenantServiceStub(channel)
            made = await tenants.ProvisionTenant(request, timeout=20, wait_for_ready=True)
        return cls(installation.url, made)

    async def oauth(self, **form: str) -> httpx.Response:
        """Asks the token endpoint."""
        async with httpx.AsyncClient(base_url=self.url, timeout=20) as client:
            return await client.post("/v1/oauth/token", data=form)

    async def tokens(self, name: str = "ada") -> dict[str, Any]:
        """Signs somebody in with the password."""
        form = {"grant_type": "password", "username": self.email(name), "password": PASSWORD}
        return dict((await self.oauth(**form)).raise_for_status().json())

    @asynccontextmanager
    async def signed_in(self, name: str = "ada") -> AsyncIterator[httpx.AsyncClient]:
        """A client of the gateway that speaks for somebody."""
        async with client_of(self.url, (await self.tokens(name))["access_token"]) as client:
            yield client

    def email(self, name: str) -> str:
        """Where somebody's mail goes."""
        return f"{name}@{self.administrator.email.partition('@')[2]}"

    async def hire(self, client: httpx.AsyncClient, name: str, role: str = "REP") -> str:
        """Adds somebody who can sign in; gives the id."""
        body = {"displayName": name.title(), "email": self.email(name), "roles": [role]}
        user = (await client.post("/v1/users", json=body)).raise_for_status().json()
        answer = await client.post(f"/v1/users/{user['id']}:setPassword", json={"newPassword": PASSWORD})
        answer.raise_for_status()
        return str(user["id"])


def client_of(url: str, token: str = "") -> httpx.AsyncClient:
    """A client of a gateway that sends a token, whatever it is; none where it is empty."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=40)


async def asked(client: httpx.AsyncClient) -> dict[str, httpx.Response]:
    """What each service answers to something that asks little of it."""
    answers = await asyncio.gather(*(client.get(lists(service)[0]) for service in SERVICES))
    return dict(zip(SERVICES, answers, strict=True))


async def working(client: httpx.AsyncClient) -> set[str]:
    """The services that do what they are asked; the others say that they are away."""
    answers = await asked(client)
    assert {answer.status_code for answer in answers.values()} <= {200, 503}
    return {service for service, answer in answers.items() if answer.status_code == 200}


def unforeseen() -> float:
    """How many errors there were that no rule foresaw, in all services and the gateway."""
    samples = (sample for metric in telemetry.ERRORS.collect() for sample in metric.samples)
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))
