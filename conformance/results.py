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
from conformance.bodies import body_bytes
from conformance.casefile import LIBRARY_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from conformance.casefile import Library
    from conformance.verdict import Summary
    from conformance.vocabulary import (
        Case,
        CaseResult,
        Erratum,
        Exchange,
        Profile,
        RequestTemplate,
        Requirement,
        Target,
    )

BODY_CAP = 2048
"""Bytes of a body that are kept; size and SHA-256 are always those of the whole."""

Proof = tuple[str, str]
_HONEST = {"date": "{date}", "x-obs-date": "{date}", "authorization": "{authorization}"}

_VALUE = r"((?:[A-Za-z0-9+/=]|%[0-9A-Fa-f]{2})+)"
_SIGNATURES = (re.compile(r"(OBS [A-Za-z0-9]{1,128}:)" + _VALUE), re.compile(r"(Signature=)" + _VALUE))
"""Each begins with a literal, which the search can jump to."""


def load_proofs(root: Path = LIBRARY_ROOT) -> Mapping[str, Sequence[Proof]]:
    """Which planted defects make which case fail, as ``proofs.json`` of the library says; empty without that file."""
    try:
        recorded = json.loads((root / "proofs.json").read_text("utf-8"))
    except FileNotFoundError:
        return {}
    cases = recorded.get("cases", recorded)
    return {name: [(defect["name"], defect["says"]) for defect in defects] for name, defects in cases.items()}


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
                "pages": {page: _page(library, page) for page in dict.fromkeys(item.page for item in requirements)},
                "errata": [_erratum(erratum) for erratum in library.errata],
            }
        )

    def case(self, result: CaseResult, *, token: str = "", source: str = "", proofs: Sequence[Proof] = ()) -> None:
        """Write the line of one case.

        :param token: the case's name for fresh objects, from which its generated bodies follow.
        :param source: the case as a file of its own, for a reader who wants to play it again.
        :param proofs: (name, what it does wrong) of the planted defects that make the case fail.
        """
        case = result.case
        templates = {step.name: step.request for step in case.steps}
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
                "exchanges": [
                    _exchange(step, exchange, templates[step], f"{token}/{case.id}")
                    for step, exchange in result.played.exchanges
                ],
                "duration_ms": round(result.duration_ms, 3),
                **({"source": source} if source else {}),
                **({"proofs": [{"name": name, "says": says} for name, says in proofs]} if proofs else {}),
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
        "claims": list(requirement.claims),
    }


def _page(library: Library, page: str) -> dict[str, Any]:
    return {"title": library.pages.get(page, page), "sections": list(library.sections.get(page, ()))}


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


def _exchange(step: str, exchange: Exchange, template: RequestTemplate, label: str) -> dict[str, Any]:
    sent = exchange.request.body if exchange.sent_body else b""
    return {
        "step": step,
        "sent": _message(exchange.request.head, sent) | _made(template, sent, label),
        "received": _message(exchange.received_head, exchange.received_body),
        "outcome": exchange.outcome,
        "ms": round(exchange.ms, 3),
        "continued": exchange.continued,
        "signed": {"how": _how_signed(template), "by": template.identity},
    }


def _made(template: RequestTemplate, body: bytes, label: str) -> dict[str, Any]:
    """How a body too long to keep can be made again: so many bytes of SHAKE-128 over the label."""
    spec = template.body
    if spec is None or spec.size != len(body) or len(body) <= BODY_CAP:
        return {}
    full = f"{label}/{spec.name}"
    return {"made": {"label": full, "size": len(body)}} if body_bytes(full, len(body)) == body else {}


def _how_signed(template: RequestTemplate) -> str:
    """The kind of signature, or "altered" when the case spoils it on purpose: signing again would mend it."""
    own = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in template.headers)}
    spoilt = any(own.get(name, honest) != honest for name, honest in _HONEST.items())
    altered = spoilt or template.add_after or template.remove_after or template.omit & {"Date", "Authorization"}
    return "altered" if altered else template.sign


def _message(head: bytes, body: bytes) -> dict[str, Any]:
    return {
        "head": head.decode("latin-1"),
        "body": body[:BODY_CAP].decode("latin-1"),
        "body_size": len(body),
        "body_sha256": hashlib.sha256(body).hexdigest() if body else "",
    }
