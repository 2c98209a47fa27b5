"""Quotas, and how far they are attained: pure."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.errors import Refusal
from chassis.money import Money
from services.forecast.domain.attainment import (
    Former,
    Pace,
    SameDay,
    Seat,
    assign,
    attainment,
    coverage,
    day_in,
    pace,
    same_days,
    with_history,
)
from services.forecast.domain.judgement import AmountNegative, AmountTooFine, FieldMissing, PeriodUndated
from services.forecast.domain.periods import UNDATED, FiscalCalendar, Period
from services.forecast.domain.quotas import (
    Quota,
    QuotaKind,
    QuotaSubjectFixed,
    Target,
    parts_of,
    target,
    within,
)

CALENDAR = FiscalCalendar()
Q2 = CALENDAR.quarter(2030, 2)


def quota(**fields: object) -> Quota:
    values: dict[str, object] = {
        "kind": QuotaKind.USER, "subject_id": uuid4(), "amount": Money(Decimal(100), "EUR"),
    }  # fmt: skip
    return Quota(**(values | fields))  # type: ignore[arg-type]


def test_a_quota_of_a_person_or_a_team_is_seen_as_the_person_is() -> None:
    for kind in QuotaKind:
        made = quota(kind=kind)
        made.create(Q2)
        assert made.owner_id == (made.subject_id if kind in (QuotaKind.USER, QuotaKind.TEAM) else None)
        assert made.period_id == "2030-Q2"


@pytest.mark.parametrize(
    ("fields", "period", "refusal", "field"),
    [
        ({"kind": None}, Q2, FieldMissing, "quota.kind"),
        ({"subject_id": None}, Q2, FieldMissing, "quota.subject_id"),
        ({"amount": None}, Q2, FieldMissing, "quota.amount"),
        ({}, None, FieldMissing, "quota.period_id"),
        ({}, UNDATED, PeriodUndated, "quota.period_id"),
        ({"amount": Money(Decimal(-1), "EUR")}, Q2, AmountNegative, "quota.amount"),
        ({"amount": Money(Decimal("1.234"), "EUR")}, Q2, AmountTooFine, "quota.amount"),
    ],
)
def test_what_makes_no_sense_is_refused(
    fields: dict[str, object], period: Period | None, refusal: type[Refusal], field: str
) -> None:
    with pytest.raises(refusal) as caught:
        quota(**fields).create(period)
    assert caught.value.violations[0].field == field


def test_whose_a_quota_is_stays() -> None:
    made = quota()
    made.create(Q2)
    made.change({"amount": Money(Decimal(7), "EUR"), "period_id": "2030-Q2"})
    for name, value in (("kind", QuotaKind.TEAM), ("subject_id", uuid4()), ("period_id", "2030-Q3")):
        with pytest.raises(QuotaSubjectFixed):
            made.change({name: value})


@pytest.mark.parametrize(
    "calendar", [CALENDAR, FiscalCalendar(start_month=4)], ids=["calendar years", "from April"]
)
def test_a_year_consists_of_quarters_and_these_of_months(calendar: FiscalCalendar) -> None:
    year = calendar.year(2030)
    quarters = parts_of(calendar, year)
    assert [quarter.id for quarter in quarters] == [f"2030-Q{number}" for number in range(1, 5)]
    assert (quarters[0].start, quarters[-1].end) == (year.start, year.end)
    assert len(list(within(calendar, year))) == 1 + 4 + 12
    assert not parts_of(calendar, calendar.month(2030, 1))


def test_a_target_is_what_is_stated_else_what_its_parts_come_to() -> None:
    months = {"2030-04": Decimal(1), "2030-05": Decimal(2)}
    assert target(CALENDAR, Q2, months) == Target(Decimal(3), 1)  # June says nothing
    assert target(CALENDAR, Q2, {**months, "2030-Q2": Decimal(9)}) == Target(Decimal(9))
    year = CALENDAR.year(2030)
    assert target(CALENDAR, year, {**months, "2030-Q1": Decimal(10)}) == Target(Decimal(13), 3)
    assert target(CALENDAR, Q2, {"2030-Q1": Decimal(1)}) is None


def seats(*rows: tuple[str, str, int | None, int | None]) -> list[Seat]:
    def of(amount: int | None) -> Target | None:
        return None if amount is None else Target(Decimal(amount))

    return [Seat(id, parent, of(own), of(stated)) for id, parent, own, stated in rows]


def test_what_people_are_to_win_comes_up_beside_what_is_stated_for_the_team() -> None:
    assigned = assign(
        seats(
            ("all", "", None, None),
            ("head", "all", None, 250),
            ("ann", "head", 100, None),
            ("ray", "ann", 200, None),
        )
    )
    ann, head, root = assigned["ann"], assigned["head"], assigned["all"]
    assert ann.target == Target(Decimal(300))
    assert (head.stated, head.rolled_up, head.target) == (
        Target(Decimal(250)), Target(Decimal(300)), Target(Decimal(250)),
    )  # fmt: skip
    assert root.target == Target(Decimal(300))
    assert assigned["ray"].stated == Target(Decimal(200))


def test_a_team_whose_people_have_none_brings_up_its_own() -> None:
    assigned = assign(seats(("all", "", None, None), ("head", "all", None, 250), ("ann", "head", None, None)))
    assert assigned["all"].target == Target(Decimal(250))
    assert assigned["ann"].target is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=2, max_size=8), st.data())
def test_the_root_is_the_same_in_every_tree(amounts: list[int], data: st.DataObject) -> None:
    """Whatever a reorganisation does, people's quotas come to the same."""
    rows: list[tuple[str, str, int | None, int | None]] = [("all", "", None, None)]
    for number, amount in enumerate(amounts):
        parent = data.draw(st.sampled_from(["all", *(row[0] for row in rows[1:])]))
        rows.append((f"user {number}", parent, amount, data.draw(st.none() | st.integers(0, 1000))))
    assert assign(seats(*rows))["all"].rolled_up == Target(Decimal(sum(amounts)))


def test_attainment_and_coverage_say_nothing_where_there_is_nothing_to_divide_by() -> None:
    assert attainment(Decimal(50), Decimal(60)) == "0.8333"
    assert attainment(Decimal(50), Decimal(0)) == ""
    assert coverage(Decimal(325), Decimal(100)) == "3.2500"
    assert coverage(Decimal(325), Decimal(-1)) == ""


def test_the_same_day_is_as_far_into_the_period_and_the_last_day_is_the_last() -> None:
    days = same_days(CALENDAR, Q2, date(2030, 6, 24), 2)
    assert [(each.period.id, each.day) for each in days] == [
        ("2030-Q1", date(2030, 3, 26)),  # the 85th day of each
        ("2029-Q4", date(2029, 12, 24)),
    ]
    assert [each.day for each in same_days(CALENDAR, Q2, date(2030, 7, 9), 2)] == [
        date(2030, 3, 31),
        date(2029, 12, 31),
    ]
    march = CALENDAR.month(2030, 3)
    assert same_days(CALENDAR, march, date(2030, 3, 30), 1)[0].day == date(2030, 2, 28)
    assert not same_days(CALENDAR, march, date(2030, 2, 28), 1)
    assert day_in(march, date(2030, 2, 28)) == 0


def former(period: str, by_then: int, in_all: int) -> Former:
    found = CALENDAR.named(period)
    assert found.end is not None
    return Former(SameDay(found, found.end), Decimal(by_then), Decimal(in_all))


def test_the_pace_goes_on_as_former_periods_did() -> None:
    found = pace(Decimal(60), [former("2030-Q1", 40, 100), former("2029-Q4", 60, 100)], "EUR")
    assert found is not None
    assert found == Pace(Decimal(50), Decimal(10), "1.2000", Decimal(120))
    assert pace(Decimal(60), [], "EUR") is None
    nothing = pace(Decimal(60), [former("2030-Q1", 0, 100)], "EUR")
    assert nothing is not None
    assert (nothing.ratio, nothing.projected) == ("", None)


def test_periods_before_there_was_any_history_are_left_out() -> None:
    kept = with_history(
        {
            "all": [former("2030-Q1", 1, 2), former("2029-Q4", 0, 0)],
            "ann": [former("2030-Q1", 0, 0), former("2029-Q4", 0, 0)],
        },
        "all",
    )
    assert [each.same_day.period.id for each in kept["ann"]] == ["2030-Q1"]
