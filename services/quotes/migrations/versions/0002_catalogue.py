"""Products and prices in depth: variants, units, bundles, lifecycle; whom a price is for; families; costs."""

from chassis.migrations import Migration

revision = "0002"
down_revision = "0001"

migration = Migration("quotes")


def upgrade() -> None:
    _products()
    _price_books()
    _prices()
    _families()
    _costs()


def _products() -> None:
    migration.sql(
        """
        ALTER TABLE data.products
            ADD COLUMN parent_id uuid,
            ADD COLUMN options jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN attributes jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN variant_key text,
            ADD COLUMN base_unit text NOT NULL DEFAULT 'piece',
            ADD COLUMN units jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN components jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN substitute_ids uuid[] NOT NULL DEFAULT '{}',
            ADD COLUMN accessory_ids uuid[] NOT NULL DEFAULT '{}',
            ADD COLUMN lifecycle text NOT NULL DEFAULT 'active',
            ADD COLUMN active_from date,
            ADD COLUMN phasing_out_from date,
            ADD COLUMN discontinued_from date,
            ADD COLUMN tax_class text NOT NULL DEFAULT '',
            ADD COLUMN weight_kilograms numeric,
            ADD COLUMN images jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN translations jsonb NOT NULL DEFAULT '[]'
        """
    )
    migration.index(
        "products_variant",
        "products",
        "UNIQUE parent_id, variant_key WHERE deleted_at IS NULL AND parent_id IS NOT NULL",
    )
    migration.sql(
        "CREATE INDEX products_components ON data.products USING gin (tenant_id, components jsonb_path_ops)"
    )
    migration.fence("products")


def _price_books() -> None:
    migration.sql(
        """
        ALTER TABLE data.price_books
            ADD COLUMN is_automatic boolean NOT NULL DEFAULT false,
            ADD COLUMN currency text NOT NULL DEFAULT '',
            ADD COLUMN segments text[] NOT NULL DEFAULT '{}',
            ADD COLUMN territories text[] NOT NULL DEFAULT '{}',
            ADD COLUMN channels text[] NOT NULL DEFAULT '{}',
            ADD COLUMN valid_from date,
            ADD COLUMN valid_to date,
            ADD COLUMN priority integer NOT NULL DEFAULT 0,
            ADD COLUMN price_increment numeric
        """
    )
    migration.fence("price_books")


def _prices() -> None:
    migration.sql(
        """
        ALTER TABLE data.price_book_entries
            ADD COLUMN unit text NOT NULL DEFAULT '',
            ADD COLUMN account_id uuid,
            ADD COLUMN minimum_quantity numeric,
            ADD COLUMN tier_mode text NOT NULL DEFAULT 'volume',
            ADD COLUMN tiers jsonb NOT NULL DEFAULT '[]';
        DROP INDEX data.price_book_entries_key
        """
    )
    migration.index(
        "price_book_entries_key",
        "price_book_entries",
        "UNIQUE price_book_id, product_id, currency, (coalesce(valid_from, '-infinity')), unit,"
        " (coalesce(account_id, '00000000-0000-0000-0000-000000000000')) WHERE deleted_at IS NULL",
    )
    # what a quote's lines are priced from: list prices of a product, and those of one customer
    migration.index(
        "price_book_entries_list",
        "price_book_entries",
        "product_id, currency WHERE account_id IS NULL AND deleted_at IS NULL",
    )
    migration.index(
        "price_book_entries_contract",
        "price_book_entries",
        "account_id, product_id, currency WHERE account_id IS NOT NULL AND deleted_at IS NULL",
    )
    migration.fence("price_book_entries")


def _families() -> None:
    migration.entity(
        "product_families",
        """
        name text NOT NULL,
        description text NOT NULL,
        parent_id uuid,
        tax_class text NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "name, id",
        "parent_id",
    )
    migration.index("product_families_name", "product_families", "UNIQUE name WHERE deleted_at IS NULL")


def _costs() -> None:
    migration.entity(
        "product_costs",
        """
        product_id uuid NOT NULL,
        unit_cost numeric NOT NULL,
        currency text NOT NULL,
        valid_from date
        """,
        "created_at, id",
        "updated_at, id",
    )
    migration.index(
        "product_costs_key",
        "product_costs",
        "UNIQUE product_id, currency, (coalesce(valid_from, '-infinity')) WHERE deleted_at IS NULL",
    )
