"""`sfa import`, as the command line has it: arguments and exit codes. The rest is loaded when it is called."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.options import LOCAL, Password, Token, Url, User

SOME_REJECTED, UNUSABLE, NO_SERVER, INTERRUPTED = 1, 2, 3, 130


def import_(
    target: Annotated[Path, typer.Argument(help="The folder, or the one file, to import.")],
    mapping: Annotated[
        Path, typer.Option("--mapping", "-m", help="Which columns become which fields (YAML).")
    ],
    url: Url = LOCAL,
    user: User = "",
    password: Password = "",
    token: Token = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen, and write nothing.")
    ] = False,
    resume: Annotated[bool, typer.Option(help="Go on with an import that was cut off.")] = True,
    state: Annotated[Path | None, typer.Option(help="Where results and state are kept.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Import CSV files through the public bulk API.

    A mapping file says which columns become which fields; docs/import.md
    describes it. The same import again changes nothing. What became of each
    row is written to results.csv in the folder of the import's state.

    Exits with 0 where every row went in, 1 where some were rejected, 2 where
    files, mapping or arguments cannot be used, 3 where the server cannot be
    reached or refuses, 130 after Ctrl-C.
    """
    from deploy.importing.client import SignIn
    from deploy.importing.session import Session, report
    from deploy.importing.troubles import ImportTrouble, ServerRefused

    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    if not token and not user:
        errors.print("Say who imports: --user (and --password), or --token.", style="red")
        raise typer.Exit(UNUSABLE)
    if not token and not password:
        password = typer.prompt("Password", hide_input=True, err=True)
    folder = state or Path("sfa-import") / (target.resolve().stem or "root")
    session = Session(target, mapping, url, SignIn(token, user, password), folder, dry_run, resume)
    try:
        summary, results = asyncio.run(session.run(errors))
    except ServerRefused as trouble:
        errors.print(str(trouble), style="red", markup=False)
        raise typer.Exit(NO_SERVER) from None
    except ImportTrouble as trouble:
        errors.print(str(trouble), style="red", markup=False)
        raise typer.Exit(UNUSABLE) from None
    except KeyboardInterrupt:
        errors.print("Interrupted. The same command goes on where this one stopped.")
        raise typer.Exit(INTERRUPTED) from None
    report(summary, results, dry_run=dry_run, as_json=as_json)
    raise typer.Exit(SOME_REJECTED if summary.total["rejected"] else 0)
