"""The life of a quote, and the order that its acceptance makes."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from chassis.ids import new_id
from chassis.money import CurrenciesDiffer, Money
from services.quotes.domain.lines import QuoteLine
from services.quotes.domain.orders import OrderAlreadyCancelled, OrderState, order_by_accepting
from services.quotes.domain.quotes import (
    PrimaryQuoteStands,
    Quote,
    QuoteEmpty,
    QuoteEnded,
    QuoteNotDraft,
    QuoteNotRevisable,
    QuoteNotSent,
    QuoteOutOfDate,
    QuoteRevised,
    QuoteState,
    QuoteSuperseded,
    QuoteUpdated,
)

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
LINE = QuoteLine(new_id(), new_id(), "Chair", Decimal(2), Money(Decimal("19.99"), "EUR"), None, Decimal(10))


def draft(**values: object) -> Quote:
    quote = Quote(
        number="Q-000001",
        opportunity_id=new_id(),
        owner_id=new_id(),
        currency="EUR",
        price_book_id=new_id(),
        **values,  # type: ignore[arg-type]  # by name
    )
    quote.create((LINE,))
    return quote


def sent(**values: object) -> Quote:
    quote = draft(**values)
    quote.send(NOW)
    return quote


def accepted() -> Quote:
    quote = sent()
    order_by_accepting(quote, "O-000001", NOW)
    return quote


def test_a_quote_is_sent_for_30_days_unless_it_says_otherwise() -> None:
    assert sent().valid_until == date(2026, 6, 3)
    assert sent(valid_until=date(2026, 5, 4)).valid_until == date(2026, 5, 4)


def test_a_quote_without_lines_or_past_its_validity_is_not_sent() -> None:
    empty = draft()
    empty.change({}, ())
    with pytest.raises(QuoteEmpty):
        empty.send(NOW)
    with pytest.raises(QuoteOutOfDate):
        draft(valid_until=date(2026, 5, 3)).send(NOW)


def test_what_was_sent_is_not_changed_nor_deleted_nor_sent_again() -> None:
    quote = sent()
    with pytest.raises(QuoteNotDraft):
        quote.change({"terms": "Net 30"})
    with pytest.raises(QuoteNotDraft):
        quote.delete(NOW)
    with pytest.raises(QuoteNotDraft):
        quote.send(NOW)


def test_a_currency_is_changed_with_the_lines_only() -> None:
    with pytest.raises(CurrenciesDiffer):
        draft().change({"currency": "USD"})
    quote = draft()
    quote.change({"currency": "USD"}, ())
    assert (quote.currency, quote.total) == ("USD", Decimal(0))


def test_acceptance_places_an_order_of_the_same_content() -> None:
    quote = sent()
    _, order, _ = order_by_accepting(quote, "O-000001", NOW, "Ada Lovelace", "PO 7")
    assert quote.state is QuoteState.ACCEPTED
    assert quote.order_id == order.id
    assert (order.quote_id, order.lines, order.total) == (quote.id, quote.lines, quote.total)
    assert (quote.accepted_by, order.purchase_order_number) == ("Ada Lovelace", "PO 7")


def test_a_quote_is_accepted_on_its_last_day_and_not_after_it() -> None:
    last_moment = datetime(2026, 6, 3, 23, 59, 59, tzinfo=UTC)
    order_by_accepting(sent(), "O-000001", last_moment)
    with pytest.raises(QuoteOutOfDate):
        order_by_accepting(sent(), "O-000001", last_moment + timedelta(seconds=1))


def test_only_a_sent_quote_is_decided_on() -> None:
    for quote in (draft(), accepted()):
        with pytest.raises(QuoteNotSent):
            order_by_accepting(quote, "O-000002", NOW)
        with pytest.raises(QuoteNotSent):
            quote.reject(NOW, "Too dear")


def test_a_quote_expires_once_its_validity_has_passed() -> None:
    quote = sent()
    assert quote.expire(NOW) is None
    assert quote.expire(NOW + timedelta(days=31)) is not None
    assert quote.state is QuoteState.EXPIRED
    assert quote.expire(NOW + timedelta(days=32)) is None


def test_what_was_decided_on_does_not_expire() -> None:
    assert accepted().expire(NOW + timedelta(days=31)) is None


def test_a_quote_is_withdrawn_until_it_is_decided_on() -> None:
    for quote in (draft(), sent()):
        quote.cancel(NOW, "Out of stock")
        assert (quote.state, quote.end_reason) == (QuoteState.CANCELLED, "Out of stock")
    with pytest.raises(QuoteEnded):
        accepted().cancel(NOW, "")


def test_a_quote_becomes_primary_later_than_any_before_it() -> None:
    quote = draft()
    latest = NOW + timedelta(seconds=5)  # by another machine's clock
    quote.make_primary(NOW, None, latest)
    assert quote.primary_at is not None
    assert quote.primary_at > latest


def test_an_accepted_primary_quote_does_not_give_way() -> None:
    former = accepted()
    with pytest.raises(PrimaryQuoteStands):
        draft().make_primary(NOW, former, None)


def test_a_quote_that_has_ended_cannot_become_primary() -> None:
    quote = sent()
    quote.reject(NOW, "Too dear")
    with pytest.raises(QuoteEnded):
        quote.make_primary(NOW, None, None)


def test_a_deleted_draft_is_not_primary_when_it_is_restored() -> None:
    quote = draft()
    quote.make_primary(NOW, None, None)
    quote.delete(NOW)
    quote.restore(NOW)
    assert not quote.is_primary


def test_a_revision_takes_the_place_of_a_sent_quote() -> None:
    quote = sent()
    quote.make_primary(NOW, None, None)
    revision, event = quote.revise(NOW)
    assert isinstance(event, QuoteSuperseded)
    assert (quote.state, quote.is_primary, quote.revised_by_id) == (QuoteState.SUPERSEDED, False, revision.id)
    assert (revision.number, revision.revision, revision.state) == (quote.number, 2, QuoteState.DRAFT)
    assert (revision.lines, revision.total, revision.is_primary) == (quote.lines, quote.total, True)
    assert revision.valid_until is None
    assert revision.primary_at is not None
    assert quote.primary_at is not None
    assert revision.primary_at > quote.primary_at


def test_a_rejected_quote_stays_rejected_when_it_is_revised_and_is_revised_once() -> None:
    quote = sent()
    quote.reject(NOW, "Too dear")
    _, event = quote.revise(NOW)
    assert isinstance(event, QuoteUpdated)
    assert quote.state is QuoteState.REJECTED
    with pytest.raises(QuoteRevised):
        quote.revise(NOW)


def test_a_draft_is_changed_rather_than_revised_and_what_was_accepted_stands() -> None:
    for quote in (draft(), accepted()):
        with pytest.raises(QuoteNotRevisable):
            quote.revise(NOW)


def test_an_order_is_cancelled_once() -> None:
    _, order, _ = order_by_accepting(sent(), "O-000001", NOW)
    order.cancel(NOW, "Went bankrupt")
    assert order.state is OrderState.CANCELLED
    with pytest.raises(OrderAlreadyCancelled):
        order.cancel(NOW, "Again")
