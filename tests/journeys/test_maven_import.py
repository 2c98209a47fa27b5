"""8,800 real deals go in through the command line, and every figure comes out of the API and the forecast."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx

from tests.eventually import eventually
from tests.journeys.conftest import PASSWORD, Company, everything
from tests.shared_data import shared_data

MAPPING = Path(__file__).parents[2] / "docs" / "examples" / "maven_crm.yaml"
STATES = {"Won": 4238, "Lost": 2473, "Engaging": 1589, "Prospecting": 500}
WON = 10_005_534
WON_BY_QUARTER = {"2017-Q1": 1_134_672, "2017-Q2": 3_086_111, "2017-Q3": 2_982_255, "2017-Q4": 2_802_496}
WON_BY_REGION = {"West": 3_568_647, "Central": 3_346_293, "East": 3_090_594}
OPEN_AT_LIST_PRICE = 4_966_215
ROWS = {"regions": 35, "managers": 35, "agents": 35, "accounts": 85, "products": 7, "deals": 8800}

Deal = dict[str, str]


class Files:
    """The figures as plain arithmetic on the files has them."""

    def __init__(self, folder: Path) -> None:
        self.deals = self._rows(folder / "sales_pipeline.csv")
        self.prices = {row["product"]: int(row["sales_price"]) for row in self._rows(folder / "products.csv")}
        team = self._rows(folder / "sales_teams.csv")
        self.manager = {row["sales_agent"]: row["manager"] for row in team}
        self.region = {row["sales_agent"]: row["regional_office"] for row in team}
        for deal in self.deals:
            deal["product"] = deal["product"].replace("GTXPro", "GTX Pro")

    def won(self, by: Callable[[Deal], str]) -> dict[str, int]:
        """Value of the won deals, by something."""
        sums: Counter[str] = Counter()
        for deal in self.deals:
            if deal["deal_stage"] == "Won":
                sums[by(deal)] += int(deal["close_value"])
        return dict(sums)

    @staticmethod
    def _rows(path: Path) -> list[Deal]:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


async def test_real_sales_data_in_and_every_figure_out(company: Company) -> None:
    folder = shared_data("maven_crm")
    files = Files(folder)
    await it_says_what_it_cannot_do(company, folder)
    await a_dry_run_writes_nothing(company, folder)
    await it_is_cut_off_and_goes_on(company, folder)
    async with company.sign_in() as client:
        await the_api_has_every_figure(client, files)
        await every_deal_has_its_past(client, files)
        await the_forecast_has_every_figure(client, files)
        await the_report_shows_them(company)
        await the_last_quarter_is_replayed(company)
        await everybody_sees_their_part(company, client, files)
        await again_nothing_changes(company, client, folder)


async def run_import(company: Company, target: Path, *options: str) -> tuple[int, dict[str, Any]]:
    state = company.folder / "state"
    process = await company.sfa("import", target, "-m", MAPPING, "--state", state, "--json", *options)
    out, err = await process.communicate()
    assert out, err.decode()
    return process.returncode or 0, json.loads(out)


def only(
    outcome: str, rows: dict[str, int], said_before: dict[str, int] | None = None
) -> dict[str, dict[str, int]]:
    """What a summary says where all rows came to the same, but for those that repeat an earlier one."""
    none = {"created": 0, "updated": 0, "unchanged": 0, "rejected": 0}
    repeated = said_before or {}
    return {
        name: none | {"unchanged": repeated.get(name, 0)} | {outcome: count - repeated.get(name, 0)}
        for name, count in rows.items()
    }


# One row of three says a region for the first time, one of six a manager.
FIRST = only("created", ROWS, {"regions": 32, "managers": 29})
AGAIN = only("unchanged", ROWS)


async def it_says_what_it_cannot_do(company: Company, folder: Path) -> None:
    (company.folder / "empty").mkdir()
    bad = company.folder / "bad.yaml"
    bad.write_text("system: maven\nsauces: {}\n", "utf-8")
    for arguments, status, sentence in (
        ((folder, "-m", bad), 2, "bad.yaml, line 2: sauces: there is no such word here."),
        ((company.folder / "empty", "-m", MAPPING), 2, "there is no file here that the mapping knows"),
        ((folder, "-m", MAPPING, "--password", "wrong"), 3, "cannot sign in"),
        ((folder, "-m", MAPPING, "--url", "http://127.0.0.1:1"), 3, "cannot be reached"),
    ):
        process = await company.sfa("import", *arguments, "--state", company.folder / "state")
        _, err = await process.communicate()
        assert (process.returncode, sentence in err.decode()) == (status, True), err.decode()


async def a_dry_run_writes_nothing(company: Company, folder: Path) -> None:
    status, summary = await run_import(company, folder, "--dry-run")
    assert (status, summary["entities"], summary["dryRun"]) == (0, FIRST, True)
    async with company.sign_in() as client:
        assert await everything(client, "/v1/opportunities", "opportunities") == []


async def it_is_cut_off_and_goes_on(company: Company, folder: Path) -> None:
    state = company.folder / "state"
    journal = state / "results.jsonl"
    process = await company.sfa("import", folder, "-m", MAPPING, "--state", state)
    await eventually(
        lambda: journal.exists() and journal.read_bytes().count(b'"entity":"deals"') >= 3, "the import", 120
    )
    process.kill()
    await process.communicate()
    status, summary = await run_import(company, folder)
    assert (status, summary["entities"], summary["resumed"]) == (0, FIRST, True)
    with (state / "results.csv").open(newline="", encoding="utf-8") as file:
        results = list(csv.DictReader(file))
    assert len(results) == sum(ROWS.values())
    assert len({row["id"] for row in results if row["entity"] == "deals"}) == 8800


async def the_api_has_every_figure(client: httpx.AsyncClient, files: Files) -> None:
    deals = await everything(client, "/v1/opportunities", "opportunities")
    assert len(deals) == len({deal["id"] for deal in deals}) == 8800
    pipeline = (await client.get("/v1/pipelines")).json()["pipelines"][0]
    stages = {stage["id"]: stage["name"] for stage in pipeline["stages"]}
    by_stage = Counter(stages[deal["stageId"]] for deal in deals)
    assert by_stage == {"Won": 4238, "Lost": 2473, "Qualification": 1589, "Contact": 500}
    won = [deal for deal in deals if deal["state"] == "WON"]
    assert total(won) == WON

    agents = await names(client, "/v1/users", "users", "displayName")
    regions = await names(client, "/v1/territories", "territories", "name")
    lines = await everything(client, "/v1/reportingLines", "reportingLines")
    manager = {line["userId"]: agents[line["managerId"]] for line in lines}
    covered = await everything(client, "/v1/territoryAssignments", "territoryAssignments")
    region = {each["userId"]: regions[each["territoryId"]] for each in covered}
    products = await names(client, "/v1/products", "products", "name")

    assert sums(won, lambda deal: quarter(deal["closeDate"])) == WON_BY_QUARTER
    assert sums(won, lambda deal: region[deal["ownerId"]]) == WON_BY_REGION
    assert sums(won, lambda deal: manager[deal["ownerId"]]) == files.won(
        lambda deal: files.manager[deal["sales_agent"]]
    )
    assert sums(won, lambda deal: agents[deal["ownerId"]]) == files.won(lambda deal: deal["sales_agent"])
    assert sums(won, product_of(products)) == files.won(lambda deal: deal["product"])

    still_open = [deal for deal in deals if deal["state"] == "OPEN"]
    assert total(still_open) == OPEN_AT_LIST_PRICE
    assert not [deal for deal in still_open if deal.get("closeDate")]
    assert sum(not deal.get("accountId") for deal in still_open) == 1425
    assert sum(product_of(products)(deal) == "GTX Pro" for deal in deals) == 1480
    assert len(manager.keys() - {deal["ownerId"] for deal in deals}) == 5
    accounts = await everything(client, "/v1/accounts", "accounts")
    assert (len(accounts), sum(bool(each.get("parentAccountId")) for each in accounts)) == (85, 15)


async def every_deal_has_its_past(client: httpx.AsyncClient, files: Files) -> None:
    """A few of each kind: opened at the engage date at list price, decided at the close date."""
    for stage in STATES:
        for row in [deal for deal in files.deals if deal["deal_stage"] == stage][:3]:
            body = {"externalIds": [{"system": "maven", "id": row["opportunity_id"]}]}
            (deal,) = (await client.post("/v1/opportunities:batchGet", json=body)).json()["opportunities"]
            versions = (await client.get(f"/v1/opportunities/{deal['id']}/versions")).json()["versions"]
            past = [
                (
                    version["event"],
                    version["opportunity"]["effectiveTime"][:10],
                    total([version["opportunity"]]),
                )
                for version in reversed(versions)
            ]
            price = files.prices[row["product"]]
            match stage:
                case "Won" | "Lost":
                    worth = int(row["close_value"]) if stage == "Won" else price
                    opened = ("OpportunityCreated", row["engage_date"], price)
                    assert past == [opened, (f"Opportunity{stage}", row["close_date"], worth)]
                    assert deal["closeTime"][:10] == row["close_date"]
                    before = {"effectiveAsOf": f"{row['engage_date']}T12:00:00Z"}
                    then = (await client.get(f"/v1/opportunities/{deal['id']}", params=before)).json()
                    assert (then["state"], total([then]), then.get("closeDate")) == ("OPEN", price, None)
                case "Engaging":
                    assert past == [("OpportunityCreated", row["engage_date"], price)]
                case _:
                    assert past == [("OpportunityCreated", deal["createTime"][:10], price)]


async def the_forecast_has_every_figure(client: httpx.AsyncClient, files: Files) -> None:
    async def has_heard_all() -> bool:
        cells = (await forecast(client, "OWNER", "FY2017"))["nodes"][0]["cells"]
        totals = [cell["total"] for cell in cells]
        won = sum(int(each["alone"]["closed"]["deals"]) for each in totals)
        lost = sum(int(each["lost"]["deals"]) for each in totals)
        every = sum(int(each["deals"]) for each in totals)
        return (every, won, lost) == (8800, STATES["Won"], STATES["Lost"])

    await eventually(has_heard_all, "the forecast's knowledge of 8,800 deals", 120)
    root = (await forecast(client, "OWNER", "2017-Q1..2017-Q4"))["nodes"][0]
    assert {
        cell["periodId"]: closed(cell) for cell in root["cells"] if cell["periodId"] != "undated"
    } == WON_BY_QUARTER
    undated = next(cell["total"] for cell in root["cells"] if cell["periodId"] == "undated")
    assert (int(undated["deals"]), amount(undated["cumulative"]["pipeline"]["amount"])) == (
        2089,
        OPEN_AT_LIST_PRICE,
    )
    assert sum(int(cell["total"]["lost"]["deals"]) for cell in root["cells"]) == STATES["Lost"]

    async def by(group: str, kind: str) -> dict[str, int]:
        nodes = (await forecast(client, group, "FY2017"))["nodes"]
        return {
            node["name"]: value
            for node in nodes
            if node["kind"] == kind and (value := closed(node["cells"][0]))
        }

    assert list((await by("OWNER", "ALL")).values()) == [WON]
    assert await by("TERRITORY", "TERRITORY") == WON_BY_REGION
    agents = files.won(lambda deal: deal["sales_agent"])
    managers = files.won(lambda deal: files.manager[deal["sales_agent"]])
    assert await by("OWNER", "USER") == agents
    assert await by("TEAM", "USER") == agents | managers
    assert await by("PRODUCT", "PRODUCT") == files.won(lambda deal: deal["product"])
    audit = (await client.post("/v1/forecast:audit", json={})).json()
    assert (audit["consistent"], audit["deals"], audit["differenceCount"]) == (True, "8800", "0")


async def the_report_shows_them(company: Company) -> None:
    """As things were in the middle of the fourth quarter, with what was won in all of it drawn in."""
    file = company.folder / "report.html"
    options = (
        "--period",
        "2017-Q4",
        "--as-of",
        "2017-11-15",
        "--business-time",
        "--backtest",
        "none",
        "-o",
        file,
    )
    process = await company.sfa("forecast", "report", *options)
    _, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    page = file.read_text("utf-8")
    assert "Forecast report: Q4 2017" in page
    assert "Actual 2.8 M" in page
    assert all(f'title="{name}"' in page for name in ("All", "Melvin Marxen", "Darcel Schlecht"))


async def the_last_quarter_is_replayed(company: Company) -> None:
    """What would have been predicted of its months on the evening before each."""
    options = ("--from", "2017-10", "--to", "2017-12", "--by", "territory", "--json")
    process = await company.sfa("forecast", "backtest", *options)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    replayed = json.loads(out)
    assert [month["periodId"] for month in replayed["months"]] == ["2017-10", "2017-11", "2017-12"]
    assert not any(month["refused"] for month in replayed["months"])
    methods = {score["method"] for score in replayed["result"]["scores"]}
    assert {"system", "last_period", "weighted_pipeline"} <= {
        name.lower().replace(" ", "_") for name in methods
    }


async def everybody_sees_their_part(company: Company, client: httpx.AsyncClient, files: Files) -> None:
    ids = {user["email"]: user["id"] for user in await everything(client, "/v1/users", "users")}
    deals = Counter(deal["sales_agent"] for deal in files.deals)
    team = sum(count for agent, count in deals.items() if files.manager[agent] == "Celia Rouche")
    for email, count in (("darcel.schlecht", deals["Darcel Schlecht"]), ("celia.rouche", team)):
        address = f"{email}@maventech.example"
        (
            await client.post(f"/v1/users/{ids[address]}:setPassword", json={"newPassword": PASSWORD})
        ).raise_for_status()
        async with company.sign_in(address) as person:
            assert len(await everything(person, "/v1/opportunities", "opportunities")) == count, email


async def again_nothing_changes(company: Company, client: httpx.AsyncClient, folder: Path) -> None:
    before = await everything(client, "/v1/opportunities", "opportunities")
    status, summary = await run_import(company, folder)
    assert (status, summary["entities"], summary["resumed"]) == (0, AGAIN, False)
    status, summary = await run_import(company, folder / "us_dates")
    assert (status, summary["entities"]) == (0, {"deals": AGAIN["deals"]})
    assert await everything(client, "/v1/opportunities", "opportunities") == before


async def forecast(client: httpx.AsyncClient, group_by: str, *periods: str) -> dict[str, Any]:
    answer = await client.get("/v1/forecast", params={"groupBy": group_by, "periods": list(periods)})
    return dict(answer.raise_for_status().json())


async def names(client: httpx.AsyncClient, path: str, collection: str, field: str) -> dict[str, str]:
    return {each["id"]: each[field] for each in await everything(client, path, collection)}


def amount(money: dict[str, Any]) -> int:
    """Whole dollars: there are no others in the files."""
    assert (money["currencyCode"], money.get("nanos") or 0) == ("USD", 0)
    return int(money.get("units") or 0)


def total(deals: Iterable[dict[str, Any]]) -> int:
    return sum(amount(deal["amount"]) for deal in deals)


def sums(deals: list[dict[str, Any]], by: Callable[[dict[str, Any]], str]) -> dict[str, int]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for deal in deals:
        groups.setdefault(by(deal), []).append(deal)
    return {name: total(group) for name, group in groups.items()}


def closed(cell: dict[str, Any]) -> int:
    return amount(cell["total"]["alone"]["closed"]["amount"])


def quarter(date: dict[str, int]) -> str:
    return f"{date['year']}-Q{(date['month'] + 2) // 3}"


def product_of(products: dict[str, str]) -> Callable[[dict[str, Any]], str]:
    return lambda deal: products[deal["lineItems"][0]["productId"]]
