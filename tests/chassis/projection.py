"""A current-state projection as every service writes them: the highest version wins."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from chassis.call import Call
from chassis.database import Prepared
from chassis.subscriptions import Received

_KEEP: Final = Prepared(
    sa.text(
        "INSERT INTO things AS t (id, version, name) VALUES (:id, :version, :name)"
        " ON CONFLICT (tenant_id, id) DO UPDATE SET version = excluded.version, name = excluded.name,"
        " applied = t.applied + 1 WHERE t.version < excluded.version"
    )
)


async def keep(events: Sequence[Received], call: Call) -> None:
    """Takes the events up, and counts how often a row was written."""
    await call.tx.executemany(
        _KEEP,
        [{"id": e.entity_id, "version": e.version, "name": e.message.opportunity.name} for e in events],
    )
