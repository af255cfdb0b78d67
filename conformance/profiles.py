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
    return tuple(_case(case, profile) for case in library.cases)


def requirements_of(library: Library, profile: Profile) -> tuple[Requirement, ...]:
    """The clauses of a profile, as strong as they are there."""
    found = (library.requirements[clause] for clause in profile.clauses)
    return tuple(replace(one, level=profile.levels[one.id]) if one.id in profile.levels else one for one in found)


def no_counterpart(case: Case, dialect: Dialect) -> str | None:
    """Why a dialect has no place for a case, or None."""
    why = dialect.without.get(case.id) or dialect.without.get(case.id.partition("/")[0])
    return why and f"the dialect {dialect.name} has no counterpart: {why}"


def _case(case: Case, profile: Profile) -> Case:
    cites = _left(case.cites, profile)
    if cites == case.cites and not profile.levels.keys() & set(case.clauses()) and not profile.lacks.keys() & set(
        case.clauses()
    ):
        return case
    steps = tuple(_step(step, profile) if step.stage == "step" else step for step in case.steps)
    return replace(case, cites=cites, level=_capped(case.level, case.cites, profile), steps=steps)


def _step(step: Step, profile: Profile) -> Step:
    return replace(step, expect=tuple(made for check in step.expect for made in _check(check, profile)))


def _check(check: Check, profile: Profile) -> Iterable[Check]:
    """A check with the clauses that are left; none when the dialect has none of those it cites."""
    cites = _left(check.cites, profile)
    if check.cites and not cites:
        return ()
    return (replace(check, cites=cites, level=_capped(check.level, check.cites, profile)),)


def _left(cites: tuple[str, ...], profile: Profile) -> tuple[str, ...]:
    return tuple(clause for clause in cites if clause not in profile.lacks)


def _capped(level: Level, cites: tuple[str, ...], profile: Profile) -> Level:
    """A level no stronger than the strongest clause that is left binds in the dialect."""
    changed = [profile.levels[clause] for clause in cites if clause in profile.levels]
    if not changed or any(clause not in profile.levels for clause in _left(cites, profile)):
        return level
    ceiling = max((CEILING[strength] for strength in changed), key=STRENGTH.__getitem__)
    return min(level, ceiling, key=STRENGTH.__getitem__)
