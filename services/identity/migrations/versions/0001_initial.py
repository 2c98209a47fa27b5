"""Tenants, people, whom they report to, territories, rates, and what signing in needs."""

from alembic import op

from chassis.migrations import Migration

revision = "0001"
down_revision = None

migration = Migration("identity")

# What is looked up before a tenant is known. The rows are kept by triggers, so that no statement that
# writes a user or a provider can forget them.
_HANDLES = """
CREATE TABLE app.handles (
    kind text NOT NULL,
    digest bytea NOT NULL,
    tenant_id uuid NOT NULL,
    entity_id uuid NOT NULL,
    PRIMARY KEY (kind, digest, tenant_id, entity_id)
)
"""

_KEEP_HANDLE = """
CREATE FUNCTION data.keep_handle() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind text := TG_ARGV[0];
    before text := CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) ->> TG_ARGV[1] ELSE '' END;
    after text := CASE WHEN NEW.deleted_at IS NULL THEN to_jsonb(NEW) ->> TG_ARGV[1] ELSE '' END;
BEGIN
    IF before <> '' AND (after <> before OR NEW.deleted_at IS NOT NULL) THEN
        DELETE FROM app.handles AS handle WHERE handle.kind = TG_ARGV[0]
            AND handle.digest = sha256(convert_to(lower(before), 'UTF8'))
            AND handle.tenant_id = NEW.tenant_id AND handle.entity_id = NEW.id;
    END IF;
    IF after <> '' THEN
        INSERT INTO app.handles (kind, digest, tenant_id, entity_id)
            VALUES (kind, sha256(convert_to(lower(after), 'UTF8')), NEW.tenant_id, NEW.id)
            ON CONFLICT ON CONSTRAINT handles_pkey DO NOTHING;
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    migration.chassis(1)
    migration.entity(
        "tenants",
        """
        name text NOT NULL,
        reporting_currency text NOT NULL,
        time_zone text NOT NULL,
        fiscal_start_month integer NOT NULL
        """,
    )
    migration.entity(
        "users",
        """
        email text NOT NULL,
        display_name text NOT NULL,
        roles text[] NOT NULL,
        active boolean NOT NULL,
        time_zone text NOT NULL,
        language text NOT NULL,
        password_set_at timestamptz
        """,
        "created_at, id",
        "updated_at, id",
        "display_name, id",
        "email, id",
    )
    migration.index("users_email", "users", "UNIQUE lower(email) WHERE email <> ''")
    migration.sql(
        "CREATE INDEX users_names ON data.users USING gin"
        " (tenant_id, display_name gin_trgm_ops, email gin_trgm_ops)"
    )
    migration.sql("CREATE INDEX users_roles ON data.users USING gin (tenant_id, roles)")
    for table, target in (("reporting_lines", "manager_id"), ("territory_assignments", "territory_id")):
        migration.entity(
            table,
            f"""
            user_id uuid NOT NULL,
            {target} uuid NOT NULL,
            start_date date,
            end_date date,
            starts_at timestamptz,
            ends_at timestamptz
            """,
            "created_at, id",
            "updated_at, id",
            "user_id, start_date",
            f"{target}, start_date",
        )
    migration.entity(
        "territories",
        "name text NOT NULL, parent_id uuid",
        "created_at, id",
        "updated_at, id",
        "name, id",
        "parent_id",
    )
    migration.sql(
        "CREATE INDEX territories_names ON data.territories USING gin (tenant_id, name gin_trgm_ops)"
    )
    migration.entity(
        "exchange_rates",
        """
        from_currency text NOT NULL,
        to_currency text NOT NULL,
        date date NOT NULL,
        rate numeric NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "date, id",
    )
    migration.index("exchange_rates_day", "exchange_rates", "UNIQUE from_currency, to_currency, date")
    migration.entity(
        "sessions",
        """
        user_id uuid NOT NULL,
        method text NOT NULL,
        client_address text NOT NULL,
        user_agent text NOT NULL,
        revoked_at timestamptz,
        revoke_reason text NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "user_id, created_at, id",
    )
    migration.entity(
        "identity_providers",
        """
        name text NOT NULL,
        issuer text NOT NULL,
        audience text NOT NULL,
        jwks_uri text NOT NULL,
        external_id_system text NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
    )
    migration.entity("signing_keys", "public bytea NOT NULL, sealed bytea NOT NULL, retired_at timestamptz")
    migration.entity(
        "deactivations",
        """
        user_id uuid NOT NULL,
        successor_id uuid,
        queue_id uuid,
        state text NOT NULL,
        parts jsonb NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "user_id, created_at, id",
    )
    migration.table(
        "credentials", "user_id uuid NOT NULL, password_hash text NOT NULL, PRIMARY KEY (tenant_id, user_id)"
    )
    migration.table(
        "refresh_tokens",
        """
        id uuid NOT NULL,
        session_id uuid NOT NULL,
        digest bytea NOT NULL,
        expires_at timestamptz NOT NULL,
        used_at timestamptz,
        PRIMARY KEY (tenant_id, id)
        """,
    )
    migration.index("refresh_tokens_session", "refresh_tokens", "session_id, expires_at")
    migration.table(
        "deactivation_moves",
        """
        deactivation_id uuid NOT NULL,
        service text NOT NULL,
        entity text NOT NULL,
        record_id uuid NOT NULL,
        PRIMARY KEY (tenant_id, deactivation_id, service, entity, record_id)
        """,
        rights="SELECT, INSERT, DELETE",
    )
    _routing()


def _routing() -> None:
    migration.sql(_HANDLES)
    migration.sql("CREATE UNIQUE INDEX handles_issuer ON app.handles (digest) WHERE kind = 'issuer'")
    migration.sql(f"GRANT SELECT ON app.handles TO {migration.role}")
    op.get_bind().exec_driver_sql(_KEEP_HANDLE)
    for table, kind, column in (("users", "email", "email"), ("identity_providers", "issuer", "issuer")):
        migration.sql(
            f"CREATE TRIGGER {table}_handle AFTER INSERT OR UPDATE ON data.{table}"
            f" FOR EACH ROW EXECUTE FUNCTION data.keep_handle('{kind}', '{column}')"
        )
    migration.sql(
        """
        CREATE TABLE app.attempts (
            digest bytea PRIMARY KEY,
            failures integer NOT NULL,
            last_at timestamptz,
            locked_until timestamptz
        );
        CREATE INDEX attempts_last ON app.attempts (last_at);
        """
    )
    migration.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON app.attempts TO {migration.role}")
