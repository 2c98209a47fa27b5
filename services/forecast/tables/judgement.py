"""The table of what people say."""

import sqlalchemy as sa
from sfa.forecast.v1 import events_pb2

from chassis.columns import enumerated
from chassis.fields import Field
from chassis.schema import entity_table, timestamp_column
from chassis.store import EntityType
from services.forecast.domain.figures import Category
from services.forecast.domain.judgement import JUDGED, ForecastSubmission, SubmissionState
from services.forecast.tables.metadata import metadata
from services.forecast.wire import judgement as wire

forecast_submissions = entity_table(
    "forecast_submissions",
    metadata,
    sa.Column("user_id", sa.Uuid, nullable=False),
    sa.Column("author_id", sa.Uuid, nullable=False),
    sa.Column("period_id", sa.Text, nullable=False),
    sa.Column("category", sa.SmallInteger, nullable=False),
    sa.Column("amount", sa.Numeric, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    timestamp_column("expires_at"),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("system_amount", sa.Numeric),
    sa.Column("replaced_amount", sa.Numeric),
    sa.Column("replaced_author_id", sa.Uuid),
)

_columns = forecast_submissions.c

FORECAST_SUBMISSION = EntityType(
    name="forecast_submission",
    cls=ForecastSubmission,
    table=forecast_submissions,
    to_proto=wire.submission_to_proto,
    events=events_pb2,
    # whoever said it: what somebody above says of one's own number is not for oneself to see
    owner="author_id",
    # what was said stays said by whoever said it
    is_open=lambda _: sa.false(),
    fields={
        "user_id": Field.of(_columns.user_id),
        "author_id": Field.of(_columns.author_id),
        "period_id": Field.of(_columns.period_id),
        "category": Field.of(_columns.category, names={each.name: each.value for each in JUDGED}),
        "amount": Field.of(_columns.amount, currency=_columns.currency),
        "note": Field.of(_columns.note),
        "expire_time": Field.of(_columns.expires_at),
        "state": Field.of(_columns.state, names=SubmissionState),
        "replaced_author_id": Field.of(_columns.replaced_author_id),
    },
    searched=("note",),
    codecs={"category": enumerated(Category), "state": enumerated(SubmissionState)},
    money={"amount": ("amount", "currency")},
)
