"""The rules of stock, without a database: ATP day by day against a brute force, who comes first, and what
shipments use up."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.ids import new_id
from services.quotes.domain.availability import (
    Need,
    Promise,
    PromiseKind,
    Timeline,
    allocate,
    consume,
    nearest,
    ranked,
)
from services.quotes.domain.stock import Level, StockItem
from services.quotes.domain.warehouses import Place, Warehouse

TODAY = date(2026, 11, 22)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
days = st.integers(-3, 8).map(lambda ahead: TODAY + timedelta(days=ahead))
quantities = st.integers(0, 20).map(Decimal)
moves = st.lists(st.tuples(days, st.integers(-15, 15).map(Decimal)), max_size=8)


def timeline(base: Decimal, changes: list[tuple[date, Decimal]]) -> Timeline:
    made = Timeline(base)
    for day, quantity in changes:
        made.move(day, quantity)
    return made


@given(base=st.integers(-5, 30).map(Decimal), changes=moves, day=days)
def test_atp_is_the_least_of_all_days_from_the_day_on(
    base: Decimal, changes: list[tuple[date, Decimal]], day: date
) -> None:
    def level(at: date) -> Decimal:
        return base + sum((quantity for due, quantity in changes if due <= at), Decimal(0))

    every_day = [day + timedelta(days=ahead) for ahead in range(15)]
    assert timeline(base, changes).available(day) == min(map(level, every_day))


@given(base=quantities, changes=moves, wanted=st.lists(st.tuples(days, quantities), max_size=6))
def test_what_is_promised_within_atp_leaves_no_promise_uncovered(
    base: Decimal, changes: list[tuple[date, Decimal]], wanted: list[tuple[date, Decimal]]
) -> None:
    made = timeline(base, [(day, abs(quantity)) for day, quantity in changes])
    for day, quantity in wanted:
        if made.available(day) >= quantity:
            made.move(day, -quantity)
    assert made.lowest >= 0


@given(base=quantities, changes=moves, day=days, wanted=st.integers(1, 30).map(Decimal))
def test_the_earliest_day_is_the_first_on_which_it_can_be_had(
    base: Decimal, changes: list[tuple[date, Decimal]], day: date, wanted: Decimal
) -> None:
    made = timeline(base, changes)
    every_day = [day + timedelta(days=ahead) for ahead in range(15)]
    assert made.earliest(wanted, day) == next(
        (each for each in every_day if made.available(each) >= wanted), None
    )


levels = st.builds(
    Level,
    version=st.integers(1, 3),
    on_hand=st.integers(-2, 9).map(Decimal),
    safety_stock=st.none() | st.integers(0, 3).map(Decimal),
)


@given(st.lists(levels, max_size=4))
def test_levels_end_the_same_in_every_order(said: list[Level]) -> None:
    ends = set()
    for order in permutations(said + said[:1]):
        item = StockItem(product_id=UUID(int=1), warehouse_id=UUID(int=2))
        for level in order:
            item.count(level)
        ends.add((item.level_version, item.on_hand, item.safety_version, item.safety_stock))
    assert len(ends) == 1


def promise(kind: PromiseKind, quantity: int, age: int = 0, warehouse: int = 1, due: date = TODAY) -> Promise:
    return Promise(
        id=new_id(), kind=kind, product_id=UUID(int=1), warehouse_id=UUID(int=warehouse),
        quantity=Decimal(quantity), due_on=due, created_at=NOON - timedelta(hours=age), quote_id=new_id(),
        line_id=new_id(),
    )  # fmt: skip


def test_reservations_come_first_then_holds_and_the_older_before_the_younger() -> None:
    young, old = promise(PromiseKind.HOLD, 5, 1), promise(PromiseKind.HOLD, 5, 9)
    reserved = promise(PromiseKind.RESERVATION, 5)
    covered = ranked(Timeline(Decimal(8)), [young, old, reserved])
    assert covered == [(reserved, Decimal(5)), (old, Decimal(3)), (young, Decimal(0))]


def test_a_promise_for_later_is_covered_by_what_comes() -> None:
    now, later = promise(PromiseKind.HOLD, 5, 9), promise(PromiseKind.HOLD, 5, 1, due=TODAY + timedelta(5))
    supply = timeline(Decimal(3), [(TODAY + timedelta(4), Decimal(5))])
    assert [quantity for _, quantity in ranked(supply, [now, later])] == [3, 5]


shipped = st.dictionaries(st.integers(1, 3).map(lambda n: UUID(int=n)), quantities, max_size=3)


@given(reserved=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9)), max_size=4), left=shipped)
def test_shipments_use_up_reservations_and_no_more(
    reserved: list[tuple[int, int]], left: dict[UUID, Decimal]
) -> None:
    promises = [
        promise(PromiseKind.RESERVATION, quantity, warehouse=warehouse) for warehouse, quantity in reserved
    ]
    used = consume(promises, left)
    assert all(0 <= used[each.id] <= each.quantity for each in promises)
    total = sum(each.quantity for each in promises)
    assert sum(used.values()) == min(total, sum(left.values()))
    backwards = consume(promises[::-1], dict(reversed(left.items())))
    assert backwards == used


def test_reservations_where_it_left_are_used_up_first() -> None:
    here, there = promise(PromiseKind.RESERVATION, 5), promise(PromiseKind.RESERVATION, 5, warehouse=2)
    used = consume([here, there], {UUID(int=2): Decimal(6)})
    assert [used[here.id], used[there.id]] == [Decimal(1), Decimal(5)]


@pytest.mark.parametrize(
    ("one", "other", "kilometres"),
    [
        (Place(53.55, 9.99), Place(48.14, 11.58), 612),
        (Place(0, 179.5), Place(0, -179.5), 111),
        (Place(90, 0), Place(-90, 77), 20015),
        (Place(48.14, 11.58), Place(48.14, 11.58), 0),
    ],
)
def test_the_distance_goes_round_the_earth(one: Place, other: Place, kilometres: int) -> None:
    assert one.kilometres_to(other) == pytest.approx(kilometres, abs=1)
    assert other.kilometres_to(one) == pytest.approx(kilometres, abs=1)


def test_a_warehouse_that_nobody_knows_the_place_of_comes_last() -> None:
    near = Warehouse(code="N", name="N", latitude=1, longitude=1)
    far = Warehouse(code="A", name="A", latitude=50, longitude=50)
    nowhere, closed = Warehouse(code="B", name="B"), Warehouse(code="C", name="C", is_active=False)
    found = nearest([nowhere, far, closed, near], Place(0, 0))
    assert [warehouse.code for warehouse, _ in found] == ["N", "A", "B"]
    assert [warehouse.code for warehouse, _ in nearest([near, far, nowhere], None)] == ["A", "B", "N"]


@given(
    stock=st.lists(st.integers(-3, 9).map(Decimal), min_size=1, max_size=3),
    wanted=st.lists(st.integers(1, 12).map(Decimal), max_size=4),
    in_parts=st.booleans(),
)
def test_allocation_takes_no_more_than_there_is_and_all_that_it_can(
    stock: list[Decimal], wanted: list[Decimal], in_parts: bool
) -> None:
    warehouses = [Warehouse(code=str(number), name="W") for number in range(len(stock))]
    product = new_id()
    timelines = {product: {each.id: Timeline(base) for each, base in zip(warehouses, stock, strict=True)}}
    needs = [Need(index, new_id(), product, quantity, TODAY) for index, quantity in enumerate(wanted)]
    found = allocate(needs, timelines, nearest(warehouses, None), in_parts=in_parts)
    for warehouse, base in zip(warehouses, stock, strict=True):
        taken = sum(
            part.quantity for each in found for part in each.parts if part.warehouse_id == warehouse.id
        )
        assert taken <= max(base, Decimal(0))
    for each in found:
        missing = each.shortage.missing if each.shortage is not None else Decimal(0)
        assert sum(part.quantity for part in each.parts) + missing == each.need.quantity
        assert in_parts or len(each.parts) <= 1
    if in_parts:
        there = sum(max(base, Decimal(0)) for base in stock)
        given_out = sum(part.quantity for each in found for part in each.parts)
        assert given_out == min(there, sum(wanted))
