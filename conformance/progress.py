"""How far a run is: one live line for the endpoint on a terminal, a plain line now and then elsewhere.

Counts rungs and divides; does not know cases or judge.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REDRAW_S = 0.1
PLAIN_LINES = 10
"""Lines of a whole run where there is no terminal."""
_CLEAR = "\r\x1b[K"


class Progress:
    """Follows one run. Whatever else is printed while it runs goes through ``say``."""

    def __init__(
        self, name: str, total: int, stream: TextIO, *, live: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with nothing played of ``total``."""
        self._name, self._total, self._stream, self._live, self._clock = name, total, stream, live, clock
        self._started, self._drawn = clock(), 0.0
        self._counts: Counter[str] = Counter()

    def say(self, line: str) -> None:
        """Print a line above the live one."""
        self._stream.write(f"{_CLEAR if self._live else ''}{line}\n")
        self._stream.flush()

    def step(self, rung: str) -> None:
        """One more case is done."""
        self._counts[rung] += 1
        done = self._counts.total()
        if self._live:
            if self._clock() - self._drawn >= REDRAW_S or done == self._total:
                self._drawn = self._clock()
                width = shutil.get_terminal_size().columns - 1
                self._stream.write(f"{_CLEAR}{self._line()[:width]}")
                self._stream.flush()
        elif done * PLAIN_LINES // self._total > (done - 1) * PLAIN_LINES // self._total:
            self.say(self._line())

    def close(self) -> None:
        """Take the live line away."""
        if self._live:
            self._stream.write(_CLEAR)
            self._stream.flush()

    def _line(self) -> str:
        return line(self._name, self._counts, self._total, self._clock() - self._started)


def line(name: str, counts: Mapping[str, int], total: int, elapsed_s: float) -> str:
    """Counts and the time left at the pace so far."""
    done = sum(counts.values())
    told = ", ".join(f"{count} {rung.replace('_', ' ')}" for rung, count in sorted(counts.items()))
    left = elapsed_s / done * (total - done)
    minutes, seconds = divmod(round(left), 60)
    return f"{name}: {done}/{total}, {told}, {minutes}:{seconds:02} left"
