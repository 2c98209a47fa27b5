"""`sfa`: the one command line. Everything that costs time to import is imported by the command that needs it."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console

from deploy.forecast_cli import forecast
from deploy.importing.command import import_
from deploy.settings import Processes, Settings
from deploy.topology import GATEWAY, SERVICES
from deploy.troubles import Trouble

if TYPE_CHECKING:
    from deploy.installation import Installation

app = typer.Typer(
    name="sfa",
    help="Sales force automation: run it, look into it, bring data in.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
events = typer.Typer(
    help="What happened: events as they pass, and those that could not be applied.", no_args_is_help=True
)
app.add_typer(events, name="events")
app.command("import")(import_)
if find_spec("benchmarks") is not None:  # a checkout has them, a wheel has not
    app.command()(importlib.import_module("benchmarks.cli").bench)
app.add_typer(forecast, name="forecast")

console = Console()
complaints = Console(stderr=True)

T = TypeVar("T")
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Name = Annotated[str, typer.Argument(help=f"One of {', '.join((*SERVICES, GATEWAY.name))}.")]


@app.command()
def up(
    processes: Annotated[
        Processes | None,
        typer.Option(help="Whether the services share one process or have one each (SFA_PROCESSES)."),
    ] = None,
    demo: Annotated[
        bool | None, typer.Option("--demo/--no-demo", help="Whether an empty database gets a demo company.")
    ] = None,
) -> None:
    """Start everything on this machine, until Ctrl-C. Data stay in the data folder."""
    from deploy import up as starting
    from deploy.welcome import welcome

    changed = {name: value for name, value in (("processes", processes), ("demo", demo)) if value is not None}
    with _troubles():
        installation = _installation(**changed)
        starting.run(installation, console, welcome)


@app.command()
def serve(service: Name) -> None:
    """Run one service as in production, by its SFA_… variables; what they leave out is as in the data folder."""
    from deploy.serving import serve as run

    _known(service, (*SERVICES, GATEWAY.name))
    import uvloop

    from chassis import telemetry

    with _troubles():
        installation = _installation()
        telemetry.configure_logs(installation.settings.log_level)
        uvloop.run(run([service], installation))


@app.command()
def migrate(
    service: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}, or all.")],
    as_json: Json = False,
) -> None:
    """Bring the database of a service (or all) into being and up to date."""
    from deploy.migrating import prepare
    from deploy.running import database_server

    services = list(SERVICES) if service == "all" else [_known(service, tuple(SERVICES))]

    async def run() -> list[str]:
        installation = _installation()
        async with database_server(installation):
            return await prepare(installation, services)

    migrated = _run(run())
    if as_json:
        _print_json({"migrated": migrated, "current": [name for name in services if name not in migrated]})
    else:
        for name in services:
            console.print(f"{name}: {'migrated' if name in migrated else 'was up to date'}", highlight=False)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Look whether everything is as it should be; leaves with 1 where something is not."""
    from deploy.doctor import examine, render

    findings = _run(examine(_installation()))
    if as_json:
        _print_json([finding.as_dict() for finding in findings])
    else:
        console.print(render(findings))
    if not all(finding.is_good for finding in findings):
        raise typer.Exit(1)


@events.command()
def tail(
    kind: Annotated[
        str, typer.Option("--type", help="Only this type, such as sfa.leads.v1.LeadQualified.")
    ] = "",
    tenant: Annotated[str, typer.Option(help="Only this tenant.")] = "",
    service: Annotated[str, typer.Option(help="Only what this service published.")] = "",
    since: Annotated[
        str, typer.Option(help="Begin in the past: all, or a time such as 2026-11-22T12:00:00Z.")
    ] = "",
    follow: Annotated[bool, typer.Option(help="Go on with what comes; else stop at the end.")] = True,
    as_json: Json = False,
) -> None:
    """Print events as they pass, with their content."""
    from deploy.events import Selection, show
    from deploy.events import tail as run

    _run(
        run(_installation(), Selection(kind, tenant, service, since), follow, show(console, as_json=as_json))
    )


@events.command()
def parked(
    retry: Annotated[bool, typer.Option("--retry", help="Have them tried again.")] = False,
    service: Annotated[str, typer.Option(help="Only those of this service.")] = "",
    key: Annotated[str, typer.Option(help="Only this one, as the list names it.")] = "",
    as_json: Json = False,
) -> None:
    """List events that a service could not apply; with --retry, have them tried again."""
    from deploy.events import parked_events, render_parked, retry_parked

    services = [_known(service, tuple(SERVICES))] if service else list(SERVICES)

    async def run() -> list[Any]:
        installation = _installation()
        found = [each for each in await parked_events(installation, services) if key in ("", each.event.key)]
        if retry:
            await retry_parked(installation, found)
        return found

    found = _run(run())
    if as_json:
        _print_json([each.as_dict() for each in found])
    else:
        console.print(render_parked(found, retried=retry))


@events.command()
def sender(
    name: Annotated[str, typer.Argument(help="As SFA_SENDERS names it.")], as_json: Json = False
) -> None:
    """Print what a system outside, such as an ERP, signs in to the broker with, and what it may publish."""
    with _troubles():
        installation = _installation()
        known = installation.settings.senders
        if name not in known:
            raise typer.BadParameter(
                f"{name} is none of {', '.join(known) or 'SFA_SENDERS, which is empty'}."
            )
        url, user, password = installation.nats_credentials(name)
        subjects = [f"erp.{known[name].tenant}.{each}" for each in known[name].types]
        inbox = f"_INBOX_{user}"
        found = {"url": url, "user": user, "password": password, "inbox_prefix": inbox, "publish": subjects}
    if as_json:
        _print_json(found)
    else:
        for label, value in found.items():
            text = ", ".join(value) if isinstance(value, list) else value
            console.print(f"{label}: {text}", highlight=False, markup=False)


def _installation(**changes: Any) -> Installation:
    from deploy.installation import Installation

    return Installation(Settings(**changes))


def _run(work: Coroutine[Any, Any, T]) -> T:
    with _troubles():
        return asyncio.run(work)


@contextmanager
def _troubles() -> Iterator[None]:
    """A trouble is one sentence and status 1; Ctrl-C is status 130."""
    from pydantic import ValidationError

    try:
        yield
    except Trouble as trouble:
        _refuse(str(trouble))
    except ValidationError as error:
        first = error.errors()[0]
        _refuse(f"SFA_{'_'.join(str(part) for part in first['loc']).upper()} is not usable: {first['msg']}.")
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _refuse(sentence: str) -> NoReturn:
    complaints.print(sentence, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def _known(name: str, names: tuple[str, ...]) -> str:
    if name not in names:
        raise typer.BadParameter(f"{name} is none of {', '.join(names)}.")
    return name


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


if __name__ == "__main__":
    app()
