"""Templates, documents, and the links that customers accept by."""

from chassis.migrations import Migration

revision = "0007"
down_revision = "0006"

migration = Migration("quotes")


def upgrade() -> None:
    pass
