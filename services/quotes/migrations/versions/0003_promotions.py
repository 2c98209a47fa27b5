"""Promotions, their coupons, and what was redeemed."""

from chassis.migrations import Migration

revision = "0003"
down_revision = "0002"

migration = Migration("quotes")


def upgrade() -> None:
    pass
