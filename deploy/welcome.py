"""What `sfa up` does and says once everything serves: it loads the demo company, and says where things are."""

from __future__ import annotations

from rich.console import Console

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
    def line(*words: str) -> None:
        console.print(
            "  " + "".join(f"{word:<32}" for word in words).rstrip(), highlight=False, soft_wrap=True
        )

    console.print()
    line("API", installation.url)
    line("Documentation", f"{installation.url}/docs")
    line("Data and logs", str(installation.settings.folder))
    if demo.company is not None:
        console.print("\n  [bold]Demo sign-ins[/]")
        for person in demo.company.sign_ins:
            line(person.role.lower(), person.email, installation.demo_password)
    console.print("\n  Ctrl-C stops everything; the data stay.\n", highlight=False)
