"""A thousand customers want the last hundred units at the same moment, and the service that promises them is
killed twice meanwhile: exactly a hundred are promised, each to one, and nobody is told otherwise."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import asyncpg
import httpx
import pytest

from deploy.installation import Installation
from tests.engines import MakeFolder
from tests.eventually import eventually
from tests.journeys.test_kill_9 import is_another, service
from tests.running import Up
from tests.system import Company

CUSTOMERS = 1000
UNITS = 100
PATIENCE = 60
COPY = """
INSERT INTO data.quotes SELECT (jsonb_populate_record(quote, jsonb_build_object(
    'id', gen_random_uuid(), 'number', 'C-' || copy, 'is_primary', false
))).* FROM data.quotes AS quote, generate_series(1, $1) AS copy
"""


@pytest.fixture
async def up(make_folder: MakeFolder) -> AsyncIterator[Up]:
    """The whole system, a process each."""
    running = Up(make_folder("up"))
    await running.start("--no-demo", "--processes", "each")
    yield running
    await running.stop()


async def test_a_thousand_customers_get_the_last_hundred_units_and_no_more(up: Up) -> None:
    installation = Installation(up.settings)
    company = await Company.founded(installation)
    async with company.signed_in() as client:
        item = await last_units(client)
        quotes = await wanted(client, installation)
        limits = httpx.Limits(max_connections=CUSTOMERS, max_keepalive_connections=CUSTOMERS)
        promised: list[str] = []
        answers: Counter[int] = Counter()
        async with httpx.AsyncClient(
            base_url=client.base_url, headers=client.headers, limits=limits, timeout=PATIENCE
        ) as crowd:

            async def ask(quote: str) -> None:
                pause = 0.1
                while True:
                    try:
                        answer = await crowd.post(f"/v1/quotes/{quote}:holdStock", json={})
                    except httpx.TransportError:
                        answers[0] += 1
                        continue
                    answers[answer.status_code] += 1
                    if answer.status_code == 200:
                        promised.append(quote)
                    if answer.status_code == 200 or "STOCK_NOT_AVAILABLE" in answer.text:
                        return
                    assert answer.status_code in (408, 409, 429, 503, 504), answer.text
                    pause = min(4.0, 2 * pause)  # whoever is asked to come again does so, later each time
                    await asyncio.sleep(pause * random.uniform(0.5, 1))

            asking = [asyncio.ensure_future(ask(quote)) for quote in quotes]
            for enough in (20, 50):
                await eventually(lambda enough=enough: len(promised) >= enough, "some are promised", PATIENCE)
                victim = service("quotes", up)
                assert victim is not None
                victim.kill()
                another = partial(is_another, partial(service, "quotes"), up, victim)
                await eventually(another, "the service is there again", PATIENCE)
            await asyncio.gather(*asking)
        assert len(promised) == len(set(promised)) == UNITS, answers
        there = await promises(client, item)
        assert sorted(each["quoteId"] for each in there) == sorted(promised)
        assert {each["quantity"] for each in there} == {"1"}
        assert {each["covered"] for each in there} == {"1"}


async def last_units(client: httpx.AsyncClient) -> str:
    """A hundred units of a product in one warehouse; answers which stock item that is."""
    price = {"currencyCode": "EUR", "units": "10"}
    await post(client, "/v1/products", {"code": "LAST", "name": "Last units", "listPrice": price})
    await post(client, "/v1/warehouses", {"code": "HH", "name": "Hamburg"})
    level = {"warehouse": "HH", "product": "LAST", "version": "1", "onHand": str(UNITS)}
    said = await post(client, "/v1/stockLevels:batchUpsert", {"rows": [level]})
    assert said["results"][0]["outcome"] == "CREATED", said
    items = (await client.get("/v1/stockItems")).raise_for_status().json()["stockItems"]
    return str(items[0]["id"])


async def wanted(client: httpx.AsyncClient, installation: Installation) -> list[str]:
    """A quote for one unit for each customer: one is written, and the others are copies of it."""
    deal = await post(client, "/v1/opportunities", {"name": "Rush", "amount": {"currencyCode": "EUR"}})
    found = (await client.get("/v1/products")).raise_for_status().json()["products"]
    body = {"opportunityId": deal["id"], "lines": [{"productId": found[0]["id"], "quantity": "1"}]}
    await post(client, "/v1/quotes", body)
    owner = await asyncpg.connect(installation.database_url("quotes", owner=True))
    try:
        await owner.execute(COPY, CUSTOMERS - 1)
        return [str(row["id"]) for row in await owner.fetch("SELECT id FROM data.quotes")]
    finally:
        await owner.close()


async def promises(client: httpx.AsyncClient, item: str) -> list[dict[str, Any]]:
    """What is promised of the stock item."""
    answer = await client.get(f"/v1/stockItems/{item}/promises", params={"pageSize": 500})
    return list(answer.raise_for_status().json()["stockPromises"])


async def post(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What a request that must succeed is answered with."""
    answer = await client.post(path, json=body)
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())
