"""Two targets side by side: what one answers otherwise than the other, without what is new in every answer.

Every answer is taken apart into facts: status, each header, each element or member of its body. What belongs to a
target (bucket, keys, accounts, address) is replaced by its name, ids by the order in which they first occur, times by
their form. What still differs between two runs against the first target is volatile: of it only the shape is compared.
Pure; does not know who played.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance.judge import parse_xml
from conformance.passive import operation_of_template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from xml.etree import ElementTree as ET

    from conformance.vocabulary import Case, CaseResult, Exchange, Step

_ID = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9a-z]{8}(?:-[0-9a-z]{4}){3}-[0-9a-z]{12}|[0-9a-f]{32}|[0-9A-F]{32})(?![0-9A-Za-z])"
)
_TIMES = (
    (re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT"), "<HTTP date>"),
    (re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z"), "<UTC time>"),
)
_OPAQUE = re.compile(r"[0-9A-Za-z+/=_-]{16,}")
_RUNS = ((re.compile(r"[0-9]+"), "9"), (re.compile(r"[A-Za-z]+"), "a"), (re.compile(r"[9a]{2,}"), "w"))
_SHORT = 4
"""Texts of so few characters would be found by chance."""

Facts = dict[str, str]


@dataclass(slots=True)
class Names:
    """What stands for what in one run: (text, name) pairs, longest text first, and the ids seen so far."""

    known: tuple[tuple[str, str], ...]
    ids: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Names:
        """From names and what they stand for; short texts stay as they are."""
        pairs = {value: f"{{{name}}}" for name, value in values.items() if len(value) > _SHORT}
        return cls(tuple(sorted(pairs.items(), key=lambda pair: -len(pair[0]))))

    def plain(self, text: str) -> str:
        """A text without what belongs to the run."""
        for value, name in self.known:
            text = text.replace(value, name)
        for pattern, form in _TIMES:
            text = pattern.sub(form, text)
        return _ID.sub(lambda match: self.ids.setdefault(match[0], f"<id {len(self.ids) + 1}>"), text)


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that differs: in which case and step, and what each side has (empty: it lacks the fact)."""

    case: Case
    step: str
    operation: str
    fact: str
    first: str
    second: str
    clauses: tuple[str, ...]
    exchanges: tuple[Exchange | None, Exchange | None]

    @property
    def cause(self) -> str:
        """What groups differences: the call, the fact and how the two sides have it."""
        how = "only the first has" if not self.second else "only the second has" if not self.first else "differs"
        return f"{self.operation}: {self.fact} {how}" if how == "differs" else f"{self.operation}: {how} {self.fact}"


@dataclass(frozen=True, slots=True)
class Group:
    """Differences of one cause."""

    cause: str
    differences: tuple[Difference, ...]

    @property
    def clauses(self) -> tuple[str, ...]:
        """Every clause that the differing facts bear on."""
        return tuple(dict.fromkeys(clause for one in self.differences for clause in one.clauses))

    def document(self) -> dict[str, Any]:
        """The group as a JSON value."""
        return {
            "cause": self.cause,
            "clauses": list(self.clauses),
            "differences": [
                {"case": one.case.id, "step": one.step, "first": one.first, "second": one.second}
                for one in self.differences
            ],
        }


def facts_of(exchange: Exchange | None, names: Names) -> Facts:
    """An answer as facts; the outcome alone if none came."""
    if exchange is None:
        return {}
    if exchange.response is None:
        return {"outcome": names.plain(exchange.outcome)}
    response = exchange.response
    found: Facts = {"status": str(response.status)}
    body = dict(_body_facts(response.body))
    for name, value in response.headers:
        key = f"header {name.lower()}"
        if key == "header content-length" and body and "body" not in body:
            continue  # the length of a document follows from the names in it
        plain = names.plain(value)
        found[key] = f"{found[key]}\n{plain}" if key in found else plain
    return found | {key: names.plain(value) for key, value in body.items()}


def _body_facts(body: bytes) -> Iterator[tuple[str, str]]:
    if not body:
        return
    root = parse_xml(body)
    if root is not None:
        yield from _elements(root, "")
        return
    try:
        value = json.loads(body)
    except ValueError:
        yield "body", f"{len(body)} bytes, SHA-256 {hashlib.sha256(body).hexdigest()}"
    else:
        yield "body as JSON", json.dumps(value, sort_keys=True)


def _elements(element: ET.Element, above: str) -> Iterator[tuple[str, str]]:
    path = f"{above}/{element.tag.rpartition('}')[2]}".lstrip("/")
    if len(element):
        for child in element:
            yield from _elements(child, path)
    else:
        yield f"xml {path}", (element.text or "").strip()


def shape(text: str) -> str:
    """A text with its letters and digits reduced to their kind, runs of them to one, and long opaque ones to a mark."""
    text = _OPAQUE.sub("<opaque>", text)
    for pattern, symbol in _RUNS:
        text = pattern.sub(symbol, text)
    return text


def differences(case: Case, runs: Sequence[CaseResult], names: Sequence[Names]) -> Iterator[Difference]:
    """What the second target does otherwise.

    :param runs: three: the case played against the first target twice, then against the second.
    :param names: what stands for what in each.
    """
    first, again, second = (dict(run.played.exchanges) for run in runs)
    for step in case.steps:
        exchanges = first.get(step.name), again.get(step.name), second.get(step.name)
        if exchanges[0] is None or exchanges[2] is None:
            continue  # one side ended earlier, for a difference that was told at its step
        one, other, two = (facts_of(exchange, name) for exchange, name in zip(exchanges, names, strict=True))
        for fact in dict.fromkeys((*one, *two)):
            if fact in one and one.get(fact) != other.get(fact):
                if fact not in other or shape(two.get(fact, "")) == shape(one[fact]):
                    continue
            elif one.get(fact) == two.get(fact):
                continue
            yield Difference(
                case, step.name, operation_of_template(step.request), fact, one.get(fact, ""), two.get(fact, ""),
                _clauses(step, fact), (exchanges[0], exchanges[2]),
            )  # fmt: skip


def _clauses(step: Step, fact: str) -> tuple[str, ...]:
    """The clauses of the step's expectations that are about a fact."""
    about = (check for check in step.expect if check.subject.lower() == fact.lower())
    refusals = (check for check in step.expect if check.word == "refused" and fact in {"status", "xml Error/Code"})
    bodies = (check for check in step.expect if check.subject == "body" and fact.startswith("body"))
    return tuple(
        dict.fromkeys(clause for checks in (about, refusals, bodies) for check in checks for clause in check.cites)
    )


def grouped(found: Sequence[Difference]) -> tuple[Group, ...]:
    """Differences by cause, roots first: those that come first in most cases, before what only follows from them."""
    groups: dict[str, list[Difference]] = {}
    first_in: dict[str, str] = {}
    for one in found:
        groups.setdefault(one.cause, []).append(one)
        first_in.setdefault(one.case.id, one.cause)
    roots = Counter(first_in.values())

    def rank(group: Group) -> tuple[int, bool, int]:
        return -roots[group.cause], not group.clauses, -len(group.differences)

    return tuple(sorted((Group(cause, tuple(ones)) for cause, ones in groups.items()), key=rank))
