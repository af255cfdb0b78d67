"""What differences mean: findings to a rung, rungs and clauses to a conclusion.

Knows levels, stages and the fixed denominator of a profile. Does not look at bytes and judges nothing itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from conformance.vocabulary import CaseResult, ClauseVerdict, Finding, Played, Requirement, Rung

Conclusion = Literal["conformant", "non-conformant", "inconclusive", "interrupted"]
EXIT: Mapping[Conclusion, int] = {"conformant": 0, "non-conformant": 1, "inconclusive": 3, "interrupted": 130}
USAGE_EXIT = 2

MEASURED: frozenset[Rung] = frozenset({"pass", "fail", "warn", "observed"})
"""Rungs on which something was learnt about the target."""
_WORST: tuple[ClauseVerdict, ...] = ("broken", "weak", "holds", "observed")
"""What cases say of a clause, in the order in which one outweighs the next."""
_NAMED, _REASONS = 8, 3
"""How many clauses a headline names, and how many cases the reason why a clause was not exercised."""
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
class Tally:
    """A run's results, counted as they come: a conclusion needs no more of them, however many they are."""

    counts: Counter[Rung] = field(default_factory=Counter)
    _cases: dict[ClauseVerdict, dict[str, list[str]]] = field(default_factory=lambda: {name: {} for name in _WORST})
    _ends: dict[str, list[str]] = field(default_factory=dict)
    _reasons: Counter[str] = field(default_factory=Counter)

    def add(self, result: CaseResult) -> None:
        """Count a result, and the judged steps of a measured case."""
        self.counts[result.rung] += 1
        if result.reason:
            self._reasons[result.reason] += 1
        for clause in result.case.clauses():
            ends = self._ends.setdefault(clause, [])
            if len(ends) < _REASONS:
                ends.append(f"{result.case.id} {result.rung}: {result.reason}")
        if result.rung not in MEASURED:
            return
        for finding in result.played.findings:
            if finding.step.startswith("step"):
                mark: ClauseVerdict = "holds" if finding.held else "broken" if finding.level == "must" else "weak"
                self._mark(mark, finding.clauses, result.case.id)
        for observation in result.played.observations:
            self._mark("observed", observation.clauses, result.case.id)

    def _mark(self, verdict: ClauseVerdict, clauses: Iterable[str], case: str) -> None:
        for clause in clauses:
            cases = self._cases[verdict].setdefault(clause, [])
            if not cases or cases[-1] != case:
                cases.append(case)

    def clauses(self, requirements: Iterable[Requirement]) -> dict[str, ClauseResult]:
        """One verdict for each clause, over the judged steps of every measured case: the worst of them."""
        return {requirement.id: self._clause(requirement) for requirement in requirements}

    def _clause(self, requirement: Requirement) -> ClauseResult:
        found = {verdict: cases[requirement.id] for verdict, cases in self._cases.items() if requirement.id in cases}
        for verdict in found:
            return ClauseResult(verdict, tuple(dict.fromkeys(id_ for cases in found.values() for id_ in cases)))
        if requirement.observable == "no":
            return ClauseResult("not_observable", (), requirement.unobservable or "")
        reason = "; ".join(self._ends.get(requirement.id, ()))
        return ClauseResult("not_exercised", (), reason or "no case of this run exercises it")

    def why(self) -> str:
        """The reason that was given most often."""
        return self._reasons.most_common(1)[0][0] if self._reasons else "no case was played."

    def conclude(
        self,
        requirements: Sequence[Requirement],
        *,
        declared: frozenset[str] = frozenset(),
        strict: bool = False,
        interrupted: bool = False,
        excused: Counter[Rung] | None = None,
    ) -> Summary:
        """The conclusion over the clauses of a profile, its denominator.

        :param declared: clauses that the target file declares it goes without.
        :param excused: how many cases of a rung count as if they had only been observed.
        """
        counts = self.counts if excused is None else _as_observed(self.counts, excused)
        clauses = self.clauses(requirements)
        musts = [
            requirement
            for requirement in requirements
            if requirement.level == "must" and requirement.observable != "no"
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
            return Summary("inconclusive", f"Nothing was measured: {self.why()}", counts, clauses)
        if missing or gaps or not musts:
            parts = [f"{tally}, none failed"]
            parts += [f"not exercised: {_some(missing)}"] if missing else []
            parts += [f"{gaps} cases could not be judged"] if gaps else []
            return Summary("inconclusive", f"Inconclusive: {'; '.join(parts)}.", counts, clauses)
        return Summary("conformant", f"Conformant: {tally}, none failed.", counts, clauses)


def _as_observed(counts: Counter[Rung], excused: Counter[Rung]) -> Counter[Rung]:
    return counts - excused + Counter({"observed": excused.total()})


def tally_of(results: Iterable[CaseResult]) -> Tally:
    """Results that are there already, counted."""
    tally = Tally()
    for result in results:
        tally.add(result)
    return tally


def conclude(
    requirements: Sequence[Requirement],
    results: Iterable[CaseResult],
    *,
    declared: frozenset[str] = frozenset(),
    strict: bool = False,
    interrupted: bool = False,
) -> Summary:
    """The conclusion over results that are there already; see :meth:`Tally.conclude`."""
    return tally_of(results).conclude(requirements, declared=declared, strict=strict, interrupted=interrupted)


def _some(clauses: Sequence[str]) -> str:
    return ", ".join(clauses[:_NAMED]) + (" and more" if len(clauses) > _NAMED else "")
