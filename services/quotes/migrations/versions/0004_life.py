"""Taxes, and the life of a quote in depth."""

from chassis.migrations import Migration

revision = "0004"
down_revision = "0003"

migration = Migration("quotes")


def upgrade() -> None:
    _quotes()
    _taxes()
    _exchange_rates()


def _quotes() -> None:
    migration.sql(
        """
        ALTER TABLE data.quotes
            ADD COLUMN cloned_from_id uuid,
            ADD COLUMN discount_percent numeric NOT NULL DEFAULT 0,
            ADD COLUMN discount_value numeric NOT NULL DEFAULT 0,
            ADD COLUMN tax_region text NOT NULL DEFAULT '',
            ADD COLUMN prices_include_tax boolean NOT NULL DEFAULT false,
            ADD COLUMN tax_total numeric NOT NULL DEFAULT 0,
            ADD COLUMN payable_total numeric,
            ADD COLUMN taxes jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN is_tax_exempt boolean NOT NULL DEFAULT false,
            ADD COLUMN payment_days integer NOT NULL DEFAULT 0,
            ADD COLUMN payment_schedule jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN priced_on date,
            ADD COLUMN exchange_rate numeric,
            ADD COLUMN exchange_currency text NOT NULL DEFAULT '',
            ADD COLUMN exchange_date date,
            ADD COLUMN submitted_at timestamptz,
            ADD COLUMN approved_at timestamptz,
            ADD COLUMN viewed_at timestamptz,
            ADD COLUMN segments text[] NOT NULL DEFAULT '{}',
            ADD COLUMN territories text[] NOT NULL DEFAULT '{}',
            ADD COLUMN channel text NOT NULL DEFAULT '',
            ADD COLUMN coupon_codes text[] NOT NULL DEFAULT '{}',
            ADD COLUMN promotions jsonb NOT NULL DEFAULT '[]';
        UPDATE data.quotes SET payable_total = total;
        ALTER TABLE data.quotes ALTER COLUMN payable_total SET NOT NULL
        """
    )
    migration.fence("quotes")
    migration.index("quotes_payable_total", "quotes", "payable_total, id")
    migration.table(
        "quote_explanations",
        "quote_id uuid NOT NULL, version bigint NOT NULL, explanation jsonb NOT NULL,"
        " PRIMARY KEY (tenant_id, quote_id)",
    )


def _taxes() -> None:
    migration.entity(
        "tax_rates",
        """
        region text NOT NULL,
        tax_class text NOT NULL,
        name text NOT NULL,
        percent numeric NOT NULL,
        valid_from date,
        valid_to date
        """,
        "created_at, id",
        "updated_at, id",
        "region, id",
        "valid_from, id",
    )
    migration.index(
        "tax_rates_key",
        "tax_rates",
        "UNIQUE region, tax_class, name, (coalesce(valid_from, '-infinity')) WHERE deleted_at IS NULL",
    )
    migration.entity(
        "tax_exemptions",
        """
        account_id uuid NOT NULL,
        region text NOT NULL,
        tax_class text NOT NULL,
        certificate text NOT NULL,
        valid_from date,
        valid_to date
        """,
        "created_at, id",
        "updated_at, id",
        "account_id, id",
        "valid_to, id",
    )
    migration.entity(
        "tax_settings",
        """
        calculator text NOT NULL,
        rounding text NOT NULL,
        default_region text NOT NULL,
        default_class text NOT NULL,
        freight_class text NOT NULL,
        prices_include_tax boolean NOT NULL
        """,
    )


def _exchange_rates() -> None:
    migration.table(
        "exchange_rates",
        """
        id uuid NOT NULL,
        version bigint NOT NULL,
        from_currency text NOT NULL,
        to_currency text NOT NULL,
        valid_from date NOT NULL,
        rate numeric NOT NULL,
        deleted boolean NOT NULL,
        PRIMARY KEY (tenant_id, id)
        """,
        "SELECT, INSERT, UPDATE",
    )
    migration.index(
        "exchange_rates_pair", "exchange_rates", "from_currency, to_currency, valid_from WHERE NOT deleted"
    )
    migration.table(
        "reporting_currencies",
        "id uuid NOT NULL, version bigint NOT NULL, currency text NOT NULL, PRIMARY KEY (tenant_id, id)",
        "SELECT, INSERT, UPDATE",
    )
