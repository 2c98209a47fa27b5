"""What the forecast keeps of the others' events: one row for each thing, at the highest version heard.

None of it is the forecast's own: all tables can be emptied and filled again from the owners' history.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, MetaData, Table
from sqlalchemy.dialects.postgresql import ARRAY

metadata = MetaData()


def _projection(name: str, *columns: Column[Any]) -> Table:
    return Table(
        name,
        metadata,
        Column("id", sa.Uuid, primary_key=True),
        Column("version", sa.BigInteger),
        *columns,
    )


deals = _projection(
    "deals",
    Column("name", sa.Text),
    Column("owner_id", sa.Uuid),
    Column("account_id", sa.Uuid),
    Column("stage_id", sa.Uuid),
    Column("state", sa.SmallInteger),
    Column("amount", sa.Numeric),
    Column("currency", sa.Text),
    # the close date; infinity where there is none, so that `undated` is a period like any other
    Column("closes_on", sa.Date),
    Column("lead_id", sa.Uuid),
    Column("product_ids", ARRAY(sa.Uuid)),
    # the running totals of the products' shares: the share of the second is the second less the first
    Column("product_ends", ARRAY(sa.Numeric)),
    Column("deleted", sa.Boolean),
    Column("recorded_at", sa.DateTime(timezone=True)),
    Column("effective_at", sa.DateTime(timezone=True)),
)

stages = _projection(
    "stages",
    Column("pipeline_id", sa.Uuid),
    Column("name", sa.Text),
    Column("category", sa.SmallInteger),
    Column("probability", sa.SmallInteger),
)

users = _projection("users", Column("name", sa.Text))
"""Their reporting lines are the chassis's `sight_lines`."""

territories = _projection(
    "territories",
    Column("name", sa.Text),
    Column("parent_id", sa.Uuid),
    Column("deleted", sa.Boolean),
)

territory_assignments = _projection(
    "territory_assignments",
    Column("user_id", sa.Uuid),
    Column("territory_id", sa.Uuid),
    Column("valid_from", sa.DateTime(timezone=True)),
    Column("valid_to", sa.DateTime(timezone=True)),
)

products = _projection("products", Column("name", sa.Text))

exchange_rates = _projection(
    "exchange_rates",
    Column("from_currency", sa.Text),
    Column("to_currency", sa.Text),
    Column("valid_from", sa.Date),
    Column("rate", sa.Numeric),
    Column("deleted", sa.Boolean),
)

tenant_settings = _projection(
    "tenant_settings",
    Column("reporting_currency", sa.Text),
    Column("time_zone", sa.Text),
    Column("first_month", sa.SmallInteger),
)

converting_leads = _projection("converting_leads", Column("converting", sa.Boolean))
"""A deal that a lead is being converted to is not counted before all of the conversion is there."""

progress = Table("progress", metadata, Column("changes", sa.BigInteger))
"""One row a tenant: how many batches of events have changed the forecast."""
