"""The one door for time and chance. Everything else is handed a clock and a token."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class World:
    """Clock and dice of one run. Runs of one ``base`` give their objects the same names and bytes."""

    seed: int
    run: str
    base: str = ""

    @classmethod
    def from_seed(cls, seed: int | None = None, apart: str = "") -> World:
        """A world whose names follow from the seed; without one it is drawn.

        The run token also depends on the time, so that two runs with one seed do not meet in one bucket, and on what
        keeps runs apart that begin in one millisecond.
        """
        chosen = random.SystemRandom().randrange(1 << 32) if seed is None else seed
        moment = int(time.time() * 1000)
        return cls(chosen, f"{random.Random(f'{chosen}/{moment}/{apart}').getrandbits(40):010x}")  # noqa: S311 - names, not secrets

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def stamp(self) -> str:
        """UTC now, RFC 3339."""
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def token(self, name: str) -> str:
        """A name of this run for something, safe in object and bucket names."""
        return f"{self.base or self.run}-{name.lower().replace('/', '-').replace('_', '-')}"
