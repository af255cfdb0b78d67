"""Failing cases gathered under what they have in common: one defect is one card, however many cases it fails.

Pure. Knows differences and how many cases share them.  Does not know files, wording, or what a defect is called.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.changes import Difference, difference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reports.model import Case, Rung

TROUBLED: frozenset[Rung] = frozenset({"fail", "warn", "blocked", "setup_failed", "harness_error", "not_run"})
_WEIGHT: tuple[Rung, ...] = ("fail", "warn", "setup_failed", "blocked", "harness_error", "not_run")


@dataclass(frozen=True, slots=True)
class Wrong:
    """A difference in the words of the first expectation that met it, and the clauses judged by all that did."""

    says: str
    clauses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """A case in trouble: its place in the run (from 1), how many requests it came to, and what was wrong."""

    number: int
    id: str
    says: str
    rung: Rung
    requests: int
    differences: dict[Difference, Wrong]


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
        """Clauses that the difference breaks, the one most cases say so of first."""
        counts = Counter(clause for case in self.cases for clause in case.differences[self.difference].clauses)
        return tuple(clause for clause, _ in counts.most_common())

    def count(self, rung: Rung) -> int:
        """How many of the cases stand on a rung."""
        return sum(symptom.rung == rung for symptom in self.cases)


def symptom(number: int, case: Case) -> Symptom:
    """What is wrong with a case in trouble; one without an unmet expectation has its reason as its difference."""
    found: dict[Difference, Wrong] = {}
    for check in case.unmet:
        what, judged = difference(check), check.clauses if check.step.startswith("step") else ()
        before = found.get(what, Wrong(check.says))
        found[what] = Wrong(before.says, tuple(dict.fromkeys((*before.clauses, *judged))))
    return Symptom(
        number=number,
        id=case.id,
        says=case.says,
        rung=case.rung,
        requests=len(case.exchanges),
        differences=found or {Difference(case.rung, case.reason): Wrong(case.reason)},
    )


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
        group = {place: left.pop(place) for place in list(sharing[shared])}
        for place, item in group.items():
            for found in item.differences:
                del sharing[found][place]
        root = min(group.values(), key=_first_to_look_at)
        gathered.append(Cause(shared, root, tuple(item for item in group.values() if item is not root)))
    return tuple(sorted(gathered, key=lambda cause: tuple(-cause.count(rung) for rung in _WEIGHT)))


def _first_to_look_at(item: Symptom) -> tuple[int, int, int, int]:
    """A failure before the rest, the one with least else wrong, the shortest, the earliest."""
    return _WEIGHT.index(item.rung), len(item.differences), item.requests, item.number
