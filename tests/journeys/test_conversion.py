"""A lead is converted while the services that take part are killed, at every step of the way: 30 seconds
after they are back there is exactly one account, one contact and one opportunity, and the lead says so."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest

from deploy.migrating import prepare
from deploy.topology import GATEWAY, SERVICES
from tests.engines import MakeFolder
from tests.eventually import eventually
from tests.system import System

MORTAL = ("leads", "contacts", "opportunities")
AMOUNT = 1000


class Mortals:
    """The services that take part in a conversion, each a process that can be killed."""

    def __init__(self, system: System) -> None:
        self.system = system
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, *services: str) -> None:
        """Starts services as production does."""
        settings = self.system.settings
        for service in services:
            self._processes[service] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "deploy.cli", "serve", service,
                env={**os.environ, "SFA_DATA": str(settings.data), "SFA_PORT": str(settings.port)},
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip

    async def kill(self, service: str) -> None:
        """As the machine's power switch does."""
        process = self._processes.pop(service)
        process.kill()
        await process.wait()

    async def stop(self) -> None:
        """Ends what is left."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(process.wait() for process in self._processes.values()))


@pytest.fixture
async def system(make_folder: MakeFolder) -> AsyncIterator[System]:
    """Engines and all parts that are not to be killed."""
    system = System(make_folder("system"))
    try:
        await asyncio.gather(system.postgres.start(), system.nats.start())
        await prepare(system.installation, list(SERVICES))
        await system.start(*(name for name in (*SERVICES, GATEWAY.name) if name not in MORTAL))
        yield system
    finally:
        await system.close()


@pytest.fixture
async def mortals(system: System) -> AsyncIterator[Mortals]:
    mortals = Mortals(system)
    await mortals.start(*MORTAL)
    yield mortals
    await mortals.stop()


@asynccontextmanager
async def locked(database: asyncpg.Connection[asyncpg.Record], table: str) -> AsyncIterator[None]:
    """Nobody writes to a table within the block: whoever wants to, waits."""
    async with database.transaction():
        await database.execute(f"LOCK TABLE data.{table} IN EXCLUSIVE MODE")
        yield


class Journey:
    """One lead on its way, held up before a step for as long as it takes to kill somebody."""

    def __init__(self, stack: AsyncExitStack, system: System, client: httpx.AsyncClient) -> None:
        self.stack = stack
        self.system = system
        self.client = client
        self.databases: dict[str, asyncpg.Connection[asyncpg.Record]] = {}
        self._looking = asyncio.Lock()  # a connection does one thing at a time

    async def connect(self, service: str) -> asyncpg.Connection[asyncpg.Record]:
        """A connection of its own: one for each lock, one to look."""
        connection = await asyncpg.connect(self.system.installation.database_url(service, owner=True))
        self.stack.push_async_callback(connection.close)
        return connection

    async def capture(self, name: str) -> str:
        """A lead; gives its id."""
        lead = {
            "givenName": "Ada", "familyName": name, "companyName": name,
            "estimatedAmount": {"currencyCode": "EUR", "units": str(AMOUNT)},
            "estimatedCloseDate": {"year": 2030, "month": 2, "day": 3},
        }  # fmt: skip

        ids: list[str] = []

        async def is_made() -> bool:
            answer = await self.client.post("/v1/leads", json=lead)
            ids.extend([answer.json()["id"]] if answer.is_success else [])
            return bool(ids)

        await eventually(is_made, "the lead", 60)
        return ids[0]

    async def convert(self, lead: str) -> None:
        """Asks for it until it has begun: everything that takes part has to be up. Whoever is killed
        meanwhile does not answer."""

        async def has_begun() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                await self.client.post(f"/v1/leads/{lead}:convert", json={})
            return await self.state(lead) != "NEW"

        await eventually(has_begun, "the beginning", 60)

    async def state(self, lead: str) -> str:
        """As the leads' database has it."""
        return str(await self._look("leads", "SELECT state FROM data.leads WHERE id = $1", lead))

    async def count(self, service: str, table: str, lead: str) -> int:
        """How many records were made of a lead, by whoever looks into the database."""
        query = f"SELECT count(*) FROM data.{table} WHERE lead_id = $1"
        return int(await self._look(service, query, lead))

    async def _look(self, service: str, query: str, lead: str) -> Any:
        async with self._looking:
            if service not in self.databases:
                self.databases[service] = await self.connect(service)
            return await self.databases[service].fetchval(query, lead)

    async def counted(self) -> tuple[int, int]:
        """How many deals the forecast has, and their amount, in the month in which all are to close."""
        answer = await self.client.get("/v1/forecast", params={"periods": "2030-02", "groupBy": "OWNER"})
        root = answer.raise_for_status().json()["nodes"][0]
        sums = [cell["total"] for cell in root.get("cells", ())]
        return (
            sum(int(each["deals"]) for each in sums),
            sum(int(each["cumulative"]["pipeline"]["amount"]["units"]) for each in sums),
        )

    async def all_counted(self, deals: int) -> None:
        """Waits until the forecast has so many deals, with their amounts."""

        async def is_so() -> bool:
            return await self.counted() == (deals, AMOUNT * deals)

        await eventually(is_so, "the forecast", 30)


@dataclass(frozen=True)
class Crash:
    """Who is killed when a step has begun, and by what one sees that the step before is done."""

    service: str
    table: str
    victims: tuple[str, ...]
    before: tuple[str, str] | None = None


CRASHES = (
    Crash("contacts", "accounts", ("leads",)),
    Crash("contacts", "contacts", ("leads", "contacts"), before=("contacts", "accounts")),
    Crash("opportunities", "opportunities", ("opportunities",), before=("contacts", "contacts")),
)


async def test_every_crash_leaves_exactly_one_of_each(system: System, mortals: Mortals) -> None:
    company = await system.company()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(company.signed_in())
        journey = Journey(stack, system, client)
        leads = [await journey.capture(f"Acme {number}") for number in range(len(CRASHES) + 1)]
        for done, (crash, lead) in enumerate(zip(CRASHES, leads, strict=False)):
            await journey.all_counted(done)
            await crash_before(journey, mortals, lead, crash)
        await crash_before_the_end(journey, mortals, leads[-1])
        for lead in leads:
            assert await journey.count("contacts", "accounts", lead) == 1
            assert await journey.count("contacts", "contacts", lead) == 1
            assert await journey.count("opportunities", "opportunities", lead) == 1
        await journey.all_counted(len(leads))


async def crash_before(journey: Journey, mortals: Mortals, lead: str, crash: Crash) -> None:
    """Kills the victims when everything before the step is done, and the step has begun."""
    counted = await journey.counted()
    async with locked(await journey.connect(crash.service), crash.table):
        converting = asyncio.create_task(journey.convert(lead))

        async def is_there() -> bool:
            if crash.before is None:
                return await journey.state(lead) == "CONVERTING"
            return await journey.count(*crash.before, lead) == 1

        await eventually(is_there, f"what comes before {crash.table}", 60)
        assert await journey.count(crash.service, crash.table, lead) == 0
        assert await journey.counted() == counted
        for victim in crash.victims:
            await mortals.kill(victim)
    await back_again(journey, mortals, lead, crash.victims, converting)


async def crash_before_the_end(journey: Journey, mortals: Mortals, lead: str) -> None:
    """Kills the leads service when the opportunity is there, and the lead does not know it yet."""
    async with AsyncExitStack() as held:
        async with locked(await journey.connect("opportunities"), "opportunities"):
            converting = asyncio.create_task(journey.convert(lead))

            async def has_contact() -> bool:
                return await journey.count("contacts", "contacts", lead) == 1

            await eventually(has_contact, "the contact", 30)
            await held.enter_async_context(locked(await journey.connect("leads"), "leads"))

        async def has_deal() -> bool:
            return await journey.count("opportunities", "opportunities", lead) == 1

        await eventually(has_deal, "the opportunity", 30)
        assert await journey.state(lead) == "CONVERTING"
        await mortals.kill("leads")
    await back_again(journey, mortals, lead, ("leads",), converting)


async def back_again(
    journey: Journey, mortals: Mortals, lead: str, victims: tuple[str, ...], converting: asyncio.Task[None]
) -> None:
    await mortals.start(*victims)

    async def is_up() -> bool:
        paths = [f"/v1/{victim if victim != 'contacts' else 'accounts'}?pageSize=1" for victim in victims]
        answers = await asyncio.gather(*map(journey.client.get, paths))
        return all(answer.is_success for answer in answers)

    await eventually(is_up, "the restart", 60)

    async def is_converted() -> bool:
        return await journey.state(lead) == "CONVERTED"

    await eventually(is_converted, "the conversion", 30)
    await converting
