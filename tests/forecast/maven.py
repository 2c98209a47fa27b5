"""The Maven CRM files as histories: what was known of each deal, and when.

An open deal is worth its list price until it closes: what it closed at was not known before. Nor was its
account: of the deals that are open at the end most have none, so that having one tells who will close. The
deals without an engage date (Prospecting) are left out: nobody knows when they were opened.
"""

import csv
from pathlib import Path

import numpy as np

from services.forecast.prediction.histories import (
    NEVER,
    UNKNOWN,
    Calendar,
    Histories,
    Ints,
    Longs,
    Status,
    calendar_months,
)
from services.forecast.prediction.places import Places

FIRST, LAST = "2016-10", "2017-12"
CALENDAR: Calendar = calendar_months(FIRST, LAST)
REGIONS = ("Central", "East", "West")
_STATUS = {"Won": Status.WON, "Lost": Status.LOST, "Engaging": Status.OPEN}


def month(text: str) -> int:
    """The entry of the calendar for `2017-06`."""
    return int((np.datetime64(text, "M") - np.datetime64(FIRST, "M")).astype(int))


class Maven:
    """The histories, and which region each agent sells in."""

    def __init__(self, folder: Path) -> None:
        deals = _rows(folder / "sales_pipeline.csv")
        price = {row["product"]: int(row["sales_price"]) for row in _rows(folder / "products.csv")}
        price["GTXPro"] = price["GTX Pro"]
        teams = {row["sales_agent"]: row for row in _rows(folder / "sales_teams.csv")}
        sectors = {row["account"]: row["sector"] for row in _rows(folder / "accounts.csv")}
        self.agents = sorted(teams)
        self.region = np.array(
            [REGIONS.index(teams[agent]["regional_office"]) for agent in self.agents], np.int32
        )
        products, segments = sorted(price), sorted(set(sectors.values()))
        states: list[tuple[int, ...]] = []
        dated = [row for row in deals if row["engage_date"]]
        for number, row in enumerate(dated):
            codes = (self.agents.index(row["sales_agent"]), products.index(row["product"]))
            states.append(
                (
                    number,
                    _day(row["engage_date"]),
                    Status.OPEN,
                    price[row["product"]] * 100,
                    NEVER,
                    *codes,
                    UNKNOWN,
                )
            )
            if row["close_date"]:
                closed = _day(row["close_date"])
                sector = segments.index(sectors[row["account"]])
                value = int(row["close_value"]) * 100
                states.append((number, closed, _STATUS[row["deal_stage"]], value, closed, *codes, sector))
        deal, since, status, amount, closes_on, owner, product, segment = np.array(states, np.int64).T
        self.histories = Histories(
            deal.astype(np.int32), since.astype(np.int32), status.astype(np.int8), amount,
            closes_on.astype(np.int32),
            {
                "owner": owner.astype(np.int32),
                "product": product.astype(np.int32),
                "segment": segment.astype(np.int32),
            },
            len(dated),
        )  # fmt: skip

    def placing(self, histories: Histories, rows: Longs, owners: Ints | None) -> dict[str, Places]:
        """By region."""
        owners = histories.features["owner"][rows] if owners is None else owners
        return {"region": Places.whole(self.region[owners], len(REGIONS))}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _day(text: str) -> int:
    return int(np.datetime64(text, "D").astype(int))
