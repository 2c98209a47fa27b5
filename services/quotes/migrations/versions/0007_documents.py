"""Templates, documents, and the links that customers accept by."""

from alembic import op

from chassis.migrations import Migration

revision = "0007"
down_revision = "0006"

migration = Migration("quotes")

# What is looked up before a tenant is known: the digest of a link's token. A trigger keeps it, so that no
# statement that writes a link can forget it.
_LINK_HANDLES = """
CREATE TABLE app.link_handles (
    digest text NOT NULL PRIMARY KEY,
    tenant_id uuid NOT NULL,
    link_id uuid NOT NULL
)
"""

_KEEP_LINK_HANDLE = """
CREATE FUNCTION data.keep_link_handle() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO app.link_handles (digest, tenant_id, link_id) VALUES (NEW.digest, NEW.tenant_id, NEW.id);
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    _templates()
    _documents()
    _links()
    _emails()


def _templates() -> None:
    migration.entity(
        "document_templates",
        """
        name text NOT NULL,
        is_default boolean NOT NULL,
        language text NOT NULL,
        colour text NOT NULL,
        paper text NOT NULL,
        sender_name text NOT NULL,
        sender_address text NOT NULL,
        introduction text NOT NULL,
        terms text NOT NULL,
        footer text[] NOT NULL,
        translations jsonb NOT NULL,
        logo_hash text NOT NULL,
        logo_media_type text NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "name, id",
    )
    migration.index("document_templates_name", "document_templates", "UNIQUE name WHERE deleted_at IS NULL")
    migration.index("document_templates_default", "document_templates", "UNIQUE is_default WHERE is_default")


def _documents() -> None:
    # What has been written is never changed: there is no right to.
    migration.table(
        "blobs",
        "hash text NOT NULL, content bytea NOT NULL, PRIMARY KEY (tenant_id, hash)",
        "SELECT, INSERT",
    )
    migration.sql("ALTER TABLE data.blobs ALTER COLUMN content SET STORAGE EXTERNAL")
    migration.table(
        "quote_documents",
        """
        quote_id uuid NOT NULL,
        language text NOT NULL,
        template_id uuid NOT NULL,
        hash text NOT NULL,
        content_hash text NOT NULL,
        size_bytes integer NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, quote_id, language, template_id)
        """,
        "SELECT, INSERT",
    )


def _links() -> None:
    migration.entity(
        "acceptance_links",
        """
        quote_id uuid NOT NULL,
        owner_id uuid NOT NULL,
        digest text NOT NULL,
        recipient_name text NOT NULL,
        language text NOT NULL,
        template_id uuid,
        document_hash text NOT NULL,
        expires_at timestamptz NOT NULL,
        revoked_at timestamptz,
        viewed_at timestamptz,
        answer text NOT NULL,
        answered_at timestamptz,
        question_count integer NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "owner_id, created_at, id",
        "quote_id, created_at, id",
        "expires_at, id",
    )
    migration.sql(_LINK_HANDLES)
    op.get_bind().exec_driver_sql(_KEEP_LINK_HANDLE)
    migration.sql(
        "CREATE TRIGGER keep_link_handle AFTER INSERT ON data.acceptance_links"
        " FOR EACH ROW EXECUTE FUNCTION data.keep_link_handle()"
    )
    migration.sql(f"GRANT SELECT ON app.link_handles TO {migration.role}")
    migration.table(
        "acceptance_evidence",
        """
        id uuid NOT NULL,
        ordinal integer NOT NULL,
        quote_id uuid NOT NULL,
        link_id uuid NOT NULL,
        kind text NOT NULL,
        at timestamptz NOT NULL,
        address text NOT NULL,
        user_agent text NOT NULL,
        document_hash text NOT NULL,
        name text NOT NULL,
        signature bytea NOT NULL,
        text text NOT NULL,
        email text NOT NULL,
        purchase_order_number text NOT NULL,
        chain text NOT NULL,
        PRIMARY KEY (tenant_id, id)
        """,
        "SELECT, INSERT",
    )
    migration.index("acceptance_evidence_quote", "acceptance_evidence", "UNIQUE quote_id, ordinal")


def _emails() -> None:
    migration.entity(
        "quote_emails",
        """
        quote_id uuid NOT NULL,
        owner_id uuid NOT NULL,
        recipient_email text NOT NULL,
        recipient_name text NOT NULL,
        message text NOT NULL,
        language text NOT NULL,
        template_id uuid,
        state text NOT NULL,
        acceptance_link_id uuid NOT NULL,
        sent_at timestamptz,
        failure text NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "owner_id, created_at, id",
        "quote_id, created_at, id",
        "sent_at, id",
    )
