"""Writes results as SARIF 2.1.0, for code-scanning views: clauses are rules, the case files are where results stand.

Knows how levels and rungs are spelled in SARIF (OASIS standard, sections 3.27.9 and 3.27.10).  Does not grade.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from reports.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from reports.model import Case, Check, Clause, Level, Results, Rung

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS: Mapping[Level, str] = {"must": "error", "should": "warning", "observe": "note"}
RULE_LEVELS: Mapping[str, str] = {"must": "error", "should": "warning", "may": "note", "info": "note"}
KINDS: Mapping[Rung, str] = {
    "pass": "pass",
    "fail": "fail",
    "warn": "fail",
    "observed": "informational",
    "not_applicable": "notApplicable",
    "blocked": "open",
    "setup_failed": "open",
    "harness_error": "open",
    "not_run": "open",
}
"""``open``: the tool could not decide."""


def write_sarif(results: Results, path: Path) -> None:
    """Write *results* to *path*."""
    path.write_text(json.dumps(sarif(results), indent=1, ensure_ascii=True) + "\n", "utf-8", newline="\n")


def sarif(results: Results) -> dict[str, Any]:
    """The log file object with one run."""
    header, footer = results.header, results.footer
    rules = [_rule(clause) for clause in header.clauses]
    known = {rule["id"] for rule in rules}
    cited = dict.fromkeys(clause for case in results.cases for clause in _cited(case) if clause not in known)
    rules += [{"id": clause} for clause in cited]
    index = {rule["id"]: number for number, rule in enumerate(rules)}
    invocation: dict[str, Any] = {
        "executionSuccessful": footer is not None and footer.conclusion != "interrupted",
        "startTimeUtc": header.started,
    }
    if footer is not None:
        invocation |= {"endTimeUtc": footer.ended, "exitCode": footer.exit, "exitCodeDescription": footer.conclusion}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": header.suite.name, "version": header.suite.version, "rules": rules}},
                "invocations": [invocation],
                "results": [result for case in results.cases for result in _results(case, index)],
                "columnKind": "unicodeCodePoints",
                "properties": {
                    "headline": visible(results.headline),
                    "profile": header.profile.name,
                    "target": visible(header.target.name),
                    "endpoint": header.target.endpoint,
                    "library": header.library.digest,
                    "withoutResult": list(results.missing),
                },
            }
        ],
    }


def _rule(clause: Clause) -> dict[str, Any]:
    return {
        "id": clause.id,
        "shortDescription": {"text": clause.says},
        "fullDescription": {"text": f"{clause.says} ({clause.page}, {clause.section}, sentence {clause.ordinal})"},
        "help": {"text": f"Likely causes: {clause.causes}\nConsequence: {clause.consequence}\nFix: {clause.fix}"},
        "defaultConfiguration": {"level": RULE_LEVELS[clause.level]},
        "properties": {"page": clause.page, "section": clause.section, "level": clause.level},
    }


def _cited(case: Case) -> tuple[str, ...]:
    return (*case.cites, *(clause for check in case.checks for clause in check.clauses))


def _results(case: Case, index: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """One result for each clause that an unmet expectation of a failed case cites; one for any other case."""
    if KINDS[case.rung] == "fail" and case.unmet:
        for check in case.unmet:
            for clause in check.clauses or case.cites[:1]:
                yield _result(case, clause, index, _difference(case, check), LEVELS[check.level], check.step)
        return
    text = f"{case.id}: {case.says}" + (f" ({case.reason})" if case.reason else "")
    level = LEVELS[case.level] if KINDS[case.rung] == "fail" else "none"
    for clause in case.cites[:1]:
        yield _result(case, clause, index, text, level, "")


def _difference(case: Case, check: Check) -> str:
    says = check.says or f"wanted {check.wanted}, got {check.got}"
    return f"{case.id}: {case.says}. {check.step}: {says}. Wanted: {check.wanted}; got: {check.got}."


def _result(  # noqa: PLR0913, PLR0917 - the members of a result
    case: Case, clause: str, index: Mapping[str, int], text: str, level: str, step: str
) -> dict[str, Any]:
    return {
        "ruleId": clause,
        "ruleIndex": index[clause],
        "kind": KINDS[case.rung],
        "level": level,
        "message": {"text": visible(text)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": case.file, "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": max(1, case.line)},
                },
                "logicalLocations": [{"name": case.id, "kind": "member"}],
            }
        ],
        "partialFingerprints": {"caseAndStep/v1": hashlib.sha256(f"{case.id}\0{step}\0{clause}".encode()).hexdigest()},
        "properties": {"rung": case.rung, "level": case.level, "area": case.area},
    }
