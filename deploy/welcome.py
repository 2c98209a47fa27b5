"""What `sfa up` does and says once everything serves: it loads the demo company, and says where things are."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from deploy.demo.load import Demo
from deploy.installation import Installation
from deploy.up import Progress


async def welcome(installation: Installation, progress: Progress) -> None:
    """Loads the demo company where the databases were just made, or where that was interrupted.

    Raises:
        Trouble: it could not be loaded.
    """
    demo = Demo(installation)
    if demo.is_wanted:
        with progress.step("Demo company") as detail:
            await demo.load(detail)
    _say(installation, demo, progress.console)


def _say(installation: Installation, demo: Demo, console: Console) -> None:
    settings = installation.settings
    places = Table(box=None, show_header=False, padding=(0, 2))
    places.add_row("API", installation.url)
    places.add_row("Documentation", f"{installation.url}/docs")
    places.add_row("Data and logs", str(settings.folder))
    console.print()
    console.print(places, soft_wrap=True)
    company = demo.company
    if company is not None:
        people = Table(box=None, padding=(0, 2), title="Demo sign-ins", title_justify="left")
        for title in ("Role", "E-mail", "Password"):
            people.add_column(title)
        for person in company.sign_ins:
            people.add_row(person.role.lower(), person.email, demo.installation.demo_password)
        console.print()
        console.print(people)
    console.print("\n  Ctrl-C stops everything; the data stay.\n", highlight=False)
