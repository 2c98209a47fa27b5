"""The whole system, begun at the wrong end; and whether its parts together stay within what the engines allow."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from deploy.migrating import prepare
from deploy.probing import is_serving
from deploy.provisioning import provision
from deploy.topology import CONNECTIONS, MAX_CONNECTIONS, OWN_CONNECTIONS, SERVICES
from tests.callers import Callers
from tests.clock import MovableClock
from tests.engines import MakeFolder
from tests.eventually import eventually
from tests.system import EVERYTHING, System, asked, client_of, lists, unforeseen, working

AT_ONCE = 12  # more than any pool has


@pytest.fixture(scope="module")
async def system(make_folder: MakeFolder) -> AsyncIterator[System]:
    """Nothing of it runs yet."""
    system = System(make_folder("system"))
    yield system
    await system.close()


async def test_everything_starts_before_what_it_needs_and_serves_once_that_comes(system: System) -> None:
    before = unforeseen()
    for name in reversed(EVERYTHING):
        await system.start(name)
    assert all([await is_serving(system.address(service)) for service in SERVICES])
    callers = Callers(MovableClock())
    async with client_of(system.url, callers.token(callers.caller("administrator"))) as stranger:
        assert await statuses(stranger) == {503}  # nobody can say whether the token is good
        await system.nats.start()
        assert await statuses(stranger) == {503}
        await system.postgres.start()
        assert await statuses(stranger) == {503}  # it is empty
    installation = system.installation
    passwords = {
        "owner_password": installation.owner_password("leads"),
        "service_password": installation.service_password("leads"),
    }
    await provision(installation.admin_url, "leads", **passwords)
    await prepare(installation, ["identity"])
    company = await system.company()
    async with company.signed_in() as client:
        assert await working(client) == {"identity"}
        await prepare(installation, list(SERVICES))
        await eventually(
            lambda: all_work(client), "every service has its database, and has heard of the tenant"
        )
        assert (await client.post("/v1/opportunities", json={"name": "First"})).status_code == 201
        await eventually(lambda: is_in_the_forecast(client), "the forecast hears of it")
    assert unforeseen() == before


async def test_together_the_services_open_fewer_connections_than_the_database_has(system: System) -> None:
    """Each within its share, with all of its pool in use, its relay, and whatever else it may have."""
    company = await system.company("Crowd")
    admin = await asyncpg.connect(system.installation.admin_url)
    try:
        async with company.signed_in() as client:
            writing = [
                client.post(path, json=body)
                for path, body in (
                    ("/v1/accounts", {"name": "Mill"}),
                    ("/v1/leads", {"companyName": "Mill"}),
                    ("/v1/opportunities", {"name": "Mill"}),
                    ("/v1/territories", {"name": "North"}),
                )
                for _ in range(AT_ONCE)
            ]
            reading = [client.get(lists(service)[0]) for service in SERVICES for _ in range(AT_ONCE)]
            answers = await asyncio.gather(*writing, *reading)
        assert {answer.status_code for answer in answers} == {200, 201}
        opened = await connections(admin)
        assert set(opened) == set(SERVICES)
        assert max(opened.values()) <= CONNECTIONS + OWN_CONNECTIONS - 1, opened  # no migration is running
        allowed = int(await admin.fetchval("SHOW max_connections"))
        reserved = int(await admin.fetchval("SHOW superuser_reserved_connections"))
        assert allowed == MAX_CONNECTIONS
        assert len(SERVICES) * (CONNECTIONS + OWN_CONNECTIONS) <= allowed - reserved
    finally:
        await admin.close()


async def statuses(client: httpx.AsyncClient) -> set[int]:
    """What the services answer."""
    return {answer.status_code for answer in (await asked(client)).values()}


async def all_work(client: httpx.AsyncClient) -> bool:
    return await working(client) == set(SERVICES)


async def is_in_the_forecast(client: httpx.AsyncClient) -> bool:
    answer = (await client.get("/v1/forecast")).json()
    nodes = answer.get("nodes") or [{"cells": []}]  # it may not have heard of the tenant yet
    return any(cell["total"]["deals"] == "1" for cell in nodes[0]["cells"])


async def connections(admin: asyncpg.Connection[asyncpg.Record]) -> Counter[str]:
    """The open connections, by the service whose database they are on."""
    rows = await admin.fetch(
        "SELECT datname, count(*) AS number FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY datname"
    )
    return Counter({service_of(row["datname"]): row["number"] for row in rows})


def service_of(database: str) -> str:
    return next(service for service in SERVICES if service in database)
