"""Bodies as they come and go: a stream becomes a stored segment, sealed or plain, and a range of segments a stream.

Small bodies go into the database, large ones into a blob; the plain bytes of a sealed body are never written anywhere.
This module does not know objects, buckets or master keys.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reference_server.errors import DamagedStateError
from reference_server.sealing import CHUNK, PREFIX_BYTES, TAG, Sealer, sealed_size, unseal, unseal_whole
from reference_server.state.records import Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reference_server.state.blobs import Blobs, BlobWriter

READ_PIECE = 256 * 1024
"""How much of a plain blob is read at once."""


@dataclass(frozen=True, slots=True)
class StoredBody:
    """A finished body: either its octets, for the database, or the name of its blob.

    `digest` is the MD5 of the plain bytes for a plain body. For a sealed one it is drawn from the authentication tags,
    hence from key and cipher text, because the ETag of an encrypted object is documented not to be the MD5 of its
    content (section 5.5).
    """

    size: int
    digest: bytes
    md5: bytes | None
    octets: bytes | None
    blob: str
    prefix: bytes

    def segment(self, row: int) -> Segment:
        """Where the body lies, once the database has given its octets a row."""
        return Segment(self.size, row, self.blob, self.prefix)


class BodyWriter:
    """Takes a stream of plain bytes; `finish` completes it, `abort` leaves no trace."""

    def __init__(
        self, blobs: Blobs, dice: Callable[[int], bytes], *, data_key: bytes | None, want_md5: bool = False
    ) -> None:
        self._blobs = blobs
        self._prefix = dice(PREFIX_BYTES) if data_key is not None else b""
        self._sealer = Sealer(data_key, self._prefix) if data_key is not None else None
        self._md5 = hashlib.md5(usedforsecurity=False) if want_md5 or data_key is None else None
        self._tags = hashlib.blake2b(digest_size=16)
        self._only = b""
        self._chunk: memoryview | None = None
        self._filled = 0
        self._blob: BlobWriter | None = None
        self.size = 0

    def feed(self, data: bytes) -> None:
        """More of the body."""
        self.size += len(data)
        if self._md5 is not None:
            self._md5.update(data)
        if self._chunk is None:
            if not self._only and len(data) <= CHUNK:
                self._only = bytes(data)  # most bodies come in one piece, which then is never copied
                return
            self._chunk = memoryview(bytearray(CHUNK))
            self._gather(self._chunk, self._only)
            self._only = b""
        self._gather(self._chunk, data)

    def _gather(self, chunk: memoryview, data: bytes) -> None:
        """Fill the chunk; a full one is held back until more comes, since the last is marked as such."""
        rest = memoryview(data)
        while rest:
            if self._filled == CHUNK:
                self._spill(chunk, last=False)
                self._filled = 0
            taken = rest[: CHUNK - self._filled]
            chunk[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            rest = rest[len(taken) :]

    def _spill(self, chunk: memoryview, *, last: bool) -> None:
        if self._blob is None:
            self._blob = self._blobs.create()
        if self._sealer is not None:
            chunk = self._sealer.seal(chunk, last=last)
            self._tags.update(chunk[-TAG:])
        self._blob.write(chunk)

    def _seal_whole(self, octets: bytes) -> bytes:
        if self._sealer is None:
            return octets
        sealed = self._sealer.seal_whole(octets)
        self._tags.update(sealed[-TAG:])
        return sealed

    def finish(self) -> StoredBody:
        """Complete the body; a blob is in its final place when this returns."""
        octets: bytes | None = None
        blob = ""
        if self._chunk is None:
            octets = self._seal_whole(self._only)
        elif self._blob is None:
            octets = self._seal_whole(bytes(self._chunk[: self._filled]))
        else:
            self._spill(self._chunk[: self._filled], last=True)
            blob = self._blob.commit()
        md5 = self._md5.digest() if self._md5 is not None else None
        digest = self._tags.digest() if self._sealer is not None or md5 is None else md5
        return StoredBody(self.size, digest, md5, octets, blob, self._prefix)

    def abort(self) -> None:
        """Forget the body."""
        if self._blob is not None:
            self._blob.abort()


def read_segments(  # noqa: PLR0913 - two stores, what to read, and which of it
    blobs: Blobs,
    read_row: Callable[[int], bytes],
    segments: tuple[Segment, ...],
    data_key: bytes | None,
    *,
    start: int,
    end: int,
) -> Iterator[bytes]:
    """The plain bytes [start, end) of a body; only the chunks that hold them are read and opened."""
    if len(segments) == 1 and not segments[0].blob and segments[0].size <= CHUNK:
        return iter((_read_small(read_row(segments[0].row), segments[0], data_key)[start:end],))
    return _read_pieces(blobs, read_row, segments, data_key, start, end)


def _read_small(octets: bytes, segment: Segment, data_key: bytes | None) -> bytes:
    if len(octets) != (sealed_size(segment.size) if segment.prefix else segment.size):
        raise DamagedStateError("A stored body has been cut off.")
    if not segment.prefix:
        return octets
    if data_key is None:
        raise DamagedStateError("A sealed body has no data key.")
    return unseal_whole(octets, data_key, segment.prefix)


def _read_pieces(  # noqa: PLR0913, PLR0917 - as read_segments
    blobs: Blobs,
    read_row: Callable[[int], bytes],
    segments: tuple[Segment, ...],
    data_key: bytes | None,
    start: int,
    end: int,
) -> Iterator[bytes]:
    origin = 0
    for segment in segments:
        low, high = max(start - origin, 0), min(end - origin, segment.size)
        origin += segment.size
        if low < high or (segment.size == 0 and start <= origin <= end):
            yield from _read_segment(blobs, read_row, segment, data_key, low, high)


def _read_segment(  # noqa: PLR0913, PLR0917 - as read_segments
    blobs: Blobs, read_row: Callable[[int], bytes], segment: Segment, data_key: bytes | None, low: int, high: int
) -> Iterator[bytes]:
    if not segment.blob:
        octets = read_row(segment.row)
        yield from _decode(_slicer(octets), segment, data_key, low, high)
        return
    reader = blobs.open(segment.blob)
    try:
        yield from _decode(reader.read, segment, data_key, low, high)
    finally:
        reader.close()


def _slicer(octets: bytes) -> Callable[[int, int], bytes]:
    def read(offset: int, length: int) -> bytes:
        piece = octets[offset : offset + length]
        if len(piece) != length:
            raise DamagedStateError("A stored body has been cut off.")
        return piece

    return read


def _decode(
    read: Callable[[int, int], bytes], segment: Segment, data_key: bytes | None, low: int, high: int
) -> Iterator[bytes]:
    if segment.prefix:
        if data_key is None:
            raise DamagedStateError("A sealed body has no data key.")
        yield from unseal(read, data_key, segment.prefix, size=segment.size, start=low, end=high)
        return
    for offset in range(low, high, READ_PIECE):
        yield read(offset, min(READ_PIECE, high - offset))
