"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "settings",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "endpoints",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String(16), nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("latest_run", sa.Integer),
    )
    op.create_table(
        "clauses",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(300), nullable=False, unique=True),
        sa.Column("says", sa.Text, nullable=False),
        sa.Column("level", sa.String(20), nullable=False),
    )
    op.create_table(
        "cases",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(300), nullable=False, unique=True),
        sa.Column("says", sa.Text, nullable=False),
        sa.Column("area", sa.Text, nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("endpoint_id", sa.Integer, sa.ForeignKey("endpoints.id"), nullable=False),
        sa.Column("started", sa.String(32), nullable=False),
        sa.Column("ended", sa.String(32), nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("library", sa.Text, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("seed", sa.Text, nullable=False),
        sa.Column("conclusion", sa.String(20), nullable=False),
        sa.Column("headline", sa.Text, nullable=False),
        sa.Column("cases", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
    )
    op.create_table(
        "results",
        sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("case_id", sa.Integer, sa.ForeignKey("cases.id"), primary_key=True),
        sa.Column("rung", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("duration_ms", sa.Float, nullable=False),
        sa.Column("at", sa.Integer, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
    )
    op.create_table(
        "clause_results",
        sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("clause_id", sa.Integer, sa.ForeignKey("clauses.id"), primary_key=True),
        sa.Column("verdict", sa.String(20), nullable=False),
    )
    op.create_table(
        "summaries",
        sa.Column("endpoint_id", sa.Integer, sa.ForeignKey("endpoints.id"), primary_key=True),
        sa.Column("case_id", sa.Integer, sa.ForeignKey("cases.id"), primary_key=True),
        sa.Column("judged", sa.Integer, nullable=False),
        sa.Column("flips", sa.Integer, nullable=False),
        sa.Column("rung", sa.String(20), nullable=False),
        sa.Column("since_run", sa.Integer),
        sa.Column("first_failed_run", sa.Integer),
        sa.Column("total_ms", sa.Float, nullable=False),
        sa.Column("slowest_ms", sa.Float, nullable=False),
    )
    op.create_table(
        "texts",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("size", sa.Integer, nullable=False),
    )
    op.create_index("runs_of_endpoint", "runs", ["endpoint_id", "started", "digest"])
    op.create_index("runs_in_order", "runs", ["started"])
    op.create_index("results_of_case", "results", ["case_id", "run_id"])
    op.create_index("results_of_clause", "clause_results", ["clause_id", "run_id"])
    op.create_index("summaries_by_flips", "summaries", ["flips"])
    op.create_index("summaries_of_case", "summaries", ["case_id"])
