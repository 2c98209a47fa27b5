"""The import itself: entity after entity, and within one several parts at once."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Protocol
from uuid import uuid4

import orjson

from deploy.importing.client import MAX_ROWS, Api, Problem, batches
from deploy.importing.journal import OUTCOMES, Journal, Result
from deploy.importing.lookups import Lookups
from deploy.importing.mapping import Mapping
from deploy.importing.records import Folding, Plan, Record, SourceRow
from deploy.importing.troubles import RowRefused, ServerRefused

REQUESTS_IN_FLIGHT = 4
_ROW_FIELD = re.compile(r"rows\[(\d+)\]\.?(.*)")


class Progress(Protocol):
    """Who wants to know how far the import is."""

    def begin(self, entity: str, estimate: int) -> None:
        """An entity of about this many rows is begun."""

    def advance(self, entity: str, counts: Counter[str]) -> None:
        """So many more rows are done, by outcome."""


@dataclass(slots=True)
class Summary:
    """What an import came to."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    seconds: float = 0.0
    resumed: bool = False

    @property
    def total(self) -> Counter[str]:
        return sum(self.counts.values(), Counter[str]())

    @property
    def rows(self) -> int:
        return self.total.total()

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "entities": {
                name: {word: counts[word] for word in OUTCOMES} for name, counts in self.counts.items()
            },
            "total": {word: self.total[word] for word in OUTCOMES},
            "rows": self.rows,
            "seconds": round(self.seconds, 2),
            "rowsPerSecond": round(self.rows / self.seconds) if self.seconds else 0,
            "resumed": self.resumed,
        }


class Import:
    """One run."""

    def __init__(
        self,
        mapping: Mapping,
        plans: list[Plan],
        api: Api,
        journal: Journal,
        progress: Progress,
        *,
        dry_run: bool,
    ) -> None:
        self._plans = plans
        self._api = api
        self._journal = journal
        self._progress = progress
        self._dry_run = dry_run
        self._lookups = Lookups(api, mapping)
        self._places = asyncio.Semaphore(REQUESTS_IN_FLIGHT)
        self._promised: set[str] = set()
        """Ids of records that a dry run would make: the server does not know them."""
        self.summary = Summary(resumed=journal.resumed)

    async def run(self) -> Summary:
        """Imports everything; ServerRefused or ImportTrouble where it cannot go on."""
        begun = time.monotonic()
        try:
            if any(plan.compiler.uses_stages for plan in self._plans):
                await self._lookups.fetch_stages()
            for number, plan in enumerate(self._plans):
                await self._import(number, plan)
        except Problem as problem:
            raise ServerRefused(f"The server refuses what the mapping needs: {problem}") from None
        finally:
            self.summary.seconds = time.monotonic() - begun
        return self.summary

    async def _import(self, number: int, plan: Plan) -> None:
        self.summary.counts[plan.name] = Counter()
        self._progress.begin(plan.name, plan.estimate)
        folding, part = Folding(), 0
        for group in plan.groups():
            try:
                async with asyncio.TaskGroup() as tasks:
                    for rows in _chunks(group, MAX_ROWS):
                        await self._lookups.fetch(plan, rows)
                        records, results = self._records(plan, rows, folding)
                        await self._places.acquire()
                        tasks.create_task(self._part(plan, number, part, records, results))
                        part += 1
            except ExceptionGroup as group_of_one:
                raise group_of_one.exceptions[0] from None

    def _records(
        self, plan: Plan, rows: list[SourceRow], folding: Folding
    ) -> tuple[list[Record], list[Result]]:
        """What has to be sent, and what became of the rows that have not."""
        records, results = [], []
        for row in rows:
            try:
                record = plan.record(row, self._lookups)
                if folding.is_new(record):
                    records.append(record)
                else:
                    results.append(
                        Result(row.file, row.line, plan.name, record.key, "unchanged", reason="SAID_BEFORE")
                    )
            except RowRefused as refused:
                key = "" if row.trouble else plan.key(row)
                results.append(
                    Result(
                        row.file, row.line, plan.name, key, "rejected",
                        reason=refused.reason, error=str(refused), field=refused.field,
                    )
                )  # fmt: skip
        return records, results

    async def _part(
        self, plan: Plan, number: int, part: int, records: list[Record], results: list[Result]
    ) -> None:
        try:
            done = self._journal.parts.get((plan.name, part))
            if done is None:
                sent = await self._send(plan, records, f"import-{self._journal.run}-{number}-{part}")
                done = sorted((*results, *sent), key=lambda result: (result.file, result.line))
                self._journal.add(plan.name, part, done)
            self._learn(plan, records, done)
        finally:
            self._places.release()
        counts = Counter(result.outcome for result in done)
        self.summary.counts[plan.name] += counts
        self._progress.advance(plan.name, counts)

    def _learn(self, plan: Plan, records: list[Record], results: list[Result]) -> None:
        done = {result.key: result for result in results if result.outcome != "rejected" and result.id}
        for record in records:
            if (result := done.get(record.key)) is not None:
                self._lookups.learn(
                    plan.name, record.key, result.id, record.content[plan.entity.resource_field]
                )
                if self._dry_run and result.outcome == "created":
                    self._promised.add(result.id)

    async def _send(self, plan: Plan, records: list[Record], key: str) -> list[Result]:
        if self._promised:
            return await self._try(plan, records, key)
        rows = [orjson.dumps(record.content) for record in records]
        results: list[Result] = []
        for index, span in enumerate(batches(rows)):
            results += await self._upsert(plan, records[span], f"{key}-{index}")
        return results

    async def _try(self, plan: Plan, records: list[Record], key: str) -> list[Result]:
        """A dry run after others: ids that the server cannot know yet are left out, or else sent as they are."""
        bare = [replace(record, content=_without(record.content, self._promised)) for record in records]
        results = await self._upsert(plan, bare, key)
        rejected = {result.key for result in results if result.outcome == "rejected"}
        whole = await self._upsert(plan, [each for each in records if each.key in rejected], f"{key}-whole")
        again = {result.key: result for result in whole}
        return [again.get(result.key, result) for result in results]

    async def _upsert(self, plan: Plan, records: list[Record], key: str) -> list[Result]:
        """Sends one request; what makes the server refuse all of it is taken out or made smaller."""
        if not records:
            return []
        rows = [record.content for record in records]
        body = {**plan.entity.request, "rows": rows, "validateOnly": self._dry_run}
        try:
            answer = await self._api.post(f"/v1/{plan.entity.collection}:batchUpsert", body, key=key)
        except Problem as problem:
            if problem.status == 413 and len(records) > 1:
                middle = len(records) // 2
                halves = (
                    await self._upsert(plan, records[:middle], f"{key}a"),
                    await self._upsert(plan, records[middle:], f"{key}b"),
                )
                return [*halves[0], *halves[1]]
            refused = _refused_rows(problem, len(records))
            if not refused:
                raise ServerRefused(
                    f"{plan.entity.collection}: the server refuses the request: {problem}"
                ) from None
            others = [record for index, record in enumerate(records) if index not in refused]
            reason = str(problem.document.get("reason") or "INVALID_REQUEST")
            return [
                *(
                    _result(plan, records[index], "rejected", reason=reason, error=detail, field=path)
                    for index, (path, detail) in refused.items()
                ),
                *await self._upsert(plan, others, f"{key}r"),
            ]
        return [
            _result(
                plan, record, str(found["outcome"]).lower(),
                id=found.get("id") or (str(uuid4()) if self._dry_run else ""),
                reason=found.get("reason", ""), error=found.get("error", ""), field=found.get("field", ""),
            )
            for record, found in zip(records, answer["results"], strict=True)
        ]  # fmt: skip


def _result(plan: Plan, record: Record, outcome: str, **more: str) -> Result:
    return Result(record.file, record.line, plan.name, record.key, outcome, **more)


def _refused_rows(problem: Problem, count: int) -> dict[int, tuple[str, str]]:
    """The rows that a refusal of the whole request names, each with the field and what is wrong with it."""
    if problem.status not in (400, 422):
        return {}
    rows: dict[int, tuple[str, str]] = {}
    for path, detail in problem.errors:
        found = _ROW_FIELD.fullmatch(path)
        if found is None or int(found[1]) >= count:
            return {}
        rows.setdefault(int(found[1]), (found[2], detail))
    return rows


def _without(content: dict[str, Any], ids: set[str], depth: int = 2) -> dict[str, Any]:
    """A row, its resource and its past without these ids; what stands deeper, such as line items, stays."""
    kept: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict) and depth:
            kept[name] = _without(value, ids, depth - 1)
        elif isinstance(value, list) and name == "history":
            kept[name] = [_without(past, ids, 1) for past in value]
        elif not isinstance(value, str) or value not in ids:
            kept[name] = value
    return kept


def _chunks(rows: Iterable[SourceRow], size: int) -> Iterator[list[SourceRow]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
