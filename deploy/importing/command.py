"""`sfa import`: the command, its progress and what it says at the end."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table as Grid

from deploy.importing.client import Api, Problem, SignIn
from deploy.importing.journal import OUTCOMES, Journal
from deploy.importing.mapping import load
from deploy.importing.records import Plan, plans
from deploy.importing.run import Import, Summary
from deploy.importing.troubles import ImportTrouble, ServerRefused

SOME_REJECTED, UNUSABLE, NO_SERVER, INTERRUPTED = 1, 2, 3, 130

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


def import_(
    target: Annotated[Path, typer.Argument(help="The folder, or the one file, to import.")],
    mapping: Annotated[
        Path, typer.Option("--mapping", "-m", help="Which columns become which fields (YAML).")
    ],
    url: Annotated[str, typer.Option(envvar="SFA_URL", help="The installation.")] = "http://127.0.0.1:8080",
    user: Annotated[str, typer.Option(envvar="SFA_USER", help="Who imports: an e-mail address.")] = "",
    password: Annotated[
        str, typer.Option(envvar="SFA_PASSWORD", help="Asked for where it is left out.")
    ] = "",
    token: Annotated[
        str, typer.Option(envvar="SFA_TOKEN", help="An access token, instead of user and password.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen, and write nothing.")
    ] = False,
    resume: Annotated[bool, typer.Option(help="Go on with an import that was cut off.")] = True,
    state: Annotated[Path | None, typer.Option(help="Where results and state are kept.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Import CSV files through the public bulk API.

    A mapping file says which columns become which fields; docs/import.md describes it. Running the same
    import again changes nothing. What became of each row is written to results.csv in the state's folder.

    Exits with 0 where every row went in, 1 where some were rejected, 2 where files, mapping or arguments
    cannot be used, 3 where the server cannot be reached or refuses, 130 after Ctrl-C.
    """
    errors = Console(stderr=True, highlight=False)
    if not token and not user:
        errors.print("Say who imports: --user (and --password), or --token.", style="red")
        raise typer.Exit(UNUSABLE)
    if not token and not password:
        password = typer.prompt("Password", hide_input=True, err=True)
    folder = state or Path("sfa-import") / (target.resolve().stem or "root")
    try:
        summary, results = asyncio.run(
            _run(
                target,
                mapping,
                url,
                SignIn(token, user, password),
                folder,
                dry_run=dry_run,
                resume=resume,
                errors=errors,
            )
        )
    except ServerRefused as trouble:
        errors.print(str(trouble), style="red", markup=False)
        raise typer.Exit(NO_SERVER) from None
    except ImportTrouble as trouble:
        errors.print(str(trouble), style="red", markup=False)
        raise typer.Exit(UNUSABLE) from None
    except KeyboardInterrupt:
        errors.print("Interrupted. The same command goes on where this one stopped.")
        raise typer.Exit(INTERRUPTED) from None
    _report(summary, results, dry_run=dry_run, as_json=as_json)
    raise typer.Exit(SOME_REJECTED if summary.total["rejected"] else 0)


async def _run(
    target: Path,
    mapping_path: Path,
    url: str,
    sign_in: SignIn,
    folder: Path,
    *,
    dry_run: bool,
    resume: bool,
    errors: Console,
) -> tuple[Summary, Path]:
    mapping = load(mapping_path)
    ordered, absent = plans(mapping, target)
    for source in absent:
        errors.print(
            f"No file for {source}: what the others need of it is looked up on the server.", style="dim"
        )
    bars = Bars(errors) if errors.is_terminal else None
    showing: AbstractContextManager[Any] = bars.bar if bars else nullcontext()
    async with Api(url, sign_in) as api:
        journal = Journal(
            folder, await _subject(api, url, mapping_path, ordered, dry_run=dry_run), resume=resume
        )
        order = [plan.name for plan in ordered]
        name = "dry-run.csv" if dry_run else "results.csv"
        try:
            with showing:
                summary = await Import(
                    mapping, ordered, api, journal, bars or Silence(), dry_run=dry_run
                ).run()
            journal.finish()
        finally:
            results = journal.write_results(order, name)
            journal.close()
    return summary, results


async def _subject(
    api: Api, url: str, mapping: Path, ordered: list[Plan], *, dry_run: bool
) -> dict[str, Any]:
    """What makes an import this one: the same again, cut off before its end, is gone on with."""
    try:
        me = await api.get("/v1/me")
    except Problem as problem:
        raise ServerRefused(f"{url} does not say who is signed in: {problem}") from None
    files = {str(table.path): table.digest for plan in ordered for table in plan.tables}
    return {
        "url": url,
        "tenant": me.get("tenant", {}).get("id", ""),
        "mapping": mapping.read_text("utf-8"),
        "files": files,
        "dryRun": dry_run,
    }


def _report(summary: Summary, results: Path, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        document = summary.as_json() | {"dryRun": dry_run, "results": str(results)}
        sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    grid = Grid()
    grid.add_column("")
    for word in OUTCOMES:
        grid.add_column(_WOULD_BE[word] if dry_run else word, justify="right")
    for entity, counts in (*summary.counts.items(), ("total", summary.total)):
        grid.add_row(
            entity,
            *(f"{counts[word]:,}" for word in OUTCOMES),
            end_section=entity == list(summary.counts)[-1],
        )
    console = Console(highlight=False)
    console.print(grid)
    rate = summary.rows / summary.seconds if summary.seconds else 0
    console.print(
        f"{summary.rows:,} rows in {summary.seconds:.1f} s ({rate:,.0f} rows/s). Each row: {results}",
        soft_wrap=True,
    )
    if summary.total["rejected"]:
        console.print(f"{summary.total['rejected']:,} rows were rejected; the file says why.", style="yellow")
