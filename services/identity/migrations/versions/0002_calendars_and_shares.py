"""Fiscal years of weeks; territories that are covered in part."""

from chassis.migrations import Migration

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    migration = Migration("identity")
    migration.sql(
        """
        ALTER TABLE data.tenants ADD COLUMN fiscal_weeks jsonb;
        ALTER TABLE data.territory_assignments ADD COLUMN share numeric NOT NULL DEFAULT 1
        """
    )
    migration.fence("tenants")
    migration.fence("territory_assignments")
