"""Customers: their credit as the ERP says it, and the accounts as the contacts service knows them."""

from sfa.quotes.v1 import events_pb2
from sqlalchemy import BigInteger, Boolean, Column, Numeric, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from chassis.columns import enumerated
from chassis.fields import Field
from chassis.schema import entity_table
from chassis.store import EntityType
from services.quotes.domain.credit import CreditPolicy, CreditSettings, CustomerCredit
from services.quotes.tables.base import metadata
from services.quotes.wire import credit as wire

customer_credits = entity_table(
    "customer_credits",
    metadata,
    Column("credit_limit", Numeric),
    Column("credit_limit_currency", Text),
    Column("balance", Numeric),
    Column("balance_currency", Text),
    Column("overdue", Numeric),
    Column("overdue_currency", Text),
    Column("is_blocked", Boolean, nullable=False),
    Column("reported_version", BigInteger),
)

credit_settings = entity_table(
    "credit_settings",
    metadata,
    Column("over_limit", Text),
    Column("overdue", Text),
    Column("blocked", Text),
    Column("overdue_tolerance", Numeric),
    Column("overdue_tolerance_currency", Text),
)

customers = Table(
    "customers",
    metadata,
    Column("tenant_id", Uuid),
    Column("id", Uuid, primary_key=True),
    Column("version", BigInteger),
    Column("name", Text),
    Column("external_ids", JSONB),
    Column("addresses", JSONB),
)
"""The accounts, as far as an order has to say who has ordered."""

CUSTOMER_CREDIT = EntityType(
    name="customer_credit",
    cls=CustomerCredit,
    table=customer_credits,
    to_proto=wire.credit_to_proto,
    events=events_pb2,
    fields={
        "is_blocked": Field.of(customer_credits.c.is_blocked),
        "overdue": Field.of(customer_credits.c.overdue, currency=customer_credits.c.overdue_currency),
    },
    money={name: (name, f"{name}_currency") for name in ("credit_limit", "balance", "overdue")},
)

CREDIT_SETTINGS = EntityType(
    name="credit_settings",
    cls=CreditSettings,
    table=credit_settings,
    to_proto=wire.settings_to_proto,
    events=events_pb2,
    codecs={name: enumerated(CreditPolicy) for name in ("over_limit", "overdue", "blocked")},
    money={"overdue_tolerance": ("overdue_tolerance", "overdue_tolerance_currency")},
)
