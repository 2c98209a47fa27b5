"""The table of quotas."""

import sqlalchemy as sa
from sfa.forecast.v1 import events_pb2

from chassis.columns import enumerated
from chassis.fields import Field
from chassis.schema import entity_table
from chassis.store import EntityType
from services.forecast.domain.quotas import Quota, QuotaKind, QuotaTaken
from services.forecast.tables.metadata import metadata
from services.forecast.wire import quotas as wire

quotas = entity_table(
    "quotas",
    metadata,
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject_id", sa.Uuid, nullable=False),
    sa.Column("owner_id", sa.Uuid),
    sa.Column("period_id", sa.Text, nullable=False),
    sa.Column("amount", sa.Numeric, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)

QUOTA = EntityType(
    name="quota",
    cls=Quota,
    table=quotas,
    to_proto=wire.quota_to_proto,
    events=events_pb2,
    owner="owner_id",
    # a quota stays that of whom it was set for
    is_open=lambda _: sa.false(),
    fields={
        "kind": Field.of(quotas.c.kind, names=QuotaKind),
        "subject_id": Field.of(quotas.c.subject_id),
        "period_id": Field.of(quotas.c.period_id),
        "amount": Field.of(quotas.c.amount, currency=quotas.c.currency, sortable=True),
        "note": Field.of(quotas.c.note),
    },
    searched=("note",),
    codecs={"kind": enumerated(QuotaKind)},
    money={"amount": ("amount", "currency")},
    unique={"quotas_subject": QuotaTaken},
)
