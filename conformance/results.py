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
from conformance.vocabulary import kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from conformance.casefile import Library
    from conformance.proofs import Proof
    from conformance.verdict import Summary
    from conformance.vocabulary import (
        Case,
        CaseResult,
        Erratum,
        Exchange,
        Identity,
        Place,
        Profile,
        RequestTemplate,
        Requirement,
        Target,
    )

_HONEST = {"date": "{date}", "x-obs-date": "{date}", "authorization": "{authorization}"}

_SIGNATURES = re.compile(
    r"((?:OBS [A-Za-z0-9]{1,128}:)|(?:[?&]Signature=)|(?:name=\"signature\"\r\n\r\n))"
    r"((?:[A-Za-z0-9+/=]|%[0-9A-Fa-f]{2})+)"
)


class Redactor:
    """Replaces secrets by asterisks of the same length, however they are spelled.

    Secret keys in plain, percent-encoded and Base64 form; signatures because a signed URL is a credential until it
    expires.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        spellings = {
            spelling
            for secret in secrets
            if secret
            for spelling in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode())
        }
        longest_first = sorted(spellings, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, text: str) -> str:
        """The text without secrets."""
        if self._secrets is not None:
            text = self._secrets.sub(lambda match: "*" * len(match[0]), text)
        return _SIGNATURES.sub(lambda match: match[1] + "*" * len(match[2]), text)

    def value(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """A JSON value with every string in it redacted."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return value


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
        strict: bool = False,
    ) -> None:
        """Write the first line."""
        about = described(library, profile, requirements)
        self._line(
            {
                "kind": "header",
                "format": 1,
                "suite": {"name": "obs-conformance", "version": __version__},
                "library": about["library"],
                "profile": about["profile"],
                "target": {
                    "name": target.name,
                    "endpoint": target.endpoint,
                    "region": target.region,
                    "addressing": target.addressing,
                    "dialect": target.dialect,
                    "transport": target.transport,
                    "without": dict(target.without),
                    "keys": dict(target.keys),
                    "identities": {name: _identity(identity) for name, identity in target.identities.items()},
                },
                "strict": strict,
                "seed": seed,
                "started": started,
                "planned": [case.id for case in cases],
                "clauses": about["clauses"],
                "pages": about["pages"],
                "errata": about["errata"],
            }
        )

    def case(self, result: CaseResult, *, source: str = "", proofs: Sequence[Proof] = ()) -> None:
        """Write the line of one case.

        :param source: the case as a file of its own, for a reader who wants to play it again.
        :param proofs: the planted defects that make the case fail.
        """
        templates = {step.name: step.request for step in result.case.steps}
        label = f"{result.played.place.token if result.played.place else ''}/{result.case.id}"
        self._line(
            {
                "kind": "case",
                **about(result.case),
                **judgement(result),
                "exchanges": [
                    _exchange(step, exchange, times, templates[step], label)
                    for (step, exchange), times in zip(result.played.exchanges, result.played.times, strict=True)
                ],
                "duration_ms": round(result.duration_ms, 3),
                **({} if result.played.place is None else {"place": _place(result.played.place)}),
                **({"source": source} if source else {}),
                **({"proofs": [{"name": proof.name, "says": proof.says} for proof in proofs]} if proofs else {}),
            }
        )

    def footer(self, summary: Summary, exit_code: int, cleanup: dict[str, Any], ended: str) -> None:
        """Write the last line and close the file."""
        self._line({"kind": "footer", **conclusion(summary, exit_code), "cleanup": cleanup, "ended": ended})
        self.close()

    def close(self) -> None:
        """Close the file as it is."""
        self._file.close()

    def _line(self, value: dict[str, Any]) -> None:
        self._file.write(json.dumps(self._redactor.value(value), ensure_ascii=True) + "\n")
        self._file.flush()


def described(library: Library, profile: Profile, requirements: Sequence[Requirement]) -> dict[str, Any]:
    """What a header says about the library and the profile."""
    return {
        "library": {"digest": library.digest, "cases": len(library.cases)},
        "profile": {"name": profile.name, "title": profile.title, "clauses": list(profile.clauses)},
        "clauses": [_clause(requirement) for requirement in requirements],
        "pages": {page: _page(library, page) for page in dict.fromkeys(item.page for item in requirements)},
        "errata": [_erratum(erratum) for erratum in library.errata],
    }


def about(case: Case) -> dict[str, Any]:
    """What a line says about its case, whatever came of it."""
    return {
        "id": case.id,
        "says": case.says,
        "area": case.area,
        "level": case.level,
        "cites": list(case.clauses()),
        "file": case.file,
        "line": case.line,
    }


def judgement(result: CaseResult) -> dict[str, Any]:
    """What was judged of a case, as its line has it: everything that judging the evidence again must give again."""
    return {
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
    }


def conclusion(summary: Summary, exit_code: int) -> dict[str, Any]:
    """What was concluded over all cases, as the footer has it."""
    return {
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
    }


def _identity(identity: Identity) -> dict[str, Any]:
    """A principal without its secret; the access key stands in every signed request anyway."""
    return {"access_key": identity.access_key, "domain_id": identity.domain_id, "principal": identity.principal}


def _place(place: Place) -> dict[str, str]:
    return {"bucket": place.bucket, "shared_bucket": place.shared_bucket, "token": place.token}


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


def _exchange(
    step: str, exchange: Exchange, times: tuple[float, float], template: RequestTemplate, label: str
) -> dict[str, Any]:
    received = {"head": exchange.received_head.decode("latin-1"), **_body(exchange.received_body)}
    if exchange.response is not None and exchange.response.body != exchange.received_body:
        received["content"] = _body(exchange.response.body)
    sent = exchange.request.body if exchange.sent_body else b""
    return {
        "step": step,
        "sent": {"head": exchange.request.head.decode("latin-1"), **_body(sent), **_made(template, sent, label)},
        "received": received,
        "outcome": exchange.outcome,
        "ms": round(exchange.ms, 3),
        "continued": exchange.continued,
        "asked": times[0],
        "judged": times[1],
        "signed": {"how": _how_signed(template), "by": template.identity},
    }


def _made(template: RequestTemplate, body: bytes, label: str) -> dict[str, Any]:
    """How a body too long to keep can be made again: so many bytes of SHAKE-128 over the label."""
    spec = template.body
    if spec is None or spec.size != len(body) or len(body) <= kept(body):
        return {}
    full = f"{label}/{spec.name}"
    return {"made": {"label": full, "size": len(body)}} if body_bytes(full, len(body)) == body else {}


def _how_signed(template: RequestTemplate) -> str:
    """The kind of signature, or "altered" when the case spoils it on purpose: signing again would mend it."""
    own = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in template.headers)}
    spoilt = any(own.get(name, honest) != honest for name, honest in _HONEST.items())
    altered = spoilt or template.add_after or template.remove_after or template.omit & {"Date", "Authorization"}
    return "altered" if altered else template.sign


def _body(body: bytes) -> dict[str, Any]:
    return {
        "body": body[: kept(body)].decode("latin-1"),
        "body_size": len(body),
        "body_sha256": hashlib.sha256(body).hexdigest() if body else "",
    }
