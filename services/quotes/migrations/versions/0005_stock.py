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
    _warehouses()
    _items()
    _movements()
    _promises()
    migration.entity("stock_settings", "hold_rules jsonb NOT NULL")


def _warehouses() -> None:
    migration.entity(
        "warehouses",
        """
        code text NOT NULL,
        name text NOT NULL,
        address text NOT NULL,
        country text NOT NULL,
        latitude double precision,
        longitude double precision,
        is_active boolean NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "name, id",
        "country, id",
    )
    migration.index("warehouses_code", "warehouses", "UNIQUE code")
    for column in ("name", "code"):
        migration.sql(
            f"CREATE INDEX warehouses_{column}_words ON data.warehouses"
            f" USING gin (tenant_id, {column} gin_trgm_ops)"
        )


def _items() -> None:
    migration.entity(
        "stock_items",
        """
        warehouse_id uuid NOT NULL,
        product_id uuid NOT NULL,
        level_version bigint NOT NULL,
        on_hand numeric NOT NULL,
        safety_stock numeric NOT NULL,
        safety_version bigint NOT NULL,
        shipped numeric NOT NULL,
        incoming numeric NOT NULL,
        shortfall numeric NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "warehouse_id, id",
        "on_hand, id",
        "shortfall, id",
    )
    migration.index("stock_items_key", "stock_items", "UNIQUE product_id, warehouse_id")


def _movements() -> None:
    migration.table(
        "stock_shipments",
        """
        shipment text NOT NULL,
        warehouse_id uuid NOT NULL,
        product_id uuid NOT NULL,
        version bigint NOT NULL,
        order_number text NOT NULL,
        quantity numeric NOT NULL,
        is_included boolean NOT NULL,
        PRIMARY KEY (tenant_id, product_id, warehouse_id, shipment)
        """,
    )
    migration.index("stock_shipments_shipment", "stock_shipments", "shipment")
    migration.index(
        "stock_shipments_order", "stock_shipments", "order_number, product_id WHERE order_number <> ''"
    )
    migration.index(
        "stock_shipments_open",
        "stock_shipments",
        "product_id, warehouse_id WHERE NOT is_included AND quantity > 0",
    )
    migration.table(
        "stock_receipts",
        """
        receipt text NOT NULL,
        warehouse_id uuid,
        product_id uuid,
        version bigint NOT NULL,
        quantity numeric NOT NULL,
        due_on date,
        is_included boolean NOT NULL,
        PRIMARY KEY (tenant_id, receipt)
        """,
    )
    migration.index(
        "stock_receipts_open",
        "stock_receipts",
        "product_id, warehouse_id WHERE NOT is_included AND quantity > 0",
    )


def _promises() -> None:
    migration.table(
        "stock_promises",
        """
        id uuid NOT NULL,
        kind text NOT NULL,
        product_id uuid NOT NULL,
        warehouse_id uuid NOT NULL,
        quantity numeric NOT NULL,
        shipped numeric NOT NULL,
        due_on date NOT NULL,
        created_at timestamptz NOT NULL,
        expires_at timestamptz,
        quote_id uuid NOT NULL,
        line_id uuid NOT NULL,
        order_number text NOT NULL,
        PRIMARY KEY (tenant_id, id)
        """,
    )
    migration.sql(
        "CREATE INDEX stock_promises_item ON data.stock_promises (tenant_id, product_id, warehouse_id, due_on)"
        " INCLUDE (quantity, shipped, expires_at)"
    )
    migration.index("stock_promises_quote", "stock_promises", "quote_id")
    migration.index(
        "stock_promises_order", "stock_promises", "order_number, product_id WHERE order_number <> ''"
    )
    migration.index("stock_promises_expiry", "stock_promises", "expires_at WHERE expires_at IS NOT NULL")
