"""The charts of a report, each laid out for the width that it is drawn at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal

from deploy.report.content import Bar, Calibration, Fan, Waterfall
from deploy.report.drawing import (
    BLUE,
    GREEN,
    INK,
    LETTER,
    ORANGE,
    PALE,
    QUIET,
    RED,
    Drawing,
    Scale,
    cut,
    short,
    signed,
    spread,
    ticks,
)

_ROW = 34


def waterfall(content: Waterfall, width: float) -> Drawing:
    """A row for each bar, from the opening down to the closing."""
    narrow = width < 600
    size = 13 if narrow else 14
    label_width = min(max(len(bar.label) for bar in content.bars) * size * LETTER + 14, width * 0.4)
    drawing = Drawing(width, len(content.bars) * _ROW + 34, "What changed, as a waterfall")
    levels = list(_levels(content.bars))
    at_all = any(start or end for start, end in levels)
    low = min(0.0, *(float(min(start, end)) for start, end in levels))
    high = max(1.0, *(float(max(start, end)) for start, end in levels))
    room = 76 if narrow else 92  # for the amount beside a bar
    scale = Scale(low, high, label_width, width - room)
    bottom = len(content.bars) * _ROW + 6
    for tick in ticks(low, high, 3 if narrow else 6) if at_all else (0.0,):
        drawing.line(scale(tick), 4, scale(tick), bottom)
        drawing.text(scale(tick), bottom + 18, short(tick), anchor="middle", color=QUIET, size=12)
    for number, (bar, (start, end)) in enumerate(zip(content.bars, levels, strict=True)):
        top = number * _ROW + 6
        fill = BLUE if bar.is_total else GREEN if bar.amount >= 0 else RED
        text = short(bar.amount) if bar.is_total else signed(bar.amount)
        hint = f"{bar.label}: {text}, {bar.deals} deals" if bar.deals else f"{bar.label}: {text}"
        label = cut(bar.label, size, label_width - 8)
        drawing.text(0, top + 17, label, size=size, bold=bar.is_total)
        drawing.rect(scale(start), top, scale(end) - scale(start), _ROW - 12, fill, hint)
        beyond = max(scale(start), scale(end)) + 6
        drawing.text(beyond, top + 16, text, size=size, bold=bar.is_total, halo=True)
        if number + 1 < len(content.bars):
            drawing.line(scale(end), top + _ROW - 12, scale(end), top + _ROW, QUIET, 1)
    return drawing


def _levels(bars: Sequence[Bar]) -> Iterable[tuple[Decimal, Decimal]]:
    at = Decimal(0)
    for bar in bars:
        start = Decimal(0) if bar.is_total else at
        at = bar.amount if bar.is_total else at + bar.amount
        yield start, at


def fan(content: Fan, width: float) -> Drawing:
    """What was won by each day, and what was expected to be."""
    narrow = width < 600
    height, left, top, foot = (300 if narrow else 400), 52, 16, 30
    labels, size = _ends_of(content), 11.5 if narrow else 12.5
    right = max((len(text) for text, _, _ in labels), default=0) * size * LETTER + 12
    drawing = Drawing(width, height, "The period as it was predicted, and as it went")
    amounts = [*(band.p90 for band in content.bands), *(amount for _, amount in content.actual)]
    peak = float(max([*amounts, content.quota or Decimal(0), Decimal(1)])) * 1.06
    days = (content.end - content.start).days or 1
    x = Scale(0, days, left, width - right)
    y = Scale(0, peak, height - foot, top)

    def at(day: date) -> float:
        return x((day - content.start).days)

    for tick in ticks(0, peak, 4 if narrow else 6):
        drawing.line(left, y(tick), width - right, y(tick))
        drawing.text(left - 8, y(tick) + 4, short(tick), anchor="end", color=QUIET, size=12)
    for day in _days(content.start, content.end, 4 if narrow else 8):
        drawing.line(at(day), height - foot, at(day), height - foot + 5, QUIET)
        text = f"{day.day} {day:%b}"
        drawing.text(at(day), height - foot + 20, text, anchor="middle", color=QUIET, size=12)
    if content.bands:
        upper = [(at(band.day), y(band.p90)) for band in content.bands]
        lower = [(at(band.day), y(band.p10)) for band in content.bands]
        drawing.area([*upper, *reversed(lower)], PALE)
        drawing.path([(at(band.day), y(band.p50)) for band in content.bands], BLUE, 2, "7 4")
    if content.quota is not None:
        drawing.line(left, y(content.quota), width - right, y(content.quota), INK, 1.5, "2 4")
    if content.bands and content.start <= content.made_on <= content.end:
        drawing.line(at(content.made_on), top, at(content.made_on), height - foot, QUIET, 1, "3 3")
        drawing.text(
            *_beside(at(content.made_on), top + 12, "predicted here", width - right),
            "predicted here", color=QUIET, size=12, halo=True,
        )  # fmt: skip
    steps: list[tuple[float, float]] = []
    for day, amount in content.actual:
        if steps:
            steps.append((at(day), steps[-1][1]))
        steps.append((at(day), y(amount)))
    drawing.path(steps, ORANGE, 2.5)
    places = spread([y(amount) + 4 for _, amount, _ in labels], 15, y.end + 4, y.start)
    for (text, _, color), place in zip(labels, places, strict=True):
        drawing.text(width - right + 6, place, text, color=color, size=size, bold=True)
    if content.actual and content.actual[-1][0] < content.end:
        day, amount = content.actual[-1]
        drawing.circle(at(day), y(amount), 5, ORANGE, f"Won so far: {short(amount)}")
    return drawing


def _beside(x: float, y: float, text: str, end: float) -> tuple[float, float]:
    """Where a text stands right of a line; left of it where there is no room."""
    width = len(text) * 12 * LETTER
    return (x + 6, y) if x + 6 + width < end else (x - 6 - width, y)


def _ends_of(content: Fan) -> list[tuple[str, Decimal, str]]:
    """What the lines come to, to be said beside their ends: text, amount, colour."""
    labels: list[tuple[str, Decimal, str]] = []
    if content.bands:
        last = content.bands[-1]
        labels += [("P90", last.p90, BLUE), ("P50", last.p50, BLUE), ("P10", last.p10, BLUE)]
    if content.quota is not None:
        labels.append(("Quota", content.quota, INK))
    if content.actual and content.actual[-1][0] >= content.end:
        labels.append(("Actual", content.actual[-1][1], ORANGE))
    return [(f"{label} {short(amount)}", amount, color) for label, amount, color in labels]


def _days(start: date, end: date, most: int) -> list[date]:
    """The first days of months, or of weeks where the period is short."""
    firsts = [
        day
        for day in (start + timedelta(days=number) for number in range((end - start).days + 1))
        if day.day in (1, 15)
    ]
    if (end - start).days < 45:
        firsts = [start + timedelta(days=7 * number) for number in range((end - start).days // 7 + 1)]
    step = -(-len(firsts) // most)
    return firsts[::step]


def calibration(content: Calibration, width: float) -> Drawing:
    """Predicted against observed shares, with the interval that chance alone explains."""
    side = min(width, 440.0)
    left, foot = 52, 46
    drawing = Drawing(side, side, "Predicted probabilities against what came of them")
    x = Scale(0, 1, left, side - 24)
    y = Scale(0, 1, side - foot, 12)
    for number in range(0, 101, 25):
        share = number / 100
        drawing.line(x(0), y(share), x(1), y(share))
        drawing.line(x(share), y(0), x(share), y(1))
        drawing.text(x(0) - 8, y(share) + 4, f"{number} %", anchor="end", color=QUIET, size=12)
        drawing.text(x(share), y(0) + 18, f"{number} %", anchor="middle", color=QUIET, size=12)
    drawing.text((x(0) + x(1)) / 2, side - 8, "predicted", anchor="middle", color=INK, size=13)
    drawing.text(x(0) + 8, y(1) + 18, "observed", color=INK, size=13, halo=True)
    drawing.line(x(0), y(0), x(1), y(1), QUIET, 1.5, "5 4")
    most = max((each.deals for each in content.bins), default=1)
    for each in content.bins:
        low, high = each.interval
        place = x(each.predicted)
        drawing.line(place, y(low), place, y(high), PALE, 7)
    for each in content.bins:
        radius = 4 + 7 * (each.deals / most) ** 0.5
        hint = f"{each.deals} deals: {each.predicted:.0%} predicted, {each.observed:.0%} won"
        drawing.circle(x(each.predicted), y(each.observed), radius, BLUE, hint)
    return drawing
