"""Random histories of deals, as the rows that the forecast keeps of them, and what they should come to."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from services.forecast import wire
from services.forecast.book import Book, Reference
from services.forecast.domain.figures import (
    NONE,
    Category,
    Counting,
    Deal,
    Figures,
    Stage,
    State,
    product_shares,
)
from services.forecast.domain.periods import Period
from services.forecast.wire.heard import Kind, microseconds

TODAY: Final = date(2017, 8, 15)
NOW: Final = datetime(2017, 8, 15, 12, tzinfo=UTC)
CURRENCIES: Final = ("EUR", "USD", "JPY", "CHF")
"""There is no rate for the last."""
Row = dict[str, Any]


class World:
    """Some stages, people and products, and random deals among them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.stages = {
            stage.id: stage
            for category in (Category.OMITTED, Category.PIPELINE, Category.BEST_CASE, Category.COMMIT)
            for stage in [Stage(self.id(), category, self.random.randint(0, 100), category.name)]
        }
        self.owners = [None, *(self.id() for _ in range(4))]
        self.products = [self.id() for _ in range(3)]
        self.pipeline, self.leads = self.id(), [self.id() for _ in range(3)]

    def id(self) -> UUID:
        return UUID(int=self.random.getrandbits(128), version=4)

    def deal(self, id: UUID, version: int) -> Deal:
        choose = self.random
        state = choose.choices(list(State), [5, 3, 2])[0]
        amount = None if choose.random() < 0.1 else Decimal(choose.randint(-10_000, 1_000_000)) / 100
        currency = choose.choice(CURRENCIES) if amount is not None else ""
        if amount is not None and currency == "JPY":
            amount = Decimal(int(amount))
        lines = [
            (choose.choice(self.products), Decimal(choose.randint(0, 999)) / 10)
            for _ in range(choose.randint(0, 3))
        ]
        undated = state is State.OPEN and choose.random() < 0.2
        return Deal(
            id=id,
            version=version,
            name=f"Deal {version}",
            owner_id=choose.choice(self.owners),
            account_id=None,
            stage_id=choose.choice([*self.stages, self.id()]),
            state=state,
            amount=amount,
            currency=currency,
            close_date=None if undated else date(2017, 1, 1) + timedelta(choose.randint(0, 364)),
            products=product_shares(amount, lines, currency),
            lead_id=choose.choice([None, None, *self.leads]),
            is_deleted=choose.random() < 0.05,
            pipeline_id=self.pipeline,
            category=choose.choice([None, None, None, Category.COMMIT, Category.OMITTED]),
        )

    def history(self, deals: int, versions: int) -> list[Row]:
        """All versions of some deals in the order in which they were recorded; a few were backdated."""
        rows = []
        for id in [self.id() for _ in range(deals)]:
            at = datetime(2017, 1, 1, tzinfo=UTC)
            for version in range(1, self.random.randint(1, versions) + 1):
                at += timedelta(seconds=self.random.randint(1, 2_000_000))
                backdated = (
                    timedelta(days=self.random.randint(0, 90)) if self.random.random() < 0.3 else timedelta()
                )
                rows.append(wire.deal_row(self.deal(id, version), Kind.UPDATED, at, at - backdated))
        return sorted(rows, key=lambda row: row["recorded_at"])

    def references(self) -> list[Row]:
        """Settings, stages, rates and leads, as rows."""
        pairs = [
            ("USD", "EUR", "0.9134"),
            ("JPY", "EUR", "0.0077"),
            ("USD", "JPY", "113.02"),
            ("EUR", "USD", "1.1"),
        ]
        tenant = {"reporting_currency": "EUR", "time_zone": "", "first_month": 1}
        return [
            _reference("tenant", self.id(), tenant),
            *(
                _reference(
                    "stage",
                    stage.id,
                    {"pipeline_id": str(self.pipeline), "name": stage.name, "category": int(stage.category),
                     "probability": stage.probability},
                )
                for stage in self.stages.values()
            ),
            *(
                _reference(
                    "exchange_rate",
                    self.id(),
                    {"currency": source, "target": target, "valid_from": day.isoformat(),
                     "rate": str(Decimal(rate) + Decimal(number) / 1000), "deleted": False},
                )
                for source, target, rate in pairs
                for number, day in enumerate([date(2017, 2, 1), date(2017, 5, 1), date(2017, 9, 1)])
            ),
            _reference("lead", self.leads[0], {"converting": True}),
            _reference("lead", self.leads[1], {"converting": True}),
            _reference("lead", self.leads[1], {"converting": False}, version=2),
        ]  # fmt: skip

    def shuffled(self, rows: list[Row]) -> list[list[Row]]:
        """The rows in any order, some more than once, in batches of any size."""
        mixed = rows + self.random.choices(rows, k=len(rows) // 3)
        self.random.shuffle(mixed)
        batches = []
        while mixed:
            size = self.random.randint(1, 90)
            batches.append(mixed[:size])
            mixed = mixed[size:]
        return batches


def _reference(kind: str, id: UUID, content: Mapping[str, Any], version: int = 1) -> Row:
    at = datetime(2016, 1, 1, tzinfo=UTC) + timedelta(days=version)
    return {
        "kind": kind, "id": id, "version": version, "recorded_at": at, "effective_at": at, "content": content,
    }  # fmt: skip


def references_of(rows: Iterable[Row]) -> list[Reference]:
    """Rows as a book takes them."""
    return [
        Reference(row["kind"], row["id"], row["version"], microseconds(row["recorded_at"]), row["content"])
        for row in rows
    ]


def book_of(world: World, rows: list[Row]) -> Book:
    """A book of everything, in order."""
    book = Book()
    book.add([], references_of(world.references()))
    book.add(rows, [])
    return book


def holding(
    rows: Iterable[Row], recorded_at: datetime, effective_at: datetime | None = None
) -> set[tuple[UUID, int]]:
    """The versions that hold at an instant, looked for one by one; deleted deals are left out."""
    best: dict[UUID, Row] = {}
    for row in rows:
        if row["recorded_at"] > recorded_at or (
            effective_at is not None and row["effective_at"] > effective_at
        ):
            continue
        known = best.get(row["id"])
        if known is None or _order(row, effective_at) > _order(known, effective_at):
            best[row["id"]] = row
    return {(row["id"], row["version"]) for row in best.values() if not row["deleted"]}


def _order(row: Row, effective_at: datetime | None) -> tuple[Any, ...]:
    return (row["version"],) if effective_at is None else (row["effective_at"], row["version"])


def counted(
    world: World, deals: Iterable[Deal], periods: Iterable[Period], counting: Counting, by: str
) -> dict[str, dict[str, Figures]]:
    """What the deals come to by the domain's rules, each added by itself."""
    cells: dict[str, dict[str, Figures]] = {}
    for deal in deals:
        stage = world.stages.get(deal.stage_id) if deal.stage_id else None
        for period in periods:
            if deal.close_date in period:
                if by == "product":
                    parts = counting.product_figures(deal, stage)
                else:
                    parts = {str(deal.owner_id or NONE): counting.figures(deal, stage)}
                for node, figures in parts.items():
                    cell = cells.setdefault(node, {}).setdefault(period.id, Figures())
                    cell += figures
    return cells
