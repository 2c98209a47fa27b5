"""Processes are killed, one after the other, while deals are being entered: what was acknowledged is there, once,
and the forecast is right to the unit."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import httpx
import psutil
import pytest

from deploy.installation import Installation
from tests.engines import MakeFolder
from tests.eventually import eventually
from tests.journeys.conftest import everything
from tests.running import Up
from tests.system import Company

WRITERS = 4
SOME = 15
PATIENCE = 30
Find = Callable[[Up], psutil.Process | None]


@pytest.fixture
async def up(make_folder: MakeFolder) -> AsyncIterator[Up]:
    """The whole system, a process each."""
    running = Up(make_folder("up"))
    await running.start("--no-demo", "--processes", "each")
    yield running
    await running.stop()


@dataclass
class Sales:
    """Enters deals without a pause; one that is not acknowledged is entered again, under the same key."""

    client: httpx.AsyncClient
    acknowledged: dict[str, str] = field(default_factory=dict)
    answers: Counter[int] = field(default_factory=Counter)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    is_over: bool = False

    async def enter(self) -> None:
        """Until it is over."""
        while not self.is_over:
            number = next(self.numbers)
            amount = {"currencyCode": "EUR", "units": str(number)}
            name = f"Deal {number}"
            body: dict[str, object] = {"name": name, "amount": amount}
            answer = await self._once(body, f"deal-{number}")
            while answer.status_code != 201:
                answer = await self._once(body, f"deal-{number}")
            self.acknowledged[answer.json()["id"]] = name

    async def go_on(self, is_so: Callable[[], bool] = lambda: True) -> None:
        """Returns when some more deals have been acknowledged since it was so."""
        await eventually(is_so, "what was killed is running again", PATIENCE)
        enough = len(self.acknowledged) + SOME
        await eventually(lambda: len(self.acknowledged) >= enough, "deals can be entered", PATIENCE)

    async def _once(self, body: dict[str, object], key: str) -> httpx.Response:
        answer = await self.client.post("/v1/opportunities", json=body, headers={"Idempotency-Key": key})
        self.answers[answer.status_code] += 1
        assert answer.status_code in (201, 503), answer.text
        return answer


async def test_what_was_acknowledged_is_there_once_whatever_was_killed(up: Up) -> None:
    company = await Company.founded(Installation(up.settings))
    async with company.signed_in() as client:
        sales = Sales(client)
        entering = [asyncio.ensure_future(sales.enter()) for _ in range(WRITERS)]
        try:
            await sales.go_on()
            for find in VICTIMS.values():
                victim = find(up)
                assert victim is not None
                victim.kill()
                await sales.go_on(partial(is_another, find, up, victim))
        finally:
            sales.is_over = True
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*entering)
        deals = await everything(client, "/v1/opportunities", "opportunities")
        assert {deal["id"]: deal["name"] for deal in deals} == sales.acknowledged
        assert len(deals) == len(sales.acknowledged) == len(set(sales.acknowledged.values()))
        await eventually(
            lambda: forecast_knows(client, len(deals)), "the forecast has heard of all of them", PATIENCE
        )


async def forecast_knows(client: httpx.AsyncClient, number: int) -> bool:
    """Whether so many deals were compared, the others being under way; asserts that none is different."""
    audit = (await client.post("/v1/forecast:audit", json={})).raise_for_status().json()
    assert audit["consistent"], json.dumps(audit["differences"], indent=1)
    return int(audit["deals"]) == number


def service(name: str, up: Up) -> psutil.Process | None:
    """The process that runs a service: it is the one that writes its log."""
    for process in _processes(up):
        with suppress(psutil.Error):
            if any(file.path.endswith(f"/{name}.log") for file in process.open_files()):
                return process
    return None


def engine(name: str, up: Up) -> psutil.Process | None:
    """The first process of an engine, which made the others."""
    for process in _processes(up):
        with suppress(psutil.Error):
            if process.name() == name:
                return process
    return None


def backend(up: Up) -> psutil.Process | None:
    """One of PostgreSQL's, which has a connection of the opportunities service."""
    for process in _processes(up):
        with suppress(psutil.Error):
            if "sfa_opportunities" in " ".join(process.cmdline()):
                return process
    return None


def is_another(find: Find, up: Up, victim: psutil.Process) -> bool:
    return find(up) not in (None, victim)


VICTIMS: dict[str, Find] = {
    "opportunities": partial(service, "opportunities"),
    "forecast": partial(service, "forecast"),
    "broker": partial(engine, "nats-server"),
    "database": partial(engine, "postgres"),
    "connection": backend,
}


def _processes(up: Up) -> list[psutil.Process]:
    return psutil.Process(up.process.pid).children(recursive=True)
