"""Accounts, contacts, and what deals, quotes and leads say of them."""

from chassis.migrations import Migration

revision = "0001"
down_revision = None

migration = Migration("contacts")


# The inverted indexes do not lead with the tenant: that entry would be as long as the tenant is large, and
# be read in every search (100,000 accounts of one tenant: 3.6 ms instead of 0.6). A short list of pending
# entries, because every search reads all of it, too.
PENDING = "WITH (gin_pending_list_limit = 256)"


def upgrade() -> None:
    migration.chassis(1)
    migration.entity(
        "accounts",
        """
        name text NOT NULL,
        parent_account_id uuid,
        owner_id uuid,
        website text NOT NULL,
        industry text NOT NULL,
        employee_count integer NOT NULL,
        annual_revenue numeric,
        annual_revenue_currency text,
        year_established integer NOT NULL,
        addresses jsonb NOT NULL,
        phones jsonb NOT NULL,
        emails jsonb NOT NULL,
        description text NOT NULL,
        lead_id uuid
        """,
        "created_at, id",
        "owner_id, created_at, id",
        "parent_account_id WHERE parent_account_id IS NOT NULL",
        "name, id",
        "updated_at, id",
    )
    migration.sql(f"CREATE INDEX accounts_names ON data.accounts USING gin (name gin_trgm_ops) {PENDING}")
    migration.sql(
        f"CREATE INDEX accounts_emails ON data.accounts USING gin (emails jsonb_path_ops) {PENDING}"
    )
    migration.sql(
        f"CREATE INDEX accounts_phones ON data.accounts USING gin (phones jsonb_path_ops) {PENDING}"
    )
    migration.entity(
        "contacts",
        """
        given_name text NOT NULL,
        family_name text NOT NULL,
        account_id uuid,
        owner_id uuid,
        title text NOT NULL,
        department text NOT NULL,
        addresses jsonb NOT NULL,
        phones jsonb NOT NULL,
        emails jsonb NOT NULL,
        description text NOT NULL,
        lead_id uuid
        """,
        "created_at, id",
        "owner_id, created_at, id",
        "account_id, created_at, id",
        "family_name, id",
        "given_name, id",
        "updated_at, id",
    )
    migration.sql(
        "CREATE INDEX contacts_names ON data.contacts USING gin"
        f" ((given_name || ' ' || family_name) gin_trgm_ops) {PENDING}"
    )
    migration.sql(
        f"CREATE INDEX contacts_emails ON data.contacts USING gin (emails jsonb_path_ops) {PENDING}"
    )
    migration.sql(
        f"CREATE INDEX contacts_phones ON data.contacts USING gin (phones jsonb_path_ops) {PENDING}"
    )
    migration.table(
        "mentions",
        """
        kind text NOT NULL,
        id uuid NOT NULL,
        version bigint NOT NULL,
        owner_id uuid,
        account_id uuid,
        contact_ids uuid[] NOT NULL,
        deleted boolean NOT NULL,
        PRIMARY KEY (tenant_id, kind, id)
        """,
        rights="SELECT, INSERT, UPDATE",
    )
    migration.index("mentions_owner", "mentions", "owner_id WHERE NOT deleted")
    migration.index("mentions_account", "mentions", "account_id, owner_id WHERE NOT deleted")
    migration.sql(f"CREATE INDEX mentions_contacts ON data.mentions USING gin (contact_ids) {PENDING}")
