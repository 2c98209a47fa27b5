"""Leads and queues."""

from chassis.migrations import Migration

revision = "0001"
down_revision = None

migration = Migration("leads")


def upgrade() -> None:
    migration.chassis(1)
    migration.entity(
        "leads",
        """
        given_name text NOT NULL,
        family_name text NOT NULL,
        title text NOT NULL,
        company_name text NOT NULL,
        website text NOT NULL,
        industry text NOT NULL,
        employee_count integer NOT NULL,
        annual_revenue numeric,
        annual_revenue_currency text,
        addresses jsonb NOT NULL,
        phones jsonb NOT NULL,
        emails jsonb NOT NULL,
        description text NOT NULL,
        source text NOT NULL,
        owner_id uuid,
        queue_id uuid,
        state text NOT NULL,
        disqualify_reason text NOT NULL,
        estimated_amount numeric,
        estimated_amount_currency text,
        estimated_close_date date,
        conversion jsonb,
        converted_at timestamptz
        """,
        "created_at, id",
        "owner_id, created_at, id",
        "queue_id, created_at, id WHERE owner_id IS NULL",
        "state, created_at, id",
        "company_name, id",
        "family_name, id",
        "updated_at, id",
    )
    migration.sql(
        "CREATE INDEX leads_names ON data.leads USING gin"
        " (tenant_id, (given_name || ' ' || family_name || ' ' || company_name) gin_trgm_ops)"
    )
    migration.sql("CREATE INDEX leads_emails ON data.leads USING gin (tenant_id, emails jsonb_path_ops)")
    migration.sql("CREATE INDEX leads_phones ON data.leads USING gin (tenant_id, phones jsonb_path_ops)")
    migration.entity(
        "queues",
        "name text NOT NULL, member_ids uuid[] NOT NULL",
        "created_at, id",
        "UNIQUE name WHERE deleted_at IS NULL",
    )
