"""On any day a user reports to one manager, covers one territory, and nobody is above themselves."""

import itertools
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.identity.domain.reporting import (
    HierarchyTooDeep,
    NeverHolds,
    ReportingLine,
    ReportsToThemselves,
    Territory,
    TerritoryBelowItself,
    TerritoryInUse,
    TerritoryNameMissing,
    TerritoryUnknown,
    check_hierarchy,
    put_in,
    to_be_bound,
)
from services.identity.domain.tenants import Tenant

NOW = datetime(2026, 1, 5, tzinfo=UTC)
DAY = date(2026, 1, 1)
ANNA, DUSTIN, MELVIN, ROCCO = (UUID(int=number) for number in range(1, 5))


def day(number: int) -> date:
    return DAY + timedelta(days=number)


def line(user: UUID, manager: UUID, start: int | None = None, end: int | None = None) -> ReportingLine:
    return ReportingLine(
        user_id=user,
        manager_id=manager,
        start_date=None if start is None else day(start),
        end_date=None if end is None else day(end),
    )


def test_a_new_manager_ends_the_line_to_the_old_one() -> None:
    old = line(ANNA, DUSTIN)
    new = line(ANNA, MELVIN, 10)
    assert put_in(new, [old], NOW, "line") == [old, new]
    assert (old.end_date, new.end_date) == (day(10), None)
    assert old.holds_on(day(9))
    assert not old.holds_on(day(10))
    assert new.holds_on(day(10))


def test_a_future_manager_stays_and_ends_what_is_put_before() -> None:
    future = line(ANNA, MELVIN, 100)
    new = line(ANNA, ROCCO, 10)
    assert put_in(new, [future], NOW, "line") == [new]
    assert new.end_date == day(100)


def test_a_line_from_the_same_day_is_replaced() -> None:
    old, new = line(ANNA, DUSTIN, 10), line(ANNA, MELVIN, 10)
    assert put_in(new, [old], NOW, "line") == [old, new]
    assert old.deleted_at == NOW


def test_a_line_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(NeverHolds):
        put_in(line(ANNA, DUSTIN, 10, 10), [], NOW, "line")
    with pytest.raises(NeverHolds):
        line(ANNA, DUSTIN, 10).end(day(10))


def test_ending_never_prolongs() -> None:
    short = line(ANNA, DUSTIN, 0, 10)
    short.end(day(50))
    assert short.end_date == day(10)


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(0, 30)),
            st.one_of(st.none(), st.integers(0, 31)),
            st.sampled_from([DUSTIN, MELVIN, ROCCO]),
        ),
        max_size=12,
    )
)
def test_however_lines_come_in_at_most_one_holds_on_any_day(
    inserts: list[tuple[int | None, int | None, UUID]],
) -> None:
    lines: list[ReportingLine] = []
    for start, end, manager in inserts:
        new = line(ANNA, manager, start, end)
        try:
            changed = put_in(new, lines, NOW, "line")
        except NeverHolds:
            continue
        assert changed[-1] is new
        lines.append(new)
        for number in range(-1, 33):
            assert sum(each.holds_on(day(number)) for each in lines) <= 1
        assert new.holds_on(day(start) if start is not None else day(-1))


def test_the_first_manager_holds_ever_since_and_the_next_from_today() -> None:
    assert to_be_bound(DUSTIN, [], None, DAY) == (True, None)
    assert to_be_bound(DUSTIN, [line(ANNA, DUSTIN)], None, DAY) == (False, DAY)
    assert to_be_bound(MELVIN, [line(ANNA, DUSTIN)], None, DAY) == (True, DAY)
    assert to_be_bound(MELVIN, [line(ANNA, DUSTIN)], day(-5), DAY) == (True, day(-5))
    assert to_be_bound(DUSTIN, [line(ANNA, DUSTIN, 10)], day(-5), DAY) == (True, day(-5))


def test_nobody_reports_to_themselves() -> None:
    with pytest.raises(ReportsToThemselves):
        check_hierarchy(line(ANNA, ANNA), [])


def test_nobody_comes_to_be_above_themselves_by_way_of_others() -> None:
    lines = [line(MELVIN, DUSTIN), line(DUSTIN, ROCCO)]
    with pytest.raises(ReportsToThemselves):
        check_hierarchy(line(ROCCO, MELVIN), lines)
    check_hierarchy(line(ANNA, MELVIN), lines)


def test_a_circle_that_never_closes_at_one_time_is_none() -> None:
    lines = [line(MELVIN, DUSTIN, 0, 10), line(DUSTIN, ROCCO, 10, 20)]
    check_hierarchy(line(ROCCO, MELVIN), lines)
    with pytest.raises(ReportsToThemselves):
        check_hierarchy(line(ROCCO, MELVIN), [*lines, line(DUSTIN, ROCCO, 9, 10)])


def test_a_hierarchy_ends_somewhere() -> None:
    people = [uuid4() for _ in range(60)]
    chain = [line(user, manager) for user, manager in itertools.pairwise(people)]
    with pytest.raises(HierarchyTooDeep):
        check_hierarchy(line(ANNA, people[0]), chain)


def test_a_line_begins_when_the_day_begins_in_the_tenants_time_zone() -> None:
    rome = Tenant(name="Acme", reporting_currency="EUR", time_zone="Europe/Rome")
    summer = ReportingLine(user_id=ANNA, manager_id=DUSTIN, start_date=date(2026, 7, 1))
    summer.dated(rome)
    assert summer.starts_at == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert summer.ends_at is None


def test_a_territory_is_no_part_of_itself() -> None:
    west, coast = uuid4(), uuid4()
    with pytest.raises(TerritoryBelowItself):
        Territory(id=west, name="West").change({"parent_id": coast}, {west: None, coast: west})
    with pytest.raises(TerritoryBelowItself):
        Territory(id=west, name="West").change({"parent_id": west}, {west: None})


def test_a_territory_needs_a_name_and_a_known_parent() -> None:
    with pytest.raises(TerritoryNameMissing):
        Territory.create({}, {})
    with pytest.raises(TerritoryUnknown):
        Territory.create({"name": "West", "parent_id": uuid4()}, {})


def test_a_territory_in_use_stays() -> None:
    west = Territory(name="West")
    with pytest.raises(TerritoryInUse):
        west.delete(NOW, has_parts=True, is_covered=False)
    with pytest.raises(TerritoryInUse):
        west.delete(NOW, has_parts=False, is_covered=True)
    west.delete(NOW, has_parts=False, is_covered=False)
    assert west.deleted_at == NOW
