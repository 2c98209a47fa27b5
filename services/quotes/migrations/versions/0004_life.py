"""Taxes, and the life of a quote in depth."""

from chassis.migrations import Migration

revision = "0004"
down_revision = "0003"

migration = Migration("quotes")


def upgrade() -> None:
    pass
