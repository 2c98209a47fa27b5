"""Queries of the ERP's events that could not be applied: the chassis keeps them."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from chassis import due, parked
from chassis.broker import OUTSIDE
from chassis.call import Call
from chassis.database import Prepared
from chassis.errors import InvalidArgument
from chassis.parked import ParkedEventNotFound
from chassis.store import DEFAULT_PAGE

_COLUMNS: Final = "sequence, subject, error, attempts, parked_at, data"
_PAGE: Final = Prepared(
    sa.text(
        f"SELECT {_COLUMNS} FROM parked_events WHERE source = :source AND sequence > :after"
        " ORDER BY sequence LIMIT :most"
    )
)
_ONE: Final = Prepared(
    sa.text(f"SELECT {_COLUMNS} FROM parked_events WHERE source = :source AND sequence = :sequence")
)
_DISMISS: Final = Prepared(
    sa.text(f"DELETE FROM parked_events WHERE source = :source AND sequence = :sequence RETURNING {_COLUMNS}")
)


class PageTokenUnknown(InvalidArgument):
    """The page token was not given out by this list."""

    def __init__(self) -> None:
        super().__init__("Send `next_page_token` as it came, or leave it out.", field="page_token")


async def page(call: Call, size: int, token: str) -> tuple[list[Any], str]:
    """A page of them, oldest first, and where the next begins."""
    if token and not (token.isascii() and token.isdigit() and len(token) < 19):
        raise PageTokenUnknown
    size = size or DEFAULT_PAGE
    rows = await call.tx.fetch(_PAGE, {"source": OUTSIDE, "after": int(token or 0), "most": size + 1})
    return rows[:size], str(rows[size - 1]["sequence"]) if len(rows) > size else ""


async def retry(call: Call, sequence: int) -> Any:
    """Has one tried again at once.

    Raises:
        ParkedEventNotFound: it is not parked.
    """
    row = await call.tx.fetchrow(_ONE, {"source": OUTSIDE, "sequence": sequence})
    if row is None:
        raise ParkedEventNotFound(OUTSIDE, sequence)
    await due.schedule(call, parked.RETRY, f"{OUTSIDE}/{sequence}", call.now)
    return row


async def dismiss(call: Call, sequence: int) -> Any:
    """Forgets one.

    Raises:
        ParkedEventNotFound: it is not parked.
    """
    call.tx.wrote = True
    row = await call.tx.fetchrow(_DISMISS, {"source": OUTSIDE, "sequence": sequence})
    if row is None:
        raise ParkedEventNotFound(OUTSIDE, sequence)
    return row
