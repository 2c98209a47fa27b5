"""One call of `sfa import`: mapping, files, server, state, progress, and what is said at the end."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table as Grid

from deploy.importing.client import PATIENCE, Api, Problem, SignIn
from deploy.importing.journal import OUTCOMES, Journal
from deploy.importing.mapping import load
from deploy.importing.records import Plan, plans
from deploy.importing.run import Import, Summary
from deploy.importing.troubles import ServerRefused

# Results as they would be, not as they are: another word in the table and another file.
_WOULD_BE = {
    "created": "would create",
    "updated": "would update",
    "unchanged": "unchanged",
    "rejected": "rejected",
}


class Silence:
    """No terminal, no progress."""

    def begin(self, entity: str, estimate: int) -> None:
        """Says nothing."""

    def advance(self, entity: str, counts: Counter[str]) -> None:
        """Says nothing."""


class Bars:
    """A bar and a rate for each entity."""

    def __init__(self, console: Console) -> None:
        self.bar = Bar(
            SpinnerColumn(), TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), console=console,
        )  # fmt: skip
        self._tasks: dict[str, TaskID] = {}

    def begin(self, entity: str, estimate: int) -> None:
        """Adds a bar."""
        self._tasks[entity] = self.bar.add_task(entity, total=max(estimate, 1), rate="")

    def advance(self, entity: str, counts: Counter[str]) -> None:
        """Moves it on."""
        task = self.bar.tasks[self._tasks[entity]]
        speed = f"{task.speed:,.0f} rows/s" if task.speed else ""
        self.bar.update(task.id, advance=counts.total(), rate=speed)


@dataclass(frozen=True, slots=True)
class Session:
    """What is imported, where to, and how."""

    target: Path
    mapping: Path
    url: str
    sign_in: SignIn
    folder: Path
    dry_run: bool = False
    resume: bool = True

    async def run(self, errors: Console) -> tuple[Summary, Path]:
        """Imports, and gives the summary and the file with the results.

        Raises:
            ImportTrouble: files or mapping cannot be used, or the server refuses (`ServerRefused`).
        """
        mapping = load(self.mapping)
        ordered, absent = plans(mapping, self.target)
        for source in absent:
            errors.print(f"There is no file for {source}: what others need of it is asked of the server.")
        bars = Bars(errors) if errors.is_terminal else None
        showing: AbstractContextManager[Any] = bars.bar if bars else nullcontext()
        # Who got the address wrong wants to know soon; an import that is under way can wait.
        async with Api(self.url, self.sign_in, patience=5) as api:
            subject = await self._subject(api, ordered)
            api.patience = PATIENCE
            name = "dry-run" if self.dry_run else "results"
            journal = Journal(self.folder, subject, name=name, resume=self.resume and not self.dry_run)
            try:
                with showing:
                    work = Import(mapping, ordered, api, journal, bars or Silence(), dry_run=self.dry_run)
                    summary = await work.run()
                journal.finish()
            finally:
                results = journal.write_results([plan.name for plan in ordered])
                journal.close()
        return summary, results

    async def _subject(self, api: Api, ordered: list[Plan]) -> dict[str, Any]:
        """What makes an import this one: the same again, cut off before its end, is gone on with."""
        try:
            me = await api.get("/v1/me")
        except Problem as problem:
            raise ServerRefused(f"{self.url} does not say who is signed in: {problem}") from None
        return {
            "url": self.url,
            "tenant": me.get("tenant", {}).get("id", ""),
            "mapping": self.mapping.read_text("utf-8"),
            "files": {str(table.path): table.digest for plan in ordered for table in plan.tables},
        }


def report(summary: Summary, results: Path, *, dry_run: bool, as_json: bool) -> None:
    """Prints what became of everything."""
    if as_json:
        document = summary.as_json() | {"dryRun": dry_run, "results": str(results)}
        sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    grid = Grid("")
    for word in OUTCOMES:
        grid.add_column(_WOULD_BE[word] if dry_run else word, justify="right")
    for entity, counts in summary.counts.items():
        grid.add_row(entity, *(f"{counts[word]:,}" for word in OUTCOMES))
    grid.add_section()
    grid.add_row("total", *(f"{summary.total[word]:,}" for word in OUTCOMES))
    console = Console(highlight=False, soft_wrap=True)
    console.print(grid)
    rate = summary.rows / summary.seconds if summary.seconds else 0
    console.print(
        f"{summary.rows:,} rows in {summary.seconds:.1f} s ({rate:,.0f} rows/s). Each row: {results}"
    )
    if summary.total["rejected"]:
        console.print(f"{summary.total['rejected']:,} rows were rejected; the file says why.", style="yellow")
