"""Which price of a product is in force, and what setting one does."""

from datetime import date
from decimal import Decimal

import pytest

from chassis.ids import new_id
from chassis.money import CurrenciesDiffer, Money
from services.quotes.domain.prices import (
    NegativePrice,
    PriceBook,
    PriceBookEntry,
    ValidityReversed,
    in_force,
    reprice,
)
from services.quotes.domain.products import FieldRequired, Product

BOOK, PRODUCT = new_id(), new_id()


def euros(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


def entry(amount: str, valid_from: date | None = None, valid_to: date | None = None) -> PriceBookEntry:
    return PriceBookEntry(
        price_book_id=BOOK,
        product_id=PRODUCT,
        unit_price=euros(amount),
        valid_from=valid_from,
        valid_to=valid_to,
    )


def test_a_product_needs_code_and_name() -> None:
    with pytest.raises(FieldRequired, match="code"):
        Product(code="", name="Chair").create()
    chair = Product(code="C-1", name="Chair")
    chair.create()
    with pytest.raises(FieldRequired, match="name"):
        chair.change({"name": ""})


def test_a_price_book_needs_a_name() -> None:
    with pytest.raises(FieldRequired):
        PriceBook(name="").create()


def test_the_price_that_begins_last_is_in_force() -> None:
    always, later = entry("10"), entry("11", date(2026, 3, 1))
    assert in_force([later, always], date(2026, 2, 28)) is always
    assert in_force([always, later], date(2026, 3, 1)) is later


def test_a_price_for_a_season_gives_way_to_the_one_before() -> None:
    always, summer = entry("10"), entry("8", date(2026, 6, 1), date(2026, 8, 31))
    assert in_force([always, summer], date(2026, 8, 31)) is summer
    assert in_force([always, summer], date(2026, 9, 1)) is always


def test_there_is_no_price_outside_of_all_validities() -> None:
    assert in_force([entry("8", date(2026, 6, 1), date(2026, 8, 31))], date(2026, 5, 31)) is None
    assert in_force([], date(2026, 5, 31)) is None


def test_the_first_price_holds_for_all_time() -> None:
    first = reprice([], BOOK, PRODUCT, euros("10"), date(2026, 1, 1))
    assert first is not None
    assert (first.valid_from, first.valid_to, first.unit_price) == (None, None, euros("10"))


def test_the_same_price_again_changes_nothing() -> None:
    assert reprice([entry("10")], BOOK, PRODUCT, euros("10.00"), date(2026, 1, 1)) is None


def test_another_price_holds_from_the_day_on() -> None:
    standing = entry("10")
    raised = reprice([standing], BOOK, PRODUCT, euros("12"), date(2026, 1, 1))
    assert raised is not None
    assert raised.valid_from == date(2026, 1, 1)
    assert in_force([standing, raised], date(2025, 12, 31)) is standing


def test_a_price_that_began_today_is_corrected() -> None:
    today = entry("10", date(2026, 1, 1))
    assert reprice([today], BOOK, PRODUCT, euros("12"), date(2026, 1, 1)) is today
    assert today.unit_price == euros("12")


def test_a_price_is_never_negative_and_never_ends_before_it_begins() -> None:
    with pytest.raises(NegativePrice):
        entry("-1").create()
    with pytest.raises(NegativePrice):
        reprice([], BOOK, PRODUCT, euros("-1"), date(2026, 1, 1))
    with pytest.raises(ValidityReversed):
        entry("1", date(2026, 1, 2), date(2026, 1, 1)).create()


def test_a_price_keeps_its_currency() -> None:
    with pytest.raises(CurrenciesDiffer):
        entry("1").change(Money(Decimal(1), "USD"), None)
