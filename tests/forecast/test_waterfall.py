"""What changed between two instants of random histories: it adds up at every node of every tree, both ends
are what the forecast answers as of them, and each step is what taking one deal after the other gives."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sfa.forecast.v1 import changes_pb2 as pb

from services.forecast.book.book import Book
from services.forecast.book.grid import Measure
from services.forecast.book.reference import Reference
from services.forecast.dimensions import Credit, GroupBy, Hierarchy, RateDate, axis_of
from services.forecast.domain.currencies import rounded
from services.forecast.domain.figures import Category, Deal, State, category_of, rate_day
from services.forecast.summing import sums_of
from services.forecast.waterfall.answers import Answer, Waterfall
from services.forecast.waterfall.asked import Asked
from services.forecast.waterfall.reasons import Reason
from services.forecast.wire.heard import Kind, deal_row, microseconds
from tests.forecast.test_dimensions import World, day, numbered

NOW = datetime(2017, 12, 30, 12, tzinfo=UTC)
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""A seed says nothing that could be made smaller."""
OPEN_AND_CLOSED = frozenset(Category) - {Category.OMITTED}


class Past(World):
    """A company with a history of some months."""

    def __init__(self, seed: int, *, splits: bool = True) -> None:
        self.rows: list[tuple[Deal, datetime, Kind]] = []
        self.moment: dict[str, Any] = {}
        """When the next deal is recorded, and what happened to it."""
        super().__init__(seed, splits=splits)

    def take(self, deal: Deal, at: datetime = datetime(2017, 1, 1, tzinfo=UTC), **times: Any) -> None:
        """A deal is recorded."""
        times = {"at": at, "effective_at": at, "kind": Kind.UPDATED, **times, **self.moment}
        self.deals[deal.id] = deal
        self.rows.append((deal, times["at"], times["kind"]))
        row = deal_row(deal, times["kind"], recorded_at=times["at"], effective_at=times["effective_at"])
        self.book.add([row], [])

    def live(self, deals: int, versions: int) -> None:
        """Random deals change at random; so do rates and what stages mean."""
        choose = self.random
        for number in range(deals):
            at = datetime(2017, 1, 1, tzinfo=UTC) + timedelta(days=choose.randint(0, 300))
            for version in range(1, choose.randint(1, versions) + 1):
                backdated = timedelta(days=choose.choice([0, 0, 0, 40]))
                kind = choose.choices([Kind.UPDATED, Kind.MERGED, Kind.SPLIT], [8, 1, 1])[0]
                deleted = choose.random() < 0.15
                known = self.deals.get(numbered(10_000 + number))
                fields: dict[str, Any] = {"version": version, "is_deleted": deleted}
                if known is not None:
                    for each in ("owner_id", "stage_id", "close_date", "state", "amount", "currency"):
                        if choose.random() < 0.6 and each != "currency":
                            fields[each] = getattr(known, each)
                    if "amount" in fields:
                        fields["currency"] = known.currency
                    if fields.get("state", State.OPEN) is not State.OPEN and "close_date" in fields:
                        fields["close_date"] = known.close_date or date(2017, 5, 5)
                self.moment = {"at": at, "kind": kind, "effective_at": at - backdated}
                self.deal(number, **fields)
                at += timedelta(days=choose.randint(1, 60), microseconds=choose.randint(0, 10**6))
        for source, rate in (("USD", "0.8"), ("JPY", "0.0081"), ("CHF", "0.93")):
            facts = {"currency": source, "target": "EUR", "valid_from": "2017-03-01", "rate": rate}
            self.later("exchange_rate", numbered(700 + ord(source[0])), day(6), deleted=False, **facts)
        stage = {"name": "Stage", "category": choose.choice([2, 3, 4]), "probability": 1}
        self.later("stage", self.stages[1], day(7), pipeline_id=str(self.pipelines[0]), **stage)

    def later(self, kind: str, id: Any, at: int, **content: Any) -> None:
        self.book.add([], [Reference(kind, id, next(self.versions), at, content)])

    def asked(self, opening: datetime, closing: datetime, **fields: Any) -> Asked:
        within = fields.pop("within", None)
        request = pb.GetForecastChangesRequest(period_id=fields.pop("period", "2017-Q3"), **fields)
        request.opening_time.CopyFrom(stamp(opening))
        request.closing_time.CopyFrom(stamp(closing))
        return Asked.of(request, self.book, NOW, within)


def stamp(at: datetime) -> Timestamp:
    result = Timestamp()
    result.FromDatetime(at)
    return result


instants = st.integers(day(2), day(12)).map(lambda at: datetime.fromtimestamp(at / 1_000_000, UTC))
choices = st.sets(st.sampled_from(sorted(OPEN_AND_CLOSED)), min_size=1)


def standing(book: Book, asked: Asked, at_opening: bool) -> dict[str, tuple[int, int]]:
    """Amount and deals of each node, as the forecast itself answers."""
    question = asked.opening if at_opening else asked.closing
    question = replace(question, periods=[asked.period])
    sums = sums_of(book, axis_of(book, question), question)
    total = sums.total(np.arange(len(sums.tree), dtype=np.int32))[:, 0]
    found = {}
    for place, node in enumerate(sums.tree.nodes):
        amount = sum(int(total[place, each - 1]) for each in asked.categories)
        deals = sum(int(total[place, each - 1 + Measure.OMITTED_DEALS]) for each in asked.categories)
        found[node.id] = amount, deals
    return found


def check_ends(book: Book, asked: Asked, answer: Answer) -> None:
    for level, at_opening in ((answer.opening, True), (answer.closing, False)):
        expected = standing(book, asked, at_opening)
        for place, shown in enumerate(answer.nodes):
            found = int(level.amount[place]), int(level.deals[place])
            assert found == expected.get(shown.stand.id, (0, 0)), (shown, at_opening)


def check_sums(answer: Answer) -> None:
    for place in range(len(answer.nodes)):
        bars = sum(int(bar.total[place]) for bar in answer.bars.by_reason.values())
        assert int(answer.opening.amount[place]) + bars == int(answer.closing.amount[place])


@settings(max_examples=20, deadline=None, phases=UNSHRUNK)
@given(
    st.integers(0, 10**6), instants, instants, choices, st.sampled_from(list(GroupBy)), st.booleans(),
    st.sampled_from(list(Credit)), st.sampled_from(list(Hierarchy)), st.sampled_from(list(RateDate)), st.booleans(),
)  # fmt: skip
def test_every_node_adds_up_and_stands_at_both_ends_where_the_forecast_says(
    seed: int, one: datetime, other: datetime, categories: set[Category], group_by: GroupBy, is_effective: bool,
    credit: Credit, hierarchy: Hierarchy, rate_date: RateDate, is_limited: bool,
) -> None:  # fmt: skip
    past = Past(seed)
    past.organise()
    past.live(25, 4)
    asked = past.asked(
        min(one, other), max(one, other), categories=sorted(categories), group_by=int(group_by),
        axis=2 if is_effective else 1, credit=int(credit), hierarchy=int(hierarchy), rate_date=int(rate_date),
        within=past.people[2:5] if is_limited else None,
    )  # fmt: skip
    waterfall = Waterfall(past.book, asked)
    answer = waterfall.answer("all", None, path=False)
    check_ends(past.book, asked, answer)
    check_sums(answer)
    by_event = waterfall.answer("all", None, path=True)
    check_sums(by_event)
    for place, shown in enumerate(answer.nodes[:4]):
        for path, whole in ((False, answer), (True, by_event)):
            behind = waterfall.behind(shown.stand.id, None, path=path)
            for reason, bar in whole.bars.by_reason.items():
                of_bar = behind.reason == reason
                assert int(behind.total[of_bar].sum()) == int(bar.total[place])
                assert int(behind.open[of_bar].sum()) == int(bar.open[place])
                assert int(of_bar.sum()) == int(bar.deals[place])


@dataclass(frozen=True)
class Now:
    """How a deal stands, for the slow way: one field for each step."""

    rate: Decimal | None
    credit: tuple[tuple[str, Decimal], ...]
    """Whose the deal is: each with the running total of the shares of `whole`."""
    whole: Decimal
    currency: str
    day: date | None
    state: State
    category: Category
    is_there: bool
    amount: Decimal


def slowly(past: Past, asked: Asked) -> dict[tuple[str, str], Decimal]:
    """What each step changes for each owner, one deal after the other, with decimals."""
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    opening, closing = (asked.instant(each, past.book) for each in (asked.opening, asked.closing))
    since, until = opening.recorded_at, closing.recorded_at
    assert since is not None
    assert until is not None

    def measured(now: Now) -> dict[str, Decimal]:
        if not now.is_there or now.day not in asked.period or now.category not in asked.categories:
            return {}
        found: dict[str, Decimal] = defaultdict(Decimal)
        rate, before = now.rate or Decimal(0), Decimal(0)
        for user, end in now.credit:
            part = end
            if now.whole != now.amount:
                part = rounded(end * now.amount / now.whole, now.currency) if now.whole else now.amount
            converted = rounded(part * rate, "EUR")
            found[user] += converted - before
            before = converted
        return found

    def credited(deal: Deal) -> tuple[tuple[str, Decimal], ...]:
        """Running totals of the splits, or all of it the owner's."""
        if not deal.splits:
            return ((str(deal.owner_id or "none"), deal.amount or Decimal(0)),)
        ends = itertools.accumulate(share for _, share in deal.splits)
        return tuple((str(user), end) for (user, _), end in zip(deal.splits, ends, strict=True))

    for id in past.deals:
        history = [(deal, microseconds(at), kind) for deal, at, kind in past.rows if deal.id == id]
        known = [each for each in history if each[1] <= until]
        if not known:
            continue
        before = [each for each in history if each[1] <= since]
        between = [
            (prior, each) for prior, each in zip([None, *known], known, strict=False) if each[1] > since
        ]
        split_off = not before and known[0][2] is Kind.SPLIT
        last = known[-1][0]
        base = before[-1][0] if before else known[0][0] if split_off else last

        def money(deal: Deal, versions: list[tuple[Deal, int, Kind]]) -> Deal:
            """A lost deal counts at its last open amount."""
            if deal.state is not State.LOST:
                return deal
            opened = [each for each, _, _ in versions if each.state is State.OPEN]
            return opened[-1] if opened else deal

        was, now = money(base, before or known[:1]), money(last, known)
        if not before and not split_off:
            was = now
        rates = closing.tenant.rates
        at_closing = (
            rates.factor(was.currency, "EUR", rate_day(last, closing.today)) if was.currency else Decimal(1)
        )
        finally_ = (
            rates.factor(now.currency, "EUR", rate_day(last, closing.today)) if now.currency else Decimal(1)
        )
        at_opening = (
            opening.tenant.rates.factor(was.currency, "EUR", rate_day(base, opening.today))
            if was.currency else Decimal(1)
        )  # fmt: skip

        def stage(deal: Deal, tenant: Any) -> Category:
            return category_of(deal, tenant.stages.get(deal.stage_id))

        state = Now(
            at_opening, credited(base), base.amount or Decimal(0), was.currency, base.close_date, base.state,
            stage(base, opening.tenant), bool(before) and not base.is_deleted, was.amount or Decimal(0),
        )  # fmt: skip
        parted = joined = Decimal(0)
        for prior, (deal, _, kind) in between:
            if prior is None or prior[0].currency != deal.currency or was.currency != now.currency:
                continue
            change = (deal.amount or Decimal(0)) - (prior[0].amount or Decimal(0))
            if kind is Kind.SPLIT:
                parted += change
            elif kind is Kind.MERGED and not deal.is_deleted:
                joined += change
        merged = any(k is Kind.MERGED and d.is_deleted for _, (d, _, k) in between) and last.is_deleted
        merged = merged and not split_off

        def go(step: str, **changes: Any) -> None:
            nonlocal state
            old = measured(state)
            state = replace(state, **changes)
            new = measured(state)
            for owner in old.keys() | new.keys():
                found[owner, step] += new.get(owner, Decimal(0)) - old.get(owner, Decimal(0))

        worth, end = now.amount or Decimal(0), stage(last, closing.tenant)
        go("CURRENCY", rate=at_closing)
        if not base.splits:  # what nobody shared went from one owner to the next
            whole = last.amount or Decimal(0)
            go("REASSIGNED", credit=((str(last.owner_id or "none"), whole),), whole=whole)
        go("PERIOD", day=last.close_date)
        split: dict[str, Any] = {"credit": credited(last), "whole": last.amount or Decimal(0)}
        is_lost = last.state is State.LOST and state.state is not State.LOST
        if last.state is State.WON and state.state is not State.WON:
            go("WON", state=State.WON, category=Category.CLOSED)
        if is_lost:
            go("SPLIT", amount=state.amount + parted, **split)
            go("MERGED", amount=state.amount + joined)
            go("AMOUNT", amount=worth, rate=finally_, currency=now.currency)
            go("LOST", state=State.LOST, category=Category.OMITTED)
        elif last.state is State.OPEN and state.state is not State.OPEN:
            go("REOPENED", state=State.OPEN, category=end)
        go("CATEGORY", category=end)
        parts = Decimal(0) if is_lost else parted
        go("SPLIT", is_there=state.is_there or split_off, amount=state.amount + parts, **split)
        go("MERGED", is_there=state.is_there and not merged, amount=state.amount + (0 if is_lost else joined))
        if before or split_off:
            go("DELETED", is_there=not last.is_deleted)
        go("AMOUNT", amount=worth, rate=finally_, currency=now.currency)
        go("NEW", is_there=not last.is_deleted)
    return {key: value for key, value in found.items() if value}


STEPS = {
    Reason.REASSIGNED_IN: "REASSIGNED", Reason.REASSIGNED_OUT: "REASSIGNED", Reason.PULLED_IN: "PERIOD",
    Reason.PUSHED_OUT: "PERIOD", Reason.CATEGORY_IN: "CATEGORY", Reason.CATEGORY_OUT: "CATEGORY",
    Reason.RESTORED: "DELETED", Reason.AMOUNT_UP: "AMOUNT", Reason.AMOUNT_DOWN: "AMOUNT",
}  # fmt: skip


@settings(max_examples=20, deadline=None, phases=UNSHRUNK)
@given(st.integers(0, 10**6), instants, instants, st.sets(st.sampled_from(list(Category)), min_size=1))
def test_each_step_is_what_taking_one_deal_after_the_other_gives(
    seed: int, one: datetime, other: datetime, categories: set[Category]
) -> None:
    past = Past(seed)
    past.live(25, 4)
    asked = past.asked(
        min(one, other), max(one, other), categories=sorted(categories), group_by=int(GroupBy.OWNER)
    )
    answer = Waterfall(past.book, asked).answer("all", None, path=False)
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for reason, bar in answer.bars.by_reason.items():
        for place, shown in enumerate(answer.nodes):
            if place:
                found[shown.stand.id, STEPS.get(reason, reason.name)] += Decimal(int(bar.total[place])) / 100
    assert {key: value for key, value in found.items() if value} == slowly(past, asked)


def test_amounts_too_large_for_a_machine_word_add_up_too() -> None:
    past = Past(1, splits=False)
    large, at = Decimal(90_000_000_000_000_000), datetime(2017, 3, 1, tzinfo=UTC)
    facts: dict[str, Any] = {
        "currency": "USD", "state": State.OPEN, "stage_id": past.stages[2], "close_date": date(2017, 8, 1),
    }  # fmt: skip
    for number in range(3):
        past.moment = {"at": at}
        past.deal(number, amount=large, owner_id=past.people[0], **facts)
        past.moment = {"at": at + timedelta(days=60)}
        past.deal(number, amount=large - 1, owner_id=past.people[1], version=2, **facts)
    facts = {"currency": "USD", "target": "EUR", "valid_from": "2017-03-01", "rate": "1000.5"}
    past.later("exchange_rate", numbered(701), day(4), deleted=False, **facts)
    asked = past.asked(at + timedelta(days=1), NOW, group_by=int(GroupBy.OWNER))
    for path in (False, True):
        waterfall = Waterfall(past.book, asked)
        answer = waterfall.answer("all", None, path=path)
        check_ends(past.book, asked, answer)
        check_sums(answer)
        bars = {reason.name: int(bar.total[0]) for reason, bar in answer.bars.by_reason.items()}
        assert bars["AMOUNT_DOWN"] == -300_150
        assert int(answer.closing.amount[0]) == int((large - 1) * 3 * Decimal("1000.5") * 100)
        behind = waterfall.behind("all", Reason.AMOUNT_DOWN, path=path)
        assert sum(map(int, behind.total)) == -300_150
