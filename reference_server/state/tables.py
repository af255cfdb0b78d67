"""Identities, master keys, settings and buckets: the small tables, read often and changed seldom.

Buckets are kept in memory once read, because every request asks for one. This module does not know objects.
"""

from __future__ import annotations

import json
from dataclasses import astuple, replace
from typing import TYPE_CHECKING

from reference_server.encryption import BucketDefault, Method
from reference_server.identities import Caller, Identity
from reference_server.keyring import KeyState, MasterKey
from reference_server.policy import Policy, parse_policy
from reference_server.state.records import BucketRecord, Grant, grants_from_json, grants_to_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from reference_server.state.database import Database


class Settings:
    """Named values of the whole server."""

    def __init__(self, database: Database) -> None:
        self._sql = database.connection

    def get(self, name: str) -> bytes | None:
        """A value, or None."""
        row = self._sql.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def put(self, name: str, value: bytes) -> None:
        """Set a value."""
        self._sql.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))


class Identities:
    """The access keys that survive a restart."""

    def __init__(self, database: Database) -> None:
        self._sql = database.connection

    def load(self) -> tuple[Identity, ...]:
        """All identities, in the order they were saved."""
        rows = self._sql.execute("SELECT * FROM identities ORDER BY rowid")
        return tuple(
            Identity(access_key, secret_key, Caller(domain_id, user_id, user_name, project_id, bool(administrator)))
            for access_key, secret_key, domain_id, user_id, user_name, project_id, administrator in rows
        )

    def save(self, identity: Identity) -> None:
        """Keep an identity, in place of one with the same access key."""
        self._sql.execute(
            "INSERT OR REPLACE INTO identities VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                identity.access_key,
                identity.secret_key,
                identity.caller.domain_id,
                identity.caller.user_id,
                identity.caller.user_name,
                identity.caller.project_id,
                identity.caller.administrator,
            ),
        )

    def delete(self, access_key: str) -> None:
        """Forget an access key."""
        self._sql.execute("DELETE FROM identities WHERE access_key = ?", (access_key,))


class MasterKeys:
    """The key ring's memory."""

    def __init__(self, database: Database) -> None:
        self._sql = database.connection

    def load_keys(self) -> Iterable[MasterKey]:
        """All keys ever saved."""
        for row in self._sql.execute("SELECT * FROM master_keys").fetchall():
            (
                key_id,
                region,
                domain_id,
                project_id,
                owner_id,
                sealed,
                created,
                alias,
                default_project,
                state,
                deletion,
                description,
            ) = row
            yield MasterKey(
                key_id=key_id,
                region=region,
                domain_id=domain_id,
                project_id=project_id,
                owner_id=owner_id,
                sealed=sealed,
                created=created,
                alias=alias,
                in_default_project=bool(default_project),
                state=KeyState(state),
                deletion_time=deletion,
                description=description,
            )

    def save_key(self, key: MasterKey) -> None:
        """Keep a new or changed key."""
        self._sql.execute(
            "INSERT OR REPLACE INTO master_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(key)
        )


class Buckets:
    """All buckets by name."""

    def __init__(self, database: Database) -> None:
        self._sql = database.connection
        self._known: dict[str, BucketRecord] = {}

    def get(self, name: str) -> BucketRecord | None:
        """A bucket, or None."""
        found = self._known.get(name)
        if found is None:
            row = self._sql.execute("SELECT * FROM buckets WHERE name = ?", (name,)).fetchone()
            if row is not None:
                found = self._known[name] = _bucket_from_row(row)
        return found

    def all_of(self, domain_id: str) -> tuple[BucketRecord, ...]:
        """An account's buckets in the order of their names."""
        rows = self._sql.execute("SELECT * FROM buckets WHERE domain_id = ? ORDER BY name", (domain_id,))
        return tuple(_bucket_from_row(row) for row in rows)

    def create(self, bucket: BucketRecord) -> BucketRecord:
        """A new bucket; its number is given here and never again."""
        cursor = self._sql.execute(
            "INSERT INTO buckets (name, domain_id, owner_id, created, storage_class, encryption, policy, grants)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (bucket.name, bucket.domain_id, bucket.owner_id, bucket.created, bucket.storage_class, *_columns(bucket)),
        )
        created = replace(bucket, number=cursor.lastrowid or 0)
        self._known[bucket.name] = created
        return created

    def change(self, bucket: BucketRecord) -> None:
        """Keep a bucket's changed configuration."""
        self._sql.execute(
            "UPDATE buckets SET encryption = ?, policy = ?, grants = ? WHERE number = ?",
            (*_columns(bucket), bucket.number),
        )
        self._known[bucket.name] = bucket

    def delete(self, bucket: BucketRecord) -> None:
        """Remove an empty bucket."""
        self._sql.execute("DELETE FROM buckets WHERE number = ?", (bucket.number,))
        self._known.pop(bucket.name, None)


def _columns(bucket: BucketRecord) -> tuple[str | None, bytes | None, str]:
    default = bucket.default
    encryption = None if default is None else json.dumps([default.mode, default.key_text, default.project_id])
    return encryption, bucket.policy_text or None, json.dumps(grants_to_json(bucket.grants))


def _bucket_from_row(row: sqlite3.Row | tuple[object, ...]) -> BucketRecord:
    number, name, domain_id, owner_id, created, storage_class, encryption, policy_text, grants = row
    default: BucketDefault | None = None
    if encryption is not None:
        mode, key_text, project_id = json.loads(str(encryption))
        default = BucketDefault(Method(mode), key_text, project_id)
    policy: Policy | None = None
    if isinstance(policy_text, bytes):
        policy = parse_policy(policy_text, str(name))
    lines: tuple[Grant, ...] = grants_from_json(json.loads(str(grants)))
    return BucketRecord(
        number=int(str(number)),
        name=str(name),
        domain_id=str(domain_id),
        owner_id=str(owner_id),
        created=float(str(created)),
        storage_class=str(storage_class),
        default=default,
        policy_text=policy_text if isinstance(policy_text, bytes) else b"",
        policy=policy,
        grants=lines,
    )
