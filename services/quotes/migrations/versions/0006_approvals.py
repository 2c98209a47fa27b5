"""Who must approve what, and who has."""

from chassis.migrations import Migration

revision = "0006"
down_revision = "0005"

migration = Migration("quotes")


def upgrade() -> None:
    pass
