"""What people, teams, territories and products are to bring."""

from chassis.migrations import Migration

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    forecast = Migration("forecast")
    forecast.entity(
        "quotas",
        """
        kind text NOT NULL,
        subject_id uuid NOT NULL,
        owner_id uuid,
        period_id text NOT NULL,
        amount numeric NOT NULL,
        currency text NOT NULL,
        note text NOT NULL
        """,
        "created_at, id",
        "owner_id, created_at, id",
        "period_id, kind",
        "updated_at, id",
        "amount, id",
    )
    forecast.index("quotas_subject", "quotas", "UNIQUE subject_id, kind, period_id WHERE deleted_at IS NULL")
