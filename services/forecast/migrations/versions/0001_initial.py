"""What the forecast keeps of the others' events."""

from chassis.migrations import Migration

revision = "0001"
down_revision = None

KEPT = "id uuid NOT NULL, version bigint NOT NULL, PRIMARY KEY (tenant_id, id)"


def upgrade() -> None:
    forecast = Migration("forecast")
    forecast.chassis(1)
    forecast.table(
        "deals",
        f"""{KEPT},
        name text NOT NULL,
        owner_id uuid,
        account_id uuid,
        stage_id uuid,
        state smallint NOT NULL,
        amount numeric,
        currency text NOT NULL,
        closes_on date NOT NULL,
        lead_id uuid,
        product_ids uuid[] NOT NULL,
        product_ends numeric[] NOT NULL,
        deleted boolean NOT NULL,
        recorded_at timestamptz NOT NULL,
        effective_at timestamptz NOT NULL""",
    )
    forecast.index("deals_closing", "deals", "closes_on WHERE NOT deleted")
    forecast.index("deals_owned", "deals", "owner_id, closes_on WHERE NOT deleted")
    forecast.table(
        "stages",
        f"{KEPT}, pipeline_id uuid NOT NULL, name text NOT NULL, category smallint NOT NULL,"
        " probability smallint NOT NULL",
    )
    forecast.table("users", f"{KEPT}, name text NOT NULL")
    forecast.table("territories", f"{KEPT}, name text NOT NULL, parent_id uuid, deleted boolean NOT NULL")
    forecast.table(
        "territory_assignments",
        f"{KEPT}, user_id uuid NOT NULL, territory_id uuid NOT NULL, valid_from timestamptz NOT NULL,"
        " valid_to timestamptz NOT NULL",
    )
    forecast.table("products", f"{KEPT}, name text NOT NULL")
    forecast.table(
        "exchange_rates",
        f"{KEPT}, from_currency text NOT NULL, to_currency text NOT NULL, valid_from date NOT NULL,"
        " rate numeric NOT NULL, deleted boolean NOT NULL",
    )
    forecast.index(
        "exchange_rates_latest", "exchange_rates", "from_currency, to_currency, valid_from WHERE NOT deleted"
    )
    forecast.table(
        "tenant_settings",
        f"{KEPT}, reporting_currency text NOT NULL, time_zone text NOT NULL, first_month smallint NOT NULL",
    )
    forecast.table("converting_leads", f"{KEPT}, converting boolean NOT NULL")
    forecast.index("converting_leads_under_way", "converting_leads", "id WHERE converting")
    forecast.table("progress", "changes bigint NOT NULL, PRIMARY KEY (tenant_id)")
