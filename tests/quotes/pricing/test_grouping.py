"""Groups of units, against trying all ways to form them."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from services.quotes.pricing.grouping import bundle_fits, free_units_are_right, most_repeats
from services.quotes.pricing.model import BundlePrice, BuyGet, Component, Free
from services.quotes.pricing.problem import prepare
from tests.quotes.pricing.making import document, line, product, promotion


def _groups_exist(bought: list[int], rewarded: list[int], deal: BuyGet) -> bool:
    if not rewarded:
        return not bought
    first, *rest = rewarded
    for others in combinations(range(len(rest)), deal.get_quantity - 1):
        group = [first, *(rest[i] for i in others)]
        left = [price for i, price in enumerate(rest) if i not in others]
        for chosen in combinations(range(len(bought)), deal.buy_quantity):
            paid = [bought[i] for i in chosen]
            fits = max(group) <= min(paid) if deal.free is Free.CHEAPEST else min(group) >= max(paid)
            if fits and _groups_exist([p for i, p in enumerate(bought) if i not in chosen], left, deal):
                return True
    return False


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_cheapest_or_dearest_of_groups_is_what_trying_all_groups_says(data: st.DataObject) -> None:
    buy, get = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2))
    deal = BuyGet(
        buy_quantity=buy, get_quantity=get, free=data.draw(st.sampled_from([Free.CHEAPEST, Free.DEAREST]))
    )
    times = data.draw(st.integers(1, 2))
    prices = [1, 2, 3, 4]
    bought = data.draw(st.lists(st.sampled_from(prices), min_size=buy * times, max_size=buy * times))
    rewarded = data.draw(st.lists(st.sampled_from(prices), min_size=get * times, max_size=get * times))
    problem = prepare(document(*(line(str(p), p, 9) for p in prices)), [promotion("P", deal)])
    units = [{prices.index(p): side.count(p) for p in side} for side in (rewarded, bought)]
    found = free_units_are_right(problem, problem.offers[0], *units)
    assert found == _groups_exist(bought, rewarded, deal)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=3, max_size=3), st.integers(1, 2), st.integers(1, 2))
def test_bundles_are_shared_out_as_trying_all_ways_says(units: list[int], one: int, two: int) -> None:
    components = (Component(product("a", "b"), one), Component(product("b", "c"), two))
    offered = promotion("P", BundlePrice(components=components, price=Decimal(1)))
    problem = prepare(document(*(line(key, 9, 3) for key in "abc")), [offered])
    offer = problem.offers[0]
    times, left = divmod(sum(units), one + two)
    chosen = {index: number for index, number in enumerate(units) if number}
    exists = any(units[0] + from_b == one * times for from_b in range(units[1] + 1))
    if not left and times:
        assert bundle_fits(offer, chosen, times) == exists


def test_repeats_are_what_the_units_allow() -> None:
    deal = BuyGet(buy=product("a"), buy_quantity=2, get=product("a", "b"), get_quantity=1)
    problem = prepare(document(line("a", 5, 5), line("b", 5, 1)), [promotion("P", deal)])
    assert most_repeats(problem, problem.offers[0]) == 2
