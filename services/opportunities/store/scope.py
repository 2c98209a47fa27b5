"""Which deals a figure is made of: those that are, or those that were at an instant; of those that belong today to
whom the caller looks after."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from chassis import sight
from chassis.call import Call
from services.opportunities.domain.figures import Question
from services.opportunities.store.conversion import NEVER
from services.opportunities.tables import opportunities
from services.opportunities.tables.metrics import deal_versions, stage_visits

SHOWN = (
    "id", "name", "account_id", "owner_id", "stage_id", "state", "amount", "currency", "close_date",
)  # fmt: skip
"""What the board shows of a deal."""
COUNTED = ("id", "stage_id", "state", "amount", "currency", "close_date")
"""What the board's sums are made of; metrics have all columns of `deal_versions`."""


def live(call: Call, names: Sequence[str]) -> tuple[sa.Select[Any], Any]:
    """Some columns of the deals as they are at this moment, and what to narrow them by."""
    table = opportunities.c
    statement = sa.select(*(table[name] for name in names)).where(table.deleted_at.is_(None))
    owned = owned_by_those_below(call)
    return statement if owned is None else statement.where(owned), table


def recorded(call: Call, asked: Question, names: Sequence[str] = ()) -> tuple[sa.Select[Any], Any]:
    """Some columns (all, where none are named) of the deals as they were recorded at an instant, or in the world at
    one, or as they are where neither is said; and what to narrow them by.

    What happened within the last quarter of a second may not be there yet.
    """
    versions: Any = deal_versions
    at = sa.literal(asked.as_of or NEVER, sa.DateTime(timezone=True))
    deals: Any = versions
    conditions = [versions.c.recorded_at <= at, versions.c.recorded_until > at]
    if asked.effective_as_of is not None:
        by_then = sa.literal(asked.effective_as_of, sa.DateTime(timezone=True))
        deals = (
            sa.select(*versions.c)
            .ext(distinct_on(versions.c.id))
            .where(versions.c.recorded_at <= at, versions.c.effective_at <= by_then)
            .order_by(versions.c.id, versions.c.effective_at.desc(), versions.c.version.desc())
            .subquery("as_it_was")
        )
        conditions = []
    columns = [deals.c[name] for name in names] if names else [*deals.c]
    statement = sa.select(*columns).where(*conditions, sa.not_(deals.c.deleted))
    owned = owned_by_those_below(call)
    if owned is not None:
        seen = sa.select(opportunities.c.id).where(opportunities.c.id == deals.c.id, owned)
        statement = statement.where(seen.exists())
    return statement, deals.c


def owned_by_those_below(call: Call) -> sa.ColumnElement[bool] | None:
    """That a deal belongs to the caller or to somebody below, None for all. Deals that the caller is only in, as one
    of a team, are in their owners' figures."""
    return sight.condition(call, opportunities.c.owner_id)


def narrowed(statement: sa.Select[Any], columns: Any, asked: Question) -> sa.Select[Any]:
    """Only those of the pipeline and the owners asked for."""
    if asked.pipeline_id is not None:
        statement = statement.where(columns.pipeline_id == asked.pipeline_id)
    if asked.owner_ids:
        statement = statement.where(columns.owner_id == any_of(asked.owner_ids))
    return statement


def with_booked(deals: sa.FromClause, zone: str, *, is_needed: bool = True) -> Any:
    """The deals with a column more, `booked_on`: the tenant's day from which on each was true; null where nobody
    needs it."""
    if not is_needed:
        return sa.select(*deals.c, sa.literal(None, sa.Date).label("booked_on")).subquery("unbooked")
    first = stage_visits.alias("first_visits")
    day = sa.cast(sa.func.timezone(sa.literal(zone, sa.Text), first.c.entered_at), sa.Date)
    joined = deals.outerjoin(first, sa.and_(first.c.deal_id == deals.c.id, first.c.version == 1))
    return sa.select(*deals.c, day.label("booked_on")).select_from(joined).subquery("booked")


def slips_of(
    deal: str, as_of: datetime | None, effective_as_of: datetime | None = None
) -> sa.ColumnElement[int]:
    """How many times the close date of a deal slipped, for a query in which `deal` names its id."""
    by_then = (effective_as_of or NEVER).isoformat()
    return sa.literal_column(
        "(SELECT count(*) FROM (SELECT close_date, state, lag(close_date) OVER way AS former_date,"
        " lag(state) OVER way AS former_state FROM deal_versions"
        f" WHERE deal_versions.id = {deal} AND recorded_at <= '{(as_of or NEVER).isoformat()}'::timestamptz"
        f" AND effective_at <= '{by_then}'::timestamptz"
        " WINDOW way AS (ORDER BY effective_at, version)) AS moves WHERE close_date > former_date"
        " AND state = 'OPEN' AND former_state = 'OPEN')",
        sa.Integer,
    )


def slips_of_all(
    deals: sa.FromClause, as_of: datetime | None, effective_as_of: datetime | None = None
) -> Any:
    """The same for all of some deals at once, as a table of id and slips."""
    versions = deal_versions.alias("way_versions")
    way: dict[str, Any] = {
        "partition_by": versions.c.id,
        "order_by": (versions.c.effective_at, versions.c.version),
    }
    moves = (
        sa.select(
            versions.c.id,
            versions.c.close_date,
            versions.c.state,
            sa.func.lag(versions.c.close_date).over(**way).label("former_date"),
            sa.func.lag(versions.c.state).over(**way).label("former_state"),
        )
        .where(
            versions.c.recorded_at <= sa.literal(as_of or NEVER, sa.DateTime(timezone=True)),
            versions.c.effective_at <= sa.literal(effective_as_of or NEVER, sa.DateTime(timezone=True)),
            versions.c.id.in_(sa.select(deals.c.id)),
        )
        .subquery("moves")
    )
    return (
        sa.select(moves.c.id, sa.func.count().label("slips"))
        .where(
            moves.c.close_date > moves.c.former_date, moves.c.state == "OPEN", moves.c.former_state == "OPEN"
        )
        .group_by(moves.c.id)
        .subquery("slips")
    )


def any_of(ids: Sequence[UUID]) -> Any:
    """For comparing with any of some ids."""
    return sa.any_(sa.literal(list(ids), sa.ARRAY(sa.Uuid)))
