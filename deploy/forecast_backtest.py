"""`sfa forecast backtest`: what would have been predicted of past months, beside what came, as tables."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import orjson
from rich.console import Console, Group, RenderableType
from rich.table import Table

from deploy.importing.client import Api, SignIn
from deploy.importing.troubles import ServerRefused

Document = Mapping[str, Any]

_METHOD_FIRST: Final = "system"


@dataclass(frozen=True, slots=True)
class Question:
    """What is replayed."""

    first: str = ""
    last: str = ""
    group_by: str = "TEAM"
    depth: int | None = None
    currency: str = ""
    months: int = 1

    def parameters(self) -> dict[str, str]:
        """As the query of a request."""
        wanted = {
            "firstPeriod": self.first,
            "lastPeriod": self.last,
            "groupBy": self.group_by,
            "depth": "" if self.depth is None else str(self.depth),
            "currency": self.currency,
            "months": str(self.months) if self.months > 1 else "",
        }
        return {name: value for name, value in wanted.items() if value}


async def replay(url: str, sign_in: SignIn, question: Question, *, as_json: bool) -> None:
    """Prints the months as they are replayed, and the scores."""
    errors = Console(stderr=True, highlight=False)
    async with Api(url, sign_in) as api:
        months: list[Document] = []
        async for step in api.events("/v1/forecast:backtest", **question.parameters()):
            if step.get("isDone"):
                break
            months.append(step)
            if not as_json:
                errors.print(f"{step['periodId']}: {step.get('refused') or 'predicted'}", style="dim")
        else:
            raise ServerRefused("The backtest was cut off before it was done; try again.")
    document = {"months": months, "result": step}
    if as_json:
        sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        Console(width=120, highlight=False).print(render(document))


def render(document: Document) -> RenderableType:
    """The system's forecasts, and how all methods did."""
    result = document["result"]
    currency = result.get("currency", "")
    parts: list[RenderableType] = [_forecasts(document["months"], currency)]
    by_depth: dict[int, list[Document]] = {}
    for score in result.get("scores", ()):
        by_depth.setdefault(score.get("depth", 0), []).append(score)
    for depth, scores in by_depth.items():
        parts.append(_scores("All nodes" if depth < 0 else f"Level {depth}", scores, currency))
    if result.get("calibration"):
        parts.append(_calibration(result))
    return Group(*parts)


def _forecasts(months: Sequence[Document], currency: str) -> Table:
    table = Table(title=f"Predicted on the last day before, {currency}", title_justify="left")
    for heading in ("Month", "Node"):
        table.add_column(heading)
    for heading in ("P10", "P50", "P90", "Came", "Off by"):
        table.add_column(heading, justify="right")
    for month in months:
        if month.get("refused"):
            table.add_row(month["periodId"], f"refused: {month['refused']}")
        for each in month.get("forecasts", ()):
            if each["method"] != _METHOD_FIRST:
                continue
            low, middle, high = (amount(each["predicted"].get(name)) for name in ("p10", "p50", "p90"))
            came = amount(each.get("actual"))
            off = f"{(middle - came) / came:+.1%}" if came else ""
            name = "  " * each.get("depth", 0) + each["nodeName"]
            table.add_row(
                month["periodId"], name, *(f"{value:,.0f}" for value in (low, middle, high, came)), off
            )
    return table


def _scores(title: str, scores: Sequence[Document], currency: str) -> Table:
    table = Table(title=f"{title}: less is better, coverage should be 80 %", title_justify="left")
    table.add_column("Method")
    headings = (
        "Forecasts",
        "Error",
        "Bias",
        "P10",
        "P50",
        "P90",
        f"Pinball loss {currency}",
        "P10\u2013P90 covers",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for score in scores:
        low, high = (f"{float(bound):.0%}" for bound in score["coverageBetween"])
        table.add_row(
            score["method"],
            str(score["forecasts"]),
            f"{float(score['error']):.1%}",
            f"{float(score['bias']):+.1%}",
            *(f"{float(loss):,.0f}" for loss in score["pinball"]),
            f"{float(score['loss']):,.0f}",
            f"{float(score['coverage']):.0%} ({low}\u2013{high})",
        )
    return table


def _calibration(result: Document) -> Table:
    title = (
        f"Deals that closed, by how likely they were said to be won; Brier {result['brier']}, "
        f"of one constant rate {result['brierOfConstant']}"
    )
    table = Table(title=title, title_justify="left")
    for heading in ("Said", "Mean", "Won", "Deals"):
        table.add_column(heading, justify="right")
    for bin in result["calibration"]:
        low, high, predicted, observed = (
            float(bin[name]) for name in ("low", "high", "predicted", "observed")
        )
        table.add_row(f"{low:.0%}\u2013{high:.0%}", f"{predicted:.1%}", f"{observed:.1%}", str(bin["deals"]))
    return table


def amount(money: Document | None) -> Decimal:
    """An amount of money; 0 where there is none."""
    if not money:
        return Decimal(0)
    return int(money.get("units", 0)) + Decimal(money.get("nanos", 0)) / 10**9
