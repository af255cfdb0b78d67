"""The SQLite database: its schema, its transactions, and the complaints when it cannot be used.

This module does not know what the tables mean. Journal mode WAL with synchronous=NORMAL: a killed process loses
nothing that was committed; after a power failure the last commits may be missing, but never half of one. A durable
database is synchronous=FULL: each commit is on the disk when it returns.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from reference_server.errors import StartError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

SCHEMA_VERSION = 2
CHECKPOINT_PAGES = 4000
"""A checkpoint waits for the disk, and all uploads under way with it. An upload takes about three pages, so this is
one upload in a thousand, and the log stays under 20 MB."""

_SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE identities (
    access_key TEXT PRIMARY KEY, secret_key TEXT NOT NULL, domain_id TEXT NOT NULL, user_id TEXT NOT NULL,
    user_name TEXT NOT NULL, project_id TEXT NOT NULL, administrator INTEGER NOT NULL
);
CREATE TABLE master_keys (
    key_id TEXT PRIMARY KEY, region TEXT NOT NULL, domain_id TEXT NOT NULL, project_id TEXT NOT NULL,
    owner_id TEXT NOT NULL, sealed BLOB NOT NULL, created REAL NOT NULL, alias TEXT NOT NULL,
    in_default_project INTEGER NOT NULL, state TEXT NOT NULL, deletion_time REAL, description TEXT NOT NULL
);
CREATE TABLE buckets (
    number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, domain_id TEXT NOT NULL,
    owner_id TEXT NOT NULL, created REAL NOT NULL, storage_class TEXT NOT NULL, encryption TEXT, policy BLOB,
    grants TEXT NOT NULL
);
CREATE TABLE objects (
    bucket INTEGER NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL, modified REAL NOT NULL,
    domain_id TEXT NOT NULL, storage_class TEXT NOT NULL, details TEXT NOT NULL, PRIMARY KEY (bucket, key)
) WITHOUT ROWID;
CREATE TABLE uploads (
    upload_id TEXT PRIMARY KEY, bucket INTEGER NOT NULL, key TEXT NOT NULL, initiated REAL NOT NULL,
    domain_id TEXT NOT NULL, details TEXT NOT NULL
);
CREATE INDEX uploads_by_key ON uploads (bucket, key, upload_id);
CREATE TABLE parts (
    upload_id TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    modified REAL NOT NULL, segments TEXT NOT NULL, PRIMARY KEY (upload_id, number)
) WITHOUT ROWID;
CREATE TABLE bodies (row INTEGER PRIMARY KEY, octets BLOB NOT NULL);
CREATE TABLE blobs (blob TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class Transaction:
    """A block whose statements are all carried out, or none."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


class Database:
    """One connection, one writer: the server is one process with one loop."""

    def __init__(self, path: Path | None, *, durable: bool = False) -> None:
        self._last_row = 0
        try:
            self.connection = sqlite3.connect(
                ":memory:" if path is None else path, isolation_level=None, check_same_thread=False
            )
            self._prepare(in_memory=path is None, durable=durable)
        except sqlite3.Error as error:
            raise StartError(f"The database {path} cannot be used: {error}.") from error

    def _prepare(self, *, in_memory: bool, durable: bool) -> None:
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        new = version == 0
        if new and self.connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            raise StartError("The database belongs to another program; nothing has been changed.")
        if not new and version != SCHEMA_VERSION:
            raise StartError(f"The database was written by another version of this server (schema {version}).")
        if not in_memory and not new:
            (verdict,) = self.connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                says = " ".join(verdict.split())
                raise StartError(f"The database is damaged: {says}. Restore server.db; nothing has been changed.")
        if not in_memory:
            self.connection.execute("PRAGMA journal_mode=WAL")
            self.connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self.connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        if new:
            with self.transaction():
                for statement in _SCHEMA.split(";"):
                    self.connection.execute(statement)
                self.connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        (self._last_row,) = self.connection.execute("SELECT coalesce(max(row), 0) FROM bodies").fetchone()

    def new_row(self) -> int:
        """A number for a body that no other body has had since the server started.

        Whoever still reads a body that was deleted meanwhile must not find another one in its place; SQLite's own
        AUTOINCREMENT promises the same, but costs every upload another page.
        """
        self._last_row += 1
        return self._last_row

    def transaction(self) -> Transaction:
        """All of it or nothing."""
        return Transaction(self.connection)

    def close(self) -> None:
        """Write everything back and let go of the files."""
        self.connection.close()
