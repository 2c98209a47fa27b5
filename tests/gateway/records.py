"""One record of each kind, made through the API: something for tests of every route to work on."""

from __future__ import annotations

from typing import Any

import httpx

MONEY = {"currencyCode": "EUR", "units": "1000"}


async def make(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Creates one record."""
    answer = await client.post(path, json=body)
    assert answer.status_code in (200, 201), f"{path}: {answer.text}"
    return dict(answer.json())


async def records(client: httpx.AsyncClient) -> dict[str, list[str]]:
    """Makes them; gives their ids by collection."""
    account = await make(client, "/v1/accounts", {"name": "Acme"})
    contact = await make(client, "/v1/contacts", {"familyName": "Lovelace", "accountId": account["id"]})
    leads = [
        await make(client, "/v1/leads", {"familyName": "Hopper", "companyName": "Navy"}) for _ in range(3)
    ]
    deals = [
        await make(client, "/v1/opportunities", {"name": "Deal", "accountId": account["id"], "amount": MONEY})
        for _ in range(4)
    ]
    product = await make(
        client, "/v1/products", {"code": "GTX", "name": "GTX", "isActive": True, "listPrice": MONEY}
    )
    quote = await make(
        client, "/v1/quotes", {"name": "Offer", "opportunityId": deals[0]["id"], "currency": "EUR"}
    )
    queue = await make(client, "/v1/queues", {"name": "Inbound"})
    territory = await make(client, "/v1/territories", {"name": "West"})
    book = await make(client, "/v1/priceBooks", {"name": "List"})
    pipelines = (await client.get("/v1/pipelines")).json()["pipelines"]
    return {
        "accounts": [account["id"]],
        "contacts": [contact["id"]],
        "leads": [lead["id"] for lead in leads],
        "opportunities": [deal["id"] for deal in deals],
        "pipelines": [pipeline["id"] for pipeline in pipelines],
        "priceBooks": [book["id"]],
        "products": [product["id"]],
        "queues": [queue["id"]],
        "quotes": [quote["id"]],
        "territories": [territory["id"]],
    }
