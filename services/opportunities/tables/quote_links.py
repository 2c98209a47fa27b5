"""Tables that follow the quotes service: which family a product is of, which quotes of a deal are open."""

from sqlalchemy import BigInteger, Boolean, Column, Table, Text, Uuid

from services.opportunities.tables.base import metadata

products = Table(
    "products",
    metadata,
    Column("tenant_id", Uuid),
    Column("id", Uuid),
    Column("version", BigInteger),
    Column("family", Text),
)

product_families = Table(
    "product_families",
    metadata,
    Column("tenant_id", Uuid),
    Column("id", Uuid),
    Column("version", BigInteger),
    Column("name", Text),
    Column("parent_id", Uuid),
)

deal_quotes = Table(
    "deal_quotes",
    metadata,
    Column("tenant_id", Uuid),
    Column("id", Uuid),
    Column("version", BigInteger),
    Column("opportunity_id", Uuid),
    Column("is_open", Boolean),
)
