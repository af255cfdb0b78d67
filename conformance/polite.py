"""A transport that waits its turn: no more than so many requests in a second over all threads that share it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
