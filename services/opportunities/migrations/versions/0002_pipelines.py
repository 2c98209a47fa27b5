"""Pipelines: teams, product lines, gates and stages that were taken out; what quotes and orders leave to be
decided about a deal."""

from chassis.migrations import Migration

revision = "0002"
down_revision = "0001"

migration = Migration("opportunities")


def upgrade() -> None:
    migration.sql(
        """
        ALTER TABLE data.pipelines
            ADD COLUMN manager_ids uuid[] NOT NULL DEFAULT '{}',
            ADD COLUMN product_families text[] NOT NULL DEFAULT '{}',
            ADD COLUMN win_gate text NOT NULL DEFAULT 'ALL_STAGES',
            ADD COLUMN retired_stages jsonb NOT NULL DEFAULT '[]';
        ALTER TABLE data.opportunities ADD COLUMN quote_links jsonb
        """
    )
    migration.fence("pipelines")
    migration.fence("opportunities")
    # which family a product belongs to, and which quotes of a deal are open: as the quotes service says
    migration.table(
        "products",
        "id uuid NOT NULL, version bigint NOT NULL, family text NOT NULL, PRIMARY KEY (tenant_id, id)",
    )
    migration.table(
        "product_families",
        """
        id uuid NOT NULL,
        version bigint NOT NULL,
        name text NOT NULL,
        parent_id uuid,
        PRIMARY KEY (tenant_id, id)
        """,
    )
    migration.index("product_families_name", "product_families", "name")
    migration.table(
        "deal_quotes",
        """
        id uuid NOT NULL,
        version bigint NOT NULL,
        opportunity_id uuid NOT NULL,
        is_open boolean NOT NULL,
        PRIMARY KEY (tenant_id, id)
        """,
    )
    migration.index("deal_quotes_open", "deal_quotes", "opportunity_id WHERE is_open")
