"""The best combination: against trying all, and what must hold of it whatever the case."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.hard_cases import read
from benchmarks.pricing import HARD
from benchmarks.pricing_mix import a_document, the_promotions
from services.quotes.pricing import ranking
from services.quotes.pricing.model import Document, PercentOff, Policy, Promotion, Reach
from services.quotes.pricing.solver import Memory, best
from tests.quotes.pricing import oracle
from tests.quotes.pricing.small import documents, offered

few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@few
@given(document=documents(), promotions=offered(3))
def test_is_what_trying_all_finds(document: Document, promotions: tuple[Promotion, ...]) -> None:
    lowest = oracle.best(document, promotions)
    found = best(document, promotions, 5000)
    assert found.bound is not None
    assert found.bound <= lowest.total <= found.totals.total
    if found.proven:
        assert (found.totals.total, -found.totals.gift_value) == (lowest.total, -lowest.gift_value)


@few
@given(document=documents(most_lines=3), promotions=offered(5), order=st.randoms(use_true_random=False))
def test_does_not_depend_on_the_order_of_lines_and_promotions(
    document: Document, promotions: tuple[Promotion, ...], order: Random
) -> None:
    lines, offers = list(document.lines), list(promotions)
    order.shuffle(lines)
    order.shuffle(offers)
    one = best(document, promotions, 5000)
    other = best(replace(document, lines=tuple(lines)), offers, 5000)
    assert (one.totals.total, one.totals.tax, one.gap) == (other.totals.total, other.totals.tax, other.gap)
    assert sorted(line.net for line in one.lines) == sorted(line.net for line in other.lines)


@few
@given(document=documents(most_lines=3), promotions=offered(5))
def test_one_more_promotion_never_raises_a_proven_total(
    document: Document, promotions: tuple[Promotion, ...]
) -> None:
    with_all = best(document, promotions, 5000)
    without = best(document, promotions[:-1], 5000)
    if with_all.proven:
        assert with_all.totals.total <= without.totals.total
    if without.proven:
        assert with_all.bound is not None
        assert with_all.bound <= without.totals.total


@few
@given(
    document=documents(most_lines=3, most_units=8),
    percents=st.lists(st.integers(1, 30), min_size=1, max_size=3),
)
def test_splitting_never_pays_where_promotions_only_use_units_up(
    document: Document, percents: list[int]
) -> None:
    """Before rounding: each line is rounded once, so that halves may differ from the whole by that."""
    promotions = [
        Promotion(
            code=f"P{place}",
            benefit=PercentOff(percent=Decimal(percent), reach=Reach(max_units_per_line=10_000)),
        )
        for place, percent in enumerate(percents)
    ]
    bare = replace(document, charges=())
    whole = best(bare, promotions, 5000)
    halves = [
        best(replace(bare, lines=lines), promotions, 5000)
        for lines in (bare.lines[:1], bare.lines[1:])
        if lines
    ]
    slack = 2 * len(bare.lines)
    assert whole.totals.total <= sum(half.totals.total for half in halves) + slack


@few
@given(document=documents(policy=Policy.HIGHEST_MARGIN, within_percent=Decimal(10)), promotions=offered(3))
def test_highest_margin_stays_within_what_the_policy_allows(
    document: Document, promotions: tuple[Promotion, ...]
) -> None:
    lowest = best(
        replace(document, settings=replace(document.settings, policy=Policy.LOWEST_TOTAL)), promotions, 5000
    )
    funded = tuple(replace(one, funding_percent=Decimal(50), supplier="maker") for one in promotions)
    found = best(document, funded, 5000)
    most = oracle.best(document, funded)
    assert found.totals.total <= lowest.totals.total + lowest.totals.total // 10
    if lowest.proven:
        earned = sum(line.net for line in found.lines) + found.totals.funding
        possible = ranking.margin(most)
        assert earned <= possible <= earned + (found.gap or 0)


@pytest.mark.parametrize("path", sorted(HARD.glob("*.json")), ids=lambda path: path.stem)
def test_hard_cases_stay_solved(path: Path) -> None:
    case = json.loads(path.read_text())
    document, promotions = read(case)
    found = best(document, promotions, 10_000, detail=False)
    assert found.totals.total <= case["total"]
    if case["proven"]:
        assert found.totals.total == case["total"]
        assert found.proven


def test_answers_with_a_true_bound_when_time_is_over() -> None:
    document = a_document(3, 60)
    promotions = the_promotions(3, 60, document)
    hurried = best(document, promotions, 0, detail=False)
    patient = best(document, promotions, 10_000, detail=False)
    assert hurried.bound is not None
    assert hurried.bound <= patient.totals.total <= hurried.totals.total
    assert hurried.gap == hurried.totals.total - hurried.bound


def test_pricing_again_from_memory_answers_the_same() -> None:
    document = a_document(5, 40)
    promotions = the_promotions(5, 40, document)
    memory = Memory()
    best(document, promotions, 10_000, memory=memory, detail=False)
    changed = replace(document.lines[7], quantity=document.lines[7].quantity + 1)
    again = replace(document, lines=(*document.lines[:7], changed, *document.lines[8:]))
    remembered = best(again, promotions, 10_000, memory=memory, detail=False)
    fresh = best(again, promotions, 10_000, detail=False)
    assert remembered == fresh
