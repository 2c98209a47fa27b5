"""What `sfa up` does and says once everything serves."""

from __future__ import annotations

from rich.console import Console

from deploy.installation import Installation


async def welcome(installation: Installation, console: Console) -> None:
    """Says where everything is."""
    settings = installation.settings
    rows = [
        ("API", installation.url),
        ("Documentation", f"{installation.url}/docs"),
        ("Data", str(settings.folder)),
        ("Logs", str(settings.logs)),
    ]
    console.print()
    for name, value in rows:
        console.print(f"  {name:<14} {value}", highlight=False, soft_wrap=True)
    console.print("\n  Ctrl-C stops everything; the data stay.\n", highlight=False)
