"""The body of an S3 request: taken out of its chunks, and held against what was said of it.

`STREAMING-...` bodies come as `size[;chunk-signature=hex] CRLF octets CRLF`, the last chunk empty, trailing headers
behind it if announced (AWS, "Transferring Payload in Multiple Chunks"). Memory stays flat however large the body is.
This module does not know what the octets are for. What does not agree is refused before anything is stored.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import zlib
from typing import TYPE_CHECKING, Protocol

from reference_server.errors import ObsError
from reference_server.s3_signature import MAX_DIGITS, STREAMING, UNSIGNED, ChunkSigner
from reference_server.s3_words import ALGORITHM, CHECKSUM, THEIRS
from reference_server.wire import decode_octets, encode_octets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reference_server.wire import Foreign

_CHUNKED: Mapping[str, tuple[bool, bool]] = {
    # what x-amz-content-sha256 says: (chunks are signed, a trailer follows)
    f"{STREAMING}{ALGORITHM}-PAYLOAD": (True, False),
    f"{STREAMING}{ALGORITHM}-PAYLOAD-TRAILER": (True, True),
    f"{STREAMING}UNSIGNED-PAYLOAD-TRAILER": (False, True),
}
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,15})(?:;chunk-signature=([0-9a-f]{64}))?")
_MAX_LINE = 1024
_MAX_TRAILER = 8 * 1024


# ---- checksums -----------------------------------------------------------------------------------------------------


class Digest(Protocol):
    """What hashlib's objects and ours have in common."""

    def update(self, data: bytes, /) -> None:
        """More octets."""

    def digest(self) -> bytes:
        """The value of all octets so far."""


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _table(polynomial: int) -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)  # noqa: PLW2901 - is worked on bit by bit
        table.append(value)
    return tuple(table)


class _Crc:
    """A reflected CRC, by its reversed polynomial; octet by octet, which is what plain Python can do."""

    _tables: dict[int, tuple[int, ...]] = {}  # noqa: RUF012 - filled as they are needed

    def __init__(self, polynomial: int, size: int) -> None:
        if polynomial not in self._tables:
            self._tables[polynomial] = _table(polynomial)
        self._table = self._tables[polynomial]
        self._size = size
        self._mask = (1 << 8 * size) - 1
        self._value = self._mask

    def update(self, data: bytes, /) -> None:
        value, table = self._value, self._table
        for octet in data:
            value = table[(value ^ octet) & 0xFF] ^ value >> 8
        self._value = value

    def digest(self) -> bytes:
        return (self._value ^ self._mask).to_bytes(self._size, "big")


CHECKSUMS: Mapping[str, Callable[[], Digest]] = {
    "crc32": _Crc32,
    "crc32c": lambda: _Crc(0x82F63B78, 4),
    "crc64nvme": lambda: _Crc(0x9A6C9329AC4BC9B5, 8),
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
}
"""The checksums a body can be sent with, by the end of their header's name; they are verified and not kept."""

_NOT_SUMS = frozenset(CHECKSUM + name for name in ("algorithm", "mode", "type"))


class _Sum:
    """One checksum on its way, with the header it is named by and, if it came before the body, its value."""

    def __init__(self, name: str, wanted: str | None) -> None:
        make = CHECKSUMS.get(name.removeprefix(CHECKSUM))
        if make is None:
            raise ObsError("ServiceNotImplemented", f"The checksum {name} is not known here.")
        self.name, self.wanted, self.digest = name, wanted, make()

    def check(self) -> None:
        given = encode_octets(self.wanted or "")
        if not hmac.compare_digest(base64.b64encode(self.digest.digest()), given):
            raise ObsError("BadDigest", f"The {self.name} you specified did not match what we received.")


def _sums_of(foreign: Foreign) -> list[_Sum]:
    headers = foreign.head.headers
    named = [name for name in headers.names() if name.startswith(CHECKSUM) and name not in _NOT_SUMS]
    sums = [_Sum(name, headers.first(name)) for name in named]
    trailing = (headers.joined(THEIRS + "trailer") or "").lower().split(",")
    return sums + [_Sum(name.strip(), None) for name in trailing if name.strip()]


# ---- the body ------------------------------------------------------------------------------------------------------


class Payload:
    """Octets as they come in, the object's octets out."""

    def __init__(self, sums: list[_Sum], sha256: str) -> None:
        self._sums = sums
        self._sha256 = sha256
        self._hash = hashlib.sha256() if sha256 else None

    def feed(self, data: bytes) -> bytes:
        """The octets that are the object's."""
        for entry in self._sums:
            entry.digest.update(data)
        if self._hash is not None:
            self._hash.update(data)
        return data

    def finish(self) -> None:
        """Hold the whole against what was said of it."""
        if self._hash is not None and self._hash.hexdigest() != self._sha256:
            details = (
                ("ClientComputedContentSHA256", self._sha256),
                ("S3ComputedContentSHA256", self._hash.hexdigest()),
            )
            raise ObsError("XAmzContentSHA256Mismatch", details=details)
        for entry in self._sums:
            entry.check()


class ChunkedPayload(Payload):
    """The same for a body in chunks."""

    def __init__(self, sums: list[_Sum], size: int, signer: ChunkSigner | None, *, trailer: bool) -> None:
        super().__init__(sums, "")
        self._size, self._taken = size, 0
        self._signer = signer
        self._has_trailer = trailer
        self._buffer = bytearray()
        self._left = 0
        self._signature = ""
        self._chunk = hashlib.sha256()
        self._step: Callable[[], bytes | None] | None = self._line

    def feed(self, data: bytes) -> bytes:
        """The octets of all chunks, without what is between them."""
        self._buffer += data
        found = bytearray()
        while self._step is not None:
            piece = self._step()
            if piece is None:
                break
            found += piece
        return super().feed(bytes(found))

    def _until(self, mark: bytes, limit: int) -> bytes | None:
        at = self._buffer.find(mark)
        if at < 0:
            if len(self._buffer) > limit:
                raise ObsError("InvalidRequest", "The chunks of the body cannot be read.")
            return None
        found = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        return found

    def _line(self) -> bytes | None:
        line = self._until(b"\r\n", _MAX_LINE)
        if line is None:
            return None
        match = _CHUNK.fullmatch(line)
        if match is None or (self._signer is not None) != (match[2] is not None):
            raise ObsError("InvalidRequest", "A chunk of the body does not begin with its size and signature.")
        self._left, self._signature = int(match[1], 16), (match[2] or b"").decode()
        self._chunk = hashlib.sha256()
        if self._left:
            self._step = self._octets
        else:
            self._check_chunk()
            self._step = self._trailer
        return b""

    def _octets(self) -> bytes | None:
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: len(piece)]
        self._left -= len(piece)
        self._taken += len(piece)
        if self._taken > self._size:
            raise ObsError("IncompleteBody", "The body is longer than x-amz-decoded-content-length.")
        if self._signer is not None:
            self._chunk.update(piece)
        if not self._left:
            self._step = self._end_of_octets
        return piece or None

    def _end_of_octets(self) -> bytes | None:
        if len(self._buffer) < len(b"\r\n"):
            return None
        if self._buffer[:2] != b"\r\n":
            raise ObsError("InvalidRequest", "A chunk of the body is not as long as it says.")
        del self._buffer[:2]
        self._check_chunk()
        self._step = self._line
        return b""

    def _check_chunk(self) -> None:
        if self._signer is not None:
            self._signer.check_chunk(self._signature, self._chunk.hexdigest())

    def _trailer(self) -> bytes | None:
        """Lines up to an empty one; without a trailer there is only that, and some clients leave even it out."""
        if len(self._buffer) > _MAX_TRAILER:
            raise ObsError("InvalidRequest", "The trailer of the body is too long.")
        return None

    def finish(self) -> None:
        """The trailer, the length, and the sums."""
        if self._step != self._trailer or self._taken != self._size:
            raise ObsError("IncompleteBody", "The body is shorter than x-amz-decoded-content-length.")
        lines = [line for line in bytes(self._buffer).split(b"\r\n") if line.strip()]
        if self._has_trailer:
            self._read_trailer(lines)
        elif lines:
            raise ObsError("InvalidRequest", "The body goes on behind its last chunk.")
        super().finish()

    def _read_trailer(self, lines: list[bytes]) -> None:
        said: dict[str, str] = {}
        for line in lines:
            name, _, value = decode_octets(line.strip()).partition(":")
            said[name.strip().lower()] = value.strip()
        signature = said.pop(THEIRS + "trailer-signature", "")
        if self._signer is not None:
            covered = "".join(f"{name}:{value}\n" for name, value in said.items())
            self._signer.check_trailer(signature, encode_octets(covered))
        for entry in self._sums:
            if entry.wanted is None:
                entry.wanted = said.get(entry.name)


_OF_THE_OBJECT = frozenset(("CompleteMultipartUpload",))
"""Operations at which a checksum is the object's and not the body's."""


def payload_of(foreign: Foreign, operation: str, secret_key: str) -> Payload | None:
    """How a body has to be taken in, or None if it is just as it comes."""
    said = foreign.head.headers.first(THEIRS + "content-sha256") or foreign.payload or UNSIGNED
    sums = [] if operation in _OF_THE_OBJECT else _sums_of(foreign)
    if said in _CHUNKED:
        signed, trailer = _CHUNKED[said]
        size = foreign.head.headers.first(THEIRS + "decoded-content-length") or ""
        if not (size.isascii() and size.isdigit()) or len(size) > MAX_DIGITS:
            raise ObsError("MissingContentLength", "A body in chunks needs x-amz-decoded-content-length.")
        signer = ChunkSigner(foreign, secret_key) if signed and secret_key else None
        if signed and signer is None:
            raise ObsError("AccessDenied", "The chunks of a request that nobody has signed cannot be signed.")
        return ChunkedPayload(sums, int(size), signer, trailer=trailer)
    if said.startswith(STREAMING):
        raise ObsError("ServiceNotImplemented", f"{said} is not known here.")
    if said != UNSIGNED and not _SHA256.fullmatch(said):
        raise ObsError(
            "InvalidArgument",
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, one of the STREAMING words, or a SHA-256 in hex.",
        )
    sha256 = "" if said == UNSIGNED else said
    return Payload(sums, sha256) if sums or sha256 else None
