"""What becomes of an order by what its ERP says: any order and any number of the same messages end the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.ids import new_id
from services.quotes.domain.fulfilment import (
    ConfirmedLine,
    Invoice,
    Item,
    Part,
    Payment,
    Said,
    Shipment,
    ShippedProduct,
    Standing,
)
from services.quotes.domain.orders import (
    Order,
    OrderAlreadyCancelled,
    OrderCancelled,
    OrderConfirmed,
    OrderIsConfirmed,
    OrderIsRejected,
    OrderPaid,
    OrderPartlyShipped,
    OrderRejected,
    OrderShipped,
    OrderState,
    OrderUpdated,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
CHAIR, TABLE, SERVICE = (uuid5(UUID(int=0), name) for name in ("chair", "table", "service"))
LINES = tuple(uuid5(UUID(int=0), f"line {number}") for number in range(4))
BOOKED = Standing(is_rejection=False, at=NOW, erp_order="4711")
REFUSED = Standing(is_rejection=True, at=NOW, reason="Unknown customer.")


def item(number: int, quantity: int, *parts: tuple[UUID, int], ships: bool = True) -> Item:
    """A line that takes parts out of stock."""
    return Item(
        line_id=LINES[number],
        ordered=Decimal(quantity),
        ships=ships and bool(parts),
        parts=tuple(Part(product, str(product), Decimal(count)) for product, count in parts),
    )


def order(*items: Item, payable: int = 100) -> Order:
    return Order(
        number="O-000001",
        quote_id=new_id(),
        opportunity_id=new_id(),
        owner_id=new_id(),
        currency="EUR",
        lines=(),
        items=items or (item(0, 10, (CHAIR, 10)),),
        subtotal=Decimal(payable),
        total=Decimal(payable),
        payable_total=Decimal(payable),
        placed_at=NOW,
    )


def shipped(number: str, *products: tuple[UUID, int]) -> Shipment:
    return Shipment(
        number,
        "HH",
        tuple(ShippedProduct(product, str(product), Decimal(count)) for product, count in products),
    )


def state(made: Order) -> OrderState:
    return made.state


def quantities(made: Order) -> list[Decimal]:
    return [each.shipped for each in made.items]


def test_an_order_goes_from_placed_to_paid() -> None:
    made = order()
    assert isinstance(made.take(Said(BOOKED)), OrderConfirmed)
    half = shipped("S-1", (CHAIR, 4))
    assert isinstance(made.take(Said(BOOKED, (half,))), OrderPartlyShipped)
    assert (quantities(made), made.items[0].outstanding) == ([Decimal(4)], Decimal(6))
    both = (half, shipped("S-2", (CHAIR, 6)))
    assert isinstance(made.take(Said(BOOKED, both)), OrderShipped)
    invoice, money = Invoice("I-1", Decimal(100)), Payment("P-1", Decimal(60))
    made.take(Said(BOOKED, both, (invoice,)))
    assert state(made) is OrderState.INVOICED
    assert isinstance(made.take(Said(BOOKED, both, (invoice,), (money,))), OrderUpdated)
    paid = (money, Payment("P-2", Decimal(40)))
    assert isinstance(made.take(Said(BOOKED, both, (invoice,), paid)), OrderPaid)
    assert made.take(Said(BOOKED, both, (invoice,), paid)) is None


def test_what_leaves_is_given_to_the_lines_in_their_order() -> None:
    made = order(item(0, 4, (CHAIR, 4)), item(1, 6, (CHAIR, 6)))
    made.take(Said(BOOKED, (shipped("S-1", (CHAIR, 5)),)))
    assert quantities(made) == [Decimal(4), Decimal(1)]


def test_a_bundle_has_left_as_far_as_all_of_its_parts_have() -> None:
    made = order(item(0, 2, (CHAIR, 8), (TABLE, 2)))
    made.take(Said(BOOKED, (shipped("S-1", (CHAIR, 8)),)))
    assert (quantities(made), state(made)) == ([Decimal(0)], OrderState.PARTLY_SHIPPED)
    made.take(Said(BOOKED, (shipped("S-1", (CHAIR, 8)), shipped("S-2", (TABLE, 1)))))
    assert quantities(made) == [Decimal(1)]
    made.take(Said(BOOKED, (shipped("S-1", (CHAIR, 8)), shipped("S-2", (TABLE, 2)))))
    assert state(made) is OrderState.SHIPPED


def test_a_service_needs_no_shipment() -> None:
    made = order(item(0, 1, (SERVICE, 1), ships=False))
    made.take(Said(BOOKED, (), (Invoice("I-1", Decimal(100)),)))
    assert state(made) is OrderState.INVOICED
    mixed = order(item(0, 1, (SERVICE, 1), ships=False), item(1, 2, (CHAIR, 2)))
    mixed.take(Said(BOOKED, (), (Invoice("I-1", Decimal(100)),)))
    assert state(mixed) is OrderState.CONFIRMED
    mixed.take(Said(BOOKED, (shipped("S-1", (CHAIR, 2)),)))
    assert state(mixed) is OrderState.SHIPPED


def test_the_erp_says_what_comes_later_until_it_has_left() -> None:
    made = order()
    later = ConfirmedLine(LINES[0], Decimal(6), Decimal(4), date(2026, 6, 1))
    said = Standing(is_rejection=False, at=NOW, lines=(later,))
    made.take(Said(said))
    (line,) = made.items
    assert (line.confirmed, line.backordered, line.delivery_on) == (Decimal(6), Decimal(4), date(2026, 6, 1))
    made.take(Said(said, (shipped("S-1", (CHAIR, 8)),)))
    assert made.items[0].backordered == 2
    made.take(Said(said, (shipped("S-1", (CHAIR, 10)),)))
    assert made.items[0].backordered == 0


def test_a_shipment_that_was_taken_back_has_not_left() -> None:
    made = order()
    made.take(Said(BOOKED, (shipped("S-1", (CHAIR, 10)),)))
    assert isinstance(made.take(Said(BOOKED, (shipped("S-1"),))), OrderConfirmed)
    assert quantities(made) == [Decimal(0)]


def test_it_is_cancelled_here_as_long_as_the_erp_has_not_booked_it() -> None:
    made = order()
    assert isinstance(made.cancel(NOW, "They changed their mind."), OrderCancelled)
    with pytest.raises(OrderAlreadyCancelled):
        made.cancel(NOW, "Again.")
    booked = order()
    booked.take(Said(BOOKED))
    with pytest.raises(OrderIsConfirmed, match="booked it as 4711"):
        booked.cancel(NOW, "Too late.")
    refused = order()
    assert isinstance(refused.take(Said(REFUSED)), OrderRejected)
    with pytest.raises(OrderIsRejected):
        refused.cancel(NOW, "Too late.")


def test_what_was_cancelled_stays_so_and_says_where_the_erp_goes_on() -> None:
    made = order()
    made.cancel(NOW, "They changed their mind.")
    assert isinstance(made.take(Said(BOOKED)), OrderUpdated)
    assert (made.state, bool(made.attention)) == (OrderState.CANCELLED, True)
    made.take(Said(REFUSED))
    assert (made.state, made.attention) == (OrderState.CANCELLED, "")
    shipped_all_the_same = order()
    shipped_all_the_same.take(Said(REFUSED, (shipped("S-1", (CHAIR, 1)),)))
    assert shipped_all_the_same.attention.startswith("The ERP has rejected it")


# A paper as an ERP says it: its kind, its number, its version, and what it says.
Paper = tuple[str, str, int, Any]


def said(papers: Sequence[Paper]) -> Said:
    """What is left of the papers when each has been heard of: of one number the highest version."""
    known: dict[tuple[str, str], Paper] = {}
    for paper in papers:
        key = paper[:2]
        if key not in known or known[key][2] < paper[2]:
            known[key] = paper
    kinds: dict[str, list[Any]] = {}
    for kind, number in sorted(known):
        kinds.setdefault(kind, []).append(known[kind, number][3])
    return Said(
        next(iter(kinds.get("standing", ())), None),
        *(tuple(kinds.get(kind, ())) for kind in ("shipment", "invoice", "payment")),
    )


def papers() -> st.SearchStrategy[list[Paper]]:
    """Each number and version says one thing."""
    counts = st.integers(0, 12)
    standing = st.sampled_from([BOOKED, REFUSED])
    shipment = st.builds(lambda chairs, tables: ((CHAIR, chairs), (TABLE, tables)), counts, counts)
    numbers, versions = st.sampled_from(["1", "2"]), st.integers(1, 3)
    paper = st.one_of(
        st.tuples(st.just("standing"), st.just("O"), versions, standing),
        st.tuples(st.just("shipment"), numbers, versions, shipment),
        st.tuples(st.just("invoice"), numbers, versions, st.integers(0, 120).map(Decimal)),
        st.tuples(st.just("payment"), numbers, versions, st.integers(0, 120).map(Decimal)),
    )
    return st.lists(paper, max_size=12, unique_by=lambda each: each[:3]).map(
        lambda all: list(map(_full, all))
    )


def _full(paper: Paper) -> Paper:
    kind, number, version, content = paper
    made: Any = content
    if kind == "shipment":
        made = shipped(number, *(each for each in content if each[1]))
    elif kind == "invoice":
        made = Invoice(number, content)
    elif kind == "payment":
        made = Payment(number, content)
    return kind, number, version, made


@settings(max_examples=150, deadline=None)
@given(st.data(), papers())
def test_any_order_and_any_number_of_the_same_papers_end_the_same(
    data: st.DataObject, all: list[Paper]
) -> None:
    def run(heard: Sequence[Paper]) -> Order:
        made = order(item(0, 2, (CHAIR, 8), (TABLE, 2)), item(1, 3, (CHAIR, 3)))
        for count in range(1, len(heard) + 1):
            made.take(said(heard[:count]))
        return made

    repeated = [*all, *data.draw(st.lists(st.sampled_from(all), max_size=5))] if all else []
    one, other = run(all), run(data.draw(st.permutations(repeated)))
    for name in ("state", "items", "standing", "shipments", "invoices", "payments", "attention"):
        assert getattr(one, name) == getattr(other, name)
    for each in one.items:
        assert 0 <= each.shipped <= each.ordered
        assert each.backordered <= each.outstanding
    whole = {part.product_id for each in one.items for part in each.parts}
    left = {
        product: sum(
            (p.quantity for s in one.shipments for p in s.products if p.product_id == product), Decimal(0)
        )
        for product in whole
    }
    for product in whole:
        taken = sum(
            (
                part.quantity * each.shipped / each.ordered
                for each in one.items
                for part in each.parts
                if part.product_id == product
            ),
            Decimal(0),
        )
        assert taken <= left[product]
