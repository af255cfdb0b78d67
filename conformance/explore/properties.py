"""Header rules as generators: from a property and what was drawn for it to a case.

Reads ``cases/properties.yaml``. What may be drawn is data; what a draw becomes on the wire and what must come of it is
decided here, in the same words as any case. Does not know who plays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from conformance.casefile import LIBRARY_ROOT
from conformance.explore.model import KEY_ID, MODE
from conformance.passive import wrong_citation
from conformance.vocabulary import BodySpec, BytesDue, Case, CaseError, Check, FormSpec, RequestTemplate, Step

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from conformance.casefile import Library
    from conformance.vocabulary import Level, Stage

_OBJECT, _SOURCE = "{fresh}/object", "{fresh}/source"
_KEY = "{keys.custom}"


@dataclass(frozen=True, slots=True)
class Property:
    """One row of ``properties.yaml``; see its schema for every word."""

    id: str
    says: str
    cites: tuple[str, ...]
    level: Level
    calls: tuple[str, ...]
    field: str
    generator: str
    argument: Any
    unlike: str | None
    around: tuple[str, str]
    refusal: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Draw:
    """What was drawn: the call, and the varied field as name, blanks before, value and blanks after."""

    call: str
    name: str
    before: str
    value: str
    after: str


def load_properties(library: Library, root: Path = LIBRARY_ROOT) -> tuple[Property, ...]:
    """The properties, checked against their schema and the clauses they cite.

    :raises CaseError: one line for each thing wrong, ``file:line:column: rule and remedy``.
    """
    from conformance.strictyaml import SchemaCheck, parse_fast

    document = parse_fast((root / "properties.yaml").read_text("utf-8"), "cases/properties.yaml")
    problems = list(SchemaCheck(root / "properties.schema.json").errors(document))
    if not problems:
        problems = [
            f"{document.at(('properties', index, 'cites'))}: {wrong}"
            for index, data in enumerate(document.value["properties"])
            for clause in data["cites"]
            if (wrong := wrong_citation(library, clause, data["level"]))
        ]
    if problems:
        raise CaseError("\n".join(problems))
    return tuple(_property(data) for data in document.value["properties"])


def _property(data: Mapping[str, Any]) -> Property:
    ((generator, argument),) = data["draw"].items()
    return Property(
        id=data["id"],
        says=data["says"],
        cites=tuple(data["cites"]),
        level=data["level"],
        calls=tuple(data["calls"]),
        field=data["field"],
        generator=generator,
        argument=argument,
        unlike=data.get("unlike"),
        around=(data.get("prefix", ""), data.get("suffix", "")),
        refusal=data.get("refusal"),
    )


def draws(property_: Property) -> st.SearchStrategy[Draw]:
    """Everything that may be drawn for a property."""
    name = {"mode": MODE, "key": KEY_ID}[property_.field]
    usual = {"mode": "kms", "key": _KEY}[property_.field]
    blank = st.text(" \t", max_size=4) if property_.generator == "blanks" else st.just(" ")
    names = _any_case(name) if property_.generator == "letter-case" else st.just(name)
    values = _values(property_, usual)
    after = blank if property_.generator == "blanks" else st.just("")
    return st.builds(Draw, st.sampled_from(property_.calls), names, blank, values, after)


def _values(property_: Property, usual: str) -> st.SearchStrategy[str]:
    made: dict[str, st.SearchStrategy[str]] = {}
    if property_.generator == "regex":
        made["regex"] = st.from_regex(property_.argument, fullmatch=True)
    if property_.generator == "values":
        made["values"] = st.sampled_from(property_.argument)
    if property_.generator == "near":
        made["near"] = _near(property_.argument)
    before, after = property_.around
    values = made.get(property_.generator, st.just(usual)).map(lambda value: f"{before}{value}{after}")
    if property_.unlike is None:
        return values
    forbidden = re.compile(property_.unlike)
    return values.filter(lambda value: not forbidden.fullmatch(value))


def _any_case(name: str) -> st.SearchStrategy[str]:
    flips = st.lists(st.booleans(), min_size=len(name), max_size=len(name))
    return flips.map(lambda upper: "".join(c.upper() if up else c for c, up in zip(name, upper, strict=True)))


def _near(text: str) -> st.SearchStrategy[str]:
    """The text with one character put in, left out or changed; none that a header could not carry."""
    place = st.integers(0, len(text) - 1)
    symbol = st.sampled_from("0123456789abcdefXYZ-_:/.~")

    def change(at: int, put: str, kind: int) -> str:
        return text[:at] + ("", put, put)[kind] + text[at + (1, 0, 1)[kind] :]

    return st.builds(change, place, symbol, st.integers(0, 2)).filter(lambda changed: changed != text)


def case_of(property_: Property, draw: Draw) -> Case:
    """What was drawn as a case: for a refusal with the control that the same request with a good value succeeds."""
    lines = _lines(property_.field, f"{draw.name}:{draw.before}{draw.value}{draw.after}")
    usual = {"mode": "kms", "key": _KEY}[property_.field]
    good = _lines(property_.field, f"{draw.name}: {usual}")
    steps: list[Step] = []
    if draw.call == "copy":
        source = RequestTemplate("PUT", "{bucket}", _SOURCE, body=BodySpec("body", 17))
        steps.append(_step("setup", 1, source, [Check("status", "status", 200, property_.cites, property_.level)]))
    refused = property_.refusal is not None
    if refused:
        other = "{fresh}/control"
        done = [Check("status", "status", [200, 204], property_.cites, property_.level)]
        steps.append(_step("control", 1, _request(draw.call, other, good), done))
    steps += _refused(property_, draw, lines) if refused else _encrypted(property_, draw, lines)
    return Case(
        id="EXPLORE-001",
        says=f"{property_.says} ({draw.call})",
        area="explore",
        level=property_.level,
        cites=property_.cites,
        needs=tuple(name for name in ("keys.custom", "keys.second", "region") if f"{{{name}}}" in f"{lines}{good}"),
        steps=tuple(steps),
        file="explore",
        line=1,
        own_bucket=True,
    )


def _lines(field: str, varied: str) -> tuple[str, ...]:
    return (varied,) if field == "mode" else (f"{MODE}: kms", varied)


def _request(call: str, target: str, lines: tuple[str, ...]) -> RequestTemplate:
    body = BodySpec("body", 17)
    match call:
        case "put" | "url":
            return RequestTemplate(
                "PUT", "{bucket}", target, headers=lines, body=body, sign="url" if call == "url" else "header"
            )
        case "copy":
            source = f"x-obs-copy-source: /{{bucket}}/{_SOURCE}"
            omit = frozenset({"Content-Length"})
            return RequestTemplate("PUT", "{bucket}", target, headers=(*lines, source), omit=omit)
        case "form":
            form = FormSpec((f"key: {target}", *lines))
            return RequestTemplate("POST", "{bucket}", None, sign="form", form=form, body=body)
        case _:
            return RequestTemplate("POST", "{bucket}", target, ("uploads",), lines)


def _step(stage: Stage, number: int, request: RequestTemplate, expect: list[Check]) -> Step:
    return Step(stage, f"{stage} {number}", request, tuple(expect))


def _encrypted(property_: Property, draw: Draw, lines: tuple[str, ...]) -> list[Step]:
    def check(word: str, subject: str, wanted: object) -> Check:
        return Check(word, subject, wanted, property_.cites, property_.level)

    key = draw.value if property_.field == "key" else None
    named = f"{{shape.long_key_prefix}}{key}" if key else "{shape.long_key_id}"
    reported = [check("equals", f"header {MODE}", "kms"), check("matches", f"header {KEY_ID}", named)]
    silent = draw.call == "form"  # what the answer to a form names is open (OBS0081-S05)
    answered = check("status", "status", 204 if silent else 200)
    steps = [_step("step", 1, _request(draw.call, _OBJECT, lines), [answered, *([] if silent else reported)])]
    if draw.call != "initiate":
        read = RequestTemplate("GET", "{bucket}", _OBJECT)
        whole = check("body_is", "body", BytesDue(("body",)))
        steps.append(_step("step", 2, read, [check("status", "status", 200), *reported, whole]))
    return steps


def _refused(property_: Property, draw: Draw, lines: tuple[str, ...]) -> list[Step]:
    refusal = Check("refused", "refusal", dict(property_.refusal or {}), property_.cites, property_.level)
    steps = [_step("step", 1, _request(draw.call, _OBJECT, lines), [refusal])]
    gone = {"status": [404], "codes": ["NoSuchKey"]}
    absent = Check("refused", "refusal", gone, property_.cites, property_.level)
    return [*steps, _step("step", 2, RequestTemplate("GET", "{bucket}", _OBJECT), [absent])]
