"""The cards of the models that were learnt."""

import sqlalchemy as sa
from sqlalchemy import Column, Table
from sqlalchemy.dialects.postgresql import JSONB

from services.forecast.tables.metadata import metadata

prediction_models = Table(
    "prediction_models",
    metadata,
    Column("trained_at", sa.DateTime(timezone=True), primary_key=True),
    # the last day that it knows
    Column("until", sa.Date),
    Column("card", JSONB),
)
