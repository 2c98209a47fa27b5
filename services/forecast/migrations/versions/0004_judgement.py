"""What people say that a period will bring."""

from chassis.migrations import Migration

revision = "0004"
down_revision = "0002"


def upgrade() -> None:
    Migration("forecast").entity(
        "forecast_submissions",
        """
        user_id uuid NOT NULL,
        author_id uuid NOT NULL,
        period_id text NOT NULL,
        category smallint NOT NULL,
        amount numeric NOT NULL,
        currency text NOT NULL,
        note text NOT NULL,
        expires_at timestamptz,
        state text NOT NULL,
        system_amount numeric,
        replaced_amount numeric,
        replaced_author_id uuid
        """,
        "created_at, id",
        "author_id, created_at, id",
        "period_id, user_id",
        "updated_at, id",
    )
