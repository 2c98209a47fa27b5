"""What metrics are computed from: every version of every deal as columns, its visits of stages, and every
recorded version of exchange rates and of what the tenant has set."""

from chassis.migrations import Migration

revision = "0006"
down_revision = "0005"

migration = Migration("opportunities")

# A version holds, in recorded time, from `recorded_at` until `recorded_until`.
RECORDED = (
    "version bigint NOT NULL, recorded_at timestamptz NOT NULL,"
    " recorded_until timestamptz NOT NULL DEFAULT 'infinity'"
)


def upgrade() -> None:
    migration.table(
        "deal_versions",
        f"""
        id uuid NOT NULL,
        {RECORDED},
        effective_at timestamptz NOT NULL,
        name text NOT NULL,
        account_id uuid,
        owner_id uuid,
        pipeline_id uuid NOT NULL,
        stage_id uuid NOT NULL,
        closed_from uuid,
        state text NOT NULL,
        amount numeric,
        currency text,
        close_date date,
        lost_reason text NOT NULL,
        is_from_lead boolean NOT NULL,
        product_ids uuid[] NOT NULL,
        product_amounts numeric[] NOT NULL,
        credited_ids uuid[] NOT NULL,
        credited_amounts numeric[] NOT NULL,
        tags text[] NOT NULL,
        competitor_ids uuid[] NOT NULL,
        lost_to uuid,
        deleted boolean NOT NULL,
        PRIMARY KEY (tenant_id, id, version)
        """,
        "SELECT, INSERT, UPDATE",
    )
    migration.index("deal_versions_effective", "deal_versions", "id, effective_at DESC, version DESC")
    migration.index("deal_versions_pipeline", "deal_versions", "pipeline_id, state, recorded_until")
    migration.index("deal_versions_owner", "deal_versions", "owner_id, recorded_until")
    migration.index("deal_versions_state", "deal_versions", "state, recorded_until")
    migration.index(
        "deal_versions_closed", "deal_versions", "close_date, recorded_until WHERE state <> 'OPEN'"
    )
    migration.table(
        "stage_visits",
        """
        deal_id uuid NOT NULL,
        version bigint NOT NULL,
        recorded_at timestamptz NOT NULL,
        entered_at timestamptz NOT NULL,
        pipeline_id uuid NOT NULL,
        stage_id uuid NOT NULL,
        PRIMARY KEY (tenant_id, deal_id, version)
        """,
        "SELECT, INSERT",
    )
    migration.index("stage_visits_order", "stage_visits", "deal_id, entered_at, version")
    migration.index("stage_visits_first", "stage_visits", "deal_id, entered_at WHERE version = 1")
    migration.index("stage_visits_entered", "stage_visits", "entered_at")
    migration.index("stage_visits_stage", "stage_visits", "pipeline_id, stage_id, entered_at")
    migration.table(
        "exchange_rates",
        f"""
        id uuid NOT NULL,
        {RECORDED},
        from_currency text NOT NULL,
        to_currency text NOT NULL,
        valid_from date NOT NULL,
        rate numeric NOT NULL,
        deleted boolean NOT NULL,
        PRIMARY KEY (tenant_id, id, version)
        """,
        "SELECT, INSERT, UPDATE",
    )
    migration.index(
        "exchange_rates_latest",
        "exchange_rates",
        "from_currency, to_currency, valid_from DESC, recorded_at DESC",
    )
    migration.table(
        "tenant_settings",
        f"""
        id uuid NOT NULL,
        {RECORDED},
        reporting_currency text NOT NULL,
        time_zone text NOT NULL,
        PRIMARY KEY (tenant_id, id, version)
        """,
        "SELECT, INSERT, UPDATE",
    )
