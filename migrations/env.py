"""Alembic's entry: runs the migrations on the connection that `connector.store.schema` hands over, in its transaction."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from connector.store.schema import include_object
from connector.store.tables import metadata


def run() -> None:
    """Runs what was asked for; there is no mode without a database."""
    connection = context.config.attributes.get("connection")
    if not isinstance(connection, Connection):
        raise TypeError("no connection was handed over; migrations run by `connector db upgrade`")
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=True,
        include_object=include_object,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


run()
