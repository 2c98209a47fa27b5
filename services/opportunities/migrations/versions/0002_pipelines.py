"""Pipelines: teams, product lines, gates."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    pass
