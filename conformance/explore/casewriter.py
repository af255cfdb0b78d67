"""A case as the YAML its author would have written. Pure: values in, text out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from conformance.vocabulary import STRENGTH, BytesDue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conformance.vocabulary import Case, Check, RequestTemplate, Step


_STAGES = (("setup", "setup"), ("control", "control"), ("step", "steps"))


def case_yaml(case: Case, remarks: Sequence[str] = ()) -> str:
    """A case file of one case, which ``run --cases`` plays.

    :param remarks: lines put above the case as comments.
    """
    lines = ["format: 1", f"area: {case.area}", "cases:", *(f"# {remark}" for remark in remarks)]
    lines += [f"- id: {case.id}", f"  says: {_text(case.says)}", f"  cites: [{', '.join(_judged(case))}]"]
    lines += [f"  level: {case.level}"]
    lines += [f"  needs: [{', '.join(case.needs)}]"] if case.needs else []
    lines += ["  own_bucket: true"] if case.own_bucket else []
    for stage, word in _STAGES:
        steps = [step for step in case.steps if step.stage == stage]
        lines += [f"  {word}:", *(line for step in steps for line in _step(step))] if steps else []
    return "\n".join(lines) + "\n"


def _judged(case: Case) -> tuple[str, ...]:
    """The clauses of the judged expectations that are as strong as the case; others stand at their own checks."""
    judged = (check for step in case.steps if step.stage == "step" for check in step.expect)
    strong = (check for check in judged if STRENGTH[check.level] >= STRENGTH[case.level])
    return tuple(dict.fromkeys(clause for check in strong for clause in check.cites))


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _step(step: Step) -> Iterator[str]:
    yield f"  - request: {_text(_request(step.request))}"
    if step.expect:
        yield "    expect:"
    yield from (f"    - {_text(_check(check))}" for check in step.expect)
    if step.save:
        yield f"    save: {_text(dict(step.save))}"


def _request(request: RequestTemplate) -> dict[str, Any]:
    written: dict[str, Any] = {"method": request.method}
    optional = {
        "bucket": None if request.bucket == "{bucket}" else request.bucket,
        "object": request.object,
        "query": list(request.query),
        "headers": list(request.headers),
        "omit": sorted(request.omit),
        "as": None if request.identity == "owner" else request.identity,
        "sign": None if request.sign == "header" else request.sign,
        "kms": request.kms,
        "form": request.form and {"fields": list(request.form.fields)},
        "body": request.body and _body(request.body.name, request.body.size, request.body.text),
    }
    return written | {word: value for word, value in optional.items() if value}


def _body(name: str, size: int | None, text: str | None) -> dict[str, Any]:
    return {"name": name, "size": size} if text is None else {"name": name, "text": text}


def _check(check: Check) -> dict[str, Any]:
    said = {"cites": list(check.cites), "level": check.level}
    kind, _, name = check.subject.partition(" ")
    match check.word:
        case "status":
            return {"status": check.wanted, **said}
        case "refused":
            return {"refused": check.wanted, **said}
        case "body_is":
            return {"body": _due(check.wanted), **said}
        case _:
            return {kind: name, check.word: check.wanted, **said}


def _due(wanted: object) -> dict[str, Any]:
    if not isinstance(wanted, BytesDue):
        return {"is": wanted}
    ends = {"from": wanted.first, "to": wanted.last}
    names = wanted.names[0] if len(wanted.names) == 1 else list(wanted.names)
    return {"is": names} | {word: value for word, value in ends.items() if value is not None}
