"""Rules for exchanges that somebody else made, and their judgement.

One exchange shows by itself what its client did and how its server answered; ``cases/passive.yaml`` says what must
then be true. Does not know where an exchange comes from, and judges nothing that takes a second request.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from conformance import judge
from conformance.casefile import LIBRARY_ROOT
from conformance.placeholders import fill
from conformance.vocabulary import CEILING, STRENGTH, CaseError, Check, Finding, Response

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from conformance.casefile import Library
    from conformance.vocabulary import Level, RequestTemplate

Side = Literal["request", "answer"]
KEY_ID = "x-obs-server-side-encryption-kms-key-id"
_RELATIONS = ("equals", "matches", "present", "absent", "http_date", "not_md5_of")

_SUB_RESOURCES = ("uploadId", "uploads", "encryption", "policy", "acl", "delete")
_OPERATIONS: Mapping[tuple[str, str, str], str] = {
    ("PUT", "object", ""): "put-object",
    ("POST", "bucket", ""): "post-object",
    ("GET", "object", ""): "get-object",
    ("HEAD", "object", ""): "head-object",
    ("DELETE", "object", ""): "delete-object",
    ("POST", "object", "uploads"): "initiate",
    ("PUT", "object", "uploadId"): "upload-part",
    ("POST", "object", "uploadId"): "complete",
    ("DELETE", "object", "uploadId"): "abort",
    ("GET", "object", "uploadId"): "list-parts",
    ("PUT", "bucket", ""): "create-bucket",
    ("HEAD", "bucket", ""): "head-bucket",
    ("DELETE", "bucket", ""): "delete-bucket",
    ("GET", "bucket", ""): "list-objects",
    ("PUT", "bucket", "encryption"): "put-encryption",
    ("GET", "bucket", "encryption"): "get-encryption",
    ("DELETE", "bucket", "encryption"): "delete-encryption",
    ("PUT", "bucket", "policy"): "put-policy",
    ("GET", "bucket", "policy"): "get-policy",
    ("DELETE", "bucket", "policy"): "delete-policy",
}
_COPIES: Mapping[str, str] = {"put-object": "copy-object", "upload-part": "copy-part"}


@dataclass(frozen=True, slots=True)
class Traffic:
    """One exchange as it was seen: what was asked, and the answer if one came.

    ``kind`` is the addressed resource, ``service``, ``bucket`` or ``object``; ``query`` is decoded; ``at`` is the time
    of the exchange in seconds since 1970. ``answer`` is None if no answer came or only the request was recorded.
    """

    method: str
    kind: str
    query: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]
    body: bytes
    answer: Response | None
    at: float

    def operation(self) -> str:
        """The call by its name in ``passive.schema.json``."""
        copies = any(name.lower() == "x-obs-copy-source" for name, _ in self.headers)
        return operation_of(self.method, self.kind, {name for name, _ in self.query}, copies=copies)

    def sent(self, name: str) -> tuple[str, ...]:
        """The values of a request header, or failing that of a query parameter, by lower-case name."""
        headers = tuple(value for key, value in self.headers if key.lower() == name)
        return headers or tuple(value for key, value in self.query if key.lower() == name)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of ``passive.yaml``: when it applies and what must then be true."""

    id: str
    says: str
    side: Side
    cites: tuple[str, ...]
    level: Level
    expect: tuple[Check, ...]
    operations: frozenset[str] = frozenset()
    sends: Mapping[str, str] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    status: str = ""

    def applies(self, traffic: Traffic) -> bool:
        """Whether the rule says anything about an exchange."""
        answer = traffic.answer
        if self.side == "answer" and (answer is None or not _status_fits(self.status, answer.status)):
            return False
        return (
            (not self.operations or traffic.operation() in self.operations)
            and all(_some(traffic.sent(name), pattern) for name, pattern in self.sends.items())
            and not any(traffic.sent(name) for name in self.lacks)
            and all(answer and _some(answer.values(name), pattern) for name, pattern in self.answers.items())
        )


def operation_of(method: str, kind: str, parameters: Collection[str], *, copies: bool) -> str:
    """The name of a call in ``passive.schema.json``, from its method, the kind of place and its parameters."""
    sub = next((name for name in _SUB_RESOURCES if name in parameters), "")
    found = _OPERATIONS.get((method, kind, sub), "other")
    return _COPIES.get(found, found) if copies else found


def operation_of_template(request: RequestTemplate) -> str:
    """The name of the call that a case's request is."""
    kind = "bucket" if request.object is None else "object"
    copies = any(line.lower().startswith("x-obs-copy-source:") for line in request.headers)
    return operation_of(request.method, kind, {text.partition("=")[0] for text in request.query}, copies=copies)


def _some(values: Sequence[str], pattern: str) -> bool:
    return any(re.fullmatch(pattern, value) for value in values)


def _status_fits(pattern: str, status: int) -> bool:
    return not pattern or any(
        all(wanted in {"x", digit} for wanted, digit in zip(option, str(status), strict=True))
        for option in pattern.split("|")
    )


def judge_traffic(
    rules: Sequence[Rule], shapes: Mapping[str, str], traffic: Traffic, side: Side | None = None
) -> Iterator[tuple[Rule, Finding]]:
    """Every expectation of every rule that applies, held or not; of one side only if one is named.

    A finding's ``step`` is the side it is about.
    """
    values = {f"shape.{name}": shape for name, shape in shapes.items()}
    values["asked_key"] = re.escape(next(iter(traffic.sent(KEY_ID)), "").rpartition("/")[2])
    views = _views(traffic)
    for rule in rules:
        if (side is None or rule.side == side) and rule.applies(traffic):
            for check in rule.expect:
                yield from ((rule, finding) for finding in _findings(rule, check, views, values))


def _views(traffic: Traffic) -> Mapping[str, judge.View]:
    """What may be looked at: the request's lines, its parameters, and the answer, all as something with headers."""
    bodies = {"request": traffic.body}
    asked = Response(0, "", traffic.headers, traffic.body)
    query = Response(0, "", traffic.query, b"")
    named = {name.lower() for name, _ in traffic.headers}
    fields = Response(0, "", (*traffic.headers, *(pair for pair in traffic.query if pair[0].lower() not in named)), b"")
    given = traffic.answer or Response(0, "", (), b"")
    return {
        name: judge.View(message, traffic.method, bodies, (), traffic.at)
        for name, message in (("request", asked), ("query", query), ("field", fields), ("answer", given))
    }


def _findings(
    rule: Rule, check: Check, views: Mapping[str, judge.View], values: Mapping[str, str]
) -> Iterator[Finding]:
    kind, _, name = check.subject.partition(" ")
    elsewhere = kind in {"query", "field"}
    view = views[kind if elsewhere else rule.side]
    subject = f"header {name}" if elsewhere else check.subject
    wanted = fill(check.wanted, values) if isinstance(check.wanted, str) else check.wanted
    got = judge.evidence(check.word, subject, view)
    english = judge.WORDS[check.word].english(check.subject, wanted)
    for says in judge.differences(check.word, subject, wanted, view) or ("",):
        told = says.replace(subject, check.subject)
        yield Finding(rule.side, check.word, check.subject, check.cites, check.level, not says, english, got, told)


def load_rules(library: Library, root: Path = LIBRARY_ROOT) -> tuple[Rule, ...]:
    """The rules, checked against their schema and the clauses they cite.

    :raises CaseError: one line for each thing wrong, ``file:line:column: rule and remedy``.
    """
    from conformance.strictyaml import SchemaCheck, parse_fast

    document = parse_fast((root / "passive.yaml").read_text("utf-8"), "cases/passive.yaml")
    problems = list(SchemaCheck(root / "passive.schema.json").errors(document))
    if problems:
        raise CaseError("\n".join(problems))
    seen: set[str] = set()
    for index, data in enumerate(document.value["rules"]):
        where = document.at(("rules", index, "id")) if data["id"] in seen else ""
        problems += [f"{where}: rule id {data['id']} is used twice"] if where else []
        seen.add(data["id"])
        problems += [
            f"{document.at(('rules', index, 'cites'))}: {wrong}"
            for clause in data["cites"]
            if (wrong := wrong_citation(library, clause, data["level"]))
        ]
    if problems:
        raise CaseError("\n".join(problems))
    return tuple(_rule(data) for data in document.value["rules"])


def wrong_citation(library: Library, clause: str, level: str) -> str:
    """What is wrong with judging a clause at a level, or nothing."""
    requirement = library.requirements.get(clause)
    if requirement is None:
        return f"unknown clause {clause}"
    ceiling = CEILING[requirement.level]
    weaker = STRENGTH[level] > STRENGTH[ceiling]
    return f"level {level} is stronger than clause {clause}; use {ceiling}" if weaker else ""


def _rule(data: Mapping[str, Any]) -> Rule:
    cites, level = tuple(data["cites"]), data["level"]
    return Rule(
        id=data["id"],
        says=data["says"],
        side=data["side"],
        cites=cites,
        level=level,
        expect=tuple(Check(*_word(check), cites, level) for check in data["expect"]),
        operations=frozenset(data.get("operations", ())),
        sends=data.get("sends", {}),
        lacks=tuple(data.get("lacks", ())),
        answers=data.get("answers", {}),
        status=data.get("status", ""),
    )


def _word(check: Mapping[str, Any]) -> tuple[str, str, object]:
    if "status" in check:
        return "status", "status", check["status"]
    if "body" in check:
        return "body_empty", "body", ""
    word = next(word for word in _RELATIONS if word in check)
    kind = next(kind for kind in ("header", "query", "field", "xml") if kind in check)
    return word, f"{kind} {check[kind]}", check[word]
