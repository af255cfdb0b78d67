"""What differences mean: findings to a rung, rungs and clauses to a conclusion.

Knows levels, stages and the fixed denominator of a profile. Does not look at bytes and judges nothing itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from conformance.vocabulary import CaseResult, ClauseVerdict, Finding, Played, Requirement, Rung

Conclusion = Literal["conformant", "non-conformant", "inconclusive", "interrupted"]
EXIT: Mapping[Conclusion, int] = {"conformant": 0, "non-conformant": 1, "inconclusive": 3, "interrupted": 130}
USAGE_EXIT = 2

MEASURED: frozenset[Rung] = frozenset({"pass", "fail", "warn", "observed"})
"""Rungs on which something was learnt about the target."""
_NAMED = 8
"""How many clauses a headline names."""
_GROUND: tuple[tuple[str, Rung, str], ...] = (
    ("setup", "setup_failed", "set-up"),
    ("control", "blocked", "the control request"),
)
_JUDGED: tuple[tuple[str, Rung], ...] = (("must", "fail"), ("should", "warn"))
_GAPS: frozenset[Rung] = frozenset({"blocked", "setup_failed", "harness_error", "not_run"})


@dataclass(frozen=True, slots=True)
class ClauseResult:
    """A clause over all cases that exercised it; ``reason`` says why none did."""

    verdict: ClauseVerdict
    cases: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """The conclusion of a run and the arithmetic under it."""

    conclusion: Conclusion
    headline: str
    counts: Mapping[Rung, int]
    clauses: Mapping[str, ClauseResult]


def grade(played: Played, *, only_observes: bool) -> tuple[Rung, str]:
    """The rung of a played case and one sentence why.

    Set-up and control come first: what fails there says nothing about the clauses the case cites.
    No complete HTTP answer is never a conformance failure, whoever is to blame.
    """
    if played.unanswered:
        return "not_run", played.stopped
    broken = tuple(finding for finding in played.findings if not finding.held)
    for stage, rung, what in _GROUND:
        first = next((finding for finding in broken if finding.step.startswith(stage)), None)
        if first is not None:
            return rung, f"{what} failed, so nothing was judged: {first.step}, {first.says}"
    for level, verdict in _JUDGED:
        at_level = tuple(finding for finding in broken if finding.level == level)
        if at_level:
            return verdict, _sentence(at_level)
    if played.stopped:
        return "harness_error", played.stopped
    return ("observed", "recorded, not judged") if only_observes else ("pass", "")


def _sentence(findings: Sequence[Finding]) -> str:
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{findings[0].step}: {findings[0].says}{more}"


@dataclass(slots=True)
class _Tally:
    """Which cases found a clause held, weak or broken, and which only recorded something for it."""

    broken: dict[str, list[str]] = field(default_factory=dict)
    weak: dict[str, list[str]] = field(default_factory=dict)
    holds: dict[str, list[str]] = field(default_factory=dict)
    observed: dict[str, list[str]] = field(default_factory=dict)

    def add(self, result: CaseResult) -> None:
        """Count the judged steps of a measured case."""
        for finding in result.played.findings:
            if finding.step.startswith("step"):
                group = self.holds if finding.held else self.broken if finding.level == "must" else self.weak
                for clause in finding.clauses:
                    group.setdefault(clause, []).append(result.case.id)
        for observation in result.played.observations:
            for clause in observation.clauses:
                self.observed.setdefault(clause, []).append(result.case.id)

    def worst_first(self) -> tuple[tuple[ClauseVerdict, Mapping[str, list[str]]], ...]:
        """The groups in the order in which one outweighs the next."""
        return ("broken", self.broken), ("weak", self.weak), ("holds", self.holds), ("observed", self.observed)


def clause_results(requirements: Sequence[Requirement], results: Sequence[CaseResult]) -> dict[str, ClauseResult]:
    """One verdict for each clause, over the judged steps of every measured case."""
    tally = _Tally()
    for result in results:
        if result.rung in MEASURED:
            tally.add(result)
    return {requirement.id: _clause_result(requirement, tally, results) for requirement in requirements}


def _clause_result(requirement: Requirement, tally: _Tally, results: Sequence[CaseResult]) -> ClauseResult:
    clause, groups = requirement.id, tally.worst_first()
    for verdict, group in groups:
        if clause in group:
            cases = dict.fromkeys(id_ for _, ids in groups for id_ in ids.get(clause, ()))
            return ClauseResult(verdict, tuple(cases))
    if requirement.observable == "no":
        return ClauseResult("not_observable", (), requirement.unobservable or "")
    kept_out = tuple(result for result in results if clause in result.case.clauses())
    reason = "; ".join(f"{result.case.id} {result.rung}: {result.reason}" for result in kept_out[:3])
    return ClauseResult("not_exercised", (), reason or "no case of this run exercises it")


def conclude(
    requirements: Sequence[Requirement],
    results: Sequence[CaseResult],
    *,
    declared: frozenset[str] = frozenset(),
    strict: bool = False,
    interrupted: bool = False,
) -> Summary:
    """The conclusion over the clauses of a profile, its denominator.

    :param declared: clauses that the target file declares it goes without.
    """
    counts: Counter[Rung] = Counter(result.rung for result in results)
    clauses = clause_results(requirements, results)
    musts = [
        requirement for requirement in requirements if requirement.level == "must" and requirement.observable != "no"
    ]
    exercised = sum(clauses[requirement.id].verdict in {"holds", "broken", "weak"} for requirement in musts)
    missing = [
        requirement.id
        for requirement in musts
        if clauses[requirement.id].verdict in {"not_exercised", "observed"} and requirement.id not in declared
    ]
    broken = sum(result.verdict == "broken" for result in clauses.values())
    failing = counts["fail"] + (counts["warn"] if strict else 0)
    gaps = sum(counts[rung] for rung in _GAPS)
    measured = sum(counts[rung] for rung in MEASURED)
    tally = f"{exercised} of {len(musts)} MUST clauses exercised"
    if interrupted:
        return Summary("interrupted", f"Interrupted: {tally} before the run was stopped.", counts, clauses)
    if failing:
        text = f"Not conformant: {failing} of {measured} measured cases failed, {broken} clauses broken; {tally}."
        return Summary("non-conformant", text, counts, clauses)
    if not measured:
        return Summary("inconclusive", f"Nothing was measured: {_why(results)}", counts, clauses)
    if missing or gaps or not musts:
        parts = [f"{tally}, none failed"]
        parts += [f"not exercised: {_some(missing)}"] if missing else []
        parts += [f"{gaps} cases could not be judged"] if gaps else []
        return Summary("inconclusive", f"Inconclusive: {'; '.join(parts)}.", counts, clauses)
    return Summary("conformant", f"Conformant: {tally}, none failed.", counts, clauses)


def _some(clauses: Sequence[str]) -> str:
    return ", ".join(clauses[:_NAMED]) + (" ..." if len(clauses) > _NAMED else "")


def _why(results: Sequence[CaseResult]) -> str:
    reasons = Counter(result.reason for result in results if result.reason)
    return f"{reasons.most_common(1)[0][0]}" if reasons else "no case was played."
