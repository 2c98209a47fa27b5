"""How a line comes from list price to total, and that every figure adds up."""

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.ids import new_id
from chassis.money import CurrenciesDiffer, Money, minor_unit
from services.quotes.domain.lines import (
    AmountTooLarge,
    LineDraft,
    LineRepeated,
    PriceNotFound,
    ProductNotActive,
    ProductNotFound,
    QuantityMissing,
    QuoteLine,
    price,
)
from services.quotes.domain.prices import NegativePrice
from services.quotes.domain.products import Product
from services.quotes.domain.quotes import Quote

CHAIR = Product(code="C-1", name="Chair")
PRODUCTS = {CHAIR.id: CHAIR}
LIST = {CHAIR.id: Money(Decimal("19.99"), "EUR")}


def draft(quantity: str = "1", **values: object) -> LineDraft:
    return LineDraft(product_id=CHAIR.id, quantity=Decimal(quantity), **values)  # type: ignore[arg-type]  # by name


def line(quantity: str, unit_price: str, discount: str = "0", currency: str = "EUR") -> QuoteLine:
    asked = draft(
        quantity, unit_price=Money(Decimal(unit_price), currency), discount_percent=Decimal(discount)
    )
    return price([asked], currency, PRODUCTS, {})[0]


def test_a_line_is_rounded_half_up_at_the_minor_unit() -> None:
    assert line("0.5", "0.01").total == Money(Decimal("0.01"), "EUR")
    assert line("0.5", "1", currency="JPY").total == Money(Decimal(1), "JPY")
    assert line("0.5", "0.001", currency="KWD").total == Money(Decimal("0.001"), "KWD")


def test_a_discount_is_taken_off_before_rounding() -> None:
    discounted = line("3", "9.99", "12.5")
    assert discounted.subtotal.amount == Decimal("29.97")
    assert discounted.total.amount == Decimal("26.22")  # 26.22375, not 3 × 8.74
    assert discounted.discount_amount.amount == Decimal("3.75")


def test_a_discount_of_everything_leaves_nothing() -> None:
    assert line("7", "13.37", "100").total.amount == 0


def test_the_list_price_stands_in_for_a_price_left_out() -> None:
    (filled,) = price([draft("2")], "EUR", PRODUCTS, LIST)
    assert (filled.unit_price, filled.list_price) == (LIST[CHAIR.id], LIST[CHAIR.id])
    assert filled.description == "Chair"


def test_a_price_of_zero_is_a_price() -> None:
    (free,) = price([draft("2", unit_price=Money(Decimal(0), "EUR"))], "EUR", PRODUCTS, LIST)
    assert free.total.amount == 0
    assert free.list_price == LIST[CHAIR.id]


def test_a_line_without_any_price_is_refused_by_its_place() -> None:
    with pytest.raises(PriceNotFound) as refused:
        price([draft(unit_price=LIST[CHAIR.id]), draft()], "EUR", PRODUCTS, {})
    assert refused.value.violations[0].field == "quote.lines[1].unit_price"


def test_a_line_of_nothing_below_nothing_or_in_other_money_is_refused() -> None:
    with pytest.raises(QuantityMissing):
        price([draft("0")], "EUR", PRODUCTS, LIST)
    with pytest.raises(NegativePrice):
        price([draft(unit_price=Money(Decimal(-1), "EUR"))], "EUR", PRODUCTS, LIST)
    with pytest.raises(CurrenciesDiffer):
        price([draft(unit_price=Money(Decimal(1), "USD"))], "EUR", PRODUCTS, LIST)
    with pytest.raises(ProductNotFound):
        price([LineDraft(product_id=new_id(), quantity=Decimal(1))], "EUR", PRODUCTS, LIST)


def test_an_amount_beyond_what_can_be_kept_is_refused() -> None:
    with pytest.raises(AmountTooLarge):
        price(
            [draft("999999999999.999999", unit_price=Money(Decimal(999999999999999), "EUR"))],
            "EUR",
            PRODUCTS,
            {},
        )


def test_only_a_new_line_needs_a_product_that_is_sold() -> None:
    old = Product(code="O-1", name="Old chair", is_active=False)
    products, prices = {old.id: old}, {old.id: Money(Decimal(5), "EUR")}
    asked = LineDraft(product_id=old.id, quantity=Decimal(1))
    with pytest.raises(ProductNotActive):
        price([asked], "EUR", products, prices)
    standing = QuoteLine(new_id(), old.id, "Old chair", Decimal(2), prices[old.id], None, Decimal(0))
    (kept,) = price([asked], "EUR", products, prices, [standing])
    assert kept.id == standing.id


def test_a_line_keeps_its_id_and_no_two_share_one() -> None:
    lines = price([draft(), draft("2")], "EUR", PRODUCTS, LIST)
    again = price([draft(), draft("2")], "EUR", PRODUCTS, LIST, lines)
    assert again == lines
    with pytest.raises(LineRepeated):
        price([draft(id=lines[0].id), draft(id=lines[0].id)], "EUR", PRODUCTS, LIST)


quantities = st.decimals("0.000001", "9999.999999", places=6)
amounts = st.decimals("0", "99999.999999", places=6)
discounts = st.decimals("0", "100", places=4)


@given(
    st.lists(st.tuples(quantities, amounts, discounts), min_size=1, max_size=20),
    st.sampled_from(["EUR", "JPY", "KWD", "CLF"]),
)
def test_every_figure_adds_up_to_the_minor_unit(
    asked: list[tuple[Decimal, Decimal, Decimal]], currency: str
) -> None:
    drafts = [
        draft(str(quantity), unit_price=Money(amount, currency), discount_percent=discount)
        for quantity, amount, discount in asked
    ]
    quote = Quote(
        number="Q-1", opportunity_id=new_id(), owner_id=new_id(), currency=currency, price_book_id=new_id()
    )
    quote.create(price(drafts, currency, PRODUCTS, {}))
    unit = minor_unit(currency)
    for priced, (quantity, amount, discount) in zip(quote.lines, asked, strict=True):
        assert priced.subtotal - priced.discount_amount == priced.total
        assert 0 <= priced.total.amount <= priced.subtotal.amount
        exact = Fraction(quantity) * Fraction(amount) * (100 - Fraction(discount)) / 100
        assert priced.total.amount == half_up(exact, unit)
        assert priced.total.amount.as_tuple().exponent == unit.as_tuple().exponent
    assert quote.total == sum(priced.total.amount for priced in quote.lines)
    assert quote.subtotal == sum(priced.subtotal.amount for priced in quote.lines)
    assert quote.subtotal - quote.discount_total == quote.total


def half_up(exact: Fraction, unit: Decimal) -> Decimal:
    steps = exact / Fraction(unit)
    whole = steps.numerator // steps.denominator
    return Decimal(whole + (1 if steps - whole >= Fraction(1, 2) else 0)) * unit


@given(quantities, amounts)
def test_rounding_is_that_of_one_exact_product(quantity: Decimal, amount: Decimal) -> None:
    rounded = line(str(quantity), str(amount)).subtotal.amount
    assert rounded == (quantity * amount).quantize(Decimal("0.01"), ROUND_HALF_UP)
