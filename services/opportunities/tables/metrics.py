"""What the service keeps to answer for any instant: versions of deals as columns, their visits of stages,
exchange rates and what the tenant has set. All of it is filled from events, those of its own included, and
can be emptied and filled again."""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, Numeric, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.schema import timestamp_column
from services.opportunities.tables.base import metadata


def _recorded(name: str, *columns: Column[Any]) -> Table:
    """A table of versions: each holds, in recorded time, until the next one of the same id."""
    return Table(
        name,
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("version", BigInteger, primary_key=True),
        timestamp_column("recorded_at"),
        timestamp_column("recorded_until"),
        *columns,
    )


deal_versions = _recorded(
    "deal_versions",
    timestamp_column("effective_at"),
    Column("name", Text),
    Column("account_id", Uuid),
    Column("owner_id", Uuid),
    Column("pipeline_id", Uuid),
    Column("stage_id", Uuid),
    Column("closed_from", Uuid),
    Column("state", Text),
    Column("amount", Numeric),
    Column("currency", Text),
    Column("close_date", Date),
    Column("lost_reason", Text),
    Column("is_from_lead", Boolean),
    Column("product_ids", ARRAY(Uuid)),
    # the shares of the amount, in the deal's currency; none where it has no amount
    Column("product_amounts", ARRAY(Numeric)),
    # revenue splits, where there are any
    Column("credited_ids", ARRAY(Uuid)),
    Column("credited_amounts", ARRAY(Numeric)),
    Column("tags", ARRAY(Text)),
    Column("competitor_ids", ARRAY(Uuid)),
    Column("lost_to", Uuid),
    Column("deleted", Boolean),
)

stage_visits = Table(
    "stage_visits",
    metadata,
    Column("deal_id", Uuid, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    timestamp_column("recorded_at"),
    timestamp_column("entered_at"),
    Column("pipeline_id", Uuid),
    Column("stage_id", Uuid),
)
"""A row for each time that a deal came into a stage; it stands there until the next one in business time."""

exchange_rates = _recorded(
    "exchange_rates",
    Column("from_currency", Text),
    Column("to_currency", Text),
    Column("valid_from", Date),
    Column("rate", Numeric),
    Column("deleted", Boolean),
)

tenant_settings = _recorded("tenant_settings", Column("reporting_currency", Text), Column("time_zone", Text))
"""One row a version, under the tenant's own id."""
