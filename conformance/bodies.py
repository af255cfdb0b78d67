"""Request bodies that follow from a label. Pure; knows neither cases nor requests."""

from __future__ import annotations

import hashlib
from functools import lru_cache

_REMEMBERED = 1 << 14


def body_bytes(label: str, size: int) -> bytes:
    """Deterministic bytes that look random: no two labels share them, so a mixed-up object is noticed."""
    return _small(label, size) if size <= _REMEMBERED else _made(label, size)


def _made(label: str, size: int) -> bytes:
    return hashlib.shake_128(label.encode()).digest(size)


_small = lru_cache(maxsize=64)(_made)
"""A body is asked for when it is sent, and soon again by whoever writes down how it can be made."""
