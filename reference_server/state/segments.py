"""Giving stored bodies their places and taking them away, inside a transaction that somebody else has opened.

This module does not know objects or parts as such, only where their bodies lie.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reference_server.state.records import Segment, segments_from_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from reference_server.state.blobs import Blobs
    from reference_server.state.bodies import StoredBody
    from reference_server.state.database import Database


def put_segments(database: Database, bodies: Iterable[StoredBody]) -> tuple[Segment, ...]:
    """Give bodies their places."""
    return tuple([body.segment(_place(database, body)) for body in bodies])


class KeptOrRemoved:
    """Deletes the blobs of new bodies when the transaction that should have placed them fails, as on a full disk."""

    __slots__ = ("_blobs", "_bodies")

    def __init__(self, blobs: Blobs, bodies: Sequence[StoredBody]) -> None:
        self._blobs = blobs
        self._bodies = bodies

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._blobs.remove(body.blob for body in self._bodies if body.blob)


def _place(database: Database, body: StoredBody) -> int:
    if body.octets is None:
        database.connection.execute("INSERT INTO blobs VALUES (?)", (body.blob,))
        return 0
    row = database.new_row()
    database.connection.execute("INSERT INTO bodies VALUES (?, ?)", (row, body.octets))
    return row


def free_segments(sql: sqlite3.Connection, segments: Iterable[Segment]) -> list[str]:
    """Take places away; the blobs to be deleted once the transaction is through."""
    freed: list[str] = []
    for segment in segments:
        if segment.blob:
            sql.execute("DELETE FROM blobs WHERE blob = ?", (segment.blob,))
            freed.append(segment.blob)
        else:
            sql.execute("DELETE FROM bodies WHERE row = ?", (segment.row,))
    return freed


def segments_of_part(sql: sqlite3.Connection, upload_id: str, number: int) -> tuple[Segment, ...]:
    """The segments of a part; none if there is no such part."""
    row = sql.execute("SELECT segments FROM parts WHERE upload_id = ? AND number = ?", (upload_id, number)).fetchone()
    return () if row is None else segments_from_json(json.loads(row[0]))


def end_upload(sql: sqlite3.Connection, upload_id: str) -> list[Segment]:
    """Remove an upload and its parts; the segments they held."""
    rows = sql.execute("SELECT segments FROM parts WHERE upload_id = ?", (upload_id,)).fetchall()
    sql.execute("DELETE FROM parts WHERE upload_id = ?", (upload_id,))
    sql.execute("DELETE FROM uploads WHERE upload_id = ?", (upload_id,))
    return [segment for (segments,) in rows for segment in segments_from_json(json.loads(segments))]
