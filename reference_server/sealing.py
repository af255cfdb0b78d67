"""Chunked authenticated encryption: bytes in, sealed chunks out, and any range back from only the chunks it needs.

Each chunk is AES-256-GCM under the object's data key; its nonce is a random prefix, the chunk's number and a mark on
the last chunk (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015), so that chunks can be
neither altered, nor moved, nor cut off at the end. This module does not know files, master keys or requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from reference_server.errors import DamagedStateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK = 256 * 1024
"""Plain bytes in a chunk: large enough that Python's share of sealing it is small, small enough for short ranges."""

TAG = 16
PREFIX_BYTES = 7
_SLACK = 15
"""What `update_into` wants beyond the length of its input: a block less a byte."""


def _nonce(prefix: bytes, index: int, *, last: bool) -> bytes:
    return prefix + index.to_bytes(4, "big") + (b"\1" if last else b"\0")


class Sealer:
    """Seals a stream chunk by chunk; the caller cuts the stream."""

    def __init__(self, data_key: bytes, prefix: bytes) -> None:
        self._data_key = data_key
        self._prefix = prefix
        self._index = 0
        self._room: bytearray | None = None

    def seal_whole(self, plain: bytes) -> bytes:
        """A stream that is one chunk, sealed."""
        return AESGCM(self._data_key).encrypt(_nonce(self._prefix, 0, last=True), plain, None)

    def seal(self, chunk: memoryview, *, last: bool) -> memoryview:
        """One chunk, sealed; all but the last have exactly `CHUNK` bytes, and there is always a last one.

        The result is overwritten by the next one: fresh memory for every chunk would cost more than sealing it.
        """
        if self._room is None:
            self._room = bytearray(CHUNK + TAG + _SLACK)
        nonce = _nonce(self._prefix, self._index, last=last)
        encryptor = Cipher(algorithms.AES(self._data_key), modes.GCM(nonce)).encryptor()
        length = encryptor.update_into(chunk, self._room)
        encryptor.finalize()
        self._room[length : length + TAG] = encryptor.tag
        self._index += 1
        return memoryview(self._room)[: length + TAG]


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
