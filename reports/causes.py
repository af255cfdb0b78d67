"""Failing cases gathered under what they have in common: one defect is one card, however many cases it fails.

Pure. Knows differences and how many cases share them.  Does not know files, wording, or what a defect is called.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.changes import Difference, difference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reports.model import Case, Check, Rung

TROUBLED: frozenset[Rung] = frozenset({"fail", "warn", "blocked", "setup_failed", "harness_error", "not_run"})
_WEIGHT: tuple[Rung, ...] = ("fail", "warn", "setup_failed", "blocked", "harness_error", "not_run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """A case in trouble: its place in the run (from 1), and what was wrong, by difference the first sentence said."""

    number: int
    id: str
    says: str
    rung: Rung
    differences: dict[Difference, str]
    clauses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cause:
    """One difference and every case it explains; ``root`` is the one to look at first."""

    difference: Difference
    root: Symptom
    followers: tuple[Symptom, ...]

    @property
    def cases(self) -> tuple[Symptom, ...]:
        """Root and followers."""
        return (self.root, *self.followers)

    @property
    def clauses(self) -> tuple[str, ...]:
        """Clauses of the unmet expectations, the most frequent first."""
        counts: dict[str, int] = defaultdict(int)
        for symptom in self.cases:
            for clause in symptom.clauses:
                counts[clause] += 1
        return tuple(sorted(counts, key=lambda clause: -counts[clause]))

    def count(self, rung: Rung) -> int:
        """How many of the cases stand on a rung."""
        return sum(symptom.rung == rung for symptom in self.cases)


def symptom(number: int, case: Case) -> Symptom:
    """What is wrong with a case in trouble; one without an unmet expectation has its reason as its difference."""
    found: dict[Difference, str] = {}
    for check in case.unmet:
        found.setdefault(difference(check), check.says)
    clauses = tuple(dict.fromkeys(clause for check in case.unmet for clause in _cited(check)))
    return Symptom(
        number=number,
        id=case.id,
        says=case.says,
        rung=case.rung,
        differences=found or {Difference(case.rung, case.reason): case.reason},
        clauses=clauses,
    )


def _cited(check: Check) -> tuple[str, ...]:
    return check.clauses if check.step.startswith("step") else ()


def causes(symptoms: Iterable[Symptom]) -> tuple[Cause, ...]:
    """Every symptom under one cause: the difference most cases share explains those cases, then the next.

    Causes that fail most cases come first.
    """
    left = dict(enumerate(symptoms))
    sharing: dict[Difference, dict[int, None]] = {}
    for place, item in left.items():
        for found in item.differences:
            sharing.setdefault(found, {})[place] = None
    gathered: list[Cause] = []
    while left:
        shared = max(sharing, key=lambda found: len(sharing[found]))
        places = list(sharing[shared])
        group = sorted((left.pop(place) for place in places), key=_first_to_look_at)
        for place, item in zip(sorted(places), sorted(group, key=lambda item: item.number), strict=True):
            for found in item.differences:
                sharing[found].pop(place, None)
        gathered.append(Cause(shared, group[0], tuple(sorted(group[1:], key=lambda item: item.number))))
    return tuple(sorted(gathered, key=lambda cause: tuple(-cause.count(rung) for rung in _WEIGHT)))


def _first_to_look_at(item: Symptom) -> tuple[int, int, int]:
    """A failure before the rest, the one with least else wrong, the earliest."""
    return _WEIGHT.index(item.rung), len(item.differences), item.number
