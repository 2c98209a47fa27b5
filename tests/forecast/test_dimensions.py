"""Every tree adds up, in every organisation and by every credit, and all of them to the same."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.money import minor_unit, shares
from services.forecast.book.book import Book
from services.forecast.book.grid import DEALS, MEASURES, Measure
from services.forecast.book.reference import Reference
from services.forecast.dimensions import Axis, Credit, GroupBy, Hierarchy, Question, RateDate, axis_of
from services.forecast.dimensions.credit import largest_remainder
from services.forecast.domain.figures import Category, Deal, State, product_shares
from services.forecast.domain.periods import UNDATED, FiscalCalendar
from services.forecast.figures import figures_of
from services.forecast.recount import recounted
from services.forecast.summing import COUNTS, Sums, sums_of
from services.forecast.wire.heard import Kind, deal_row, microseconds

TODAY = date(2017, 8, 15)
NOW = datetime(2017, 8, 15, 12, tzinfo=UTC)
EVER, ON = microseconds(datetime(1, 1, 1, tzinfo=UTC)), microseconds(datetime(9999, 12, 31, tzinfo=UTC))
ZONE = ZoneInfo("UTC")


def day(month: int, of: int = 1) -> int:
    return microseconds(datetime(2017, month, of, tzinfo=UTC))


def numbered(number: int) -> UUID:
    return UUID(int=number + 1)


class World:
    """A company with a past, and random deals in it."""

    def __init__(self, seed: int, *, splits: bool = True) -> None:
        self.random = random.Random(seed)
        self.book = Book()
        self.versions = itertools.count(1)
        self.people = [numbered(number) for number in range(8)]
        self.territories = [numbered(100 + number) for number in range(4)]
        self.products = [numbered(200 + number) for number in range(4)]
        self.accounts = [numbered(300 + number) for number in range(3)]
        self.pipelines = [numbered(400), numbered(401)]
        self.stages = [numbered(500), numbered(501), numbered(502)]
        self.splits = splits
        self.deals: dict[UUID, Deal] = {}
        self.say("tenant", numbered(999), reporting_currency="EUR", time_zone="UTC", first_month=1)
        for number, id in enumerate(self.people):
            self.say("user", id, name=f"User {number}")
        for number, id in enumerate(self.territories):
            parent = str(self.territories[(number - 1) // 2]) if number else None
            self.say("territory", id, name=f"Territory {number}", parent_id=parent, deleted=False)
        for number, id in enumerate(self.products):
            self.say("product", id, name=f"Product {number}", family=["", "Near", "Far", "Near"][number])
        self.say("product_family", numbered(220), name="Far", parent_id=str(numbered(221)), deleted=False)
        self.say("product_family", numbered(221), name="Near", parent_id=None, deleted=False)
        for number, id in enumerate(self.accounts):
            self.say("account", id, segment=["Small", "Large", ""][number])
        for number, id in enumerate(self.pipelines):
            self.say("pipeline", id, name=f"Pipeline {number}")
        for category, id in zip((1, 3, 4), self.stages, strict=True):
            facts = {"name": "Stage", "category": category, "probability": self.random.randint(0, 100)}
            self.say("stage", id, pipeline_id=str(self.pipelines[0]), **facts)
        for source, rate in (("USD", "0.9134"), ("JPY", "0.0077")):
            facts = {"currency": source, "target": "EUR", "valid_from": "2017-02-01", "rate": rate}
            self.say("exchange_rate", numbered(600 + len(source) * ord(source[0])), deleted=False, **facts)

    def say(self, kind: str, id: UUID, **content: Any) -> None:
        """Something is recorded of a thing, at the beginning of the year."""
        self.book.add([], [Reference(kind, id, next(self.versions), day(1), content)])

    def reports(self, user: int, manager: int, start: int = EVER, end: int = ON, at: int = 0) -> None:
        """Somebody reports to somebody."""
        facts = {"user_id": str(self.people[user]), "manager_id": str(self.people[manager])}
        id = UUID(int=next(self.versions) << 20)
        content = {**facts, "valid_from": start, "valid_to": end}
        self.book.add([], [Reference("reporting_line", id, 1, at or day(1), content)])

    def covers(self, user: int, territory: int, share: str = "1", start: int = EVER, end: int = ON) -> None:
        """Somebody covers a territory, or a part of it."""
        facts = {"user_id": str(self.people[user]), "territory_id": str(self.territories[territory])}
        id = UUID(int=next(self.versions) << 20)
        self.say("territory_assignment", id, **facts, valid_from=start, valid_to=end, share=share)

    def organise(self) -> None:
        """People report, move, and cover territories at random."""
        choose = self.random
        for user in range(1, len(self.people)):
            managers, starts = range(user), [EVER, *sorted(choose.sample(range(2, 12), choose.randint(0, 2)))]
            for start, end in zip(starts, [*starts[1:], ON], strict=True):
                since, until = (day(each) if each in range(13) else each for each in (start, end))
                self.reports(user, choose.choice(managers), since, until)
            if choose.random() < 0.3:
                self.covers(user, choose.randrange(4))
            elif choose.random() < 0.6:
                self.covers(user, 0, "0.333333", EVER, day(6))
                self.covers(user, 1, "0.666667", EVER, day(6))
                self.covers(user, 2, "1", day(6))

    def deal(self, number: int, **fields: Any) -> None:
        """A random deal, but for the fields given."""
        choose = self.random
        state = choose.choices(list(State), [4, 5, 2])[0]
        currency = choose.choice(["EUR", "USD", "JPY", "CHF"])
        amount = None if choose.random() < 0.1 else choose.randint(-1000, 100_000) * minor_unit(currency)
        close = (
            None
            if state is State.OPEN and choose.random() < 0.2
            else date(2017, 1, 1) + timedelta(choose.randint(0, 364))
        )
        lines = [
            (choose.choice(self.products), Decimal(choose.randint(0, 999)) / 10)
            for _ in range(choose.randint(0, 3))
        ]
        deal = Deal(
            id=numbered(10_000 + number), version=1, name=f"Deal {number}",
            owner_id=choose.choice([None, *self.people]), account_id=choose.choice([None, *self.accounts]),
            stage_id=choose.choice(self.stages), state=state, amount=amount,
            currency=currency if amount is not None else "", close_date=close,
            pipeline_id=choose.choice([None, *self.pipelines]),
        )  # fmt: skip
        deal = replace(deal, **fields)
        worth = deal.amount or Decimal(0)
        deal = replace(deal, products=product_shares(deal.amount, lines, deal.currency))
        if self.splits and choose.random() < 0.4:
            split = {str(id): Decimal(choose.randint(1, 100)) for id in choose.sample(self.people, 3)}
            parts = shares(worth, split, deal.currency)
            unit = minor_unit(deal.currency)
            overlays = ((choose.choice(self.people), worth / 2 // unit * unit),)
            deal = replace(
                deal, splits=tuple((UUID(id), each) for id, each in parts.items()), overlays=overlays
            )
        self.take(deal)

    def take(self, deal: Deal, at: datetime = datetime(2017, 1, 1, tzinfo=UTC), **times: Any) -> None:
        """A deal is recorded."""
        self.deals[deal.id] = deal
        counted = {"recorded_at": at, "effective_at": times.get("effective_at", at)}
        self.book.add([deal_row(deal, Kind.UPDATED, **counted)], [])

    def question(self, group_by: GroupBy, *periods: str) -> Question:
        """What is asked for, live."""
        chosen = [FiscalCalendar().named(period) for period in periods or ("FY2017",)]
        return Question(group_by, [*chosen, UNDATED], "EUR", TODAY, ZONE, NOW)

    def ask(self, group_by: GroupBy, *periods: str, **fields: Any) -> tuple[Axis, Sums]:
        """A tree with its sums; a live one, unless an instant is given."""
        question = replace(self.question(group_by, *periods), **fields)
        axis = axis_of(self.book, question)
        return axis, sums_of(self.book, axis, question)


def everywhere(sums: Sums) -> Any:
    return sums.total(np.arange(len(sums.tree), dtype=np.int32))


def root(sums: Sums) -> Any:
    return sums.total(np.array([0], np.int32))[0]


CREDITS, HIERARCHIES = st.sampled_from(list(Credit)), st.sampled_from(list(Hierarchy))


@given(st.integers(0, 10**6), CREDITS, HIERARCHIES, st.booleans(), st.booleans())
@settings(max_examples=12, deadline=None)
def test_every_tree_adds_up_and_all_to_the_same(
    seed: int, credit: Credit, hierarchy: Hierarchy, is_live: bool, is_limited: bool
) -> None:
    world = World(seed)
    world.organise()
    for number in range(60):
        world.deal(number)
    fields: dict[str, Any] = {"credit": credit, "hierarchy": hierarchy}
    if not is_live:
        fields["recorded_at"] = NOW
    if is_limited:
        fields["within"] = frozenset(world.people[2:5])
    roots = []
    for group_by in GroupBy:
        _, sums = world.ask(group_by, "2017-01", "2017-Q2", "FY2017", **fields)
        total, tree = everywhere(sums), sums.tree
        for place in range(len(tree)):
            below = np.flatnonzero(tree.above == place)
            amounts = total[below].sum(axis=0) + sums.own[place]
            assert (amounts[:, : COUNTS.start] == total[place][:, : COUNTS.start]).all()
            # a deal counts once, however many of the nodes below have a part of it
            assert (amounts[:, COUNTS] >= total[place][:, COUNTS]).all()
            assert (total[place] >= 0)[:, COUNTS].all()
        roots.append(root(sums))
    for one in roots[1:]:
        assert (one == roots[0]).all()


@given(st.integers(0, 10**6), CREDITS, HIERARCHIES, st.booleans())
@settings(max_examples=12, deadline=None)
def test_every_figure_is_what_counting_deal_by_deal_gives(
    seed: int, credit: Credit, hierarchy: Hierarchy, is_limited: bool
) -> None:
    world = World(seed)
    world.organise()
    for number in range(40):
        world.deal(number)
    tenant = world.book.at()
    within = frozenset(world.people[2:5]) if is_limited else None
    for group_by in GroupBy:
        fields: dict[str, Any] = {"credit": credit, "hierarchy": hierarchy, "within": within}
        axis, sums = world.ask(group_by, "2017-Q2", "2017-07", **fields)
        question = replace(world.question(group_by, "2017-Q2", "2017-07"), **fields)
        expected = recounted(question, tenant, world.deals.values(), tenant.stages)
        found = {
            (axis.tree.nodes[place].id, period.id): figures_of(row, Decimal("0.01"))
            for place, rows in enumerate(everywhere(sums).tolist())
            for period, row in zip(sums.periods, rows, strict=True)
            if any(row[DEALS])
        }
        assert found == expected


@given(st.integers(0, 10**6), st.sampled_from(list(GroupBy)), CREDITS)
@settings(max_examples=12, deadline=None)
def test_the_root_is_the_same_in_every_organisation_and_live_is_as_of_now(
    seed: int, group_by: GroupBy, credit: Credit
) -> None:
    world = World(seed)
    world.organise()
    for number in range(40):
        world.deal(number)
    live = [world.ask(group_by, hierarchy=each, credit=credit)[1] for each in Hierarchy]
    as_of = [world.ask(group_by, hierarchy=each, credit=credit, recorded_at=NOW)[1] for each in Hierarchy]
    for one in (*live, *as_of):
        assert (root(one) == root(live[0])).all()
    for one, other in zip(live, as_of, strict=True):
        assert [each.id for each in one.tree.nodes] == [each.id for each in other.tree.nodes]
        assert (everywhere(one) == everywhere(other)).all()


@given(st.integers(0, 10**6), st.integers(1, 12), st.booleans())
@settings(max_examples=15, deadline=None)
def test_what_was_kept_and_changed_is_what_is_computed_anew(seed: int, count: int, splits: bool) -> None:
    world = World(seed, splits=splits)
    world.organise()
    for number in range(20):
        world.deal(number)
    for group_by in GroupBy:
        world.ask(group_by, "2017-Q1", "FY2017")
    for number in range(count):
        deal = world.random.choice(list(world.deals.values()))
        world.deal(int(deal.id) - 10_001, version=deal.version + 1 + number)
        if world.random.random() < 0.4:  # some are followed one by one, others together
            world.ask(world.random.choice(list(GroupBy)), "2017-Q1", "FY2017")
    for group_by in GroupBy:
        _, kept = world.ask(group_by, "2017-Q1", "FY2017")
        _, anew = world.ask(group_by, "2017-Q1", "FY2017", recorded_at=NOW)
        assert (everywhere(kept) == everywhere(anew)).all()
        assert (kept.own == anew.own).all()


@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=10, deadline=None)
def test_teams_are_what_walking_up_from_each_deal_gives(seed: int, is_booked: bool) -> None:
    world = World(seed, splits=False)
    world.organise()
    for number in range(50):
        world.deal(number, currency="EUR", amount=Decimal(number))
    hierarchy = Hierarchy.BOOKED if is_booked else Hierarchy.AS_OF
    _, sums = world.ask(GroupBy.TEAM, hierarchy=hierarchy)
    lines = world.book.at().lines
    expected: dict[tuple[str, ...], int] = {}
    for deal in world.deals.values():
        at = microseconds(NOW)
        if is_booked and deal.state is not State.OPEN and deal.close_date:
            at = microseconds(datetime.combine(deal.close_date, time(12), UTC))
        path, person = [str(deal.owner_id or "none")], deal.owner_id
        while manager := next((line.other for line in lines if line.user == person and line.holds(at)), None):
            path.append(str(manager))
            person = manager
        for length in range(len(path)):
            key = tuple(reversed(path[length:]))
            expected[key] = expected.get(key, 0) + int((deal.amount or 0) * 100)
    found: dict[tuple[str, ...], int] = {}
    total = everywhere(sums)
    for place in range(1, len(sums.tree)):
        path, above = [], place
        while above > 0:
            node = sums.tree.nodes[above]
            path.append(node.subject or node.id)
            above = int(sums.tree.above[above])
        found[tuple(reversed(path))] = int(total[place][:, :5].sum())
    assert {key: value for key, value in found.items() if value} == {
        key: value for key, value in expected.items() if value
    }


def test_a_closed_deal_stays_where_its_owner_stood_and_an_open_one_moves_along() -> None:
    world = World(1, splits=False)
    world.reports(2, 0, EVER, day(5))
    world.reports(2, 1, day(5))
    euros = {"currency": "EUR", "owner_id": world.people[2]}
    world.deal(1, state=State.WON, close_date=date(2017, 4, 30), amount=Decimal(100), **euros)
    world.deal(2, state=State.WON, close_date=date(2017, 5, 1), amount=Decimal(10), **euros)
    world.deal(3, state=State.OPEN, close_date=date(2017, 4, 1), amount=Decimal(1), **euros)
    totals = {}
    for hierarchy in Hierarchy:
        _, sums = world.ask(GroupBy.TEAM, hierarchy=hierarchy)
        total = everywhere(sums)[:, 0, :5].sum(axis=1)
        totals[hierarchy] = [int(total[sums.tree.place(str(world.people[user]))]) for user in (0, 1, 2)]
        former = [node for node in sums.tree.nodes if node.subject == str(world.people[2])]
        assert len(former) == 1
    assert totals[Hierarchy.BOOKED] == [10_000, 1_100, 1_100]
    assert totals[Hierarchy.AS_OF] == totals[Hierarchy.CURRENT] == [0, 11_100, 11_100]
    # as of April everybody stood below the former manager; today's organisation is another question
    april = {"recorded_at": datetime(2017, 4, 2, tzinfo=UTC)}
    _, sums = world.ask(GroupBy.TEAM, hierarchy=Hierarchy.AS_OF, **april)
    assert everywhere(sums)[sums.tree.place(str(world.people[0])), 0, :5].sum() == 11_100
    _, sums = world.ask(GroupBy.TEAM, hierarchy=Hierarchy.CURRENT, **april)
    assert everywhere(sums)[sums.tree.place(str(world.people[1])), 0, :5].sum() == 11_100


def test_a_deal_is_shared_out_to_the_territories_of_its_owner_to_the_cent() -> None:
    world = World(2, splits=False)
    world.covers(0, 0, "0.333333", EVER, day(6))
    world.covers(0, 1, "0.333333", EVER, day(6))
    world.covers(0, 2, "0.333334", EVER, day(6))
    world.covers(0, 3, "1", day(6))
    euros = {"currency": "EUR", "owner_id": world.people[0], "amount": Decimal("100.01")}
    world.deal(1, state=State.WON, close_date=date(2017, 5, 31), **euros)
    world.deal(2, state=State.WON, close_date=date(2017, 6, 1), **euros)
    _, sums = world.ask(GroupBy.TERRITORY)
    closed = {
        node.name: int(sums.own[place, 0, Measure.CLOSED]) for place, node in enumerate(sums.tree.nodes)
    }
    assert (closed["Territory 0"], closed["Territory 1"], closed["Territory 2"]) == (3334, 3333, 3334)
    assert closed["Territory 3"] == 10_001
    assert root(sums)[0, Measure.CLOSED_DEALS] == 2


def test_a_version_that_says_the_same_changes_nothing_in_whatever_order_it_comes() -> None:
    account, days = numbered(900), (day(2), day(3), day(4))
    versions = [
        Reference("account", account, number + 10, at, {"segment": segment})
        for number, (at, segment) in enumerate(zip(days, ("Small", "Large", "Small"), strict=True))
    ]
    for order in itertools.permutations(versions):
        book = World(7).book
        for version in order:
            book.add([], [version])
        known = book.at()
        book.add([], [Reference("account", account, 20, day(5), {"segment": "Small"})])
        assert book.at() is known
        found = [book.at(at).of("account")[account]["segment"] for at in (*days, day(6))]
        assert found == ["Small", "Large", "Small", "Small"]


def test_overlay_credit_is_a_view_of_its_own() -> None:
    world = World(3, splits=False)
    deal = Deal(
        numbered(1), 1, "Deal", world.people[0], None, world.stages[2], State.WON, Decimal(100), "EUR", TODAY,
        splits=((world.people[0], Decimal(60)), (world.people[1], Decimal(40))),
        overlays=((world.people[2], Decimal(80)), (world.people[3], Decimal(50))),
    )  # fmt: skip
    world.take(deal)
    closed = {}
    for credit in Credit:
        _, sums = world.ask(GroupBy.OWNER, credit=credit)
        closed[credit] = {
            node.name: int(sums.own[place, 0, Measure.CLOSED])
            for place, node in enumerate(sums.tree.nodes)
            if sums.own[place].any()
        }
        assert root(sums)[0, Measure.CLOSED_DEALS] == 1
        assert root(sums)[0, Measure.CLOSED] == sum(closed[credit].values())
    assert closed[Credit.REVENUE] == {"User 0": 6000, "User 1": 4000}
    assert closed[Credit.OVERLAY] == {"User 2": 8000, "User 3": 5000}
    assert closed[Credit.OWNED] == {"User 0": 10_000}


def test_families_lie_in_families_and_segments_are_those_of_the_accounts() -> None:
    world = World(4, splits=False)
    deal = Deal(
        numbered(1), 1, "Deal", None, world.accounts[1], world.stages[2], State.WON, Decimal(100), "EUR", TODAY,
        products=((world.products[1], Decimal(30)), (world.products[2], Decimal(50)), (world.products[0], Decimal(20))),
        pipeline_id=world.pipelines[1],
    )  # fmt: skip
    world.take(deal)
    _, sums = world.ask(GroupBy.PRODUCT_FAMILY)
    nodes, figures = sums.tree.nodes, everywhere(sums)
    total = {node.name: int(each[0, Measure.CLOSED]) for node, each in zip(nodes, figures, strict=True)}
    assert total == {"All": 10_000, "Near": 8000, "Far": 5000, "None": 2000}
    near = everywhere(sums)[sums.tree.places[next(n.id for n in sums.tree.nodes if n.name == "Near")]]
    assert near[0, Measure.CLOSED_DEALS] == 1  # one deal, though it has two products in the family
    for group_by, name in ((GroupBy.SEGMENT, "Large"), (GroupBy.PIPELINE, "Pipeline 1")):
        _, sums = world.ask(group_by)
        assert [node.name for place, node in enumerate(sums.tree.nodes) if sums.own[place].any()] == [name]


@pytest.mark.parametrize(
    ("rate_date", "converted"), [(RateDate.CLOSE, 9000), (RateDate.BOOKING, 8000), (RateDate.TODAY, 7000)]
)
def test_the_policy_says_whose_days_rate_converts(rate_date: RateDate, converted: int) -> None:
    world = World(5, splits=False)
    for number, (from_, rate) in enumerate(
        (("2016-12-01", "0.8"), ("2017-03-01", "0.9"), ("2017-08-01", "0.7"))
    ):
        facts = {"currency": "USD", "target": "EUR", "valid_from": from_, "rate": rate, "deleted": False}
        world.say("exchange_rate", numbered(700 + number), **facts)
    deal = Deal(
        numbered(1), 1, "Deal", None, None, None, State.WON, Decimal(100), "USD", date(2017, 4, 1)
    )  # fmt: skip
    world.take(deal, datetime(2017, 1, 2, tzinfo=UTC))
    world.take(replace(deal, version=2, name="Renamed"), datetime(2017, 7, 1, tzinfo=UTC))
    _, sums = world.ask(GroupBy.OWNER, rate_date=rate_date)
    assert root(sums)[0, Measure.CLOSED] == converted


def test_an_answer_as_of_an_instant_knows_what_was_recorded_and_business_time_what_was_true() -> None:
    world = World(6, splits=False)
    deal = Deal(numbered(1), 1, "Deal", None, None, None, State.OPEN, Decimal(100), "EUR", TODAY)
    world.take(deal, datetime(2017, 2, 1, tzinfo=UTC))
    won = replace(deal, version=2, state=State.WON, amount=Decimal(90), close_date=date(2017, 3, 1))
    world.take(won, datetime(2017, 5, 1, tzinfo=UTC), effective_at=datetime(2017, 3, 1, tzinfo=UTC))

    def closed(**fields: Any) -> int:
        return int(root(world.ask(GroupBy.TEAM, **fields)[1])[0, Measure.CLOSED])

    april = datetime(2017, 4, 1, tzinfo=UTC)
    assert (closed(), closed(recorded_at=april), closed(effective_at=april)) == (9000, 0, 9000)
    assert closed(effective_at=april, recorded_at=april) == 0


AMOUNTS = st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=5)
WEIGHTS = st.lists(st.integers(1, 10**6), min_size=2, max_size=4)


@given(AMOUNTS, WEIGHTS)
@settings(max_examples=100, deadline=None)
def test_shares_of_arrays_are_those_of_one_amount(amounts: list[int], weights: list[int]) -> None:
    found = largest_remainder(np.array(amounts, np.int64), weights)
    for amount, row in zip(amounts, found.tolist(), strict=True):
        keyed = {f"{place:02}": Decimal(weight) for place, weight in enumerate(weights)}
        assert row == [int(each) for each in shares(Decimal(amount), keyed, "JPY").values()]


def test_every_measure_is_either_an_amount_or_a_count() -> None:
    assert COUNTS.stop == MEASURES
    assert [measure.name.endswith("DEALS") for measure in Measure] == [False] * 8 + [True] * 9
    assert Measure.CLOSED - Measure.OMITTED == Category.CLOSED - Category.OMITTED
