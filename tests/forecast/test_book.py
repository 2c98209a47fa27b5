"""The book: whatever comes in whatever order, it holds the same, and adds up what the domain says."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.forecast import wire
from services.forecast.book import UNDATED as UNDATED_DAY
from services.forecast.book import Book, Reference, day_number, exact, value
from services.forecast.book.deals import deals_at
from services.forecast.book.interning import MISSING, Currencies, Interner
from services.forecast.book.loading import reference_of
from services.forecast.domain.figures import Counting
from services.forecast.domain.periods import UNDATED, FiscalCalendar, Granularity
from services.forecast.wire.heard import microseconds
from tests.forecast.book_figures import BookFigures, Selection
from tests.forecast.histories import CURRENCIES, TODAY, World, book_of, counted, holding, references_of

_CALENDAR = FiscalCalendar(start_month=2)
_PERIODS = [
    *(_CALENDAR.month(2017, month) for month in range(1, 13)),
    _CALENDAR.period_of(TODAY, Granularity.QUARTER),
    UNDATED,
]
_AMOUNTS = st.integers(-(10**17), 10**17) | st.integers(-(10**6), 10**6)


def rounded(value: Fraction) -> int:
    """Half away from zero."""
    whole = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return whole if value >= 0 else -whole


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(_AMOUNTS, st.integers(1, 10**14), st.integers(1, 10**14))
        | st.tuples(st.integers(-999, 999), st.integers(1, 50), st.sampled_from([2, 10, 100, 1000])),
        min_size=1,
        max_size=20,
    )
)
def test_amounts_are_scaled_to_the_very_unit(cases: list[tuple[int, int, int]]) -> None:
    amounts, factors, divisors = (np.array(column, np.int64) for column in zip(*cases, strict=True))
    result = exact.scaled(amounts, factors, divisors)
    assert result.tolist() == [rounded(Fraction(amount * by, over)) for amount, by, over in cases]


@given(st.lists(st.tuples(_AMOUNTS, st.integers(0, 100)), min_size=1, max_size=20))
def test_percentages_are_rounded_to_the_very_unit(cases: list[tuple[int, int]]) -> None:
    amounts, chances = np.array([one for one, _ in cases]), np.array([by for _, by in cases], np.int8)
    expected = [rounded(Fraction(amount * by, 100)) for amount, by in cases]
    assert exact.percent(amounts, chances).tolist() == expected


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=30))
def test_sums_never_overflow(amounts: list[int]) -> None:
    assert exact.total(np.array(amounts)) == sum(amounts)
    places = np.arange(len(amounts)) % 3
    expected = [sum(amounts[place::3]) for place in range(3)]
    assert exact.sums(places, np.array(amounts), 3).tolist() == expected


def test_an_id_has_one_code_however_it_comes() -> None:
    world, interner = World(1), Interner()
    known = [world.id() for _ in range(500)]
    codes = [interner.intern(id) for id in known[:100]]
    raw = np.array([[id.int >> 64, id.int & (1 << 64) - 1] for id in known], np.uint64)
    everything = interner.intern_all(raw).tolist()
    assert everything[:100] == codes
    assert sorted(everything) == list(range(500))
    assert interner.intern_all(raw[::-1]).tolist() == everything[::-1]
    assert interner.intern_all(np.zeros((70, 2), np.uint64)).tolist() == [MISSING] * 70
    assert [interner.id(code) for code in everything] == known
    assert [interner.code(id) for id in known] == everything
    assert interner.code(world.id()) == MISSING


def test_ids_that_share_a_key_are_told_apart() -> None:
    mix = 0x9E3779B97F4A7C15
    pairs = [(low * mix % 2**64, low) for low in range(1, 200)]  # all have the key 0
    for size in (1, 150):
        interner = Interner()
        for start in range(0, len(pairs), size):
            interner.intern_all(np.array(pairs[start : start + size], np.uint64))
        interner._settle()
        assert interner.intern_all(np.array(pairs, np.uint64)).tolist() == list(range(199))
        assert interner.code(UUID(int=(pairs[77][0] << 64) | pairs[77][1])) == 77


def test_currencies_are_numbers_and_back() -> None:
    raw = np.array([b"EUR", b"AAA", b"ZZZ", b"---"], "V3")
    assert Currencies.codes_of(raw).tolist() == [Currencies.code(name) for name in ("EUR", "AAA", "ZZZ", "")]
    assert [Currencies.id(Currencies.code(name)) for name in ("EUR", "AAA", "ZZZ")] == ["EUR", "AAA", "ZZZ"]


@pytest.mark.parametrize("currency", CURRENCIES)
def test_what_a_book_adds_up_is_what_the_domain_says(currency: str) -> None:
    world = World(seed=CURRENCIES.index(currency))
    rows = world.history(400, 2)
    book = book_of(world, rows)
    selection = Selection(_PERIODS, currency, "EUR", TODAY)
    counting = Counting(book.at().rates, currency, TODAY)
    deals = list(deals_at(book, book.view()))
    assert {(deal.id, deal.version) for deal in deals} == {
        (id, version)
        for id, version in holding(rows, rows[-1]["recorded_at"])
        if next(row for row in rows if row["id"] == id and row["version"] == version)["lead_id"]
        != world.leads[0]
    }
    figures = BookFigures(book, None)
    assert figures.by_owner(selection) == counted(world, deals, _PERIODS, counting, "owner")
    assert figures.by_product(selection) == counted(world, deals, _PERIODS, counting, "product")
    everything = figures.in_all(selection)
    assert sum(one.deals for one in everything.values()) == sum(
        one.deals for owner in figures.by_owner(selection).values() for one in owner.values()
    )
    monthly = [*_PERIODS[:12], UNDATED]
    lacking = figures.lacking(Selection(monthly, currency, "EUR", TODAY))
    unconverted = sum(everything[period.id].unconverted for period in monthly if period.id in everything)
    assert sum(one.deals for one in lacking) == unconverted


def contents(book: Book) -> dict[tuple[UUID, int], object]:
    """All that a book knows of deals."""
    versions = book.versions
    rows = np.arange(len(versions), dtype=np.int32)
    times = zip(
        versions.recorded_at.tolist(), versions.until.tolist(), versions.effective_at.tolist(), strict=True
    )
    return {
        (deal.id, deal.version): (deal, time) for deal, time in zip(deals_at(book, rows), times, strict=True)
    }


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32))
def test_events_in_any_order_with_any_duplicates_make_the_same_book(seed: int) -> None:
    world = World(seed)
    rows, references = world.history(40, 5), world.references()
    plain, mixed = book_of(world, rows), Book()
    selections = [Selection(_PERIODS, currency, "EUR", TODAY) for currency in ("EUR", "JPY")]
    batches: list[tuple[list[dict[str, object]], list[dict[str, object]]]] = [
        *((batch, []) for batch in world.shuffled(rows)),
        *(([], batch) for batch in world.shuffled(references)),
    ]
    world.random.shuffle(batches)
    for deals, others in batches:
        mixed.add(deals, references_of(others))
        mixed.versions.in_business_order()  # what comes is put in at its place
        if mixed.at().of("tenant"):  # live figures are followed from now on
            for selection in selections:
                BookFigures(mixed, None).by_owner(selection)
                BookFigures(mixed, None).by_product(selection)
    assert contents(mixed) == contents(plain)
    every, order = mixed.versions, mixed.versions.in_business_order()
    assert order.tolist() == np.lexsort((every.version, every.effective_at, every.deal)).tolist()
    for selection in selections:
        live, anew = BookFigures(mixed, None), BookFigures(plain, None)
        assert live.by_owner(selection) == anew.by_owner(selection)
        assert live.by_product(selection) == anew.by_product(selection)
    for _ in range(8):
        at = world.random.choice(rows)["recorded_at"] + timedelta(microseconds=world.random.randint(-1, 1))
        effective = world.random.choice([None, at - timedelta(days=world.random.randint(0, 60))])
        for book in (plain, mixed):
            found = book.versions.holding(microseconds(at), microseconds(effective) if effective else None)
            versions = {(deal.id, deal.version) for deal in deals_at(book, found)}
            assert versions == holding(rows, at, effective)


def test_what_was_recorded_later_changes_no_former_answer() -> None:
    world = World(3)
    rows = world.history(100, 4)
    middle = rows[len(rows) // 2]["recorded_at"]
    early = book_of(world, [row for row in rows if row["recorded_at"] <= middle])
    late = book_of(world, rows)
    at = microseconds(middle)
    assert {deal.id: deal for deal in deals_at(early, early.view())} == {
        deal.id: deal for deal in deals_at(late, late.view(at))
    }
    later = {"probability": 99, "category": 4, "name": "", "pipeline_id": str(world.pipeline)}
    stage = next(iter(world.stages))
    before = late.at(at)
    change = {"kind": "stage", "id": stage, "version": 2, "recorded_at": middle + timedelta(seconds=1)}
    late.add([], [reference_of({**change, "content": later})])
    assert late.at(at).stages == before.stages
    assert late.at().stages[stage].probability == 99


def test_amounts_beyond_64_bits_still_add_up() -> None:
    world = World(9)
    rows = world.history(60, 1)
    for row in rows:
        row.update(amount=9 * 10**17, currency="USD", product_ids=[], product_ends=[], deleted=False, state=1)
    book = book_of(world, rows)
    deals = list(deals_at(book, book.view()))
    for currency in ("EUR", "USD", "JPY"):
        selection = Selection(_PERIODS, currency, "EUR", TODAY)
        counting = Counting(book.at().rates, currency, TODAY)
        expected = counted(world, deals, _PERIODS, counting, "owner")
        assert BookFigures(book, None).by_owner(selection) == expected
        changed = [{**row, "version": 2, "amount": 8 * 10**17} for row in rows[:30]]
        book.add(changed, [])
        deals = list(deals_at(book, book.view()))
        assert BookFigures(book, None).by_owner(selection) == counted(
            world, deals, _PERIODS, counting, "owner"
        )


def test_a_deal_counts_from_the_end_of_its_leads_conversion_on() -> None:
    world = World(5)
    rows = world.history(60, 1)
    for row in rows:
        row.update(deleted=False)
    book = book_of(world, rows)
    selection = Selection(_PERIODS, "EUR", "EUR", TODAY)
    waiting = sum(row["lead_id"] == world.leads[0] for row in rows)
    assert waiting
    live = BookFigures(book, None).in_all(selection)
    before = sum(one.deals for one in live.values())
    lead = next(row for row in world.references() if row["id"] == world.leads[0])
    for version, converting in ((2, False), (3, True), (4, False)):
        change = {**lead, "version": version, "content": {"converting": converting}}
        book.add([], references_of([change]))
        live = BookFigures(book, None).in_all(selection)
        book._cells.clear()
        assert live == BookFigures(book, None).in_all(selection)
        assert len(book.view()) == len(rows) - (waiting if converting else 0)
    assert sum(one.deals for one in live.values()) > before


def test_a_date_far_away_is_a_date_all_the_same() -> None:
    world = World(6)
    rows = world.history(3, 1)
    for row, day in zip(rows, (date(1, 1, 1), date(9999, 12, 30), wire.UNDATED), strict=True):
        row.update(closes_on=day, deleted=False, lead_id=None, state=1)
        row.update(state=2, amount=100, currency="USD")
    old = Reference("exchange_rate", world.id(), 1, 0, {
        "currency": "USD", "target": "EUR", "valid_from": "0001-01-01", "rate": "0.5", "deleted": False,
    })  # fmt: skip
    book = book_of(world, rows)
    book.add([], [old])
    every = np.arange(3, dtype=np.int32)
    assert {deal.close_date for deal in deals_at(book, every)} == {date(1, 1, 1), date(9999, 12, 30), None}
    found = dict(
        zip(
            book.versions.closes_on.tolist(),
            value(book, every, book.at(), "EUR", TODAY).converted.tolist(),
            strict=True,
        )
    )
    assert found == {
        day_number(date(1, 1, 1)): 50,
        day_number(date(9999, 12, 30)): 92,
        UNDATED_DAY: 91,
    }
