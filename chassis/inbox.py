"""Remembers which events have had an effect that a version does not make idempotent: a mail, a counter,
a second record."""

from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from chassis.call import Call
from chassis.database import Prepared
from chassis.envelope import Received

KEPT: Final = timedelta(days=35)
"""Longer than a stream keeps events, so that no event can come again after it was forgotten."""

_REMEMBER: Final = Prepared(
    sa.text(
        "INSERT INTO inbox (effect, event_id) VALUES (:effect, :event_id) ON CONFLICT DO NOTHING RETURNING 1"
    )
)
_FORGET: Final = Prepared(sa.text("DELETE FROM inbox WHERE done_at < :before"))


async def is_first(call: Call, event: Received, effect: str) -> bool:
    """Whether the event has not had this effect yet; from the call's commit on it has."""
    call.tx.wrote = True
    return await call.tx.fetchval(_REMEMBER, {"effect": effect, "event_id": event.id}) is not None


async def forget_old(call: Call) -> None:
    """Forgets what no delivery can ask for any more."""
    await call.tx.execute(_FORGET, {"before": call.clock.now() - KEPT})
