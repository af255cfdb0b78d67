"""A place in a pack beyond 2 GiB: ``results.at`` in eight bytes, which SQLite's integers have had all along."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Widen it where integers have a width."""
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("results", "at", type_=sa.BigInteger(), existing_nullable=False)
