"""What an ERP needs of an order, and what it says of orders and customers."""

from chassis.migrations import Migration

revision = "0008"
down_revision = "0007"

migration = Migration("quotes")


def upgrade() -> None:
    _orders()
    _customers()
    migration.sql(
        """
        ALTER TABLE data.quotes
            ADD COLUMN requested_date date,
            ADD COLUMN credit_warnings text[] NOT NULL DEFAULT '{}'
        """
    )
    migration.fence("quotes")


def _orders() -> None:
    migration.sql(
        """
        ALTER TABLE data.orders
            ADD COLUMN quote_number text NOT NULL DEFAULT '',
            ADD COLUMN quote_revision integer NOT NULL DEFAULT 1,
            ADD COLUMN customer jsonb NOT NULL DEFAULT '{"name": "", "external_ids": [], "addresses": []}',
            ADD COLUMN items jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN discount_percent numeric NOT NULL DEFAULT 0,
            ADD COLUMN discount_value numeric NOT NULL DEFAULT 0,
            ADD COLUMN prices_include_tax boolean NOT NULL DEFAULT false,
            ADD COLUMN tax_region text NOT NULL DEFAULT '',
            ADD COLUMN tax_total numeric NOT NULL DEFAULT 0,
            ADD COLUMN payable_total numeric,
            ADD COLUMN promotions jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN taxes jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN is_tax_exempt boolean NOT NULL DEFAULT false,
            ADD COLUMN payment_days integer NOT NULL DEFAULT 0,
            ADD COLUMN payment_schedule jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN terms text NOT NULL DEFAULT '',
            ADD COLUMN exchange_rate numeric,
            ADD COLUMN exchange_currency text NOT NULL DEFAULT '',
            ADD COLUMN exchange_date date,
            ADD COLUMN requested_date date,
            ADD COLUMN standing jsonb,
            ADD COLUMN shipments jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN invoices jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN payments jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN attention text NOT NULL DEFAULT '';
        UPDATE data.orders SET payable_total = total;
        ALTER TABLE data.orders ALTER COLUMN payable_total SET NOT NULL
        """
    )
    migration.fence("orders")
    migration.index("orders_payable_total", "orders", "payable_total, id")
    # what was last said of each paper: an order is added up from all that speak of it
    migration.table(
        "order_reports",
        """
        kind text NOT NULL,
        key text NOT NULL,
        order_number text NOT NULL,
        version bigint NOT NULL,
        rank text NOT NULL,
        content jsonb NOT NULL,
        PRIMARY KEY (tenant_id, kind, key)
        """,
        "SELECT, INSERT, UPDATE",
    )
    migration.index("order_reports_order", "order_reports", "order_number")


def _customers() -> None:
    migration.table(
        "customers",
        """
        id uuid NOT NULL,
        version bigint NOT NULL,
        name text NOT NULL,
        external_ids jsonb NOT NULL,
        addresses jsonb NOT NULL,
        PRIMARY KEY (tenant_id, id)
        """,
        "SELECT, INSERT, UPDATE",
    )
    migration.sql(
        "CREATE INDEX customers_external_ids ON data.customers USING gin (tenant_id, external_ids jsonb_path_ops)"
    )
    migration.entity(
        "customer_credits",
        """
        credit_limit numeric,
        credit_limit_currency text,
        balance numeric,
        balance_currency text,
        overdue numeric,
        overdue_currency text,
        is_blocked boolean NOT NULL,
        reported_version bigint NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
    )
    migration.entity(
        "credit_settings",
        """
        over_limit text NOT NULL,
        overdue text NOT NULL,
        blocked text NOT NULL,
        overdue_tolerance numeric,
        overdue_tolerance_currency text
        """,
    )
