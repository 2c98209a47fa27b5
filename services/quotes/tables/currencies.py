"""What currencies are worth and in which one the tenant reports, as identity says it: projections."""

from sqlalchemy import BigInteger, Boolean, Column, Date, Numeric, Table, Text, Uuid

from services.quotes.tables.base import metadata

exchange_rates = Table(
    "exchange_rates",
    metadata,
    Column("tenant_id", Uuid),
    Column("id", Uuid, primary_key=True),
    Column("version", BigInteger),
    Column("from_currency", Text),
    Column("to_currency", Text),
    Column("valid_from", Date),
    Column("rate", Numeric),
    Column("deleted", Boolean),
)

reporting_currencies = Table(
    "reporting_currencies",
    metadata,
    Column("tenant_id", Uuid),
    Column("id", Uuid, primary_key=True),
    Column("version", BigInteger),
    Column("currency", Text),
)
"""One row a tenant, under the tenant's own id."""
