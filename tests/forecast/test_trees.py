"""Trees: who stands where, and when."""

from __future__ import annotations

import itertools
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.forecast.dimensions.tree import Stand, Tree, TreeBuilder
from services.forecast.domain.figures import NONE
from services.forecast.domain.hierarchies import BEGINNING, END, TOP, Hierarchy, Link, former_id
from services.forecast.domain.trees import ALL, NodeKind, NodeNotFound

PEOPLE = [UUID(int=number + 1) for number in range(6)]
ANN, BOB, CAT, DAN, *_ = PEOPLE


def always(above: UUID) -> list[Link]:
    return [Link(BEGINNING, END, above)]


def names(hierarchy: Hierarchy, user: UUID, at: int) -> list[UUID]:
    return hierarchy.path(hierarchy.timeline(user).at(at))


def test_whoever_reports_to_nobody_stands_at_the_top() -> None:
    hierarchy = Hierarchy({BOB: always(ANN)})
    assert names(hierarchy, ANN, 0) == [ANN]
    assert names(hierarchy, BOB, 0) == [ANN, BOB]


def test_whoever_moves_has_two_positions_and_so_have_those_below() -> None:
    hierarchy = Hierarchy({CAT: [Link(BEGINNING, 10, ANN), Link(10, END, BOB)], DAN: always(CAT)})
    assert [names(hierarchy, DAN, at) for at in (9, 10)] == [[ANN, CAT, DAN], [BOB, CAT, DAN]]
    assert hierarchy.timeline(DAN).starts == (BEGINNING, 10)
    paths = [names(hierarchy, CAT, at) for at in (9, 10)]
    assert former_id(paths[0]) != former_id(paths[1])


def test_between_two_managers_one_stands_at_the_top() -> None:
    hierarchy = Hierarchy({CAT: [Link(0, 10, ANN), Link(20, 30, ANN)]})
    assert [len(names(hierarchy, CAT, at)) for at in (-1, 0, 10, 20, 30)] == [1, 2, 1, 2, 1]
    # back under the same manager, one is back in the same position
    assert hierarchy.timeline(CAT).at(0) == hierarchy.timeline(CAT).at(20)


def test_of_two_managers_at_a_time_the_later_one_counts() -> None:
    hierarchy = Hierarchy({CAT: [Link(BEGINNING, END, ANN), Link(5, END, BOB)]})
    assert [names(hierarchy, CAT, at)[0] for at in (4, 5)] == [ANN, BOB]


def test_a_circle_for_a_moment_loses_nobody() -> None:
    hierarchy = Hierarchy({ANN: always(BOB), BOB: always(CAT), CAT: always(ANN)})
    for user in (ANN, BOB, CAT):
        path = names(hierarchy, user, 0)
        assert path[-1] == user
        assert len(set(path)) == len(path)


def test_people_may_change_places_over_time() -> None:
    hierarchy = Hierarchy({ANN: [Link(10, END, BOB)], BOB: [Link(BEGINNING, 10, ANN)]})
    assert [names(hierarchy, BOB, at) for at in (0, 10)] == [[ANN, BOB], [BOB]]
    assert [names(hierarchy, ANN, at) for at in (0, 10)] == [[ANN], [BOB, ANN]]


LINES = st.lists(
    st.tuples(st.integers(1, 5), st.integers(0, 4), st.integers(0, 9), st.integers(1, 10)), max_size=12
)


@given(LINES)
def test_timelines_have_no_gap_and_say_what_walking_up_says(lines: list[tuple[int, int, int, int]]) -> None:
    links: dict[UUID, list[Link]] = {}
    for below, manager, start, length in lines:
        if manager < below:  # no circles
            links.setdefault(PEOPLE[below], []).append(Link(start, start + length, PEOPLE[manager]))
    hierarchy = Hierarchy(links)
    for user, at in itertools.product(PEOPLE, range(-1, 21)):
        assert hierarchy.timeline(user).starts[0] == BEGINNING
        path = [user]
        while held := [link for link in links.get(path[0], ()) if link.start <= at]:
            last = max(held, key=lambda link: (link.start, link.end, str(link.above)))
            if last.end <= at or last.above is None:
                break
            path.insert(0, last.above)
        assert names(hierarchy, user, at) == path


def test_every_position_stands_below_one_that_came_before() -> None:
    hierarchy = Hierarchy({CAT: [Link(BEGINNING, 10, ANN), Link(10, END, BOB)], DAN: always(CAT)})
    hierarchy.timeline(DAN)
    for number, position in enumerate(hierarchy.positions[1:], 1):
        assert position is not None
        assert TOP <= position.above < number


def tree(*nodes: tuple[str, str]) -> Tree:
    """Nodes by name, each below another, or at the top."""
    builder, numbers = TreeBuilder(), {"": 0}
    for name, above in nodes:
        numbers[name] = builder.add(name, Stand(f"id {name}", name, NodeKind.USER, numbers[above]))
    builder.none()
    return builder.build()[0]


def test_nodes_come_after_the_one_above_by_name_and_none_comes_last() -> None:
    found = tree(("bob", ""), ("Ann", ""), ("cat", "bob"), ("Ben", "bob"))
    assert [node.name for node in found.nodes] == ["All", "Ann", "bob", "Ben", "cat", "None"]
    assert found.depth.tolist() == [0, 1, 1, 2, 2, 1]
    assert found.nodes[-1].id == NONE


def test_a_part_of_a_tree_is_a_node_with_what_is_below_so_many_levels_deep() -> None:
    found = tree(("bob", ""), ("cat", "bob"), ("dan", "cat"))
    bob = found.place("id bob")
    assert [found.nodes[place].name for place in found.within(bob)] == ["bob", "cat", "dan"]
    assert [found.nodes[place].name for place in found.within(bob, 1)] == ["bob", "cat"]
    assert (found.has_children(bob), found.has_children(found.place("id dan"))) == (True, False)
    assert found.place(ALL) == 0


def test_a_node_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NodeNotFound):
        tree().place("id bob")
