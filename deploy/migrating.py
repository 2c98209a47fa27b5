"""Brings databases into being and up to date; what is up to date already is found out in milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import asyncpg

from chassis import migrations
from deploy.installation import Installation
from deploy.provisioning import database_of, provision
from deploy.topology import SERVICES
from deploy.troubles import MigrationFailed


async def prepare(
    installation: Installation, services: Sequence[str], say: Callable[[str], None] = lambda service: None
) -> list[str]:
    """Provisions and migrates the databases that need it, and gives their services; `say` hears of each.

    Raises:
        Trouble: the server cannot be reached, or a migration failed.
    """
    states = await asyncio.gather(*(_is_current(installation, service) for service in services))
    behind = [service for service, is_current in zip(services, states, strict=True) if not is_current]
    await asyncio.gather(
        *(
            provision(
                installation.admin_url,
                service,
                owner_password=installation.owner_password(service),
                service_password=installation.service_password(service),
            )
            for service in behind
        )
    )
    for service in behind:
        say(service)
        await migrate(service, installation.database_url(service, owner=True))
    return behind


async def are_there(installation: Installation) -> bool:
    """Whether there are databases of ours already, on whatever version."""
    connection = await asyncpg.connect(installation.admin_url, timeout=10)
    try:
        found = await connection.fetchval(
            "SELECT 1 FROM pg_database WHERE datname = ANY($1)",
            [database_of(service) for service in SERVICES],
        )
    finally:
        await connection.close()
    return found is not None


async def migrate(service: str, owner_url: str) -> None:
    """Runs a service's migrations.

    Raises:
        MigrationFailed: the database is left as the last migration that succeeded made it.
    """
    try:
        await asyncio.to_thread(migrations.upgrade, service, owner_url)
    except Exception as error:
        raise MigrationFailed(service, str(error).strip().splitlines()[0]) from error


async def _is_current(installation: Installation, service: str) -> bool:
    """Whether both roles can sign in, and the newest migration has run."""
    try:
        for owner in (True, False):
            connection = await asyncpg.connect(installation.database_url(service, owner=owner), timeout=10)
            try:
                if owner:
                    found = await connection.fetchval("SELECT version_num FROM data.alembic_version")
                    if found != migrations.head(service):
                        return False
            finally:
                await connection.close()
    except (asyncpg.PostgresError, OSError):
        return False
    return True
