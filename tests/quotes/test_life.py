"""The life of a quote beyond sending and deciding: approval, viewing, clones, choices, discounts and
instalments; and what differs between two of them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.ids import new_id
from chassis.money import Money, minor_unit
from services.quotes.domain.choices import AlternativeChosenTwice, AlternativeOpen
from services.quotes.domain.discounts import DiscountTooLarge, DiscountTwice
from services.quotes.domain.lines import LineDiscountTooLarge, LineKind, QuoteLine
from services.quotes.domain.orders import order_by_accepting
from services.quotes.domain.payments import Instalment, InstalmentsIncomplete
from services.quotes.domain.quotes import (
    Quote,
    QuoteAwaitsApproval,
    QuoteEmpty,
    QuoteNotDraft,
    QuoteNotInApproval,
    QuoteNotRevisable,
    QuoteNotSent,
    QuoteState,
)
from services.quotes.wire.differences import compare
from services.quotes.wire.quotes import quote_to_proto

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def line(price: str = "10", quantity: str = "1", currency: str = "EUR", **values: object) -> QuoteLine:
    made = QuoteLine(
        new_id(), new_id(), "Chair", Decimal(quantity), Money(Decimal(price), currency), None, Decimal(0)
    )
    return replace(made, **values)  # type: ignore[arg-type]  # by name


def draft(*lines: QuoteLine, **values: object) -> Quote:
    quote = Quote(
        **{  # type: ignore[arg-type]  # by name
            "number": "Q-000001",
            "opportunity_id": new_id(),
            "owner_id": new_id(),
            "currency": "EUR",
            "price_book_id": new_id(),
            **values,
        }
    )
    quote.create(lines or (line(),))
    return quote


def sent(*lines: QuoteLine, **values: object) -> Quote:
    quote = draft(*lines, **values)
    quote.send(NOW)
    return quote


def test_a_quote_goes_through_approval_before_it_is_sent() -> None:
    quote = draft()
    quote.submit(NOW)
    assert quote.state is QuoteState.IN_APPROVAL
    with pytest.raises(QuoteAwaitsApproval):
        quote.send(NOW)
    with pytest.raises(QuoteNotDraft):
        quote.change({"terms": "Net 30"})
    quote.approve(NOW)
    quote.send(NOW)
    assert (quote.state, quote.approved_at) == (QuoteState.SENT, NOW)


def test_a_quote_in_approval_or_approved_can_be_recalled() -> None:
    for approved in (False, True):
        quote = draft()
        quote.submit(NOW)
        if approved:
            quote.approve(NOW)
        quote.recall()
        assert (quote.state, quote.submitted_at, quote.approved_at) == (QuoteState.DRAFT, None, None)
    for other in (draft(), sent()):
        with pytest.raises(QuoteNotInApproval):
            other.recall()
    with pytest.raises(QuoteNotInApproval):
        draft().approve(NOW)


def test_what_could_not_be_sent_is_not_handed_in() -> None:
    with pytest.raises(QuoteEmpty):
        draft(line(is_optional=True)).submit(NOW)
    with pytest.raises(QuoteNotDraft):
        sent().submit(NOW)


def test_the_first_view_counts_and_a_viewed_quote_is_decided_on() -> None:
    quote = sent()
    quote.view(NOW)
    quote.view(NOW.replace(hour=13))
    assert (quote.state, quote.viewed_at) == (QuoteState.VIEWED, NOW)
    order_by_accepting(quote, "O-000001", NOW)
    with pytest.raises(QuoteNotSent):
        quote.view(NOW)
    decisions: list[Callable[[Quote], object]] = [
        lambda each: each.reject(NOW, ""),
        lambda each: each.expire(NOW.replace(year=2027)),
    ]
    for decide in decisions:
        viewed = sent()
        viewed.view(NOW)
        decide(viewed)
        assert viewed.state in (QuoteState.REJECTED, QuoteState.EXPIRED)


def test_what_the_customer_has_not_had_is_not_revised() -> None:
    quote = draft()
    quote.submit(NOW)
    for approve in (False, True):
        if approve:
            quote.approve(NOW)
        with pytest.raises(QuoteNotRevisable):
            quote.revise(NOW)


def test_a_viewed_quote_is_superseded_by_its_revision_and_lines_keep_their_ids() -> None:
    quote = sent(line("10"), line("20"))
    quote.view(NOW)
    revision, _ = quote.revise(NOW)
    assert (quote.state, revision.state) == (QuoteState.SUPERSEDED, QuoteState.DRAFT)
    assert [each.id for each in revision.lines] == [each.id for each in quote.lines]


def test_a_clone_has_the_same_content_and_lines_of_its_own() -> None:
    quote = sent(line("10"), line("20"), terms="Net 30", discount_percent=Decimal(10))
    clone, _ = quote.clone("Q-000002", date(2026, 6, 1))
    assert (clone.state, clone.number, clone.cloned_from_id) == (QuoteState.DRAFT, "Q-000002", quote.id)
    assert (clone.total, clone.terms, clone.sent_at, clone.valid_until) == (quote.total, "Net 30", None, None)
    assert not {each.id for each in clone.lines} & {each.id for each in quote.lines}


def test_options_count_when_they_are_chosen() -> None:
    option = line("5", is_optional=True)
    quote = draft(line("10"), option)
    assert (quote.subtotal, quote.total) == (Decimal("10.00"), Decimal("10.00"))
    quote.change({}, (quote.lines[0], replace(option, is_chosen=True)))
    assert quote.total == Decimal("15.00")


def test_of_alternatives_exactly_one_is_chosen_before_sending() -> None:
    one = line("10", alternative_group="Finish", is_chosen=True)
    other = line("30", alternative_group="Finish")
    assert sent(one, other).total == Decimal("10.00")
    with pytest.raises(AlternativeChosenTwice) as refused:
        draft(one, replace(other, is_chosen=True))
    assert refused.value.violations[0].field == "quote.lines[1].is_chosen"
    undecided = draft(line(), replace(one, is_chosen=False), other)
    with pytest.raises(AlternativeOpen):
        undecided.send(NOW)
    with pytest.raises(AlternativeOpen):
        undecided.submit(NOW)


def test_an_order_is_about_what_was_chosen() -> None:
    quote = sent(line("10"), line("5", is_optional=True), line("7", is_optional=True, is_chosen=True))
    _, order, _ = order_by_accepting(quote, "O-000001", NOW)
    assert [each.total.amount for each in order.lines] == [Decimal("10.00"), Decimal("7.00")]
    assert order.total == quote.total


def test_the_discount_of_the_whole_is_spread_over_items_by_what_they_cost() -> None:
    freight = line("6", kind=LineKind.FREIGHT)
    quote = draft(line("10"), line("20"), freight, discount_value=Decimal("10.00"))
    assert [each.discount_share for each in quote.lines] == [Decimal("3.33"), Decimal("6.67"), Decimal(0)]
    assert (quote.total, quote.discount_total) == (Decimal("26.00"), Decimal("10.00"))
    quote.change({"discount_value": Decimal(0), "discount_percent": Decimal(50)})
    assert quote.total == Decimal("21.00")
    with pytest.raises(DiscountTwice):
        quote.change({"discount_value": Decimal(1)})
    with pytest.raises(DiscountTooLarge):
        draft(line("10"), freight, discount_value=Decimal("10.01"))


def test_a_line_discount_as_an_amount_comes_after_promotions() -> None:
    quote = draft(line("10", promotion=Decimal("2.00"), discount_value=Money(Decimal(3), "EUR")))
    assert quote.total == Decimal("5.00")
    with pytest.raises(LineDiscountTooLarge):
        draft(line("10", promotion=Decimal("8.00"), discount_value=Money(Decimal(3), "EUR")))


def test_instalments_add_up_by_the_largest_remainder() -> None:
    thirds = (
        Instalment("First", Decimal("33.3333")),
        Instalment("Second", Decimal("33.3333")),
        Instalment("Third", Decimal("33.3334"), 30),
    )
    quote = draft(line("100"), payment_schedule=thirds)
    assert [each.amount for each in quote.payment_schedule] == [
        Decimal("33.33"),
        Decimal("33.33"),
        Decimal("33.34"),
    ]
    with pytest.raises(InstalmentsIncomplete):
        draft(payment_schedule=(Instalment("Half", Decimal(50)),))


def test_a_difference_is_said_field_by_field_and_line_by_line() -> None:
    first, second = line("10", description="Chair"), line("20", description="Table")
    third = line("5", description="Shelf")
    before = draft(first, second, third, terms="Net 30")
    after = replace(before)
    after.change(
        {"terms": "Net 14", "valid_until": date(2026, 6, 1)},
        (third, replace(first, quantity=Decimal(2)), line("7", description="Lamp")),
    )
    found = compare(quote_to_proto(before), quote_to_proto(after))
    fields = {each.field: (each.before, each.after) for each in found.differences}
    assert fields["terms"] == ("Net 30", "Net 14")
    assert fields["valid_until"] == ("", "2026-06-01")
    assert fields["total"] == ("35.00 EUR", "32.00 EUR")
    kinds = [(each.description, each.Change.Name(each.change)) for each in found.lines]
    assert kinds == [("Shelf", "MOVED"), ("Chair", "CHANGED"), ("Lamp", "ADDED"), ("Table", "REMOVED")]
    assert "terms: Net 30 became Net 14" in found.sentences
    assert "Lamp: added, 1 for 7.00 EUR" in found.sentences
    assert "Table: removed, 1 for 20.00 EUR" in found.sentences
    assert not compare(quote_to_proto(after), quote_to_proto(after)).sentences


def test_a_line_that_only_moved_is_said_to_have_moved() -> None:
    lines = tuple(line(str(price), description=str(price)) for price in range(1, 6))
    before = draft(*lines)
    after = replace(before)
    after.change({}, (lines[4], *lines[:4]))
    found = compare(quote_to_proto(before), quote_to_proto(after))
    assert [(each.description, each.change) for each in found.lines] == [("5", found.LineDifference.MOVED)]


AMOUNTS = st.decimals("0", "9999.999", places=3)


@given(
    st.lists(
        st.tuples(
            AMOUNTS, st.decimals("0.001", "99", places=3), st.decimals("0", "100", places=2), st.booleans()
        ),
        min_size=1,
        max_size=12,
    ),
    st.decimals("0", "100", places=4),
    st.lists(st.integers(1, 50), min_size=1, max_size=6),
    st.sampled_from(["EUR", "JPY", "KWD", "CLF"]),
)
def test_lines_add_up_to_totals_whatever_is_taken_off(
    asked: list[tuple[Decimal, Decimal, Decimal, bool]], percent: Decimal, parts: list[int], currency: str
) -> None:
    lines = [
        line(
            str(price),
            str(quantity),
            currency,
            discount_percent=discount,
            is_optional=optional,
            is_chosen=False,
        )
        for price, quantity, discount, optional in asked
    ]
    whole = sum(parts)
    percents = [Decimal(part * 1_000_000 // whole) / 10_000 for part in parts]
    percents[0] += 100 - sum(percents)
    schedule = tuple(Instalment(str(index), each) for index, each in enumerate(percents))
    quote = draft(*lines, currency=currency, discount_percent=percent, payment_schedule=schedule)
    unit = minor_unit(currency)
    counted = [each for each in quote.lines if each.counts]
    assert quote.total == sum(each.total.amount for each in counted)
    assert quote.subtotal == sum(each.subtotal.amount for each in counted)
    assert quote.subtotal - quote.discount_total == quote.total
    for each in quote.lines:
        assert 0 <= each.total.amount <= each.subtotal.amount
        assert each.total.amount % unit == 0
    assert sum(each.amount for each in quote.payment_schedule) == quote.payable_total
    assert all(each.amount % unit == 0 for each in quote.payment_schedule)


def test_the_order_of_lines_does_not_change_what_a_line_costs_where_shares_are_exact() -> None:
    owner = new_id()
    lines = [line("10", id=uuid5(owner, "a")), line("20", id=uuid5(owner, "b"))]
    forth = draft(*lines, discount_percent=Decimal(10))
    back = draft(*reversed(lines), discount_percent=Decimal(10))
    assert {each.id: each.total for each in forth.lines} == {each.id: each.total for each in back.lines}
