"""The tables of alerts, of what raises them, and of when deals are looked at again."""

from sfa.opportunities.v1 import events_pb2
from sqlalchemy import BigInteger, Column, Integer, Numeric, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.columns import array, enumerated
from chassis.fields import Field
from chassis.schema import entity_table, timestamp_column
from chassis.store import EntityType
from services.opportunities.domain.alert_settings import AlertKind, AlertSettings
from services.opportunities.domain.alerts import Alert, AlertState
from services.opportunities.tables.base import metadata
from services.opportunities.wire.alerts import alert_settings_to_proto, alert_to_proto

alerts = entity_table(
    "alerts",
    metadata,
    Column("opportunity_id", Uuid, nullable=False),
    Column("owner_id", Uuid),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("since_at", timestamp_column("since_at").type, nullable=False),
    timestamp_column("cleared_at"),
    Column("passed_limit", Numeric),
    Column("explanation", Text),
    timestamp_column("snoozed_until"),
    Column("snooze_reason", Text),
    Column("snoozed_by", Uuid),
)

ALERT = EntityType(
    name="alert",
    cls=Alert,
    table=alerts,
    to_proto=alert_to_proto,
    events=events_pb2,
    owner="owner_id",
    is_open=lambda table: table.c.state != AlertState.CLEARED.value,
    fields={
        "opportunity_id": Field.of(alerts.c.opportunity_id),
        "owner_id": Field.of(alerts.c.owner_id),
        "kind": Field.of(alerts.c.kind, names=AlertKind),
        "state": Field.of(alerts.c.state, names=AlertState),
        "since_time": Field.of(alerts.c.since_at, sortable=True),
        "snooze_time": Field.of(alerts.c.snoozed_until),
    },
    codecs={"kind": enumerated(AlertKind), "state": enumerated(AlertState)},
)

alert_settings = entity_table(
    "alert_settings",
    metadata,
    Column("disabled_kinds", ARRAY(Text)),
    Column("stuck_percent", Integer),
    Column("stuck_minimum_deals", Integer),
    Column("next_step_days", Integer),
    Column("touch_days", Integer),
    Column("amount_percent", Integer),
    Column("amount_days", Integer),
    Column("single_threaded_days", Integer),
)

ALERT_SETTINGS = EntityType(
    name="alert_settings",
    cls=AlertSettings,
    table=alert_settings,
    to_proto=alert_settings_to_proto,
    events=events_pb2,
    codecs={"disabled_kinds": array()},
)

deal_watches = Table(
    "deal_watches", metadata, Column("deal_id", Uuid, primary_key=True), timestamp_column("next_at")
)
"""When each open deal has to be looked at again."""

stuck_limits = Table(
    "stuck_limits",
    metadata,
    Column("pipeline_id", Uuid),
    Column("stage_id", Uuid, primary_key=True),
    Column("size", Text, primary_key=True),
    Column("amount_from", Numeric),
    Column("amount_to", Numeric),
    Column("seconds", BigInteger),
    Column("deals", Integer),
    timestamp_column("learnt_at"),
)
"""After how long deals count as stuck, as it was learnt; amounts are in the reporting currency."""
