"""The segment of the market that an account belongs to."""

from chassis.migrations import Migration

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    migration = Migration("contacts")
    migration.sql("ALTER TABLE data.accounts ADD COLUMN segment text NOT NULL DEFAULT ''")
    migration.fence("accounts")
