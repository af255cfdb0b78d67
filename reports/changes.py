"""What changed between two runs, as values.

Knows when a case is a new failure, is fixed, or fails differently, and what of a difference is the defect and what is
only the value of the day.  Does not know files, wording or any format: both sides are mappings of case id to standing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reports.model import Case, Check, Results, Rung

_DISCRETE = frozenset({"status", "code", "refusal"})
"""Subjects with few possible values, which therefore are part of the difference."""
_ABSENT = "(absent)"


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """What was wrong, without the values of the day: the subject in lower case, and how it differed."""

    subject: str
    kind: str


def difference(check: Check) -> Difference:
    """The difference an unmet expectation found: two cases that share it very likely share its cause."""
    subject = check.subject.lower()
    if check.word == "absent":
        return Difference(subject, "present")
    if check.got == _ABSENT:
        return Difference(subject, "absent")
    if f"{check.subject} occurs " in check.says:
        return Difference(subject, "repeated")
    return Difference(subject, f"is {check.got}" if subject in _DISCRETE else "differs")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a case stood in one run: its rung, and each step's differences."""

    rung: Rung
    differences: frozenset[tuple[str, Difference]] = frozenset()


def standing(case: Case) -> Standing:
    """The standing of a case; only what was not met is part of it."""
    return Standing(case.rung, frozenset((check.step, difference(check)) for check in case.unmet))


def standings(results: Results) -> dict[str, Standing]:
    """The standing of every case of a run, in its order."""
    return {case.id: standing(case) for case in results.cases}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Case ids in the order of the newer run (removed ones in that of the older); each id is in one group only.

    ``moved`` are those that changed their rung and neither began nor ceased to fail, for instance pass to blocked.
    """

    new_failures: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    differently: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    new_cases: tuple[str, ...] = ()
    removed_cases: tuple[str, ...] = ()
    new_cases_failing: tuple[str, ...] = ()
    """Those of ``new_cases`` that fail."""

    @property
    def regressed(self) -> bool:
        """Whether the newer run is worse: something fails that did not, or fails in another way."""
        return bool(self.new_failures or self.differently or self.new_cases_failing)

    @property
    def none(self) -> bool:
        """Whether nothing changed at all."""
        return not (self.regressed or self.fixed or self.moved or self.new_cases or self.removed_cases)


_GOOD: frozenset[Rung] = frozenset({"pass", "warn", "observed"})
"""Where a case that used to fail has to arrive to count as fixed; one that is no longer measured only moved."""


def group(old: Standing, new: Standing) -> str | None:
    """The group of ``Changes`` for a case that is in both runs; None when it stands where it stood."""
    if new.rung == "fail":
        if old.rung != "fail":
            return "new_failures"
        return None if old.differences == new.differences else "differently"
    if old.rung == new.rung:
        return None
    return "fixed" if old.rung == "fail" and new.rung in _GOOD else "moved"


def changes(old: Mapping[str, Standing], new: Mapping[str, Standing]) -> Changes:
    """What changed from *old* to *new*."""
    groups: dict[str, list[str]] = {}
    for name, now in new.items():
        if name not in old:
            groups.setdefault("new_cases", []).append(name)
            if now.rung == "fail":
                groups.setdefault("new_cases_failing", []).append(name)
            continue
        where = group(old[name], now)
        if where is not None:
            groups.setdefault(where, []).append(name)
    groups["removed_cases"] = [name for name in old if name not in new]
    return Changes(**{name: tuple(names) for name, names in groups.items()})


def compare(old: Results, new: Results) -> Changes:
    """What changed from one whole results file to another."""
    return changes(standings(old), standings(new))
