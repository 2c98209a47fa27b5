"""Facts from the test suites of other engines, to the cent: each under the settings that it assumes, none left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from services.quotes.pricing.by_priority import by_priority
from services.quotes.pricing.evaluation import compute
from services.quotes.pricing.model import ReasonKind, Result
from services.quotes.pricing.problem import prepare
from services.quotes.pricing.report import report
from tests.quotes.pricing.shared_cases import posed
from tests.shared_data import ROOT, shared_data


def _ids() -> list[str]:
    path = ROOT / "promotions" / "cases.json"
    return [case["id"] for case in json.loads(path.read_text())["cases"]] if path.exists() else ["absent"]


def _cases() -> dict[str, dict[str, Any]]:
    found = json.loads((shared_data("promotions") / "cases.json").read_text())["cases"]
    return {case["id"]: case for case in found}


def _cents(text: str) -> int:
    return int(Decimal(text) * 100)


def _rows(case: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    if "table" in case["expected"]:
        for row in case["expected"]["table"]:
            yield {"discount": row["discount"]}, row
    else:
        yield case["expected"], {}


@pytest.mark.parametrize("identity", _ids())
def test_agrees_to_the_cent(identity: str) -> None:
    case = _cases()[identity]
    for expected, row in _rows(case):
        problem = posed(case, row=row)
        prepared = prepare(problem.document, problem.promotions)
        result = report(compute(prepared, by_priority(prepared)))
        _check(expected, result, [promotion.code for promotion in prepared.promotions])
        if "reason" in expected:
            (reasons,) = prepared.obstacles.values()
            assert [reason.kind for reason in reasons] == [ReasonKind.BUDGET]


def _check(expected: dict[str, Any], result: Result, codes: list[str]) -> None:
    applied = {one.code: one for one in result.applied}
    for name, value in expected.items():
        match name:
            case "discount":
                assert result.totals.promotions == _cents(value)
            case "total":
                assert result.totals.total == _cents(value)
            case "line_discounts":
                assert [line.promotions for line in result.lines] == [_cents(amount) for amount in value]
            case "by_line":
                assert {line.key: line.promotions for line in result.lines if line.promotions} == {
                    key: _cents(amount) for key, amount in value.items()
                }
            case "by_promotion":
                for code, amounts in zip(codes, value, strict=True):
                    found = list(applied[code].by_line.values()) if code in applied else []
                    assert found == [_cents(amount) for amount in amounts]
            case "unit_net":
                assert [line.amount for line in result.lines] == [
                    int(_cents(value) * line.quantity) for line in result.lines
                ]
            case "offers_recorded":
                assert len(result.applied) == int(value)
            case "order":
                assert codes == value
            case "reason":
                assert not result.applied
            case _:
                raise KeyError(name)
