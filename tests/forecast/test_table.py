"""What `sfa forecast` prints of the API's answers."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO
from typing import Any

from rich.console import Console, RenderableType

from deploy.forecast_table import Question, amount, applied, render, render_audit


def test_a_question_says_as_of_when_and_in_which_organisation() -> None:
    at = datetime(2017, 9, 30, 12, tzinfo=UTC)
    asked = Question(("2017-Q3",), "TEAM", hierarchy="CURRENT", credit="OVERLAY", as_of=at)
    assert asked.parameters() == {
        "periods": ["2017-Q3"], "groupBy": "TEAM", "hierarchy": "CURRENT", "credit": "OVERLAY",
        "asOf": "2017-09-30T12:00:00Z",
    }  # fmt: skip
    asked = Question(as_of=at, in_business_time=True)
    assert asked.parameters() == {"groupBy": "TEAM", "effectiveAsOf": "2017-09-30T12:00:00Z"}


def test_a_former_position_is_marked() -> None:
    former = {**node("b", "Ray", "a", 1, closed=5), "isFormer": True}
    assert "Ray (former)" in printed(render(forecast(node("a", "Ann", closed=5), former)))


def money(units: int, nanos: int = 0) -> dict[str, Any]:
    return {"currencyCode": "EUR", "units": str(units), "nanos": nanos}


def total(**sums: int) -> dict[str, Any]:
    names = ("closed", "commit", "bestCase", "pipeline", "omitted")
    categories = {name: {"amount": money(sums.get(name, 0)), "deals": "1"} for name in names}
    return {
        "deals": "3", "alone": categories, "cumulative": categories, "weighted": money(12, 500_000_000),
        "overdue": {"amount": money(7), "deals": "1"},
    }  # fmt: skip


def node(id: str, name: str, parent: str = "", depth: int = 0, **sums: int) -> dict[str, Any]:
    cell = {"periodId": "2017-Q1", "total": total(**sums)}
    return {"id": id, "name": name, "parentId": parent, "depth": depth, "kind": "USER", "cells": [cell]}


def forecast(*nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    periods = [{"id": "2017-Q1", "name": "Q1 2017"}, {"id": "undated", "name": "No close date"}]
    return {"groupBy": "TEAM", "currency": "EUR", "periods": periods, "nodes": list(nodes), **fields}


def printed(what: RenderableType) -> str:
    out = StringIO()
    Console(file=out, width=160).print(what)
    return out.getvalue()


def test_a_table_shows_the_tree_and_the_amounts() -> None:
    text = printed(
        render(forecast(node("all", "All", closed=1134672), node("ann", "Ann", "all", 1, commit=5)))
    )
    assert "Q1 2017 · EUR" in text
    assert "1,134,672" in text
    assert "  Ann" in text
    assert "12.50" in text
    assert "No close date" not in text  # nothing is undated


def test_missing_rates_and_silent_sources_are_said() -> None:
    missing = {"currency": "CHF", "target": "EUR", "date": {"year": 2017, "month": 3, "day": 1}, "deals": "4"}
    silent = {"source": "identity", "position": "7", "heartbeatAge": "31.5s"}
    text = printed(render(forecast(node("all", "All"), missingRates=[missing], watermarks=[silent])))
    assert "4 deals are not in the amounts: no rate from CHF to EUR on or before 2017-03-01." in text
    assert "Nothing was heard from identity for 32 seconds." in text


def test_changes_of_a_stream_replace_nodes_and_keep_the_order() -> None:
    before = forecast(node("all", "All"), node("bob", "Bob", "all", 1), node("cid", "Cid", "all", 1))
    change = {
        "forecast": {"nodes": [node("ann", "Ann", "all", 1), node("ray", "Ray", "bob", 2)], "watermarks": []},
        "removedNodeIds": ["cid"],
    }
    after = applied(before, change)
    assert [each["name"] for each in after["nodes"]] == ["All", "Ann", "Bob", "Ray"]
    assert applied(before, {"reset": True, "forecast": forecast()})["nodes"] == []


def test_an_amount_has_its_minor_unit_only_where_there_is_one() -> None:
    assert [amount(money(1234)), amount(money(1234, 500_000_000)), amount({})] == ["1,234", "1,234.50", "0"]


def test_an_audit_says_what_is_different() -> None:
    assert "no difference" in printed(render_audit({"consistent": True, "deals": "5", "figures": "100"}))
    difference = {
        "kind": "DEAL_DIFFERS",
        "opportunityId": "o1",
        "field": "amount",
        "recomputed": "1",
        "forecast": "2",
    }
    assert "DEAL_DIFFERS" in printed(render_audit({"differenceCount": "1", "differences": [difference]}))
