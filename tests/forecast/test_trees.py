"""Rolling up."""

from copy import deepcopy
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.forecast.domain.figures import NONE, Figures, Sum
from services.forecast.domain.trees import (
    ALL,
    Member,
    NodeKind,
    NodeNotFound,
    below,
    pruned,
    roll_up,
)

IDS = [f"user-{number}" for number in range(12)]


def closed(amount: int) -> Figures:
    return Figures(closed=Sum(Decimal(amount), 1), weighted=Decimal(amount))


def member(name: str, parent: str | None = None) -> Member:
    return Member(name, name.title(), NodeKind.USER, parent)


def test_a_manager_has_own_deals_and_those_of_everyone_below() -> None:
    nodes = roll_up(
        [member("rep", "manager"), member("manager", "head"), member("head")],
        {"rep": {"2017-Q1": closed(10)}, "manager": {"2017-Q1": closed(5)}},
    )
    assert [(node.id, node.depth, node.parent_id) for node in nodes] == [
        (ALL, 0, ""), ("head", 1, ALL), ("manager", 2, "head"), ("rep", 3, "manager"),
    ]  # fmt: skip
    assert [node.total["2017-Q1"].closed.amount for node in nodes] == [15, 15, 15, 10]
    assert nodes[2].own["2017-Q1"].closed.amount == 5


def test_siblings_are_in_order_of_their_names_and_none_comes_last() -> None:
    nodes = roll_up([member("zoe"), member("adam")], {NONE: {"p": closed(1)}})
    assert [node.id for node in nodes] == [ALL, "adam", "zoe", NONE]


def test_what_has_deals_and_is_not_known_is_shown_by_its_id() -> None:
    nodes = roll_up([], {"stranger": {"p": closed(1)}})
    assert (nodes[1].name, nodes[1].parent_id, nodes[0].total["p"].deals) == (
        "stranger",
        ALL,
        1,
    )


def test_a_circle_of_managers_loses_nobody() -> None:
    nodes = roll_up(
        [member("a", "b"), member("b", "a"), member("c", "b")],
        {name: {"p": closed(1)} for name in "abc"},
    )
    assert nodes[0].total["p"].deals == 3


def test_a_node_is_cut_out_with_what_is_below_it() -> None:
    nodes = roll_up(
        [
            member("head"),
            member("rep", "head"),
            member("trainee", "rep"),
            member("other"),
        ],
        {},
    )
    assert [node.id for node in below(nodes, "head")] == ["head", "rep", "trainee"]
    assert [node.id for node in below(nodes, "head", depth=1)] == ["head", "rep"]
    with pytest.raises(NodeNotFound):
        below(nodes, "nobody")


def test_empty_branches_are_left_out() -> None:
    nodes = roll_up(
        [member("head"), member("rep", "head"), member("idle", "head")],
        {"rep": {"p": closed(1)}},
    )
    assert [node.id for node in pruned(nodes)] == [ALL, "head", "rep"]


@given(
    st.dictionaries(st.sampled_from(IDS), st.none() | st.sampled_from(IDS), max_size=12),
    st.dictionaries(
        st.sampled_from(IDS),
        st.dictionaries(st.sampled_from(["p", "q"]), st.builds(closed, st.integers(0, 999))),
    ),
)
def test_in_any_tree_a_node_is_its_own_deals_and_its_children(
    parents: dict[str, str | None], own: dict[str, dict[str, Figures]]
) -> None:
    untouched = deepcopy(own)
    nodes = roll_up([member(name, parent) for name, parent in parents.items()], own)
    assert own == untouched
    assert {node.id for node in nodes} == {ALL, *parents, *own}
    for period in ("p", "q"):
        for node in nodes:
            parts = [
                node.own.get(period),
                *(child.total.get(period) for child in nodes if child.parent_id == node.id),
            ]
            added = Figures()
            for part in parts:
                added += part or Figures()
            assert node.total.get(period, Figures()) == added
