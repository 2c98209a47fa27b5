"""What has to be right as a whole is changed by one transaction of a tenant at a time."""

from __future__ import annotations

import sqlalchemy as sa

from chassis.database import Transaction


async def lock(tx: Transaction, what: str) -> None:
    """Lets one transaction of a tenant at a time change something that has to be right as a whole."""
    await tx.fetch(
        sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"{tx.tenant} {what}", 0)))
    )
