"""The tables, and which domain class a row becomes."""

from collections.abc import Mapping
from typing import Any

from sfa.identity.v1 import events_pb2
from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    Date,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from chassis.columns import Codec, document, enumerated, listed
from chassis.fields import Field
from chassis.fiscal import FiscalYears, Pattern, YearEnd
from chassis.schema import entity_table, timestamp_column
from chassis.store import EntityType
from services.identity import wire
from services.identity.domain.deactivation import Deactivation, Part, State
from services.identity.domain.people import EmailTaken, Role, User
from services.identity.domain.providers import IdentityProvider, IssuerTaken
from services.identity.domain.rates import ExchangeRate
from services.identity.domain.reporting import ReportingLine, Territory, TerritoryAssignment
from services.identity.domain.signing_in import Session
from services.identity.domain.tenants import Tenant
from services.identity.keys import SigningKey

metadata = MetaData()

tenants = entity_table(
    "tenants",
    metadata,
    Column("name", Text, nullable=False),
    Column("reporting_currency", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("fiscal_start_month", Integer, nullable=False),
    Column("fiscal_weeks", JSONB),
)

users = entity_table(
    "users",
    metadata,
    Column("email", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("language", Text, nullable=False),
    timestamp_column("password_set_at"),
)

reporting_lines = entity_table(
    "reporting_lines",
    metadata,
    Column("user_id", Uuid, nullable=False),
    Column("manager_id", Uuid, nullable=False),
    Column("start_date", Date),
    Column("end_date", Date),
    timestamp_column("starts_at"),
    timestamp_column("ends_at"),
)

territories = entity_table(
    "territories",
    metadata,
    Column("name", Text, nullable=False),
    Column("parent_id", Uuid),
)

territory_assignments = entity_table(
    "territory_assignments",
    metadata,
    Column("user_id", Uuid, nullable=False),
    Column("territory_id", Uuid, nullable=False),
    Column("start_date", Date),
    Column("end_date", Date),
    timestamp_column("starts_at"),
    timestamp_column("ends_at"),
    Column("share", Numeric, nullable=False),
)

exchange_rates = entity_table(
    "exchange_rates",
    metadata,
    Column("from_currency", Text, nullable=False),
    Column("to_currency", Text, nullable=False),
    Column("date", Date, nullable=False),
    Column("rate", Numeric, nullable=False),
)

sessions = entity_table(
    "sessions",
    metadata,
    Column("user_id", Uuid, nullable=False),
    Column("method", Text, nullable=False),
    Column("client_address", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    timestamp_column("revoked_at"),
    Column("revoke_reason", Text, nullable=False),
)

identity_providers = entity_table(
    "identity_providers",
    metadata,
    Column("name", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("jwks_uri", Text, nullable=False),
    Column("external_id_system", Text, nullable=False),
)

signing_keys = entity_table(
    "signing_keys",
    metadata,
    Column("public", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    timestamp_column("retired_at"),
)

deactivations = entity_table(
    "deactivations",
    metadata,
    Column("user_id", Uuid, nullable=False),
    Column("successor_id", Uuid),
    Column("queue_id", Uuid),
    Column("state", Text, nullable=False),
    Column("parts", JSONB, nullable=False),
)

credentials = Table(
    "credentials",
    metadata,
    Column("tenant_id", Uuid),
    Column("user_id", Uuid),
    Column("password_hash", Text),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("tenant_id", Uuid),
    Column("id", Uuid),
    Column("session_id", Uuid),
    Column("digest", LargeBinary),
    timestamp_column("expires_at"),
    timestamp_column("used_at"),
)

deactivation_moves = Table(
    "deactivation_moves",
    metadata,
    Column("tenant_id", Uuid),
    Column("deactivation_id", Uuid),
    Column("service", Text),
    Column("entity", Text),
    Column("record_id", Uuid),
)

# What is looked up before a tenant is known: digests, and where they lead.
handles = Table(
    "handles",
    metadata,
    Column("kind", Text),
    Column("digest", LargeBinary),
    Column("tenant_id", Uuid),
    Column("entity_id", Uuid),
)

attempts = Table(
    "attempts",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("failures", Integer),
    timestamp_column("last_at"),
    timestamp_column("locked_until"),
)


def _fiscal_years(item: Mapping[str, int]) -> FiscalYears:
    return FiscalYears(
        item["start_month"],
        Pattern(item["pattern"]),
        item["first_weekday"],
        YearEnd(item["year_end"]),
        item["long_month"],
    )


TENANT = EntityType(
    name="tenant",
    cls=Tenant,
    table=tenants,
    to_proto=wire.tenant_to_proto,
    events=events_pb2,
    codecs={"fiscal_weeks": document(_fiscal_years)},
)

USER = EntityType(
    name="user",
    cls=User,
    table=users,
    to_proto=wire.user_to_proto,
    events=events_pb2,
    fields={
        "email": Field.of(users.c.email, sortable=True),
        "display_name": Field.of(users.c.display_name, sortable=True),
        "roles": Field.of(users.c.roles, names={role.name: role.value for role in Role}),
        "active": Field.of(users.c.active),
    },
    searched=("display_name", "email"),
    codecs={
        "roles": Codec(lambda roles: [role.value for role in roles], lambda texts: tuple(map(Role, texts)))
    },
    unique={"users_email": EmailTaken},
)

REPORTING_LINE = EntityType(
    name="reporting_line",
    cls=ReportingLine,
    table=reporting_lines,
    to_proto=wire.reporting_line_to_proto,
    events=events_pb2,
    fields={
        "user_id": Field.of(reporting_lines.c.user_id),
        "manager_id": Field.of(reporting_lines.c.manager_id),
        "start_date": Field.of(reporting_lines.c.start_date),
        "end_date": Field.of(reporting_lines.c.end_date),
    },
)

TERRITORY = EntityType(
    name="territory",
    cls=Territory,
    table=territories,
    to_proto=wire.territory_to_proto,
    events=events_pb2,
    fields={
        "name": Field.of(territories.c.name, sortable=True),
        "parent_id": Field.of(territories.c.parent_id),
    },
    searched=("name",),
)

TERRITORY_ASSIGNMENT = EntityType(
    name="territory_assignment",
    cls=TerritoryAssignment,
    table=territory_assignments,
    to_proto=wire.territory_assignment_to_proto,
    events=events_pb2,
    fields={
        "user_id": Field.of(territory_assignments.c.user_id),
        "territory_id": Field.of(territory_assignments.c.territory_id),
        "start_date": Field.of(territory_assignments.c.start_date),
        "end_date": Field.of(territory_assignments.c.end_date),
    },
)

EXCHANGE_RATE = EntityType(
    name="exchange_rate",
    cls=ExchangeRate,
    table=exchange_rates,
    to_proto=wire.exchange_rate_to_proto,
    events=events_pb2,
    fields={
        "from_currency": Field.of(exchange_rates.c.from_currency),
        "to_currency": Field.of(exchange_rates.c.to_currency),
        "date": Field.of(exchange_rates.c.date, sortable=True),
    },
)

SESSION = EntityType(
    name="session",
    cls=Session,
    table=sessions,
    to_proto=wire.session_to_proto,
    events=events_pb2,
    fields={
        "user_id": Field.of(sessions.c.user_id),
        "method": Field.of(sessions.c.method),
        "revoke_time": Field.of(sessions.c.revoked_at),
    },
)

IDENTITY_PROVIDER = EntityType(
    name="identity_provider",
    cls=IdentityProvider,
    table=identity_providers,
    to_proto=wire.identity_provider_to_proto,
    events=events_pb2,
    fields={
        "name": Field.of(identity_providers.c.name),
        "issuer": Field.of(identity_providers.c.issuer),
    },
    unique={"handles_issuer": IssuerTaken},
)

SIGNING_KEY = EntityType(
    name="signing_key",
    cls=SigningKey,
    table=signing_keys,
    to_proto=wire.signing_key_to_proto,
    events=events_pb2,
)

DEACTIVATION = EntityType(
    name="deactivation",
    cls=Deactivation,
    table=deactivations,
    to_proto=wire.deactivation_to_proto,
    events=events_pb2,
    fields={
        "user_id": Field.of(deactivations.c.user_id),
        "successor_id": Field.of(deactivations.c.successor_id),
        "state": Field.of(deactivations.c.state, names={state.name: state.value for state in State}),
    },
    codecs={"state": enumerated(State), "parts": listed(Part)},
)

ENTITIES: list[EntityType[Any]] = [
    TENANT,
    USER,
    REPORTING_LINE,
    TERRITORY,
    TERRITORY_ASSIGNMENT,
    EXCHANGE_RATE,
    SESSION,
    IDENTITY_PROVIDER,
    SIGNING_KEY,
    DEACTIVATION,
]
