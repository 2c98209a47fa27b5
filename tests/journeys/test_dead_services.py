"""What of the system goes on while a part of it is away, and how it finds back: seen from outside, over HTTP."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
from nats.aio.msg import Msg

from deploy.events import Selection, tail
from deploy.topology import SERVICES
from gateway.service import Gateway
from tests.engines import MakeFolder
from tests.eventually import eventually
from tests.system import ROUTES, Company, System, client_of, lists, unforeseen, working

AT_ONCE = 1.0
NOBODY = "0198c0de-0000-7000-8000-000000000001"
DEALS = 20
numbers = itertools.count(1)


@pytest.fixture(scope="module")
async def system(make_folder: MakeFolder) -> AsyncIterator[System]:
    """The whole system; every test leaves it as it was, and nothing in it was unforeseen."""
    async with System.running(make_folder("system")) as running:
        before = unforeseen()
        yield running
        assert unforeseen() == before


@pytest.fixture(scope="module")
async def company(system: System) -> Company:
    """Its only tenant."""
    return await system.company()


@pytest.fixture(scope="module")
async def client(system: System, company: Company) -> AsyncIterator[httpx.AsyncClient]:
    """Its administrator, at the gateway. Every service has answered."""
    async with company.signed_in() as administrator:
        assert await working(administrator) == set(SERVICES)
        yield administrator


def assert_away(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"]
    assert answer.json()["detail"]


async def refused_at_once(client: httpx.AsyncClient, method: str, path: str, **body: Any) -> None:
    began = time.monotonic()
    answer = await client.request(method, path, **body)
    assert_away(answer)
    assert time.monotonic() - began < AT_ONCE


@pytest.mark.parametrize("service", SERVICES)
async def test_a_dead_service_is_refused_at_once_and_found_again(
    system: System, client: httpx.AsyncClient, service: str
) -> None:
    await system.stop(service)
    try:
        await refused_at_once(client, "GET", lists(service)[0])
        assert await working(client) == set(SERVICES) - {service}
        for route in (route for route in ROUTES if route.service == service):
            path = route.template.replace("{id}", NOBODY)
            answer = await client.request(route.method, path, json={} if route.body else None)
            if answer.status_code != 422 or route.method == "GET":
                assert_away(answer)
    finally:
        await system.start(service)
    await eventually(lambda: works(client, service), f"{service} is found again", 5)


async def works(client: httpx.AsyncClient, service: str) -> bool:
    return (await client.get(lists(service)[0])).status_code == 200


async def test_nobody_is_signed_out_by_a_dead_identity(
    system: System, company: Company, client: httpx.AsyncClient
) -> None:
    form = {"grant_type": "password", "username": company.administrator.email, "password": "x" * 12}
    await system.stop("identity")
    try:
        answer = await company.oauth(**form)
        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
        assert (await client.post("/v1/leads", json=a_lead())).status_code == 201
    finally:
        await system.start("identity")
    await eventually(lambda: works(client, "identity"), "identity is found again")
    assert (await company.oauth(**form)).json()["error"] == "invalid_grant"


async def test_who_needs_a_dead_service_says_so_at_once_and_has_done_nothing(
    system: System, client: httpx.AsyncClient
) -> None:
    deal = (await client.post("/v1/opportunities", json={"name": "Mill"})).raise_for_status().json()
    lead = (await client.post("/v1/leads", json=a_lead())).raise_for_status().json()
    qualified = (await client.post(f"/v1/leads/{lead['id']}:qualify", json={})).raise_for_status().json()
    await system.stop("opportunities")
    try:
        await refused_at_once(client, "POST", "/v1/quotes", json={"opportunityId": deal["id"]})
        await refused_at_once(client, "POST", f"/v1/leads/{lead['id']}:convert", json={})
        await refused_at_once(client, "POST", "/v1/forecast:audit", json={})
        assert (await client.get(f"/v1/leads/{lead['id']}")).json() == qualified
    finally:
        await system.start("opportunities")

    async def is_converted() -> bool:
        answer = await client.post(f"/v1/leads/{lead['id']}:convert", json={})
        assert answer.status_code in (200, 503), answer.text
        return bool(answer.json().get("state") == "CONVERTED")

    await eventually(is_converted, "leads finds it again", 5)
    await eventually(lambda: works(client, "opportunities"), "and so does the gateway")


async def test_a_database_that_is_away_is_said_at_once_and_found_again(
    system: System, client: httpx.AsyncClient
) -> None:
    system.postgres.kill()
    try:
        for service in SERVICES:
            await refused_at_once(client, "GET", lists(service)[0])
        await refused_at_once(client, "POST", "/v1/opportunities", json={"name": "Never"})
        assert (await client.get("/readyz")).status_code == 200
    finally:
        await system.postgres.start()
    await eventually(lambda: all_work(client), "every service finds its database again", 5)
    assert (await client.post("/v1/opportunities", json={"name": "Again"})).status_code == 201
    await forecast_is_true(client)


async def all_work(client: httpx.AsyncClient) -> bool:
    return await working(client) == set(SERVICES)


async def test_writes_go_on_while_the_broker_is_away_and_are_heard_once_it_is_back(
    system: System, client: httpx.AsyncClient
) -> None:
    before = await deals_of_the_forecast_once_it_has_heard_of_all(client)
    system.nats.kill()
    try:
        answers = [
            await client.post("/v1/opportunities", json={"name": f"Deal {number}"}) for number in range(DEALS)
        ]
        assert [answer.status_code for answer in answers] == [201] * DEALS
        won = [answer.json()["id"] for answer in answers[::2]]
        for id in won:
            answer = await client.post(f"/v1/opportunities/{id}:win", json={})
            assert answer.status_code == 200, answer.text
        assert await deals_of_the_forecast(client) == before
    finally:
        await system.nats.start()

    async def caught_up() -> bool:
        return await deals_of_the_forecast(client) == before + DEALS

    await eventually(caught_up, "the forecast hears of all of them")
    await forecast_is_true(client)
    published = await versions_published(system)
    assert len(published) == len(set(published))
    assert {(answer.json()["id"], 1) for answer in answers} | {(id, 2) for id in won} <= set(published)


async def deals_of_the_forecast(client: httpx.AsyncClient) -> int:
    answer = (await client.get("/v1/forecast")).raise_for_status().json()
    return sum(int(cell["total"]["deals"]) for cell in answer["nodes"][0]["cells"])


async def deals_of_the_forecast_once_it_has_heard_of_all(client: httpx.AsyncClient) -> int:
    """The audit is content while a deal waits for the end of its lead's conversion: this is not."""
    listed = (await client.get("/v1/opportunities?pageSize=500")).raise_for_status().json()
    number = len(listed["opportunities"])

    async def heard() -> bool:
        return await deals_of_the_forecast(client) == number

    await eventually(heard, "the forecast counts every deal that there is")
    return number


async def forecast_is_true(client: httpx.AsyncClient) -> None:
    """Waits until the forecast has heard everything; fails where a difference stays."""
    answer = (await client.post("/v1/forecast:audit", json={})).raise_for_status().json()
    assert answer["consistent"], json.dumps(answer["differences"], indent=1)


async def versions_published(system: System) -> list[tuple[str, int]]:
    """What the stream holds of opportunities: id and version, in its order."""
    found: list[tuple[str, int]] = []

    def note(message: Msg) -> None:
        headers = message.headers or {}
        if headers["ce-entity"] == "opportunity":
            found.append((headers["ce-subject"], int(headers["ce-version"])))

    selection = Selection(service="opportunities", since="all")
    await tail(system.installation, selection, follow=False, show=note)
    return found


class Hanging(grpc.GenericRpcHandler):
    """Takes every call, notes how long its caller will wait, and never answers."""

    def __init__(self) -> None:
        self.seconds_left: list[float] = []
        self.given_up = 0

    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        async def never(_: bytes, context: Any) -> bytes:
            self.seconds_left.append(context.time_remaining())
            try:
                await asyncio.Event().wait()
            finally:
                self.given_up += 1
            return b""

        return grpc.unary_unary_rpc_method_handler(never)


@pytest.fixture
async def hanging(system: System, client: httpx.AsyncClient) -> AsyncIterator[Hanging]:
    """In the place of opportunities and contacts."""
    hanging = Hanging()
    await system.stop("opportunities", "contacts")
    servers = []
    for service in ("opportunities", "contacts"):
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((hanging,))
        server.add_insecure_port(system.address(service))
        await server.start()
        servers.append(server)
    yield hanging
    for server in servers:
        await server.stop(0)
    await system.start("opportunities", "contacts")
    await eventually(lambda: all_work(client), "the real ones are found again")


@pytest.fixture
async def hurried(system: System, client: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """The administrator at a gateway that waits for less than a second."""
    settings = system.installation.gateway_settings().model_copy(update={"call_seconds": 0.8, "port": 0})
    async with Gateway(settings) as gateway, client_of(gateway.address) as hurried:
        hurried.headers["authorization"] = client.headers["authorization"]
        yield hurried


async def test_a_deadline_is_passed_on(hurried: httpx.AsyncClient, hanging: Hanging) -> None:
    began = time.monotonic()
    answer = await hurried.post("/v1/quotes", json={"opportunityId": NOBODY})
    assert answer.status_code == 504, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert time.monotonic() - began < 2
    assert hanging.seconds_left
    assert 0 < max(hanging.seconds_left) < 0.85  # of 0.8, and gRPC rounds it up
    await eventually(lambda: hanging.given_up == len(hanging.seconds_left), "nobody waits any more")


async def test_a_service_that_hangs_does_not_bring_down_who_asks_it(
    client: httpx.AsyncClient, hurried: httpx.AsyncClient, hanging: Hanging
) -> None:
    lead = (await client.post("/v1/leads", json=a_lead())).raise_for_status().json()
    await client.post(f"/v1/leads/{lead['id']}:qualify", json={})
    asking = [
        asyncio.ensure_future(client.post(path, json=body))
        for path, body in (
            ("/v1/quotes", {"opportunityId": NOBODY}),
            (f"/v1/leads/{lead['id']}:convert", {}),
            ("/v1/forecast:audit", {}),
        )
        for _ in range(8)
    ]
    await eventually(lambda: len(hanging.seconds_left) >= len(asking), "all of them hang")
    try:
        for service in ("quotes", "leads", "forecast"):
            assert (await hurried.get(lists(service)[0])).status_code == 200, service
    finally:
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


def a_lead() -> dict[str, str]:
    return {"companyName": f"Alder {next(numbers)}", "givenName": "Grace", "familyName": "Hopper"}
