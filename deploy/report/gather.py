"""What stands in a report, out of the answers of the REST API."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

from deploy.importing.client import Api
from deploy.report.content import Bar, Card, Report, Row, Waterfall
from deploy.report.documents import Document, amount_of, day_of
from deploy.report.drawing import short
from deploy.report.page import percent
from deploy.report.prediction import Course, Prediction, prediction

_PAGE: Final = 500
_MOST_PAGES: Final = 200
_BEHIND: Final = timedelta(seconds=20)
_REASONS: Final = {
    "CURRENCY": "Exchange rates",
    "REASSIGNED_IN": "Reassigned in",
    "REASSIGNED_OUT": "Reassigned out",
    "PULLED_IN": "Pulled in",
    "PUSHED_OUT": "Pushed out",
    "CATEGORY_IN": "Category in",
    "CATEGORY_OUT": "Category out",
    "AMOUNT_UP": "Amount up",
    "AMOUNT_DOWN": "Amount down",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a report is about."""

    period: str = ""
    group_by: str = "TEAM"
    node: str = ""
    depth: int | None = 3
    currency: str = ""
    as_of: datetime | None = None
    """As of when; now where it is None."""
    in_business_time: bool = False
    """Whether that is when things were true, and not when they were recorded."""
    since: datetime | None = None
    """From when on changes are told; from the first day of the period where it is None."""
    backtest: str = ""
    """Which months are replayed: `2017-06..2017-12`, or `none`; twelve of them where it is empty."""

    def parameters(self) -> dict[str, str]:
        """As the query of a request, but for the period."""
        name = "effectiveAsOf" if self.in_business_time else "asOf"
        wanted = {
            "groupBy": self.group_by,
            "currency": self.currency,
            "nodeId": self.node,
            name: _instant(self.as_of),
        }
        return {key: value for key, value in wanted.items() if value}


async def gather(api: Api, wanted: Wanted, now: datetime) -> Report:
    """Asks for everything that a report shows."""
    periods = {"periods": wanted.period} if wanted.period else {}
    depth = {} if wanted.depth is None else {"depth": str(wanted.depth)}
    asked = wanted.parameters()
    forecast = await api.get("/v1/forecast", **periods, **depth, **asked)
    period = forecast["periods"][0]
    of_period = {"periods": period["id"]}
    attained = await api.get("/v1/forecast/attainment", **of_period, **depth, **asked)
    judged: Document = {}
    if wanted.group_by == "TEAM":
        bare = {key: value for key, value in asked.items() if key != "groupBy"}
        judged = await api.get("/v1/forecast/judgement", **of_period, **depth, **bare, categories="COMMIT")
    changes = await api.get("/v1/forecast:changes", **_between(wanted, period, now), depth="0")
    won = await _won(api, wanted, period["id"])
    waterfall = _waterfall(changes)
    rows = list(_rows(forecast, period["id"], attained, judged))
    at = wanted.as_of or now
    start, end = day_of(period["startDate"]), day_of(period["endDate"])
    course = Course(start, end, at.date(), won, rows[0].quota if rows else None, now.date())
    found = await prediction(api, wanted.parameters(), period["id"], course, _months(wanted.backtest, course))
    time = "as things were on" if wanted.in_business_time else "as of"
    return Report(
        title=f"Forecast report: {period['name']}",
        subtitle=f"By {_by(wanted.group_by).lower()} \u00b7 {time} {_spoken(at)} \u00b7 made {_spoken(now)}",
        currency=forecast["currency"],
        group_by=_by(wanted.group_by),
        cards=list(_cards(rows, attained, found)),
        rows=rows,
        waterfall=waterfall,
        fan=found.fan,
        calibration=found.calibration,
        backtest=found.backtest,
        missing={"waterfall": "Nothing stood in the period, and nothing changed."} | found.missing,
        remarks=list(_remarks(forecast, attained)),
        warning=_warning(forecast, now),
    )


def _months(text: str, course: Course) -> tuple[str, str] | None:
    """The first and the last month that a backtest is asked for: the twelve that end with the period, or
    with the last one that is over."""
    if text == "none":
        return None
    if text:
        first, _, last = text.partition("..")
        return first, last or first
    over = course.today.replace(day=1) - timedelta(days=1)
    end = min(course.end, over)
    number = end.year * 12 + end.month - 12
    return f"{number // 12:04}-{number % 12 + 1:02}", f"{end.year:04}-{end.month:02}"


def _by(group_by: str) -> str:
    return group_by.replace("_", " ").capitalize()


def _between(wanted: Wanted, period: Document, now: datetime) -> dict[str, str]:
    """From the first day of the period, or the day asked for, up to the instant of the report."""
    closing = wanted.as_of or now
    start = datetime.combine(day_of(period["startDate"]), datetime.min.time(), UTC)
    before = start - timedelta(microseconds=1)  # what happens as the period begins is in it
    opening = wanted.since or (before if before < closing else closing - timedelta(days=30))
    parameters = {key: value for key, value in wanted.parameters().items() if "sOf" not in key}
    return parameters | {
        "periodId": period["id"],
        "openingTime": _instant(opening),
        "closingTime": _instant(closing),
        "axis": "EFFECTIVE" if wanted.in_business_time else "RECORDED",
    }


async def _won(api: Api, wanted: Wanted, period: str) -> list[tuple[date, Decimal]]:
    """What was won in the period up to and on each day, as is known now."""
    known = {key: value for key, value in wanted.parameters().items() if "sOf" not in key}
    by_day: dict[date, Decimal] = {}
    token = ""
    for _ in range(_MOST_PAGES):
        page = await api.get(
            "/v1/forecast/deals",
            **known,
            periodId=period,
            category="CLOSED",
            pageSize=str(_PAGE),
            **({"pageToken": token} if token else {}),
        )
        for deal in page.get("deals", ()):
            day = day_of(deal["closeDate"])
            by_day[day] = by_day.get(day, Decimal(0)) + amount_of(deal.get("convertedAmount"))
        token = page.get("nextPageToken", "")
        if not token:
            break
    total, path = Decimal(0), []
    for day in sorted(by_day):
        total += by_day[day]
        path.append((day, total))
    return path


def _rows(forecast: Document, period: str, attained: Document, judged: Document) -> Iterable[Row]:
    quotas, words = _cells(attained, period), _cells(judged, period)
    figures = _cells(forecast, period)
    named = {node["id"]: node for part in (attained, judged, forecast) for node in part.get("nodes", ())}
    order = _merged(forecast, attained, judged)
    for id in order:
        total = figures.get(id, {}).get("total", {})
        cumulative, quota = total.get("cumulative", {}), quotas.get(id, {})
        if not total and not quota and id not in words:
            continue
        word = words.get(id, {})
        has_word = bool(word.get("levels")) or word.get("judgedAmount") != word.get("systemAmount")
        yield Row(
            name=named[id]["name"],
            depth=named[id].get("depth", 0),
            closed=amount_of(cumulative.get("closed", {}).get("amount")),
            commit=amount_of(cumulative.get("commit", {}).get("amount")),
            best_case=amount_of(cumulative.get("bestCase", {}).get("amount")),
            pipeline=amount_of(cumulative.get("pipeline", {}).get("amount")),
            weighted=amount_of(total.get("weighted")),
            judged=amount_of(word["judgedAmount"]) if word and has_word else None,
            quota=amount_of(quota["quota"]) if "quota" in quota else None,
            attainment=quota.get("attainment", ""),
            gap=amount_of(quota["gap"]) if "gap" in quota else None,
            coverage=quota.get("coverage", ""),
        )


def _cells(document: Document, period: str) -> dict[str, Document]:
    """The cell of each node in a period."""
    return {
        node["id"]: cell
        for node in document.get("nodes", ())
        for cell in node.get("cells", ())
        if cell["periodId"] == period
    }


def _merged(*documents: Document) -> list[str]:
    """The nodes of several answers in one order: each after the one above, by name."""
    nodes = {node["id"]: node for document in documents for node in document.get("nodes", ())}
    below: dict[str, list[Document]] = {}
    for node in nodes.values():
        parent = node.get("parentId", "")
        below.setdefault(parent if parent in nodes else "", []).append(node)
    order: list[str] = []
    pending = [""]
    while pending:
        at = pending.pop()
        if at:
            order.append(at)
        children = sorted(
            below.get(at, ()), key=lambda node: (node["kind"] == "NONE", node["name"].casefold())
        )
        pending.extend(node["id"] for node in reversed(children))
    return order


def _waterfall(changes: Document) -> Waterfall | None:
    if not changes.get("nodes"):
        return None
    top = changes["nodes"][0]
    instants = [_read(changes[name]) for name in ("openingTime", "closingTime")]
    opening, closing = map(_spoken, instants)
    first, last = (_spoken(at, short_month=True) for at in instants)
    bars = [Bar(first, amount_of(top["opening"]["amount"]), int(top["opening"].get("deals", 0)), True)]
    for each in top.get("bars", ()):
        amount, deals = amount_of(each.get("amount")), int(each.get("deals", 0))
        if amount or deals:
            label = _REASONS.get(each["reason"], each["reason"].capitalize())
            bars.append(Bar(label, amount, deals))
    if len(bars) == 1 and not bars[0].amount:
        return None
    bars.append(Bar(last, amount_of(top["closing"]["amount"]), int(top["closing"].get("deals", 0)), True))
    return Waterfall(opening, closing, bars)


def _cards(rows: Sequence[Row], attained: Document, found: Prediction) -> Iterable[Card]:
    if not rows:
        return
    top = rows[0]
    part = f"{percent(top.attainment)} of the quota" if top.attainment else ""
    yield Card("Won so far", short(top.closed), part)
    judged = f"{short(top.judged)} as judged" if top.judged is not None else ""
    yield Card("Commit", short(top.commit), judged)
    cover = f"covers the gap {float(top.coverage):.1f}\u00d7" if top.coverage else ""
    yield Card("Open pipeline", short(top.pipeline - top.closed), cover)
    if top.quota is not None:
        yield Card("Quota", short(top.quota), _reached(top.gap, found))
    if found.fan is not None and found.fan.bands:
        last = found.fan.bands[-1]
        yield Card("Expected (P50)", short(last.p50), f"P10 {short(last.p10)} \u00b7 P90 {short(last.p90)}")
    cells = [cell for node in attained.get("nodes", ())[:1] for cell in node.get("cells", ())]
    pace = cells[0].get("pace", {}) if cells else {}
    if pace.get("projected"):
        days = f"day {pace['day']} of {pace['days']}"
        yield Card("At the pace of former periods", short(amount_of(pace["projected"])), days)


def _reached(gap: Decimal | None, found: Prediction) -> str:
    if not gap or gap <= 0:
        return "reached"
    chance = percent(found.fan.probability_of_quota) if found.fan else ""
    return f"{short(gap)} missing" + (f" \u00b7 reached with {chance}" if chance else "")


def _remarks(forecast: Document, attained: Document) -> Iterable[str]:
    undated = _cells({"nodes": forecast.get("nodes", ())[:1]}, "undated").values()
    for total in (cell["total"] for cell in undated):
        amount = amount_of(total["cumulative"]["pipeline"]["amount"])
        yield (
            f"{int(total['deals']):,} open deals have no close date, and are in no period: {short(amount)}"
            f" {forecast['currency']}."
        )
    if forecast.get("isOpen"):
        yield "The answer may still change: not everything recorded before has been heard of every service yet."
    for each in (*forecast.get("missingRates", ()), *attained.get("missingRates", ())):
        yield (
            f"{each['deals']} amounts are left out: no rate from {each['currency']} to {each['target']} on or"
            f" before {day_of(each['date'])}."
        )
    for mark in forecast.get("watermarks", ()):
        if mark.get("recordedTime"):
            yield f"Heard from {mark['source']} up to {_spoken(_read(mark['recordedTime']), seconds=True)}."


def _warning(forecast: Document, now: datetime) -> str:
    """That the forecast is behind, where it has not heard a source for longer than an event takes."""
    behind = [
        f"{mark['source']} up to {_spoken(heard, seconds=True)}"
        for mark in forecast.get("watermarks", ())
        if mark.get("recordedTime") and (heard := _read(mark["recordedTime"])) < now - _BEHIND
    ]
    return f"The forecast is behind: it has heard {', '.join(behind)}." if behind else ""


def _instant(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _read(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _spoken(at: datetime, *, seconds: bool = False, short_month: bool = False) -> str:
    """An instant as people write it."""
    at = at.astimezone(UTC)
    day = f"{at.day} {at:%b %Y}" if short_month else f"{at.day} {at:%B %Y}"
    if not seconds and (at.hour, at.minute) in ((0, 0), (23, 59)):
        return day
    return f"{day}, {at:%H:%M:%S} UTC" if seconds else f"{day}, {at:%H:%M} UTC"
