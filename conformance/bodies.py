"""Request bodies that follow from a label. Pure; knows neither cases nor requests."""

from __future__ import annotations

import hashlib


def body_bytes(label: str, size: int) -> bytes:
    """Deterministic bytes that look random: no two labels share them, so a mixed-up object is noticed."""
    return hashlib.shake_128(label.encode()).digest(size)
