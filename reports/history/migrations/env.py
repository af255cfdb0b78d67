"""Runs the migrations over the connection that ``store.py`` opened, inside its transaction."""

from alembic import context

from reports.history.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
