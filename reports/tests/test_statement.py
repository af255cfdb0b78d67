"""Tests of the statement for people: what it says, and that foreign text stays text."""

from __future__ import annotations

from typing import Any

from reports.statement import page, text
from reports.tests.pages import HOSTILE, Structure


def document(foreign: str) -> dict[str, Any]:
    return {
        "suite": {"name": "obs-conformance", "version": "1.2.3"}, "library": {"digest": "ab", "cases": 9},
        "profile": {"name": "p", "title": foreign, "clauses": 3}, "target": {"name": foreign, "endpoint": "https://x", "region": None},
        "run": {"started": "then", "ended": "later", "seed": 7, "strict": True}, "headline": foreign, "counts": {"not_run": 2},
        "exclusions": {"declared": {"post-form": foreign}, "not_planned": 4, "not_exercised": {f"K-{number}": foreign for number in range(14)}, "not_observable": {}},
        "evidence": {"sha256": "cd", "bytes": 5, "lines": [["a", "b"]]}, "issued": "now", "algorithm": "Ed25519", "public_key": "PK", "signature": "SG",
    }  # fmt: skip


def test_everything_that_is_signed_can_be_read() -> None:
    lines = text(document("Conformant.")).splitlines()
    assert lines[0] == "Statement: Conformant."
    assert "Cases: 2 not run" in lines
    assert "Declared exclusions: post-form: Conformant." in lines
    assert "Clauses not exercised: K-0, K-1, K-2, K-3, K-4, K-5, K-6, K-7, K-8, K-9, K-10, K-11 and 2 more" in lines
    assert "Clauses not observable: none" in lines
    assert "Run: then to later, seed 7, strict" in lines
    assert "Signature (Ed25519): SG; public key PK" in lines
    shown = page(document("Conformant."))
    for line in lines[1:]:
        assert line.partition(": ")[2].split("; ")[0] in shown


def test_hostile_text_stays_text() -> None:
    benign, hostile = (Structure(page(document(foreign))) for foreign in ("benign", HOSTILE))
    assert hostile.tags == benign.tags
    assert not {"\x00", "\x1b", "\u202e"} & set(hostile.source + text(document(HOSTILE)))
