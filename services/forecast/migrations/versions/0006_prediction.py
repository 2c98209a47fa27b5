"""What was learnt from history: the card of each model."""

from chassis.migrations import Migration

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    forecast = Migration("forecast")
    forecast.table(
        "prediction_models",
        "trained_at timestamptz NOT NULL, until date NOT NULL, card jsonb NOT NULL,"
        " PRIMARY KEY (tenant_id, trained_at)",
    )
