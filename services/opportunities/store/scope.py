"""Which deals a figure is made of: those that are, or those that were at an instant; of those that the caller sees
today."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from chassis.call import Call
from services.opportunities.domain.figures import Question
from services.opportunities.store.conversion import NEVER
from services.opportunities.store.opportunities import OpportunityStore
from services.opportunities.tables import opportunities
from services.opportunities.tables.metrics import deal_versions, stage_visits

COLUMNS = (
    "id", "name", "account_id", "owner_id", "pipeline_id", "stage_id", "closed_from", "state", "amount", "currency",
    "close_date",
)  # fmt: skip
"""What there is of each deal on the board; metrics have the other columns of `deal_versions` too."""


def live(call: Call) -> sa.Select[Any]:
    """The deals as they are at this moment."""
    table = opportunities.c
    statement = sa.select(*(table[name] for name in COLUMNS)).where(table.deleted_at.is_(None))
    visible = OpportunityStore(call).visible()
    return statement if visible is None else statement.where(visible)


def recorded(call: Call, asked: Question) -> sa.Select[Any]:
    """The deals as they were recorded at an instant, or in the world at one; as they are where neither is said.

    What happened within the last tenth of a second may not be there yet.
    """
    versions = deal_versions
    at = sa.literal(asked.as_of or NEVER, sa.DateTime(timezone=True))
    if asked.effective_as_of is None:
        statement = sa.select(*versions.c).where(versions.c.recorded_at <= at, versions.c.recorded_until > at)
        deals: Any = versions
    else:
        by_then = sa.literal(asked.effective_as_of, sa.DateTime(timezone=True))
        deals = (
            sa.select(*versions.c)
            .ext(distinct_on(versions.c.id))
            .where(versions.c.recorded_at <= at, versions.c.effective_at <= by_then)
            .order_by(versions.c.id, versions.c.effective_at.desc(), versions.c.version.desc())
            .subquery("as_it_was")
        )
        statement = sa.select(*deals.c)
    statement = statement.where(sa.not_(deals.c.deleted))
    visible = OpportunityStore(call).visible()
    if visible is None:
        return statement
    seen = sa.select(opportunities.c.id).where(opportunities.c.id == deals.c.id, visible)
    return statement.where(seen.exists())


def narrowed(statement: sa.Select[Any], asked: Question) -> sa.Select[Any]:
    """Only those of the pipeline and the owners asked for."""
    columns = statement.selected_columns
    if asked.pipeline_id is not None:
        statement = statement.where(columns.pipeline_id == asked.pipeline_id)
    if asked.owner_ids:
        statement = statement.where(columns.owner_id == any_of(asked.owner_ids))
    return statement


def with_booked(
    deals: sa.FromClause, asked: Question, created_at: sa.ColumnElement[Any] | None, zone: str
) -> Any:
    """The deals with a column more, `booked_on`: the tenant's day on which each was true for the first time."""
    first = (
        sa.select(stage_visits.c.entered_at)
        .where(
            stage_visits.c.deal_id == deals.c.id,
            stage_visits.c.recorded_at <= sa.literal(asked.as_of or NEVER, sa.DateTime(timezone=True)),
        )
        .order_by(stage_visits.c.entered_at)
        .limit(1)
        .scalar_subquery()
    )
    at = first if created_at is None else sa.func.coalesce(first, created_at)
    day = sa.cast(sa.func.timezone(sa.literal(zone, sa.Text), at), sa.Date)
    return sa.select(*deals.c, day.label("booked_on")).subquery("booked")


def slips_of(deal: str, as_of: datetime | None) -> sa.ColumnElement[int]:
    """How many times the close date of a deal slipped, for a query in which `deal` names its id."""
    return sa.literal_column(
        "(SELECT count(*) FROM (SELECT close_date, state, lag(close_date) OVER way AS former_date,"
        " lag(state) OVER way AS former_state FROM deal_versions"
        f" WHERE deal_versions.id = {deal} AND recorded_at <= '{(as_of or NEVER).isoformat()}'::timestamptz"
        " WINDOW way AS (ORDER BY effective_at, version)) AS moves WHERE close_date > former_date"
        " AND state = 'OPEN' AND former_state = 'OPEN')",
        sa.Integer,
    )


def any_of(ids: Sequence[UUID]) -> Any:
    """For comparing with any of some ids."""
    return sa.any_(sa.literal(list(ids), sa.ARRAY(sa.Uuid)))
