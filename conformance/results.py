"""The results file: every run's evidence as JSON lines, written while the run goes on.

One redactor through which all text passes; see ``reports/results.schema.json`` for the lines. Does not judge.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import zlib
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote, quote_plus, unquote
from xml.sax.saxutils import escape

from conformance import __version__
from conformance.bodies import body_bytes
from conformance.vocabulary import kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

_NOTHING_TOLD = frozenset({"pass", "observed", "not_applicable"})
"""Rungs whose reasons are ours alone."""
_HONEST = {"date": "{date}", "x-obs-date": "{date}", "authorization": "{authorization}"}

_VALUE = r"((?:[A-Za-z0-9+/=]|%[0-9A-Fa-f]{2})+)"
_SIGNATURES = (
    re.compile(r"(OBS [A-Za-z0-9]{1,128}:)" + _VALUE),
    re.compile(r"(AWS [A-Za-z0-9]{1,128}:)" + _VALUE),
    re.compile(r"(Signature=)" + _VALUE),
    re.compile(r'(name=\\?"(?:x-amz-)?signature\\?"(?:\\r\\n|\r\n){2})' + _VALUE),
)
"""In a header, in a URL, in a form. Each begins with a literal, which the search can jump to."""
_TOKEN = re.compile(
    r"""(security-token(?:\\?["']?[ ]*[:=][ ]*\\?["']?|\\?"(?:\\r\\n|\r\n){2}))([^\s&"'\\]+)""", re.IGNORECASE
)
_ECHO = 20
"""A signature of this length is looked for everywhere, because servers repeat it; a shorter one is no signature."""
_UNPACKED = 1 << 20
_BATCH = 1000
_MADE_KEPT = 64
"""Bytes shown of a body that anybody can make again: enough to know it by."""
_ESCAPES = re.compile("%[0-9A-F]{2}")
_TELLING = 8
"""A shorter piece of Base64 may stand anywhere."""


class Redactor:
    """Replaces secrets by asterisks of the same length, however they are spelled.

    Secret are: secret keys, plain, percent-encoded, in Base64 and escaped; security tokens; signatures, wherever an
    answer repeats them, because a signed URL is a credential until it expires. Access keys are names, not secrets.
    Results pass through it as encoded JSON lines, bodies before they are cut.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        spellings = {spelling for secret in secrets if secret for spelling in _spellings(secret)}
        self._spellings = sorted(spellings, key=len, reverse=True)
        self._bytes = tuple(spelling.encode() for spelling in self._spellings)

    def text(self, text: str) -> str:
        """The text without secrets."""
        for spelling in self._spellings:
            text = text.replace(spelling, "*" * len(spelling))
        sent = {unquote(match[2]) for pattern in _SIGNATURES for match in pattern.finditer(text)}
        for plain in sent:
            if len(plain) >= _ECHO:
                for spelling in {plain, quote(plain, safe="")}:
                    text = text.replace(spelling, "*" * len(spelling))
        if any(len(plain) < _ECHO for plain in sent):
            for pattern in _SIGNATURES:
                text = pattern.sub(_starred, text)
        return _TOKEN.sub(_starred, text) if "ecurity-" in text else text

    def kept(self, body: bytes) -> bytes:
        """As much of a body as results keep: no part of a secret at the cut, none inside what is compressed."""
        packed = body[first.end() :] if (first := _CHUNK.match(body)) else body
        if packed[:1] in _PACKED and self._inside(packed):
            return b"*" * kept(body)
        cap = kept(body)
        if len(body) <= cap:
            return body
        for spelling in self._bytes:
            start = body.find(spelling, max(cap - len(spelling) + 1, 0), cap + len(spelling) - 1)
            if start >= 0:
                return body[:start]
        return body[:cap]

    def _inside(self, body: bytes) -> bool:
        try:
            unpacked = zlib.decompressobj(47).decompress(body, _UNPACKED)
        except zlib.error:
            return False
        return any(spelling in unpacked for spelling in self._bytes)


_CHUNK = re.compile(rb"[0-9A-Fa-f]{1,8}\r\n")
_PACKED = (b"\x1f", b"\x78")
"""How gzip and zlib begin."""


def _starred(match: re.Match[str]) -> str:
    return match[1] + "*" * len(match[2])


def _spellings(secret: str) -> Iterator[str]:
    """A secret as it is written here and there, each also as it stands inside a JSON text."""
    data = secret.encode()
    as_received = data.decode("latin-1")  # how the wire's bytes stand in results
    encoded = (quote(secret, safe=""), quote(secret), quote_plus(secret))
    inside = (base64.b64encode(bytes(shift) + data).decode().rstrip("=") for shift in range(3))
    # The characters at the ends also depend on what stands beside the secret.
    cut = (text[-(-shift * 4 // 3) : -1] for shift, text in enumerate(inside))
    plain = (
        *(secret, as_received, base64.b64encode(data).decode(), *encoded),
        *(_ESCAPES.sub(lambda match: match[0].lower(), text) for text in encoded),
        *(text for text in cut if len(text) >= _TELLING),
        *(escape(secret), escape(secret, {'"': "&quot;", "'": "&apos;"})),
    )
    for text in (*plain, repr(secret)[1:-1]):
        yield text
        yield json.dumps(text)[1:-1]
        yield json.dumps(json.dumps(text)[1:-1])[1:-1]


class ResultsFile:
    """Writes header, case lines and footer; without the footer a reader knows that the run did not finish."""

    def __init__(self, path: Path, redactor: Redactor, *, append: bool = False) -> None:
        self._file: TextIO = path.open("a" if append else "w", encoding="utf-8")
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
        doctor: Sequence[Mapping[str, str]] = (),
        shard: tuple[int, int] | None = None,
        places: Sequence[int] | None = None,
    ) -> None:
        """Write the first line; ``doctor`` is the log of the pre-flight, ``shard`` the part (from 1) of how many.

        :param places: of a shard's cases (from 0) in the whole plan, if they are not every n-th of it.
        """
        about = described(library, profile, requirements)
        head = json.dumps(
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
                    **({} if target.kms is None else {"kms": dataclasses.asdict(target.kms)}),
                    "identities": {name: _identity(identity) for name, identity in target.identities.items()},
                },
                "strict": strict,
                "seed": seed,
                "started": started,
                "doctor": [dict(check) for check in doctor],
                **({} if shard is None else {"shard": _shard(shard, places)}),
                "planned": [],
                "clauses": about["clauses"],
                "pages": about["pages"],
                "errata": about["errata"],
            }
        )
        # Of very many cases the list is longer than all they need to play, so it is written as it is made.
        before, planned, after = head.partition('"planned": [')
        self._file.write(self._redactor.text(before) + planned)
        for start in range(0, len(cases), _BATCH):
            ids = json.dumps([case.id for case in cases[start : start + _BATCH]])
            self._file.write((", " if start else "") + self._redactor.text(ids[1:-1]))
        self._file.write(self._redactor.text(after) + "\n")
        self._file.flush()

    def case(self, result: CaseResult, *, source: str = "", proofs: Sequence[Proof] = ()) -> str:
        """Write the line of one case; returns its reason as written, where the exchanges told what is secret in it.

        :param source: the case as a file of its own, for a reader who wants to play it again.
        :param proofs: the planted defects that make the case fail.
        """
        templates = {step.name: step.request for step in result.case.steps}
        label = f"{result.played.place.token if result.played.place else ''}/{result.case.id}"
        line = self._line(
            {
                "kind": "case",
                **about(result.case),
                **judgement(result),
                "exchanges": [
                    _exchange(step, one, times, templates[step], label, self._redactor.kept)
                    for (step, exchange), times in zip(result.played.exchanges, result.played.times, strict=True)
                    for one in (*exchange.earlier, exchange)
                ],
                "duration_ms": round(result.duration_ms, 3),
                **({} if result.played.place is None else {"place": _place(result.played.place)}),
                **({"source": source} if source else {}),
                **({"proofs": [{"name": proof.name, "says": proof.says} for proof in proofs]} if proofs else {}),
            }
        )
        told = result.rung not in _NOTHING_TOLD
        return str(json.loads(line)["reason"]) if told else result.reason

    def footer(self, line: Mapping[str, Any]) -> None:
        """Write the last line, as ``footer_line`` makes it, and close the file."""
        self._line(line)
        self.close()

    def close(self) -> None:
        """Close the file as it is."""
        self._file.close()

    def _line(self, value: Mapping[str, Any]) -> str:
        line = self._redactor.text(json.dumps(value, ensure_ascii=True)) + "\n"
        self._file.write(line)
        self._file.flush()
        return line


def footer_line(  # noqa: PLR0913 - the parts of the footer
    summary: Summary,
    exit_code: int,
    *,
    cleanup: Mapping[str, Any],
    ended: str,
    declared: frozenset[str],
    baseline: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The last line of a results file; ``baseline`` is what a baseline said, if there is one."""
    return {
        "kind": "footer",
        **conclusion(summary, exit_code),
        "declared": sorted(declared),
        "cleanup": dict(cleanup),
        **({} if baseline is None else {"baseline": baseline}),
        "ended": ended,
    }


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
        "counts": dict(sorted(summary.counts.items())),
        "clauses": {
            clause: {
                "verdict": result.verdict,
                "cases": list(result.cases),
                **({"reason": result.reason} if result.reason else {}),
            }
            for clause, result in summary.clauses.items()
        },
    }


def _shard(shard: tuple[int, int], places: Sequence[int] | None) -> dict[str, Any]:
    return {"part": shard[0], "of": shard[1], **({} if places is None else {"places": list(places)})}


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


def _exchange(  # noqa: PLR0913, PLR0917 - what was played, when, as what, and who redacts
    step: str,
    exchange: Exchange,
    times: tuple[float, float],
    template: RequestTemplate,
    label: str,
    kept_of: Callable[[bytes], bytes],
) -> dict[str, Any]:
    came = exchange.received_body
    received = {"head": exchange.received_head.decode("latin-1"), **_body(came, kept_of(came))}
    if exchange.response is not None and exchange.response.body != came:
        received["content"] = _body(exchange.response.body, kept_of(exchange.response.body))
    sent = exchange.request.body if exchange.sent_body else b""
    made = _made(template, sent, label)
    return {
        "step": step,
        "sent": {
            "head": exchange.request.head.decode("latin-1"),
            **_body(sent, sent[:_MADE_KEPT] if made else kept_of(sent)),
            **made,
        },
        "received": received,
        "outcome": exchange.outcome,
        "ms": round(exchange.ms, 3),
        "continued": exchange.continued,
        "asked": times[0],
        "judged": times[1],
        "signed": {"how": _how_signed(template), "by": template.identity},
    }


def _made(template: RequestTemplate, body: bytes, label: str) -> dict[str, Any]:
    """How a body of ours can be made again, so that its beginning is enough: bytes of SHAKE-128 over a label."""
    spec = template.body
    if spec is None or spec.size != len(body) or len(body) <= _MADE_KEPT:
        return {}
    full = f"{label}/{spec.name}"
    return {"made": {"label": full, "size": len(body)}} if body_bytes(full, len(body)) == body else {}


def _how_signed(template: RequestTemplate) -> str:
    """The kind of signature, or "altered" when the case spoils it on purpose: signing again would mend it."""
    if template.kms is not None:
        return "key-service"
    own = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in template.headers)}
    spoilt = any(own.get(name, honest) != honest for name, honest in _HONEST.items())
    altered = spoilt or template.add_after or template.remove_after or template.omit & {"Date", "Authorization"}
    return "altered" if altered else template.sign


def _body(body: bytes, shown: bytes) -> dict[str, Any]:
    return {
        "body": shown.decode("latin-1"),
        "body_size": len(body),
        "body_sha256": hashlib.sha256(body).hexdigest() if body else "",
    }
