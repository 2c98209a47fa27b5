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
        "WITH forgotten AS (DELETE FROM inbox WHERE done_at < :before)"
        " INSERT INTO inbox (effect, event_id) VALUES (:effect, :event_id) ON CONFLICT DO NOTHING RETURNING 1"
    )
)


async def is_first(call: Call, event: Received, effect: str) -> bool:
    """Whether the event has not had this effect yet; from the call's commit on it has. What no delivery can
    ask for any more is forgotten by the way."""
    call.tx.wrote = True
    values = {"effect": effect, "event_id": event.id, "before": call.clock.now() - KEPT}
    return await call.tx.fetchval(_REMEMBER, values) is not None
