"""The parts of a report that are about what is to come, and about how well that was predicted before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Final

from deploy.importing.client import Api, Problem
from deploy.report.content import Backtest, Band, Bin, Calibration, Fan, Score
from deploy.report.documents import Document, amount_of, day_of
from deploy.report.drawing import short
from deploy.report.page import percent

_DEVIATIONS: Final = 1.645
"""So many standard deviations to both sides hold 90 %."""
_HEADINGS: Final = (
    "Method", "Forecasts", "Mean error", "Bias", "Pinball P10", "Pinball P50", "Pinball P90", "P10\u2013P90 covers",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Course:
    """A period and what was won in it by each day, as is known `today`; seen from the day `at`."""

    start: date
    end: date
    at: date
    won: Sequence[tuple[date, Decimal]]
    quota: Decimal | None
    today: date

    def fan(self, bands: Sequence[Band] = (), probability_of_quota: str = "") -> Fan:
        """The course, with what was expected of it."""
        path = [(day, amount) for day, amount in self.won if self.start <= day <= self.end]
        last = path[-1][1] if path else Decimal(0)
        until = max(self.start, min(self.end, self.today))
        actual = [(self.start, Decimal(0)), *path]
        if actual[-1][0] < until:
            actual.append((until, last))
        return Fan(self.start, self.end, self.at, bands, actual, self.quota, probability_of_quota)


@dataclass(slots=True)
class Prediction:
    """What there is of it; why the rest is missing, by the name of the part."""

    fan: Fan | None = None
    calibration: Calibration | None = None
    backtest: Backtest | None = None
    missing: dict[str, str] = field(default_factory=dict)


async def prediction(
    api: Api, parameters: Mapping[str, str], period: str, course: Course, months: tuple[str, str] | None
) -> Prediction:
    """Asks for the prediction, and for a backtest of some months; what is refused is left out, with the
    reason."""
    found = Prediction(fan=course.fan())
    quota = {} if course.quota is None else {"quota": f"{course.quota:f}"}
    try:
        predicted = await api.get("/v1/forecast/prediction", **parameters, **quota, periods=period, depth="0")
        found.fan = _fan(predicted, course)
    except Problem as problem:
        found.missing["prediction"] = str(problem)
    if months is not None:
        asked = {key: value for key, value in parameters.items() if key in ("groupBy", "currency")}
        asked |= {"firstPeriod": months[0], "lastPeriod": months[1]}
        try:
            look_back([step async for step in api.events("/v1/forecast:backtest", **asked)], found)
        except Problem as problem:
            found.missing["backtest"] = str(problem)
    return found


def _fan(predicted: Document, course: Course) -> Fan:
    """The course with its bands: from what was won when it was predicted, over the end of each month."""
    cells = [cell for node in predicted.get("nodes", ())[:1] for cell in node.get("cells", ())]
    if not cells:
        return course.fan()
    begin = max(course.start, course.at)
    won = amount_of(cells[0].get("won"))
    bands = [Band(begin, won, won, won)]
    bands += [
        Band(day_of(each["date"]), *_quantiles(each["outcome"]))
        for each in predicted.get("bands", ())
        if day_of(each["date"]) > begin
    ]
    if bands[-1].day < course.end:
        bands.append(Band(course.end, *_quantiles(cells[0]["outcome"])))
    return course.fan(bands, cells[0].get("quotaProbability", ""))


def _quantiles(document: Document) -> tuple[Decimal, Decimal, Decimal]:
    return amount_of(document.get("p10")), amount_of(document.get("p50")), amount_of(document.get("p90"))


def look_back(steps: Iterable[Document], found: Prediction) -> None:
    """Takes up what a backtest sent, step by step; its last message has the scores."""
    periods: list[str] = []
    refused: dict[str, str] = {}
    last: Document = {}
    for step in steps:
        if step.get("isDone"):
            last = step
        elif step.get("refused"):
            refused[step["periodId"]] = step["refused"]
        elif step.get("periodId"):
            periods.append(step["periodId"])
    if not last.get("scores"):
        done = (
            "There is no month to look back at." if last else "The backtest was cut off before it was done."
        )
        found.missing["backtest"] = next(reversed(refused.values()), done) if not periods else done
        return
    remarks = [f"{periods[0]} to {periods[-1]}, each predicted on the last day before it."] if periods else []
    remarks += [f"{' to '.join(_ends(months))} {sentence}" for sentence, months in _grouped(refused)]
    found.backtest = Backtest(_HEADINGS, list(_scores(last["scores"])), remarks)
    found.calibration = _calibration(last)


def _grouped(refused: Mapping[str, str]) -> Iterable[tuple[str, list[str]]]:
    """The months that were refused, by why."""
    by_sentence: dict[str, list[str]] = {}
    for period, sentence in refused.items():
        by_sentence.setdefault(sentence, []).append(period)
    return [(f"refused: {sentence}", months) for sentence, months in by_sentence.items()]


def _ends(months: Sequence[str]) -> list[str]:
    return [months[0]] if len(months) == 1 else [months[0], months[-1]]


def _scores(scores: Iterable[Document]) -> Iterable[Score]:
    for score in sorted(scores, key=lambda score: int(score.get("depth", 0))):
        depth = int(score.get("depth", 0))
        where = {-1: "", 0: ", the total"}.get(depth, f", level {depth}")
        low, high = (percent(each) for each in score["coverageBetween"])
        yield Score(
            f"{score['method'].capitalize()}{where}",
            [
                f"{int(score['forecasts']):,}",
                percent(score["error"]),
                _signed(score["bias"]),
                *(short(float(loss)) for loss in score["pinball"]),
                f"{percent(score['coverage'])} ({low} to {high})",
            ],
            is_ours=score["method"] == "system",
        )


def _signed(ratio: str) -> str:
    text = percent(ratio.removeprefix("-"))
    return f"\u2212{text}" if ratio.startswith("-") else f"+{text}"


def _calibration(last: Document) -> Calibration | None:
    bins = [
        Bin(
            float(each["low"]),
            float(each["high"]),
            float(each["predicted"]),
            float(each["observed"]),
            int(each["deals"]),
            _by_chance(float(each["predicted"]), int(each["deals"])),
        )
        for each in last.get("calibration", ())
        if int(each.get("deals", 0))
    ]
    if not bins:
        return None
    constant = last.get("brierOfConstant", "")
    remark = "Deals that were open before a month and closed in it, scored on the last day before."
    return Calibration(
        bins, last.get("brier", ""), f"One constant rate: {constant}. {remark}" if constant else remark
    )


def _by_chance(share: float, count: int) -> tuple[float, float]:
    """Between which shares 90 of 100 samples of so many lie, where this is the true one."""
    spread = _DEVIATIONS * (share * (1 - share) / count) ** 0.5
    return max(0.0, share - spread), min(1.0, share + spread)
