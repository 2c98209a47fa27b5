"""Products, price books and their entries, quotes, orders, and what numbers them."""

from chassis.migrations import Migration

revision = "0001"
down_revision = None

migration = Migration("quotes")

_PAPER = """
    opportunity_id uuid NOT NULL,
    account_id uuid,
    contact_id uuid,
    owner_id uuid NOT NULL,
    state text NOT NULL,
    currency text NOT NULL,
    lines jsonb NOT NULL,
    subtotal numeric NOT NULL,
    total numeric NOT NULL,
    purchase_order_number text NOT NULL
"""


def upgrade() -> None:
    migration.chassis(1)
    _products()
    _prices()
    _quotes()
    _orders()
    migration.table("numbers", "kind text NOT NULL, last bigint NOT NULL, PRIMARY KEY (tenant_id, kind)")


def _products() -> None:
    migration.entity(
        "products",
        """
        code text NOT NULL,
        name text NOT NULL,
        description text NOT NULL,
        family text NOT NULL,
        is_active boolean NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "code, id",
        "name, id",
        "family, id",
    )
    migration.index("products_code", "products", "UNIQUE code WHERE deleted_at IS NULL")
    for column in ("name", "code"):
        migration.sql(
            f"CREATE INDEX products_{column}_words ON data.products USING gin (tenant_id, {column} gin_trgm_ops)"
        )


def _prices() -> None:
    migration.entity(
        "price_books",
        "name text NOT NULL, description text NOT NULL, is_standard boolean NOT NULL",
        "created_at, id",
        "updated_at, id",
    )
    migration.index("price_books_name", "price_books", "UNIQUE name WHERE deleted_at IS NULL")
    migration.index("price_books_standard", "price_books", "UNIQUE is_standard WHERE is_standard")
    migration.entity(
        "price_book_entries",
        """
        price_book_id uuid NOT NULL,
        product_id uuid NOT NULL,
        unit_price numeric NOT NULL,
        currency text NOT NULL,
        valid_from date,
        valid_to date
        """,
        "created_at, id",
        "updated_at, id",
        "product_id, price_book_id, currency",
        "unit_price, id",
        "valid_from, id",
        "valid_to, id",
    )
    migration.index(
        "price_book_entries_key",
        "price_book_entries",
        "UNIQUE price_book_id, product_id, currency, (coalesce(valid_from, '-infinity')) WHERE deleted_at IS NULL",
    )


def _quotes() -> None:
    migration.entity(
        "quotes",
        f"""
        number text NOT NULL,
        revision integer NOT NULL,
        name text NOT NULL,
        {_PAPER},
        price_book_id uuid NOT NULL,
        valid_until date,
        is_primary boolean NOT NULL,
        primary_at timestamptz,
        terms text NOT NULL,
        description text NOT NULL,
        sent_at timestamptz,
        accepted_at timestamptz,
        accepted_by text NOT NULL,
        order_id uuid,
        ended_at timestamptz,
        end_reason text NOT NULL,
        revised_from_id uuid,
        revised_by_id uuid
        """,
        "created_at, id",
        "updated_at, id",
        "owner_id, created_at, id",
        "opportunity_id",
        "account_id",
        "number, id",
        "valid_until, id",
        "total, id",
        "name, id",
    )
    migration.index("quotes_number", "quotes", "UNIQUE number, revision")
    migration.index("quotes_primary", "quotes", "UNIQUE opportunity_id WHERE is_primary")
    for column in ("name", "number"):
        migration.sql(
            f"CREATE INDEX quotes_{column}_words ON data.quotes USING gin (tenant_id, {column} gin_trgm_ops)"
        )


def _orders() -> None:
    migration.entity(
        "orders",
        f"""
        number text NOT NULL,
        quote_id uuid NOT NULL,
        {_PAPER},
        placed_at timestamptz NOT NULL,
        cancelled_at timestamptz,
        cancel_reason text NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "owner_id, created_at, id",
        "opportunity_id",
        "account_id",
        "number, id",
        "total, id",
        "placed_at, id",
    )
    migration.index("orders_number", "orders", "UNIQUE number")
    migration.index("orders_quote", "orders", "UNIQUE quote_id")
    migration.sql(
        "CREATE INDEX orders_number_words ON data.orders USING gin (tenant_id, number gin_trgm_ops)"
    )
