"""Worked examples as the documents have them: what happened on which day, and what is answered then.

    on 2030-04-01
      stage Closing: commit 90 %
      rate USD EUR 2030-01-01 0.5
      Ann reports to Head
      Alpha: Ann, Closing, 100 USD, closes 2030-05-15
    on 2030-05-02
      Alpha: won, 120 USD
    asked on 2030-06-24 for 2030-Q2 by team
      Head: closed 60.00
    changes from 2030-04-10 to 2030-06-24 for 2030-Q2 in commit, closed
      All: opening 50.00, WON 0, AMOUNT_UP 10.00, closing 60.00

Everything is recorded at noon of its day, and asked in the evening.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import count
from typing import Any, Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import numpy as np
from sfa.forecast.v1 import changes_pb2 as pb
from sfa.forecast.v1 import forecast_pb2
from sfa.opportunities.v1 import opportunities_pb2

from chassis.money import shares
from services.forecast.book.book import Book
from services.forecast.book.grid import Measure
from services.forecast.book.reference import Reference
from services.forecast.dimensions import Credit, GroupBy, Hierarchy, Question, RateDate, axis_of
from services.forecast.domain.figures import Category, Deal, State, product_shares
from services.forecast.summing import sums_of
from services.forecast.waterfall.answers import Waterfall
from services.forecast.waterfall.asked import Asked
from services.forecast.wire.heard import Kind, deal_row, microseconds

_SPACE: Final = UUID("4f0b8c1e-0d53-5e6b-9c54-0d6f9d3f7a10")
_BEGINNING, _END = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
_STATES: Final = {"open": State.OPEN, "won": State.WON, "lost": State.LOST}
_CUMULATIVE: Final = {"commit": 2, "best_case": 3, "pipeline": 4}


class Example:
    """One example, line by line."""

    def __init__(self) -> None:
        self.book, self.deals, self.versions = Book(), dict[str, Deal](), count(1)
        self.now = _BEGINNING
        self.checked = 0
        """How many numbers were compared."""
        self.say("tenant", "tenant", reporting_currency="EUR", time_zone="UTC", first_month=1)

    def run(self, text: str) -> None:
        """Does what the lines say, and compares what they expect."""
        expected: dict[str, dict[str, Decimal]] = {}
        for line in text.splitlines():
            if not line.startswith(" "):
                verb, _, rest = line.partition(" ")
                match verb:
                    case "on":
                        self.now = _instant(rest, 12)
                    case "asked":
                        expected = self.asked(rest)
                    case "changes":
                        expected = self.changes(rest)
                    case _:
                        raise AssertionError(line)
            elif expected:
                self.compare(line, expected)
            else:
                self.happens(line.strip())
            if line.startswith("on"):
                expected = {}

    # What happens

    def happens(self, line: str) -> None:
        """Something is recorded."""
        if match := re.fullmatch(r"stage (\w[\w ]*): (\w+) (\d+) %", line):
            self.say("stage", match[1], name=match[1], pipeline_id=str(self.id("pipeline")),
                     category=int(Category[match[2].upper()]), probability=int(match[3]))  # fmt: skip
        elif match := re.fullmatch(r"rate (\w{3}) (\w{3}) ([\d-]+) ([\d.]+)", line):
            self.say("exchange_rate", f"{match[1]} {match[2]} {match[3]}", currency=match[1], target=match[2],
                     valid_from=match[3], rate=match[4], deleted=False)  # fmt: skip
        elif match := re.fullmatch(r"(\w+) reports to (\w+)( until [\d-]+)?( from [\d-]+)?", line):
            self.person(match[1])
            self.person(match[2])
            self.say("reporting_line", f"{match[1]} {match[2]}", user_id=str(self.id(match[1])),
                     manager_id=str(self.id(match[2])), **_valid(match[4], match[3]))  # fmt: skip
        elif match := re.fullmatch(r"(\w+) covers (\w+)(?: at ([\d.]+))?", line):
            self.person(match[1])
            self.say("territory", match[2], name=match[2], parent_id=None, deleted=False)
            self.say("territory_assignment", f"{match[1]} {match[2]}", user_id=str(self.id(match[1])),
                     territory_id=str(self.id(match[2])), share=match[3] or "1", **_valid(None, None))  # fmt: skip
        elif match := re.fullmatch(r"(\w[\w ]*): (.+)", line):
            self.deal(match[1], match[2].split(", "))
        else:
            raise AssertionError(line)

    def person(self, name: str) -> None:
        self.say("user", name, name=name)

    def deal(self, name: str, facts: list[str]) -> None:
        """A version of a deal: what is not said is as it was."""
        known = self.deals.get(name)
        deal = known or Deal(
            self.id(name),
            0,
            name,
            None,
            None,
            None,
            State.OPEN,
            None,
            "",
            None,
            pipeline_id=self.id("pipeline"),
        )
        deal, kind, effective_at = replace(deal, version=deal.version + 1), Kind.UPDATED, self.now
        lines: list[tuple[UUID, Decimal]] = []
        splits: dict[str, Decimal] | None = None
        overlays: dict[str, Decimal] = {}
        for fact in facts:
            if match := re.fullmatch(r"([\d,]+(?:\.\d+)?) ([A-Z]{3})", fact):
                deal = replace(deal, amount=Decimal(match[1].replace(",", "")), currency=match[2])
            elif match := re.fullmatch(r"closes ([\d-]+)", fact):
                deal = replace(deal, close_date=date.fromisoformat(match[1]))
            elif match := re.fullmatch(r"true on ([\d-]+)", fact):
                effective_at = _instant(match[1], 12)
            elif match := re.fullmatch(r"(split|credit|with) (.+)", fact):
                parts = {who: Decimal(share) for who, share in re.findall(r"(\w+) ([\d.]+)", match[2])}
                for who in parts if match[1] != "with" else ():
                    self.person(who)
                if match[1] == "split":
                    splits = {str(self.id(who)): share for who, share in parts.items()}
                elif match[1] == "credit":
                    overlays = {str(self.id(who)): share for who, share in parts.items()}
                else:
                    lines = [(self.id(what), worth) for what, worth in parts.items()]
                    for what in parts:
                        self.say("product", what, name=what)
            elif fact in _STATES:
                deal = replace(deal, state=_STATES[fact])
            elif fact in ("deleted", "restored"):
                deal = replace(deal, is_deleted=fact == "deleted")
            elif fact in ("merged", "by a split"):
                kind = Kind.MERGED if fact == "merged" else Kind.SPLIT
            elif self.id(fact) in self.book.at().stages:
                deal = replace(deal, stage_id=self.id(fact))
            else:
                assert re.fullmatch(r"[A-Z]\w*", fact), fact
                self.person(fact)
                deal = replace(deal, owner_id=self.id(fact))
        worth = deal.amount or Decimal(0)
        if splits is not None:
            shared = shares(worth, splits, deal.currency)
            deal = replace(deal, splits=tuple((UUID(user), share) for user, share in shared.items()))
        if overlays:
            credited = tuple((UUID(user), worth * share / 100) for user, share in overlays.items())
            deal = replace(deal, overlays=credited)
        if lines:
            deal = replace(deal, products=product_shares(deal.amount, lines, deal.currency))
        self.deals[name] = deal
        self.book.add([deal_row(deal, kind, recorded_at=self.now, effective_at=effective_at)], [])

    def say(self, kind: str, subject: str, /, **content: Any) -> None:
        id, at = self.id(subject), microseconds(self.now)
        self.book.add([], [Reference(kind, id, next(self.versions), at, content)])

    def id(self, name: str) -> UUID:
        return uuid5(_SPACE, name)

    # What is asked

    def asked(self, text: str) -> dict[str, dict[str, Decimal]]:
        """The figures of each node."""
        match = re.fullmatch(r"on ([\d-]+) for (\S+)(?: by (\w+))?(.*)", text)
        assert match, text
        now, options = _instant(match[1], 20), match[4]
        tenant = self.book.at()
        periods = tenant.settings.calendar.selected([match[2]], now.date())
        question = Question(
            GroupBy[(match[3] or "team").upper()], [periods[0]], "EUR", now.date(), ZoneInfo("UTC"), now
        )
        for option in filter(None, options.split(" with ")):
            name, _, value = option.strip().partition(" ")
            match name:
                case "recorded":
                    at = _instant(value, 20)
                    question = replace(question, recorded_at=at, today=at.date())
                case "true":
                    at = _instant(value, 20)
                    question = replace(question, recorded_at=now, effective_at=at, today=at.date())
                case "hierarchy":
                    question = replace(question, hierarchy=Hierarchy[value.upper()])
                case "credit":
                    question = replace(question, credit=Credit[value.upper()])
                case "rate":
                    question = replace(question, rate_date=RateDate[value.upper()])
                case "currency":
                    question = replace(question, currency=value)
                case _:
                    raise AssertionError(option)
        axis = axis_of(self.book, question)
        sums = sums_of(self.book, axis, question)
        total = sums.total(np.arange(len(sums.tree), dtype=np.int32))[:, 0]
        found = {}
        for place, node in enumerate(sums.tree.nodes):
            above = int(sums.tree.above[place])
            name = f"{node.name} below {sums.tree.nodes[above].name}" if node.subject else node.name
            found[name] = dict(_figures([int(each) for each in total[place]]))
        return found

    def changes(self, text: str) -> dict[str, dict[str, Decimal]]:
        """Opening, bars and closing of each node."""
        match = re.fullmatch(
            r"from ([\d-]+) to ([\d-]+) for (\S+) in ([\w, ]+?)(?: by (\w+))?( event by event)?", text
        )
        assert match, text
        opening, closing = _instant(match[1], 20), _instant(match[2], 20)
        categories = [opportunities_pb2.ForecastCategory.Value(each.upper()) for each in match[4].split(", ")]
        request = pb.GetForecastChangesRequest(
            period_id=match[3],
            group_by=forecast_pb2.Forecast.GroupBy.Value((match[5] or "team").upper()),
            categories=categories,
        )
        request.opening_time.FromDatetime(opening)
        request.closing_time.FromDatetime(closing)
        waterfall = Waterfall(self.book, Asked.of(request, self.book, closing, None))
        answer = waterfall.answer("all", None, path=bool(match[6]))
        found: dict[str, dict[str, Decimal]] = {}
        for place, shown in enumerate(answer.nodes):
            bars = {
                reason.name: Decimal(int(bar.total[place])) / 100
                for reason, bar in answer.bars.by_reason.items()
                if bar.deals[place]
            }
            ends = {"opening": answer.opening, "closing": answer.closing}
            bars |= {name: Decimal(int(level.amount[place])) / 100 for name, level in ends.items()}
            found[shown.stand.name] = bars
        return found

    def compare(self, line: str, expected: dict[str, dict[str, Decimal]]) -> None:
        """What a line expects of a node. Of changes it names every bar that there is."""
        node, _, numbers = line.strip().partition(": ")
        found = expected[node]
        said = {}
        for each in numbers.split(", "):
            name, _, number = each.rpartition(" ")
            said[name] = Decimal(number)
            assert found.get(name, Decimal(0)) == said[name], (line, name, found.get(name))
            self.checked += 1
        if "opening" in found:
            assert {name for name in found if name.isupper()} == {name for name in said if name.isupper()}, (
                line
            )


def _figures(row: list[int]) -> Iterator[tuple[str, Decimal]]:
    cents = [Decimal(each) / 100 for each in row[: Measure.WEIGHTED + 1]]
    for category in Category:
        yield category.name.lower(), cents[category - 1]
        yield f"{category.name.lower()} deals", Decimal(row[category - 1 + Measure.OMITTED_DEALS])
    for name, members in _CUMULATIVE.items():
        yield f"cumulative {name}", sum(cents[Measure.CLOSED - members + 1 : Measure.CLOSED + 1], Decimal(0))
    yield "weighted", cents[Measure.WEIGHTED]
    yield "overdue", cents[Measure.OVERDUE]
    yield "lost", cents[Measure.LOST]
    yield "unpriced", Decimal(row[Measure.UNPRICED_DEALS])
    yield "unconverted", Decimal(row[Measure.UNCONVERTED_DEALS])
    yield "deals", Decimal(sum(row[Measure.OMITTED_DEALS : Measure.CLOSED_DEALS + 1]))


def _instant(day: str, hour: int) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(hour), UTC)


def _valid(since: str | None, until: str | None) -> dict[str, int]:
    start = _instant(since.split()[-1], 0) if since else _BEGINNING
    end = _instant(until.split()[-1], 0) if until else _END
    return {"valid_from": microseconds(start), "valid_to": microseconds(end)}
