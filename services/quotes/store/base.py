"""What the stores of this service share."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.call import Call
from services.quotes.tables.base import numbers

ASIDE = 1_000_000_000
"""From here on count the changes of a request that are not what its caller asked for."""


def any_of(column: sa.ColumnElement[Any], values: Iterable[Any], kind: type[Any]) -> sa.ColumnElement[bool]:
    """Whether the column is one of the values."""
    return column == sa.any_(sa.literal(list(values), sa.ARRAY(kind)))


async def next_number(call: Call, kind: str, letter: str) -> str:
    """The next number of a kind of paper, such as `Q-000042`.

    The counter's row stays locked until the transaction ends: numbers have no gaps and no doubles, and
    papers of one kind and tenant are made one at a time.
    """
    first = insert(numbers).values(kind=kind, last=1)
    statement = first.on_conflict_do_update(
        index_elements=["tenant_id", "kind"], set_={"last": numbers.c.last + 1}
    ).returning(numbers.c.last)
    number = await call.tx.fetchval(statement)
    call.tx.wrote = True
    return f"{letter}-{number:06d}"
