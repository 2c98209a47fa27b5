"""Alerts about deals."""

from chassis.migrations import Migration

revision = "0005"
down_revision = "0004"

migration = Migration("opportunities")


def upgrade() -> None:
    migration.entity(
        "alerts",
        """
        opportunity_id uuid NOT NULL,
        owner_id uuid,
        kind text NOT NULL,
        state text NOT NULL,
        since_at timestamptz NOT NULL,
        cleared_at timestamptz,
        passed_limit numeric,
        explanation text NOT NULL,
        snoozed_until timestamptz,
        snooze_reason text NOT NULL,
        snoozed_by uuid
        """,
        "created_at, id",
        "updated_at, id",
        "since_at, id",
        "opportunity_id, kind",
        "owner_id, state, created_at, id",
        "state, kind, created_at, id",
    )
    migration.entity(
        "alert_settings",
        """
        disabled_kinds text[] NOT NULL,
        stuck_percent integer NOT NULL,
        stuck_minimum_deals integer NOT NULL,
        next_step_days integer NOT NULL,
        touch_days integer NOT NULL,
        amount_percent integer NOT NULL,
        amount_days integer NOT NULL,
        single_threaded_days integer NOT NULL
        """,
    )
    # when each open deal has to be looked at again
    migration.table(
        "deal_watches",
        "deal_id uuid NOT NULL, next_at timestamptz NOT NULL, PRIMARY KEY (tenant_id, deal_id)",
    )
    migration.index("deal_watches_next", "deal_watches", "next_at, deal_id")
    # after how long deals in a stage count as stuck; sizes from `amount_from` up to below `amount_to`
    migration.table(
        "stuck_limits",
        """
        pipeline_id uuid NOT NULL,
        stage_id uuid NOT NULL,
        size text NOT NULL,
        amount_from numeric,
        amount_to numeric,
        seconds bigint NOT NULL,
        deals integer NOT NULL,
        learnt_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, stage_id, size)
        """,
    )
    migration.index("stuck_limits_pipeline", "stuck_limits", "pipeline_id, stage_id, size")
