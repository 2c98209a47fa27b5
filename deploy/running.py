"""The engines of an installation, whether or not it is running: commands that need them use this."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deploy.installation import Installation
from deploy.troubles import NotRunning


@asynccontextmanager
async def database_server(installation: Installation) -> AsyncIterator[None]:
    """The database server, started for the block where it is ours and does not run."""
    if installation.postgres is None or installation.is_held:
        yield
        return
    with installation.held():
        async with installation.postgres:
            yield


def refuse_stopped(installation: Installation) -> None:
    """Refuses what needs the running system.

    Raises:
        NotRunning: it does not run.
    """
    ours = installation.settings.postgres_url is None
    if ours and not installation.is_held:
        raise NotRunning(installation.settings.folder)
