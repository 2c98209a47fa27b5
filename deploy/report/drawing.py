"""Drawing in SVG: shapes, texts and scales. A chart is laid out for the width that it is drawn at, so that its
letters are as large on a phone as on a wide screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from html import escape
from math import floor, log10

INK, QUIET, GRID, PAPER = "#1b2733", "#56626e", "#d9dfe5", "#ffffff"
BLUE, PALE, ORANGE, GREEN, RED = "#1d5fa6", "#c7dbf0", "#b3541e", "#2a7a4b", "#b23a3a"
LETTER = 0.64
"""How wide a letter is on average, as a part of its size."""


@dataclass(slots=True)
class Drawing:
    """A picture of so many pixels."""

    width: float
    height: float
    title: str
    parts: list[str] = field(default_factory=list)

    def rect(self, x: float, y: float, width: float, height: float, fill: str, hint: str = "") -> None:
        """A rectangle; widths below zero lie to the left."""
        if width < 0:
            x, width = x + width, -width
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height:.1f}"'
            f' fill="{fill}">{_hint(hint)}</rect>'
        )

    def line(
        self, x1: float, y1: float, x2: float, y2: float, color: str = GRID, width: float = 1, dash: str = ""
    ) -> None:
        """A straight line."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"'
            f' stroke-width="{width}"{dashed}/>'
        )

    def path(
        self, points: Sequence[tuple[float, float]], color: str, width: float = 2, dash: str = ""
    ) -> None:
        """A line through points."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<polyline points="{_points(points)}" fill="none" stroke="{color}" stroke-width="{width}"'
            f' stroke-linejoin="round"{dashed}/>'
        )

    def area(self, points: Sequence[tuple[float, float]], fill: str) -> None:
        """What lies within points."""
        self.parts.append(f'<polygon points="{_points(points)}" fill="{fill}"/>')

    def circle(self, x: float, y: float, radius: float, fill: str, hint: str = "") -> None:
        """A dot."""
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{fill}" stroke="{PAPER}"'
            f' stroke-width="1.5">{_hint(hint)}</circle>'
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        anchor: str = "start",
        color: str = INK,
        size: float = 13,
        bold: bool = False,
        halo: bool = False,
    ) -> None:
        """Letters; `y` is their base line. With a halo they can be read over lines."""
        weight = ' font-weight="600"' if bold else ""
        around = f' stroke="{PAPER}" stroke-width="4" paint-order="stroke"' if halo else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}" font-size="{size}"'
            f"{weight}{around}>{escape(text)}</text>"
        )

    def svg(self, css: str) -> str:
        """The picture, of a class."""
        return (
            f'<svg class="{css}" role="img" aria-label="{escape(self.title)}"'
            f' viewBox="0 0 {self.width:.0f} {self.height:.0f}" width="{self.width:.0f}"'
            f' height="{self.height:.0f}">{"".join(self.parts)}</svg>'
        )


@dataclass(frozen=True, slots=True)
class Scale:
    """From numbers to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float | Decimal) -> float:
        span = self.high - self.low or 1.0
        return self.start + (float(value) - self.low) / span * (self.end - self.start)


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most so many round numbers from one to another."""
    span = (high - low) or 1.0
    step = 10.0 ** floor(log10(span / most))
    for times in (1, 2, 5, 10):
        if span / (step * times) <= most:
            step *= times
            break
    first = floor(low / step)
    return [number * step for number in range(first, first + most + 3) if low <= number * step <= high]


def spread(places: Iterable[float], gap: float, low: float, high: float) -> list[float]:
    """Places at least a gap apart, as near as can be to where they were, between two ends."""
    wanted = list(places)
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    placed = [0.0] * len(wanted)
    last = low - gap
    for number in order:
        last = placed[number] = max(wanted[number], last + gap)
    over = last - high
    if over > 0:  # push back from the end
        limit = high
        for number in reversed(order):
            placed[number] = min(placed[number], limit)
            limit = placed[number] - gap
    return placed


def short(amount: float | Decimal) -> str:
    """An amount to read at a glance: 1.25 M, 340 k."""
    value = float(amount)
    for size, letter in ((1e9, " bn"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size * 0.9995:
            digits = 0 if abs(value) >= 100 * size else 1 if abs(value) >= 10 * size else 2
            number = f"{value / size:.{digits}f}"
            return (number.rstrip("0").rstrip(".") if "." in number else number) + letter
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:,.2f}"


def signed(amount: float | Decimal) -> str:
    """The same with its sign; a true minus."""
    text = short(abs(float(amount)))
    return text if not amount else f"+{text}" if amount > 0 else f"\u2212{text}"


def whole(amount: Decimal) -> str:
    """An amount with its thousands apart, to the whole unit."""
    text = f"{abs(amount):,.0f}"
    return f"\u2212{text}" if amount < 0 and text != "0" else text


def cut(text: str, size: float, width: float) -> str:
    """A text as far as it fits."""
    fits = int(width / (size * LETTER))
    return text if len(text) <= fits else text[: max(fits - 1, 1)].rstrip() + "\u2026"


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _hint(hint: str) -> str:
    return f"<title>{escape(hint)}</title>" if hint else ""
