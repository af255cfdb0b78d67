"""The library as a profile sees it: clauses as strong as they are in its dialect, expectations by what remains of them.

Pure. A profile without a dialect sees the library as it is, at no cost. Does not know how a case is played.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conformance.vocabulary import CEILING, STRENGTH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.casefile import Library
    from conformance.vocabulary import Case, Check, Dialect, Level, Profile, Requirement, Step


def cases_of(library: Library, profile: Profile) -> Iterable[Case]:
    """The cases, each with the expectations and levels that the profile leaves it."""
    if not profile.lacks and not profile.levels:
        return library.cases
    return tuple(as_seen(case, profile) for case in library.cases)


def requirements_of(library: Library, profile: Profile) -> tuple[Requirement, ...]:
    """The clauses of a profile, as strong as they are there."""
    found = (library.requirements[clause] for clause in profile.clauses)
    return tuple(replace(one, level=profile.levels[one.id]) if one.id in profile.levels else one for one in found)


def no_counterpart(case: Case, dialect: Dialect) -> str | None:
    """Why a dialect has no place for a case, or None."""
    why = dialect.without.get(case.id) or dialect.without.get(case.id.partition("/")[0])
    return why and f"the dialect {dialect.name} has no counterpart: {why}"


def as_seen(case: Case, profile: Profile) -> Case:
    """A case with the expectations and levels that a profile leaves it."""
    if not (profile.lacks.keys() | profile.levels.keys()) & set(case.clauses()):
        return case
    steps = tuple(_step(step, profile) if step.stage == "step" else step for step in case.steps)
    return replace(case, cites=_left(case.cites, profile), level=_level(case, profile), steps=steps)


def _level(case: Case, profile: Profile) -> Level:
    return _capped(case.level, _left(case.cites, profile), profile) if _left(case.cites, profile) else "observe"


def _step(step: Step, profile: Profile) -> Step:
    return replace(step, expect=tuple(_check(check, profile) for check in step.expect))


def _check(check: Check, profile: Profile) -> Check:
    """A check as strong as the clauses it cites; one that cites a clause the dialect lacks is looked at, not judged.

    What is not judged says nothing of any clause, so it cites none.
    """
    level = "observe" if profile.lacks.keys() & set(check.cites) else _capped(check.level, check.cites, profile)
    if check.word == "observe" or level == check.level:
        return check
    return replace(check, level=level, cites=() if level == "observe" else check.cites)


def _left(cites: tuple[str, ...], profile: Profile) -> tuple[str, ...]:
    return tuple(clause for clause in cites if clause not in profile.lacks)


def _capped(level: Level, cites: tuple[str, ...], profile: Profile) -> Level:
    """A level no stronger than any of the clauses that bind less in the dialect."""
    ceilings = [CEILING[profile.levels[clause]] for clause in cites if clause in profile.levels]
    return min([level, *ceilings], key=STRENGTH.__getitem__)
