"""Deals: teams, splits, buying roles, tags, custom dates."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    pass
