"""Leads and queues."""

from chassis.migrations import Migration

revision = "0001"
down_revision = None

migration = Migration("leads")


# The inverted indexes do not lead with the tenant: that entry would be as long as the tenant is large, and
# be read in every search (100,000 accounts of one tenant: 3.6 ms instead of 0.6). A short list of pending
# entries, because every search reads all of it, too.
PENDING = "WITH (gin_pending_list_limit = 256)"


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
        f" ((given_name || ' ' || family_name || ' ' || company_name) gin_trgm_ops) {PENDING}"
    )
    migration.sql(f"CREATE INDEX leads_emails ON data.leads USING gin (emails jsonb_path_ops) {PENDING}")
    migration.sql(f"CREATE INDEX leads_phones ON data.leads USING gin (phones jsonb_path_ops) {PENDING}")
    migration.entity(
        "queues",
        "name text NOT NULL, member_ids uuid[] NOT NULL",
        "created_at, id",
        "UNIQUE name WHERE deleted_at IS NULL",
    )
