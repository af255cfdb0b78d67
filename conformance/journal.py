"""What this run creates on the target, written down before it is created.

Append-only JSON lines. What is not in the journal is untouchable: clean-up removes journalled names and nothing else.
Does not talk to the target.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Kind = Literal["bucket", "object", "upload"]

_ORDER: tuple[Kind, ...] = ("upload", "object", "bucket")


class Journal:
    """Resources of one run, each known by (kind, bucket, object name or empty)."""

    def __init__(self, path: Path, endpoint: str) -> None:
        """Open or go on with a journal; half a line at its end, of a crash, was never acted upon and is dropped."""
        if path.is_file():
            whole = path.read_bytes().rpartition(b"\n")
            with path.open("r+b") as file:
                file.truncate(len(whole[0]) + len(whole[1]))
        self._file: TextIO = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._standing: dict[tuple[Kind, str, str], None] = {}
        self.created = 0
        self._write({"endpoint": endpoint})

    def recall(self, entries: Iterable[tuple[bool, Kind, str, str]]) -> None:
        """Take over what an earlier run wrote: (created or removed, kind, bucket, name), in order."""
        with self._lock:
            for created, kind, bucket, name in entries:
                if created:
                    self._standing[kind, bucket, name] = None
                else:
                    self._standing.pop((kind, bucket, name), None)
            self.created = len(self._standing)

    def will_create(self, kind: Kind, bucket: str, name: str = "") -> None:
        """Write a resource down; call it before the request that may create the resource leaves."""
        with self._lock:
            if (kind, bucket, name) not in self._standing:
                self._standing[kind, bucket, name] = None
                self.created += 1
                self._write({"create": kind, "bucket": bucket, "name": name})

    def removed(self, kind: Kind, bucket: str, name: str = "") -> None:
        """Note that a resource is gone."""
        with self._lock:
            self._standing.pop((kind, bucket, name), None)
            self._write({"removed": kind, "bucket": bucket, "name": name})

    def standing(self, bucket: str | None = None) -> tuple[tuple[Kind, str, str], ...]:
        """What may still exist, in one bucket or in all: uploads and objects before buckets."""
        with self._lock:
            entries = [entry for entry in self._standing if bucket in {None, entry[1]}]
        return tuple(sorted(entries, key=lambda entry: _ORDER.index(entry[0])))

    def owns_bucket(self, bucket: str) -> bool:
        """Whether this run created the bucket."""
        return ("bucket", bucket, "") in self._standing

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, entry: dict[str, str]) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
