"""Builds small results files and holds every line against the schema before it is written.

Knows results.schema.json and one example run.  Does not know how results are read or rendered.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Record = dict[str, Any]

SCHEMA: Mapping[str, Any] = json.loads((Path(__file__).parents[1] / "results.schema.json").read_text(encoding="utf-8"))
_VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
DIGEST = "ab" * 32


def clause(name: str, section: str, level: str = "must") -> Record:
    """Return one clause of the profile."""
    return {
        "id": name, "page": "sse-kms", "section": section, "ordinal": 1, "says": f"{name} is paraphrased",
        "level": level, "decided": f"{name} was decided", "observable": "yes", "unobservable": None,
        "causes": f"causes of {name}", "consequence": f"consequence of {name}", "fix": f"fix of {name}", "errata": [],
    }  # fmt: skip


def check(**changes: object) -> Record:
    """Return one expectation that was met."""
    return {
        "step": "step 1", "word": "equals", "subject": "status", "clauses": ["K-1"], "level": "must",
        "held": True, "wanted": "200", "got": "200", "says": "",
    } | changes  # fmt: skip


def message(head: str = "", body: str = "") -> Record:
    """Return one direction of an exchange."""
    return {"head": head, "body": body, "body_size": len(body), "body_sha256": DIGEST if body else ""}


def case(name: str, rung: str = "pass", **changes: object) -> Record:
    """Return one case without evidence."""
    return {
        "kind": "case", "id": name, "says": f"{name} states a fact", "area": "put", "level": "must", "cites": ["K-1"],
        "file": "sse-kms/put.yaml", "line": 7, "rung": rung, "reason": "", "checks": [], "observations": [],
        "exchanges": [], "duration_ms": 12.5,
    } | changes  # fmt: skip


def failing() -> Record:
    """Return a case that failed, with an interim answer, a wrong header, and one that did not come."""
    sent = message("PUT /bucket/key HTTP/1.1\r\nHost: h\r\n\r\n", "hello")
    head = "HTTP/1.1 100 Continue\r\nX-Mode: interim\r\n\r\nHTTP/1.1 200 OK\r\nX-Mode: wrong\r\nServer: s\xe9\n\r\n"
    exchange = {
        "step": "step 1", "sent": sent, "received": message(head, "\x00\xff<b>"), "outcome": "answered",
        "ms": 3.25, "continued": True,
    }  # fmt: skip
    checks = [
        check(),
        check(subject="header x-mode", held=False, wanted="kms", got="wrong", says="the mode differs"),
        check(subject="header X-Key", clauses=["K-2"], held=False, wanted="present", got="absent"),
    ]
    seen = {"step": "step 1", "name": "server", "value": "s", "clauses": ["K-2"]}
    return case(
        "put-1/kms", "fail", reason="The mode is wrong.", checks=checks, observations=[seen], exchanges=[exchange],
        cites=["K-1", "K-2"],
    )  # fmt: skip


RUNGS = ("pass", "warn", "observed", "not_applicable", "blocked", "setup_failed", "harness_error", "not_run")


def run() -> list[Record]:
    """Return the lines of a finished run with every rung once."""
    cases = [failing()] + [case(f"c-{rung}", rung, reason=f"reason {rung}") for rung in RUNGS]
    cases[2]["level"] = "should"
    header = {
        "kind": "header", "format": 1, "suite": {"name": "obs-conformance", "version": "1.2.3"},
        "library": {"digest": DIGEST, "cases": 42},
        "profile": {"name": "sse-kms-2024-01", "title": "SSE-KMS 2024", "clauses": ["K-1", "K-2", "K-3"]},
        "target": {
            "name": "Example", "endpoint": "https://obs.example.com", "region": "north", "addressing": "path",
            "dialect": "obs", "transport": "wire", "without": {"post-form": "not offered"},
        },
        "seed": 4711, "started": "2024-01-02T03:04:05Z", "planned": [case["id"] for case in cases],
        "clauses": [clause("K-1", "Writing"), clause("K-2", "Writing"), clause("K-3", "Reading")],
        "errata": [
            {
                "id": "E-01", "about": "who serves", "finding": "two names are shown", "treatment": "record it",
                "clauses": ["K-2"], "case": "put-1", "observation": "server", "unprobed": None,
                "readings": [{"value": "[a-z]", "means": "a letter"}],
            },
            {
                "id": "Q-02", "about": "what cannot be asked", "finding": "no call shows it", "treatment": "none",
                "clauses": [], "case": None, "observation": None, "unprobed": "it needs two regions", "readings": [],
            },
        ],
    }  # fmt: skip
    footer = {
        "kind": "footer", "conclusion": "non-conformant", "exit": 1, "headline": "1 MUST failed.",
        "counts": {"pass": 1, "fail": 1},
        "clauses": {
            "K-1": {"verdict": "broken", "cases": ["put-1/kms"]},
            "K-2": {"verdict": "holds", "cases": ["c-pass"]},
            "K-3": {"verdict": "not_exercised", "cases": [], "reason": "nobody asked"},
        },
        "cleanup": {"created": 5, "removed": 4, "left": ["bucket/left"]}, "ended": "2024-01-02T03:05:05Z",
    }  # fmt: skip
    return copy.deepcopy([header, *cases, footer])


def write(path: Path, records: Iterable[Record]) -> Path:
    """Write lines that the schema accepts."""
    records = list(records)
    for record in records:
        _VALIDATOR.validate(record)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def put(records: list[Record], place: tuple[str | int, ...], value: object) -> list[Record]:
    """Return a copy of *records* with *value* at *place*."""
    changed = copy.deepcopy(records)
    at: Any = changed
    for part in place[:-1]:
        at = at[part]
    at[place[-1]] = value
    return changed
