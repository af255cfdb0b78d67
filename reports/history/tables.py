"""The tables of the history.

``runs``, ``results`` and ``clause_results`` are only ever added to. ``summaries`` and ``endpoints.latest_run`` are
drawn from them, so that no page has to read every result; ``store.py`` keeps them up. The migrations make the same
tables, and a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

METADATA = MetaData()

SETTINGS = Table(
    "settings", METADATA, Column("name", String(40), primary_key=True), Column("value", Text, nullable=False)
)

ENDPOINTS = Table(
    "endpoints",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("key", String(16), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("latest_run", Integer),
)
"""``key`` is made of name and URL alone, so that a link to it means the same in every store."""

CLAUSES = Table(
    "clauses",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(300), nullable=False, unique=True),
    Column("says", Text, nullable=False),
    Column("level", String(20), nullable=False),
)

CASES = Table(
    "cases",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(300), nullable=False, unique=True),
    Column("says", Text, nullable=False),
    Column("area", Text, nullable=False),
)

RUNS = Table(
    "runs",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("endpoint_id", Integer, ForeignKey("endpoints.id"), nullable=False),
    Column("started", String(32), nullable=False),
    Column("ended", String(32), nullable=False),
    Column("version", Text, nullable=False),
    Column("library", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("seed", Text, nullable=False),
    Column("conclusion", String(20), nullable=False),
    Column("headline", Text, nullable=False),
    Column("cases", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Index("runs_of_endpoint", "endpoint_id", "started", "digest"),
    Index("runs_in_order", "started"),
)

RESULTS = Table(
    "results",
    METADATA,
    Column("run_id", Integer, ForeignKey("runs.id"), primary_key=True),
    Column("case_id", Integer, ForeignKey("cases.id"), primary_key=True),
    Column("rung", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("duration_ms", Float, nullable=False),
    Column("at", BigInteger().with_variant(Integer(), "sqlite"), nullable=False),
    Column("size", Integer, nullable=False),
    Index("results_of_case", "case_id", "run_id"),
)
"""``at`` and ``size`` say where in the run's evidence the whole line of the case stands."""

CLAUSE_RESULTS = Table(
    "clause_results",
    METADATA,
    Column("run_id", Integer, ForeignKey("runs.id"), primary_key=True),
    Column("clause_id", Integer, ForeignKey("clauses.id"), primary_key=True),
    Column("verdict", String(20), nullable=False),
    Index("results_of_clause", "clause_id", "run_id"),
)

SUMMARIES = Table(
    "summaries",
    METADATA,
    Column("endpoint_id", Integer, ForeignKey("endpoints.id"), primary_key=True),
    Column("case_id", Integer, ForeignKey("cases.id"), primary_key=True),
    Column("judged", Integer, nullable=False),
    Column("flips", Integer, nullable=False),
    Column("rung", String(20), nullable=False),
    Column("since_run", Integer),
    Column("first_failed_run", Integer),
    Column("total_ms", Float, nullable=False),
    Column("slowest_ms", Float, nullable=False),
    Index("summaries_by_flips", "flips"),
    Index("summaries_of_case", "case_id"),
)

TEXTS = Table(
    "texts", METADATA, Column("digest", String(64), primary_key=True), Column("size", Integer, nullable=False)
)
"""Long texts of the evidence that are stored already, each once."""
