"""The point of the quotes in one story, told over HTTP: a rep puts the best offer together, with stock
behind it; her manager agrees; the customer accepts on a plain page; the ERP delivers and is paid; and the
forecast has known of every step."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.engines import MakeFolder
from tests.eventually import eventually
from tests.system import System, client_of

DRILLS, BITS = 6, 7


@pytest.fixture
async def system(make_folder: MakeFolder) -> AsyncIterator[System]:
    async with System.running(make_folder("system")) as running:
        yield running


def euros(amount: str) -> dict[str, Any]:
    units, _, cents = amount.partition(".")
    return {"currencyCode": "EUR", "units": units, "nanos": int((cents + "000000000")[:9] or 0)}


def amount(money: dict[str, Any]) -> str:
    return f"{money.get('units', '0')}.{money.get('nanos', 0) // 10_000_000:02d}"


class Person:
    """Somebody at the gateway: what is refused fails the test with what was said."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        return self.answered(await self.client.post(f"/v1/{path}", json=body))

    async def get(self, path: str) -> dict[str, Any]:
        return self.answered(await self.client.get(f"/v1/{path}"))

    async def patch(self, path: str, **body: Any) -> dict[str, Any]:
        return self.answered(await self.client.patch(f"/v1/{path}", json=body))

    async def rows(self, path: str, *rows: dict[str, Any]) -> list[dict[str, Any]]:
        """Many at once, none of which may be refused."""
        results = (await self.post(f"{path}:batchUpsert", rows=list(rows)))["results"]
        assert not [result for result in results if result.get("error")], results
        return list(results)

    @staticmethod
    def answered(answer: httpx.Response) -> dict[str, Any]:
        assert answer.is_success, f"{answer.request.method} {answer.request.url.path}: {answer.text}"
        return dict(answer.json())


async def catalogue(office: Person) -> dict[str, str]:
    """Drills and bits, what they cost us, tax, and two promotions that fight for the same bits."""
    made = {}
    for code, price, cost in (("DRILL", "100", "60"), ("BIT", "10", "4")):
        product = await office.post(
            "products", code=code, name=code.title(), taxClass="standard", listPrice=euros(price)
        )
        made[code] = product["id"]
        await office.rows(
            "productCosts", {"productCost": {"productId": product["id"], "unitCost": euros(cost)}}
        )
    await office.post("taxRates", name="VAT", region="DE", taxClass="standard", percent="19")
    bits = {"productIds": [made["BIT"]]}
    promotions = (
        {
            "code": "THREE-FOR-TWO",
            "benefit": {
                "buyGet": {"buy": bits, "buyQuantity": 2, "get": bits, "getQuantity": 1, "percent": "100"}
            },
            "stacking": {"mode": "EXCLUSIVE_IN_GROUP", "group": "bits"},
        },
        {
            "code": "TEN-OFF",
            "benefit": {"percentOff": {"percent": "10", "target": bits}},
            "stacking": {"mode": "EXCLUSIVE_IN_GROUP", "group": "bits"},
        },
        {
            "code": "BIG-CART",
            "benefit": {"percentOff": {"percent": "5", "target": {"productIds": [made["DRILL"]]}}},
            "conditions": {"requirements": [{"minSpend": "1000"}]},
        },
    )
    for promotion in promotions:
        each = await office.post("promotions", name=promotion["code"], currency="EUR", **promotion)
        await office.post(f"promotions/{each['id']}:activate")
        made[str(promotion["code"])] = each["id"]
    return made


async def stock(erp: Person, on_hand: int) -> None:
    await erp.rows(
        "stockLevels",
        {"warehouse": "HH", "product": "DRILL", "version": "1", "onHand": str(on_hand)},
        {"warehouse": "HH", "product": "BIT", "version": "1", "onHand": "100"},
    )


async def offered(
    rep: Person, deal: dict[str, Any], products: dict[str, str], **fields: Any
) -> dict[str, Any]:
    lines = [
        {"productId": products["DRILL"], "quantity": str(DRILLS)},
        {"productId": products["BIT"], "quantity": str(BITS)},
    ]
    return await rep.post(
        "quotes", opportunityId=deal["id"], taxRegion="DE", isPrimary=True, lines=lines, **fields
    )


async def closed_amount(manager: Person) -> str:
    forecast = await manager.get("forecast?depth=0")
    return amount(forecast["nodes"][0]["cells"][0]["total"]["alone"]["closed"].get("amount", {}))


async def test_from_the_best_offer_to_the_payment(system: System) -> None:
    company = await system.company()
    async with company.signed_in() as administrator:
        office = Person(administrator)
        mona, rita = await asyncio.gather(
            company.hire(administrator, "mona", "MANAGER"), company.hire(administrator, "rita")
        )
        await office.post("reportingLines", userId=rita, managerId=mona)
        products = await catalogue(office)
        await office.post("warehouses", code="HH", name="Hamburg")
        await stock(office, on_hand=10)
        async with company.signed_in("mona") as managing, company.signed_in("rita") as selling:
            await tell(system, office, Person(managing), Person(selling), products, mona)


async def tell(
    system: System, office: Person, manager: Person, rep: Person, products: dict[str, str], mona: str
) -> None:
    account = await rep.post("accounts", name="Mill & Sons")
    deal = await rep.post("opportunities", name="Workshop", accountId=account["id"], amount=euros("1"))

    # The best combination: 7 bits are 2 × (2 + 1 free), which beats ten percent.
    quote = await offered(rep, deal, products)
    assert [each["code"] for each in quote["promotions"]] == ["THREE-FOR-TWO"]
    assert amount(quote["total"]) == "650.00"  # 6 × 100 + 5 × 10
    assert amount(quote["taxTotal"]) == "123.50"
    assert amount(quote["payableTotal"]) == "773.50"
    why = await rep.get(f"quotes/{quote['id']}:explain")
    reasons = {each["promotionId"]: each["reason"] for each in why["unused"]}
    assert "THREE-FOR-TWO" in reasons[products["TEN-OFF"]]
    assert "330.00 more" in reasons[products["BIG-CART"]]
    assert why["next"]

    # A discount by hand comes after the promotions, and her manager has to agree.
    await office.post(
        "approvalRules",
        name="More than a tenth",
        condition={"discountAbovePercent": "10", "discountBasis": "MANUAL"},
        approvers=[{"ownersManager": 1}],
    )
    quote = await rep.patch(f"quotes/{quote['id']}", discountPercent="20")
    assert amount(quote["total"]) == "520.00"
    refused = await rep.client.post(f"/v1/quotes/{quote['id']}:send", json={})
    assert refused.json()["reason"] == "APPROVAL_REQUIRED", refused.text
    quote = await rep.post(f"quotes/{quote['id']}:submit", comment="They buy every year.")
    assert quote["state"] == "IN_APPROVAL"
    waiting = (await manager.get("approvals:waiting"))["approvals"]
    assert [each["quoteId"] for each in waiting] == [quote["id"]]
    await manager.post(f"approvals/{waiting[0]['id']}:approve")
    quote = await rep.get(f"quotes/{quote['id']}")
    assert quote["state"] == "APPROVED"

    # The goods are held for it: nobody else can be promised them.
    await rep.post(f"quotes/{quote['id']}:holdStock")
    other = await offered(rep, deal, products, name="Too late")
    late = await rep.client.post(f"/v1/quotes/{other['id']}:holdStock", json={})
    assert late.status_code in (400, 409), late.text
    assert "STOCK" in late.json()["reason"]

    # It is sent, and the customer accepts on the page that needs nothing but a browser.
    quote = await rep.post(f"quotes/{quote['id']}:send")
    link = await rep.post("acceptanceLinks", quoteId=quote["id"], recipientName="Jo Mill")
    path = "/q/" + link["url"].partition("/q/")[2]
    async with client_of(system.url) as customer:
        page = await customer.get(path, headers={"user-agent": "Phone/1.0"})
        assert page.status_code == 200
        assert "618.80" in page.text.replace("\N{NO-BREAK SPACE}", " ")  # 520.00 and 19 %
        pdf = await customer.get(f"{path}/document")
        assert pdf.content.startswith(b"%PDF")
        shown = re.search(r'name="document" value="([0-9a-f]{64})"', page.text)
        assert shown
        form = {"document": shown[1], "action": "accept", "name": "Jo Mill", "agree": "yes"}
        answer = await customer.post(path, data=form)
        assert answer.status_code == 303, answer.text
    quote = await rep.get(f"quotes/{quote['id']}")
    assert quote["state"] == "ACCEPTED"
    assert quote["acceptedBy"] == "Jo Mill"

    # The deal is won, once, for what was accepted, and the forecast knows.
    async def won() -> bool:
        return bool((await rep.get(f"opportunities/{deal['id']}"))["state"] == "WON")

    await eventually(won, "the acceptance wins the deal")
    assert amount((await rep.get(f"opportunities/{deal['id']}"))["amount"]) == "520.00"

    async def forecast() -> bool:
        return await closed_amount(manager) == "520.00"

    await eventually(forecast, "the forecast counts it as closed")

    # The ERP confirms, delivers in two parts, is paid; what it says twice counts once.
    order = await office.get(f"orders/{quote['orderId']}")
    drills, bits = (line["id"] for line in order["lines"])
    confirmed = {
        "order": order["number"],
        "version": "1",
        "erpOrder": "SO-1",
        "lines": [
            {"lineId": drills, "confirmedQuantity": str(DRILLS)},
            {"lineId": bits, "confirmedQuantity": str(BITS)},
        ],
    }
    parts = [
        {"shipment": "S-1", "version": "1", "warehouse": "HH", "order": order["number"],
         "lines": [{"product": "DRILL", "quantity": str(DRILLS)}]},
        {"shipment": "S-2", "version": "1", "warehouse": "HH", "order": order["number"],
         "lines": [{"product": "BIT", "quantity": str(BITS)}]},
    ]  # fmt: skip
    for _ in range(2):
        await office.rows("orderConfirmations", confirmed)
        await office.rows("shipments", parts[0])
    assert (await office.get(f"orders/{order['id']}"))["state"] == "PARTLY_SHIPPED"
    await office.rows("shipments", *parts)
    payable = order["payableTotal"]
    await office.rows(
        "invoices", {"invoice": "I-1", "version": "1", "order": order["number"], "total": payable}
    )
    await office.rows(
        "payments",
        {"payment": "P-1", "version": "1", "order": order["number"], "invoice": "I-1", "amount": payable},
    )
    order = await office.get(f"orders/{order['id']}")
    assert order["state"] == "PAID"
    assert amount(order["paidTotal"]) == "618.80"
    items = (await office.get(f'stockItems?filter=product_id = "{products["DRILL"]}"'))["stockItems"]
    assert [(item["onHand"], item["shipped"]) for item in items] == [("10", str(DRILLS))]
    promises = await office.get(f"stockItems/{items[0]['id']}/promises")
    assert not [each for each in promises.get("stockPromises", ()) if each["shipped"] != each["quantity"]]
