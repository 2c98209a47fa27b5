"""The deals and the pipelines."""

from chassis.migrations import Migration

revision = "0001"
down_revision = None

migration = Migration("opportunities")


def upgrade() -> None:
    migration.chassis(1)
    migration.entity(
        "opportunities",
        """
        name text NOT NULL,
        account_id uuid,
        owner_id uuid,
        pipeline_id uuid NOT NULL,
        stage_id uuid NOT NULL,
        closed_from uuid,
        state text NOT NULL,
        amount numeric,
        currency text,
        line_items jsonb NOT NULL,
        close_date date,
        closed_at timestamptz,
        lost_reason text NOT NULL,
        next_step text NOT NULL,
        description text NOT NULL,
        lead_id uuid,
        contact_ids uuid[] NOT NULL,
        primary_quote_id uuid,
        primary_quote_at timestamptz,
        primary_quote_version bigint NOT NULL,
        quote_proposal jsonb
        """,
        "created_at, id",
        "owner_id, created_at, id",
        "pipeline_id, stage_id",
        "account_id",
        "close_date, id",
        "updated_at, id",
        "amount, id",
        "name, id",
    )
    migration.sql(
        "CREATE INDEX opportunities_names ON data.opportunities USING gin (tenant_id, name gin_trgm_ops)"
    )
    migration.entity(
        "pipelines",
        "name text NOT NULL, is_default boolean NOT NULL, stages jsonb NOT NULL",
        "created_at, id",
    )
    migration.entity(
        "quote_settings", "primary_quote text NOT NULL, acceptance text NOT NULL, acceptance_stage_id uuid"
    )
