"""The whole state behind one name, in memory or in a data directory that belongs to one server at a time.

A data directory holds `server.db`, the folder `blobs` and `root.key`, the key under which master keys are wrapped.
This module does not know what any of it is for.
"""

from __future__ import annotations

import fcntl
import hmac
import os
import sqlite3
from typing import TYPE_CHECKING, Self

from reference_server.errors import StartError
from reference_server.state.blobs import Blobs, FileBlobs, MemoryBlobs
from reference_server.state.database import Database
from reference_server.state.objects import Objects
from reference_server.state.tables import Buckets, Identities, MasterKeys, Settings
from reference_server.state.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

ROOT_KEY_BYTES = 32
_ROOT_KEY_CHECK = "root-key-check"


class State:
    """All that is stored."""

    def __init__(self, database: Database, blobs: Blobs, root_key: bytes, lock: int | None = None) -> None:
        self.root_key = root_key
        self.blobs = blobs
        self.settings = Settings(database)
        self.identities = Identities(database)
        self.master_keys = MasterKeys(database)
        self.buckets = Buckets(database)
        self.objects = Objects(database, blobs)
        self.uploads = Uploads(database, blobs)
        self._database = database
        self._lock = lock

    @classmethod
    def in_memory(cls, dice: Callable[[int], bytes]) -> Self:
        """A state that ends with the process."""
        return cls(Database(None), MemoryBlobs(dice), dice(ROOT_KEY_BYTES))

    @classmethod
    def at(cls, folder: Path, dice: Callable[[int], bytes], *, durable: bool = False) -> Self:
        """The state kept in a folder, which is made if it is not there; a durable one survives power failures."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _lock(folder)
            new = not (folder / "server.db").exists()
            if new and any((folder / "blobs").glob("*/*")):
                raise StartError(
                    f"{folder / 'server.db'} is missing, but {folder / 'blobs'} holds bodies of objects. Put the"
                    " database back, or empty the directory; nothing has been changed."
                )
            root_key = _root_key(folder / "root.key", dice, new=new)
            database = Database(folder / "server.db", durable=durable)
            state = cls(database, FileBlobs(folder / "blobs", dice, durable=durable), root_key, lock)
            state.check_root_key()
            state.sweep()
        except (OSError, sqlite3.Error) as error:
            raise StartError(f"The data directory {folder} cannot be used: {error}.") from error
        return state

    @staticmethod
    def abandoned(folder: Path) -> bool:
        """Whether a server has had this folder, and none has it any more."""
        try:
            if not (folder / "lock").exists():
                return False
            os.close(_lock(folder))
        except (OSError, StartError):
            return False
        return True

    def check_root_key(self) -> None:
        """Refuse a root key that is not the one this state was made with."""
        mark = hmac.digest(self.root_key, b"obs-reference-server root key", "sha256")
        known = self.settings.get(_ROOT_KEY_CHECK)
        if known is None:
            self.settings.put(_ROOT_KEY_CHECK, mark)
        elif not hmac.compare_digest(known, mark):
            raise StartError(
                "The file root.key does not belong to this data directory. Put its own file back; nothing has been"
                " changed."
            )

    def sweep(self) -> None:
        """Delete blobs that no finished transaction refers to."""
        rows = self._database.connection.execute("SELECT blob FROM blobs").fetchall()
        known = {blob for (blob,) in rows}
        self.blobs.sweep(known.__contains__)

    def transaction(self) -> AbstractContextManager[object]:
        """All changes of a block or none; not to be held while anything is waited for."""
        return self._database.transaction()

    def check(self) -> None:
        """Whether the database still answers; an sqlite3.Error if it does not."""
        self._database.connection.execute("SELECT 1 FROM settings LIMIT 1").fetchone()

    def close(self) -> None:
        """Write everything back and let go of the folder."""
        self._database.close()
        if self._lock is not None:
            os.close(self._lock)


def _lock(folder: Path) -> int:
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StartError(f"The data directory {folder} is in use by another server.") from error
    return descriptor


def _root_key(path: Path, dice: Callable[[int], bytes], *, new: bool) -> bytes:
    if not path.exists():
        if not new:
            raise StartError(
                f"{path} is missing; without it no encrypted object can be read. Put the file of this data directory"
                " back; nothing has been changed."
            )
        _make_root_key(path, dice(ROOT_KEY_BYTES))
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except ValueError as error:
        raise _no_root_key(path) from error
    if len(key) != ROOT_KEY_BYTES:
        raise _no_root_key(path)
    return key


def _no_root_key(path: Path) -> StartError:
    return StartError(
        f"{path} is not a root key, which is {2 * ROOT_KEY_BYTES} hexadecimal digits. Put the file of this data"
        " directory back; nothing has been changed."
    )


def _make_root_key(path: Path, key: bytes) -> None:
    """There whole or not at all: a directory left by a start that was killed must be usable by the next one."""
    beside = path.with_name(f"{path.name}.part")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.hex().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
