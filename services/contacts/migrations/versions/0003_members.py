"""Who is in a deal without owning it."""

from chassis.migrations import Migration

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    migration = Migration("contacts")
    # null where nobody is: then it costs the index nothing
    migration.sql(
        "ALTER TABLE data.mentions ADD COLUMN members uuid[];\n"
        "CREATE INDEX mentions_members ON data.mentions USING gin (tenant_id, members) WHERE members IS NOT NULL"
    )
    migration.fence("mentions")
