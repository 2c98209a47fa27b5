"""Products and prices in depth."""

from chassis.migrations import Migration

revision = "0002"
down_revision = "0001"

migration = Migration("quotes")


def upgrade() -> None:
    pass
