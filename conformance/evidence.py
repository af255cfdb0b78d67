"""Reads a results file back as evidence: who was asked, where each case played, and every answer as it was judged.

Knows what ``results`` writes and how a transport reads the bytes of an answer. Does not judge; what a line lacks or
has in another shape is an ``EvidenceError`` that names the line.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from conformance.dialectfile import load_dialect
from conformance.recording import Recorder
from conformance.results import Redactor
from conformance.vocabulary import (
    ANSWERED,
    Exchange,
    Identity,
    KeyService,
    Place,
    Request,
    Response,
    Target,
    UsageError,
)
from conformance.wire import parse_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

FORMAT = 1
_T = TypeVar("_T")
_CASE_TEXTS = ("id", "rung", "reason")
_CHECK_TEXTS = ("step", "word", "subject", "level", "wanted", "got", "says")
_SEEN_TEXTS = ("step", "name", "value")
_PLACE_TEXTS = ("bucket", "shared_bucket", "token")
_HEADER_TEXTS: Mapping[str, tuple[str, ...]] = {
    "": ("started",),
    "suite": ("name", "version"),
    "library": ("digest",),
    "profile": ("name", "title"),
    "target": ("name", "endpoint", "addressing", "dialect", "transport"),
}
_STARS = re.compile(r"\*+")
_ANNOUNCED = re.compile(r"HTTP/\S+ +(\d{3}) *([^\r\n]*)")


class EvidenceError(UsageError):
    """A results file that cannot be judged again. The message names file, line, what is wrong and the remedy."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One recorded exchange: what was sent (redacted), what came, and the clock at asking and at judging."""

    step: str
    sent: Mapping[str, Any]
    answer: Response | None
    outcome: str
    ms: float
    times: tuple[float, float]

    def exchange(self, request: Request) -> Exchange:
        """The exchange as its request saw it; the wire's bytes stay in the file."""
        return Exchange(request, b"", b"", self.answer, self.outcome, self.ms)


@dataclass(frozen=True, slots=True)
class CaseEvidence:
    """The line of one case: ``record`` as it stands in the file, ``place`` None when nothing was played."""

    line: int
    record: Mapping[str, Any]
    place: Place | None
    moments: tuple[Moment, ...]

    @property
    def id(self) -> str:
        """The case's permanent id."""
        return str(self.record["id"])


@dataclass(frozen=True, slots=True)
class Evidence:
    """A whole results file; ``lines`` are its bytes, each line with its end."""

    path: Path
    lines: tuple[bytes, ...]
    header: Mapping[str, Any]
    target: Target
    cases: tuple[CaseEvidence, ...]
    footer: Mapping[str, Any] | None


def read_evidence(path: Path) -> Evidence:
    """Read a results file.

    :raises EvidenceError: unreadable, not a results file, or written without what judging again needs.
    """
    lines = read_lines(path)
    records = [_parsed(path, number, line) for number, line in enumerate(lines, 1)]
    header = records[0] if records else {}
    if header.get("kind") != "header" or header.get("format") != FORMAT:
        raise EvidenceError(
            f"{path}, line 1: not the header of a results file of format {FORMAT}; give a results.jsonl"
        )
    target = _shaped(path, 1, functools.partial(_target, header))
    footer = records[-1] if len(records) > 1 and records[-1].get("kind") == "footer" else None
    inner = records[1 : -1 if footer else None]
    wire = target.transport == "wire"
    cases: dict[str, CaseEvidence] = {}
    for number, record in enumerate(inner, 2):
        if record.get("kind") != "case":
            raise EvidenceError(f"{path}, line {number}: a {record.get('kind')!r} where a case is due")
        case = _shaped(path, number, functools.partial(_case, number, record, wire=wire))
        if case.id in cases:
            raise EvidenceError(
                f"{path}, line {number}: a second line for {case.id}; its first is line {cases[case.id].line}"
            )
        cases[case.id] = case
    return Evidence(path, lines, header, target, tuple(cases.values()), footer)


def read_lines(path: Path) -> tuple[bytes, ...]:
    """The bytes of a file by lines, each with its end.

    :raises EvidenceError: unreadable.
    """
    try:
        return tuple(path.read_bytes().splitlines(keepends=True))
    except OSError as error:
        raise EvidenceError(f"{path}: cannot be read: {error.strerror}; give the path of a results.jsonl") from error


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"{path}, line {number}: not JSON ({error}); give the file as the run wrote it") from error
    if not isinstance(record, dict):
        raise EvidenceError(f"{path}, line {number}: not a JSON object; give the file as the run wrote it")
    return record


def _shaped(path: Path, number: int, make: Callable[[], _T]) -> _T:
    try:
        return make()
    except KeyError as error:
        remedy = "the file was written without what judging again needs; run the suite again"
        raise EvidenceError(f"{path}, line {number}: {error.args[0]} is missing; {remedy}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise EvidenceError(f"{path}, line {number}: {error}; hold it against results.schema.json") from error


def _target(header: Mapping[str, Any]) -> Target:
    data = header["target"]
    for part, names in _HEADER_TEXTS.items():
        _require(header[part] if part else header, names)
    for name in ("planned", "seed"):
        _ = header[name]
    _ = (header["profile"]["clauses"] + [], header["library"]["cases"] + 0)
    return Target(
        name=data["name"],
        endpoint=data["endpoint"],
        identities={
            name: Identity(value["access_key"], "", value["domain_id"], value["principal"])
            for name, value in data["identities"].items()
        },
        keys=data["keys"],
        region=data["region"],
        addressing=data["addressing"],
        dialect=data["dialect"],
        transport=data["transport"],
        without=data["without"],
        kms=KeyService(**data["kms"]) if "kms" in data else None,
        spoken=load_dialect(data["dialect"]),
    )


def _case(number: int, record: Mapping[str, Any], *, wire: bool) -> CaseEvidence:
    place = record.get("place")
    _require(record, _CASE_TEXTS)
    for check in record["checks"]:
        _require(check, _CHECK_TEXTS)
        _ = (check["clauses"] + [], bool(check["held"]))
    for seen in record["observations"]:
        _require(seen, _SEEN_TEXTS)
    float(record["duration_ms"])
    if place is not None:
        _require(place, _PLACE_TEXTS)
    return CaseEvidence(
        number,
        record,
        None if place is None else Place(*(place[name] for name in _PLACE_TEXTS)),
        tuple(_moment(exchange, wire=wire) for exchange in _last_attempts(record["exchanges"])),
    )


def _last_attempts(exchanges: Sequence[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """One exchange for each step: a request that was sent again, because the target asked for patience, counts once."""
    return {exchange["step"]: exchange for exchange in exchanges}.values()


def _require(record: Mapping[str, Any], names: Sequence[str]) -> None:
    """Texts that a later reader takes for granted."""
    for name in names:
        if not isinstance(record[name], str):
            raise TypeError(f"{name} is {record[name]!r}, not a text")


def _moment(exchange: Mapping[str, Any], *, wire: bool) -> Moment:
    for message in (exchange["sent"], exchange["received"]):
        _require(message, ("head", "body", "body_sha256"))
        _ = message["body_size"] + 0
    to_head = exchange["sent"]["head"].startswith("HEAD ")
    answered = exchange["outcome"] == ANSWERED
    return Moment(
        exchange["step"],
        exchange["sent"],
        answer(exchange["received"], to_head=to_head, wire=wire) if answered else None,
        exchange["outcome"],
        float(exchange["ms"]),
        (float(exchange["asked"]), float(exchange["judged"])),
    )


def answer(received: Mapping[str, Any], *, to_head: bool, wire: bool) -> Response:
    """The answer that the transport made of a recorded message: the same parser, and its body by size and digest."""
    head, body = received["head"].encode("latin-1"), received["body"].encode("latin-1")
    read = parse_answer(head + body, to_head=to_head) if wire else _read_by_library(head)
    content = received.get("content", received)
    whole = (content["body_size"], content["body_sha256"]) if content["body_size"] else None
    return Response(read.status, read.reason, read.headers, content["body"].encode("latin-1"), read.interim, whole)


def _read_by_library(head: bytes) -> Response:
    """As ``http.client`` reads it."""
    found = [(int(status), reason.strip()) for status, reason in _ANNOUNCED.findall(_status_lines(head))]
    (status, reason), interim = found[-1], tuple(number for number, _ in found[:-1])
    return Response(status, reason, tuple(Recorder().headers(head)), b"", interim)


def _status_lines(head: bytes) -> str:
    parts = head.rstrip(b"\r\n").split(b"\r\n\r\n")
    return "\n".join(part.partition(b"\r\n")[0].decode("latin-1") for part in parts)


def unlike(request: Request, sent: Mapping[str, Any]) -> str:
    """How a request differs from the one that was recorded, in words; empty when it is the same.

    Signatures are left out: evidence has none, and who judges again has no secret to make them of.
    """
    redact = Redactor(())
    now, then = (_STARS.sub("*", redact.text(head)) for head in (request.head.decode("latin-1"), sent["head"]))
    if now != then:
        return _first_difference(now.split("\r\n"), then.split("\r\n"))
    if request.expects_continue and not sent["body_size"]:
        return ""
    text = request.body.decode("latin-1")
    redacted = redact.text(text)
    if len(text) != sent["body_size"]:
        return f"the body has {len(text)} bytes and had {sent['body_size']}"
    if redacted[: len(sent["body"])] != redact.text(sent["body"]):
        return "the body is another"
    if redacted == text and request.body and _sha256(request.body) != sent["body_sha256"]:
        return f"the body is another beyond its first {len(sent['body'])} bytes"
    return ""


def _first_difference(now: Sequence[str], then: Sequence[str]) -> str:
    for new, old in zip(now, then, strict=False):
        if new != old:
            return f"it sends {new!r} and sent {old!r}"
    return f"it sends {len(now) - 2} lines and sent {len(then) - 2}"


def _sha256(body: bytes) -> str:
    return Response(0, "", (), body).sha256
