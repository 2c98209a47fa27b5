"""Alembic asks for this file; what it does is the same for every service."""

from chassis.migrations import run

run()
