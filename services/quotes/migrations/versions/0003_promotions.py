"""Promotions, their coupons, and what was redeemed."""

from chassis.migrations import Migration

revision = "0003"
down_revision = "0002"

migration = Migration("quotes")


def upgrade() -> None:
    _promotions()
    _coupons()
    _redemptions()
    migration.entity(
        "pricing_settings",
        """
        policy text NOT NULL,
        within_percent numeric NOT NULL,
        combine text NOT NULL,
        remainder text NOT NULL,
        grouping text NOT NULL,
        rounding text NOT NULL,
        round_at text NOT NULL,
        record_zero_effect boolean NOT NULL,
        allows_zero_prices boolean NOT NULL,
        budget_ms integer NOT NULL,
        line_margin_floor numeric,
        document_margin_floor numeric
        """,
    )


def _promotions() -> None:
    migration.entity(
        "promotions",
        """
        code text NOT NULL,
        name text NOT NULL,
        description text NOT NULL,
        state text NOT NULL,
        priority integer NOT NULL,
        phase integer NOT NULL,
        currency text NOT NULL,
        valid_from date,
        valid_to date,
        needs_coupon boolean NOT NULL,
        benefit jsonb NOT NULL,
        conditions jsonb NOT NULL,
        stacking jsonb NOT NULL,
        limits jsonb NOT NULL,
        funding jsonb NOT NULL,
        activated_at timestamptz,
        ended_at timestamptz
        """,
        "created_at, id",
        "updated_at, id",
        "name, id",
        "priority, id",
        "valid_from, id",
        "valid_to, id",
    )
    migration.index("promotions_code", "promotions", "UNIQUE code WHERE deleted_at IS NULL")
    migration.index("promotions_codes", "promotions", "code, id")
    # what has ended is not read again, however much of it there is
    migration.index(
        "promotions_live",
        "promotions",
        "(coalesce(valid_to, 'infinity')) WHERE state = 'active' AND deleted_at IS NULL",
    )
    for column in ("name", "code"):
        migration.sql(
            f"CREATE INDEX promotions_{column}_words ON data.promotions"
            f" USING gin (tenant_id, {column} gin_trgm_ops)"
        )
    # one row a tenant, raised with every change: whoever keeps the live promotions looks only there
    migration.table(
        "promotion_epochs", "epoch bigint NOT NULL, PRIMARY KEY (tenant_id)", "SELECT, INSERT, UPDATE"
    )


def _coupons() -> None:
    migration.entity(
        "coupon_batches",
        """
        promotion_id uuid NOT NULL,
        name text NOT NULL,
        prefix text NOT NULL,
        count integer NOT NULL,
        max_redemptions integer,
        valid_from date,
        valid_to date,
        is_enabled boolean NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "promotion_id, created_at, id",
        "name, id",
    )
    migration.entity(
        "coupons",
        """
        code text NOT NULL,
        batch_id uuid NOT NULL,
        promotion_id uuid NOT NULL,
        is_enabled boolean NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "batch_id, code, id",
        "promotion_id, code, id",
        "code, id",
    )
    migration.index("coupons_code", "coupons", "UNIQUE code")


def _redemptions() -> None:
    migration.entity(
        "redemptions",
        """
        promotion_id uuid NOT NULL,
        promotion_code text NOT NULL,
        quote_id uuid NOT NULL,
        account_id uuid,
        owner_id uuid NOT NULL,
        coupon_id uuid,
        coupon_code text NOT NULL,
        count integer NOT NULL,
        discount numeric NOT NULL,
        currency text NOT NULL,
        state text NOT NULL,
        expires_at timestamptz NOT NULL,
        consumed_at timestamptz,
        released_at timestamptz,
        is_counted boolean NOT NULL DEFAULT true
        """,
        "created_at, id",
        "updated_at, id",
        "owner_id, created_at, id",
        "promotion_id, created_at, id",
        "account_id, created_at, id",
        "discount, id",
        "expires_at, id",
    )
    migration.index(
        "redemptions_quote",
        "redemptions",
        "UNIQUE quote_id, promotion_id WHERE state = 'reserved' AND is_counted",
    )
    migration.index("redemptions_quotes", "redemptions", "quote_id, id")
    migration.index(
        "redemptions_expiry",
        "redemptions",
        "promotion_id, expires_at WHERE state = 'reserved' AND is_counted",
    )
    # What was redeemed of a promotion: in all, by one customer, with one coupon. The limits stand beside
    # it, so that one conditional statement counts and compares.
    migration.table(
        "promotion_usage",
        """
        promotion_id uuid NOT NULL,
        scope_id uuid NOT NULL,
        reserved_count bigint NOT NULL DEFAULT 0,
        reserved_amount numeric NOT NULL DEFAULT 0,
        consumed_count bigint NOT NULL DEFAULT 0,
        consumed_amount numeric NOT NULL DEFAULT 0,
        max_count bigint,
        max_amount numeric,
        PRIMARY KEY (tenant_id, promotion_id, scope_id)
        """,
        "SELECT, INSERT, UPDATE",
    )
