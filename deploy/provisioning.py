"""A service's database, and the two roles that use it: its owner, who migrates, and the service itself,
which may do what the migrations grant it and nothing else. Provisioning twice changes nothing."""

from __future__ import annotations

import asyncpg

from deploy.troubles import EngineUnreachable


def database_of(service: str) -> str:
    return f"sfa_{service}"


def owner_role(service: str) -> str:
    return f"sfa_{service}_owner"


def service_role(service: str) -> str:
    return f"sfa_{service}"


async def provision(
    admin_url: str, service: str, *, owner_password: str, service_password: str, database: str | None = None
) -> None:
    """Makes roles, database and the two schemas of a service, as far as they are not there.

    Passwords are set anew each time: what is in the secrets is what holds. The service's role gets no
    rights on tables: its views in schema `app` are granted to it by the migrations.

    Raises:
        EngineUnreachable: the server cannot be reached, or refuses the administrator.
    """
    name, owner, role = database or database_of(service), owner_role(service), service_role(service)
    admin = await _connect(admin_url)
    try:
        # Roles and databases belong to the whole server: two provisioners take turns.
        await admin.execute("SELECT pg_advisory_lock(hashtext('sfa provisioning'))")
        for each, password in ((owner, owner_password), (role, service_password)):
            await _keep_role(admin, each, password)
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            # An administrator who is no superuser may give a database only to a role that it belongs to.
            await admin.execute(f"GRANT {owner} TO CURRENT_USER")
            await admin.execute(f'CREATE DATABASE "{name}" OWNER {owner} TEMPLATE template0')
        await admin.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
        await admin.execute(f'GRANT CONNECT ON DATABASE "{name}" TO {role}')
    finally:
        await admin.close()
    inside = await _connect(admin_url, name)
    try:
        await inside.execute(
            f"""
            SET ROLE {owner};
            SET client_min_messages = warning;
            CREATE SCHEMA IF NOT EXISTS data;
            CREATE SCHEMA IF NOT EXISTS app;
            GRANT USAGE ON SCHEMA app TO {role};
            """
        )
    finally:
        await inside.close()


async def _keep_role(admin: asyncpg.Connection[asyncpg.Record], role: str, password: str) -> None:
    verb = "ALTER" if await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role) else "CREATE"
    quoted = password.replace("'", "''")
    await admin.execute(f"{verb} ROLE {role} LOGIN NOCREATEDB NOCREATEROLE NOINHERIT PASSWORD '{quoted}'")


async def _connect(url: str, database: str | None = None) -> asyncpg.Connection[asyncpg.Record]:
    try:
        return await asyncpg.connect(url, timeout=10, database=database)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise EngineUnreachable("PostgreSQL", url.rpartition("@")[2], str(error)) from error
