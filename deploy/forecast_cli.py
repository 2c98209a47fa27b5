"""`sfa forecast`: the forecast as a table, through the REST API. The rest is loaded when it is called."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Annotated

import typer
from rich.console import Console

DIFFERENT, UNUSABLE, NO_SERVER, INTERRUPTED = 1, 2, 3, 130


class By(Enum):
    """What the rows are."""

    OWNER = "owner"
    TEAM = "team"
    TERRITORY = "territory"
    PRODUCT = "product"


def forecast(
    periods: Annotated[
        list[str] | None,
        typer.Option("--period", "-p", help="2017-03, 2017-Q1, FY2017, or a range: 2017-01..2017-06."),
    ] = None,
    by: Annotated[By, typer.Option(help="What the rows are.")] = By.TEAM,
    currency: Annotated[str, typer.Option(help="The tenant's where it is left out.")] = "",
    node: Annotated[str, typer.Option(help="Only this node, by its id, and what is below it.")] = "",
    depth: Annotated[int | None, typer.Option(min=0, help="How many levels are shown.")] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="Each category by itself, not with the surer ones.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and show changes as they happen.")] = False,
    audit: Annotated[
        bool, typer.Option("--audit", help="Recompute everything from the deals; say what is different.")
    ] = False,
    url: Annotated[str, typer.Option(envvar="SFA_URL", help="The installation.")] = "http://127.0.0.1:8080",
    user: Annotated[str, typer.Option(envvar="SFA_USER", help="Who asks: an e-mail address.")] = "",
    password: Annotated[
        str, typer.Option(envvar="SFA_PASSWORD", help="Asked for where it is left out.")
    ] = "",
    token: Annotated[
        str, typer.Option(envvar="SFA_TOKEN", help="An access token, instead of user and password.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --watch a line each.")] = False,
) -> None:
    """Print the forecast: what is won, and what is still to come.

    Commit includes what is closed, best case includes commit, pipeline
    includes everything but omitted; --alone shows each by itself. The
    current fiscal quarter is shown where no period is named.

    Exits with 0, with 1 where an audit finds a difference, with 2 where
    arguments cannot be used, with 3 where the server cannot be reached or
    refuses, with 130 after Ctrl-C.
    """
    from deploy.forecast_table import Question, ask, follow, run_audit
    from deploy.importing.client import Problem, SignIn
    from deploy.importing.troubles import ServerRefused

    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    if not token and not user:
        errors.print("Say who asks: --user (and --password), or --token.", style="red")
        raise typer.Exit(UNUSABLE)
    if not token and not password:
        password = typer.prompt("Password", hide_input=True, err=True)
    question = Question(tuple(periods or ()), by.name, currency.upper(), node, depth)
    sign_in = SignIn(token, user, password)
    try:
        if audit:
            consistent = asyncio.run(run_audit(url, sign_in, question, as_json=as_json))
            raise typer.Exit(0 if consistent else DIFFERENT)
        show = follow if watch else ask
        asyncio.run(show(url, sign_in, question, alone=alone, as_json=as_json))
    except Problem as problem:
        errors.print(str(problem), style="red", markup=False)
        for field, detail in problem.errors:
            errors.print(f"  {field}: {detail}", style="red", markup=False)
        raise typer.Exit(UNUSABLE if problem.status < 500 else NO_SERVER) from None
    except ServerRefused as trouble:
        errors.print(str(trouble), style="red", markup=False)
        raise typer.Exit(NO_SERVER) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
