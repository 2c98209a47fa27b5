"""What an ERP says of orders and customers."""

from chassis.migrations import Migration

revision = "0008"
down_revision = "0007"

migration = Migration("quotes")


def upgrade() -> None:
    pass
