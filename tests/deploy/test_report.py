"""The report as a page: it needs nothing else, says what it was given, and nothing in it overlaps."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
import typer

from deploy.report import charts
from deploy.report.command import instant_of
from deploy.report.content import (
    Backtest,
    Band,
    Bar,
    Bin,
    Calibration,
    Card,
    Fan,
    Report,
    Row,
    Score,
    Waterfall,
)
from deploy.report.drawing import LETTER, Drawing, cut, short, signed, spread, ticks, whole
from deploy.report.gather import Wanted, _between, _merged, _months, _rows, _warning, _waterfall
from deploy.report.page import NARROW, WIDE, page
from deploy.report.prediction import Course, Prediction, _fan, look_back

WIDTHS = pytest.mark.parametrize("width", [WIDE, NARROW], ids=["wide", "phone"])
START, END = date(2017, 10, 1), date(2017, 12, 31)


def money(units: int) -> dict[str, Any]:
    return {"currencyCode": "USD", "units": str(units)}


def row(name: str, depth: int, *amounts: int) -> Row:
    closed, commit, best_case, pipeline, weighted = map(Decimal, amounts)
    return Row(name, depth, closed, commit, best_case, pipeline, weighted)


def waterfall(*amounts: int) -> Waterfall:
    bars = [Bar("30 September 2017", Decimal(1000), 9, True)]
    bars += [Bar(f"Reason number {number}", Decimal(amount), 3) for number, amount in enumerate(amounts)]
    return Waterfall("then", "now", [*bars, Bar("15 November 2017", Decimal(1000 + sum(amounts)), 9, True)])


def fan(*bands: Band, quota: int | None = 5100) -> Fan:
    actual = [(START, Decimal(0)), (date(2017, 11, 1), Decimal(2000)), (END, Decimal(5050))]
    return Fan(START, END, START, bands, actual, None if quota is None else Decimal(quota))


BANDS = (Band(START, *(Decimal(0),) * 3), Band(END, Decimal(4900), Decimal(5000), Decimal(5150)))
CALIBRATION = Calibration(
    [Bin(0.5, 0.6, 0.55, 0.6, 40, (0.4, 0.7)), Bin(0.6, 0.7, 0.65, 0.62, 90, (0.55, 0.75))], "0.2391"
)
BACKTEST = Backtest(["Method", "Error"], [Score("System", ["7.9 %"], True), Score("Last period", ["20 %"])])
REPORT = Report(
    title="Forecast report: Q4 2017",
    subtitle="By team",
    currency="USD",
    group_by="Team",
    cards=[Card("Won so far", "1.25 M", "38 % of the quota")],
    rows=[
        row("All", 0, 1248325, 1300000, 1400000, 1500000, 90000),
        replace(row("Ann <b>& sons</b>", 1, 1, 2, 3, 4, 5), judged=Decimal(6), quota=Decimal(7), attainment="0.1429"),
    ],
    waterfall=waterfall(500, -700, 90),
    fan=fan(*BANDS),
    calibration=CALIBRATION,
    backtest=BACKTEST,
    remarks=["Heard from quotes."],
)  # fmt: skip


def texts(drawing: Drawing) -> Iterator[tuple[float, float, float, float, str]]:
    """Each text with where it begins and ends, its base line and its size."""
    root = ElementTree.fromstring(drawing.svg("wide"))  # noqa: S314  # our own
    for each in root.iter("text"):
        size = float(each.get("font-size", "13"))
        wide, x = len(each.text or "") * size * LETTER, float(each.get("x", "0"))
        start = {"start": x, "middle": x - wide / 2, "end": x - wide}[each.get("text-anchor", "start")]
        yield start, start + wide, float(each.get("y", "0")), size, each.text or ""


DRAWN = {
    "a waterfall": lambda width: charts.waterfall(waterfall(500, -700, 90, 0, -1, 1), width),
    "a waterfall that falls below nothing": lambda width: charts.waterfall(waterfall(-3000, 1200), width),
    "an empty waterfall": lambda width: charts.waterfall(waterfall(-1000), width),
    "a fan with quantiles that lie close": lambda width: charts.fan(fan(*BANDS), width),
    "a course without a prediction": lambda width: charts.fan(fan(quota=None), width),
    "a month": lambda width: charts.fan(
        replace(fan(*BANDS), start=date(2017, 12, 1), made_on=date(2017, 12, 15)), width
    ),
    "a calibration": lambda width: charts.calibration(CALIBRATION, width),
}


@WIDTHS
@pytest.mark.parametrize("name", DRAWN)
def test_no_letter_lies_outside_or_over_another(name: str, width: float) -> None:
    drawing = DRAWN[name](width)
    found = list(texts(drawing))
    assert found
    for start, end, base, _, text in found:
        assert start >= -1, text
        assert end <= drawing.width + 1, text
        assert base <= drawing.height, text
    for number, (start, end, base, size, text) in enumerate(found):
        for other_start, other_end, other_base, _, other in found[number + 1 :]:
            if abs(base - other_base) < size * 0.9:
                assert end <= other_start or other_end <= start, (text, other)


def test_the_page_needs_nothing_else_and_says_what_it_was_given() -> None:
    text = page(REPORT)
    assert not re.search(r"<script|<link|<img|@import|url\(|https?://", text)
    assert "1,248,325" in text
    assert "Ann &lt;b&gt;&amp; sons&lt;/b&gt;" in text
    assert "<b>& sons" not in text
    assert text.count("<svg") == 6  # each chart for a wide screen, and for a phone
    for part in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(part)  # noqa: S314  # our own


def test_what_there_is_nothing_to_say_about_is_left_out_with_the_reason() -> None:
    bare = replace(
        REPORT, fan=None, calibration=None, backtest=None, missing={"backtest": "Too little history."}
    )
    text = page(bare)
    assert "Too little history." in text
    assert "Whether probabilities" not in text


def test_numbers_are_short_where_they_are_looked_at_and_whole_where_they_are_read() -> None:
    assert [short(value) for value in (0, 7, 999, 1000, 12_340, 999_700, 1_250_000, 2.5e9)] == [
        "0", "7", "999", "1 k", "12.3 k", "1 M", "1.25 M", "2.5 bn",
    ]  # fmt: skip
    assert (signed(5), signed(-1500), signed(0)) == ("+5", "\u22121.5 k", "0")
    assert (whole(Decimal("1234.5")), whole(Decimal(-7))) == ("1,234", "\u22127")
    assert cut("Versie Hillebrand", 13, 60).endswith("\u2026")


def test_ticks_are_round_and_few() -> None:
    assert ticks(0, 100, 5) == [0, 20, 40, 60, 80, 100]
    assert ticks(0, 3_290_000, 6) == [0, 1_000_000, 2_000_000, 3_000_000]


def test_places_are_spread_within_their_ends() -> None:
    placed = spread([50, 51, 52, 99], 15, 0, 100)
    assert sorted(placed) == placed
    assert all(later - former >= 15 for former, later in itertools.pairwise(placed))
    assert placed[-1] <= 100


def test_the_course_of_a_period_goes_up_to_today_or_its_end() -> None:
    won = [(date(2017, 10, 5), Decimal(3)), (date(2018, 1, 1), Decimal(9))]
    over = Course(START, END, START, won, None, date(2026, 1, 1)).fan()
    assert over.actual == [(START, Decimal(0)), (date(2017, 10, 5), Decimal(3)), (END, Decimal(3))]
    running = Course(START, END, START, won, None, date(2017, 10, 20)).fan()
    assert running.actual[-1] == (date(2017, 10, 20), Decimal(3))
    ahead = Course(START, END, START, (), None, date(2017, 9, 1)).fan()
    assert ahead.actual == [(START, Decimal(0))]


def test_rows_come_of_forecast_quotas_and_judgement_together() -> None:
    def node(id: str, name: str, parent: str = "", **cell: Any) -> dict[str, Any]:
        cells = [{"periodId": "2017-Q4", **cell}] if cell else []
        return {"id": id, "name": name, "parentId": parent, "kind": "USER", "depth": 1, "cells": cells}

    sums = {
        name: {"amount": money(number)}
        for number, name in enumerate(("closed", "commit", "bestCase", "pipeline"))
    }
    forecast = {"nodes": [node("a", "Ann", total={"cumulative": sums, "weighted": money(9)})]}
    attained = {"nodes": [node("b", "Bob", "a", quota=money(100), gap=money(100), attainment="0.0000")]}
    judged = {
        "nodes": [
            node("a", "Ann", judgedAmount=money(5), systemAmount=money(1), levels=[{}]),
            node("c", "Cy", "a"),
        ]
    }
    assert _merged(forecast, attained, judged) == ["a", "b", "c"]
    ann, bob = _rows(forecast, "2017-Q4", attained, judged)
    assert [ann.commit, ann.pipeline, ann.judged, ann.quota] == [1, 3, 5, None]
    assert [bob.name, bob.closed, bob.quota, bob.judged] == ["Bob", 0, 100, None]


def test_the_waterfall_leaves_out_what_changed_nothing() -> None:
    bars = [{"reason": "LOST", "amount": money(-5), "deals": "2"}, {"reason": "NEW", "amount": money(0)}]
    found = _waterfall(
        {
            "openingTime": "2017-09-30T23:59:59.999999Z", "closingTime": "2017-11-15T12:30:00Z",
            "nodes": [{"opening": {"amount": money(15)}, "closing": {"amount": money(10)}, "bars": bars}],
        }
    )  # fmt: skip
    assert found is not None
    assert [(bar.label, int(bar.amount)) for bar in found.bars] == [
        ("30 Sep 2017", 15), ("Lost", -5), ("15 Nov 2017, 12:30 UTC", 10),
    ]  # fmt: skip
    assert _waterfall({}) is None


def test_changes_are_told_from_before_the_first_day_on() -> None:
    period = {"id": "2017-Q4", "startDate": {"year": 2017, "month": 10, "day": 1}}
    asked = _between(
        Wanted(as_of=datetime(2017, 11, 15, tzinfo=UTC), in_business_time=True), period, datetime.now(UTC)
    )
    assert asked["openingTime"] == "2017-09-30T23:59:59.999999Z"
    assert (asked["closingTime"], asked["axis"]) == ("2017-11-15T00:00:00Z", "EFFECTIVE")
    early = _between(Wanted(as_of=datetime(2017, 9, 1, tzinfo=UTC)), period, datetime.now(UTC))
    assert (early["openingTime"], early["axis"]) == ("2017-08-02T00:00:00Z", "RECORDED")


def test_a_forecast_that_is_behind_says_so_first() -> None:
    now = datetime(2017, 11, 15, 12, tzinfo=UTC)
    marks = [
        {"source": "identity", "recordedTime": "2017-11-15T11:59:50Z"},
        {"source": "opportunities", "recordedTime": "2017-11-15T11:58:00Z"},
    ]
    warning = _warning({"watermarks": marks}, now)
    assert (
        warning == "The forecast is behind: it has heard opportunities up to 15 November 2017, 11:58:00 UTC."
    )
    assert not _warning({"watermarks": marks[:1]}, now)
    assert warning in page(replace(REPORT, warning=warning))


def test_the_backtest_looks_at_the_year_up_to_the_period() -> None:
    course = Course(START, END, START, (), None, date(2026, 1, 1))
    assert _months("", course) == ("2017-01", "2017-12")
    assert _months("", replace(course, today=date(2017, 11, 20))) == ("2016-11", "2017-10")
    assert _months("2017-06..2017-12", course) == ("2017-06", "2017-12")
    assert _months("2017-06", course) == ("2017-06", "2017-06")
    assert _months("none", course) is None


def test_a_day_stands_for_its_end_or_its_beginning() -> None:
    assert instant_of("2017-09-30", "--as-of", time.max) == datetime(2017, 9, 30, 23, 59, 59, 999999, UTC)
    assert instant_of("2017-09-30T10:00:00Z", "--as-of", time.max) == datetime(2017, 9, 30, 10, tzinfo=UTC)
    assert instant_of("", "--as-of", time.max) is None
    with pytest.raises(typer.BadParameter):
        instant_of("soon", "--since", time.min)


def test_the_fan_opens_where_it_was_predicted_and_passes_the_end_of_each_month() -> None:
    def quantiles(*units: int) -> dict[str, Any]:
        return dict(zip(("p10", "p50", "p90"), map(money, units), strict=True))

    def band(month: int, day: int, *units: int) -> dict[str, Any]:
        return {"date": {"year": 2017, "month": month, "day": day}, "outcome": quantiles(*units)}

    cell = {"won": money(70), "outcome": quantiles(90, 100, 110), "quotaProbability": "0.2500"}
    bands = [band(10, 31, 65, 70, 75), band(11, 30, 80, 85, 90), band(12, 31, 90, 100, 110)]
    course = Course(START, END, date(2017, 11, 15), (), Decimal(105), date(2026, 1, 1))
    found = _fan({"nodes": [{"cells": [cell]}], "bands": bands}, course)
    assert [(each.day, int(each.p10), int(each.p90)) for each in found.bands] == [
        (date(2017, 11, 15), 70, 70), (date(2017, 11, 30), 80, 90), (END, 90, 110),
    ]  # fmt: skip
    assert (found.probability_of_quota, found.quota) == ("0.2500", Decimal(105))
    assert not _fan({}, course).bands


def test_a_backtest_says_how_each_did_and_what_was_refused() -> None:
    def score(method: str, depth: int) -> dict[str, Any]:
        return {
            "method": method, "depth": depth, "forecasts": 28, "error": "0.0791", "bias": "-0.0110",
            "pinball": ["8120.5", "21300", "10010"], "coverage": "0.8200", "coverageBetween": ["0.6700", "0.9200"],
        }  # fmt: skip

    bins = [
        {"low": "0.5", "high": "0.6", "predicted": "0.5500", "observed": "0.6000", "deals": 100},
        {"low": "0.6", "high": "0.7", "predicted": "0", "observed": "0", "deals": 0},
    ]
    scores = [score("last period", -1), score("system", 0), score("system", -1)]
    found = Prediction()
    look_back(
        [
            {"periodId": "2017-05", "refused": "Too little was won."},
            {"periodId": "2017-06", "forecasts": [{}]},
            {"periodId": "2017-07", "forecasts": [{}]},
            {
                "isDone": True,
                "scores": scores,
                "calibration": bins,
                "brier": "0.2391",
                "brierOfConstant": "0.2440",
            },
        ],
        found,
    )
    assert found.backtest is not None
    assert [(each.method, each.is_ours) for each in found.backtest.scores] == [
        ("Last period", False), ("System", True), ("System, the total", True),
    ]  # fmt: skip
    cells = [cell.replace("\u202f", " ") for cell in found.backtest.scores[1].cells]
    assert cells == ["28", "7.9 %", "\u22121.1 %", "8.12 k", "21.3 k", "10 k", "82.0 % (67.0 % to 92.0 %)"]
    assert found.backtest.remarks == [
        "2017-06 to 2017-07, each predicted on the last day before it.",
        "2017-05 refused: Too little was won.",
    ]
    assert found.calibration is not None
    (only,) = found.calibration.bins
    assert (only.deals, round(only.interval[0], 3), round(only.interval[1], 3)) == (100, 0.468, 0.632)
    assert "0.2440" in found.calibration.remark


def test_a_backtest_that_came_to_nothing_says_why() -> None:
    cut_off, too_short, nothing = Prediction(), Prediction(), Prediction()
    look_back([{"periodId": "2017-06"}], cut_off)
    look_back([{"periodId": "2017-06", "refused": "Too little was won."}, {"isDone": True}], too_short)
    look_back([{"isDone": True}], nothing)
    assert "cut off" in cut_off.missing["backtest"]
    refused = Prediction()
    look_back([{"periodId": "2017-06", "refused": "Too little was won."}], refused)
    assert refused.missing["backtest"] == "Too little was won."
    assert too_short.missing["backtest"] == "Too little was won."
    assert nothing.missing["backtest"] == "There is no month to look back at."
