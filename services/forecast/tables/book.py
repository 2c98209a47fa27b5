"""What was heard, complete: every version of every deal, and of everything that deals are counted by.

A row is written once and never changed: so neither the order of events matters nor how often they come.
`counted` says which batch brought it; a replica that knows everything up to a batch reads what follows.
"""

import sqlalchemy as sa
from sqlalchemy import Column, Table
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.forecast.tables.metadata import metadata

deal_versions = Table(
    "deal_versions",
    metadata,
    Column("id", sa.Uuid, primary_key=True),
    Column("version", sa.BigInteger, primary_key=True),
    Column("counted", sa.BigInteger),
    Column("kind", sa.SmallInteger),
    Column("recorded_at", sa.DateTime(timezone=True)),
    Column("effective_at", sa.DateTime(timezone=True)),
    Column("state", sa.SmallInteger),
    Column("deleted", sa.Boolean),
    Column("name", sa.Text),
    Column("owner_id", sa.Uuid),
    Column("account_id", sa.Uuid),
    Column("pipeline_id", sa.Uuid),
    Column("stage_id", sa.Uuid),
    Column("lead_id", sa.Uuid),
    # in minor units of its own currency; null where there is none
    Column("amount", sa.BigInteger),
    Column("currency", sa.Text),
    # the close date; infinity where there is none, so that `undated` is a period like any other
    Column("closes_on", sa.Date),
    # how it counts while it is open, where that is not what its stage says; else 0
    Column("category", sa.SmallInteger),
    # parts of the amount and their running totals: the share of the second is the second less the first
    Column("product_ids", ARRAY(sa.Uuid)),
    Column("product_ends", ARRAY(sa.BigInteger)),
    Column("split_ids", ARRAY(sa.Uuid)),
    Column("split_ends", ARRAY(sa.BigInteger)),
    Column("overlay_ids", ARRAY(sa.Uuid)),
    Column("overlay_ends", ARRAY(sa.BigInteger)),
)

reference_versions = Table(
    "reference_versions",
    metadata,
    # stage, pipeline, exchange_rate, user, reporting_line, territory …
    Column("kind", sa.Text, primary_key=True),
    Column("id", sa.Uuid, primary_key=True),
    Column("version", sa.BigInteger, primary_key=True),
    Column("counted", sa.BigInteger),
    Column("recorded_at", sa.DateTime(timezone=True)),
    Column("effective_at", sa.DateTime(timezone=True)),
    Column("content", JSONB),
)
"""What deals are counted by, and what things are called."""

progress = Table(
    "progress",
    metadata,
    Column("changes", sa.BigInteger),
    # another one where everything was emptied: what a replica knows of before is void
    Column("epoch", sa.Uuid),
    # the last batch that brought anything but deals
    Column("reference_changes", sa.BigInteger),
)
"""One row a tenant: how many batches of events have changed the forecast."""
