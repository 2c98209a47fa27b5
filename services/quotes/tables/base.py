"""What the tables of this service share."""

from sqlalchemy import BigInteger, Column, MetaData, Table, Text, Uuid

metadata = MetaData()

numbers = Table(
    "numbers",
    metadata,
    Column("tenant_id", Uuid),
    Column("kind", Text, primary_key=True),
    Column("last", BigInteger),
)
"""The last number given to each kind of paper."""
