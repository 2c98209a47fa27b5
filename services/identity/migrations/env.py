"""Alembic's entry; what it does is the same for all services."""

from chassis.migrations import run

run()
