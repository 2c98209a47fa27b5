"""The same request twice gives the same outcome once.

Nothing is looked up while all goes well: a second write under the same key hits a unique index of
the changes, and a refusal is only given after looking whether the request was carried out before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from google.protobuf.message import Message

from chassis.call import Call
from chassis.contract import Rpc
from chassis.errors import InvalidArgument, NotFound, Refusal
from chassis.history import decoded, resource_of
from chassis.schema import changes


class RequestIdReused(InvalidArgument):
    """The key was used for a request with another body."""

    def __init__(self) -> None:
        super().__init__(
            "This idempotency key was used for a request with another body; use a new key.",
            field="request_id",
        )


async def done_before(call: Call) -> list[Any]:
    """The changes that this caller's request made when it was carried out, in order.

    Raises:
        RequestIdReused: the key was used for something else.
    """
    c = changes.c
    rows = await call.tx.fetch(
        sa.select(c.entity, c.entity_id, c.version, c.ordinal, c.event_type, c.event, c.request_hash)
        .where(
            c.actor == call.caller.actor,
            c.method == call.method,
            c.request_id == sa.literal(call.request_id, sa.Text),
        )
        .order_by(c.ordinal)
    )
    if any(row["request_hash"] != call.request_hash for row in rows):
        raise RequestIdReused
    return rows


async def refuse_another_body(call: Call) -> None:
    """For a request that wrote nothing, where the unique index could not speak."""
    await done_before(call)


async def replayed(call: Call, refusal: Refusal, rpc: Rpc, entities: Sequence[Any]) -> Message:
    """What the request was answered with when it was carried out; raises `refusal` where it was not.

    Raises:
        RequestIdReused: the key was used for something else.
        NotFound: the caller may no longer see what it made.
    """
    for row in await done_before(call):
        resource = resource_of(decoded(row["event_type"], row["event"]))
        if not isinstance(resource, rpc.response_class):
            continue
        kind = next(kind for kind in entities if kind.name == row["entity"])
        if await kind.store(call).find(row["entity_id"]) is None:
            raise NotFound("What this request made can no longer be seen by you.")
        return resource  # type: ignore[no-any-return]  # the class is known only at run time
    raise refusal
