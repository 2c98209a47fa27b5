"""Stock on a real database: any order and any number of the same messages end in the same state, and
whatever happens between them, nothing is promised that is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID, uuid5

import hypothesis
import pytest
import sqlalchemy as sa
from google.type.date_pb2 import Date
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sfa.erp.v1 import messages_pb2 as erp

from chassis.call import Call
from chassis.database import Database
from chassis.ids import new_id
from chassis.money import Money
from chassis.subscriptions import service_call
from services.quotes import holds, stock_reports
from services.quotes.domain.availability import StockNotAvailable, Timeline
from services.quotes.domain.lines import QuoteLine
from services.quotes.domain.products import Product
from services.quotes.domain.quotes import Quote, QuoteEnded, QuoteState
from services.quotes.domain.stock import StockItem, StockItemUpdated
from services.quotes.domain.warehouses import Warehouse
from services.quotes.reports import Outcome, Report
from services.quotes.store.products import ProductStore
from services.quotes.store.stock import StockItemStore, WarehouseStore, timelines
from tests.clock import MovableClock
from tests.engines import TestDatabase
from tests.quotes.warehouse import level, shipment

TAKERS: dict[type, Callable[[Call, Sequence[Report]], Awaitable[list[Outcome]]]] = {
    erp.StockLevelReported: stock_reports.stock_levels,
    erp.ShipmentReported: stock_reports.shipments,
    erp.ReceiptScheduled: stock_reports.receipts,
}
ORDER = "O-000001"
SETTINGS = hypothesis.settings(
    max_examples=12,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    database=None,
    phases=[hypothesis.Phase.generate],
)


@dataclass(slots=True)
class Store:
    """One tenant's stock, as the takers and the holds see it."""

    database: Database
    tenant: UUID
    clock: MovableClock

    async def within(self, work: Callable[[Call], Awaitable[Any]]) -> Any:
        """One transaction."""
        async with self.database.transaction(self.tenant) as tx:
            return await work(service_call("quotes", self.tenant, tx, self.clock, "test", None))

    async def furnish(self) -> None:
        """Two warehouses and two products."""

        async def make(call: Call) -> None:
            for code in "AB":
                warehouse = Warehouse(id=uuid5(self.tenant, code), code=code, name=code)
                await WarehouseStore(call).add(warehouse, warehouse.create())
            for code in "PQ":
                product = Product(id=uuid5(self.tenant, code), code=code, name=code)
                await ProductStore(call).add(product, product.create())
                for place in "AB":
                    item = StockItem(product_id=product.id, warehouse_id=uuid5(self.tenant, place))
                    await StockItemStore(call).add(item, StockItemUpdated())

        await self.within(make)

    async def say(self, *messages: Any) -> None:
        """What the ERP says, in one transaction where it is of one kind."""
        reports = [Report(message, self.clock.now()) for message in messages]
        await self.within(lambda call: TAKERS[type(messages[0])](call, reports))

    async def state(self) -> list[tuple[Any, ...]]:
        """Everything of it that matters, without ids that differ between tenants."""
        names = {uuid5(self.tenant, code): code for code in "ABPQ"}

        async def read(call: Call) -> list[tuple[Any, ...]]:
            items = await call.tx.fetch(
                sa.text(
                    "SELECT product_id, warehouse_id, on_hand, safety_stock, shipped, incoming FROM stock_items"
                )
            )
            used = await call.tx.fetch(
                sa.text("SELECT product_id, warehouse_id, quantity, shipped FROM stock_promises")
            )
            lowest = {
                (product, warehouse): each.lowest
                for product, of in (
                    await timelines(call, {row["product_id"] for row in items}, self.clock.now())
                ).items()
                for warehouse, each in of.items()
            }
            rows = [("item", *row, lowest[row["product_id"], row["warehouse_id"]]) for row in items]
            rows += [("promise", *row) for row in used]
            return sorted((kind, names[p], names[w], *rest) for kind, p, w, *rest in rows)

        found: list[tuple[Any, ...]] = await self.within(read)
        return found

    def quote(self, quantity: int, product: str = "P") -> Quote:
        """A quote that wants so much."""
        wanted = QuoteLine(
            id=new_id(), product_id=uuid5(self.tenant, product), description="", quantity=Decimal(quantity),
            unit_price=Money(Decimal(1), "EUR"), list_price=None, discount_percent=Decimal(0),
        )  # fmt: skip
        return Quote(
            number="Q-1", opportunity_id=new_id(), owner_id=new_id(), currency="EUR", price_book_id=new_id(),
            lines=(wanted,),
        )  # fmt: skip


def due(ahead: int) -> Date:
    at = (datetime(2030, 1, 1, tzinfo=UTC) + timedelta(days=ahead)).date()
    return Date(year=at.year, month=at.month, day=at.day)


def receipt(number: str, version: int, warehouse: str, product: str, quantity: int, ahead: int) -> Any:
    return erp.ReceiptScheduled(
        receipt=number, version=version, warehouse=warehouse, product=product, quantity=str(quantity),
        due_date=due(ahead),
    )  # fmt: skip


places, goods = st.sampled_from("AB"), st.sampled_from("PQ")
versions, amounts = st.integers(1, 3), st.integers(0, 9)
numbers = st.sampled_from(["1", "2", "3"])
levels = st.builds(
    lambda w, p, version, quantity, safety, shipments, receipts: level(
        w, p, version, quantity, included_shipments=sorted(shipments), included_receipts=sorted(receipts),
        safety_stock=safety,
    ),
    places, goods, versions, amounts, st.none() | st.sampled_from(["0", "2"]),
    st.sets(numbers, max_size=2), st.sets(numbers, max_size=1),
)  # fmt: skip


@st.composite
def said(draw: st.DrawFn) -> list[Any]:
    """What an ERP may say: of one thing and version always the same."""
    messages = draw(st.lists(levels, max_size=4))
    for number in draw(st.sets(numbers)):
        for version in draw(st.sets(versions, min_size=1)):
            order, lines = draw(st.sampled_from(["", ORDER])), draw(st.dictionaries(goods, amounts))
            messages.append(shipment(number, version, draw(places), order, **lines))
    for number in draw(st.sets(numbers)):
        place, product = draw(places), draw(goods)
        messages += [
            receipt(number, version, place, product, draw(amounts), draw(st.integers(0, 3)))
            for version in draw(st.sets(versions, min_size=1))
        ]
    return messages


@pytest.fixture
async def place(database: Callable[[str], Awaitable[TestDatabase]]) -> TestDatabase:
    return await database("quotes")


async def furnished(rows: Database) -> Store:
    """A tenant of its own, with ten of each product in each warehouse reserved for one order."""
    store = Store(rows, new_id(), MovableClock())
    await store.furnish()

    async def reserve(call: Call) -> None:
        await call.tx.execute(
            sa.text(
                "INSERT INTO stock_promises (id, kind, product_id, warehouse_id, quantity, shipped, due_on,"
                " created_at, quote_id, line_id, order_number) SELECT gen_random_uuid(), 'reservation', p, w, 4,"
                " 0, '2030-01-02', '2026-01-01', :quote, w, :order FROM unnest(CAST(:p AS uuid[])) AS p,"
                " unnest(CAST(:w AS uuid[])) AS w"
            ),
            {
                "quote": new_id(), "order": ORDER, "p": [uuid5(store.tenant, code) for code in "PQ"],
                "w": [uuid5(store.tenant, code) for code in "AB"],
            },
        )  # fmt: skip

    await store.within(reserve)
    return store


async def test_any_order_and_any_duplicate_end_in_the_same_state(place: TestDatabase) -> None:
    rows = await Database.connect(place.url)
    loop = asyncio.get_running_loop()

    @hypothesis.settings(SETTINGS, max_examples=10)
    @hypothesis.given(st.data(), said())
    def check(data: st.DataObject, messages: list[Any]) -> None:
        again = data.draw(st.lists(st.sampled_from(messages), max_size=3)) if messages else []
        shuffled = data.draw(st.permutations(messages + again))

        async def both() -> tuple[Any, Any]:
            one, other = await furnished(rows), await furnished(rows)
            for message in messages:
                await one.say(message)
            batch: list[Any] = []
            for message in shuffled:  # those of one kind that follow each other come together
                if batch and type(batch[0]) is not type(message):
                    await other.say(*batch)
                    batch = []
                batch.append(message)
            if batch:
                await other.say(*batch)
            return await one.state(), await other.state()

        one, other = asyncio.run_coroutine_threadsafe(both(), loop).result()
        assert one == other
        assert one == expected(messages)

    try:
        await asyncio.to_thread(check)
    finally:
        await rows.close()


def expected(messages: list[Any]) -> list[tuple[Any, ...]]:
    """The state by another way: from the set of all that was ever said."""
    shipments = _newest(messages, erp.ShipmentReported, "shipment")
    awaited = _newest(messages, erp.ReceiptScheduled, "receipt")
    counted = [each for each in messages if isinstance(each, erp.StockLevelReported)]
    gone = {number for each in counted for number in each.included_receipts}
    state: list[tuple[Any, ...]] = []
    used = _used(shipments)
    for product in "PQ":
        for warehouse in "AB":
            here = [each for each in counted if (each.product, each.warehouse) == (product, warehouse)]
            newest = max((each.version for each in here), default=0)
            on_hand = min(
                (Decimal(each.on_hand) for each in here if each.version == newest), default=Decimal(0)
            )
            safe = [
                (each.version, Decimal(each.safety_stock)) for each in here if each.HasField("safety_stock")
            ]
            included = {number for each in here for number in each.included_shipments}
            left = sum(
                Decimal(line.quantity)
                for each in shipments
                if each.warehouse == warehouse and each.shipment not in included
                for line in each.lines
                if line.product == product
            )
            coming = [
                each for each in awaited
                if (each.product, each.warehouse) == (product, warehouse) and each.receipt not in gone
            ]  # fmt: skip
            safety = max(safe, default=(0, Decimal(0)))[1]
            supply = Timeline(on_hand - safety - left)
            for each in coming:
                day = datetime(each.due_date.year, each.due_date.month, each.due_date.day, tzinfo=UTC).date()
                supply.move(day, Decimal(each.quantity))
            supply.move(datetime(2030, 1, 2, tzinfo=UTC).date(), -(4 - used[product, warehouse]))
            state.append(
                ("item", product, warehouse, on_hand, safety, left,
                 sum(Decimal(each.quantity) for each in coming), supply.lowest)
            )  # fmt: skip
            state.append(("promise", product, warehouse, Decimal(4), used[product, warehouse]))
    return sorted(state)


def _newest(messages: list[Any], kind: Any, key: str) -> list[Any]:
    found: dict[str, Any] = {}
    for each in messages:
        if isinstance(each, kind):
            former: Any = found.get(getattr(each, key))
            if former is None or former.version < each.version:
                found[getattr(each, key)] = each
    return list(found.values())


def _used(shipments: list[Any]) -> dict[tuple[str, str], Decimal]:
    """What of four in each place the order's shipments use up: there first, then elsewhere."""
    used = {}
    for product in "PQ":
        left = {
            warehouse: Decimal(0)
            + sum(
                Decimal(line.quantity)
                for each in shipments
                if each.order == ORDER and each.warehouse == warehouse
                for line in each.lines
                if line.product == product
            )
            for warehouse in "AB"
        }
        for warehouse, other in (("A", "B"), ("B", "A")):
            beyond = max(Decimal(0), left[other] - 4)
            used[product, warehouse] = min(Decimal(4), left[warehouse] + beyond)
    return used


class Holding(RuleBasedStateMachine):
    """Quotes that hold, accept and let go while time passes and the ERP reports: whatever the order, nobody
    is promised what is not there. `place` is set by the test."""

    rows: Database
    loop: asyncio.AbstractEventLoop
    quotes = Bundle("quotes")

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(self.rows, new_id(), MovableClock())
        self.version = 0
        self.orders = 0
        self.run(self.store.furnish())
        self.lowered = False

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    @rule(warehouse=places, quantity=st.integers(0, 12))
    def count(self, warehouse: str, quantity: int) -> None:
        """The ERP counts anew; it may be less than was promised."""
        self.version += 1
        self.run(self.store.say(level(warehouse, "P", self.version, quantity)))
        self.lowered = self.run(self._lowest()) < 0

    @rule(target=quotes, quantity=st.integers(1, 9), partly=st.booleans(), ahead=st.integers(0, 3))
    def hold(self, quantity: int, partly: bool, ahead: int) -> Quote:
        quote: Quote = self.store.quote(quantity)
        self._hold(quote, partly, ahead)
        return quote

    @rule(quote=quotes, partly=st.booleans(), ahead=st.integers(0, 3))
    def hold_again(self, quote: Quote, partly: bool, ahead: int) -> None:
        self._hold(quote, partly, ahead)

    @rule(one=quotes, other=quotes)
    def hold_at_once(self, one: Quote, other: Quote) -> None:
        """Two at the same moment."""

        async def both() -> None:
            for refused in await asyncio.gather(
                *(self.store.within(partial(holds.hold, quote=quote)) for quote in (one, other)),
                return_exceptions=True,
            ):
                assert not isinstance(refused, Exception) or isinstance(
                    refused, StockNotAvailable | QuoteEnded
                )

        self.run(both())

    @rule(quote=quotes)
    def accept(self, quote: Quote) -> None:
        if quote.state is QuoteState.DRAFT:
            self.orders += 1
            quote.state, quote.number = QuoteState.ACCEPTED, f"O-{self.orders:06d}"
            self.run(self.store.within(lambda call: holds.turn_into_reservations(call, quote)))

    @rule(quote=quotes)
    def let_go(self, quote: Quote) -> None:
        self.run(self.store.within(lambda call: holds.release(call, quote)))

    @rule(quote=quotes, quantity=st.integers(0, 9))
    def change(self, quote: Quote, quantity: int) -> None:
        if quote.state is QuoteState.DRAFT:
            quote.lines = (replace(quote.lines[0], quantity=Decimal(quantity)),)
            self.run(self.store.within(lambda call: holds.fit(call, quote)))

    @rule(quote=quotes)
    def prolong(self, quote: Quote) -> None:
        if quote.state is QuoteState.DRAFT:
            self.run(self.store.within(lambda call: holds.prolong(call, quote)))

    @rule(hours=st.sampled_from([1, 23, 24, 30]))
    def wait(self, hours: int) -> None:
        self.store.clock.move(timedelta(hours=hours))
        self.lowered = self.lowered and self.run(self._lowest()) < 0

    @invariant()
    def nothing_is_promised_that_is_not_there(self) -> None:
        if not self.lowered:
            assert self.run(self._lowest()) >= 0

    def _hold(self, quote: Quote, partly: bool, ahead: int) -> None:
        day = (self.store.clock.now() + timedelta(days=ahead)).date()
        before = self.run(self._lowest())
        try:
            self.run(self.store.within(lambda call: holds.hold(call, quote, day=day, allow_shortage=partly)))
        except (StockNotAvailable, QuoteEnded):
            assert self.run(self._lowest()) >= before
        else:
            assert self.run(self._lowest()) >= min(before, 0), "no new promise makes a shortfall worse"

    async def _lowest(self) -> Decimal:
        product = uuid5(self.store.tenant, "P")

        async def read(call: Call) -> Decimal:
            known = await timelines(call, {product}, self.store.clock.now())
            return min(each.lowest for each in known[product].values())

        lowest: Decimal = await self.store.within(read)
        return lowest


async def test_no_interleaving_promises_what_is_not_there(place: TestDatabase) -> None:
    Holding.rows = await Database.connect(place.url)
    Holding.loop = asyncio.get_running_loop()
    try:
        await asyncio.to_thread(run_state_machine_as_test, Holding, settings=SETTINGS)
    finally:
        await Holding.rows.close()
