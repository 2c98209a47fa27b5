"""Competitors, battle cards, and what is known of customers that cards are chosen by."""

from chassis.migrations import Migration

revision = "0004"
down_revision = "0003"

migration = Migration("opportunities")


def upgrade() -> None:
    migration.entity(
        "competitors",
        """
        name text NOT NULL,
        website text NOT NULL,
        description text NOT NULL,
        products jsonb NOT NULL,
        strengths jsonb NOT NULL,
        weaknesses jsonb NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "name, id",
    )
    migration.entity(
        "battle_cards",
        """
        competitor_id uuid NOT NULL,
        claim text NOT NULL,
        evidence jsonb NOT NULL,
        answer text NOT NULL,
        conditions jsonb,
        priority integer NOT NULL
        """,
        "created_at, id",
        "updated_at, id",
        "competitor_id, created_at, id",
    )
    migration.table(
        "customers",
        """
        id uuid NOT NULL,
        version bigint NOT NULL,
        segment text NOT NULL,
        industry text NOT NULL,
        PRIMARY KEY (tenant_id, id)
        """,
        "SELECT, INSERT, UPDATE",
    )
