"""What this run creates on the target, written down before it is created.

Append-only JSON lines. What is not in the journal is untouchable: clean-up removes journalled names and nothing else.
A key in it was not created: its state is being changed, and what is removed is the change.
Does not talk to the target.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Kind = Literal["key", "bucket", "object", "upload"]

_ORDER: tuple[Kind, ...] = ("key", "upload", "object", "bucket")
_BEGIN, _END = b"\xff", b"\xfe"
"""Around each name in memory; UTF-8 has no such bytes."""
_REMEMBERED = 1024
"""A case writes its objects again soon or never: so many names back, one is not written down twice."""


def still_standing(entries: Iterable[tuple[bool, Kind, str, str]]) -> tuple[tuple[Kind, str, str], ...]:
    """What was created and not removed, of entries in order: (created or removed, kind, bucket, name)."""
    standing: dict[tuple[Kind, str, str], None] = {}
    for created, kind, bucket, name in entries:
        if created:
            standing[kind, bucket, name] = None
        else:
            standing.pop((kind, bucket, name), None)
    return tuple(standing)


class Journal:
    """Resources of one run, each known by (kind, bucket, object name or empty).

    A run may create very many, so that what stands is kept as one string of names for each kind and bucket.
    """

    def __init__(self, path: Path, endpoint: str) -> None:
        """Open or go on with a journal; half a line at its end, of a crash, was never acted upon and is dropped."""
        if path.is_file():
            whole = path.read_bytes().rpartition(b"\n")
            with path.open("r+b") as file:
                file.truncate(len(whole[0]) + len(whole[1]))
        self._file: TextIO = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._names: dict[tuple[Kind, str], bytearray] = {}
        self._recent: dict[tuple[Kind, str, str], None] = {}
        self.created = 0
        self._write({"endpoint": endpoint})

    def recall(self, entries: Iterable[tuple[bool, Kind, str, str]]) -> None:
        """Take over what an earlier run wrote: (created or removed, kind, bucket, name), in order."""
        standing = still_standing(entries)
        with self._lock:
            for entry in standing:
                self._note(*entry)
            self.created = sum(kind != "key" for kind, _, _ in standing)

    def will_create(self, kind: Kind, bucket: str, name: str = "") -> None:
        """Write a resource down; call it before the request that may create the resource leaves."""
        with self._lock:
            if (kind, bucket, name) not in self._recent:
                self._note(kind, bucket, name)
                self.created += kind != "key"
                self._write({"create": kind, "bucket": bucket, "name": name})

    def _note(self, kind: Kind, bucket: str, name: str) -> None:
        self._names.setdefault((kind, bucket), bytearray()).extend(_entry(name))
        self._recent[kind, bucket, name] = None
        if len(self._recent) > _REMEMBERED:
            del self._recent[next(iter(self._recent))]

    def removed(self, kind: Kind, bucket: str, name: str = "") -> None:
        """Note that a resource is gone."""
        with self._lock:
            self._recent.pop((kind, bucket, name), None)
            names, entry = self._names.get((kind, bucket), bytearray()), _entry(name)
            if (start := names.find(entry)) >= 0:
                del names[start : start + len(entry)]  # at the front, where clean-up works, this moves nothing
            if not names:
                self._names.pop((kind, bucket), None)
            self._write({"removed": kind, "bucket": bucket, "name": name})

    def standing(self, bucket: str | None = None) -> Iterator[tuple[Kind, str, str]]:
        """What may still exist now, in one bucket or in all: uploads and objects before buckets."""
        with self._lock:
            found = [(*of, bytes(names)) for of, names in self._names.items() if bucket in {None, of[1]}]
        for kind, of, names in sorted(found, key=lambda each: _ORDER.index(each[0])):
            start = 0
            while (end := names.find(_END, start)) >= 0:
                yield kind, of, names[start + 1 : end].decode("utf-8", "surrogatepass")
                start = end + 1

    def buckets(self) -> tuple[str, ...]:
        """Every bucket in which something may still exist, in the order in which they were written down."""
        with self._lock:
            return tuple(dict.fromkeys(bucket for _, bucket in self._names))

    def owns_bucket(self, bucket: str) -> bool:
        """Whether this run created the bucket."""
        return ("bucket", bucket) in self._names

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, entry: dict[str, str]) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()


def _entry(name: str) -> bytes:
    return _BEGIN + name.encode("utf-8", "surrogatepass") + _END
