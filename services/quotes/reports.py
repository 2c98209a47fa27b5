"""What an ERP reports, however it comes: as an event or by REST, the same function takes it.

    @reports.on(erp.ShipmentReported)
    async def shipments(call: Call, said: Sequence[Report]) -> list[Outcome]: ...

A taker answers for each report, in order, what became of it. It decides on refusals before it writes, so
that one report does not harm the others, and makes of any order and any number of the same reports the same
state: of two that speak of the same thing the higher version counts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from google.protobuf.message import Message
from sfa.api.v1.resource_pb2 import RowResult

from chassis.call import Call
from chassis.database import Prepared
from chassis.errors import Refusal
from chassis.subscriptions import Received, Subscriptions


@dataclass(frozen=True, slots=True)
class Report:
    """One thing that the ERP said."""

    message: Any
    at: datetime
    """When it was true, as far as the ERP says so; never later than it came in."""


class Effect(Enum):
    """What a report did."""

    CREATED = RowResult.CREATED
    """Something was heard of for the first time."""
    UPDATED = RowResult.UPDATED
    UNCHANGED = RowResult.UNCHANGED
    """It was known, or overtaken by a higher version."""


Outcome = Effect | Refusal
Taker = Callable[[Call, Sequence[Report]], Awaitable[list[Outcome]]]
T = TypeVar("T", bound=Taker)

_NEWS: Final = Prepared(
    sa.text(
        "INSERT INTO inbox (effect, event_id)"
        " SELECT 'report', id FROM unnest(CAST(:ids AS text[])) AS id"
        " ON CONFLICT DO NOTHING RETURNING event_id"
    )
)
_NEWER: Final = Prepared(
    sa.text(
        "INSERT INTO reported_versions AS known (kind, key, version)"
        " SELECT :kind, key, version FROM unnest(CAST(:keys AS text[]), CAST(:versions AS bigint[]))"
        " AS said (key, version) ORDER BY key"
        " ON CONFLICT (tenant_id, kind, key) DO UPDATE SET version = excluded.version"
        " WHERE known.version < excluded.version"
        " RETURNING key, version"
    )
)


class Reports:
    """Who takes what. Of several takers of one type, the one that was declared first comes first."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        self._takers: dict[type[Message], list[Taker]] = {}

    def on(self, kind: type[Message]) -> Callable[[T], T]:
        """Declares the decorated function a taker of one type of message."""

        def declare(taker: T) -> T:
            if kind not in self._takers:
                self._takers[kind] = []
                self._subscriptions.on(kind)(self._take_events)
            self._takers[kind].append(taker)
            return taker

        return declare

    @property
    def kinds(self) -> frozenset[type[Message]]:
        """The types of messages that somebody takes."""
        return frozenset(self._takers)

    async def take(self, call: Call, said: Sequence[Report]) -> list[Outcome]:
        """Gives reports of one type to their takers."""
        outcomes: list[Outcome] = [Effect.UNCHANGED] * len(said)
        for taker in self._takers[type(said[0].message)]:
            accepted = [index for index, each in enumerate(outcomes) if not isinstance(each, Refusal)]
            if not accepted:
                break
            for index, outcome in zip(
                accepted, await taker(call, [said[index] for index in accepted]), strict=True
            ):
                if outcome is not Effect.UNCHANGED:
                    outcomes[index] = outcome
        return outcomes

    async def _take_events(self, events: Sequence[Received], call: Call) -> None:
        """Of a batch with a refusal nothing is kept: its events come again one by one."""
        call.tx.wrote = True
        rows = await call.tx.fetch(_NEWS, {"ids": sorted({event.id for event in events})})
        news = {row["event_id"] for row in rows}
        said = []
        for event in events:
            if event.id in news:
                news.discard(event.id)
                said.append(Report(event.message, event.effective_at))
        if not said:
            return
        for outcome in await self.take(call, said):
            if isinstance(outcome, Refusal):
                raise outcome


async def newer(call: Call, kind: str, said: Sequence[tuple[str, int]]) -> list[bool]:
    """Which of the reports, given as the key of what they speak of and their version, are newer than what
    was heard of it; from the call's commit on they are what was heard. Of several of one key only the
    highest is.
    """
    highest: dict[str, int] = {}
    for key, version in said:
        highest[key] = max(version, highest.get(key, 0))
    call.tx.wrote = True
    rows = await call.tx.fetch(
        _NEWER, {"kind": kind, "keys": list(highest), "versions": list(highest.values())}
    )
    fresh = {(row["key"], row["version"]) for row in rows}
    answers = []
    for each in said:
        answers.append(each in fresh)
        fresh.discard(each)
    return answers


def results(outcomes: Sequence[Outcome]) -> list[RowResult]:
    """What became of each row, as REST answers it."""
    return [
        RowResult(
            outcome=RowResult.REJECTED,
            error=str(outcome),
            reason=outcome.reason,
            field=outcome.violations[0].field if outcome.violations else "",
        )
        if isinstance(outcome, Refusal)
        else RowResult(outcome=outcome.value)
        for outcome in outcomes
    ]
