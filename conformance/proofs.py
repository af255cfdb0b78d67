"""What the library was seen to catch: for each case the planted defects it was proven on, as kept beside the cases.

Reads the file that ``obs-conformance defects --write`` makes. Runs nothing and does not know the server.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.casefile import LIBRARY_ROOT

if TYPE_CHECKING:
    from pathlib import Path

PROOFS = LIBRARY_ROOT / "proofs.json"


@dataclass(frozen=True, slots=True)
class Proof:
    """A planted defect that a case caught: its name, what it does wrong, what it breaks, how realistic it is."""

    name: str
    says: str
    breaks: tuple[str, ...]
    realism: str


def load_proofs(path: Path = PROOFS) -> dict[str, tuple[Proof, ...]]:
    """Case id to the defects that proved it; empty for a library that brings no proofs."""
    if not path.exists():
        return {}
    data = json.loads(path.read_text("utf-8"))
    known = {
        name: Proof(name, entry["says"], tuple(entry["breaks"]), entry["realism"])
        for name, entry in data["defects"].items()
    }
    return {case: tuple(known[name] for name in names) for case, names in data["cases"].items()}
