"""The results file: every run's evidence as JSON lines, written while the run goes on.

One redactor through which all text passes; see ``reports/results.schema.json`` for the lines. Does not judge.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote

from conformance import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from conformance.casefile import Library
    from conformance.verdict import Summary
    from conformance.vocabulary import Case, CaseResult, Erratum, Exchange, Profile, Requirement, Target

BODY_CAP = 2048
"""Bytes of a body that are kept; size and SHA-256 are always those of the whole."""

_VALUE = r"((?:[A-Za-z0-9+/=]|%[0-9A-Fa-f]{2})+)"
_SIGNATURES = (re.compile(r"(OBS [A-Za-z0-9]{1,128}:)" + _VALUE), re.compile(r"(Signature=)" + _VALUE))
"""Each begins with a literal, which the search can jump to."""


class Redactor:
    """Replaces secrets by asterisks of the same length, however they are spelled.

    Secret keys in plain, percent-encoded, Base64 and JSON-escaped form; signatures because a signed URL is a credential
    until it expires. Results pass through it as encoded JSON lines.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        spellings = {spelling for secret in secrets if secret for spelling in _spellings(secret)}
        self._spellings = sorted(spellings, key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text without secrets."""
        for spelling in self._spellings:
            text = text.replace(spelling, "*" * len(spelling))
        for pattern in _SIGNATURES:
            text = pattern.sub(lambda match: match[1] + "*" * len(match[2]), text)
        return text


def _spellings(secret: str) -> tuple[str, ...]:
    as_received = secret.encode().decode("latin-1")  # how the wire's bytes stand in results
    plain = (secret, as_received, quote(secret, safe=""), base64.b64encode(secret.encode()).decode())
    return (*plain, *(json.dumps(text)[1:-1] for text in plain))


class ResultsFile:
    """Writes header, case lines and footer; without the footer a reader knows that the run did not finish."""

    def __init__(self, path: Path, redactor: Redactor) -> None:
        self._file: TextIO = path.open("w", encoding="utf-8")
        self._redactor = redactor

    def header(  # noqa: PLR0913 - the parts of the header
        self,
        *,
        library: Library,
        profile: Profile,
        requirements: Sequence[Requirement],
        target: Target,
        cases: Sequence[Case],
        seed: int,
        started: str,
    ) -> None:
        """Write the first line."""
        self._line(
            {
                "kind": "header",
                "format": 1,
                "suite": {"name": "obs-conformance", "version": __version__},
                "library": {"digest": library.digest, "cases": len(library.cases)},
                "profile": {"name": profile.name, "title": profile.title, "clauses": list(profile.clauses)},
                "target": {
                    "name": target.name,
                    "endpoint": target.endpoint,
                    "region": target.region,
                    "addressing": target.addressing,
                    "dialect": target.dialect,
                    "transport": target.transport,
                    "without": dict(target.without),
                },
                "seed": seed,
                "started": started,
                "planned": [case.id for case in cases],
                "clauses": [_clause(requirement) for requirement in requirements],
                "errata": [_erratum(erratum) for erratum in library.errata],
            }
        )

    def case(self, result: CaseResult) -> None:
        """Write the line of one case."""
        case = result.case
        self._line(
            {
                "kind": "case",
                "id": case.id,
                "says": case.says,
                "area": case.area,
                "level": case.level,
                "cites": list(case.clauses()),
                "file": case.file,
                "line": case.line,
                "rung": result.rung,
                "reason": result.reason,
                "checks": [
                    {
                        "step": finding.step,
                        "word": finding.word,
                        "subject": finding.subject,
                        "clauses": list(finding.clauses),
                        "level": finding.level,
                        "held": finding.held,
                        "wanted": finding.wanted,
                        "got": finding.got,
                        "says": finding.says,
                    }
                    for finding in result.played.findings
                ],
                "observations": [
                    {"step": seen.step, "name": seen.name, "value": seen.value, "clauses": list(seen.clauses)}
                    for seen in result.played.observations
                ],
                "exchanges": [_exchange(step, exchange) for step, exchange in result.played.exchanges],
                "duration_ms": round(result.duration_ms, 3),
            }
        )

    def footer(self, summary: Summary, exit_code: int, cleanup: dict[str, Any], ended: str) -> None:
        """Write the last line and close the file."""
        self._line(
            {
                "kind": "footer",
                "conclusion": summary.conclusion,
                "exit": exit_code,
                "headline": summary.headline,
                "counts": dict(summary.counts),
                "clauses": {
                    clause: {
                        "verdict": result.verdict,
                        "cases": list(result.cases),
                        **({"reason": result.reason} if result.reason else {}),
                    }
                    for clause, result in summary.clauses.items()
                },
                "cleanup": cleanup,
                "ended": ended,
            }
        )
        self.close()

    def close(self) -> None:
        """Close the file as it is."""
        self._file.close()

    def _line(self, value: dict[str, Any]) -> None:
        self._file.write(self._redactor.text(json.dumps(value, ensure_ascii=True)) + "\n")
        self._file.flush()


def _clause(requirement: Requirement) -> dict[str, Any]:
    return {
        "id": requirement.id,
        "page": requirement.page,
        "section": requirement.section,
        "ordinal": requirement.ordinal,
        "says": requirement.says,
        "level": requirement.level,
        "decided": f"{requirement.decided_by}: {requirement.decided_why}",
        "observable": requirement.observable,
        "unobservable": requirement.unobservable,
        "causes": requirement.causes,
        "consequence": requirement.consequence,
        "fix": requirement.fix,
        "errata": list(requirement.errata),
    }


def _erratum(erratum: Erratum) -> dict[str, Any]:
    return {
        "id": erratum.id,
        "about": erratum.about,
        "finding": erratum.finding,
        "treatment": erratum.treatment,
        "clauses": list(erratum.clauses),
        "case": erratum.case,
        "observation": erratum.observation,
        "unprobed": erratum.unprobed,
        "readings": [{"value": value, "means": means} for value, means in erratum.readings],
    }


def _exchange(step: str, exchange: Exchange) -> dict[str, Any]:
    return {
        "step": step,
        "sent": _message(exchange.request.head, exchange.request.body if exchange.sent_body else b""),
        "received": _message(exchange.received_head, exchange.received_body),
        "outcome": exchange.outcome,
        "ms": round(exchange.ms, 3),
        "continued": exchange.continued,
    }


def _message(head: bytes, body: bytes) -> dict[str, Any]:
    return {
        "head": head.decode("latin-1"),
        "body": body[:BODY_CAP].decode("latin-1"),
        "body_size": len(body),
        "body_sha256": hashlib.sha256(body).hexdigest() if body else "",
    }
