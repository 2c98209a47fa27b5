"""The tables behind events, due work and operations, as SQL; `chassis.schema` has every database begin
with them."""

from typing import Final

EVENTS_1: Final = """
CREATE TABLE app.incarnation (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    number bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
);
INSERT INTO app.incarnation DEFAULT VALUES;

CREATE TABLE app.positions (
    tenant_id uuid NOT NULL,
    source text NOT NULL,
    incarnation bigint NOT NULL,
    position bigint NOT NULL,
    sequence bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, source)
) WITH (fillfactor = 50);

CREATE TABLE data.inbox (
    tenant_id uuid NOT NULL DEFAULT current_setting('app.tenant')::uuid,
    effect text NOT NULL,
    event_id text NOT NULL,
    done_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, effect, event_id)
);
CREATE INDEX inbox_age ON data.inbox (tenant_id, done_at);

CREATE TABLE data.parked_events (
    tenant_id uuid NOT NULL DEFAULT current_setting('app.tenant')::uuid,
    source text NOT NULL,
    sequence bigint NOT NULL,
    subject text NOT NULL,
    headers jsonb NOT NULL,
    data bytea NOT NULL,
    error text NOT NULL,
    attempts integer NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, source, sequence)
);

CREATE TABLE data.due_work (
    tenant_id uuid NOT NULL DEFAULT current_setting('app.tenant')::uuid,
    kind text NOT NULL,
    key text NOT NULL,
    due_at timestamptz NOT NULL,
    payload jsonb NOT NULL,
    actor text NOT NULL,
    generation bigint NOT NULL DEFAULT 1,
    attempts integer NOT NULL DEFAULT 0,
    error text,
    parked_at timestamptz,
    PRIMARY KEY (tenant_id, kind, key)
);
CREATE INDEX due_work_next ON data.due_work (due_at) WHERE parked_at IS NULL;
CREATE VIEW app.due_routing AS SELECT tenant_id, kind, key, due_at, parked_at FROM data.due_work;

CREATE TABLE data.operations (
    tenant_id uuid NOT NULL DEFAULT current_setting('app.tenant')::uuid,
    id uuid NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    payload jsonb NOT NULL,
    checkpoint jsonb NOT NULL,
    done bigint NOT NULL DEFAULT 0,
    total bigint,
    result_type text,
    result bytea,
    code integer,
    reason text,
    error text,
    actor text NOT NULL,
    cancel_requested boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (tenant_id, id)
);
"""

FENCED_EVENTS_1: Final = {
    "inbox": "SELECT, INSERT, DELETE",
    "parked_events": "SELECT, INSERT, UPDATE, DELETE",
    "due_work": "SELECT, INSERT, UPDATE, DELETE",
    "operations": "SELECT, INSERT, UPDATE",
}
ROUTING_EVENTS_1: Final = {
    "incarnation": "SELECT",
    "positions": "SELECT, INSERT, UPDATE, DELETE",
    "due_routing": "SELECT",
}
