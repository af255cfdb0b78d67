"""What can be asked of the history: each function one question, its answer as plain values that JSON can hold.

Every query meets an index or a summary; none reads all results. Changes nothing and renders nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from reports.history.store import UnknownRunError
from reports.history.summaries import FAILING
from reports.history.tables import CASES, CLAUSE_RESULTS, CLAUSES, ENDPOINTS, RESULTS, RUNS, SUMMARIES

if TYPE_CHECKING:
    from collections.abc import Mapping

Row = dict[str, Any]

WINDOW = 100
"""Runs of an endpoint that a trend shows, the latest ones."""
FLIPPING_FROM = 10
"""Runs of a case from which on its flips say something."""
PAGE = 300

_RUN = (
    RUNS.c.digest,
    RUNS.c.started,
    RUNS.c.ended,
    RUNS.c.version,
    RUNS.c.profile,
    RUNS.c.conclusion,
    RUNS.c.headline,
    RUNS.c.cases,
    RUNS.c.failed,
)
_ENDPOINT = (ENDPOINTS.c.key, ENDPOINTS.c.name.label("endpoint"), ENDPOINTS.c.endpoint.label("url"))


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(query).mappings()]


def endpoints(connection: sa.Connection) -> list[Row]:
    """Every endpoint with its latest run."""
    query = sa.select(*_ENDPOINT, *_RUN).join(RUNS, RUNS.c.id == ENDPOINTS.c.latest_run)
    return _rows(connection, query.order_by(ENDPOINTS.c.name, ENDPOINTS.c.key))


def matrix(connection: sa.Connection) -> dict[str, dict[str, str]]:
    """Clause to endpoint key to verdict, of the latest run of each endpoint; clauses in order of their ids."""
    query = (
        sa.select(CLAUSES.c.name, ENDPOINTS.c.key, CLAUSE_RESULTS.c.verdict)
        .select_from(ENDPOINTS)
        .join(CLAUSE_RESULTS, CLAUSE_RESULTS.c.run_id == ENDPOINTS.c.latest_run)
        .join(CLAUSES, CLAUSES.c.id == CLAUSE_RESULTS.c.clause_id)
        .order_by(CLAUSES.c.name)
    )
    found: dict[str, dict[str, str]] = {}
    for clause, key, verdict in connection.execute(query):
        found.setdefault(clause, {})[key] = verdict
    return found


def runs(connection: sa.Connection, endpoint: str | None = None, page: int | None = None) -> list[Row]:
    """Runs, latest first, ``PAGE`` at a time; all of them if no page is asked for."""
    query = sa.select(*_ENDPOINT, *_RUN).join(ENDPOINTS, ENDPOINTS.c.id == RUNS.c.endpoint_id)
    if endpoint is not None:
        query = query.where(_is_endpoint(endpoint))
    query = query.order_by(RUNS.c.started.desc(), RUNS.c.digest)
    return _rows(connection, query if page is None else query.limit(PAGE).offset(page * PAGE))


def run(connection: sa.Connection, digest: str) -> Row | None:
    """One run by its whole digest."""
    query = sa.select(RUNS.c.id, *_ENDPOINT, *_RUN, RUNS.c.library, RUNS.c.seed)
    found = _rows(
        connection, query.join(ENDPOINTS, ENDPOINTS.c.id == RUNS.c.endpoint_id).where(RUNS.c.digest == digest)
    )
    return found[0] if found else None


def results(connection: sa.Connection, run_id: int, page: int = 0) -> list[Row]:
    """Cases of a run, those that failed first, ``PAGE`` at a time."""
    query = sa.select(CASES.c.name.label("case"), CASES.c.says, RESULTS.c.rung, RESULTS.c.reason, RESULTS.c.duration_ms)
    query = query.join(CASES, CASES.c.id == RESULTS.c.case_id).where(RESULTS.c.run_id == run_id)
    failed_first = sa.case((RESULTS.c.rung.in_(FAILING), 0), else_=1)
    return _rows(connection, query.order_by(failed_first, CASES.c.name).limit(PAGE).offset(page * PAGE))


def place(connection: sa.Connection, digest: str, case: str) -> Row | None:
    """Where the evidence of a case in a run stands, with its verdict."""
    query = (
        sa.select(RESULTS.c.at, RESULTS.c.size, RESULTS.c.rung, RESULTS.c.reason)
        .select_from(RESULTS)
        .join(RUNS, RUNS.c.id == RESULTS.c.run_id)
        .join(CASES, CASES.c.id == RESULTS.c.case_id)
        .where(RUNS.c.digest == digest, CASES.c.name == case)
    )
    found = _rows(connection, query)
    return found[0] if found else None


def named(connection: sa.Connection, kind: str, name: str) -> Row | None:
    """What is known of a case or a clause (``kind``) by its id."""
    table = {"case": CASES, "clause": CLAUSES}[kind]
    found = _rows(connection, sa.select(table).where(table.c.name == name))
    return found[0] if found else None


def clause_trend(connection: sa.Connection, clause: str, endpoint: str | None = None) -> list[Row]:
    """The verdicts on a clause, by endpoint, then in order of time; of the latest ``WINDOW`` runs of each endpoint."""
    return _trend(connection, CLAUSE_RESULTS, CLAUSES, CLAUSE_RESULTS.c.verdict, clause, endpoint)


def case_trend(connection: sa.Connection, case: str, endpoint: str | None = None) -> list[Row]:
    """The rungs of a case, as ``clause_trend``."""
    return _trend(connection, RESULTS, CASES, RESULTS.c.rung.label("verdict"), case, endpoint)


def _trend(  # noqa: PLR0913, PLR0917 - the two tables of a trend, and what is asked
    connection: sa.Connection,
    table: sa.Table,
    names: sa.Table,
    verdict: sa.ColumnElement[Any],
    name: str,
    endpoint: str | None,
) -> list[Row]:
    of = names.c.id == table.c[f"{names.name.removesuffix('s')}_id"]
    back = sa.func.row_number().over(
        partition_by=RUNS.c.endpoint_id, order_by=(RUNS.c.started.desc(), RUNS.c.digest.desc())
    )
    query = (
        sa.select(*_ENDPOINT, RUNS.c.digest, RUNS.c.started, RUNS.c.version, verdict, back.label("back"))
        .select_from(names)
        .join(table, of)
        .join(RUNS, RUNS.c.id == table.c.run_id)
        .join(ENDPOINTS, ENDPOINTS.c.id == RUNS.c.endpoint_id)
        .where(names.c.name == name)
    )
    if endpoint is not None:
        query = query.where(_is_endpoint(endpoint))
    inner = query.subquery()
    wanted = [column for column in inner.c if column.name != "back"]
    return _rows(
        connection,
        sa.select(*wanted).where(inner.c.back <= WINDOW).order_by(inner.c.endpoint, inner.c.key, inner.c.back.desc()),
    )


def _summaries() -> sa.Select[Any]:
    since, first = RUNS.alias("since"), RUNS.alias("first")
    return (
        sa.select(
            *_ENDPOINT,
            CASES.c.name.label("case"),
            SUMMARIES.c.judged,
            SUMMARIES.c.flips,
            SUMMARIES.c.rung,
            (SUMMARIES.c.total_ms / SUMMARIES.c.judged).label("mean_ms"),
            SUMMARIES.c.slowest_ms,
            since.c.digest.label("since_run"),
            since.c.started.label("since"),
            first.c.digest.label("first_failed_run"),
            first.c.started.label("first_failed"),
        )
        .select_from(SUMMARIES)
        .join(ENDPOINTS, ENDPOINTS.c.id == SUMMARIES.c.endpoint_id)
        .join(CASES, CASES.c.id == SUMMARIES.c.case_id)
        .join(since, since.c.id == SUMMARIES.c.since_run, isouter=True)
        .join(first, first.c.id == SUMMARIES.c.first_failed_run, isouter=True)
        .where(SUMMARIES.c.judged > 0)
    )


def first_failing(connection: sa.Connection, case: str, endpoint: str | None = None) -> list[Row]:
    """At each endpoint the first run in which a case ever failed, and the run since which it is as it is now."""
    return _narrowed(connection, _summaries().where(CASES.c.name == case).order_by(ENDPOINTS.c.name), endpoint)


def flipping(connection: sa.Connection, endpoint: str | None = None) -> list[Row]:
    """Cases that went between passing and failing most often, of those with at least ``FLIPPING_FROM`` runs."""
    query = _summaries().where(SUMMARIES.c.judged >= FLIPPING_FROM, SUMMARIES.c.flips > 1)
    return _narrowed(connection, query.order_by(SUMMARIES.c.flips.desc(), CASES.c.name).limit(PAGE), endpoint)


def slowest(connection: sa.Connection, endpoint: str | None = None) -> list[Row]:
    """Cases that take longest in the mean of all runs."""
    mean = SUMMARIES.c.total_ms / SUMMARIES.c.judged
    return _narrowed(connection, _summaries().order_by(mean.desc(), CASES.c.name).limit(50), endpoint)


def _narrowed(connection: sa.Connection, query: sa.Select[Any], endpoint: str | None) -> list[Row]:
    return _rows(connection, query if endpoint is None else query.where(_is_endpoint(endpoint)))


def changed(connection: sa.Connection, old: str, new: str) -> list[Row]:
    """Cases whose rung differs between two runs (whole digests); None where a run has no such case."""
    sides = [
        sa.select(RESULTS.c.case_id, RESULTS.c.rung)
        .join(RUNS, RUNS.c.id == RESULTS.c.run_id)
        .where(RUNS.c.digest == digest)
        .subquery()
        for digest in (old, new)
    ]
    before, after = sides
    query = (
        sa.select(CASES.c.name.label("case"), before.c.rung.label("old"), after.c.rung.label("new"))
        .select_from(before.join(after, before.c.case_id == after.c.case_id, full=True))
        .join(CASES, CASES.c.id == sa.func.coalesce(before.c.case_id, after.c.case_id))
        .where(sa.or_(before.c.rung != after.c.rung, before.c.rung.is_(None), after.c.rung.is_(None)))
    )
    return _rows(connection, query.order_by(CASES.c.name))


def resolved(connection: sa.Connection, said: str, endpoint: str | None = None) -> str:
    """The digest of the run that *said* means: the beginning of a digest, or the latest run of a suite's version
    (``@1.2.3``) or of an endpoint (its name, URL or key).

    :raises UnknownRunError: when there is none, or several.
    """
    latest = sa.select(RUNS.c.digest).join(ENDPOINTS, ENDPOINTS.c.id == RUNS.c.endpoint_id)
    if endpoint is not None:
        latest = latest.where(_is_endpoint(endpoint))
    newest = latest.order_by(RUNS.c.started.desc(), RUNS.c.digest.desc()).limit(1)
    if "\0" in said:
        found = None
    elif said.startswith("@"):
        found = connection.execute(newest.where(RUNS.c.version == said[1:])).scalar()
    else:
        ends = sa.select(RUNS.c.digest).where(RUNS.c.digest >= said, RUNS.c.digest < said + "g").limit(2)
        digests = list(connection.execute(ends).scalars()) if len(said) >= 4 and said.isalnum() else []  # noqa: PLR2004
        if len(digests) > 1:
            raise UnknownRunError(f"several runs begin with {said}; give more of the digest")
        found = digests[0] if digests else connection.execute(newest.where(_is_endpoint(said))).scalar()
    if found is None:
        remedy = "give the beginning of its digest, @VERSION, or an endpoint"
        raise UnknownRunError(f"no run is meant by {said!r}: {remedy}")
    return str(found)


def search(connection: sa.Connection, words: str) -> Mapping[str, list[Row]]:
    """Cases, clauses and endpoints with the words in id or text, and runs whose digest begins with them."""
    pattern = "%" + words.replace("!", "!!").replace("%", "!%").replace("_", "!_").lower() + "%"

    def with_words(table: sa.Table, *columns: str) -> list[Row]:
        holds = sa.or_(*(sa.func.lower(table.c[name]).like(pattern, escape="!") for name in columns))
        return _rows(connection, sa.select(table).where(holds).order_by(table.c.name).limit(50))

    begins = sa.select(*_ENDPOINT, *_RUN).join(ENDPOINTS, ENDPOINTS.c.id == RUNS.c.endpoint_id)
    begins = begins.where(RUNS.c.digest >= words.lower(), RUNS.c.digest < words.lower() + "g").limit(20)
    return {
        "cases": with_words(CASES, "name", "says"),
        "clauses": with_words(CLAUSES, "name", "says"),
        "endpoints": with_words(ENDPOINTS, "name", "endpoint"),
        "runs": _rows(connection, begins) if words.isalnum() else [],
    }


def _is_endpoint(said: str) -> sa.ColumnElement[bool]:
    return sa.or_(ENDPOINTS.c.key == said, ENDPOINTS.c.name == said, ENDPOINTS.c.endpoint == said)
