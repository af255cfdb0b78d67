"""Packs results lines into blocks that a page unpacks one at a time.

Knows gzip, Base64 and in which order blocks must come out; compresses beside the caller so that reading goes on
meanwhile.  Does not know what is in a line: it goes into the page as it stood in the file.
"""

from __future__ import annotations

import base64
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

BLOCK = 1 << 17
"""Bytes of lines in a block: unpacked in a few milliseconds, and long enough to compress well."""
LEVEL = 3
"""Of zlib: the next takes twice the time to make results lines a fourteenth smaller."""
_GZIP = 31
_WAITING = 4
"""Blocks that may wait for the compressor before the caller has to."""


class Packer:
    """Takes lines in order and writes blocks of them to *out*, each as an inert script element of its own."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._waiting: deque[Future[bytes]] = deque()
        self._lines: list[bytes] = []
        self._size = 0
        self._rows: list[str] = []
        self._index = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP)
        self._packed_index: list[bytes] = []
        self.starts: list[int] = []
        """Number (from 0) of the first line of each block."""
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add(self, line: bytes, row: str) -> None:
        """Keep a line, and its row (a JSON text) for the index."""
        self._lines.append(line)
        self._rows.append(row)
        self._size += len(line)
        self.count += 1
        if self._size >= BLOCK:
            self._flush()

    def index(self) -> bytes:
        """Finish: write what is left and return the packed index, a JSON list of all rows, as Base64."""
        self._flush()
        while self._waiting:
            self._out.write(self._waiting.popleft().result())
        self._packed_index.append(self._index.compress(b"]" if self.count else b"[]"))
        self._packed_index.append(self._index.flush())
        return base64.b64encode(b"".join(self._packed_index))

    def _flush(self) -> None:
        if not self._lines:
            return
        first = self.count - len(self._lines)
        opening = "," if self.starts else "["
        self.starts.append(first)
        self._submit(self._pack, b"".join(self._lines), opening + ",\n".join(self._rows))
        self._lines, self._rows, self._size = [], [], 0

    def _submit(self, work: Callable[[bytes, str], bytes], block: bytes, rows: str) -> None:
        self._waiting.append(self._pool.submit(work, block, rows))
        if len(self._waiting) > _WAITING:
            self._out.write(self._waiting.popleft().result())

    def _pack(self, block: bytes, rows: str) -> bytes:
        self._packed_index.append(self._index.compress(rows.encode()))
        return (
            b'<script type="text/plain" class="evidence">'
            + base64.b64encode(zlib.compress(block, LEVEL, _GZIP))
            + b"</script>\n"
        )
