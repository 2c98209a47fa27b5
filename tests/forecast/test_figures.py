"""What a deal adds to a forecast, and in which currency."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chassis.ids import new_id
from chassis.money import minor_unit, shares
from services.forecast.domain.currencies import Rate, Rates, rounded
from services.forecast.domain.figures import (
    Category,
    Counting,
    Deal,
    Figures,
    Stage,
    State,
    Sum,
    product_shares,
)

TODAY = date(2017, 8, 15)
RATES = Rates(
    "EUR",
    [
        Rate("USD", "EUR", date(2017, 1, 1), Decimal("0.95")),
        Rate("USD", "EUR", date(2017, 7, 1), Decimal("0.87")),
        Rate("USD", "EUR", date(2018, 1, 1), Decimal("0.80")),
        Rate("JPY", "EUR", date(2017, 1, 1), Decimal("0.0081")),
    ],
)
COMMIT = Stage(new_id(), Category.COMMIT, 90)


def deal(
    state: State = State.OPEN,
    amount: str | None = "100.00",
    currency: str = "EUR",
    close_date: date | None = TODAY,
    products: tuple[tuple[UUID, Decimal], ...] = (),
) -> Deal:
    return Deal(
        id=new_id(), version=1, name="Hall 7", owner_id=None, account_id=None, stage_id=COMMIT.id, state=state,
        amount=Decimal(amount) if amount is not None else None, currency=currency, close_date=close_date,
        products=products,
    )  # fmt: skip


def counted(one: Deal, stage: Stage | None = COMMIT, currency: str = "EUR") -> Figures:
    return Counting(RATES, currency, TODAY).figures(one, stage)


def test_won_is_closed_whatever_its_stage_says() -> None:
    figures = counted(deal(State.WON))
    assert figures.closed == Sum(Decimal("100.00"), 1)
    assert figures.commit == Sum()
    assert figures.weighted == 0


def test_lost_is_omitted_and_never_weighted() -> None:
    figures = counted(deal(State.LOST))
    assert figures.omitted == figures.lost == Sum(Decimal("100.00"), 1)
    assert figures.pipeline_cumulative == Sum()
    assert figures.weighted == 0


def test_open_counts_as_its_stage_says_and_is_weighted_by_its_probability() -> None:
    figures = counted(deal(amount="33.33"))
    assert figures.commit == Sum(Decimal("33.33"), 1)
    assert figures.weighted == Decimal("30.00")


def test_open_omitted_is_not_weighted() -> None:
    figures = counted(deal(), Stage(new_id(), Category.OMITTED, 50))
    assert figures.omitted.deals == 1
    assert figures.weighted == 0


def test_open_in_a_stage_not_heard_of_yet_is_pipeline() -> None:
    assert counted(deal(), None).pipeline == Sum(Decimal("100.00"), 1)


@pytest.mark.parametrize(
    ("state", "close_date", "overdue"),
    [
        (State.OPEN, date(2017, 8, 14), 1),
        (State.OPEN, TODAY, 0),
        (State.OPEN, None, 0),
        (State.WON, date(2017, 8, 14), 0),
    ],
)
def test_open_deals_past_their_close_date_are_overdue(
    state: State, close_date: date | None, overdue: int
) -> None:
    figures = counted(deal(state, close_date=close_date))
    assert figures.overdue.deals == overdue
    assert figures.deals == 1


def test_open_deals_without_an_amount_are_counted_and_said() -> None:
    figures = counted(deal(amount=None))
    assert (figures.commit, figures.unpriced) == (Sum(Decimal(0), 1), 1)


def test_won_deals_are_converted_at_the_close_and_open_ones_at_today() -> None:
    assert counted(deal(State.WON, currency="USD", close_date=date(2017, 3, 1))).closed.amount == Decimal(
        "95.00"
    )
    assert counted(deal(State.OPEN, currency="USD", close_date=date(2018, 3, 1))).commit.amount == Decimal(
        "87.00"
    )


def test_a_missing_rate_is_said_and_never_taken_as_one() -> None:
    figures = counted(deal(currency="CHF"))
    assert (figures.commit, figures.unconverted) == (Sum(Decimal(0), 1), 1)
    assert counted(deal(State.WON, currency="USD", close_date=date(2016, 12, 31))).unconverted == 1


def test_another_currency_is_reached_by_way_of_the_reporting_currency() -> None:
    figures = counted(deal(amount="1000", currency="USD"), currency="JPY")
    assert figures.commit.amount == rounded(Decimal(1000) * Decimal("0.87") / Decimal("0.0081"), "JPY")
    assert counted(deal(amount="7", currency="CHF"), currency="CHF").commit.amount == 7  # needs no rate


def test_a_deal_is_shared_out_to_its_products_by_what_the_lines_come_to() -> None:
    one, other = new_id(), new_id()
    products = product_shares(
        Decimal(100),
        [(one, Decimal(20)), (other, Decimal(30)), (one, Decimal(10))],
        "EUR",
    )
    assert products == ((one, Decimal("50.00")), (other, Decimal("50.00")))


AMOUNTS = st.decimals(-1_000_000, 1_000_000, places=2)
CURRENCIES = st.sampled_from(["EUR", "USD", "JPY"])


@given(
    AMOUNTS,
    st.lists(st.decimals(0, 10_000, places=2), min_size=1, max_size=8),
    CURRENCIES,
    CURRENCIES,
    st.sampled_from(State),
    st.integers(0, 100),
)
def test_products_add_up_to_the_deal_to_the_minor_unit(
    amount: Decimal,
    worths: list[Decimal],
    currency: str,
    target: str,
    state: State,
    probability: int,
) -> None:
    products = product_shares(amount, [(new_id(), worth) for worth in worths], currency)
    whole = deal(state, str(amount), currency, products=products)
    stage = Stage(COMMIT.id, Category.BEST_CASE, probability)
    counting = Counting(RATES, target, TODAY)
    total = Figures()
    for part in counting.product_figures(whole, stage).values():
        total += part
    once = counting.figures(whole, stage)
    assert [total.of(category).amount for category in Category] == [
        once.of(category).amount for category in Category
    ]
    assert (total.weighted, total.lost.amount) == (once.weighted, once.lost.amount)


@given(
    AMOUNTS,
    st.dictionaries(st.text(max_size=3), st.decimals(-100, 100, places=3), min_size=1, max_size=9),
    CURRENCIES,
)
@example(Decimal(0), {"a": Decimal(100), "b": Decimal(-100)}, "EUR")  # lines that cancel out
@example(Decimal(100), {"a": Decimal(-100), "b": Decimal(-100), "c": Decimal(500)}, "EUR")
def test_shares_add_up_and_none_is_off_by_a_minor_unit(
    amount: Decimal, weights: dict[str, Decimal], currency: str
) -> None:
    parts = shares(amount, weights, currency)
    assert sum(parts.values()) == amount
    total = sum(weights.values())
    for key, part in parts.items():
        weight = weights[key] / total if total else Decimal(1) / len(weights)
        assert abs(part - amount * weight) < (2 + abs(weight)) * minor_unit(currency)


FIGURES = st.builds(
    Figures,
    *[st.builds(Sum, st.decimals(-1000, 1000, places=2), st.integers(0, 50))] * 7,
    st.decimals(0, 1000, places=2),
    st.integers(0, 9),
    st.integers(0, 9),
)


@given(FIGURES)
def test_each_cumulative_sum_is_the_surer_one_and_its_own(figures: Figures) -> None:
    assert figures.commit_cumulative == figures.closed + figures.commit
    assert figures.best_case_cumulative == figures.closed + figures.commit + figures.best_case
    everything = figures.closed + figures.commit + figures.best_case + figures.pipeline
    assert figures.pipeline_cumulative == everything
    assert figures.deals == everything.deals + figures.omitted.deals
