"""`sfa forecast`: the forecast as a table, and its subcommands, all through the REST API.

What they print is made in modules of their own, loaded when a command is called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from deploy.options import LOCAL, Password, Token, Url, User

if TYPE_CHECKING:
    from deploy.importing.client import SignIn

DIFFERENT, UNUSABLE, NO_SERVER, INTERRUPTED = 1, 2, 3, 130

forecast = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})


class By(Enum):
    """What the rows are."""

    OWNER = "owner"
    TEAM = "team"
    TERRITORY = "territory"
    PRODUCT = "product"
    PRODUCT_FAMILY = "product-family"
    PIPELINE = "pipeline"
    SEGMENT = "segment"


class Standing(Enum):
    """In which organisation deals stand."""

    BOOKED = "booked"
    AS_OF = "as-of"
    CURRENT = "current"


class Credited(Enum):
    """Whose each deal is."""

    REVENUE = "revenue"
    OVERLAY = "overlay"
    OWNED = "owned"


@forecast.callback(invoke_without_command=True)
def show(
    context: typer.Context,
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
    hierarchy: Annotated[
        Standing, typer.Option(help="Where deals stand: closed ones as booked, or all as of then, or now.")
    ] = Standing.BOOKED,
    credit: Annotated[
        Credited, typer.Option(help="Whose deals are: by revenue splits, by overlay splits, the owners'.")
    ] = Credited.REVENUE,
    as_of: Annotated[
        str, typer.Option(help="As of a day's end (2017-09-30) or an instant; now where it is left out.")
    ] = "",
    business_time: Annotated[
        bool, typer.Option("--business-time", help="As things were then, not as they were recorded.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and show changes as they happen.")] = False,
    audit: Annotated[
        bool, typer.Option("--audit", help="Recompute everything from the deals; say what is different.")
    ] = False,
    url: Url = LOCAL,
    user: User = "",
    password: Password = "",
    token: Token = "",
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
    if context.invoked_subcommand is not None:
        return
    from deploy.forecast_table import Question, ask, follow, run_audit
    from deploy.report.command import instant_of

    question = Question(
        tuple(periods or ()), by.name, currency.upper(), node, depth, hierarchy.name, credit.name,
        instant_of(as_of, "--as-of", time.max), business_time,
    )  # fmt: skip
    if watch and as_of:
        raise typer.BadParameter("what was as of an instant does not change: leave --watch out")
    with asking(token, user, password) as sign_in:
        if audit:
            consistent = asyncio.run(run_audit(url, sign_in, question, as_json=as_json))
            raise typer.Exit(0 if consistent else DIFFERENT)
        run = follow if watch else ask
        asyncio.run(run(url, sign_in, question, alone=alone, as_json=as_json))


@contextmanager
def asking(token: str, user: str, password: str) -> Iterator[SignIn]:
    """Who asks; leaves with a sentence and the exit's number where that, or what is asked, does not work."""
    from deploy.importing.client import Problem, SignIn
    from deploy.importing.troubles import ServerRefused

    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    if not token and not user:
        errors.print("Say who asks: --user (and --password), or --token.", style="red")
        raise typer.Exit(UNUSABLE)
    if not token and not password:
        password = typer.prompt("Password", hide_input=True, err=True)
    try:
        yield SignIn(token, user, password)
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


@forecast.command()
def backtest(
    first: Annotated[
        str, typer.Option("--from", help="The first month: 2017-06; the earliest that can be predicted else.")
    ] = "",
    last: Annotated[str, typer.Option("--to", help="The last month; the last that is over else.")] = "",
    by: Annotated[By, typer.Option(help="What the nodes are.")] = By.TEAM,
    depth: Annotated[
        int | None, typer.Option(min=0, help="How many levels are scored: the root and one below it else.")
    ] = None,
    months: Annotated[int, typer.Option(min=1, max=12, help="How many months at once: 3 for quarters.")] = 1,
    currency: Annotated[str, typer.Option(help="The tenant's where it is left out.")] = "",
    url: Url = LOCAL,
    user: User = "",
    password: Password = "",
    token: Token = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, for programs and for reports.")
    ] = False,
) -> None:
    """Replay history: predict past months without knowing them, and score it.

    Each month is predicted on the last day before it, by what was known
    then, beside naive baselines with the quantiles of their own past
    errors: error, bias, pinball loss, and how often what came lay between
    P10 and P90. Months without history enough are refused, with the
    reason. Exits as `sfa forecast` does.
    """
    from deploy.forecast_backtest import Question, replay

    question = Question(first, last, by.name, depth, currency.upper(), months)
    with asking(token, user, password) as sign_in:
        asyncio.run(replay(url, sign_in, question, as_json=as_json))


@forecast.command()
def report(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file that is written.")] = Path(
        "forecast.html"
    ),
    period: Annotated[
        str, typer.Option("--period", "-p", help="2017-03, 2017-Q1 or FY2017; the current quarter else.")
    ] = "",
    by: Annotated[By, typer.Option(help="What the rows are.")] = By.TEAM,
    currency: Annotated[str, typer.Option(help="The tenant's where it is left out.")] = "",
    node: Annotated[str, typer.Option(help="Only this node, by its id, and what is below it.")] = "",
    depth: Annotated[int | None, typer.Option(min=0, help="How many levels the roll-up shows.")] = 3,
    as_of: Annotated[
        str, typer.Option(help="As of a day's end (2017-09-30) or an instant; now where it is left out.")
    ] = "",
    since: Annotated[
        str, typer.Option(help="From when on changes are told; from the first day of the period else.")
    ] = "",
    business_time: Annotated[
        bool,
        typer.Option(
            "--business-time", help="As things were then, not as they were recorded: for imported history."
        ),
    ] = False,
    replayed: Annotated[
        str,
        typer.Option("--backtest", help="Which months are replayed: 2017-06..2017-12, or none; twelve else."),
    ] = "",
    url: Url = LOCAL,
    user: User = "",
    password: Password = "",
    token: Token = "",
) -> None:
    """Write the forecast as one HTML page that needs nothing else.

    It shows the roll-up with quotas and judgement, what changed and why,
    how the period is expected to go with what was won drawn in, whether
    predicted probabilities can be believed, and how well it predicted
    before. Exits as `sfa forecast` does.
    """
    from deploy.report.command import write

    with asking(token, user, password) as sign_in:
        write(
            url, sign_in, output, period=period, group_by=by.name, currency=currency.upper(), node=node,
            depth=depth, as_of=as_of, since=since, business_time=business_time, backtest=replayed,
        )  # fmt: skip


@forecast.command()
def rebuild(
    from_nothing: Annotated[
        bool, typer.Option("--from-nothing", help="Forget everything first: for what is wrong, not missing.")
    ] = False,
    url: Url = LOCAL,
    user: User = "",
    password: Password = "",
    token: Token = "",
) -> None:
    """Fill the forecast again from what the other services have recorded.

    It goes on without this command: Ctrl-C only stops looking at it.
    Exits as `sfa forecast` does.
    """
    from deploy.forecast_rebuild import run

    with asking(token, user, password) as sign_in:
        asyncio.run(run(url, sign_in, from_nothing=from_nothing))
