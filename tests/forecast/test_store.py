"""What the database adds up is what the domain says, whatever the deals, and in whatever order they come."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sfa.forecast.v1 import forecast_pb2 as pb

from chassis.call import Call
from chassis.database import Database
from chassis.ids import new_id
from services.forecast import tables, wire
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
from services.forecast.domain.periods import UNDATED, FiscalCalendar, Granularity, Period
from services.forecast.lineage import Lineage
from services.forecast.rollup import RollUp
from services.forecast.store import FigureStore, OrganisationStore, ProjectionStore, Selection
from tests.callers import Callers
from tests.engines import TestDatabase
from tests.statements import noted

TODAY = date(2017, 8, 15)
NOW = datetime(2017, 8, 15, 12, tzinfo=UTC)
CURRENCIES = ("EUR", "USD", "JPY", "CHF")  # there is no rate for the last
Cells = Mapping[tuple[str, str], Figures]


@pytest.fixture
async def calls(
    database: Callable[[str], Awaitable[TestDatabase]], callers: Callers
) -> AsyncIterator[Callable[..., Call]]:
    """Makes calls of the forecast service, on the day `NOW`; the test commits them."""
    pool = await Database.connect((await database("forecast")).url)

    def make(role: str = "operations", **claims: Any) -> Call:
        caller = callers.caller(role, **claims)
        return Call(caller, pool.transaction(caller.tenant), callers.clock, NOW, "test")

    yield make
    await pool.close()


class World:
    """Some stages, people and products, and random deals among them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.stages = {
            stage.id: stage
            for category in (Category.OMITTED, Category.PIPELINE, Category.BEST_CASE, Category.COMMIT)
            for stage in [Stage(new_id(), category, self.random.randint(0, 100), category.name)]
        }
        self.owners = [None, *(new_id() for _ in range(4))]
        self.products = [new_id() for _ in range(3)]
        self.pipeline = new_id()

    def deal(self, id: UUID, version: int) -> Deal:
        choose = self.random
        state = choose.choices(list(State), [5, 3, 2])[0]
        amount = None if choose.random() < 0.1 else Decimal(choose.randint(-10_000, 1_000_000)) / 100
        currency = choose.choice(CURRENCIES) if amount is not None else ""
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
            stage_id=choose.choice([*self.stages, new_id()]),
            state=state,
            amount=amount,
            currency=currency,
            close_date=None if undated else date(2017, 1, 1) + timedelta(choose.randint(0, 364)),
            products=product_shares(amount, lines, currency),
            is_deleted=choose.random() < 0.05,
        )

    def stage_rows(self) -> list[dict[str, Any]]:
        return [
            {"id": stage.id, "version": 1, "pipeline_id": self.pipeline, "name": stage.name,
             "category": stage.category, "probability": stage.probability}
            for stage in self.stages.values()
        ]  # fmt: skip

    def rate_rows(self) -> list[dict[str, Any]]:
        pairs = [
            ("USD", "EUR", "0.9134"),
            ("JPY", "EUR", "0.0077"),
            ("USD", "JPY", "113.02"),
            ("EUR", "USD", "1.1"),
        ]
        return [
            {"id": new_id(), "version": 1, "from_currency": source, "to_currency": target, "valid_from": day,
             "rate": Decimal(rate) + Decimal(number) / 1000, "deleted": False}
            for source, target, rate in pairs
            for number, day in enumerate([date(2017, 2, 1), date(2017, 5, 1), date(2017, 9, 1)])
        ]  # fmt: skip


def row(deal: Deal) -> Mapping[str, Any]:
    return wire.deal_to_row(deal, NOW, NOW)


def cells(nodes: Mapping[str, Mapping[str, Figures]]) -> Cells:
    return {(node, period): figures for node, periods in nodes.items() for period, figures in periods.items()}


def add(cells: dict[tuple[str, str], Figures], node: str, period: Period, figures: Figures) -> None:
    cell = cells.setdefault((node, period.id), Figures())
    cell += figures


async def fill(call: Call, world: World, deals: list[Deal]) -> None:
    store = ProjectionStore(call)
    await store.keep(tables.stages, world.stage_rows())
    await store.keep(tables.exchange_rates, world.rate_rows())
    await store.keep(tables.deals, map(row, deals))
    await call.tx.commit()


@pytest.mark.parametrize("currency", ["EUR", "USD", "JPY", "CHF"])
async def test_what_the_database_adds_up_is_what_the_domain_says(
    calls: Callable[..., Call], currency: str
) -> None:
    world = World(seed=CURRENCIES.index(currency))
    deals = [world.deal(new_id(), 1) for _ in range(400)]
    await fill(calls(), world, deals)
    calendar, call = FiscalCalendar(start_month=2), calls()
    periods = [calendar.month(2017, month) for month in range(1, 13)]
    periods += [calendar.period_of(TODAY, Granularity.QUARTER), UNDATED]
    selection = Selection(periods, currency, "EUR", TODAY)
    counting = Counting(await OrganisationStore(call).rates("EUR"), currency, TODAY)
    owners: dict[tuple[str, str], Figures] = {}
    products: dict[tuple[str, str], Figures] = {}
    for deal in deals:
        if deal.is_deleted:
            continue
        stage = world.stages.get(deal.stage_id) if deal.stage_id else None
        for period in periods:
            if deal.close_date in period:
                add(owners, str(deal.owner_id or NONE), period, counting.figures(deal, stage))
                for product, figures in counting.product_figures(deal, stage).items():
                    add(products, product, period, figures)
    store = FigureStore(call)
    assert cells(await store.by_owner(selection)) == owners
    assert cells(await store.by_product(selection)) == products
    everything: dict[tuple[str, str], Figures] = {}
    for (_, period_id), figures in owners.items():
        cell = everything.setdefault(("all", period_id), Figures())
        cell += figures
    assert cells({"all": await store.in_all(selection)}) == everything
    lacking = await store.lacking(Selection([*periods[:12], UNDATED], currency, "EUR", TODAY))
    monthly = {period.id for period in (*periods[:12], UNDATED)}
    unconverted = sum(figures.unconverted for (_, id), figures in everything.items() if id in monthly)
    assert sum(each.deals for each in lacking) == unconverted
    await call.tx.commit()


async def test_events_in_any_order_with_any_duplicates_give_the_same_forecast(
    calls: Callable[..., Call],
) -> None:
    world = World(seed=11)
    versions = [[world.deal(id, version) for version in range(1, 5)] for id in [new_id() for _ in range(60)]]
    last = [deals[-1] for deals in versions]
    events = [deal for deals in versions for deal in deals]
    expected: Cells | None = None
    for attempt in range(6):
        call = calls()
        await call.tx.execute(tables.deals.delete())
        shuffled = events + world.random.choices(events, k=200) if attempt else events
        world.random.shuffle(shuffled)
        while shuffled:
            size = world.random.randint(1, 90)
            batch, shuffled = shuffled[:size], shuffled[size:]
            await ProjectionStore(call).keep(tables.deals, map(row, batch))
        kept = {
            each["id"]: wire.row_to_deal(dict(each)) for each in await call.tx.fetch(tables.deals.select())
        }
        assert kept == {deal.id: deal for deal in last}
        periods = [*FiscalCalendar().selected(["2017-Q1..2017-Q4"], TODAY)]
        found = cells(await FigureStore(call).by_owner(Selection(periods, "EUR", "EUR", TODAY)))
        expected = expected or found
        assert found == expected
        await call.tx.commit()


@pytest.mark.parametrize("group_by", ["OWNER", "TEAM", "TERRITORY", "PRODUCT"])
async def test_a_rep_sees_own_deals_only_in_every_tree(
    calls: Callable[..., Call], callers: Callers, group_by: str
) -> None:
    world = World(seed=5)
    me, other = callers.user("me"), callers.user("other")
    world.owners = [me, other, None]
    deals = [world.deal(new_id(), 1) for _ in range(90)]
    call = calls()
    people = [{"id": id, "version": 1, "name": name} for name, id in (("Me", me), ("Other", other))]
    settings = {
        "id": callers.tenant,
        "version": 1,
        "reporting_currency": "EUR",
        "time_zone": "",
        "first_month": 1,
    }
    await ProjectionStore(call).keep(tables.users, people)
    await ProjectionStore(call).keep(tables.tenant_settings, [settings])
    await fill(call, world, deals)
    call = calls("rep", name="me")
    request = pb.GetForecastRequest(periods=["FY2017"], group_by=pb.Forecast.GroupBy.Value(group_by))
    nodes = (await RollUp(call).answer(request)).nodes
    await call.tx.commit()
    assert sum(figures.deals for figures in nodes[0].total.values()) == sum(
        deal.owner_id == me and not deal.is_deleted for deal in deals
    )
    assert not {node.id for node in nodes} & {str(other)}


async def test_a_deal_counts_only_when_its_lead_is_converted(calls: Callable[..., Call]) -> None:
    world, lead = World(seed=1), new_id()
    deal = Deal(new_id(), 1, "Deal", None, None, None, State.WON, Decimal(5), "EUR", TODAY, lead_id=lead)
    selection = Selection(FiscalCalendar().selected(["2017-08"], TODAY), "EUR", "EUR", TODAY)
    counted = []
    for version, converting in ((1, True), (2, False), (1, True)):
        call = calls()
        await fill(call, world, [deal])
        row = {"id": lead, "version": version, "converting": converting}
        await ProjectionStore(call).keep(tables.converting_leads, [row])
        counted.append((await FigureStore(call).in_all(selection)).get("2017-08", Figures()).closed.deals)
        await call.tx.commit()
    assert counted == [0, 1, 1]


async def test_no_question_reads_a_whole_table(
    calls: Callable[..., Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = noted(monkeypatch)
    call = calls()
    settings = {"id": new_id(), "version": 1, "reporting_currency": "EUR", "time_zone": "", "first_month": 1}
    await ProjectionStore(call).keep(tables.tenant_settings, [settings])
    await fill(call, World(seed=2), [World(seed=2).deal(new_id(), 1)])
    for role, tree, currency in itertools.product(
        ("rep", "manager", "operations"), range(1, 5), ("EUR", "JPY")
    ):
        call = calls(role)
        group_by = pb.Forecast.GroupBy.ValueType(tree)
        await RollUp(call).answer(
            pb.GetForecastRequest(periods=["FY2017"], group_by=group_by, currency=currency)
        )
        for node in ("all", "none"):
            await Lineage(call).page(
                pb.ListForecastDealsRequest(period_id="FY2017", group_by=group_by, node_id=node)
            )
        await call.tx.commit()
    call = calls()
    connection = await call.tx.connection()
    await connection.execute("SET LOCAL enable_seqscan = off")
    seen = dict(asked)
    assert len(seen) > 20
    for sql, arguments in seen.items():
        plan = await connection.fetch(f"EXPLAIN {sql}", *arguments)
        assert not [row[0] for row in plan if "Seq Scan on" in row[0]], sql
    await call.tx.commit()
