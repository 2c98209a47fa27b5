"""Rates of tax, exemptions, and how tax is calculated."""

from sfa.quotes.v1 import events_pb2
from sqlalchemy import Boolean, Column, Date, Numeric, Text, Uuid

from chassis.columns import enumerated
from chassis.fields import Field
from chassis.schema import entity_table
from chassis.store import EntityType
from services.quotes.domain.taxation import TaxRounding
from services.quotes.domain.taxes import Calculator, TaxExemption, TaxRate, TaxRateTaken, TaxSettings
from services.quotes.tables.base import metadata
from services.quotes.wire import taxes as wire

tax_rates = entity_table(
    "tax_rates",
    metadata,
    Column("region", Text, nullable=False),
    Column("tax_class", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("percent", Numeric, nullable=False),
    Column("valid_from", Date),
    Column("valid_to", Date),
)

tax_exemptions = entity_table(
    "tax_exemptions",
    metadata,
    Column("account_id", Uuid, nullable=False),
    Column("region", Text),
    Column("tax_class", Text),
    Column("certificate", Text),
    Column("valid_from", Date),
    Column("valid_to", Date),
)

tax_settings = entity_table(
    "tax_settings",
    metadata,
    Column("calculator", Text),
    Column("rounding", Text),
    Column("default_region", Text),
    Column("default_class", Text),
    Column("freight_class", Text),
    Column("prices_include_tax", Boolean),
)

TAX_RATE = EntityType(
    name="tax_rate",
    cls=TaxRate,
    table=tax_rates,
    to_proto=wire.rate_to_proto,
    events=events_pb2,
    fields={
        "region": Field.of(tax_rates.c.region, sortable=True),
        "tax_class": Field.of(tax_rates.c.tax_class),
        "name": Field.of(tax_rates.c.name),
        "valid_from": Field.of(tax_rates.c.valid_from, sortable=True),
        "valid_to": Field.of(tax_rates.c.valid_to),
    },
    unique={"tax_rates_key": TaxRateTaken},
)

TAX_EXEMPTION = EntityType(
    name="tax_exemption",
    cls=TaxExemption,
    table=tax_exemptions,
    to_proto=wire.exemption_to_proto,
    events=events_pb2,
    fields={
        "account_id": Field.of(tax_exemptions.c.account_id),
        "region": Field.of(tax_exemptions.c.region),
        "valid_to": Field.of(tax_exemptions.c.valid_to, sortable=True),
    },
)

TAX_SETTINGS = EntityType(
    name="tax_settings",
    cls=TaxSettings,
    table=tax_settings,
    to_proto=wire.settings_to_proto,
    events=events_pb2,
    codecs={"calculator": enumerated(Calculator), "rounding": enumerated(TaxRounding)},
)
