"""Who must approve what, and who has."""

from chassis.migrations import Migration

revision = "0006"
down_revision = "0005"

migration = Migration("quotes")


def upgrade() -> None:
    _rules()
    _approvals()
    migration.entity(
        "approval_delegations",
        """
        delegator_id uuid NOT NULL,
        delegate_id uuid NOT NULL,
        start_on date NOT NULL,
        end_on date NOT NULL,
        reason text NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "delegate_id, end_on",
        "delegator_id",
        "start_on, id",
        "end_on, id",
    )
    migration.table(
        "approvers",
        """
        user_id uuid NOT NULL,
        version bigint NOT NULL,
        roles text[] NOT NULL,
        is_active boolean NOT NULL,
        PRIMARY KEY (tenant_id, user_id)
        """,
        "SELECT, INSERT, UPDATE",
    )


def _rules() -> None:
    migration.entity(
        "approval_rules",
        """
        name text NOT NULL,
        description text NOT NULL,
        is_active boolean NOT NULL,
        level integer NOT NULL,
        condition jsonb NOT NULL,
        approvers jsonb NOT NULL,
        needs text NOT NULL,
        in_turn boolean NOT NULL,
        minimum_role text NOT NULL,
        remind_after_hours integer NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "name, id",
        "level, id",
    )


def _approvals() -> None:
    migration.entity(
        "approvals",
        """
        quote_id uuid NOT NULL,
        quote_version bigint NOT NULL,
        quote_number text NOT NULL,
        quote_revision integer NOT NULL,
        quote_name text NOT NULL,
        opportunity_id uuid NOT NULL,
        account_id uuid,
        owner_id uuid NOT NULL,
        submitter_id uuid,
        submitter_roles text[] NOT NULL,
        state text NOT NULL,
        currency text NOT NULL,
        figures jsonb NOT NULL,
        steps jsonb NOT NULL,
        messages jsonb NOT NULL,
        comment text NOT NULL,
        submitted_at timestamptz NOT NULL,
        opened_at timestamptz NOT NULL,
        reminded_at timestamptz,
        reminders integer NOT NULL,
        ended_at timestamptz,
        end_reason text NOT NULL,
        waiting_for text[] NOT NULL,
        audience text[] NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "owner_id, created_at, id",
        "quote_id, submitted_at",
        "submitted_at, id",
        "opportunity_id",
        "account_id",
    )
    # one at a time: whoever races, a quote has one approval that is pending
    migration.index("approvals_pending", "approvals", "UNIQUE quote_id WHERE state = 'pending'")
    migration.sql("CREATE INDEX approvals_waiting ON data.approvals USING gin (tenant_id, waiting_for)")
    migration.sql("CREATE INDEX approvals_audience ON data.approvals USING gin (tenant_id, audience)")
