"""Alembic's entry: runs the migrations on a connection that the program opened itself."""

from __future__ import annotations

from sqlalchemy import Connection

from alembic import context


def run() -> None:
    connection = context.config.attributes.get("connection")
    if not isinstance(connection, Connection):
        raise SystemExit("Run migrations with: openmeet-bridge migrate")
    # One transaction for all revisions: a half-migrated database is never left behind.
    context.configure(connection=connection, transaction_per_migration=False)
    with context.begin_transaction():
        context.run_migrations()


run()
