"""`sfa doctor`: whether an installation is as it should be, as a list of findings."""

from __future__ import annotations

import asyncio
import shutil
import stat
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import asyncpg
from rich.table import Table

from chassis import migrations, parked
from chassis.database import Database
from deploy.engines.process import is_free
from deploy.installation import Installation
from deploy.probing import is_listening, is_serving
from deploy.topology import GATEWAY, SERVICES, address


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `is_good` with a `detail` that says so, or says what to do."""

    what: str
    is_good: bool
    detail: str

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


async def examine(installation: Installation) -> list[Finding]:
    """Looks at the machine, and, where the system runs, at every part of it. Changes nothing."""
    findings = [_python(), _disk(installation)]
    if not installation.settings.folder.exists():
        return [*findings, Finding("data folder", True, "not made yet: sfa up will")]
    findings.append(_secrets(installation))
    if installation.postgres is not None and not installation.is_held:
        return [*findings, Finding("system", True, "stopped"), *_ports(installation)]
    findings += await asyncio.gather(*(_databases(installation, service) for service in SERVICES))
    findings += await asyncio.gather(*(_service(installation, service) for service in SERVICES))
    findings.append(await _gateway(installation))
    if installation.nats is not None:
        findings.append(await _listening("NATS", installation.nats.host, installation.nats.port))
    return findings


def render(findings: Sequence[Finding]) -> Table:
    """As a table."""
    table = Table(box=None, show_header=False)
    for finding in findings:
        mark = "[green]✓[/]" if finding.is_good else "[red]✗[/]"
        table.add_row(mark, finding.what, finding.detail)
    return table


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", sys.version_info >= (3, 11), version)


def _disk(installation: Installation) -> Finding:
    folder = installation.settings.folder
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free // 1_000_000
    return Finding("disk", free >= installation.settings.min_free_megabytes, f"{free:,} MB free for {folder}")


def _secrets(installation: Installation) -> Finding:
    file = installation.settings.folder / "secrets.json"
    if not file.exists():
        return Finding("secrets", False, f"{file} is missing")
    mode = stat.S_IMODE(file.stat().st_mode)
    return Finding("secrets", mode & 0o077 == 0, f"{file} has mode {mode:o}")


def _ports(installation: Installation) -> list[Finding]:
    settings = installation.settings
    wanted = {"gateway": (settings.host, settings.port)}
    for engine in (installation.postgres, installation.nats):
        if engine is not None and engine.port:
            wanted[engine.title] = engine.host, engine.port
    return [
        Finding(f"port of {name}", is_free(host, port), f"{port} on {host}")
        for name, (host, port) in wanted.items()
    ]


async def _databases(installation: Installation, service: str) -> Finding:
    what = f"database of {service}"

    async def look() -> Finding:
        owner = await asyncpg.connect(installation.database_url(service, owner=True), timeout=5)
        try:
            version = await owner.fetchval("SELECT version_num FROM data.alembic_version")
            waiting = await owner.fetchval(
                "SELECT count(*) FROM (SELECT FROM app.outbox LIMIT 1000) AS waiting"
            )
        finally:
            await owner.close()
        database = await Database.connect(
            installation.database_url(service), connections=2, name="sfa doctor"
        )
        try:
            stuck = len(await parked.list_parked(database))
        finally:
            await database.close()
        head = migrations.head(service)
        if version != head:
            return Finding(what, False, f"at {version}, the code is at {head}: sfa migrate {service}")
        detail = f"at {version}; {waiting} changes to be published; {stuck} events parked"
        return Finding(what, stuck == 0, detail + ("" if stuck == 0 else ": sfa events parked"))

    return await _guarded(what, look)


async def _service(installation: Installation, service: str) -> Finding:
    where = address(service, installation.settings)
    good = await is_serving(where)
    return Finding(service, good, f"{'serves' if good else 'does not answer'} at {where}")


async def _gateway(installation: Installation) -> Finding:
    settings = installation.settings
    good = await is_listening(settings.host, settings.port)
    return Finding(GATEWAY.name, good, f"{'serves' if good else 'does not answer'} at {installation.url}")


async def _listening(what: str, host: str, port: int) -> Finding:
    good = await is_listening(host, port)
    return Finding(what, good, f"{'listens' if good else 'does not listen'} at {host}:{port}")


async def _guarded(what: str, look: Callable[[], Awaitable[Finding]]) -> Finding:
    try:
        return await look()
    except (OSError, asyncpg.PostgresError) as error:
        return Finding(what, False, str(error) or type(error).__name__)
