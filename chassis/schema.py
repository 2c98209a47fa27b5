"""The tables that every service's database has, and the fence around each tenant.

Tables live in schema `data` and belong to the owner role. The service's role has no rights on them:
it works on views of the same names in schema `app`, which show and accept the rows of one tenant,
the one that the transaction has set. Row-level security would do the same, but keeps operators
that are not leakproof from using an index. Tables marked as routing hold no tenant's content; the
relay and the scheduler must find work of all tenants there.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import UserDefinedType

from chassis.event_schema import EVENTS_1, FENCED_EVENTS_1, ROUTING_EVENTS_1


class Xid8(UserDefinedType[int]):
    """A transaction id that does not wrap around."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


def timestamp_column(name: str) -> Column[Any]:
    """An instant."""
    return Column(name, DateTime(timezone=True))


def entity_table(name: str, metadata: MetaData, *columns: Column[Any]) -> Table:
    """The view of an entity's table as the service sees it, with the columns that all have."""
    return Table(
        name,
        metadata,
        Column("tenant_id", Uuid),
        Column("id", Uuid, primary_key=True),
        Column("version", BigInteger),
        timestamp_column("created_at"),
        timestamp_column("updated_at"),
        timestamp_column("effective_at"),
        timestamp_column("deleted_at"),
        Column("external_ids", JSONB),
        *columns,
    )


ENTITY_COLUMNS: Final = """
    tenant_id uuid NOT NULL DEFAULT current_setting('app.tenant')::uuid,
    id uuid NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    deleted_at timestamptz,
    external_ids jsonb NOT NULL DEFAULT '[]'"""
"""What `CREATE TABLE` of an entity begins with; the primary key is (tenant_id, id)."""

metadata = MetaData()

changes = Table(
    "changes",
    metadata,
    Column("tenant_id", Uuid),
    Column("entity", Text),
    Column("entity_id", Uuid),
    Column("version", BigInteger),
    Column("position", Xid8),
    timestamp_column("recorded_at"),
    timestamp_column("effective_at"),
    Column("actor", Text),
    Column("via", Text),
    Column("method", Text),
    Column("request_id", Text),
    Column("request_hash", LargeBinary),
    Column("ordinal", Integer),
    Column("sight_before", ARRAY(Uuid)),
    Column("sight_after", ARRAY(Uuid)),
    Column("changed_fields", ARRAY(Text)),
    Column("event_type", Text),
    Column("event", LargeBinary),
    Column("deleted", Boolean),
)

external_ids = Table(
    "external_ids",
    metadata,
    Column("tenant_id", Uuid),
    Column("entity", Text),
    Column("system", Text),
    Column("external_id", Text),
    Column("entity_id", Uuid),
)

sight_lines = Table(
    "sight_lines",
    metadata,
    Column("tenant_id", Uuid),
    Column("id", Uuid),
    Column("version", BigInteger),
    Column("user_id", Uuid),
    Column("manager_id", Uuid),
    timestamp_column("valid_from"),
    timestamp_column("valid_to"),
)

sight_members = Table(
    "sight_members",
    metadata,
    Column("tenant_id", Uuid),
    Column("viewer_id", Uuid),
    Column("member_id", Uuid),
    timestamp_column("valid_from"),
    timestamp_column("valid_to"),
)

# What every database starts with. Frozen: a change is a new step in `STEPS`.
_STEP_1: Final = """
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public;
CREATE EXTENSION IF NOT EXISTS btree_gin SCHEMA public;
CREATE TABLE data.changes (
    tenant_id uuid NOT NULL DEFAULT current_setting('app.tenant')::uuid,
    entity text NOT NULL,
    entity_id uuid NOT NULL,
    version bigint NOT NULL,
    position xid8 NOT NULL DEFAULT pg_current_xact_id(),
    recorded_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    actor text NOT NULL,
    via text,
    method text NOT NULL,
    request_id text,
    request_hash bytea,
    ordinal integer NOT NULL,
    sight_before uuid[] NOT NULL,
    sight_after uuid[] NOT NULL,
    changed_fields text[] NOT NULL,
    event_type text NOT NULL,
    event bytea NOT NULL CHECK (octet_length(event) <= 524288),
    deleted boolean NOT NULL,
    PRIMARY KEY (tenant_id, entity, entity_id, version)
);
CREATE UNIQUE INDEX changes_request ON data.changes (tenant_id, actor, method, request_id, ordinal)
    WHERE request_id IS NOT NULL;
CREATE INDEX changes_feed ON data.changes (tenant_id, position);

CREATE TABLE data.external_ids (
    tenant_id uuid NOT NULL DEFAULT current_setting('app.tenant')::uuid,
    entity text NOT NULL,
    system text NOT NULL,
    external_id text NOT NULL,
    entity_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, entity, system, external_id)
);

CREATE TABLE data.sight_lines (
    tenant_id uuid NOT NULL DEFAULT current_setting('app.tenant')::uuid,
    id uuid NOT NULL,
    version bigint NOT NULL,
    user_id uuid NOT NULL,
    manager_id uuid NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE TABLE data.sight_members (
    tenant_id uuid NOT NULL DEFAULT current_setting('app.tenant')::uuid,
    viewer_id uuid NOT NULL,
    member_id uuid NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, viewer_id, member_id, valid_from)
);

CREATE TABLE app.outbox (
    position xid8 NOT NULL DEFAULT pg_current_xact_id(),
    seq bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id uuid NOT NULL,
    entity text NOT NULL,
    entity_id uuid NOT NULL,
    version bigint NOT NULL,
    traceparent text,
    PRIMARY KEY (tenant_id, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);
"""

FENCED_1: Final = {
    "changes": "SELECT, INSERT",
    "external_ids": "SELECT, INSERT, DELETE",
    "sight_lines": "SELECT, INSERT, UPDATE",
    "sight_members": "SELECT, INSERT, DELETE",
}
ROUTING_1: Final = {"outbox": "SELECT, INSERT, DELETE"}


def fence(table: str, rights: str, role: str) -> str:
    """SQL that shows `data.<table>` as the view `app.<table>`, one tenant's rows at a time.

    To be run again after a column is added: the view takes the new column up.
    """
    return (
        f"CREATE OR REPLACE VIEW app.{table} AS SELECT * FROM data.{table}"
        f" WHERE tenant_id = current_setting('app.tenant')::uuid WITH CHECK OPTION;\n"
        f"GRANT {rights} ON app.{table} TO {role};"
    )


def routing(table: str, rights: str, role: str) -> str:
    """SQL that lets the service work on `app.<table>`, which holds routing only, for all tenants."""
    return f"GRANT {rights} ON app.{table} TO {role};"


STEPS: Final = {1: (_STEP_1 + EVENTS_1, FENCED_1 | FENCED_EVENTS_1, ROUTING_1 | ROUTING_EVENTS_1)}
