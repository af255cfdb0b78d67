"""A case or a clause in English.

Turns values into text for a reader who does not have the source. Does not play, judge or grade.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.judge import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from conformance.casefile import Library
    from conformance.proofs import Proof
    from conformance.vocabulary import Case, Check, Requirement, Step

_SIGNED = {
    "header": "signed in the Authorization header",
    "url": "authorized by a signed URL",
    "form": "authorized by a signed form",
    "none": "unsigned",
}
_STAGE = {"setup": "Set-up", "control": "Control", "step": "Step"}


def explain_id(library: Library, id_: str, proofs: Mapping[str, Sequence[Proof]]) -> str | None:
    """A clause, a case or all rows of a case in English; None if nothing has this id."""
    clauses = library.requirements
    if id_ in clauses:
        return explain_clause(clauses[id_], [case for case in library.cases if id_ in case.clauses()])
    found = [case for case in library.cases if id_ in {case.id, case.id.partition("/")[0]}]
    explained = (
        explain_case(case, [clauses[clause] for clause in case.clauses()], proofs.get(case.id, ())) for case in found
    )
    return "\n\n".join(explained) or None


def explain_case(case: Case, requirements: Sequence[Requirement], proofs: Sequence[Proof] = ()) -> str:
    """What a case does, what it expects, why each cited clause matters, and which planted defects it has caught."""
    lines = [f"{case.id}  ({case.level}, {case.area})", case.says, f"{case.file}:{case.line}", ""]
    if case.needs:
        lines += [f"Needs: {', '.join(case.needs)}", ""]
    for step in case.steps:
        lines += _step(step)
    lines += ["", "Clauses"]
    for requirement in requirements:
        lines += [f"  {requirement.id} ({requirement.level}): {requirement.says}"]
        lines += [f"    why it matters: {requirement.consequence}", f"    how to fix: {requirement.fix}"]
    if case.unprovable:
        lines += ["", f"Proven on nothing: {case.unprovable}"]
    if proofs:
        lines += ["", "Proven on"]
        lines += [f"  {proof.name}: {proof.says} ({proof.realism})" for proof in proofs]
    return "\n".join(lines)


def _step(step: Step) -> Iterator[str]:
    request = step.request
    where = request.bucket if request.object is None else f"{request.bucket}/{request.object}"
    number, how = step.name.rpartition(" ")[2], f"{_SIGNED[request.sign]} as {request.identity}"
    yield f"{_STAGE[step.stage]} {number}: {request.method} {where}, {how}"
    for text in request.query:
        yield f"    query {text}"
    for line in request.headers:
        yield f"    {line}"
    if request.body is not None:
        size = f"{request.body.size} bytes" if request.body.size is not None else "literal text"
        yield f"    body {request.body.name!r}: {size}"
    for check in step.expect:
        yield f"  - {_check(check)}"


def _check(check: Check) -> str:
    cited = ", ".join(check.cites)
    if check.word == "observe":
        return f"record {check.subject} as {check.wanted!r} [{cited}]"
    return f"{check.level}: {WORDS[check.word].english(check.subject, check.wanted)} [{cited}]"


def explain_clause(requirement: Requirement, cases: Sequence[Case]) -> str:
    """What a clause says, why it has its level, what breaking it means, and the cases that exercise it."""
    place = f"{requirement.section}, sentence {requirement.ordinal}"
    lines = [
        f"{requirement.id}  ({requirement.level}; page {requirement.page}, {place})",
        requirement.says,
        "",
        f"Level decided by {requirement.decided_by}: {requirement.decided_why}",
        f"Observable: {requirement.observable}" + (f"; {requirement.unobservable}" if requirement.unobservable else ""),
        f"Usual causes: {requirement.causes}",
        f"Consequence: {requirement.consequence}",
        f"How to fix: {requirement.fix}",
    ]
    lines += [f"Errata and open questions: {', '.join(requirement.errata)}"] if requirement.errata else []
    lines += ["", "Cases"]
    lines += [f"  {case.id}  {case.says}" for case in cases] or ["  none"]
    return "\n".join(lines)
