"""Chunked authenticated encryption: bytes in, sealed chunks out, and any range back from only the chunks it needs.

Each chunk is AES-256-GCM under the object's data key; its nonce is a random prefix, the chunk's number and a mark on
the last chunk (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015), so that chunks can be
neither altered, nor moved, nor cut off at the end. This module does not know files, master keys or requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from reference_server.errors import DamagedStateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK = 256 * 1024
"""Plain bytes in a chunk: large enough that Python's share of sealing it is small, small enough for short ranges."""

TAG = 16
PREFIX_BYTES = 7


def _nonce(prefix: bytes, index: int, *, last: bool) -> bytes:
    return prefix + index.to_bytes(4, "big") + (b"\1" if last else b"\0")


class Sealer:
    """Seals a stream chunk by chunk; the caller cuts the stream."""

    def __init__(self, data_key: bytes, prefix: bytes) -> None:
        self._cipher = AESGCM(data_key)
        self._prefix = prefix
        self._index = 0

    def seal(self, chunk: bytes | memoryview, *, last: bool) -> bytes:
        """One chunk, sealed; all but the last have exactly `CHUNK` bytes, and there is always a last one."""
        sealed = self._cipher.encrypt(_nonce(self._prefix, self._index, last=last), chunk, None)
        self._index += 1
        return sealed


def sealed_size(size: int) -> int:
    """The length on disk of so many plain bytes."""
    return size + TAG * _chunks(size)


def _chunks(size: int) -> int:
    return max(1, -(-size // CHUNK))


def unseal_whole(sealed: bytes, data_key: bytes, prefix: bytes) -> bytes:
    """The plain bytes of a sealed stream that is one chunk, which is how small bodies are stored."""
    return _open(AESGCM(data_key), _nonce(prefix, 0, last=True), sealed)


def _open(cipher: AESGCM, nonce: bytes, sealed: bytes) -> bytes:
    try:
        return cipher.decrypt(nonce, sealed, None)
    except InvalidTag as error:
        raise DamagedStateError("A stored chunk has been altered.") from error


def unseal(  # noqa: PLR0913 - where, under what, and which of how many
    read: Callable[[int, int], bytes], data_key: bytes, prefix: bytes, *, size: int, start: int, end: int
) -> Iterator[bytes]:
    """The plain bytes [start, end) of a sealed stream of `size` plain bytes; `read` takes an offset and a length.

    An empty stream still has one chunk, which is opened: that it is empty is vouched for too.
    """
    cipher = AESGCM(data_key)
    last = _chunks(size) - 1
    for index in range(start // CHUNK, max(end - 1, start) // CHUNK + 1):
        length = CHUNK if index < last else size - last * CHUNK
        sealed = read(index * (CHUNK + TAG), length + TAG)
        plain = _open(cipher, _nonce(prefix, index, last=index == last), sealed)
        origin = index * CHUNK
        yield plain[max(start - origin, 0) : end - origin]
