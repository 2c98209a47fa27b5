"""Which price wins, and why every other does not; tiers, and units that prices are converted between."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.ids import new_id
from chassis.money import Money
from services.quotes.domain.price_resolution import (
    Candidate,
    PriceContext,
    PriceLine,
    Resolution,
    Why,
    resolve,
)
from services.quotes.domain.prices import (
    IncrementNotSensible,
    NegativeQuantity,
    PriceBook,
    PriceBookEntry,
    StandardPriceBook,
    Tier,
    TierMode,
    TiersNotSensible,
    ValidityReversed,
)
from services.quotes.domain.products import Product
from services.quotes.domain.units import Unit, UnitUnknown

# a busy machine takes its time to draw
SLOW = [HealthCheck.too_slow]
DAY = date(2026, 6, 15)
CUSTOMER = new_id()
PARENT = new_id()
BOTTLE = Product(
    code="W-1",
    name="Water",
    base_unit="bottle",
    units=(Unit("box", 12), Unit("third", 1, 3)),
    parent_id=PARENT,
)
STANDARD = PriceBook(name="Standard", is_standard=True)
CONTEXT = PriceContext(
    day=DAY,
    currency="EUR",
    account_id=CUSTOMER,
    segments=frozenset({"retail"}),
    territories=frozenset({"DE-BY", "DE"}),
    channel="web",
)


def euros(amount: str | int | Decimal) -> Money:
    return Money(Decimal(amount), "EUR")


def book(name: str = "Book", **fields: object) -> PriceBook:
    return PriceBook(name=name, **{"is_automatic": True, **fields})  # type: ignore[arg-type]


def price(amount: str | int, at: PriceBook = STANDARD, **fields: object) -> Candidate:
    values = {"product_id": BOTTLE.id, "unit_price": euros(amount), **fields}
    return Candidate(PriceBookEntry(price_book_id=at.id, **values), at)  # type: ignore[arg-type]


def outcome(
    *candidates: Candidate, quantity: str = "1", unit: str = "", context: PriceContext = CONTEXT
) -> Resolution:
    return resolve(PriceLine(BOTTLE, Decimal(quantity), unit), context, candidates)


def lost(resolution: Resolution) -> list[tuple[Decimal, Why]]:
    return [(each.candidate.entry.unit_price.amount, each.why) for each in resolution.lost]


def test_without_candidates_there_is_no_price() -> None:
    assert outcome() == Resolution(None, ())


@pytest.mark.parametrize(
    ("ahead", "behind", "why"),
    [
        (price(9, account_id=CUSTOMER), price(1, book(priority=9)), Why.CONTRACT_AHEAD),
        (price(9, book(priority=1)), price(1, book(segments=("retail",))), Why.PRIORITY_LOWER),
        (
            price(9, book(territories=("DE",), channels=("web",))),
            price(1, book(segments=("retail",))),
            Why.LESS_SPECIFIC,
        ),
        (price(9, book(segments=("retail",))), price(1, book(territories=("DE",))), Why.LESS_SPECIFIC),
        (price(9, book(territories=("DE",))), price(1, book(channels=("web",))), Why.LESS_SPECIFIC),
        (price(9, book()), price(1), Why.STANDARD_BOOK),
        (price(9), price(1, product_id=PARENT), Why.OF_PARENT),
        (price(9, valid_from=None), price(1, unit="box", valid_from=DAY), Why.CONVERTED),
        (price(9, valid_from=DAY), price(1, valid_from=DAY - timedelta(1)), Why.BEGINS_EARLIER),
        (price(9, valid_from=DAY), price(1), Why.BEGINS_EARLIER),
        (price(1), price(9), Why.HIGHER_PRICE),
    ],
)
def test_a_price_is_ahead_of_another(ahead: Candidate, behind: Candidate, why: Why) -> None:
    resolution = outcome(behind, ahead)
    assert resolution.won is not None
    assert resolution.won.candidate is ahead
    assert [(each.candidate, each.why) for each in resolution.lost] == [(behind, why)]
    assert why.fits


@pytest.mark.parametrize(
    ("candidate", "why"),
    [
        (price(1, product_id=new_id()), Why.OTHER_PRODUCT),
        (price(1, deleted_at=DAY), Why.DELETED),
        (price(1, book(deleted_at=DAY)), Why.DELETED),
        (price(1, unit_price=Money(Decimal(1), "USD")), Why.OTHER_CURRENCY),
        (price(1, book(currency="USD")), Why.OTHER_CURRENCY),
        (price(1, account_id=new_id()), Why.OTHER_ACCOUNT),
        (price(1, book(is_automatic=False)), Why.BOOK_NOT_NAMED),
        (price(1, book(segments=("public",))), Why.OTHER_SEGMENT),
        (price(1, book(territories=("FR",))), Why.OTHER_TERRITORY),
        (price(1, book(channels=("field",))), Why.OTHER_CHANNEL),
        (price(1, valid_from=DAY + timedelta(1)), Why.NOT_YET_VALID),
        (price(1, book(valid_from=DAY + timedelta(1))), Why.NOT_YET_VALID),
        (price(1, valid_to=DAY - timedelta(1)), Why.NO_LONGER_VALID),
        (price(1, book(valid_to=DAY - timedelta(1))), Why.NO_LONGER_VALID),
        (price(1, unit="crate"), Why.UNIT_UNKNOWN),
        (price(1, minimum_quantity=Decimal(2)), Why.QUANTITY_TOO_SMALL),
    ],
)
def test_a_price_that_does_not_fit_loses_to_any(candidate: Candidate, why: Why) -> None:
    resolution = outcome(candidate, price(9))
    assert resolution.unit_price == euros(9)
    assert [each.why for each in resolution.lost] == [why]
    assert not why.fits


def test_a_named_book_stands_alone_but_for_the_contract() -> None:
    partners, others = book("Partners", is_automatic=False), book(priority=9)
    named = replace(CONTEXT, price_book_id=partners.id)
    candidates = (price(5, partners), price(1, others), price(2))
    resolution = outcome(*candidates, context=named)
    assert resolution.unit_price == euros(5)
    assert {each.why for each in resolution.lost} == {Why.BOOK_NOT_NAMED}
    assert outcome(*candidates, price(7, account_id=CUSTOMER), context=named).unit_price == euros(7)


def test_how_much_more_would_be_enough_is_said_in_the_unit_asked_for() -> None:
    resolution = outcome(price(9), price(5, minimum_quantity=Decimal(2), unit="box"), quantity="20")
    assert [(each.why, each.missing) for each in resolution.lost] == [(Why.QUANTITY_TOO_SMALL, Decimal(4))]
    resolution = outcome(price(5, minimum_quantity=Decimal(20)), quantity="1", unit="box")
    assert resolution.lost[0].missing == Decimal("0.666666667"), "rounded up: so much is enough"


def test_a_price_is_converted_to_the_unit_that_is_asked_for() -> None:
    won = outcome(price(10), quantity="2", unit="box").won
    assert won is not None
    assert (won.unit_price, won.amount, won.is_converted) == (euros(120), euros(240), True)
    won = outcome(price(10, unit="box"), quantity="3").won
    assert won is not None
    assert (won.unit_price, won.amount) == (euros("0.833333333"), euros("2.499999999"))


def test_a_converted_price_is_a_multiple_of_the_books_increment() -> None:
    neat = book(price_increment=Decimal("0.05"))
    assert outcome(price(10, neat, unit="box")).unit_price == euros("0.85")
    assert outcome(price(10, neat, unit="box"), unit="box").unit_price == euros(10)


def test_a_line_in_a_unit_that_is_not_sold_is_refused() -> None:
    with pytest.raises(UnitUnknown):
        outcome(price(1), unit="crate")


TIERS = (Tier(Decimal(10), euros(9)), Tier(Decimal(100), euros(8)))


def test_volume_tiers_price_all_of_it_and_graduated_ones_each_part() -> None:
    volume, graduated = price(10, tiers=TIERS), price(10, tiers=TIERS, tier_mode=TierMode.GRADUATED)
    amounts = {}
    for quantity in ("9", "10", "99", "100", "150"):
        both = [outcome(each, quantity=quantity).won for each in (volume, graduated)]
        amounts[quantity] = [won.amount.amount for won in both if won is not None]
    assert amounts == {
        "9": [90, 90],
        "10": [90, 100],
        "99": [891, 10 * 10 + 89 * 9],
        "100": [800, 10 * 10 + 90 * 9],
        "150": [1200, 10 * 10 + 90 * 9 + 50 * 8],
    }
    won = outcome(graduated, quantity="150").won
    assert won is not None
    assert [(int(part.quantity), int(part.unit_price.amount)) for part in won.portions] == [
        (10, 10),
        (90, 9),
        (50, 8),
    ]
    assert won.unit_price == euros("8.733333333")


def test_tiers_are_reached_in_the_unit_of_the_price() -> None:
    by_box = price(120, unit="box", tiers=(Tier(Decimal(10), euros(96)),))
    assert outcome(by_box, quantity="119").unit_price == euros(10)
    assert outcome(by_box, quantity="120").unit_price == euros(8)


PRICES = st.decimals(0, 10**6, places=4)
QUANTITIES = st.decimals("0.001", 10**6, places=3)


@st.composite
def tiered(draw: st.DrawFn, mode: TierMode) -> PriceBookEntry:
    """A price whose tiers get cheaper."""
    begins = sorted(draw(st.sets(QUANTITIES, max_size=5)))
    amounts = sorted(draw(st.lists(PRICES, min_size=len(begins) + 1, max_size=len(begins) + 1)), reverse=True)
    tiers = tuple(Tier(at, euros(amount)) for at, amount in zip(begins, amounts[1:], strict=True))
    entry = PriceBookEntry(
        price_book_id=STANDARD.id,
        product_id=BOTTLE.id,
        unit_price=euros(amounts[0]),
        tiers=tiers,
        tier_mode=mode,
    )
    entry.create()
    return entry


def cost(entry: PriceBookEntry, quantity: Fraction) -> Fraction:
    return sum(
        (part.quantity * Fraction(part.unit_price.amount) for part in entry.portions(quantity)), Fraction(0)
    )


@settings(suppress_health_check=SLOW, deadline=None, max_examples=80)
@given(tiered(TierMode.GRADUATED), QUANTITIES, QUANTITIES)
def test_graduated_tiers_never_make_more_cost_less(
    entry: PriceBookEntry, one: Decimal, other: Decimal
) -> None:
    small, large = sorted([Fraction(one), Fraction(other)])
    assert cost(entry, small) <= cost(entry, large)
    # no step: what is added costs at least the lowest and at most the highest price
    extra = cost(entry, large) - cost(entry, small)
    lowest = min([entry.unit_price, *(tier.unit_price for tier in entry.tiers)], key=lambda each: each.amount)
    assert (large - small) * Fraction(lowest.amount) <= extra
    assert extra <= (large - small) * Fraction(entry.unit_price.amount)


@settings(suppress_health_check=SLOW, deadline=None, max_examples=80)
@given(tiered(TierMode.VOLUME), QUANTITIES)
def test_volume_costs_no_more_than_graduated(entry: PriceBookEntry, quantity: Decimal) -> None:
    graduated = replace(entry, tier_mode=TierMode.GRADUATED)
    assert cost(entry, Fraction(quantity)) <= cost(graduated, Fraction(quantity))
    for each in (entry, graduated):
        portions = each.portions(Fraction(quantity))
        assert sum(part.quantity for part in portions) == Fraction(quantity)
        assert all(part.quantity > 0 for part in portions)


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"tiers": (Tier(Decimal(0), euros(1)),)}, TiersNotSensible),
        ({"tiers": (Tier(Decimal(2), euros(1)), Tier(Decimal(2), euros(1)))}, TiersNotSensible),
        ({"tiers": (Tier(Decimal(2), euros(-1)),)}, TiersNotSensible),
        ({"tiers": (Tier(Decimal(2), Money(Decimal(1), "USD")),)}, TiersNotSensible),
        ({"minimum_quantity": Decimal(-1)}, NegativeQuantity),
    ],
)
def test_a_price_makes_sense(fields: dict[str, object], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        price(1, STANDARD, **fields).entry.create()


def test_the_standard_price_book_is_for_everybody() -> None:
    for field, value in (("segments", ("a",)), ("currency", "EUR"), ("valid_from", DAY)):
        with pytest.raises(StandardPriceBook):
            PriceBook(name="Standard", is_standard=True).change({field: value})
    with pytest.raises(StandardPriceBook):
        STANDARD.must_not_be_standard()
    PriceBook(name="Standard", is_standard=True).change({"priority": 3})


def test_a_price_book_makes_sense() -> None:
    with pytest.raises(ValidityReversed):
        book(valid_from=DAY, valid_to=DAY - timedelta(1)).create()
    with pytest.raises(IncrementNotSensible):
        book(price_increment=Decimal(-1)).create()


SOME = st.sampled_from([(), ("retail",), ("public",)])
BOOKS = st.builds(
    PriceBook,
    id=st.uuids(),
    name=st.just("Book"),
    is_automatic=st.booleans(),
    segments=SOME,
    territories=st.sampled_from([(), ("DE",), ("FR",)]),
    channels=st.sampled_from([(), ("web",)]),
    priority=st.integers(0, 1),
    price_increment=st.sampled_from([None, Decimal("0.05")]),
)
DAYS = st.one_of(st.none(), st.dates(DAY - timedelta(3), DAY + timedelta(3)))
ENTRIES = st.builds(
    PriceBookEntry,
    id=st.uuids(),
    price_book_id=st.just(STANDARD.id),
    product_id=st.sampled_from([BOTTLE.id, PARENT]),
    unit_price=st.builds(euros, st.integers(1, 3)),
    valid_from=DAYS,
    valid_to=DAYS,
    unit=st.sampled_from(["", "box", "third"]),
    account_id=st.sampled_from([None, None, CUSTOMER, UUID(int=1)]),
    minimum_quantity=st.sampled_from([None, Decimal(5)]),
)
CANDIDATES = st.lists(
    st.builds(Candidate, ENTRIES, st.one_of(st.just(STANDARD), BOOKS)),
    max_size=8,
    unique_by=lambda each: each.entry.id,
)
LINES = st.builds(
    PriceLine,
    st.just(BOTTLE),
    st.sampled_from([Decimal(1), Decimal("4.5"), Decimal(60)]),
    st.sampled_from(["", "box"]),
)


@settings(suppress_health_check=SLOW, deadline=None, max_examples=60)
@given(LINES, CANDIDATES, st.randoms(use_true_random=False))
def test_the_outcome_does_not_depend_on_the_order(
    line: PriceLine, candidates: list[Candidate], random: Random
) -> None:
    first = resolve(line, CONTEXT, candidates)
    shuffled = list(candidates)
    random.shuffle(shuffled)
    assert resolve(line, CONTEXT, shuffled) == first


@settings(suppress_health_check=SLOW, deadline=None, max_examples=60)
@given(LINES, CANDIDATES)
def test_every_candidate_wins_or_has_its_reason(line: PriceLine, candidates: list[Candidate]) -> None:
    resolution = resolve(line, CONTEXT, candidates)
    named = [each.candidate.entry.id for each in resolution.lost]
    if resolution.won is not None:
        named.append(resolution.won.candidate.entry.id)
    assert sorted(named) == sorted(each.entry.id for each in candidates)
    assert (resolution.won is not None) or not any(each.why.fits for each in resolution.lost)


@settings(suppress_health_check=SLOW, deadline=None, max_examples=60)
@given(LINES, CANDIDATES)
def test_who_won_wins_against_each_alone_and_without_the_losers(
    line: PriceLine, candidates: list[Candidate]
) -> None:
    resolution = resolve(line, CONTEXT, candidates)
    if resolution.won is None:
        return
    winner = resolution.won.candidate
    assert resolve(line, CONTEXT, [winner]).won == resolution.won
    for each in resolution.lost:
        duel = resolve(line, CONTEXT, [each.candidate, winner])
        assert duel.won == resolution.won
        assert [other.why for other in duel.lost] == [each.why]


@settings(suppress_health_check=SLOW, deadline=None, max_examples=100)
@given(PRICES, st.integers(1, 1000), st.integers(1, 1000), QUANTITIES)
def test_a_converted_price_is_off_by_less_than_its_last_digit(
    amount: Decimal, numerator: int, denominator: int, quantity: Decimal
) -> None:
    product = replace(BOTTLE, units=(Unit("box", numerator, denominator),))
    candidate = price(str(amount), product_id=product.id)
    won = resolve(PriceLine(product, quantity, "box"), CONTEXT, [candidate]).won
    assert won is not None
    exact = Fraction(amount) * numerator / denominator
    assert abs(Fraction(won.unit_price.amount) - exact) <= Fraction(1, 2 * 10**9)
    assert Fraction(won.amount.amount) == Fraction(won.unit_price.amount) * Fraction(quantity)
