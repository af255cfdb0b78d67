"""Multipart uploads under way and their parts.

This module does not know how parts become an object's segments (that is `objects`), nor the rules of their sizes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reference_server.state.records import (
    PartRecord,
    UploadRecord,
    segments_from_json,
    segments_to_json,
    upload_details,
    upload_from_row,
)
from reference_server.state.segments import (
    KeptOrRemoved,
    end_upload,
    free_segments,
    put_segments,
    segments_of_part,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reference_server.state.blobs import Blobs
    from reference_server.state.bodies import StoredBody
    from reference_server.state.database import Database

_COLUMNS = "upload_id, key, initiated, domain_id, details"


class Uploads:
    """All uploads under way."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._sql = database.connection
        self._blobs = blobs

    def create(self, bucket: int, upload: UploadRecord) -> None:
        """Begin an upload."""
        self._sql.execute(
            "INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?)",
            (upload.upload_id, bucket, upload.key, upload.initiated, upload.domain_id, upload_details(upload)),
        )

    def get(self, bucket: int, key: str, upload_id: str) -> UploadRecord | None:
        """An upload of that name and id, or None."""
        row = self._sql.execute(
            f"SELECT {_COLUMNS} FROM uploads WHERE upload_id = ? AND bucket = ? AND key = ?",  # noqa: S608 - a constant
            (upload_id, bucket, key),
        ).fetchone()
        return None if row is None else upload_from_row(row)

    def any_in(self, bucket: int) -> bool:
        """Whether a bucket has an upload under way."""
        return self._sql.execute("SELECT 1 FROM uploads WHERE bucket = ? LIMIT 1", (bucket,)).fetchone() is not None

    def page(self, bucket: int, *, prefix: str, after: tuple[str, str], limit: int) -> tuple[UploadRecord, ...]:
        """Up to `limit` uploads behind a key and upload id."""
        rows = self._sql.execute(
            f"SELECT {_COLUMNS} FROM uploads WHERE bucket = ? AND (key, upload_id) > (?, ?)"  # noqa: S608 - a constant
            " AND substr(key, 1, ?) = ? ORDER BY key, upload_id LIMIT ?",
            (bucket, *after, len(prefix), prefix, limit),
        )
        return tuple(upload_from_row(row) for row in rows)

    def put_part(self, upload_id: str, part: PartRecord, bodies: Sequence[StoredBody]) -> None:
        """Put a part in place of whatever had its number."""
        with KeptOrRemoved(self._blobs, bodies), self._database.transaction() as sql:
            freed = free_segments(sql, segments_of_part(sql, upload_id, part.number))
            segments = put_segments(self._database, bodies)
            sql.execute(
                "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)",
                (
                    upload_id,
                    part.number,
                    part.size,
                    part.etag,
                    part.modified,
                    json.dumps(segments_to_json(segments)),
                ),
            )
        self._blobs.remove(freed)

    def parts(self, upload_id: str, *, after: int = 0, limit: int = -1) -> tuple[PartRecord, ...]:
        """Parts in the order of their numbers."""
        rows = self._sql.execute(
            "SELECT number, size, etag, modified, segments FROM parts WHERE upload_id = ? AND number > ?"
            " ORDER BY number LIMIT ?",
            (upload_id, after, limit),
        )
        return tuple(
            PartRecord(number, size, etag, modified, segments_from_json(json.loads(segments)))
            for number, size, etag, modified, segments in rows
        )

    def abort(self, upload_id: str) -> None:
        """End an upload and free its parts."""
        with self._database.transaction() as sql:
            freed = free_segments(sql, end_upload(sql, upload_id))
        self._blobs.remove(freed)
