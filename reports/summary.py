"""Writes what a run found as one JSON document, without the exchanges: see summary.schema.json.

Knows the words of that schema.  Does not judge, count anew or leave anything out because it is good news.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

from reports.model import Rung

if TYPE_CHECKING:
    from pathlib import Path

    from reports.model import Case, Check, Clause, Results

KIND = "obs-conformance summary"
FORMAT = 1


def write_summary(results: Results, path: Path) -> None:
    """Write *results* to *path*."""
    path.write_text(json.dumps(summary(results), indent=1, ensure_ascii=True) + "\n", "utf-8", newline="\n")


def summary(results: Results) -> dict[str, Any]:
    """The document."""
    header, footer = results.header, results.footer
    target = header.target
    return {
        "kind": KIND,
        "format": FORMAT,
        "suite": {"name": header.suite.name, "version": header.suite.version},
        "library": {"digest": header.library.digest, "cases": header.library.cases},
        "profile": {"name": header.profile.name, "title": header.profile.title},
        "target": {
            "name": target.name,
            "endpoint": target.endpoint,
            "region": target.region,
            "addressing": target.addressing,
            "dialect": target.dialect,
            "without": dict(target.without),
        },
        "seed": header.seed,
        "started": header.started,
        "ended": footer.ended if footer else None,
        "conclusion": footer.conclusion if footer else None,
        "exit": footer.exit if footer else None,
        "headline": results.headline,
        "counts": {rung: sum(case.rung == rung for case in results.cases) for rung in get_args(Rung)},
        "without_result": list(results.missing),
        "clauses": [_clause(clause, results) for clause in header.clauses],
        "cases": [_case(case) for case in results.cases],
    }


def _clause(clause: Clause, results: Results) -> dict[str, Any]:
    found = results.footer.clauses.get(clause.id) if results.footer else None
    return {
        "id": clause.id,
        "page": clause.page,
        "section": clause.section,
        "ordinal": clause.ordinal,
        "says": clause.says,
        "level": clause.level,
        "verdict": found.verdict if found else None,
        "cases": list(found.cases) if found else [],
        "reason": found.reason if found else "",
    }


def _case(case: Case) -> dict[str, Any]:
    return {
        "id": case.id,
        "says": case.says,
        "area": case.area,
        "level": case.level,
        "clauses": list(case.cites),
        "file": case.file,
        "line": case.line,
        "rung": case.rung,
        "reason": case.reason,
        "unmet": [_check(check) for check in case.unmet],
        "observations": [{"step": seen.step, "name": seen.name, "value": seen.value} for seen in case.observations],
        "duration_ms": case.duration_ms,
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "step": check.step,
        "subject": check.subject,
        "clauses": list(check.clauses),
        "level": check.level,
        "wanted": check.wanted,
        "got": check.got,
        "says": check.says,
    }
