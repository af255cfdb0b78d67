"""Waiting one's turn: a transport for the threads of one process, and a turn that processes and machines share."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conformance.transport import Transport
    from conformance.vocabulary import Exchange, Request


class PoliteTransport:
    """Spaces the requests of another transport evenly."""

    def __init__(self, transport: Transport, per_second: float) -> None:
        """``per_second`` is more than 0."""
        self._transport, self._interval = transport, 1.0 / per_second
        self._lock, self._next = threading.Lock(), 0.0

    def exchange(self, request: Request) -> Exchange:
        """Send a request when it is its turn."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._interval
        if turn > now:
            time.sleep(turn - now)
        return self._transport.exchange(request)

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()


@contextlib.contextmanager
def shared_turn(path: Path, spacing_s: float) -> Iterator[None]:
    """Be alone, among all processes that name the same file, and no sooner than so long after the one before.

    The lock is the operating system's (``flock``): it goes with a process that is killed, and over NFS it holds
    between machines. The file has the time of the last turn's end; a clock that was set back delays nobody for more
    than the spacing.
    """
    import fcntl

    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        last = float(file.read() or 0)
        time.sleep(min(spacing_s, max(0.0, last + spacing_s - time.time())))
        try:
            yield
        finally:
            file.truncate(0)
            file.write(f"{time.time():.6f}".encode())
            file.flush()
