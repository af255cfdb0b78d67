"""The store of the history: opening it, bringing its tables up to date, adding runs.

A results file is read as a stream and goes in whole or not at all: rows in one transaction, evidence before its end, so
that what was written without its rows is written again the next time and never missed. Renders nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import logging
import math
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import alembic.command
import alembic.config
import platformdirs
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from reports.history.summaries import FAILING, Summary, fold
from reports.history.tables import (
    CASES,
    CLAUSE_RESULTS,
    CLAUSES,
    ENDPOINTS,
    RESULTS,
    RUNS,
    SETTINGS,
    SUMMARIES,
    TEXTS,
)
from reports.history.vault import DepthError, Packer, Vault
from reports.model import ResultsError, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reports.model import Case, ClauseResult

_T = TypeVar("_T")

_BATCH = 500
"""Cases that go in together; SQLite binds at most 999 values in old builds."""
_LONGEST_NAME = 300
_LONGEST_TEXT = 2000
_LOCK = 0x0B5C0F
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
_WRITES = "obs_writes"
_SECRETS = frozenset({"password", "sslpassword", "passfile"})
"""Members of a URL's query that libpq takes for a password, or for where one is."""


class StoreError(Exception):
    """What is wrong with a store, in a sentence with its remedy: for who runs it, not for who visits its site."""


class UnknownRunError(StoreError):
    """The store serves, but no run is meant, or several: for everybody's eyes."""


@dataclass(frozen=True, slots=True)
class Added:
    """What came of adding a file: digest of the run, how many cases it has, and whether it was new."""

    digest: str
    cases: int
    new: bool


class Store:
    """An open store with its evidence."""

    def __init__(self, engine: sa.Engine, vault: Vault) -> None:
        self.engine = engine
        self.vault = vault

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection in a transaction that sees one state."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise _failed(self.engine, error) from error

    def ordered(self, paths: Sequence[Path]) -> list[Path]:
        """Results files in the order in which their runs started: one that comes in late has all summed up again.

        Those that are no results files come last, where ``add`` says what is wrong with them.
        """
        return sorted(paths, key=_started)

    def add(self, path: Path) -> Added:
        """Add a results file; the same file again changes nothing.

        :raises ResultsError: when the file is not what a finished run writes; nothing of it is in the store then.
        """
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            problem = f"the file cannot be read ({error.strerror or error})"
            raise ResultsError(file=path, line=0, problem=problem, remedy="Give the path of a results.jsonl") from error
        try:
            with _writing(self.engine) as connection:
                known = connection.execute(sa.select(RUNS.c.cases).where(RUNS.c.digest == digest)).scalar()
                if known is not None:
                    return Added(digest, known, new=False)
                return Added(digest, _Adding(connection, self.vault, path, digest).all(), new=True)
        except sa.exc.DBAPIError as error:
            raise _failed(self.engine, error) from error

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


def default_store() -> str:
    """The SQLite file in the user's data folder, as a URL."""
    folder = platformdirs.user_data_path("obs-conformance", appauthor=False)
    _make_folder(folder)
    return f"sqlite:///{folder / 'history.db'}"


def open_store(url: str | None = None, evidence: str | None = None, *, given: bool = True, make: bool = True) -> Store:
    """Open a store, made or brought up to date where needed.

    :param url: a URL as SQLAlchemy knows it, a path of an SQLite file, or ``env:NAME`` of a variable that holds one.
    :param evidence: folder or fsspec location, remembered by a new store; beside an SQLite file if not given.
    :param given: whether *url* was typed and must therefore not hold a password.
    :param make: whether an SQLite file that is not there is made.
    """
    address = _address(url or default_store(), typed=given)
    if not make and address.get_backend_name() == "sqlite" and address.database and not Path(address.database).exists():
        raise StoreError(f"there is no store at {address.database}; history add and serve make one")
    _refuse_password(evidence)
    try:
        engine = _engine(address)
        with engine.begin() as connection:
            current, place = _state(connection)
        vault = Vault(_place(address, evidence, place))
        if not current or place is None:
            with _writing(engine) as connection:
                vault = _prepared(connection, address, evidence, vault)
    except sa.exc.DBAPIError as error:
        raise _failed_at(address, error) from error
    except ModuleNotFoundError as error:
        remedy = (
            "pip install 'obs-conformance[history-postgresql]'" if "psycopg" in str(error) else "install its driver"
        )
        raise StoreError(f"the store needs a driver that is not installed ({error.name}): {remedy}") from error
    return Store(engine, vault)


def _address(url: str, *, typed: bool) -> sa.URL:
    if url.startswith("env:"):
        name = url.removeprefix("env:")
        if not os.environ.get(name):
            raise StoreError(f"the variable {name}, which is to hold the URL of the store, is not set")
        return _address(os.environ[name], typed=False)
    if "://" not in url:
        url = f"sqlite:///{url}"
    try:
        address = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise StoreError("--store is not a URL; example: sqlite:////var/lib/obs/history.db") from error
    if typed and _secrets(address):
        raise StoreError("--store has a password, which others can read there; use --store env:NAME, or PGPASSWORD")
    return address.set(drivername=_DRIVERS.get(address.drivername, address.drivername))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"no store can be kept in {folder}: {error.strerror or error}") from error


def _engine(address: sa.URL) -> sa.Engine:
    if address.get_backend_name() != "sqlite":
        return _created(address, pool_pre_ping=True)
    if address.database in {None, "", ":memory:"}:
        raise StoreError("--store needs a file: what is only in memory is no history")
    _make_folder(Path(str(address.database)).parent)
    engine = _created(address, connect_args={"timeout": 60, "check_same_thread": False})

    # The driver opens transactions late and ends them before DDL; this is SQLAlchemy's own recipe against that.
    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _: object) -> None:  # noqa: ANN401 - of the driver
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")

    return engine


def _created(address: sa.URL, **options: Any) -> sa.Engine:  # noqa: ANN401 - of SQLAlchemy
    try:
        return sa.create_engine(address, **options)
    except (sa.exc.ArgumentError, TypeError, ValueError) as error:
        raise _failed_at(address, error) from error


@contextlib.contextmanager
def _writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that no other writer overlaps: who adds first is first, and nobody meets a half-made table."""
    with engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        yield connection


def _config(connection: sa.Connection) -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _state(connection: sa.Connection) -> tuple[bool, str | None]:
    """Whether the tables are those of this version, and where the evidence is kept, if that is settled."""
    script = ScriptDirectory.from_config(_config(connection))
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in {step.revision for step in script.walk_revisions()}:
        raise StoreError(f"the store is of a newer version of this program (step {current}); update obs-conformance")
    if current is None:
        if sa.inspect(connection).has_table("runs"):
            raise StoreError("the database has a table runs that is not of this program; give the store one of its own")
        return False, None
    place = connection.execute(sa.select(SETTINGS.c.value).where(SETTINGS.c.name == "evidence")).scalar()
    return current == script.get_current_head(), place


def _prepared(connection: sa.Connection, address: sa.URL, wanted: str | None, tried: Vault) -> Vault:
    """Make or update the tables, and settle where the evidence is kept, unless another did in between."""
    current, place = _state(connection)
    if not current:
        logging.getLogger("alembic").setLevel(logging.WARNING)
        alembic.command.upgrade(_config(connection), "head")
    if place is not None:
        return Vault(_place(address, wanted, place))
    tried.prepare()
    connection.execute(sa.insert(SETTINGS), [{"name": "evidence", "value": tried.location}])
    return tried


def _refuse_password(location: str | None) -> None:
    if location is not None and re.search("://[^/]*:[^/]*@", location):
        raise StoreError("--evidence has a password; the drivers of fsspec take theirs from the environment")


def _place(address: sa.URL, wanted: str | None, kept: str | None) -> str:
    """Where the evidence is to be: where it is *kept*, or else where it is *wanted*, or else beside the store."""
    if wanted is not None and "://" not in wanted:
        wanted = str(Path(wanted).absolute())
    if kept is not None:
        if wanted is not None and wanted != kept:
            raise StoreError(f"this store keeps its evidence at {kept}; leave --evidence out, or move the files there")
        return kept
    if wanted is not None:
        return wanted
    sqlite = address.get_backend_name() == "sqlite"
    base = Path(str(address.database)).absolute() if sqlite else Path(default_store().removeprefix("sqlite:///"))
    return f"{base}.evidence"


def _failed(engine: sa.Engine, error: sa.exc.DBAPIError) -> StoreError:
    return _failed_at(engine.url, error)


def _failed_at(address: sa.URL, error: Exception) -> StoreError:
    """A sentence without the statement and its values, which the exception would print too, and without passwords."""
    cause = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    for secret in _secrets(address):
        cause = cause.replace(secret, "***")
    shown = sa.URL.create(address.drivername, host=address.host, database=address.database)
    return StoreError(f"the store {shown.render_as_string()} does not serve: {cause}")


def _secrets(address: sa.URL) -> list[str]:
    """The passwords in a URL, before its host and in its query."""
    in_query = (value for name, value in address.normalized_query.items() if name.lower() in _SECRETS)
    return [secret for secret in (address.password, *itertools.chain.from_iterable(in_query)) if secret]


class _Adding:
    """One results file on its way in."""

    def __init__(self, connection: sa.Connection, vault: Vault, path: Path, digest: str) -> None:
        self._connection = connection
        self._vault = vault
        self._path = path
        self._digest = digest
        self._stream = Stream(path)

    def all(self) -> int:
        """Add everything; how many cases."""
        header, footer = self._stream.header, self._stream.footer
        if footer is None or footer.conclusion == "interrupted":
            raise self._unfinished("")
        started = self._time("header.started", header.started)
        endpoint, latest = self._endpoint(header.target.name, header.target.endpoint)
        row = {
            "digest": self._digest,
            "endpoint_id": endpoint,
            "started": started,
            "ended": self._time("footer.ended", footer.ended),
            "version": _text(header.suite.version),
            "library": _text(header.library.digest),
            "profile": _text(header.profile.name),
            "seed": _text(str(header.seed)),
            "conclusion": footer.conclusion,
            "headline": _text(footer.headline),
            "cases": 0,
            "failed": 0,
        }
        run = self._connection.execute(sa.insert(RUNS).returning(RUNS.c.id), row).scalar_one()
        is_latest = latest is None or (started, self._digest) > latest
        cases, failed = self._cases(run, endpoint if is_latest else None)
        self._clauses(run, footer.clauses)
        self._connection.execute(sa.update(RUNS).where(RUNS.c.id == run).values(cases=cases, failed=failed))
        if is_latest:
            values = sa.update(ENDPOINTS).where(ENDPOINTS.c.id == endpoint).values(latest_run=run)
            self._connection.execute(values)
        else:
            summarise_again(self._connection, endpoint)
        return cases

    def _error(self, line: int, problem: str, remedy: str) -> ResultsError:
        return ResultsError(file=self._path, line=line, problem=problem, remedy=remedy)

    def _unfinished(self, detail: str) -> ResultsError:
        return self._error(0, f"the run did not finish{detail}", "Finish it with run --resume, then add it")

    def _time(self, where: str, value: str) -> str:
        try:
            return _utc(value)
        except (ValueError, OverflowError) as error:
            problem = f"{where} is no time: {value[:40]!r}"
            raise self._error(0, problem, "Hold the line against reports/results.schema.json") from error

    def _name(self, where: str, value: str) -> str:
        if not value or len(value) > _LONGEST_NAME or _UNPRINTABLE.search(value):
            problem = f"{where} is empty, longer than {_LONGEST_NAME} characters, or has one that cannot be printed"
            raise self._error(0, problem, "Ids are short printable texts")
        return value

    def _endpoint(self, name: str, url: str) -> tuple[int, tuple[str, str] | None]:
        """The row of an endpoint, and (start, digest) of its latest run so far."""
        name, url = _text(name), _text(url)
        key = hashlib.sha256(f"{name}\n{url}".encode()).hexdigest()[:16]
        found = self._connection.execute(
            sa.select(ENDPOINTS.c.id, RUNS.c.started, RUNS.c.digest)
            .select_from(ENDPOINTS.join(RUNS, RUNS.c.id == ENDPOINTS.c.latest_run, isouter=True))
            .where(ENDPOINTS.c.key == key)
        ).one_or_none()
        if found is not None:
            return found.id, None if found.started is None else (found.started, found.digest)
        row = {"key": key, "name": name, "endpoint": url}
        return self._connection.execute(sa.insert(ENDPOINTS).returning(ENDPOINTS.c.id), row).scalar_one(), None

    def _cases(self, run: int, endpoint: int | None) -> tuple[int, int]:
        """Add the cases, and sum them up for the endpoint if one is given; how many there are, and how many failed."""
        count = failed = 0
        with Packer(functools.partial(_claim, self._connection)) as packer:
            for batch in _batched(self._decoded(), _BATCH):
                rows = [self._row(run, case, record, packer) for case, record in batch]
                names = {row["name"]: {"says": row.pop("says"), "area": row.pop("area")} for row in rows}
                ids = _ids(self._connection, CASES, names)
                for row in rows:
                    row["case_id"] = ids[row.pop("name")]
                self._connection.execute(sa.insert(RESULTS), rows)
                if endpoint is not None:
                    _sum_up(self._connection, endpoint, rows)
                count += len(rows)
                failed += sum(row["rung"] in FAILING for row in rows)
            self._whole()
            packer.store(self._vault, self._digest)
        return count, failed

    def _whole(self) -> None:
        """Refuse a run with gaps: its resumption is another file and fills them, and the two would count twice."""
        if missing := self._stream.missing:
            count, first = len(self._stream.header.planned), missing[0][:60]
            raise self._unfinished(f": {len(missing)} of {count} planned cases have no result, first {first!r}")

    def _decoded(self) -> Iterator[tuple[Case, dict[str, Any]]]:
        """Every case, held against its whole shape, with the object it came from."""
        for _, record in self._stream.cases():
            yield self._stream.decode(record), dict(record)

    def _row(self, run: int, case: Case, record: dict[str, Any], packer: Packer) -> dict[str, Any]:
        if not math.isfinite(case.duration_ms) or case.duration_ms < 0:
            problem = f"case.duration_ms of {case.id[:60]!r} is no duration"
            raise self._error(0, problem, "Hold the line against reports/results.schema.json")
        name = self._name("case.id", case.id)
        try:
            at, size = packer.add(record)
        except DepthError as error:
            problem = f"case {case.id[:60]!r} is nested too deep"
            raise self._error(0, problem, "Give a results.jsonl as the run wrote it") from error
        return {
            "name": name,
            "says": _text(case.says),
            "area": _text(case.area),
            "run_id": run,
            "rung": case.rung,
            "reason": _text(case.reason),
            "duration_ms": case.duration_ms,
            "at": at,
            "size": size,
        }

    def _clauses(self, run: int, results: Mapping[str, ClauseResult]) -> None:
        """Add the verdicts on the clauses."""
        told = {clause.id: clause for clause in self._stream.header.clauses}
        names = {
            self._name("clause id", name): {
                "says": _text(told[name].says if name in told else ""),
                "level": told[name].level if name in told else "",
            }
            for name in results
        }
        ids = _ids(self._connection, CLAUSES, names)
        rows = [{"run_id": run, "clause_id": ids[name], "verdict": result.verdict} for name, result in results.items()]
        if rows:
            self._connection.execute(sa.insert(CLAUSE_RESULTS), rows)


def _utc(value: str) -> str:
    """A time as text that sorts: UTC, to the microsecond."""
    moment = datetime.fromisoformat(value)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _started(path: Path) -> tuple[bool, str]:
    """Sorts results files by their start, and what is none behind them."""
    try:
        return False, _utc(Stream(path).header.started)
    except (ResultsError, ValueError, OverflowError):
        return True, ""


def _batched(items: Iterator[_T], size: int) -> Iterator[list[_T]]:
    while batch := list(itertools.islice(items, size)):
        yield batch


def _text(value: str) -> str:
    """A text that every database takes: no NUL, no half characters, not longer than a screen."""
    cut = value if len(value) <= _LONGEST_TEXT else f"{value[:_LONGEST_TEXT]}..."
    return cut.replace("\0", "\u2400").encode("utf-8", "replace").decode()


def _claim(connection: sa.Connection, digest: str, size: int) -> bool:
    """Note a long text; whether it is new."""
    if connection.execute(sa.select(TEXTS.c.size).where(TEXTS.c.digest == digest)).first() is not None:
        return False
    connection.execute(sa.insert(TEXTS), [{"digest": digest, "size": size}])
    return True


def _ids(connection: sa.Connection, table: sa.Table, named: Mapping[str, Mapping[str, str]]) -> dict[str, int]:
    """The row ids of cases or clauses, those that are new added; the first words about one stay."""
    found: dict[str, int] = {}
    names = list(named)
    for start in range(0, len(names), _BATCH):
        part = names[start : start + _BATCH]
        rows = connection.execute(sa.select(table.c.name, table.c.id).where(table.c.name.in_(part)))
        found |= {row.name: row.id for row in rows}
    new = [{"name": name, **about} for name, about in named.items() if name not in found]
    if new:
        connection.execute(sa.insert(table), new)
        found |= _ids(connection, table, {row["name"]: {} for row in new})
    return found


_FIELDS = tuple(field.name for field in dataclasses.fields(Summary))


def _sum_up(connection: sa.Connection, endpoint: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Fold the results of a run that is later than all others of its endpoint into the summaries."""
    wanted = [row["case_id"] for row in rows]
    found = connection.execute(
        sa.select(SUMMARIES).where(SUMMARIES.c.endpoint_id == endpoint, SUMMARIES.c.case_id.in_(wanted))
    ).mappings()
    before = {row["case_id"]: Summary(**{name: row[name] for name in _FIELDS}) for row in found}
    after = {
        row["case_id"]: fold(before.get(row["case_id"], Summary()), row["run_id"], row["rung"], row["duration_ms"])
        for row in rows
    }
    _keep(connection, endpoint, before, after)


def _keep(
    connection: sa.Connection, endpoint: int, before: Mapping[int, Summary], after: Mapping[int, Summary]
) -> None:
    new = [
        {"endpoint_id": endpoint, "case_id": case} | dataclasses.asdict(summary)
        for case, summary in after.items()
        if case not in before
    ]
    old = [{"the_case": case} | dataclasses.asdict(summary) for case, summary in after.items() if case in before]
    if new:
        connection.execute(sa.insert(SUMMARIES), new)
    if old:
        here = sa.and_(SUMMARIES.c.endpoint_id == endpoint, SUMMARIES.c.case_id == sa.bindparam("the_case"))
        connection.execute(sa.update(SUMMARIES).where(here), old)


def summarise_again(connection: sa.Connection, endpoint: int) -> None:
    """Make the summaries of an endpoint from its results, in the order of time: after a run came in late."""
    connection.execute(sa.delete(SUMMARIES).where(SUMMARIES.c.endpoint_id == endpoint))
    rows = connection.execute(
        sa.select(RESULTS.c.case_id, RESULTS.c.run_id, RESULTS.c.rung, RESULTS.c.duration_ms)
        .join(RUNS, RUNS.c.id == RESULTS.c.run_id)
        .where(RUNS.c.endpoint_id == endpoint)
        .order_by(RESULTS.c.case_id, RUNS.c.started, RUNS.c.digest),
        execution_options={"yield_per": 1000},
    )
    summed = (
        (case, functools.reduce(lambda so_far, row: fold(so_far, row.run_id, row.rung, row.duration_ms), of, Summary()))
        for case, of in itertools.groupby(rows, key=lambda row: int(row.case_id))
    )
    for batch in _batched(summed, _BATCH):
        _keep(connection, endpoint, {}, dict(batch))
