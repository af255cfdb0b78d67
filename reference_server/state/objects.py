"""Objects and their bodies: putting, finding, deleting and listing them.

An object is replaced in one transaction, so that a reader, or a restart after a crash, sees the old or the new one
whole. Blobs that a transaction sets free are deleted after it; what a crash leaves over is swept at the next start.
This module does not know requests, nor who may do what.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reference_server.errors import DamagedStateError
from reference_server.state.records import ObjectRecord, Segment, object_details, object_from_row, segments_of_details
from reference_server.state.segments import KeptOrRemoved, end_upload, free_segments, put_segments
from reference_server.wire import MAX_KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reference_server.state.blobs import Blobs
    from reference_server.state.bodies import StoredBody
    from reference_server.state.database import Database

_COLUMNS = "key, size, etag, modified, domain_id, storage_class, details"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing: objects and common prefixes in the order of names, and where to go on."""

    objects: tuple[ObjectRecord, ...]
    prefixes: tuple[str, ...]
    next_marker: str | None


class Objects:
    """All objects of all buckets."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._sql = database.connection
        self._blobs = blobs

    def get(self, bucket: int, key: str) -> ObjectRecord | None:
        """An object, or None."""
        row = self._sql.execute(
            f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND key = ?",  # noqa: S608 - a constant
            (bucket, key),
        ).fetchone()
        return None if row is None else object_from_row(row)

    def read_row(self, row: int) -> bytes:
        """The octets of a small body."""
        found = self._sql.execute("SELECT octets FROM bodies WHERE row = ?", (row,)).fetchone()
        if found is None:
            raise DamagedStateError("A stored body is missing.")
        octets: bytes = found[0]
        return octets

    def put(self, bucket: int, record: ObjectRecord, bodies: Sequence[StoredBody] = (), *, upload_id: str = "") -> None:
        """Put an object in place of whatever had its name; new bodies come after the segments it has already.

        With an upload id, that upload ends in the same transaction and its parts, but for those in use, are freed.
        """
        with KeptOrRemoved(self._blobs, bodies), self._database.transaction() as sql:
            old = self._segments_of(bucket, record.key) or []
            segments = record.segments + put_segments(self._database, bodies)
            if upload_id:
                old += end_upload(sql, upload_id)
            freed: list[str] = []
            if old:
                kept = {(segment.row, segment.blob) for segment in segments}
                freed = free_segments(sql, [entry for entry in old if (entry.row, entry.blob) not in kept])
            sql.execute(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    bucket,
                    record.key,
                    record.size,
                    record.etag,
                    record.modified,
                    record.domain_id,
                    record.storage_class,
                    object_details(record, segments),
                ),
            )
        self._blobs.remove(freed)

    def change(self, bucket: int, record: ObjectRecord) -> None:
        """Keep what changed of an object besides its body."""
        self._sql.execute(
            "UPDATE objects SET details = ? WHERE bucket = ? AND key = ?",
            (object_details(record, record.segments), bucket, record.key),
        )

    def delete(self, bucket: int, key: str) -> None:
        """Delete an object if it is there."""
        segments = self._segments_of(bucket, key)
        if segments is None:
            return
        with self._database.transaction() as sql:
            freed = free_segments(sql, segments)
            sql.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key))
        self._blobs.remove(freed)

    def _segments_of(self, bucket: int, key: str) -> list[Segment] | None:
        row = self._sql.execute("SELECT details FROM objects WHERE bucket = ? AND key = ?", (bucket, key)).fetchone()
        return None if row is None else list(segments_of_details(row[0]))

    def any_in(self, bucket: int) -> bool:
        """Whether a bucket holds an object."""
        return self._sql.execute("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", (bucket,)).fetchone() is not None

    def page(self, bucket: int, *, prefix: str, marker: str, delimiter: str, limit: int) -> Page:
        """Up to `limit` names after the marker.

        A common prefix costs one step however many names it covers: the search goes on behind the last of them.
        """
        objects: list[ObjectRecord] = []
        prefixes: list[str] = []
        last, behind = (marker, False) if marker >= prefix else (prefix, True)
        if delimiter and marker.startswith(prefix) and delimiter in marker[len(prefix) :]:
            last, behind = _after(_common(marker, prefix, delimiter)), True
        while len(objects) + len(prefixes) <= limit:
            rows = self._rows(bucket, last, inclusive=behind, limit=1 + limit - len(objects) - len(prefixes))
            if not rows:
                break
            for row in rows:
                key: str = row[0]
                if not key.startswith(prefix):
                    return Page(tuple(objects), tuple(prefixes), None)
                if len(objects) + len(prefixes) == limit:
                    return Page(tuple(objects), tuple(prefixes), _newest(objects, prefixes))
                if delimiter and delimiter in key[len(prefix) :]:
                    prefixes.append(_common(key, prefix, delimiter))
                    last, behind = _after(prefixes[-1]), True
                    break
                objects.append(object_from_row(row))
                last, behind = key, False
        return Page(tuple(objects), tuple(prefixes), None)

    def _rows(self, bucket: int, start: str, *, inclusive: bool, limit: int) -> list[tuple[str, ...]]:
        comparison = ">=" if inclusive else ">"
        return self._sql.execute(
            f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND key {comparison} ? ORDER BY key LIMIT ?",  # noqa: S608
            (bucket, start, limit),
        ).fetchall()


def _common(key: str, prefix: str, delimiter: str) -> str:
    return key[: key.index(delimiter, len(prefix)) + len(delimiter)]


def _after(prefix: str) -> str:
    """The smallest name behind all names with a prefix, in the order of code points, which is that of UTF-8 octets."""
    head, last = prefix[:-1], ord(prefix[-1])
    if last == sys.maxunicode:
        return _after(head) if head else prefix + prefix[-1] * MAX_KEY_BYTES
    return head + chr(0xE000 if last == 0xD7FF else last + 1)  # noqa: PLR2004 - surrogates are no characters


def _newest(objects: list[ObjectRecord], prefixes: list[str]) -> str:
    return max([entry.key for entry in objects[-1:]] + prefixes[-1:], key=lambda name: name.encode())
