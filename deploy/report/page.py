"""The report as one page of HTML: no scripts, no fonts, no pictures from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from html import escape
from typing import TypeVar

from deploy.report import charts
from deploy.report.content import Backtest, Calibration, Card, Fan, Report, Row, Waterfall
from deploy.report.drawing import Drawing, whole

WIDE, NARROW = 1160, 340
T = TypeVar("T")

_CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: #f3f5f7; color: #1b2733;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 1228px; margin: 0 auto; padding: 24px 16px 48px; }
header { margin: 8px 0 20px; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 1.2rem; margin: 0 0 4px; }
p { margin: 0 0 12px; max-width: 46rem; }
.quiet { color: #56626e; }
.warning { background: #fdf1dc; border-left: 4px solid #b3541e; padding: 8px 12px; max-width: none; }
section { background: #fff; border: 1px solid #dfe4e9; border-radius: 8px; padding: 20px 16px; margin: 0 0 16px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 0 0 16px; }
.card { background: #fff; border: 1px solid #dfe4e9; border-radius: 8px; padding: 12px 14px; }
.card b { display: block; font-size: 1.35rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.card span { color: #56626e; font-size: .875rem; display: block; }
.scroll { overflow-x: auto; -webkit-overflow-scrolling: touch; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .875rem; }
th, td { padding: 6px 8px; text-align: right; white-space: nowrap; border-bottom: 1px solid #e6eaee; }
th { color: #46525e; font-weight: 600; }
thead th { white-space: normal; border-bottom: 2px solid #c5cdd5; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
tbody th { font-weight: 400; color: #1b2733; }
tr.top th, tr.top td, tr.ours th, tr.ours td { font-weight: 600; }
tr.ours th, tr.ours td { background: #eef4fb; }
svg { display: block; max-width: 100%; height: auto; font-family: inherit; }
svg.narrow, .hint { display: none; }
.side { display: flex; flex-wrap: wrap; gap: 24px; align-items: flex-start; }
.side > div { flex: 1 1 300px; min-width: 0; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 4px 0 10px; padding: 0; list-style: none;
  font-size: .875rem; color: #34414d; }
.legend i { display: inline-block; width: 22px; height: 0; border-top: 3px solid; margin-right: 6px;
  vertical-align: middle; }
.legend i.area { height: 12px; border: 0; }
ul.remarks { margin: 0; padding-left: 1.2em; color: #46525e; font-size: .875rem; }
@media (max-width: 640px) {
  main { padding: 12px 8px 32px; } section { padding: 14px 10px; }
  h1 { font-size: 1.4rem; } th, td { padding: 6px 8px; } tbody th { max-width: 42vw; overflow: hidden;
  text-overflow: ellipsis; }
  .cards { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px; } .card b { font-size: 1.15rem; }
  svg.wide { display: none; } svg.narrow, .hint { display: block; }
  .hint { font-size: .8rem; margin: 0 0 4px; }
}
@media print { body { background: #fff; } section, .card { break-inside: avoid; } }
"""


def page(report: Report) -> str:
    """The whole file."""
    warning = f'<p class="warning">{escape(report.warning)}</p>' if report.warning else ""
    is_predicted = report.fan is None or bool(report.fan.bands)
    course = "How the period is expected to go" if is_predicted else "How the period went"
    parts = [
        f'<header><h1>{escape(report.title)}</h1><p class="quiet">{escape(report.subtitle)}</p>{warning}</header>',
        _cards(report.cards),
        _rollup(report),
        _part("What changed", report.waterfall, _waterfall, report.missing.get("waterfall")),
        _part(course, report.fan, lambda fan: _fan(fan, report.missing.get("prediction", "")), None),
        _part(
            "Whether probabilities can be believed",
            report.calibration,
            _calibration,
            report.missing.get("calibration"),
        ),
        _part("How well it predicted before", report.backtest, _backtest, report.missing.get("backtest")),
    ]
    if report.remarks:
        parts.append(f"<section><h2>To be known beside this</h2>{_remarks(report.remarks)}</section>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.title)}</title><style>{_CSS}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _cards(cards: Iterable[Card]) -> str:
    found = "".join(
        f'<div class="card"><span>{escape(card.label)}</span><b>{escape(card.value)}</b>'
        f"<span>{escape(card.remark)}</span></div>"
        for card in cards
    )
    return f'<div class="cards">{found}</div>' if found else ""


def _part(title: str, content: T | None, draw: Callable[[T], str], reason: str | None) -> str:
    if content is None and not reason:
        return ""
    inside = draw(content) if content is not None else f'<p class="quiet">{escape(reason or "")}</p>'
    return f"<section><h2>{title}</h2>{inside}</section>"


def _both(draw: Callable[[float], Drawing]) -> str:
    """The chart for a wide screen and for a phone; one of them is shown."""
    return draw(WIDE).svg("wide") + draw(NARROW).svg("narrow")


def _rollup(report: Report) -> str:
    heads = [report.group_by, "Closed", "Commit", "Best case", "Pipeline", "Weighted"]
    has_judgement = any(row.judged is not None for row in report.rows)
    has_quota = any(row.quota is not None for row in report.rows)
    if has_judgement:
        heads.append("Commit, as judged")
    if has_quota:
        heads += ["Quota", "Attainment", "Gap", "Coverage"]
    top = min((row.depth for row in report.rows), default=0)

    def cells(row: Row) -> list[str]:
        found = [whole(each) for each in (row.closed, row.commit, row.best_case, row.pipeline, row.weighted)]
        if has_judgement:
            found.append(_maybe(row.judged))
        if has_quota:
            found += [_maybe(row.quota), percent(row.attainment), _maybe(row.gap), _times(row.coverage)]
        return found

    body = "".join(
        f"<tr{' class=top' if row.depth == top else ''}>"
        f'<th scope="row" style="padding-left:{10 + 16 * min(row.depth - top, 8)}px" title="{escape(row.name)}">'
        f"{escape(row.name)}</th>{''.join(f'<td>{each}</td>' for each in cells(row))}</tr>"
        for row in report.rows
    )
    return (
        f"<section><h2>The roll-up</h2>"
        f'<p class="quiet">All amounts in {escape(report.currency)}. Commit includes what is closed, best case'
        f" includes commit, pipeline everything but omitted.</p>{_table(heads, body)}</section>"
    )


def _table(heads: Iterable[str], body: str) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    hint = '<p class="hint quiet">The table can be moved sideways.</p>'
    return (
        f'{hint}<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _waterfall(content: Waterfall) -> str:
    return (
        f'<p class="quiet">From {escape(content.opening)} to {escape(content.closing)}: what stood in the period'
        f" at first, what each reason changed it by, and what it came to.</p>"
        + _both(lambda width: charts.waterfall(content, width))
    )


def _fan(content: Fan, reason: str) -> str:
    made = f"{content.made_on.day} {content.made_on:%B %Y}"
    parts = ['<li><i style="border-color:#b3541e"></i>won up to that day</li>']
    if content.bands:
        parts += [
            '<li><i class="area" style="background:#c7dbf0"></i>P10 to P90, four cases in five</li>',
            '<li><i style="border-color:#1d5fa6;border-top-style:dashed"></i>P50</li>',
        ]
    if content.quota is not None:
        parts.append('<li><i style="border-color:#1b2733;border-top-style:dotted"></i>quota</li>')
    chance = (
        f" The quota was reached in {escape(percent(content.probability_of_quota))} of the simulated cases."
        if content.probability_of_quota
        else ""
    )
    said = f"What was won by each day. {escape(reason)}"
    if content.bands:
        said = f"Predicted on {made}, with what was known then."
    return f'<p class="quiet">{said}{chance}</p><ul class="legend">{"".join(parts)}</ul>' + _both(
        lambda width: charts.fan(content, width)
    )


def _calibration(content: Calibration) -> str:
    body = "".join(
        f'<tr><th scope="row">{each.low:.0%} to {each.high:.0%}</th><td>{each.predicted:.1%}</td>'
        f"<td>{each.observed:.1%}</td><td>{each.deals:,}</td></tr>"
        for each in content.bins
    )
    brier = f" Brier score: {escape(content.brier)}." if content.brier else ""
    return (
        '<p class="quiet">Deals that were given about the same probability, and how many of them were won. On the'
        " dashed line the two are the same; the pale bars show what chance alone explains (90\u202f%)."
        f"{brier} {escape(content.remark)}</p>"
        f'<div class="side"><div>{_both(lambda width: charts.calibration(content, width))}</div>'
        f"<div>{_table(['Predicted', 'On average', 'Won', 'Deals'], body)}</div></div>"
    )


def _backtest(content: Backtest) -> str:
    body = "".join(
        f'<tr{" class=ours" if score.is_ours else ""}><th scope="row">{escape(score.method)}</th>'
        f"{''.join(f'<td>{escape(cell)}</td>' for cell in score.cells)}</tr>"
        for score in content.scores
    )
    return (
        '<p class="quiet">What would have been predicted in the past without any later knowledge, against what'
        " came.</p>" + _table(content.headings, body) + _remarks(content.remarks)
    )


def _remarks(remarks: Iterable[str]) -> str:
    found = "".join(f"<li>{escape(remark)}</li>" for remark in remarks)
    return f'<ul class="remarks">{found}</ul>' if found else ""


def _maybe(amount: Decimal | None) -> str:
    return "" if amount is None else whole(amount)


def percent(ratio: str) -> str:
    """`0.8342` as 83.4 %; nothing for nothing."""
    return f"{float(ratio):.1%}".replace("%", "\u202f%") if ratio else ""


def _times(ratio: str) -> str:
    return f"{float(ratio):.1f}\u00d7" if ratio else ""
