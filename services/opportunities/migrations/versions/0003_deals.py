"""Deals: teams, splits, buying roles, tags, custom dates, competitors; the date of the next step."""

from chassis.migrations import Migration

revision = "0003"
down_revision = "0002"

migration = Migration("opportunities")


def upgrade() -> None:
    # Null where a deal has nothing of it: then it takes no room, and no entry in the index.
    migration.sql("ALTER TABLE data.opportunities ADD COLUMN next_step_date date, ADD COLUMN details jsonb")
    migration.sql(
        "CREATE INDEX opportunities_details ON data.opportunities"
        " USING gin (tenant_id, details jsonb_path_ops) WHERE details IS NOT NULL"
    )
    migration.sql(
        "ALTER TABLE data.pipelines ADD COLUMN is_forecast_category_fixed boolean NOT NULL DEFAULT false"
    )
    migration.fence("opportunities")
    migration.fence("pipelines")
