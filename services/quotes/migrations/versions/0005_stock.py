"""Warehouses, what stands in them, and what is promised of it."""

from chassis.migrations import Migration

revision = "0005"
down_revision = "0004"

migration = Migration("quotes")


def upgrade() -> None:
    migration.table(
        "reported_versions",
        "kind text NOT NULL, key text NOT NULL, version bigint NOT NULL, PRIMARY KEY (tenant_id, kind, key)",
    )
