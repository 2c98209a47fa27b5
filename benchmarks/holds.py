"""Holds on one hot product: how many a second, through gateway and service, each for a quote of its own.

Every hold waits for the one before it on the same stock item; what is measured is how short that is.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from benchmarks.load import closed_loop
from benchmarks.operations import Result, settled
from benchmarks.system import System

TARGET = 300
"""Holds a second."""
_AT_ONCE = 16
_COPY = """
INSERT INTO data.quotes SELECT (jsonb_populate_record(quote, jsonb_build_object(
    'id', gen_random_uuid(), 'number', 'C-' || copy, 'is_primary', false
))).* FROM data.quotes AS quote, generate_series(1, $1) AS copy
"""
"""Of one quote many: making them is not what is measured."""


async def hot_product(system: System, count: int) -> Result:
    """`count` quotes hold one unit each of the same product in the same warehouse."""
    quotes = await _quotes(system, count)
    before = system.tree.cpu_seconds()

    async def hold(number: int) -> Any:
        return await system.client.ask("POST", f"/v1/quotes/{quotes[number]}:holdStock", {})

    load = await closed_loop(hold, count, _AT_ONCE)
    cpu = (system.tree.cpu_seconds() - before) * 1000 / count
    await settled(system)
    return Result("hold stock, one hot product", load, cpu, None, f"≥ {TARGET}/s", load.per_second >= TARGET)


async def _quotes(system: System, count: int) -> list[str]:
    """As many quotes as there are units, each for one of them."""
    ask = system.client.ask
    price = {"currencyCode": "EUR", "units": "10"}
    product = await ask("POST", "/v1/products", {"code": "HOT", "name": "Hot", "listPrice": price})
    await ask("POST", "/v1/warehouses", {"code": "W", "name": "Warehouse"})
    level = {"warehouse": "W", "product": "HOT", "version": "1", "onHand": str(count)}
    await ask("POST", "/v1/stockLevels:batchUpsert", {"rows": [level]})
    deal = await ask("POST", "/v1/opportunities", {"name": "Rush", "amount": price})
    body = {"opportunityId": deal["id"], "lines": [{"productId": product["id"], "quantity": "1"}]}
    await ask("POST", "/v1/quotes", body)
    owner = await asyncpg.connect(system.installation.database_url("quotes", owner=True))
    try:
        await owner.execute(_COPY, count - 1)
        return [str(row["id"]) for row in await owner.fetch("SELECT id FROM data.quotes")]
    finally:
        await owner.close()
